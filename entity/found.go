package entity

import (
	"context"
	"slices"

	"rollcall/keyset"
)

// Portion says which of the objects that a filter finds are read, in the order of their numbers.
type Portion struct {
	After int64 // only those with greater numbers
	Skip  int   // how many of these are passed over, each of which the database reads
	Limit int
}

// Found reads objects that a filter finds, as the argument filter of a list has it; nil: all. They are such as there are for the viewer of ctx. It is one statement, past the batches. The error is
// BAD_USER_INPUT if the filter is wrong.
func (o *Object[T]) Found(ctx context.Context, filter map[string]any, p Portion) ([]*T, error) {
	where, args, err := o.condition(ctx, filter)
	if err != nil {
		return nil, err
	}
	if p.After != 0 {
		where, args = where+" AND t.id > ?", append(args, p.After)
	}
	query, args := o.from(o.names)+" t WHERE "+where+" ORDER BY t.id LIMIT ?", append(args, p.Limit)
	if p.Skip > 0 {
		query, args = query+" OFFSET ?", append(args, p.Skip)
	}
	return o.Select(ctx, o.names, query, args...)
}

// CountFound counts the objects that a filter finds, in one statement.
func (o *Object[T]) CountFound(ctx context.Context, filter map[string]any) (int64, error) {
	where, args, err := o.condition(ctx, filter)
	if err != nil {
		return 0, err
	}
	query := "SELECT COUNT(*) FROM " + o.table + " t WHERE " + where
	if total := o.total(); where == everyRow && total != "" {
		query = total
	}
	numbers, err := Numbers(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

// everyRow is the condition that each row meets.
var everyRow, _ = keyset.All().SQL()

// condition is what follows WHERE for a filter, of what there is for the viewer of ctx.
func (o *Object[T]) condition(ctx context.Context, filter map[string]any) (where string, args []any, err error) {
	found := keyset.All()
	if filter != nil {
		if found, err = o.schema.filter(o.name, filter); err != nil {
			return "", nil, err
		}
	}
	if visible, all := o.visible(ctx); !all {
		found = keyset.All(found, visible)
	}
	where, args = found.SQL()
	return where, slices.Clone(args), nil
}
