package entity

import (
	"context"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/scalar"
)

// list is the declaration of a list, whatever its Go types are.
type list struct {
	keyset.List
	typ, field string
	of         string // the type of its objects
	edge       string // the type of its edges, where these have columns
	// sorts returns what it may be sorted by besides the id, when all is declared: columns, and what no column has.
	sorts func() (columns, others []*keyset.Sort)
	order map[string]*keyset.Sort // by their names in the schema

	depth    *keyset.Sort           // by which a list of what is below an object is always sorted; nil: it is none
	newest   bool                   // it is always sorted by id in descending order
	nested   *keyset.List           // see Nested
	nestedBy string                 // the argument
	total    func() string          // the statement of keyset.List's Total, when all is declared; nil: there is none
	indexed  func() []string        // keyset.List's Indexed, when all is declared; nil: there are none
	mark     func(object any) uint8 // of an object that has the list, for keyset.Parent; nil: nothing
	// search returns how it may be searched, when all is declared; nil: it is not of all objects.
	search func() *searching
}

// definition returns the list's definition.
func (l *list) definition(schema *ast.Schema) *ast.FieldDefinition {
	return schema.Types[l.typ].Fields.ForName(l.field)
}

// All declares the field of Query that is the list of all objects of a type.
func All[N any](s *Schema, name string, nodes *Object[N]) {
	l := newList(s, "Query", name, &nodes.objectBase, nil, keyset.List{From: nodes.table + " t", ID: "t.id"})
	l.search = func() *searching { return nodes.search }
	l.total = nodes.total
	l.indexed = nodes.indexed
	source := listSource[keyset.Edge[N]](l, nodes, nil)
	declareList(s, l, source, func(batch.Root) keyset.Parent { return keyset.Parent{} })
	connect[keyset.Edge[N], N](s, nodes.name, true)
}

// Many declares a relation to the list of the objects that have T's number in a column.
func Many[T, N any](o *Object[T], name string, nodes *Object[N], column string) {
	l := newList(o.schema, o.name, name, &nodes.objectBase, nil, keyset.List{From: nodes.table + " t", Parent: "t." + column, ID: "t.id"})
	source := listSource[keyset.Edge[N]](l, nodes, nil)
	declareList(o.schema, l, source, o.parent)
	connect[keyset.Edge[N], N](o.schema, nodes.name, true)
}

// Through declares a relation to the list of the objects that a table between two others gives T: own is the column of that table
// that has T's number, and other the one that has the object's. few says that T has few: see keyset.List.
func Through[T, E, N any, PE keyset.EdgeOf[E, N]](
	o *Object[T], name string, edges *Object[E], own, other string, nodes *Object[N], few bool,
) *List {
	l := newList(o.schema, o.name, name, &nodes.objectBase, &edges.objectBase, keyset.List{
		From: edges.table + " e", Nodes: nodes.table + " t", On: "t.id = e." + other, Parent: "e." + own, ID: "e." + other, Few: few,
	})
	source := listSource[E, N, PE](l, nodes, &edges.rows)
	declareList(o.schema, l, source, o.parent)
	connect[E, N, PE](o.schema, edges.prefix(), true)
	return &List{l, edges.table, own, o.table}
}

// Records declares a relation to the list of the rows of a table that are no objects, the last of them first: their pages have types whose names begin
// with a prefix. read reads the rows of statements that rows and columns make, each with the number of the object whose it is; relations tells what the
// viewer is to such an object.
func Records[T, N any](
	o *Object[T], name, prefix string, rows keyset.List, columns []string, id func(*N) int64,
	read func(ctx context.Context, statements []keyset.Statement, relations func(of int64) access.Relations) (all []*N, parents []int64, err error),
) {
	type edge = keyset.Edge[N]
	rows.Name = o.name + "." + name
	l := &list{List: rows, typ: o.name, field: name, of: prefix, newest: true, sorts: func() (columns, others []*keyset.Sort) { return nil, nil }}
	o.schema.Sized(o.name, name, "first", "last")
	o.schema.lists = append(o.schema.lists, l)
	source := batch.NewSource(func(ctx context.Context, keys []keyset.Key, needed batch.Columns) (map[keyset.Key]*keyset.Connection[edge, N], error) {
		if len(needed.Of(prefix+"Connection")) == 0 {
			return unread(l, keys, (*edge).Base), nil
		}
		pages := make(map[keyset.Key]*keyset.Connection[edge, N], len(keys))
		for common, group := range keyset.Groups(keys) {
			marks := make(map[int64]access.Relations, len(group))
			for _, key := range group {
				marks[key.Parent.ID()] = access.Relations(key.Parent.Mark)
			}
			all, parents, err := read(ctx, l.Rows(group, columns), func(of int64) access.Relations { return marks[of] })
			if err != nil {
				return nil, err
			}
			place, ofParent := keyset.NewPlace(l.Name, common, id), make(map[keyset.Parent][]*edge, len(group))
			for i, row := range all {
				e, parent := &edge{}, l.ParentOf(parents[i])
				e.Lead(row, place)
				ofParent[parent] = append(ofParent[parent], e)
			}
			for _, key := range group {
				pages[key] = keyset.Page(&l.List, key, ofParent[l.ParentOf(key.Parent.ID())], (*edge).Base)
			}
		}
		return pages, nil
	})
	l.mark = func(object any) uint8 {
		if o.related == nil {
			return 0
		}
		return uint8(*o.related(object.(*T)))
	}
	declareList(o.schema, l, source, o.parent)
	connect[edge, N](o.schema, prefix, true)
}

// parent is an object as the parent of its lists.
func (o *Object[T]) parent(t *T) keyset.Parent { return keyset.Of(o.ID(t)) }

// newList declares that there is a list. edges is nil where its edges have no columns.
func newList(s *Schema, typ, field string, nodes, edges *objectBase, rows keyset.List) *list {
	rows.Name = typ + "." + field
	l := &list{List: rows, typ: typ, field: field, of: nodes.name, sorts: func() (columns, others []*keyset.Sort) {
		return append(nodes.sorts("t."), edges.sorts("e.")...), nodes.orders
	}}
	if edges != nil {
		l.edge = edges.name
	}
	s.Sized(typ, field, "first", "last")
	s.lists = append(s.lists, l)
	return l
}

// declareList declares the field of a list.
func declareList[P, E, N any](s *Schema, l *list, source *batch.Source[keyset.Key, *keyset.Connection[E, N]], parent func(P) keyset.Parent) {
	s.add(func() batch.Field {
		l.setOrder()
		l.setSearch()
		if l.total != nil {
			l.Total = l.total()
		}
		if l.indexed != nil {
			l.Indexed = l.indexed()
		}
		f := batch.Relation(l.typ, l.field, source, func(args batch.Args) (func(P) (keyset.Key, bool), error) {
			key, err := s.listKey(args, l)
			if err != nil {
				return nil, err
			}
			return func(p P) (keyset.Key, bool) {
				own := key
				own.Parent = parent(p)
				if l.mark != nil {
					own.Parent.Mark = l.mark(p)
				}
				return own, true
			}, nil
		})
		if l.typ == "Query" {
			return f
		}
		return f.From("id")
	})
}

// listKey returns the key that the arguments of a list ask for, which is to get its parent. The window comes last, for cursors are of
// an order and a filter.
func (s *Schema) listKey(args batch.Args, l *list) (key keyset.Key, err error) {
	if key.Order, err = l.parseOrder(args[orderArgument]); err != nil {
		return key, err
	}
	if key.Depth, err = l.parseDepth(args); err != nil {
		return key, err
	}
	if err := l.parseSearch(args, &key); err != nil {
		return key, err
	}
	if filter := args[filterArgument]; filter != nil {
		condition, err := s.filter(l.of, filter)
		if err != nil {
			return key, err
		}
		key.Filter = key.Filter.Where(condition)
	}
	for _, a := range s.arguments {
		if value := args[a.name]; value != nil {
			if err := a.apply(value, &key); err != nil {
				return key, err
			}
		}
	}
	key.Window, err = keyset.ParseWindow(args, l.listOf(key).Name, key, s.maxSize)
	return key, err
}

// listRow is a row of a list: a node, the edge that leads to it, and whose list it is in.
type listRow[E, N any] struct {
	edge   E
	node   N
	parent int64
}

// listSource returns the source of a list's pages. edges is nil where its edges have no columns.
func listSource[E, N any, PE keyset.EdgeOf[E, N]](list *list, nodes *Object[N], edges *rows[E]) *batch.Source[keyset.Key, *keyset.Connection[E, N]] {
	base := func(e *E) *keyset.Edge[N] { return PE(e).Base() }
	return filterableSource(list, func(ctx context.Context, keys []keyset.Key, columns batch.Columns) (map[keyset.Key]*keyset.Connection[E, N], error) {
		if len(columns.Of(connectionOf(nodes, edges))) == 0 {
			return narrowedPages(ctx, &nodes.guards, unread(list, keys, base)), nil
		}
		pages := make(map[keyset.Key]*keyset.Connection[E, N], len(keys))
		nodeTargets, selected := qualified(&nodes.rows, "t.", columns, nil)
		asked := nodes.asked(ctx, selects(columns, nodes.name), false)
		nodeTargets, selected = append(nodeTargets, nodes.relationTargets(asked)...), relationColumns(ctx, asked, selected)
		edgeTargets, selected := qualified(edges, "e.", columns, selected)
		var shared *keyset.Place[N] // of the rows that are being read
		sorted := false
		targets := func(r *listRow[E, N], to []any) {
			at := shared
			for i, target := range nodeTargets {
				to[i] = target(&r.node)
			}
			for i, target := range edgeTargets {
				to[len(nodeTargets)+i] = target(&r.edge)
			}
			if sorted {
				own := *shared
				at = &own
				to[len(selected)] = &own.Sorted
			}
			if list.Parent != "" {
				to[len(to)-1] = integer{&r.parent}
			}
			base(&r.edge).Lead(&r.node, at)
		}
		loader := nodes.byID.Loader(ctx)
		for common, group := range keyset.Groups(keys) {
			of, width := list.listOf(common), len(selected)+list.Parents()
			shared, sorted = keyset.NewPlace(of.Name, common, nodes.ID), common.Order.By != nil
			if sorted {
				width++
			}
			ofParent, err := readGroup(list, narrowedKeys(ctx, &nodes.guards, group), base, func(keys []keyset.Key, ofParent map[keyset.Parent][]*E) error {
				rows, err := readRelated(ctx, nodes, asked, func(r *listRow[E, N]) *N { return &r.node }, of.Rows(keys, selected), width, targets)
				for _, r := range rows {
					loader.Prime(nodes.ID(&r.node), &r.node)
					parent := list.ParentOf(r.parent)
					edges := ofParent[parent]
					if edges == nil && len(keys) == 1 {
						edges = make([]*E, 0, len(rows))
					}
					ofParent[parent] = append(edges, &r.edge)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			for _, key := range group {
				pages[key] = keyset.Page(of, key, ofParent[key.Parent], base)
			}
		}
		return narrowedPages(ctx, &nodes.guards, pages), nil
	})
}

// connectionOf returns the name of the type of a list's pages. edges is nil where its edges have no columns.
func connectionOf[E, N any](nodes *Object[N], edges *rows[E]) string {
	if edges != nil {
		return edges.prefix() + "Connection"
	}
	return nodes.name + "Connection"
}

// unread returns pages of which nothing is asked for but the numbers of their lists.
func unread[E, N any](list *list, keys []keyset.Key, base func(*E) *keyset.Edge[N]) map[keyset.Key]*keyset.Connection[E, N] {
	pages := make(map[keyset.Key]*keyset.Connection[E, N], len(keys))
	for _, key := range keys {
		pages[key] = keyset.Page(list.listOf(key), key, nil, base)
	}
	return pages
}

// qualified appends the columns that a fetch is to read of a type, as a statement with other tables has them, and returns where
// they go.
func qualified[T any](o *rows[T], table string, columns batch.Columns, to []string) ([]func(*T) any, []string) {
	if o == nil {
		return nil, to
	}
	names := columns.Of(o.name)
	for _, name := range names {
		column := table + name
		if table == "e." {
			column += " AS edge_" + name
		}
		to = append(to, column)
	}
	return o.targets(names), to
}

// count is what the number of a list is loaded by.
type count struct {
	list *keyset.List
	key  keyset.Key
}

// pageRows is what a page has of its list, as a column of the connection's: where only the list's numbers are asked for, no page is read.
const pageRows = "rows"

// connect declares the types of a list's pages and edges, once for each: their names begin with a prefix.
func connect[E, N any, PE keyset.EdgeOf[E, N]](s *Schema, prefix string, counted bool) {
	if s.connections[prefix] {
		return
	}
	s.connections[prefix] = true
	connection, edge := prefix+"Connection", prefix+"Edge"
	type page = *keyset.Connection[E, N]
	whole := func(c page) count { return count{c.List, c.Key.Whole()} }
	if counted {
		s.AddFields(batch.Relation(connection, "totalCount", batch.NewSource(readCounts), batch.Key(func(c page) (count, bool) { return whole(c), true })).From())
	}
	upTo(s, connection, whole)
	Dated[page](s, connection)
	s.AddFields(
		batch.Paths(connection, "nodes", func(c page) []*N { return c.Nodes() }).From(pageRows),
		batch.Paths(connection, "edges", func(c page) []*E { return c.Edges }).From(pageRows),
		batch.Path(connection, "pageInfo", func(c page) *keyset.PageInfo { return c.PageInfo() }).From(pageRows),
		batch.Path(edge, "node", func(e *E) *N { return PE(e).Base().Node }).From(),
		batch.Value(edge, "cursor", func(b []byte, e *E) []byte { return scalar.AppendString(b, PE(e).Base().Cursor()) }).From().As("String"),
	)
}

// readCounts counts the rows of lists.
func readCounts(ctx context.Context, keys []count, _ batch.Columns) (map[count]int, error) {
	counts := make(map[count]int, len(keys))
	byList := map[*keyset.List][]keyset.Key{}
	for _, k := range keys {
		byList[k.list] = append(byList[k.list], k.key)
	}
	for list, keys := range byList {
		for _, group := range keyset.Groups(keys) {
			numbers, err := readNumbers(ctx, list, group[0], list.Count(group))
			if err != nil {
				return nil, err
			}
			for key, n := range numbers {
				counts[count{list, key}] = int(n)
			}
		}
	}
	return counts, nil
}

// readNumbers reads what statements count of a group of lists, of which one is given; none may be told of a list without rows that has a
// parent.
func readNumbers(ctx context.Context, list *keyset.List, one keyset.Key, statements []keyset.Statement) (map[keyset.Key]int64, error) {
	type number struct{ rows, parent int64 }
	all, err := read(ctx, statements, 1+list.Parents(), func(n *number, to []any) {
		to[len(to)-1], to[0] = integer{&n.parent}, integer{&n.rows}
	})
	numbers := make(map[keyset.Key]int64, len(all))
	for _, n := range all {
		one.Parent = list.ParentOf(n.parent)
		numbers[one] = n.rows
	}
	return numbers, err
}
