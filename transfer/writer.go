package transfer

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// errAgain says that an export cannot be begun anew, since some of it is written.
var errAgain = errors.New("the database has ended the snapshot: export again")

// Writer writes records to a file that a Source reads again. In JSON Lines they are as they were; a table cannot tell an empty text from null, nor keep
// spaces around a text, nor tell CR LF in it from LF. A cell that a spreadsheet would take for a formula is written as it is.
type Writer struct {
	table *csv.Writer // nil: JSON Lines
	out   *bufio.Writer
	ends  []func() error
}

// NewWriter returns a writer of a file with a name: .csv is a table of one kind, .tsv one with tabs, all else JSON Lines; .gz and .zst behind that compress it.
func NewWriter(file io.Writer, name string, kind Kind) (*Writer, error) {
	w := &Writer{}
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, ".gz"):
		zipped := gzip.NewWriter(file)
		file, w.ends = zipped, append(w.ends, zipped.Close)
	case strings.HasSuffix(name, ".zst"):
		zipped, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		file, w.ends = zipped, append(w.ends, zipped.Close)
	}
	w.out = bufio.NewWriterSize(file, readAhead)
	ending := endingOf(name)
	if ending == ".json" {
		return nil, errors.New("a file of JSON is not written: call it .jsonl, which has one object a line")
	}
	if ending == ".csv" || ending == ".tsv" {
		if kind == "" {
			return nil, errors.New("a table has records of one kind: say with --kind which, or write .jsonl")
		}
		w.table = csv.NewWriter(w.out)
		if ending == ".tsv" {
			w.table.Comma = '\t'
		}
		return w, w.table.Write(fields[kind])
	}
	return w, nil
}

// Write writes a record.
func (w *Writer) Write(kind Kind, record input) error {
	if w.table != nil {
		row := make([]string, len(fields[kind]))
		for i, field := range fields[kind] {
			row[i] = text(record, field)
		}
		return w.table.Write(row)
	}
	line := append([]byte(`{"kind":"`), kind...)
	line = append(line, '"')
	for _, field := range fields[kind] {
		value, given := record[field]
		if !given {
			continue
		}
		line = append(line, `,"`+field+`":`...)
		encoded, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		line = append(line, encoded...)
	}
	_, err := w.out.Write(append(line, "}\n"...))
	return err
}

// Close writes what is left. The file is its owner's.
func (w *Writer) Close() error {
	if w.table != nil {
		w.table.Flush()
		if err := w.table.Error(); err != nil {
			return err
		}
	}
	err := w.out.Flush()
	for _, end := range w.ends {
		err = errors.Join(err, end())
	}
	return err
}
