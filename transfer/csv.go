package transfer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/entity"
)

// openCSV reads a table as RFC 4180 has it, with a row of names above it, and with what Excel does besides: other delimiters, and a first
// line that says which.
func (s *Source) openCSV(reader *bufio.Reader, o SourceOptions) error {
	kind := o.Kind
	if kind == "" {
		kind = Users
	}
	var lines, bytesBefore int64
	delimiter, said, err := delimiterOf(reader, o.Delimiter)
	if err != nil {
		return err
	}
	if said > 0 {
		lines, bytesBefore = 1, int64(said)
	}
	table := csv.NewReader(reader)
	table.Comma, table.FieldsPerRecord, table.ReuseRecord = delimiter, -1, true
	s.offset = func() int64 { return bytesBefore + table.InputOffset() }
	header, err := table.Read()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty: a table has the names of its columns in its first row")
	case err != nil:
		return fmt.Errorf("the first row cannot be read: %w", unwrapped(err))
	}
	header = slices.Clone(header)
	if err := readable(header); err != nil {
		return err
	}
	columns, err := mapColumns(header, kind, o.Map)
	if err != nil {
		return err
	}
	s.columns = map[string]string{}
	for _, c := range columns {
		names := make([]string, len(c.cells))
		for i, cell := range c.cells {
			names[i] = strings.TrimSpace(header[cell])
		}
		s.columns[c.field] = strings.Join(names, "+")
	}
	s.tally.consumed(s.offset())
	s.next = func() (Record, error) {
		row, err := table.Read()
		for err == nil && !slices.ContainsFunc(row, filled) {
			s.tally.consumed(s.offset())
			row, err = table.Read()
		}
		var parse *csv.ParseError
		switch {
		case errors.Is(err, errTooLong):
			return Record{}, errTooLong
		case errors.As(err, &parse):
			return misquoted(Record{Line: lines + int64(parse.StartLine), Kind: kind}, parse, lines), nil
		case err != nil:
			return Record{}, err
		}
		line, _ := table.FieldPos(0)
		return readRow(Record{Line: lines + int64(line), Kind: kind, Values: entity.Input{}}, row, header, columns), nil
	}
	return nil
}

// readable fails for a first row whose texts are none.
func readable(header []string) error {
	for i, name := range header {
		switch {
		case strings.ContainsRune(name, 0):
			return errors.New("the first row has NUL characters: is the file in UTF-16 (--encoding=utf-16)?")
		case strings.ContainsRune(name, '\r'):
			return errors.New("the lines end in CR alone: save the table with CR LF or LF, such as CSV in UTF-8")
		}
		if bad := invalidUTF8(name); bad > 0 {
			return fmt.Errorf("the first row: in column %d, "+notUTF8, i+1, bad)
		}
	}
	return nil
}

// misquoted is a record whose quotation marks are wrong. Line numbers are those of the table, behind so many lines.
func misquoted(r Record, parse *csv.ParseError, before int64) Record {
	var swallowed string
	if parse.Line > parse.StartLine {
		swallowed = fmt.Sprintf("; the lines %d to %d are taken to be one row", before+int64(parse.StartLine), before+int64(parse.Line))
	}
	return r.wrong("", "%v at character %d of line %d: a cell that has a quotation mark is in quotation marks, and has it doubled%s",
		parse.Err, parse.Column, before+int64(parse.Line), swallowed)
}

func unwrapped(err error) error {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return parse.Err
	}
	return err
}

// filled reports whether a cell has a text.
func filled(cell string) bool { return strings.TrimSpace(cell) != "" }

// readRow reads a row's cells into a record. An empty one is null. Where the first row has no name, or ends, there is nothing but empty cells.
func readRow(r Record, row, header []string, columns []column) Record {
	if len(row) < len(header) || slices.ContainsFunc(row[len(header):], filled) {
		return r.wrong("", "the row has %d cells, and the table has %d columns", len(row), len(header))
	}
	for i, name := range header {
		if !filled(name) && filled(row[i]) {
			return r.wrong("", "cell %d has a text, and column %[1]d has no name in the first row", i+1)
		}
	}
	for _, c := range columns {
		var parts []string
		for _, at := range c.cells {
			if bad := invalidUTF8(row[at]); bad > 0 {
				return r.wrong(c.field, notUTF8, bad)
			}
			if text := strings.TrimSpace(row[at]); text != "" {
				parts = append(parts, text)
			}
		}
		r.Values[c.field] = nil
		if len(parts) > 0 {
			r.Values[c.field] = strings.Join(parts, " ")
		}
	}
	return r
}

// delimiterOf returns a table's delimiter: the one given, that of a first line such as sep=; which it reads, or the one that the first line
// has most of. said is how many bytes it has read.
func delimiterOf(reader *bufio.Reader, given string) (delimiter rune, said int, err error) {
	if given == `\t` || strings.EqualFold(given, "tab") {
		given = "\t"
	}
	if given != "" {
		r, size := utf8.DecodeRuneInString(given)
		if size != len(given) || r == utf8.RuneError || strings.ContainsRune("\"\r\n", r) {
			return 0, 0, fmt.Errorf("%q cannot be the delimiter: it is one character, such as ; or tab", given)
		}
		delimiter = r
	}
	begins, err := reader.Peek(readAhead)
	if err != nil && !errors.Is(err, io.EOF) && len(begins) == 0 {
		return 0, 0, err
	}
	first, _, _ := bytes.Cut(begins, []byte("\n"))
	if mark := bytes.TrimSuffix(first, []byte("\r")); len(mark) == len("sep=;") && bytes.EqualFold(mark[:4], []byte("sep=")) {
		said, err = reader.Discard(min(len(first)+1, len(begins)))
		if delimiter == 0 {
			delimiter = rune(mark[4])
		}
		return delimiter, said, err
	}
	if delimiter != 0 {
		return delimiter, 0, nil
	}
	counts := map[rune]int{}
	quoted := false
	for _, c := range string(first) {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			counts[c]++
		}
	}
	delimiter = ','
	for _, c := range ";\t" {
		if counts[c] > counts[delimiter] {
			delimiter = c
		}
	}
	return delimiter, 0, nil
}

// column is where a field is in a row.
type column struct {
	field string
	cells []int
}

// mapColumns returns where fields are. A column whose name is a field's, whatever its case and what is between the words, has that field, unless it is mapped.
func mapColumns(header []string, kind Kind, mappings []string) ([]column, error) {
	places, err := placesOf(header)
	if err != nil {
		return nil, err
	}
	var columns []column
	taken := map[int]bool{}
	add := func(field string, cells ...int) error {
		if at := slices.IndexFunc(columns, func(c column) bool { return c.field == field }); at >= 0 {
			return fmt.Errorf("two columns are the field %s, %q and %q: leave one out with --map '%[3]s='", field, header[columns[at].cells[0]], header[cells[0]])
		}
		columns = append(columns, column{field, cells})
		return nil
	}
	for _, mapping := range mappings {
		at := strings.LastIndex(mapping, "=")
		if at <= 0 {
			return nil, fmt.Errorf("--map %q: write COLUMN=FIELD, or COLUMN= to leave the column out", mapping)
		}
		names, field := mapping[:at], strings.TrimSpace(mapping[at+1:])
		cells, err := cellsOf(names, places)
		if err != nil {
			return nil, fmt.Errorf("--map %q: %w", mapping, err)
		}
		for _, cell := range cells {
			taken[cell] = true
		}
		if field == "" {
			continue
		}
		if !slices.Contains(fields[kind], field) {
			return nil, fmt.Errorf("--map %q: a %s has no field %q: the fields are %s", mapping, kind, field, strings.Join(fields[kind], ", "))
		}
		if err := add(field, cells...); err != nil {
			return nil, err
		}
	}
	var unknown []string
	for i, name := range header {
		if taken[i] || !filled(name) {
			continue
		}
		field := slices.IndexFunc(fields[kind], func(field string) bool { return bare(field) == bare(name) })
		if field < 0 {
			unknown = append(unknown, fmt.Sprintf("%q", strings.TrimSpace(name)))
			continue
		}
		if err := add(fields[kind][field], i); err != nil {
			return nil, err
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no field is called like the columns %s: say with --map COLUMN=FIELD which it is, or with --map COLUMN= to leave it out, if line 1 is the row of their names; the fields of a %s are %s",
			strings.Join(unknown, ", "), kind, strings.Join(fields[kind], ", "))
	}
	return columns, nil
}

// maxColumns is how many columns a table may have.
const maxColumns = 1000

// placesOf returns where the columns are, by their names.
func placesOf(header []string) (map[string]int, error) {
	if len(header) > maxColumns {
		return nil, fmt.Errorf("the first row has %d cells, and a table may have %d columns: is the delimiter another one (--delimiter)?", len(header), maxColumns)
	}
	places := map[string]int{}
	for i, name := range header {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if other, twice := places[name]; twice {
			return nil, fmt.Errorf("the columns %d and %d are both called %q: give one another name in the first row", other+1, i+1, name)
		}
		places[name] = i
	}
	return places, nil
}

// cellsOf returns where the columns of a mapping are, of one or of several with + between them.
func cellsOf(names string, places map[string]int) (cells []int, err error) {
	if at, there := places[strings.TrimSpace(names)]; there {
		return []int{at}, nil
	}
	for name := range strings.SplitSeq(names, "+") {
		at, there := places[strings.TrimSpace(name)]
		if !there {
			return nil, fmt.Errorf("the table has no column %q", strings.TrimSpace(name))
		}
		cells = append(cells, at)
	}
	return cells, nil
}

// bare is a name without what differs between the ways to write it.
func bare(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.", r) {
			return -1
		}
		return r
	}, strings.ToLower(strings.TrimSpace(name)))
}
