package limit_test

import (
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/limit"
)

// FuzzDocuments sends a document to gqlgen through the limits. Whatever they let through is parsed, validated and priced in
// bounded time and memory.
func FuzzDocuments(f *testing.F) {
	for _, attack := range attacks() {
		f.Add(attack.query[:min(len(attack.query), 20_000)])
	}
	f.Add(introspection)
	f.Add(`query A($n: Int = 2, $ids: [ID!]! = ["a"]) { a: page(first: $n) { nodes { ...F } } ...on Query @include(if: true) { nodes(ids: $ids) { name(in: {in: {}}) } } } fragment F on Query { names }`)
	f.Fuzz(func(t *testing.T, query string) {
		s := newServer(t, limit.Documents{})
		s.use(t, &limit.Cost{Sizes: []string{"first"}, Lists: []string{"ids"}, Page: 20, MaxPage: 100})
		start, before := time.Now(), allocated()
		oc, errs := s.ask(&graphql.RawParams{Query: query})
		took, memory := time.Since(start), allocated()-before
		if took > mostTime || memory > mostMemory*4 { // the parser of what is invalid runs again
			t.Errorf("took %s and %d bytes", took, memory)
		}
		if errs == nil && (oc.Operation == nil || limit.CostOf(oc).Requested < 0) {
			t.Errorf("got %v", limit.CostOf(oc))
		}
		if len(errs) > limit.DefaultErrors {
			t.Errorf("%d errors", len(errs))
		}
	})
}
