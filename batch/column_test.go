package batch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"rollcall/batch"
)

func TestColumnsAreThoseThatTheOperationNeedsAnywhere(t *testing.T) {
	for _, c := range []struct{ what, query, want string }{
		{"every reader's", `{ author(id: 1) { id } }`, "[id] [id] [id]"},
		{"all levels'", `{ author(id: 1) { id rival { name } books { author { id } } } }`, "[id name rival_id] [id author_id] [id]"},
		{"an interface's, for all its types", `{ author(id: 1) { id } item(id: 101) { title } }`, "[id] [id title] [id title]"},
		{"an interface's beside a type's", `{ author(id: 1) { id } item(id: 1001) { ... on Book { title } title } }`, "[id] [id title] [id title]"},
		{"fragments'", `{ author(id: 1) { ...A ...A } item(id: 101) { ... on Book { author { ...A } } } } fragment A on Author { ... { name } }`, "[id name] [id author_id] [id]"},
		{
			"without what is skipped", `query($yes: Boolean = true, $no: Boolean! = false) { author(id: 1) {
			id name @skip(if: $yes) ... @include(if: $no) { rival { id } } ...A @skip(if: true) } item(id: 101) { title @include(if: $yes) @skip(if: $no) } } fragment A on Author { name }`,
			"[id] [id title] [id title]",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := serveFromPlan(t)
			l.fetch = func(ctx context.Context, relation string, _ []string) error {
				if got := columns(ctx); got != c.want {
					t.Errorf("want %s, got %s in a batch of %s", c.want, got, relation)
				}
				return nil
			}
			if a := l.ask(t, c.query); len(a.Errors) > 0 {
				t.Errorf("got %v", a.Errors)
			}
		})
	}
}

// everyColumn is what columns returns of whole rows.
const everyColumn = "[id name rival_id] [id title author_id] [id title editor_id]"

func columns(ctx context.Context) string {
	return fmt.Sprint(batch.Columns(ctx, "Author"), batch.Columns(ctx, "Book"), batch.Columns(ctx, "Magazine"))
}

func TestOutsideAnOperationEveryColumnIsNeeded(t *testing.T) {
	ctx, _ := batch.NewSet(t.Context(), newLibrary().plan)
	if got, want := columns(ctx), everyColumn; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

func TestColumnsWithoutASetPanicWithAdvice(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "make one with NewSet") {
			t.Errorf("got %s", got)
		}
	}()
	batch.Columns(t.Context(), "Author")
}
