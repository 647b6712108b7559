package entity

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/keyset"
	"rollcall/scalar"
	"rollcall/session"
)

// read reads the rows of statements. width is how many columns each has, and targets says where those of a row go.
func read[R any](ctx context.Context, statements []keyset.Statement, width int, targets func(r *R, to []any)) (all []*R, err error) {
	var room []R
	err = readRows(ctx, statements, width, func(to []any) {
		if len(room) == 0 {
			room = make([]R, min(max(len(all), 1), 256))
		}
		next := &room[0]
		room = room[1:]
		targets(next, to)
		all = append(all, next)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// readRows is read, whatever the rows are: before each, next says where it goes.
func readRows(ctx context.Context, statements []keyset.Statement, width int, next func(to []any)) error {
	n, to := 0, make([]any, width)
	scan := func(rows *sql.Rows) error {
		n++
		next(to)
		return rows.Scan(to...)
	}
	for _, s := range statements {
		if s.Limit > 0 && n >= s.Limit {
			break
		}
		if s.Few != nil {
			numbers, err := Numbers(ctx, s.Few.Count.Text, s.Few.Count.Args...)
			if err != nil {
				return err
			}
			if slices.Min(numbers) < s.Few.Below {
				s = s.Few.Instead
			}
		}
		if err := session.Query(ctx, s.Text, s.Args, scan); err != nil {
			return err
		}
	}
	return nil
}

// The values below scan columns. Each holds but a pointer, so that none is allocated.

// integer scans a whole number, which database/sql does by way of a string.
type integer struct{ *int64 }

// Scan implements sql.Scanner.
func (n integer) Scan(value any) (err error) {
	switch v := value.(type) {
	case int64:
		*n.int64 = v
	case []byte:
		*n.int64, err = strconv.ParseInt(string(v), 10, 64)
	case string: // PostgreSQL's sum
		*n.int64, err = strconv.ParseInt(v, 10, 64)
	default:
		err = fmt.Errorf("entity: %T is not a whole number", value)
	}
	return err
}

// optionalInteger scans a whole number or NULL.
type optionalInteger struct{ to **int64 }

// Scan implements sql.Scanner.
func (n optionalInteger) Scan(value any) error {
	if value == nil {
		*n.to = nil
		return nil
	}
	*n.to = new(int64)
	return integer{*n.to}.Scan(value)
}

// boolField scans true or false, which databases without such a type keep as 1 or 0.
type boolField struct{ *bool }

// Scan implements sql.Scanner.
func (f boolField) Scan(value any) (err error) {
	switch v := value.(type) {
	case bool:
		*f.bool = v
	case int64:
		*f.bool = v != 0
	case []byte:
		*f.bool, err = strconv.ParseBool(string(v))
	default:
		err = fmt.Errorf("entity: %T is neither true nor false", value)
	}
	return err
}

// text scans a string of any type.
type text[S ~string] struct{ to *S }

// Scan implements sql.Scanner.
func (t text[S]) Scan(value any) error {
	switch v := value.(type) {
	case string:
		*t.to = S(v)
	case []byte:
		*t.to = S(v)
	default:
		return fmt.Errorf("entity: %T is not a text", value)
	}
	return nil
}

// optionalText scans a string or NULL.
type optionalText struct{ to **string }

// Scan implements sql.Scanner.
func (t optionalText) Scan(value any) error {
	if value == nil {
		*t.to = nil
		return nil
	}
	*t.to = new(string)
	return text[string]{*t.to}.Scan(value)
}

// instant scans a time. SQLite keeps any text in the place of one: a year of more than four digits becomes the last time that
// can be told, and anything else that is no time the first, as other databases' times do when they are written (scalar.AppendTime).
type instant struct{ *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(value any) error {
	t, ok := value.(time.Time)
	if !ok {
		year, _, _ := strings.Cut(fmt.Sprint(value), "-")
		if n, err := strconv.Atoi(year); err == nil && n > scalar.LastTime.Year() {
			t = scalar.LastTime
		}
	}
	*i.Time = t
	return nil
}

// optionalInstant scans a time or NULL.
type optionalInstant struct{ to **time.Time }

// Scan implements sql.Scanner.
func (t optionalInstant) Scan(value any) error {
	if value == nil {
		*t.to = nil
		return nil
	}
	*t.to = new(time.Time)
	return instant{*t.to}.Scan(value)
}
