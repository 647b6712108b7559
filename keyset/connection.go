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
	at   *Place[N]
}

// Place is where a row stands in its list, for its cursor. Rows of lists that differ in their parents only share one if they are
// sorted by id alone.
type Place[N any] struct {
	Sorted string // the value that the list is sorted by; "": the id
	tag    tag
	id     func(*N) int64
}

// NewPlace returns it for the rows of lists with a name, of which key is one. id returns the id of a row.
func NewPlace[N any](list string, key Key, id func(*N) int64) *Place[N] {
	return &Place[N]{tag: key.tag(list), id: id}
}

// EdgeOf is the type of edges to rows of a type, with fields of its own or without.
type EdgeOf[E, N any] interface {
	*E
	Base() *Edge[N]
}

// Base returns the edge itself, for whatever embeds it.
func (e *Edge[N]) Base() *Edge[N] { return e }

// Lead makes it the edge to a row.
func (e *Edge[N]) Lead(to *N, at *Place[N]) { e.Node, e.at = to, at }

// Cursor returns the opaque place of the row.
func (e *Edge[N]) Cursor() string { return e.at.tag.cursor(e.place()) }

// Sorted returns the value that the list is sorted by at the row; "": it is the id.
func (e *Edge[N]) Sorted() string { return e.at.Sorted }

func (e *Edge[N]) place() place { return place{e.at.id(e.Node), e.at.Sorted} }

// Connection is one page of a list: E is the type of its edges, N that of its nodes.
type Connection[E, N any] struct {
	Edges []*E
	Key   Key   // of the page
	List  *List // that it is a page of

	base         func(*E) *Edge[N]
	behind, more bool // the list goes on where it was read from, and where it was read to
}

// Page returns the page that a key asks for of the rows that were read: before them that at the place which they are read from, if it
// is there, and behind them one more where the list goes on. base returns the Edge in one of its edges.
func Page[E, N any](list *List, key Key, read []*E, base func(*E) *Edge[N]) *Connection[E, N] {
	c := &Connection[E, N]{Edges: read, Key: key, List: list, base: base}
	if opening := key.Window.opening(); opening != nowhere && len(read) > 0 && base(read[0]).place() == opening.Value() {
		c.Edges, c.behind = read[1:], true
	}
	if size := int(key.Window.Size); len(c.Edges) > size {
		c.Edges, c.more = c.Edges[:size], true
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
	info := &PageInfo{HasNextPage: c.more, HasPreviousPage: c.behind}
	if c.Key.Window.Last {
		info.HasNextPage, info.HasPreviousPage = c.behind, c.more
	}
	if n := len(c.Edges); n > 0 {
		start, end := c.base(c.Edges[0]).Cursor(), c.base(c.Edges[n-1]).Cursor()
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}
