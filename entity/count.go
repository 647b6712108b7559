package entity

import (
	"context"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/scalar"
	"rollcall/session"
)

const (
	countUpTo     = "totalCountUpTo"
	limitArgument = "limit"
)

// countsTable has numbers that are kept: that of a type's objects is the sum of the deltas of its name. So two that add objects at once do not
// wait for each other, as they would for one row.
const countsTable = "directory_counts"

// Counted says that the number of all objects is kept: whoever adds or removes some calls StoreCount.
func (o *objectBase) Counted() { o.counted = true }

// StoreCount stores that there are more objects, or fewer.
func (o *objectBase) StoreCount(ctx context.Context, more int) error {
	if !o.counted {
		return nil
	}
	return session.DB(ctx).Exec("INSERT INTO "+countsTable+" (name, delta) VALUES (?, ?)", o.name, more).Error
}

// total is the statement that tells how many objects there are.
func (o *objectBase) total() string {
	if !o.counted {
		return ""
	}
	return "SELECT COALESCE(SUM(delta), 0) FROM " + countsTable + " WHERE name = '" + o.name + "'"
}

// bounded is what the number of a list is loaded by that is counted no further than to a limit.
type bounded struct {
	count
	limit int64
}

// upTo declares the number of a page's list that is counted no further than to a limit.
func upTo[P any](s *Schema, connection string, of func(P) count) {
	s.counted[connection] = true
	s.add(func() batch.Field {
		return batch.Relation(connection, countUpTo, batch.NewSource(readBounded), func(args batch.Args) (func(P) (bounded, bool), error) {
			limit, err := scalar.UnmarshalInt64(args[limitArgument])
			if err == nil && (limit < 0 || limit > keyset.MaxCount) {
				err = apierror.BadInput(limitArgument, "%s must be 0 to %d, not %d", limitArgument, keyset.MaxCount, limit)
			}
			return func(page P) (bounded, bool) { return bounded{of(page), limit}, true }, err
		}).From()
	})
}

// Counts returns the argument that says how many rows a field counts, for limit.Cost; "": it counts none.
func (s *Schema) Counts(field *ast.Field) string {
	if field.Name == countUpTo && s.counted[field.ObjectDefinition.Name] {
		return limitArgument
	}
	return ""
}

// readBounded counts the rows of lists up to their limits. Of several limits of one list the greatest is read.
func readBounded(ctx context.Context, keys []bounded, _ batch.Columns) (map[bounded]int, error) {
	limits := map[*keyset.List]map[keyset.Key]int64{}
	for _, k := range keys {
		if limits[k.list] == nil {
			limits[k.list] = map[keyset.Key]int64{}
		}
		limits[k.list][k.key] = max(limits[k.list][k.key], k.limit)
	}
	numbers := make(map[count]int64, len(keys))
	for list, of := range limits {
		for _, group := range keyset.Groups(slices.Collect(maps.Keys(of))) {
			if err := countUpToLimits(ctx, list, group, of, numbers); err != nil {
				return nil, err
			}
		}
	}
	counts := make(map[bounded]int, len(keys))
	for _, k := range keys {
		counts[k] = int(min(k.limit, numbers[k.count]))
	}
	return counts, nil
}

// countUpToLimits notes the numbers of a group of lists, or what is beyond their limits.
func countUpToLimits(ctx context.Context, list *keyset.List, group []keyset.Key, limits map[keyset.Key]int64, numbers map[count]int64) error {
	note := func(statements []keyset.Statement) error {
		all, err := readNumbers(ctx, list, group[0], statements)
		for key, n := range all {
			numbers[count{list, key}] = n
		}
		return err
	}
	switch {
	case list.Tree == nil:
		each := make([]int64, len(group))
		for i, key := range group {
			each[i] = limits[key]
		}
		return note(list.CountUpTo(group, each))
	case list.Tree.Self || group[0].Filter != (keyset.Filter{}):
		return note(list.Count(group))
	}
	// No database ends a recursion at a number of rows as others do. So it goes deeper as long as a limit is not reached, and there is more.
	for depth, most := int32(1), group[0].Depth; len(group) > 0; depth = deeper(depth) {
		depth = min(depth, most)
		var next []keyset.Key
		nearer := slices.Clone(group)
		for i := range nearer {
			nearer[i].Depth = depth
		}
		all, err := readNumbers(ctx, list, group[0], list.Count(nearer))
		if err != nil {
			return err
		}
		for key, n := range all {
			before := numbers[count{list, key}]
			numbers[count{list, key}] = n
			if depth < most && n > before && n < limits[key] {
				next = append(next, key)
			}
		}
		group = next
	}
	return nil
}

// deeper is the depth to which a recursion goes next: where it is deep, each level has few rows.
func deeper(depth int32) int32 {
	if depth < 4 {
		return depth + 1
	}
	return 2 * depth
}
