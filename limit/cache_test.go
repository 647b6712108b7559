package limit_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/limit"
)

func length(_, value string) int { return len(value) }

func TestACacheKeepsWhatWasUsedLastAsFarAsItsWeightGoes(t *testing.T) {
	cache := limit.NewCache(20, length)
	kept := func() (keys string) {
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
			if _, ok := cache.Get(t.Context(), key); ok {
				keys += key
			}
		}
		return keys
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		cache.Add(t.Context(), key, "22")
	}
	if got := kept(); got != "abcdefghij" {
		t.Fatalf("got %s", got)
	}
	cache.Get(t.Context(), "a")
	cache.Add(t.Context(), "k", "22")
	if got := kept(); got != "acdefghijk" {
		t.Errorf("got %s", got)
	}
	cache.Add(t.Context(), "l", "333") // more than a tenth
	if got := kept(); got != "acdefghijk" {
		t.Errorf("got %s", got)
	}
	cache.Add(t.Context(), "a", "1")
	cache.Add(t.Context(), "l", "1")
	if value, _ := cache.Get(t.Context(), "a"); value != "1" || kept() != "acdefghijkl" {
		t.Errorf("got %s, %s", value, kept())
	}
}

func TestACacheIsSharedByRequests(t *testing.T) {
	cache := limit.NewCache(100, length)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 1000 {
				key := fmt.Sprint((i + j) % 30)
				cache.Add(t.Context(), key, key+"-value")
				if value, ok := cache.Get(t.Context(), key); ok && value != key+"-value" {
					t.Errorf("%s: got %s", key, value)
				}
			}
		})
	}
	all.Wait()
}

func TestADocumentIsNotMuchLargerThanItsWeight(t *testing.T) {
	es := newSchema()
	for what, query := range map[string]string{
		"fields":      "{" + each(3_000, " a#:name") + "}",
		"unnamed":     "{" + strings.Repeat(" name", 500) + "}",
		"values":      "{name(list:[[[" + strings.Repeat("1 ", 4_000) + "]]])}",
		"arguments":   "{" + each(1_200, ` a#:name(is:"")`) + "}",
		"variables":   "query(" + each(1_500, " $v#:Int") + "){name(list:[[[" + each(1_500, " $v#") + "]]])}",
		"fragments":   "{" + each(40, " ...F#") + "}" + each(40, " fragment F# on Query{name}"),
		"selections":  "{" + nest(40, "...{", "name", "}") + "}",
		"a text":      `{name(is:"` + strings.Repeat("a", 1<<20) + `")}`,
		"directives":  "{" + each(100, " a#:name @at(n:#)") + "}",
		"usual":       introspection,
		"operations":  each(600, " query Q#{name}"),
		"comments":    strings.Repeat("#\n", 5_000) + "{name}",
		"input":       "{name(in:{" + nest(40, "list:{in:{", "", "}}") + "})}",
		"long fields": "{" + strings.Repeat("self{", 14) + "name" + strings.Repeat("}", 14) + "}",
	} {
		const copies = 20
		docs := make([]*ast.QueryDocument, copies)
		before := inUse()
		for i := range docs {
			var errs error
			if docs[i], errs = parse(es, strings.Clone(query)); errs != nil {
				t.Fatalf("%s: %v", what, errs)
			}
		}
		size, weight := int(inUse()-before)/copies, limit.Bytes(query, docs[0])
		runtime.KeepAlive(docs)
		t.Logf("%s: %d bytes, weight %d", what, size, weight)
		if size > 2*weight {
			t.Errorf("%s: %d bytes, but a weight of %d", what, size, weight)
		}
	}
}

func parse(es schema, query string) (*ast.QueryDocument, error) {
	doc, errs := gqlparser.LoadQueryWithRules(es.ast, query, nil)
	if len(errs) > 0 {
		return nil, errs
	}
	return doc, nil
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
