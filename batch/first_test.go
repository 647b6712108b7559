package batch_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/schematest"
)

// first declares the name of each author as a text that is read before all else.
func first(failure error) batch.Field {
	source := batch.NewFirst(func(ctx context.Context) (string, error) {
		l := from(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.batches = append(l.batches, "first")
		return "F", failure
	})
	return batch.First[*schematest.Author]("Author", "name", source, strconv.AppendQuote).From().As("String")
}

// withFirst are libraries that have it, answered by resolvers and from the plan.
func withFirst(failure error) map[string]*library {
	return map[string]*library{"by resolvers": newLibrary(first(failure)), "from the plan": newFromPlanWithout("Author.name", first(failure))}
}

// order returns what was read, in its order.
func (l *library) order() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches)
}

func TestWhatIsToBeFirstIsReadBeforeAllElseOnceAndOnlyIfItIsSelected(t *testing.T) {
	for query, want := range map[string]struct {
		data  string
		first bool
	}{
		`{ author(id: 1) { id rival { rival { a: name b: name } } } }`:                                             {`{"author":{"id":"1","rival":{"rival":{"a":"F","b":"F"}}}}`, true},
		`{ author(id: 1) { ...F } item(id: 101) { id } } fragment F on Author { books { author { name } } }`:       {`{"author":{"books":[{"author":{"name":"F"}}]},"item":{"id":"101"}}`, true},
		`query($no: Boolean = false) { author(id: 1) { id name @include(if: $no) ... @skip(if: true) { name } } }`: {`{"author":{"id":"1"}}`, false},
	} {
		for way, l := range withFirst(nil) {
			a := l.serve(t).ask(t, query)
			order := l.order()
			reads := len(slices.DeleteFunc(slices.Clone(order), func(b string) bool { return b != "first" }))
			if string(a.Data) != want.data || len(a.Errors) > 0 || reads > 1 || (order[0] == "first") != want.first || (reads == 1) != want.first {
				t.Errorf("%s, %s: got %s and %v, by %q", way, query, a.Data, a.Errors, order)
			}
			if l.answers && l.plan.Resolved() > 0 {
				t.Errorf("%s: resolvers have answered", query)
			}
		}
	}
}

func TestAnErrorOfWhatIsToBeFirstIsNotMendedByALaterRead(t *testing.T) {
	for way, l := range withFirst(errors.New("no clock")) {
		a := l.serve(t).ask(t, `{ author(id: 1) { id name rival { name } } b: author(id: 2) { name } }`)
		if len(a.Errors) != 3 || slices.Index(l.order(), "first") != 0 || slices.Contains(l.order()[1:], "first") {
			t.Errorf("%s: got %s and %v, by %q", way, a.Data, a.Errors, l.order())
		}
	}
}

func TestWhatIsToBeFirstIsReadOnceForAGroup(t *testing.T) {
	for way, l := range withFirst(nil) {
		answers := l.group(t, t.Context(), []context.Context{t.Context(), t.Context(), t.Context()},
			`{ author(id: 1) { rival { id } } }`, `{ author(id: 2) { rival { rival { name } } } }`, `query @guard { author(id: 3) { name } }`)
		var all []*graphql.Response
		for _, answer := range answers {
			all = append(all, <-answer)
		}
		if order := l.order(); order[0] != "first" || slices.Contains(order[1:], "first") || string(all[1].Data) != `{"author":{"rival":{"rival":{"name":"F"}}}}` {
			t.Errorf("%s: got %s, by %q", way, all[1].Data, order)
		}
	}
}

func TestWhatIsToBeFirstIsReadOnceInAMutationBeforeAPayload(t *testing.T) {
	for way, l := range withFirst(nil) {
		l.mutate = batch.Clear
		a := l.serve(t).ask(t, `mutation { a: oppose(author: 1, rival: 2) { rival { id } } b: oppose(author: 3, rival: 4) { rival { name rival { name } } } }`)
		want := `{"a":{"rival":{"id":"2"}},"b":{"rival":{"name":"F","rival":{"name":"F"}}}}`
		order := l.order()
		at := slices.Index(order, "first")
		if string(a.Data) != want || at < 0 || slices.Contains(order[at+1:], "first") || slices.Contains(order[:at], "authors[2]") {
			t.Errorf("%s: got %s and %v, by %q", way, a.Data, a.Errors, order)
		}
	}
}
