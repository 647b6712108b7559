package entity

import (
	"context"
	"slices"
	"strconv"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/scalar"
)

// depthArgument says how far below its parent a list of what is below goes.
const depthArgument = "maxDepth"

// maxFiltered is how many objects below another may be filtered: no index leads to those that a filter leaves.
const maxFiltered = 10_000

// Above declares a relation to the objects above an object, the nearest first, in the tree in which a column has the number of the
// next one, or NULL. It has keyset.MaxDepth of them at most, and ends where the tree runs in a circle.
func Above[T any](o *Object[T], name, column string) {
	tree := &keyset.Tree{Table: o.table, Parent: column}
	type row struct {
		object T
		below  int64
	}
	source := batch.NewSource(func(ctx context.Context, ids []int64, columns batch.Columns) (map[int64][]*T, error) {
		targets, selected := qualified(&o.rows, "t.", columns, nil)
		asked := o.asked(ctx, selects(columns, o.name), false)
		targets, selected = append(targets, o.relationTargets(asked)...), relationColumns(ctx, asked, selected)
		visible, all := o.visible(ctx)
		if all {
			visible = keyset.All()
		}
		object := func(r *row) *T { return &r.object }
		rows, err := readRelated(ctx, o, asked, object, tree.Above(ids, selected, visible), len(selected)+1, func(r *row, to []any) {
			for i, target := range targets {
				to[i] = target(&r.object)
			}
			to[len(targets)] = integer{&r.below}
		})
		if err != nil {
			return nil, err
		}
		above := make(map[int64][]*T, len(ids))
		for _, id := range ids {
			above[id] = []*T{}
		}
		loader := o.byID.Loader(ctx)
		for _, r := range rows {
			id := o.ID(&r.object)
			if id == r.below || slices.ContainsFunc(above[r.below], func(t *T) bool { return o.ID(t) == id }) {
				continue
			}
			loader.Prime(id, &r.object)
			above[r.below] = append(above[r.below], &r.object)
		}
		return above, nil
	})
	o.schema.add(func() batch.Field {
		return batch.Relation(o.name, name, source, batch.Key(func(t *T) (int64, bool) { return o.ID(t), true })).From()
	})
}

// Below declares a relation to the list of all objects below an object, in the tree in which a column has the number of the next
// one above. It is sorted by their depth, the first ones' being 1, which its edges have in a field depth.
func Below[T, E any, PE keyset.EdgeOf[E, T]](o *Object[T], name string, edges *Object[E], column string, depth func(*E) *int64) {
	Int(edges, "depth", depth)
	l := newList(o.schema, o.name, name, &o.objectBase, &edges.objectBase, keyset.List{
		From: "below e", Nodes: o.table + " t", On: "t.id = e.id", Parent: "e.root", ID: "e.id",
		Tree: &keyset.Tree{Table: o.table, Parent: column},
	})
	l.sorts = func() (columns, others []*keyset.Sort) { return nil, nil }
	l.depth = &keyset.Sort{Name: "DEPTH", Column: "e.depth", Number: true}
	declareList(o.schema, l, listSource[E, T, PE](l, o, &edges.rows), o.parent)
	connect[E, T, PE](o.schema, edges.prefix(), false)
}

// List is a list that is declared by Through.
type List struct {
	*list
	edges, own, parents string // the table between, the column of it that has the parent, and the parent's table
}

// Nested lets clients ask a list for what it has of all objects below its parent as well, in the tree in which a column has the
// number of the next one above: by an argument, an enum of DIRECT, the default, and ALL. What several of them have is there once,
// as the nearest has it, and of several the one with the lowest number.
func (l *List) Nested(argument, column string) {
	all, other := l.List, l.ID[len("e."):]
	all.Name += "(" + argument + ": " + nested + ")"
	all.Tree = &keyset.Tree{Table: l.parents, Parent: column, Self: true}
	all.From = "(SELECT b.root, m.*, ROW_NUMBER() OVER (PARTITION BY b.root, m." + other + " ORDER BY b.depth, b.id) AS nearness FROM below b CROSS JOIN " +
		l.edges + " m WHERE m." + l.own + " = b.id) e"
	all.Where, all.Parent = "e.nearness = 1", "e.root"
	l.nested, l.nestedBy = &all, argument
}

// nested is the value of an enum by which a list has what is below its parent too.
const nested = "ALL"

// parseDepth returns how deep the arguments of a list let it go; 0: it has nothing of what is below. The error is BAD_USER_INPUT.
func (l *list) parseDepth(args batch.Args) (int32, error) {
	switch {
	case l.nested != nil && args[l.nestedBy] != nil:
		if which, err := scalar.UnmarshalString(args[l.nestedBy]); err != nil || which != nested {
			return 0, err
		}
		return keyset.MaxDepth, nil
	case l.Tree == nil:
		return 0, nil
	case args[depthArgument] == nil:
		return keyset.MaxDepth, nil
	}
	n, err := scalar.UnmarshalInt(args[depthArgument])
	if err == nil && (n < 1 || n > keyset.MaxDepth) {
		err = apierror.BadInput(depthArgument, "%s must be 1 to %d, not %d", depthArgument, keyset.MaxDepth, n)
	}
	return int32(n), err
}

// listOf returns the list that has a key.
func (l *list) listOf(key keyset.Key) *keyset.List {
	if l.nested != nil && key.Depth > 0 {
		return l.nested
	}
	return &l.List
}

// nearby returns keys of lists of what is below, such that no more of the tree is read than most pages need: the two levels below the
// place from which they are read.
func (l *list) nearby(group []keyset.Key) []keyset.Key {
	key := group[0]
	if l.depth == nil || key.Window.Last || key.Filter != (keyset.Filter{}) {
		return group
	}
	depth := key.Window.Number() + 2
	if depth >= int64(key.Depth) {
		return group
	}
	near := slices.Clone(group)
	for i := range near {
		near[i].Depth = int32(depth)
	}
	return near
}

// readGroup reads the rows of a group of lists, by their parents: of what is below, first what is nearby, and again where a page has
// fewer rows than it holds and they end where the reading did.
func readGroup[E, N any](
	list *list, group []keyset.Key, base func(*E) *keyset.Edge[N], read func(keys []keyset.Key, into map[keyset.Parent][]*E) error,
) (map[keyset.Parent][]*E, error) {
	ofParent, near := make(map[keyset.Parent][]*E, len(group)), list.nearby(group)
	if err := read(near, ofParent); err != nil {
		return nil, err
	}
	var again []keyset.Key
	for i, key := range group {
		edges := ofParent[key.Parent]
		if near[i].Depth < key.Depth && len(edges) > 0 && !key.Window.Full(len(edges)) &&
			base(edges[len(edges)-1]).Sorted() == strconv.Itoa(int(near[i].Depth)) {
			again = append(again, key)
			delete(ofParent, key.Parent)
		}
	}
	if len(again) == 0 {
		return ofParent, nil
	}
	return ofParent, read(again, ofParent)
}

// filterableSource returns the source of the pages of lists that can be filtered; the others are refused, each by itself.
func filterableSource[V any](l *list, fetch batch.Fetch[keyset.Key, V]) *batch.Source[keyset.Key, V] {
	return batch.NewSource(func(ctx context.Context, keys []keyset.Key, columns batch.Columns) (map[keyset.Key]V, error) {
		small, refused, err := l.filterable(ctx, keys)
		if err != nil {
			return nil, err
		}
		pages, err := fetch(ctx, small, columns)
		if err != nil {
			return nil, err
		}
		return pages, refused
	})
}

// filterable returns the keys of those lists that can be filtered, and what refuses the others, each with more objects below another than
// that: batch.KeysError, of BAD_USER_INPUT errors, or nil.
func (l *list) filterable(ctx context.Context, keys []keyset.Key) (small []keyset.Key, refused, err error) {
	if l.depth == nil {
		return keys, nil, nil
	}
	large := batch.KeysError[keyset.Key]{}
	for common, group := range keyset.Groups(keys) {
		if common.Filter == (keyset.Filter{}) {
			small = append(small, group...)
			continue
		}
		whole := make([]keyset.Key, len(group))
		for i, key := range group {
			whole[i] = keyset.Key{Parent: key.Parent, Depth: key.Depth}
		}
		numbers, err := readNumbers(ctx, &l.List, whole[0], l.Count(whole))
		if err != nil {
			return nil, nil, err
		}
		for i, key := range group {
			if n := numbers[whole[i]]; n > maxFiltered {
				large[key] = apierror.BadInput(filterArgument, "%s: a filter is for at most %d below one, and here are %d: set a smaller %s", l.field, maxFiltered, n, depthArgument)
			} else {
				small = append(small, key)
			}
		}
	}
	if len(large) > 0 {
		refused = large
	}
	return small, refused, nil
}
