package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/session"
)

// removal is an entry that removes an object of a tree.
type removal[T any] struct {
	id       int64
	expected *int64
	row      *T
	heirs    bool   // those directly below it come to be below heir
	heir     *int64 // nil: nothing
}

// removed returns the removals that inputs ask for. The error is one that no client may see.
func (t *tree[T]) removed(e *entries, inputs []entity.Input) ([]*removal[T], error) {
	all := make([]*removal[T], len(inputs))
	for i, in := range inputs {
		id, idErr := t.objects.InputID(in)
		expected, versionErr := in.Int("expectedVersion")
		all[i] = &removal[T]{id: id, expected: expected}
		var heirErr error
		if t.heir != "" {
			all[i].heir, heirErr = t.objects.OptionalID(in, t.heir)
			all[i].heirs = all[i].heir != nil
		}
		if err := e.refuse(i, idErr, versionErr, heirErr); err != nil {
			return nil, err
		}
	}
	twice(e, "id", t.globalID, func(i int) int64 { return all[i].id })
	return all, nil
}

// deleteObjects removes the objects of a tree, after what belongs to them. settle, unless it is nil, says what becomes of what is below them,
// once they are read.
func deleteObjects[T any, P written[T]](
	ctx context.Context, d *Directory, t *tree[T], e *entries, all []*removal[T], settle func(*removal[T]), belongings func(rows []*T, changed int) error,
) error {
	place, err := t.lockRemovals(ctx, e, all, settle)
	if err != nil {
		return err
	}
	below, err := t.leave(ctx, e, all, place)
	if err != nil {
		return err
	}
	edits := t.inherit(e, all, place, below)
	if err := e.refused(); err != nil {
		return err
	}
	rows, within := t.going(e, all, place)
	if len(rows)+len(edits) > maxChanged {
		return e.failed(ctx, e.tooMany(t.inParts()))
	}
	if err := update[T, P](ctx, d, t.objects, edits); err != nil {
		return e.failed(ctx, t.blame(t.heir, err))
	}
	err = remove[T, P](ctx, d, t.objects, rows, func() error {
		for marks, args := range keyset.In(within) { // a key is checked for each row that goes, while the others are still there
			if err := session.DB(ctx).Exec("UPDATE "+t.objects.Table()+" SET "+t.column+" = NULL WHERE id IN ("+marks+")", args...).Error; err != nil {
				return err
			}
		}
		return belongings(rows, len(rows)+len(edits))
	})
	if dialect.Is(err, dialect.ForeignKey) && !e.bulk { // only what is below refers to it by now
		return &apierror.Error{Code: apierror.CodeConflict, Field: "id", Err: err, Message: t.below}
	}
	return e.failed(ctx, err)
}

// removeBelongings removes the rows of a type that belong to what is removed, whose numbers a column of theirs has, in a mutation that changes some objects beside. It
// returns how many that changes with these. The error is BAD_USER_INPUT where these are more than one mutation changes: inParts says how to do it in parts.
func removeBelongings[T any, P written[T]](
	ctx context.Context, d *Directory, o *entity.Object[T], e *entries, changed int, column string, of []int64, inParts string,
) (int, error) {
	for marks, args := range keyset.In(of) {
		condition := fmt.Sprintf("%s IN (%s) ORDER BY id LIMIT %d%s", column, marks, maxChanged-changed+1, dialect.OfDB(session.DB(ctx)).ForUpdate())
		rows, err := o.Where(ctx, condition, args...)
		if err != nil {
			return changed, err
		}
		if changed += len(rows); changed > maxChanged {
			return changed, e.tooMany(inParts)
		}
		if err := remove[T, P](ctx, d, o, rows, func() error { return nil }); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// going returns the objects that are removed, and the numbers of those of them that are directly below another one of them.
func (t *tree[T]) going(e *entries, all []*removal[T], place map[int64]int) (rows []*T, within []int64) {
	for i, r := range all {
		if !e.open(i) {
			continue
		}
		rows = append(rows, r.row)
		if up := *t.above(r.row); up != nil {
			if j, ok := place[*up]; ok && e.open(j) {
				within = append(within, r.id)
			}
		}
	}
	return rows, within
}

// lockRemovals reads the objects that are to be removed, against other changes until they are, and returns the entries that are still open
// by their numbers.
func (t *tree[T]) lockRemovals(ctx context.Context, e *entries, all []*removal[T], settle func(*removal[T])) (place map[int64]int, err error) {
	if slices.ContainsFunc(all, func(r *removal[T]) bool { return r.heirs }) {
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
	}
	var numbers []int64
	for i, r := range all {
		if e.open(i) {
			numbers = append(numbers, r.id)
		}
	}
	stored, err := t.objects.Read(ctx, numbers, dialect.OfDB(session.DB(ctx)).ForUpdate())
	if err != nil {
		return nil, err
	}
	place = map[int64]int{}
	for i, r := range all {
		if !e.open(i) {
			continue
		}
		if r.row = stored[r.id]; r.row == nil {
			_ = e.refuse(i, blamed("id", t.objects.Missing(r.id)))
			continue
		}
		if err := t.objects.Writable(ctx, r.row, ""); err != nil {
			_ = e.refuse(i, apierror.Within("id", err))
			continue
		}
		if settle != nil {
			settle(r)
		}
		_ = e.refuse(i, expect(t.globalID(r.id), *t.version(r.row), r.expected))
		if e.open(i) {
			place[r.id] = i
		}
	}
	return place, nil
}

// left is what is directly below the objects that are to be removed.
type left[T any] struct {
	orphans []*T             // of objects with heirs, and not to be removed itself
	above   map[int64]*int64 // see chains, of the heirs
}

// leave reads what would be left below the objects that are to be removed, and refuses to remove those without heirs that have anything
// left.
func (t *tree[T]) leave(ctx context.Context, e *entries, all []*removal[T], place map[int64]int) (below left[T], err error) {
	var inherited, bare, heirs []int64
	for i, r := range all {
		switch {
		case !e.open(i):
		case r.heirs:
			inherited = append(inherited, r.id)
			if r.heir != nil {
				heirs = append(heirs, *r.heir)
			}
		case e.bulk: // else the foreign key tells
			bare = append(bare, r.id)
		}
	}
	removed := slices.Sorted(maps.Keys(place)) // at most MaxBulk, so that this and the others are one list each
	for marks, args := range keyset.In(inherited) {
		for but, others := range keyset.In(removed) {
			condition := fmt.Sprintf("%s IN (%s) AND id NOT IN (%s) ORDER BY id LIMIT %d%s", t.column, marks, but, maxChanged+1, dialect.OfDB(session.DB(ctx)).ForNoKeyUpdate())
			if below.orphans, err = t.objects.Where(ctx, condition, append(slices.Clone(args), others...)...); err != nil {
				return below, err
			}
		}
	}
	if len(below.orphans) > maxChanged {
		return below, e.failed(ctx, e.tooMany(t.inParts()))
	}
	for marks, args := range keyset.In(bare) {
		for but, others := range keyset.In(removed) {
			above, err := t.objects.Select(ctx, []string{t.column}, "SELECT DISTINCT "+t.column+" FROM "+t.objects.Table()+
				" WHERE "+t.column+" IN ("+marks+") AND id NOT IN ("+but+")", append(slices.Clone(args), others...)...)
			if err != nil {
				return below, err
			}
			for _, one := range above {
				t.refuseAbove(e, place[**t.above(one)])
			}
		}
	}
	below.above, err = t.chains(ctx, heirs)
	return below, err
}

// inParts says how what is below is moved in parts.
func (t *tree[T]) inParts() string {
	return "give what is directly below another place with " + t.mover + " first"
}

// refuseAbove refuses to remove an object since something is below it.
func (t *tree[T]) refuseAbove(e *entries, i int) {
	_ = e.refuse(i, &apierror.Error{Code: apierror.CodeConflict, Field: "id", Message: t.below})
}

// inherit returns the edits that put what is left below the heirs. It refuses removals that leave something where it cannot be.
func (t *tree[T]) inherit(e *entries, all []*removal[T], place map[int64]int, below left[T]) []edit[T] {
	for {
		kept := t.keep(e, all, place)
		var edits []edit[T]
		refused := e.refusals()
		moved := map[int64][]*T{} // by what is to be removed
		for _, o := range append(slices.Clone(below.orphans), kept...) {
			moved[**t.above(o)] = append(moved[**t.above(o)], o)
		}
		chain := maps.Clone(below.above)
		for i, r := range all {
			if e.open(i) && r.heirs {
				edits = append(edits, t.bequeath(e, i, r, moved[r.id], place, chain)...)
			}
		}
		if e.refusals() == refused {
			return edits
		}
	}
}

// keep refuses to remove what is above a removal that was refused since it was read, and has no heir; and so on. It returns what comes to
// be below heirs for that.
func (t *tree[T]) keep(e *entries, all []*removal[T], place map[int64]int) (kept []*T) {
	for refused := -1; refused != e.refusals(); {
		refused, kept = e.refusals(), nil
		for i, r := range all {
			if at, read := place[r.id]; !read || at != i || e.open(i) || *t.above(r.row) == nil {
				continue
			}
			switch j, ok := place[**t.above(r.row)]; {
			case !ok || !e.open(j):
			case all[j].heirs:
				kept = append(kept, r.row)
			default:
				t.refuseAbove(e, j)
			}
		}
	}
	return kept
}

// bequeath returns the edits that put some objects below the heir of one that is removed, and notes that in chain.
func (t *tree[T]) bequeath(e *entries, i int, r *removal[T], objects []*T, place map[int64]int, chain map[int64]*int64) (edits []edit[T]) {
	if r.heir != nil {
		if _, there := chain[*r.heir]; !there {
			_ = e.refuse(i, apierror.BadInput(t.heir, "%s", t.objects.Missing(*r.heir).Message))
		} else if j, ok := place[*r.heir]; ok && e.open(j) {
			_ = e.refuse(i, apierror.BadInput(t.heir, "%s is to be removed as well", t.globalID(*r.heir)))
		}
	}
	for _, o := range objects {
		if !e.open(i) {
			return nil
		}
		if r.heir != nil {
			if err := t.check(chain, t.id(o), *r.heir); err != nil {
				_ = e.refuse(i, apierror.BadInput(t.heir, "%s: give %s another %s first, or none", err.Error(), t.globalID(*r.heir), t.noun))
				return nil
			}
		}
		row := *o
		*t.above(&row) = r.heir
		edits = append(edits, edit[T]{before: o, row: &row, columns: []string{t.column}})
	}
	for _, edit := range edits {
		if _, read := chain[t.id(edit.row)]; read {
			chain[t.id(edit.row)] = r.heir
		}
	}
	return edits
}
