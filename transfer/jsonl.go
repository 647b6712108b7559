package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/entity"
)

// openJSONL reads one object a line, which has its kind in the field "kind".
func (s *Source) openJSONL(reader *bufio.Reader, o SourceOptions) error {
	if len(o.Map) > 0 || o.Delimiter != "" {
		return errors.New("columns and delimiters are those of CSV, and this is JSON Lines")
	}
	var line, offset int64
	s.offset = func() int64 { return offset }
	s.next = func() (Record, error) {
		for {
			text, err := readLine(reader)
			if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0) {
				return Record{Line: line + 1}, err
			}
			line++
			offset += int64(len(text))
			if text = bytes.TrimSpace(text); len(text) > 0 {
				return parseJSON(line, text, o.Kind), nil
			}
			s.tally.consumed(offset)
		}
	}
	return nil
}

// readLine returns a line with its end. What it returns may change with the next call.
func readLine(reader *bufio.Reader) ([]byte, error) {
	text, err := reader.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return text, err
	}
	all := slices.Clone(text)
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = reader.ReadSlice('\n')
		if all = append(all, text...); len(all) > maxRecord {
			return nil, errTooLong
		}
	}
	return all, err
}

// replaced finds U+FFFD, which stands for half of a pair of surrogates too once JSON is decoded.
var replaced = regexp.MustCompile(`\x{fffd}|\\u[fF]{3}[dD]`)

// parseJSON reads a record, of a kind unless it says another one.
func parseJSON(line int64, text []byte, kind Kind) Record {
	r := Record{Line: line, Kind: kind, Values: entity.Input{}}
	if at := invalidUTF8(string(text)); at > 0 {
		return r.wrong("", notUTF8, at)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return r.wrong("", "a line must be an object of JSON, such as {\"kind\": \"user\", \"name\": \"Ada\", \"email\": \"ada@example.com\"}")
	}
	var texts []string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return r.wrong("", "this is not JSON: %v", err)
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return r.wrong("", "this is not JSON: %v", err)
		}
		field := name.(string)
		if slices.Contains(texts, field) {
			return r.wrong(field, "%s is given twice", field)
		}
		texts = append(texts, field)
		switch value := value.(type) {
		case nil:
		case string:
			if strings.ContainsRune(value, utf8.RuneError) && !replaced.Match(text) {
				r = r.wrong(field, "%s has half of a pair of surrogates, which is no character", field)
				continue
			}
		default:
			r = r.wrong(field, "%s must be a text or null", field)
			continue
		}
		r.Values[field] = value
	}
	if _, err := decoder.Token(); err != nil {
		return r.wrong("", "this is not JSON: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return r.wrong("", "something follows the object: write one object a line")
	}
	if given, ok := r.Values["kind"].(string); ok {
		parsed, err := ParseKind(given)
		if err != nil {
			return r.wrong("kind", "%v", err)
		}
		r.Kind = parsed
	} else if r.Kind == "" {
		return r.wrong("kind", "kind must be user, team or membership")
	}
	delete(r.Values, "kind")
	return r
}

// notUTF8 is what is wrong with a text that no encoding was given for.
const notUTF8 = "character %d is not UTF-8: say what the file is in with --encoding=windows-1252, latin-1 or utf-16"

// invalidUTF8 returns which character of a text is none, from 1; 0: all are.
func invalidUTF8(text string) (at int) {
	if utf8.ValidString(text) {
		return 0
	}
	for i, r := range text {
		at++
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			break
		}
	}
	return at
}

func sortedKeys(values entity.Input) []string { return slices.Sorted(maps.Keys(values)) }
