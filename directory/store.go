package directory

import (
	"context"
	"maps"
	"slices"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
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
		if err := e.refuse(i, err, t.refer(e, items[i], i, in)); err != nil {
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
		expected, versionErr := in.Int("expectedVersion")
		items[i] = &item[T]{change: change, expected: expected, key: change.ID, ref: -1}
		if err := e.refuse(i, err, versionErr); err != nil {
			return nil, err
		}
	}
	twice(e, "id", t.globalID, func(i int) int64 { return items[i].change.ID })
	return items, nil
}

// key is what objects are found by that may be there already: no two have the same.
type key[T any] struct {
	field, column string
	of            func(*T) string // "": the object has none
}

// upserted returns the items of inputs that describe objects which may be there already, by a key. The error is one that no client may see.
func (t *tree[T]) upserted(ctx context.Context, e *entries, inputs []entity.Input, by key[T]) ([]*item[T], error) {
	items, err := t.added(e, inputs)
	if err != nil {
		return nil, err
	}
	var keys []string
	for i, it := range items {
		switch k := by.of(it.row); {
		case !e.look(i):
		case k != "":
			keys = append(keys, k)
		case e.open(i):
			_ = e.refuse(i, apierror.BadInput(by.field, "%s must be given, for %s are found by it", by.field, t.objects.Table()))
		}
	}
	twice(e, by.field, func(k string) string { return k }, func(i int) string { return by.of(items[i].row) })
	there, err := t.find(ctx, by, keys)
	if err != nil {
		return nil, err
	}
	for i, it := range items {
		sought := by.of(it.row)
		it.found = func(object *T) bool { return sought != "" && by.of(object) == sought }
		id, found := there[sought]
		if !found {
			continue
		}
		if !e.open(i) { // nothing else can be told of it
			items[i] = &item[T]{ref: -1}
			continue
		}
		change := maps.Clone(inputs[i])
		change["id"] = t.globalID(id)
		it.key, it.row = id, nil
		it.change, err = t.objects.Change(change)
		if err := e.refuse(i, err); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// find returns the numbers of the objects that have some keys, by these, with one statement.
func (t *tree[T]) find(ctx context.Context, by key[T], keys []string) (map[string]int64, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	there, err := t.objects.Select(ctx, []string{"id", by.column},
		"SELECT id, "+by.column+" FROM "+t.objects.Table()+" WHERE "+by.column+" IN ("+keyset.Marks(len(keys))+")", args...)
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]int64, len(there))
	for _, object := range there {
		numbers[by.of(object)] = t.id(object)
	}
	return numbers, nil
}

// refer notes which other entry is to be above an item, or returns why none can be.
func (t *tree[T]) refer(e *entries, it *item[T], i int, in entity.Input) error {
	ref, err := in.Int(t.ref)
	if err != nil || ref == nil {
		return err
	}
	if id, malformed := t.objects.OptionalID(in, t.field); malformed == nil { // else New has told it
		err = t.referTo(e, it, i, *ref, id != nil)
	}
	return err
}

// referTo notes that an item is to be below an entry, unless the input also names another object by its id.
func (t *tree[T]) referTo(e *entries, it *item[T], i int, ref int64, named bool) error {
	switch n := len(e.wrong); {
	case !e.bulk:
		return apierror.BadInput(t.ref, "%s names another entry of a bulk: use %s here", t.ref, t.field)
	case named:
		return apierror.BadInput(t.ref, "%s and %s cannot be given together", t.ref, t.field)
	case ref < 0 || ref >= int64(n) || ref == int64(i):
		return apierror.BadInput(t.ref, "%s must be the place of another entry, from 0 to %d, not %d", t.ref, n-1, ref)
	}
	it.ref = int(ref)
	return nil
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

// parser returns the items of inputs. The error is one that no client may see.
type parser[T any] func(e *entries, inputs []entity.Input) ([]*item[T], error)

// storeOne adds or changes one object of a tree, as an input says.
func storeOne[T any, P written[T]](ctx context.Context, d *Directory, t *tree[T], input entity.Input, parse parser[T]) (*T, error) {
	e := single()
	items, err := parse(e, []entity.Input{input})
	if err != nil {
		return nil, err
	}
	if err := store[T, P](ctx, d, t, e, items); err != nil {
		return nil, err
	}
	return items[0].row, nil
}

// storeBulk adds or changes the objects of a tree that the entries of a bulk are about, which its input has in a field. What a dry run would
// have added, nobody is to see.
func storeBulk[T any, P written[T]](
	ctx context.Context, d *Directory, t *tree[T], input entity.Input, field string, parse parser[T],
) ([]*model.Result[T], error) {
	e, inputs, err := newEntries(input, field)
	if err != nil {
		return nil, err
	}
	items, err := parse(e, inputs)
	if err != nil {
		return nil, err
	}
	if err := store[T, P](ctx, d, t, e, items); err != nil {
		return nil, err
	}
	return results(e, func(i int) *model.Result[T] {
		added := items[i].before == nil
		if added && e.dryRun {
			return &model.Result[T]{Created: &added}
		}
		return &model.Result[T]{Object: items[i].row, Created: &added}
	}, refusedResult[T]), nil
}

// store adds and changes the objects of a tree as the open items say. A constraint that refuses what the checks have let pass is a CONFLICT,
// or has the operation run again: see failed and taken. Statements: see insert and update; one that reads the objects
// with a lock, where some are there; one for each Unique field of a bulk; one for those above; and three more where some
// of what is there gets another one above it.
func store[T any, P written[T]](ctx context.Context, d *Directory, t *tree[T], e *entries, items []*item[T]) error {
	for i, it := range items {
		if it.row != nil && it.change.ID == 0 {
			if err := e.refuse(i, t.objects.Writable(ctx, nil, "")); err != nil {
				return err
			}
		}
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
	if err := t.taken(ctx, e, items, t.blame(t.field, insert(ctx, d, t.objects, added))); err != nil {
		return err
	}
	for i, it := range items {
		if e.open(i) && it.above != nil && *it.above < 0 {
			id := t.id(items[-1-*it.above].row)
			*t.above(it.row) = &id
		}
	}
	return t.taken(ctx, e, items, t.blame(t.field, update[T, P](ctx, d, t.objects, edits)))
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

// refuseTaken refuses values that others have. If what has one is what an item was looked for and not found, it was stored meanwhile, and
// the operation runs again to find it.
func (t *tree[T]) refuseTaken(ctx context.Context, e *entries, items []*item[T]) error {
	rows := make([]*T, len(items))
	for i, it := range items {
		if e.look(i) {
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
		if !e.look(i) || it.change.ID == 0 {
			continue
		}
		it.before = stored[it.change.ID]
		switch {
		case it.found != nil && (it.before == nil || !it.found(it.before)):
			return session.Again(ctx, t.changing(it.change.ID))
		case it.before == nil:
			_ = e.refuse(i, blamed("id", t.objects.Missing(it.change.ID)))
			it.moves = false
			continue
		}
		if it.moves = t.moves(it.before, it.above); it.moves && !waited { // it has been moved between the two reads
			if err := t.wait(ctx); err != nil {
				return err
			}
			waited = true
		}
		if err := t.apply(ctx, e, i, it); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the change of an item in what is to be stored, or refuses it. The error is one that no client may see.
func (t *tree[T]) apply(ctx context.Context, e *entries, i int, it *item[T]) error {
	if err := t.objects.Writable(ctx, it.before, it.change.Fields()...); err != nil {
		it.moves = false
		return e.refuse(i, err)
	}
	row := *it.before
	it.row = &row
	var err error
	it.columns, err = it.change.Apply(it.row)
	if err := e.refuse(i, expect(t.globalID(it.change.ID), *t.version(it.before), it.expected), err); err != nil {
		return err
	}
	if it.ref >= 0 { // Apply knows no entries, and has taken away what is above if the input says null
		it.columns = slices.DeleteFunc(it.columns, func(column string) bool { return column == t.column })
		if *t.above(it.row) = it.above; it.moves {
			it.columns = append(it.columns, t.column)
		}
	}
	return nil
}

// aim notes what is to be above the items. It returns the numbers of those that are there, and of those of them that may move.
func (t *tree[T]) aim(e *entries, items []*item[T]) (numbers, moving []int64) {
	for i, it := range items {
		if !e.look(i) || it.row == nil && it.change.ID == 0 {
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

// blame has an error of a write blame the input's field that says what is above, where it is about that: the object was deleted meanwhile.
func (t *tree[T]) blame(field string, err error) error {
	if dialect.Is(err, dialect.ForeignKey) { // nothing else is referred to
		return &apierror.Error{Code: apierror.CodeBadUserInput, Field: field, Err: err, Message: "the " + t.noun + " has been deleted"}
	}
	return err
}
