// Package scalar reads and writes the values of GraphQL's scalars, as the specification has them.
package scalar

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/apierror"
)

// The built-in scalars are taken as the GraphQL specification says (§3.5), and are never converted: a number in quotes is
// a string. What a scalar does not take is a BAD_USER_INPUT error. A number is an int64 or a float64 in a document, and a
// json.Number in variables.

// MarshalInt writes an Int.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// MarshalInt64 writes an Int that is an int64.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 takes what UnmarshalInt does.
func UnmarshalInt64(v any) (int64, error) {
	n, err := UnmarshalInt(v)
	return int64(n), err
}

// UnmarshalInt takes a whole number of 32 bits.
func UnmarshalInt(v any) (int, error) {
	switch v.(type) {
	case int, int64, json.Number:
		if n, err := strconv.ParseInt(fmt.Sprint(v), 10, 32); err == nil {
			return int(n), nil
		}
	}
	return 0, unexpected("an Int (a whole number of 32 bits)", v)
}

// MarshalString writes a String.
func MarshalString(s string) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(AppendString(nil, s)) })
}

// AppendString appends a String as JSON (RFC 8259, §7). What is not UTF-8 in it becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			_, n := utf8.DecodeRuneInString(s[i:])
			if n == 1 { // it is not UTF-8
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n - 1
		case c < ' ' || c == '"' || c == '\\':
			b = appendEscaped(append(b, s[from:i]...), c)
			from = i + 1
		}
	}
	return append(append(b, s[from:]...), '"')
}

// AppendOptional appends a String, or null.
func AppendOptional(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return AppendString(b, *s)
}

func appendEscaped(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}

// UnmarshalString takes a string.
func UnmarshalString(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", unexpected("a String", v)
}

// MarshalBoolean writes a Boolean.
func MarshalBoolean(b bool) graphql.Marshaler { return graphql.MarshalBoolean(b) }

// UnmarshalBoolean takes true or false.
func UnmarshalBoolean(v any) (bool, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return false, unexpected("a Boolean (true or false)", v)
}

// MarshalID writes an ID.
func MarshalID(id string) graphql.Marshaler { return graphql.MarshalID(id) }

// UnmarshalID takes a string or a whole number.
func UnmarshalID(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int, int64:
		return fmt.Sprint(v), nil
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			return string(v), nil
		}
	}
	return "", unexpected("an ID (a string or a whole number)", v)
}

// Check returns a BAD_USER_INPUT error if a value is not one of the built-in scalar of that name, or nil. Of other scalars any
// value is taken: their own unmarshalers refuse what is wrong.
func Check(name string, v any) (err error) {
	switch name {
	case "Int":
		_, err = UnmarshalInt(v)
	case "String":
		_, err = UnmarshalString(v)
	case "Boolean":
		_, err = UnmarshalBoolean(v)
	case "ID":
		_, err = UnmarshalID(v)
	}
	return err
}

func unexpected(wanted string, v any) error {
	return apierror.BadInput("", "expected %s, got %s", wanted, Describe(v))
}

// Describe says in GraphQL's words what an input value is, for an error message.
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case json.Number:
		return apierror.Clip(string(v))
	case string:
		return "the string " + strconv.Quote(apierror.Clip(v))
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Map:
		return "an object"
	case r.Kind() == reflect.Slice:
		return "a list"
	default:
		return fmt.Sprint(v)
	}
}

// The first and the last time that RFC 3339 and every client can express.
var (
	FirstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	LastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// MarshalTime writes a Time, which is never null.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(AppendTime(nil, t)) })
}

// UnmarshalTime takes a time in the form of RFC 3339.
func UnmarshalTime(v any) (time.Time, error) {
	switch t := v.(type) {
	case time.Time: // as gqlgen or Go code has it
		return t, nil
	case string:
		if parsed, err := time.Parse(time.RFC3339Nano, t); err == nil {
			return parsed, nil
		}
	}
	return time.Time{}, unexpected("a Time (such as 2026-01-31T12:00:00Z)", v)
}

// AppendTime appends a Time as JSON. A time before [FirstTime] or after [LastTime] is written as that one: databases keep
// infinity, years of five digits and MySQL's zero date, and one such value must not cost the list that it is in.
func AppendTime(b []byte, t time.Time) []byte {
	if t.Before(FirstTime) {
		t = FirstTime
	} else if t.After(LastTime) {
		t = LastTime
	}
	return append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}
