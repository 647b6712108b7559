package limit

import (
	"context"
	"math"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
)

// Cache keeps the values that were used last, as many as do not exceed a weight together: a number of entries alone would not
// bound the memory, since clients choose how large each is.
type Cache[V any] struct {
	max     int
	weigh   func(key string, value V) int
	mu      sync.Mutex
	weight  int
	entries *simplelru.LRU[string, weighed[V]]
}

type weighed[V any] struct {
	value  V
	weight int
}

var _ graphql.Cache[string] = &Cache[string]{}

// NewCache returns a cache of a maximum weight, in the unit of weigh. It does not keep a value that is heavier than a tenth of
// that.
func NewCache[V any](maxWeight int, weigh func(key string, value V) int) *Cache[V] {
	c := &Cache[V]{max: maxWeight, weigh: weigh}
	c.entries, _ = simplelru.NewLRU(math.MaxInt, func(_ string, removed weighed[V]) { c.weight -= removed.weight })
	return c
}

// Get returns the value under a key, and whether there is one.
func (c *Cache[V]) Get(_ context.Context, key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries.Get(key)
	return found.value, ok
}

// Add keeps a value, and removes those that were not used for longest.
func (c *Cache[V]) Add(_ context.Context, key string, value V) {
	added := weighed[V]{value, c.weigh(key, value)}
	if added.weight > c.max/10 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	c.entries.Add(key, added)
	for c.weight += added.weight; c.weight > c.max; {
		c.entries.RemoveOldest()
	}
}

// Bytes returns about how many bytes of memory a parsed document and its text take.
func Bytes(text string, doc *ast.QueryDocument) int {
	const perNode = 256
	whole := newMeasure(nil, math.MaxInt-1).document(doc) // with no fragment spread out
	return perNode*(1+whole.selections) + len(text)
}
