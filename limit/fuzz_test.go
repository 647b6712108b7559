package limit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/limit"
)

// words are what a compact document is made of.
var words = []string{
	"{", "}", " name", " self{", " a:self{", " b:self{", "...{", "...on Query{", " ...F", " ...G", " ...H", "} fragment F on Query{", "} fragment G on Query{", "} fragment H on Query{",
	"} query A{", " name(is:1)", " name(list:[[[1]]])", " name(in:{in:{}})", " @at", " @at(n:1)", " page(first:9){nodes{", " page{edges{node{", " thing{... on Cat{cat{", " a:name", " a:names",
	" nothing", " nodes(ids:[1,2]){", " @skip(if:true)", " ...on Missing{", "#\n", " items{",
}

// unfold makes a document of a compact one: each byte is a word, once, four times, or up to 16,384 times.
func unfold(compact string) string {
	var text strings.Builder
	for _, b := range []byte(compact) {
		text.WriteString(strings.Repeat(words[int(b)%len(words)], 1<<(2*(int(b)/len(words)))))
		if text.Len() > 1<<20 {
			break
		}
	}
	return text.String()
}

// FuzzDocuments sends a document to gqlgen through the limits. Whatever they let through is parsed, validated and priced in
// bounded time and memory.
func FuzzDocuments(f *testing.F) {
	for _, attack := range attacks() {
		f.Add(attack.query[:min(len(attack.query), 2_000)], false)
	}
	for _, compact := range []string{"\x00\x02\x01", "\x00\x03\x08\x08\x01\x0b\x02\x02\x01", "\x00\x42\x80\x01", "\x00\x08\x09\x0b\x09\x09\x0c\x0a\x0a\x0d\xa2\x01"} {
		f.Add(compact, true)
	}
	f.Add(introspection, false)
	f.Add(`query A($n: Int = 2, $ids: [ID!]! = ["a"]) { a: page(first: $n) { nodes { ...F } } ...on Query @include(if: true) { nodes(ids: $ids) { name(in: {in: {}}) } } } fragment F on Query { names }`, false)
	f.Fuzz(func(t *testing.T, query string, compact bool) {
		if compact {
			query = unfold(query)
		}
		s := newServer(t, limit.Documents{})
		cost := &limit.Cost{Sizes: sizes, Page: 20, MaxPage: 100}
		s.use(t, cost)
		start, before := time.Now(), allocated()
		oc, errs := s.ask(&graphql.RawParams{Query: query})
		took, memory := time.Since(start), allocated()-before
		if took > 100*time.Millisecond || memory > maxMemory {
			t.Logf("took %s and %d bytes: %v, %.200s", took, memory, errs, query)
		}
		if took > maxTime || memory > maxMemory*4 { // the parser of what is invalid runs again
			t.Errorf("took %s and %d bytes", took, memory)
		}
		if errs == nil && (oc.Operation == nil || cost.Of(oc).Requested < 0) {
			t.Errorf("got %v", oc.Operation)
		}
		if len(errs) > 1_000 {
			t.Errorf("%d errors", len(errs))
		}
	})
}
