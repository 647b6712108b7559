package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Set is the loaders of one operation, or of a group of queries that are answered together.
type Set struct {
	ctx      context.Context
	plan     *Plan
	queries  []*query // those of the group, or the only one
	bound    int      // how many the set was made for; 0: any
	together pass     // of all that the set was made for, and that are not guarded
	loaders  []loader
	fallback fallback

	// Room for the usual numbers.
	one  [1]*query
	some [16]loader

	trace *tracer // nil: nothing is traced

	following sync.Mutex     // held by the run that is filling batches
	run       run            // that run
	reading   sync.WaitGroup // its batches

	event    any // of a subscription, which is being answered
	mu       sync.Mutex
	deferred map[*ast.Field][]*deferred

	// What Columns depends on. A run changes it before it reads its batches, which use it.
	answering bool        // it is to answer the queries that the set was made for, and their arguments are valid
	needed    []bool      // dependencies, by their index
	narrowed  atomic.Bool // loaders have rows that lack columns
}

// query is an operation of a set.
type query struct {
	op       *graphql.OperationContext
	alone    bool                 // it is followed without the others
	pass     atomic.Pointer[pass] // that follows it
	answer   answer
	failures []error // panics of declarations, to be reported as errors
	traced   []field // the root fields that were followed last, where that is traced

	forbidden map[string]bool // the paths of the fields that were hidden, and whether the answer is yet to tell of them
}

// pass has the root fields of the queries that share it followed together, once.
type pass struct{ sync.Once }

// loader is a Loader of whatever types.
type loader interface {
	gather() bool
	readGathered()
	flush()
	clear(firsts bool)
}

type contextKey struct{}

// NewSet returns a set without loaders, for one operation, for one event of a subscription, or for a group of queries that
// are followed together, level by level; without operations, for whatever runs under the context returned. That carries the
// set to the resolvers, and the batches run under it. Each query of a group may have a context of its own with the values of
// that; where it ends, that query alone fails.
func NewSet(ctx context.Context, plan *Plan, operations ...*graphql.OperationContext) (context.Context, *Set) {
	if plan == nil {
		panic(errors.New("batch: the plan of a set is nil: give it the one that the server uses"))
	}
	s := &Set{plan: plan, bound: len(operations)}
	s.queries, s.loaders = s.one[:0], s.some[:0]
	for _, op := range operations {
		s.add(op)
	}
	s.traces()
	s.ctx = context.WithValue(ctx, contextKey{}, s)
	return s.ctx, s
}

// add adds an operation, which is followed with the others if the set was made for it.
func (s *Set) add(op *graphql.OperationContext) *query {
	q := &query{op: op, alone: s.bound == 0 || s.plan.operationGuarded(op)}
	q.pass.Store(&s.together)
	if q.alone {
		q.pass.Store(&pass{})
	}
	s.queries = append(s.queries, q)
	return q
}

// query returns what the set has of an operation.
func (s *Set) query(op *graphql.OperationContext) *query {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.queries, func(q *query) bool { return q.op == op }); i >= 0 {
		return s.queries[i]
	}
	return s.add(op)
}

// fromContext returns the set of the operation that ctx belongs to, or nil.
func fromContext(ctx context.Context) *Set {
	s, _ := ctx.Value(contextKey{}).(*Set)
	return s
}

// outlives reports whether the set's context may go on after ctx has ended.
func (s *Set) outlives(ctx context.Context) bool {
	return ctx.Done() != nil && ctx.Done() != s.ctx.Done()
}

// read reads the batches that a plan has gathered, all at once. Each has a goroutine to itself, which its
// fetch may end. None is begun before all are gathered: what one reads may be primed in another, which would lack it by chance.
func (s *Set) read() {
	var room [len(s.some)]loader
	gathered := room[:0]
	for _, l := range s.all() {
		if l.gather() {
			gathered = append(gathered, l)
		}
	}
	for _, l := range gathered {
		s.reading.Add(1)
		go func() { //nolint:modernize // WaitGroup.Go allocates twice as much
			defer s.reading.Done()
			growStack(false)
			l.readGathered()
		}()
	}
	s.reading.Wait()
}

// stack is about how many bytes of stack a driver needs for a statement. With what a new goroutine uses already, it makes
// 16 KiB, the largest stack that Go keeps in its cache.
const stack = 14 << 10

// growStack gives a new goroutine that much stack at once. Otherwise its stack would be copied to one of twice the size several
// times within the driver. The function's frame needs the room even if used is false, and then nothing is cleared.
//
//go:noinline
func growStack(used bool) byte {
	if !used {
		return 0
	}
	var room [stack]byte
	return last(&room)
}

//go:noinline
func last(room *[stack]byte) byte { return room[stack-1] }

// all returns the loaders that there are.
func (s *Set) all() []loader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaders
}

// Clear forgets everything that was loaded: a write may have changed it. Loads that wait for a batch still get its values,
// which are not kept.
// What is declared with First stays: it is as old as it has to be.
func (s *Set) Clear() { s.clear(false) }

func (s *Set) clear(firsts bool) {
	for _, l := range s.all() {
		l.clear(firsts)
	}
}

// recovered returns the error of every key in a batch whose fetch panicked: what the server's RecoverFunc makes of the panic,
// which is called while the panic's stack is still there to be logged.
func (s *Set) recovered(p any) (err error) {
	defer func() {
		if recover() != nil || err == nil {
			err = errors.New("internal system error")
		}
	}()
	if s.bound == 0 {
		return graphql.DefaultRecover(s.ctx, p)
	}
	op := s.queries[0].op // all of a group have the same
	return op.RecoverFunc(graphql.WithOperationContext(s.ctx, op), p)
}
