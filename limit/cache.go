package limit

import (
	"container/list"
	"context"
	"math"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Cache keeps what was used last, as much as has a bounded weight together: a number of entries alone would not bound the
// memory, since clients choose how large each is.
type Cache[V any] struct {
	most    int
	weigh   func(key string, value V) int
	mu      sync.Mutex
	weight  int
	order   *list.List // of entries, the last used first
	entries map[string]*list.Element
}

type entry[V any] struct {
	key    string
	value  V
	weight int
}

var _ graphql.Cache[string] = &Cache[string]{}

// NewCache returns a cache of at most that weight. What is heavier than a tenth of it by itself is not kept.
func NewCache[V any](most int, weigh func(key string, value V) int) *Cache[V] {
	return &Cache[V]{most: most, weigh: weigh, order: list.New(), entries: map[string]*list.Element{}}
}

// Get returns what is kept under a key.
func (c *Cache[V]) Get(_ context.Context, key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*entry[V]).value, true
}

// Add keeps a value, and lets go of those that were not used for longest.
func (c *Cache[V]) Add(_ context.Context, key string, value V) {
	added := &entry[V]{key, value, c.weigh(key, value)}
	if added.weight > c.most/10 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, known := c.entries[key]; known {
		c.remove(element)
	}
	c.entries[key] = c.order.PushFront(added)
	for c.weight += added.weight; c.weight > c.most; {
		c.remove(c.order.Back())
	}
}

func (c *Cache[V]) remove(element *list.Element) {
	removed := c.order.Remove(element).(*entry[V])
	delete(c.entries, removed.key)
	c.weight -= removed.weight
}

// Bytes is about how many bytes of memory a document takes, and its text.
func Bytes(text string, doc *ast.QueryDocument) int {
	const perNode = 256
	m := newMeasure(&ast.QueryDocument{}, math.MaxInt-1)
	nodes := 0
	for _, operation := range doc.Operations {
		nodes += m.operation(operation).selections
	}
	for _, fragment := range doc.Fragments {
		nodes += m.fragment(fragment).selections
	}
	return perNode*(1+nodes) + len(text)
}
