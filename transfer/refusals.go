package transfer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Refusals is a file of refused records: a table of lines, fields, codes and reasons. It has those of the transactions that were committed: what one writes
// counts once that is, and is written over or cut off otherwise. A nil one is no file.
type Refusals struct {
	file *os.File
	ours bool  // nobody else writes it
	kept int64 // bytes that count
	next int64 // bytes that the open transaction has written behind them
}

// OpenRefusals opens a file, or makes it. Run empties it, unless it goes on with an import.
func OpenRefusals(path string) (*Refusals, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &Refusals{file: file}, nil
}

// resume cuts the file off where an import goes on.
func (r *Refusals) resume(at int64) error {
	if r == nil {
		return nil
	}
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < at {
		return fmt.Errorf("%s is shorter than the import has left it: is it another file?", r.file.Name())
	}
	r.ours, r.kept, r.next = true, at, 0
	if err := r.file.Truncate(at); err != nil || at > 0 {
		return err
	}
	if err := r.append([][]string{{"line", "field", "code", "reason"}}); err != nil {
		return err
	}
	r.advance()
	return nil
}

// write writes the refusals of a transaction, in place of what an earlier attempt at it has written.
func (r *Refusals) write(refusals []Refusal) error {
	rows := make([][]string, len(refusals))
	for i, one := range refusals {
		rows[i] = []string{strconv.FormatInt(one.Line, 10), one.Error.Field, string(one.Error.Code), one.Error.Message}
	}
	return r.append(rows)
}

func (r *Refusals) append(rows [][]string) error {
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		return err
	}
	r.next = int64(text.Len())
	_, err := r.file.WriteAt(text.Bytes(), r.kept)
	return errors.Join(err, r.file.Sync()) // the database remembers how long the file is
}

// length is how many bytes count once the open transaction is committed.
func (r *Refusals) length() int64 {
	if r == nil {
		return 0
	}
	return r.kept + r.next
}

// advance says that the transaction is committed.
func (r *Refusals) advance() {
	if r != nil {
		r.kept, r.next = r.kept+r.next, 0
	}
}

// disown leaves the file to another process.
func (r *Refusals) disown() {
	if r != nil {
		r.ours = false
	}
}

// Close cuts off what no transaction has kept, and removes a file that is not needed: where it is, something was refused, or the import goes on.
func (r *Refusals) Close(needed bool) error {
	if !r.ours {
		return r.file.Close()
	}
	err := errors.Join(r.file.Truncate(r.kept), r.file.Sync(), r.file.Close())
	if !needed {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}
