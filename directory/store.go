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

// item is an entry that adds an object of a tree, or changes one.
type item[T any] struct {
	change   entity.Change[T]
	expected *int64        // version
	before   *T            // as it is stored; nil: it is new
	row      *T            // as it is to be
	found    func(*T) bool // reports whether a stored object is what the entry is about; nil: the entry has its id, or is about a new one
	key      int64         // its number; where it is new, another one, below 0
	ref      int           // the entry that is to be above it; -1: none
	above    *int64        // the key of the object that is to be above it
	moves    bool          // that is another one than is
	columns  []string
}

// added returns the items of inputs that describe new objects. The error is one that no client may see.
func (t *tree[T]) added(e *entries, inputs []entity.Input) ([]*item[T], error) {
	items := make([]*item[T], len(inputs))
	for i, in := range inputs {
		row, err := t.objects.New(in)
		items[i] = &item[T]{row: row, key: -1 - int64(i), ref: -1}
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
		if err := t.refer(e, items[i], i, in); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// changed returns the items of inputs that describe changes. The error is one that no client may see.
func (t *tree[T]) changed(e *entries, inputs []entity.Input) ([]*item[T], error) {
	items := make([]*item[T], len(inputs))
	for i, in := range inputs {
		change, err := t.objects.Change(in)
		items[i] = &item[T]{change: change, key: change.ID, ref: -1}
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
		items[i].expected, err = in.Int("expectedVersion")
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
	}
	twice(e, "id", t.globalID, func(i int) (int64, bool) { return items[i].change.ID, true })
	return items, nil
}

// refer notes which other entry is to be above an item.
func (t *tree[T]) refer(e *entries, it *item[T], i int, in entity.Input) error {
	ref, err := in.Int(t.ref)
	if err != nil || ref == nil {
		return e.refuse(i, err)
	}
	id, err := t.objects.OptionalID(in, t.field)
	switch n := len(e.wrong); {
	case err != nil: // which has been told
	case !e.bulk:
		err = apierror.BadInput(t.ref, "%s names another entry of a bulk: use %s here", t.ref, t.field)
	case id != nil:
		err = apierror.BadInput(t.ref, "%s and %s cannot be given together", t.ref, t.field)
	case *ref < 0 || *ref >= int64(n) || *ref == int64(i):
		err = apierror.BadInput(t.ref, "%s must be the place of another entry, from 0 to %d, not %d", t.ref, n-1, *ref)
	default:
		it.ref = int(*ref)
	}
	return e.refuse(i, err)
}

// refuseReferring refuses items below new ones that are refused, or that are below themselves.
func (t *tree[T]) refuseReferring(e *entries, items []*item[T]) {
	walked := make([]int, len(items)) // by the walk from which item, counted from 1
	for i := range items {
		var path []int
		circle, at := false, i
		for e.open(at) && items[at].ref >= 0 && walked[at] == 0 {
			path, walked[at] = append(path, at), i+1
			if at = items[at].ref; items[at].change.ID != 0 { // what is there stays there
				path = nil
				break
			}
			circle = walked[at] == i+1
		}
		for _, j := range slices.Backward(path) {
			if ref := items[j].ref; circle {
				_ = e.refuse(j, apierror.BadInput(t.ref, "entry %d is below itself: that cannot be, directly or through others", ref))
			} else if !e.open(ref) {
				_ = e.refuse(j, apierror.BadInput(t.ref, "entry %d, which this one is below, is refused", ref))
			}
		}
	}
}

// store adds and changes the objects of a tree as the open items say. A constraint that refuses what the checks have let pass is a CONFLICT,
// or has the operation run again if the entries stand for themselves, or if there may be several. Statements: see insert and update;
// one that reads the objects with a lock, where some are there; one for each Unique field of a bulk; one for those above; and three
// more where some of what is there gets another one above it.
func store[T any, P written[T]](ctx context.Context, d *Directory, t *tree[T], e *entries, items []*item[T]) error {
	if err := e.refused(); err != nil { // before anything is locked
		return err
	}
	if err := t.read(ctx, e, items); err != nil {
		return err
	}
	if e.bulk {
		if err := t.refuseTaken(ctx, e, items); err != nil {
			return err
		}
	}
	if err := t.place(ctx, e, items); err != nil {
		return err
	}
	if !e.bulk && (!e.open(0) || session.Attempt(ctx) > 1) { // all that is wrong is told; else the unique keys tell, see taken
		if err := t.refuseTaken(ctx, e, items); err != nil {
			return err
		}
	}
	if err := e.refused(); err != nil {
		return err
	}
	var added []P
	var edits []edit[T]
	for i, it := range items {
		switch {
		case !e.open(i):
		case it.before == nil:
			if *t.above(it.row) = it.above; it.above != nil && *it.above < 0 { // which has no number yet
				*t.above(it.row) = nil
				edits = append(edits, edit[T]{row: it.row, columns: []string{t.column}, fresh: true})
			}
			added = append(added, it.row)
		case len(it.columns) > 0:
			edits = append(edits, edit[T]{before: it.before, row: it.row, columns: it.columns})
		}
	}
	if err := t.taken(ctx, e, items, t.blame(insert(ctx, d, t.objects, added))); err != nil {
		return err
	}
	for i, it := range items {
		if e.open(i) && it.above != nil && *it.above < 0 {
			id := t.id(items[-1-*it.above].row)
			*t.above(it.row) = &id
		}
	}
	return t.taken(ctx, e, items, t.blame(update[T, P](ctx, d, t.objects, edits)))
}

// taken is called with the error of a write of items. If a single one has several values that may be another's, the operation is run again to
// tell of all: the unique key that a database has looked at tells of one, and which that is depends on the database.
func (t *tree[T]) taken(ctx context.Context, e *entries, items []*item[T], err error) error {
	if dialect.Is(err, dialect.Unique) && !e.bulk && session.Attempt(ctx) == 1 && t.objects.Uniques(items[0].row, items[0].writes) > 1 {
		return session.Again(ctx, err)
	}
	return e.failed(ctx, err)
}

// writes reports whether the item has a value for a column.
func (it *item[T]) writes(column string) bool {
	return it.before == nil || slices.Contains(it.columns, column)
}

// refuseTaken refuses values that others have: those of the open items of a bulk, or of a single item. If what has one is what an item was
// looked for and not found, it was stored meanwhile, and the operation runs again to find it.
func (t *tree[T]) refuseTaken(ctx context.Context, e *entries, items []*item[T]) error {
	rows := make([]*T, len(items))
	for i, it := range items {
		if !e.bulk || e.open(i) {
			rows[i] = it.row
		}
	}
	var again error
	err := t.objects.Unique(ctx, rows, func(i int, column string) bool {
		return items[i].writes(column)
	}, func(i int, owner *T, err *apierror.Error) {
		if it := items[i]; owner != nil && it.before == nil && it.found != nil && it.found(owner) {
			again = t.changing(t.id(owner))
		}
		_ = e.refuse(i, err)
	})
	if err == nil && again != nil {
		return session.Again(ctx, again)
	}
	return err
}

// changing is the CONFLICT about an object that others change all the time.
func (t *tree[T]) changing(id int64) error {
	return apierror.Conflict("%s is being changed by others", t.globalID(id))
}

// read reads the objects that are to be changed, against other changes until these are stored, and makes the changes in what it read.
func (t *tree[T]) read(ctx context.Context, e *entries, items []*item[T]) error {
	numbers, moving := t.aim(e, items)
	if len(numbers) == 0 {
		return nil
	}
	// Before any row is locked, or two changes could each wait for what the other holds.
	waited := false
	if len(moving) > 0 {
		before, err := t.objects.Read(ctx, moving, "")
		if err != nil {
			return err
		}
		for _, it := range items {
			if now := before[it.change.ID]; now != nil && !waited && t.moves(now, it.above) {
				if err := t.wait(ctx); err != nil {
					return err
				}
				waited = true
			}
		}
	}
	stored, err := t.objects.Read(ctx, numbers, dialect.OfDB(session.DB(ctx)).ForNoKeyUpdate())
	if err != nil {
		return err
	}
	for i, it := range items {
		if !e.open(i) || it.change.ID == 0 {
			continue
		}
		it.before = stored[it.change.ID]
		switch {
		case it.found != nil && (it.before == nil || !it.found(it.before)):
			return session.Again(ctx, t.changing(it.change.ID))
		case it.before == nil:
			_ = e.refuse(i, t.objects.Missing(it.change.ID))
			continue
		}
		if it.moves = t.moves(it.before, it.above); it.moves && !waited { // it has been moved between the two reads
			if err := t.wait(ctx); err != nil {
				return err
			}
			waited = true
		}
		row := *it.before
		it.row = &row
		_ = e.refuse(i, expect("expectedVersion", t.globalID(it.change.ID), *t.version(it.before), it.expected))
		if it.columns, err = it.change.Apply(it.row); err != nil {
			if err := e.refuse(i, err); err != nil {
				return err
			}
		}
		if it.ref >= 0 { // Apply knows no entries, and has taken away what is above if the input says null
			it.columns = slices.DeleteFunc(it.columns, func(column string) bool { return column == t.column })
			if *t.above(it.row) = it.above; it.moves {
				it.columns = append(it.columns, t.column)
			}
		}
	}
	return nil
}

// aim notes what is to be above the open items. It returns the numbers of those that are there, and of those of them that may move.
func (t *tree[T]) aim(e *entries, items []*item[T]) (numbers, moving []int64) {
	for i, it := range items {
		if !e.open(i) {
			continue
		}
		switch {
		case it.ref >= 0:
			it.above = &items[it.ref].key
		case it.change.ID == 0:
			it.above = *t.above(it.row)
		default:
			it.above = *t.above(&it.change.Values)
		}
		it.moves = it.above != nil
		if it.change.ID != 0 {
			numbers = append(numbers, it.change.ID)
			if it.moves { // what is directly below nothing is in no circle
				moving = append(moving, it.change.ID)
			}
		}
	}
	return numbers, moving
}

// blame has an error of a write blame the input's field with what is above, where it is about that: the object was deleted meanwhile.
func (t *tree[T]) blame(err error) error {
	if dialect.Is(err, dialect.ForeignKey) { // nothing else is referred to
		return &apierror.Error{Code: apierror.CodeBadUserInput, Field: t.field, Err: err, Message: "the " + t.noun + " has been deleted"}
	}
	return err
}

// failed is called with the error of a write. The entries of a bulk have been checked: so what a constraint refuses was written meanwhile,
// and the operation is run again to see which entry that is about.
func (e *entries) failed(ctx context.Context, err error) error {
	if err == nil || !e.bulk {
		return err
	}
	again := dialect.Is(err, dialect.Unique|dialect.ForeignKey)
	if err = apierror.Within(e.field, err); again {
		return session.Again(ctx, err)
	}
	return err
}

// tooMany is the error of a mutation that would change more objects than one may. inParts says which other mutation does it in parts.
func (e *entries) tooMany(inParts string) error {
	err := apierror.BadInput("id", "this would change more than %d objects, and one mutation changes no more: %s", maxChanged, inParts)
	if e.bulk {
		err.Field, err.Message = "", err.Message+", or send fewer entries"
	}
	return err
}

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
		id, err := t.objects.InputID(in)
		all[i] = &removal[T]{id: id}
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
		all[i].expected, err = in.Int("expectedVersion")
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
		if t.heir != "" {
			all[i].heir, err = t.objects.OptionalID(in, t.heir)
			if err := e.refuse(i, err); err != nil {
				return nil, err
			}
			all[i].heirs = all[i].heir != nil
		}
	}
	twice(e, "id", t.globalID, func(i int) (int64, bool) { return all[i].id, true })
	return all, nil
}

// deleteObjects removes the objects of a tree, after what belongs to them. settle, unless it is nil, says what becomes of what is below them,
// once they are read.
func deleteObjects[T any, P written[T]](
	ctx context.Context, d *Directory, t *tree[T], e *entries, all []*removal[T], settle func(*removal[T]), belongings func(rows []*T, changed int) error,
) error {
	if err := e.refused(); err != nil {
		return err
	}
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
	var rows []*T
	var within []int64 // below one that is removed with it
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
	if len(rows)+len(edits) > maxChanged {
		return e.failed(ctx, e.tooMany(t.inParts()))
	}
	if err := update[T, P](ctx, d, t.objects, edits); err != nil {
		if dialect.Is(err, dialect.ForeignKey) { // the heir has been deleted
			err = &apierror.Error{Code: apierror.CodeBadUserInput, Field: t.heir, Err: err, Message: "the " + t.noun + " has been deleted"}
		}
		return e.failed(ctx, err)
	}
	err = remove(ctx, d, t.objects, rows, func() error {
		for marks, args := range keyset.In(within) { // a database looks at one row after the other
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
			_ = e.refuse(i, t.objects.Missing(r.id))
			continue
		}
		if settle != nil {
			settle(r)
		}
		_ = e.refuse(i, expect("expectedVersion", t.globalID(r.id), *t.version(r.row), r.expected))
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
	removed := slices.Sorted(maps.Keys(place))
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
	return "give what is directly below another place with " + t.bulk + " first"
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
				_ = e.refuse(i, apierror.BadInput(t.heir, "%s", err.Error()))
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
