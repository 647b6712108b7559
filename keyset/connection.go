package keyset

import "slices"

// PageInfo tells where a page stands in its list.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Edge is a row's place in a list. An edge with fields of its own embeds it.
type Edge[N any] struct {
	Node *N
	rows *Rows[N]
}

// Rows is what the rows of a type have in common, for the cursors of lists of them.
type Rows[N any] struct {
	Type string
	ID   func(*N) *int64
}

// EdgeOf is the type of edges to rows of a type, with fields of its own or without.
type EdgeOf[E, N any] interface {
	*E
	Base() *Edge[N]
}

// Base returns the edge itself, for whatever embeds it.
func (e *Edge[N]) Base() *Edge[N] { return e }

// Lead makes it the edge to a row.
func (e *Edge[N]) Lead(to *N, rows *Rows[N]) { e.Node, e.rows = to, rows }

// Cursor returns the opaque place of the row.
func (e *Edge[N]) Cursor() string { return Cursor(e.rows.Type, *e.rows.ID(e.Node)) }

// Connection is one page of a list: E is the type of its edges, N that of its nodes.
type Connection[E, N any] struct {
	Edges []*E
	Key   Key   // of the page
	List  *List // that it is a page of

	base func(*E) *Edge[N]
	more bool // the list goes on beyond the page, in the direction in which it was read
}

// Page returns the page that a key asks for of the rows that were read: one more than that where the list goes on. base returns the
// Edge in one of its edges.
func Page[E, N any](list *List, key Key, read []*E, base func(*E) *Edge[N]) *Connection[E, N] {
	c := &Connection[E, N]{Edges: read, Key: key, List: list, base: base}
	if size := int(key.Window.Size); len(read) > size {
		c.Edges, c.more = read[:size], true
	}
	if key.Window.Last {
		slices.Reverse(c.Edges)
	}
	return c
}

// Nodes returns the rows of the page.
func (c *Connection[E, N]) Nodes() []*N {
	nodes := make([]*N, len(c.Edges))
	for i, e := range c.Edges {
		nodes[i] = c.base(e).Node
	}
	return nodes
}

// PageInfo returns where the page stands in its list.
func (c *Connection[E, N]) PageInfo() *PageInfo {
	info := &PageInfo{HasNextPage: c.more && !c.Key.Window.Last, HasPreviousPage: c.more && c.Key.Window.Last}
	if n := len(c.Edges); n > 0 {
		start, end := c.base(c.Edges[0]).Cursor(), c.base(c.Edges[n-1]).Cursor()
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}
