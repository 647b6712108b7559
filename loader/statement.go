package loader

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/batch"
	"rollcall/model"
	"rollcall/scalar"
	"rollcall/session"
)

// columns returns the columns of a type that the operation needs, and those that a statement needs besides.
func columns(c batch.Columns, typ string, besides ...string) []string {
	names := c.Of(typ)
	for _, name := range besides {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// list joins columns of a table for a statement.
func list(table string, columns []string) string {
	return table + strings.Join(columns, ", "+table)
}

// row tells where the columns of a row go, by their names.
type row[R any] map[string]func(*R) any

// joined adds to some columns those of a row within the row.
func joined[R, Within any](within row[Within], of func(*R) *Within, others row[R]) row[R] {
	for name, to := range within {
		others[name] = func(r *R) any { return to(of(r)) }
	}
	return others
}

// known is a column as a select around the one that reads it knows it.
func known(column string) string {
	if _, as, renamed := strings.Cut(column, " AS "); renamed {
		return as
	}
	return column
}

// names are columns as a select around the one that reads them knows them.
func names(columns []string) []string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = known(column)
	}
	return names
}

// read reads rows that have some columns, in their order.
func read[R any](ctx context.Context, r row[R], columns []string, query string, args []any) (all []*R, err error) {
	into := make([]func(*R) any, len(columns))
	for i, column := range columns {
		into[i] = r[known(column)]
	}
	to := make([]any, len(columns))
	var room []R
	err = session.Query(ctx, query, args, func(rows *sql.Rows) error {
		if len(room) == 0 {
			room = make([]R, min(max(len(all), 1), 256))
		}
		next := &room[0]
		room = room[1:]
		for i, pointer := range into {
			to[i] = pointer(next)
		}
		all = append(all, next)
		return rows.Scan(to...)
	})
	return all, err
}

// integer scans a whole number, which database/sql does by way of a string.
type integer struct{ *int64 }

// Scan implements sql.Scanner.
func (n integer) Scan(value any) (err error) {
	switch v := value.(type) {
	case int64:
		*n.int64 = v
	case []byte:
		*n.int64, err = strconv.ParseInt(string(v), 10, 64)
	default:
		err = fmt.Errorf("loader: %T is not a whole number", value)
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

// mostKeys bounds an IN list: SQLite takes 32,766 parameters.
const mostKeys = 16384

// in calls read with the keys for an IN list: in order, and, so that a database sees few different
// statements, as many as a power of two, the last one being repeated. Only more than mostKeys
// take several calls.
func in(keys []int64, read func(marks string, padded []any) error) error {
	sorted := slices.Clone(keys)
	slices.Sort(sorted)
	for chunk := range slices.Chunk(sorted, mostKeys) {
		keys := padded(chunk, chunk[len(chunk)-1], mostKeys)
		args := make([]any, len(keys), len(keys)+2) // and a page
		for i, key := range keys {
			args[i] = key
		}
		if err := read(marks(len(keys)), args); err != nil {
			return err
		}
	}
	return nil
}

// marks is a list of n placeholders.
func marks(n int) string { return allMarks[:2*n-1] }

var allMarks = strings.Repeat("?,", mostKeys)

// padded returns keys with as many more as make a power of two, or most.
func padded(keys []int64, with int64, most int) []int64 {
	n := min(1<<bits.Len(uint(len(keys)-1)), most)
	return append(slices.Clone(keys), slices.Repeat([]int64{with}, n-len(keys))...)
}

// firstOfAll ends a statement that reads the first rows of a whole table. Its parameters are the id after which the
// page begins, and the limit, one more than the page holds.
const firstOfAll = " WHERE id > ? ORDER BY id LIMIT ?"

const (
	// mostArms is how many parents one statement serves: a UNION ALL of more arms is slower to plan than
	// two statements.
	mostArms = 128
	// nobody is an id that no row has: its arm of a UNION ALL has no rows.
	nobody = 0
)

// firstOfEach reads the first rows of several lists, one more of each than the page holds. one selects
// the rows of one list; its parameters are the parent, the id after which the page begins, and the limit.
func firstOfEach[R any](ctx context.Context, r row[R], columns []string, parents []int64, page model.Page, one string) ([]*R, error) {
	var all []*R
	const arm, union = "SELECT * FROM (", ") AS list UNION ALL " // SQLite takes no arms in parentheses
	for ids := range slices.Chunk(slices.Sorted(slices.Values(parents)), mostArms) {
		ids = padded(ids, nobody, mostArms)
		statement := strings.Repeat(arm+one+union, len(ids))
		args := make([]any, 0, 3*len(ids))
		var after, limit any = page.After, page.First + 1
		for _, id := range ids {
			args = append(args, id, after, limit)
		}
		rows, err := read(ctx, r, columns, strings.TrimSuffix(statement, " UNION ALL "), args)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}
