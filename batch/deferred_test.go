package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const mixed = "multipart/mixed"

// incremental returns the parts of a deferred answer after the first, as "path label data", sorted.
func incremental(t *testing.T, p *parts) (all []string) {
	t.Helper()
	for line := p.next(); line != ""; line = p.next() {
		var part struct {
			Incremental []struct {
				Path   []any
				Label  string
				Data   json.RawMessage
				Errors []any
			}
		}
		if err := json.Unmarshal([]byte(line), &part); err != nil {
			t.Fatal(err)
		}
		for _, i := range part.Incremental {
			if len(i.Errors) > 0 {
				t.Errorf("got %s", line)
			}
			all = append(all, fmt.Sprint(i.Path, i.Label, string(i.Data)))
		}
	}
	slices.Sort(all)
	return all
}

func TestEachDeferredGroupIsFollowedByItselfAndLater(t *testing.T) {
	l := serve(t)
	seen := make(chan struct{}) // the first part
	l.fetch = func(_ context.Context, relation string, keys []string) error {
		if relation == "books" || keys[0] != "1" {
			<-seen
		}
		return nil
	}
	p := l.stream(t.Context(), t, mixed, `{ authors(ids: [1, 2]) { id
		... @defer(label: "rivals") { name rival { name rival { name } } }
		... @defer(label: "works") { books(first: 2) { title author { name } } } } }`)
	if got := p.next(); !strings.HasPrefix(got, `{"data":{"authors":[{"id":"1","name":"A1","rival":null`) {
		t.Errorf("got %s", got)
	}
	close(seen)
	want := []string{
		`[authors 0]rivals{"rival":{"name":"A11","rival":{"name":"A21"}}}`,
		`[authors 0]works{"books":[{"title":"B101","author":{"name":"A1"}},{"title":"B102","author":{"name":"A1"}}]}`,
		`[authors 1]rivals{"rival":{"name":"A12","rival":{"name":"A22"}}}`,
		`[authors 1]works{"books":[{"title":"B201","author":{"name":"A2"}},{"title":"B202","author":{"name":"A2"}}]}`,
	}
	if got := incremental(t, p); !slices.Equal(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
	l.wantBatches(t, "authors[1 2]", "authors[11 12]", "authors[21 22]", "books[1/2 2/2]")
}

func TestGroupsWithOtherLabelsAreOtherGroups(t *testing.T) {
	l := serve(t)
	p := l.stream(t.Context(), t, mixed, `{ authors(ids: [1, 2]) { ... @defer(label: "one") { one: books(first: 1) { id } } ... @defer(label: "two") { two: books(first: 2) { id } } } }`)
	p.next()
	if got := incremental(t, p); len(got) != 4 {
		t.Errorf("got %q", got)
	}
	l.wantBatches(t, "authors[1 2]", "books[1/1 2/1]", "books[1/2 2/2]")
}

func TestADeferredGroupWithinAnotherIsFollowedByItself(t *testing.T) {
	l := serve(t)
	p := l.stream(t.Context(), t, mixed, `{ authors(ids: [1, 2]) { id
		... @defer { rival { id books { title } ... @defer(label: "inner") { rival { name } } } } } }`)
	p.next()
	want := []string{
		`[authors 0 rival]inner{"rival":{"name":"A21"}}`,
		`[authors 0]{"rival":{"id":"11","books":[{"title":"B1101"}],"rival":null}}`,
		`[authors 1 rival]inner{"rival":{"name":"A22"}}`,
		`[authors 1]{"rival":{"id":"12","books":[{"title":"B1201"}],"rival":null}}`,
	}
	if got := incremental(t, p); !slices.Equal(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
	l.wantBatches(t, "authors[1 2]", "authors[11 12]", "books[11/1 12/1]", "authors[21 22]")
}

func TestWhatIsDeferredAtTheRootOrAlsoWantedAtOnceIsNotPutOff(t *testing.T) {
	l := serve(t)
	p := l.stream(t.Context(), t, mixed, `{ a: author(id: 1) { rival { name } ... @defer { rival { id } } }
		... @defer { b: author(id: 2) { rival { name } } } }`)
	if got := p.next(); !strings.HasPrefix(got, `{"data":{"a":{"rival":{"name":"A11","id":"11"}},"b":{"rival":{"name":"A12"}}}`) {
		t.Errorf("got %s", got)
	}
	l.wantBatches(t, "authors[1 2]", "authors[11 12]")
}
