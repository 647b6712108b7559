package loader

import (
	"context"
	"math/bits"
	"slices"
	"strings"

	"rollcall/batch"
	"rollcall/model"
	"rollcall/session"
)

// columns returns the columns of a type that the operation needs, and those that a statement needs besides,
// each with the prefix of its table.
func columns(ctx context.Context, typ, prefix string, besides ...string) []string {
	names := slices.Clone(batch.Columns(ctx, typ))
	for _, name := range besides {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

// list joins columns for a statement.
func list(columns ...[]string) string { return strings.Join(slices.Concat(columns...), ", ") }

// mostKeys bounds an IN list: SQLite takes 32,766 parameters.
const mostKeys = 16384

// in calls read with the keys for an IN list: in order, and, so that a database sees few different
// statements, as many as a power of two, the last one being repeated. Only more than mostKeys
// take several calls.
func in(keys []int64, read func(padded []int64) error) error {
	sorted := slices.Sorted(slices.Values(keys))
	for chunk := range slices.Chunk(sorted, mostKeys) {
		if err := read(padded(chunk, chunk[len(chunk)-1], mostKeys)); err != nil {
			return err
		}
	}
	return nil
}

// padded returns keys with as many more as make a power of two, or most.
func padded(keys []int64, with int64, most int) []int64 {
	n := min(1<<bits.Len(uint(len(keys)-1)), most)
	return append(slices.Clone(keys), slices.Repeat([]int64{with}, n-len(keys))...)
}

// firstOfAll reads the first rows of a whole table, one more than the page holds. (GORM's Limit would write the
// number into the statement: a different one for each size of a page.)
func firstOfAll[R any](ctx context.Context, page model.Page, from string) ([]R, error) {
	var rows []R
	err := session.DB(ctx).Raw(from+" WHERE id > ? ORDER BY id LIMIT ?", page.After, page.First+1).Find(&rows).Error
	return rows, err
}

const (
	// mostArms is how many parents one statement serves: a UNION ALL of more arms is slower to plan than
	// two statements.
	mostArms = 128
	// nobody is an id that no row has: its arm of a UNION ALL has no rows.
	nobody = 0
)

// firstOfEach reads the first rows of several lists, one more of each than the page holds. one selects
// the rows of one list; its parameters are the parent, the id after which the page begins, and the limit.
func firstOfEach[R any](ctx context.Context, parents []int64, page model.Page, one string) ([]R, error) {
	var all []R
	const arm = "SELECT * FROM (" // SQLite takes no arms in parentheses
	for ids := range slices.Chunk(slices.Sorted(slices.Values(parents)), mostArms) {
		ids = padded(ids, nobody, mostArms)
		statement := strings.Repeat(" UNION ALL "+arm+one+") AS list", len(ids))
		args := make([]any, 0, 3*len(ids))
		for _, id := range ids {
			args = append(args, id, page.After, page.First+1)
		}
		var rows []R
		if err := session.DB(ctx).Raw(strings.TrimPrefix(statement, " UNION ALL "), args...).Find(&rows).Error; err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}
