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
	p := l.stream(t.Context(), t, mixed, `{ authors(ids: [1, 2, 3]) { id
		... @defer(label: "rivals") { name rival { name rival { name } } }
		... @defer(label: "works") { books(first: 2) { title author { name } } } } }`)
	if got := p.next(); !strings.HasPrefix(got, `{"data":{"authors":[{"id":"1","name":"A1","rival":null`) {
		t.Errorf("got %s", got)
	}
	l.wantBatches(t, "authors[1 2 3]", "authors[11 12 13]")
}
