package transfer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	maxRecord = 1 << 20  // bytes of a record
	readAhead = 64 << 10 // bytes that are read beyond a record
	maxWindow = 64 << 20 // bytes that zstd may look back
)

// SourceOptions say how a file is read.
type SourceOptions struct {
	Name      string   // of the file; by its ending it is CSV or JSON Lines, and else by how it begins
	Kind      Kind     // of the records of a CSV file; "": users
	Map       []string // COLUMN=FIELD, COLUMN+COLUMN=FIELD, or COLUMN= to leave one out
	Encoding  string   // utf-8, latin-1, windows-1252 or utf-16; "" or auto: UTF-8, or UTF-16 where the file begins so
	Delimiter string   // of a CSV file, one character; "": it is found
}

// decoderOf returns the encoding that has a name; nil: it is UTF-8.
func decoderOf(name string) (encoding.Encoding, error) {
	switch strings.ToLower(name) {
	case "", "auto", "utf-8":
		return nil, nil
	case "latin-1":
		return charmap.ISO8859_1, nil
	case "windows-1252":
		return charmap.Windows1252, nil
	case "utf-16":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), nil
	}
	return nil, fmt.Errorf("%q is no encoding: write one of utf-8, latin-1, windows-1252, utf-16", name)
}

// Source reads the records of a file. What it holds in memory does not depend on the file's length.
type Source struct {
	tally *tally
	lossy string // the encoding that the text is decoded from, which puts U+FFFD in the place of what is none; "": it is in UTF-8
	next  func() (Record, error)
	// offset returns how many bytes the records so far take.
	offset  func() int64
	close   func()
	columns map[string]string // of a table, by the fields' names
}

// NewSource returns a source of a file's records. The error says what to do instead.
func NewSource(file io.Reader, o SourceOptions) (*Source, error) {
	plain, closer, err := uncompressed(file)
	if err != nil {
		return nil, err
	}
	s := &Source{close: closer}
	text, lossy, err := decoded(plain, o.Encoding)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.lossy = lossy
	s.tally = newTally(text)
	reader := bufio.NewReaderSize(s.tally, readAhead)
	isCSV, err := formatOf(o.Name, reader)
	if err == nil && isCSV {
		err = s.openCSV(reader, o)
	} else if err == nil {
		err = s.openJSONL(reader, o)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Next returns the next record, or io.EOF. Another error means that the rest of the file cannot be read; what is wrong with one record stands there.
func (s *Source) Next() (Record, error) {
	r, err := s.next()
	if err != nil {
		r.Line = s.tally.lines + 1
		return r, err
	}
	s.tally.consumed(s.offset())
	if r.Wrong == nil {
		r = r.checked(s.lossy)
	}
	return r, nil
}

// Offset is how many bytes the records so far take, with what precedes them, of the text that is uncompressed and in UTF-8.
func (s *Source) Offset() int64 { return s.offset() }

// Digest is the SHA-256 of these bytes.
func (s *Source) Digest() string { return s.tally.digest() }

// Close frees what reading needed; the file is its owner's.
func (s *Source) Close() { s.close() }

// uncompressed reads a file that may be compressed, as its first bytes tell.
func uncompressed(file io.Reader) (io.Reader, func(), error) {
	reader := bufio.NewReaderSize(file, readAhead)
	begins, err := reader.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(begins, []byte{0x1f, 0x8b}):
		unzipped, err := gzip.NewReader(reader)
		if err != nil {
			return nil, nil, fmt.Errorf("the file begins as gzip, and is not: %w", err)
		}
		return explained{unzipped}, func() { _ = unzipped.Close() }, nil
	case bytes.HasPrefix(begins, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unzipped, err := zstd.NewReader(reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, fmt.Errorf("the file begins as zstd, and is not: %w", err)
		}
		return explained{unzipped}, unzipped.Close, nil
	case bytes.HasPrefix(begins, []byte("PK\x03\x04")):
		return nil, nil, errors.New("this is a ZIP archive, as .xlsx and .ods files are too: save the table as CSV")
	}
	return reader, func() {}, nil
}

// explained says of a compressed file that cannot be read that it is damaged.
type explained struct{ io.Reader }

func (e explained) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the compressed file is damaged, or ends too early: %w", err)
	}
	return n, err
}

// decoded reads a text in UTF-8, whatever its encoding: lossy unless it is in UTF-8.
func decoded(plain io.Reader, name string) (text io.Reader, lossy string, err error) {
	reader := bufio.NewReaderSize(plain, readAhead)
	begins, err := reader.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	if (name == "" || name == "auto") && (bytes.HasPrefix(begins, []byte{0xff, 0xfe}) || bytes.HasPrefix(begins, []byte{0xfe, 0xff})) {
		name = "utf-16"
	}
	switch decoder, err := decoderOf(name); {
	case err != nil:
		return nil, "", err
	case decoder != nil && strings.ToLower(name) != "utf-16" && isUTF8(reader):
		return nil, "", fmt.Errorf("the file is in UTF-8, and not in %s: leave --encoding out", name)
	case decoder != nil:
		return transform.NewReader(reader, decoder.NewDecoder()), strings.ToLower(name), nil
	}
	// A decoder of UTF-8 would put U+FFFD in the place of what is none.
	if bytes.Equal(begins, []byte{0xef, 0xbb, 0xbf}) {
		_, _ = reader.Discard(len(begins))
	}
	return reader, "", nil
}

// isUTF8 reports whether a text begins with what has characters of several bytes in UTF-8. Hardly a text in another encoding looks so.
func isUTF8(reader *bufio.Reader) bool {
	begins, _ := reader.Peek(readAhead)
	for range utf8.UTFMax - 1 { // the last character may be cut
		if last, size := utf8.DecodeLastRune(begins); last != utf8.RuneError || size != 1 {
			break
		}
		begins = begins[:len(begins)-1]
	}
	return utf8.Valid(begins) && utf8.RuneCount(begins) < len(begins)
}

// formatOf reports whether a file is CSV. It is JSON Lines otherwise.
func formatOf(name string, reader *bufio.Reader) (isCSV bool, err error) {
	switch endingOf(name) {
	case ".csv", ".tsv":
		return true, nil
	case ".jsonl", ".ndjson":
		return false, nil
	case ".json":
		return false, errors.New("a file of JSON is not read: write one object a line, and call it .jsonl")
	}
	for n := 1; ; n++ {
		begins, err := reader.Peek(n)
		if len(begins) < n {
			if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
			return true, err
		}
		if c := begins[n-1]; !strings.ContainsRune(" \t\r\n", rune(c)) {
			return c != '{', nil
		}
	}
}

// endingOf is how a file's name ends before what says that it is compressed, such as .csv.
func endingOf(name string) string {
	name = strings.ToLower(name)
	return filepath.Ext(strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst"))
}
