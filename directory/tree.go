package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/session"
)

// tree is how objects of a type are below each other: users below their managers, teams within teams.
type tree[T any] struct {
	objects *entity.Object[T]
	version func(*T) *int64
	above   func(*T) **int64 // has the number of the object directly above
	column  string           // where that is stored
	field   string           // the input field with its global id
	ref     string           // the input field with its place in a bulk
	heir    string           // the input field with the global id of the one that gets those below an object which is removed; "": there is none
	noun    string           // what the object directly above is
	mover   string           // the mutation that moves objects, best many
	lock    string           // the name of the row that makes moves wait for each other
	circle  string           // the message about an object and another that is below it, or it
	loop    string           // the message about an object that is below a circle, which names it
	below   string           // the message about an object that cannot be removed while others are below it
}

func (t *tree[T]) id(object *T) int64 { return t.objects.ID(object) }

func (t *tree[T]) globalID(id int64) string { return keyset.ID(t.objects.Name(), id) }

// name is what a message calls the object with a key: see item.
func (t *tree[T]) name(key int64) string {
	if key < 0 {
		return fmt.Sprintf("entry %d", -1-key)
	}
	return t.globalID(key)
}

// wait makes the mutation wait for every other one that moves an object of the tree, and these for it, until it ends. It does so by
// changing one row: a lock alone would be known to one node of a cluster, while of two transactions that have
// written the same row on two nodes one fails, and runs again. The mutation is READ COMMITTED, so what it reads
// from then on is what the one before has left. The row is made where it is missing, so that no mutation passes without it.
func (t *tree[T]) wait(ctx context.Context) error {
	return session.DB(ctx).Table("directory_locks").Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "name"}},
		DoUpdates: clause.Assignments(map[string]any{"changes": gorm.Expr("directory_locks.changes + 1")}),
	}).Create(map[string]any{"name": t.lock, "changes": 1}).Error
}

// chains returns, by their numbers, what is directly above some objects, above these and so on: nil at the top. An object that is not there
// has no entry. So many levels are read at a time, since MariaDB and MySQL limit recursion by default to 1,000: beyond its own
// MariaDB leaves rows out in silence, and MySQL, which is told not to heed another limit, fails.
func (t *tree[T]) chains(ctx context.Context, ids []int64) (map[int64]*int64, error) {
	above, asked := map[int64]*int64{}, map[int64]bool{}
	for next := ids; len(next) > 0; {
		for _, id := range next {
			asked[id] = true
		}
		for marks, args := range keyset.In(next) {
			objects, err := t.objects.Select(ctx, []string{"id", t.column}, "WITH RECURSIVE above (id, up, level) AS (SELECT id, "+t.column+", 1 FROM "+
				t.objects.Table()+" WHERE id IN ("+marks+") UNION ALL SELECT o.id, o."+t.column+", a.level + 1 FROM above a JOIN "+t.objects.Table()+
				" o ON o.id = a.up WHERE a.level < "+strconv.Itoa(keyset.MaxDepth)+") SELECT "+keyset.Recursion+"DISTINCT id, up FROM above", args...)
			if err != nil {
				return nil, err
			}
			for _, object := range objects {
				above[t.id(object)] = *t.above(object)
			}
		}
		var unread []int64
		for _, up := range above {
			if up == nil {
				continue
			}
			if _, read := above[*up]; !read && !asked[*up] {
				unread = append(unread, *up)
			}
		}
		next = slices.Compact(slices.Sorted(slices.Values(unread)))
	}
	return above, nil
}

// check refuses an object that cannot be directly above another one, since it is not there, is that one, or is below it. chain has
// what is above each object, as it is to be. Nobody may move anything meanwhile, see wait: else two moves could each not see the
// other, and together close a circle.
func (t *tree[T]) check(chain map[int64]*int64, object, above int64) error {
	if _, there := chain[above]; !there {
		return apierror.BadInput(t.field, "%s", t.objects.Missing(above).Message)
	}
	var path []int64
	places := map[int64]int{}
	for next := &above; next != nil; next = chain[*next] {
		if *next == object {
			return apierror.BadInput(t.field, t.circle, t.name(object), t.name(above))
		}
		if first, again := places[*next]; again {
			return t.inCircle(above, path[first:])
		}
		places[*next] = len(path)
		path = append(path, *next)
	}
	return nil
}

// checkItem is check for an item. Nothing but what moves can come to be below what is new, so that none is above that yet.
func (t *tree[T]) checkItem(chain map[int64]*int64, it *item[T]) error {
	if _, there := chain[*it.above]; it.before == nil && there {
		return nil
	}
	err := t.check(chain, it.key, *it.above)
	if shown, ok := errors.AsType[*apierror.Error](err); ok && it.ref >= 0 {
		shown.Field = t.ref
	}
	return err
}

// inCircle refuses an object that is in or below a circle, which only a write past this server can have made.
func (t *tree[T]) inCircle(object int64, circle []int64) error {
	const shown = 10
	names := make([]string, 0, shown+1)
	for _, id := range circle[:min(shown, len(circle))] {
		names = append(names, t.name(id))
	}
	if more := len(circle) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return &apierror.Error{Code: apierror.CodeConflict, Field: t.field, Message: fmt.Sprintf(t.loop, t.name(object), strings.Join(names, ", "))}
}

// moves reports whether an object is to be directly below another one than it is.
func (t *tree[T]) moves(object *T, above *int64) bool {
	now := *t.above(object)
	return above != nil && (now == nil || *now != *above)
}

// place checks what is to be directly above the items, each in turn with those before it in their places. Other mutations that move
// something wait meanwhile, if one of these does: see wait.
func (t *tree[T]) place(ctx context.Context, e *entries, items []*item[T]) error {
	stored, moving := map[int64]bool{}, false
	for i, it := range items {
		if e.look(i) && it.moves {
			moving = moving || it.before != nil
			stored[*it.above] = true
		}
	}
	maps.DeleteFunc(stored, func(key int64, _ bool) bool { return key < 0 })
	ids, above := slices.Collect(maps.Keys(stored)), map[int64]*int64{}
	switch {
	case len(ids) == 0:
	case moving:
		var err error
		if above, err = t.chains(ctx, ids); err != nil {
			return err
		}
	default: // what is new has nothing below it, so that no circle can come of it
		there, err := t.objects.There(ctx, ids)
		if err != nil {
			return err
		}
		for id := range there {
			above[id] = nil
		}
	}
	told := make([]bool, len(items))
	for again := true; again; { // one that is refused leaves those below it, and its own place
		t.refuseReferring(e, items)
		again = false
		chain := maps.Clone(above)
		for i, it := range items {
			if e.open(i) && it.before == nil {
				chain[it.key] = it.above
			}
		}
		for i, it := range items {
			if !e.open(i) || !it.moves {
				if e.open(i) && slices.Contains(it.columns, t.column) { // it is at the top from now on
					chain[it.key] = nil
				}
				continue
			}
			if err := t.checkItem(chain, it); err != nil {
				_ = e.refuse(i, err)
				told[i], again = true, true
			} else {
				chain[it.key] = it.above
			}
		}
		if again {
			continue
		}
		for i, it := range items { // what is refused for something else
			if !e.open(i) && e.look(i) && it.moves && it.ref < 0 && !told[i] {
				_ = e.refuse(i, t.checkItem(chain, it))
			}
		}
	}
	return nil
}
