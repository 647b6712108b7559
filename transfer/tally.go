package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// errTooLong says that a record is longer than any may be.
var errTooLong = errors.New("a record is longer than 1 MiB: is a quotation mark missing before it?")

// tally counts what is read through it, and hashes that up to the end of the last record: whoever reads buffers more than that.
type tally struct {
	reader  io.Reader
	hashed  int64  // bytes
	lines   int64  // that end in what is hashed
	pending []byte // read, and hashed up to done
	done    int
	hash    hash.Hash
}

func newTally(reader io.Reader) *tally { return &tally{reader: reader, hash: sha256.New()} }

// Read fails where a record is longer than maxRecord. The empty lines before it are no part of it.
func (t *tally) Read(p []byte) (int, error) {
	if rest := t.pending[t.done:]; len(rest) > maxRecord+2*readAhead {
		empty := len(rest) - len(bytes.TrimLeft(rest, "\r\n"))
		if t.consumed(t.hashed + int64(empty)); empty == 0 {
			return 0, errTooLong
		}
	}
	n, err := t.reader.Read(p)
	t.pending = append(t.pending[:copy(t.pending, t.pending[t.done:])], p[:n]...)
	t.done = 0
	return n, err
}

// consumed says that records take so many bytes by now.
func (t *tally) consumed(offset int64) {
	n := max(0, min(int(offset-t.hashed), len(t.pending)-t.done))
	text := t.pending[t.done : t.done+n]
	t.hash.Write(text)
	t.lines += int64(bytes.Count(text, []byte("\n")))
	t.done += n
	t.hashed += int64(n)
}

// digest is the hash of what is consumed.
func (t *tally) digest() string { return hex.EncodeToString(t.hash.Sum(nil)) }
