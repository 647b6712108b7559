package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/session"
	"rollcall/session/sessiontest"
	"rollcall/transport"
)

// runs is the body of a POST for an array of documents.
func runs(documents ...string) string {
	items := make([]string, len(documents))
	for i, d := range documents {
		items[i] = run(d)
	}
	return "[" + strings.Join(items, ",") + "]"
}

// items is the body, which must be exactly one JSON array of so many objects.
func (r reply) items(n int) []string {
	r.tb.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(r.text), &raw); err != nil || r.StatusCode != http.StatusOK || len(raw) != n {
		r.tb.Fatalf("want %d answers, got %d: %s", n, r.StatusCode, r.text)
	}
	texts := make([]string, n)
	for i, text := range raw {
		if texts[i] = string(text); texts[i][0] != '{' {
			r.tb.Fatalf("answer %d is no object: %s", i, text)
		}
	}
	return texts
}

// errorCode is the code of the only error in the text of an answer.
func errorCode(tb testing.TB, text string) string {
	tb.Helper()
	return reply{tb: tb, text: text}.code()
}

func TestAnArrayIsAnsweredInItsOrder(t *testing.T) {
	second := make(chan struct{})
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, fields{
		"wait": func(context.Context) graphql.ResponseHandler {
			<-second // the first item's answer is the last one to come
			return graphql.OneShot(data(`{"wait":1}`))
		},
		"other": func(context.Context) graphql.ResponseHandler {
			close(second)
			return graphql.OneShot(data(`{"other":2}`))
		},
		"write": sequence(data(`{"write":3}`)),
	})
	const want = `[{"data":{"wait":1}},{"data":{"other":2}},{"data":{"write":3}},{"data":{"one":1}}]`
	r := post(t, url, " \n"+runs("{ wait }", "{ other }", "mutation { write }", "{ one }")+" ")
	if r.text != want || r.StatusCode != http.StatusOK || r.media() != jsonType {
		t.Errorf("got %d %s", r.StatusCode, r.text)
	}
}

func TestAnArrayIsAnsweredAsJSONWhateverElseTheClientTakes(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, nil)
	body := runs("{ one }", "{ one")
	for accept, media := range map[string]string{
		"": jsonType, "*/*": jsonType, graphqlType + ", " + jsonType + ";q=0.5": jsonType, graphqlType: graphqlType,
		multipartType + ", " + eventType + ", " + jsonType: jsonType,
	} {
		r := post(t, url, body, "Accept", accept)
		items := r.items(2)
		if r.media() != media || items[0] != `{"data":{"one":1}}` || errorCode(t, items[1]) != "GRAPHQL_PARSE_FAILED" {
			t.Errorf("%s: %s: %s", accept, r.media(), r.text)
		}
	}
	for _, accept := range []string{eventType, multipartType, "text/html"} {
		post(t, url, body, "Accept", accept).wantRefused(http.StatusNotAcceptable, transport.CodeNotAcceptable)
	}
}

func TestAnArrayHoldsNeitherNoneNorTooManyOperations(t *testing.T) {
	const one = "{ one }"
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 2}, fields{"write": func(context.Context) graphql.ResponseHandler {
		t.Error("one of too many operations ran")
		return graphql.OneShot(data("null"))
	}})
	post(t, url, "[]").wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
	post(t, url, runs("mutation { write }", one, one)).wantRefused(http.StatusBadRequest, transport.CodeBatchTooLarge)
	post(t, url, runs(one, one)).items(2)
	post(t, url, runs(one)).items(1)

	url = serveHTTP(t, &transport.HTTP{}, nil)
	post(t, url, runs(one)).wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
	if r := post(t, url, run(one)); r.text != `{"data":{"one":1}}` {
		t.Errorf("no array: %s", r.text)
	}
}

type boundKey struct{}

func TestTheQueriesOfAGroupShareOneSessionAndWhatIsBoundToIt(t *testing.T) {
	var mu sync.Mutex
	var groups []string            // the sessions that something was bound to
	seen := map[any]int{}          // what was bound, by the number of queries that had it
	operations := map[string]int{} // the queries' own sessions
	b := newBank(t, sessiontest.Setup{Extension: func(e *operation.Extension) {
		e.Bind = func(ctx context.Context, _ []*graphql.OperationContext) context.Context {
			op, _ := session.OperationFromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			groups = append(groups, op.Name)
			return context.WithValue(ctx, boundKey{}, new(int))
		}
	}})
	b.Step("tell", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		mu.Lock()
		defer mu.Unlock()
		operations[op.Name]++
		seen[ctx.Value(boundKey{})]++
		return 7, session.DB(ctx).Find(&[]schematest.Counter{}).Error
	})
	queries := make([]string, 20)
	for i := range queries {
		queries[i] = fmt.Sprintf(`query Q%d { run(step: "tell") { value } }`, i)
	}
	for i, text := range post(t, b.URL, runs(queries...)).items(len(queries)) {
		if text != `{"data":{"run":{"value":7}}}` {
			t.Errorf("query %d: %s", i, text)
		}
	}
	if want := []string{"(a group of 20)"}; !slices.Equal(groups, want) || len(seen) != 1 || len(operations) != len(queries) {
		t.Errorf("want one session, %q, with what is bound to it, and %d operations; got %q, %d and %v", want, len(queries), groups, len(seen), operations)
	}
}

func TestMutationsAndSnapshotsAreBarriersBetweenGroups(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf(format, args...))
	}
	b := newBank(t, sessiontest.Setup{Extension: func(e *operation.Extension) {
		e.Bind = func(ctx context.Context, _ []*graphql.OperationContext) context.Context {
			op, _ := session.OperationFromContext(ctx)
			note("%s %s", op.Kind, op.Name)
			return ctx
		}
	}})
	var both sync.WaitGroup
	both.Add(2)
	b.Step("read", func(context.Context) (int, error) {
		both.Done()
		both.Wait() // neither goes on without the other
		note("read")
		return 1, nil
	})
	b.Step("commit", func(ctx context.Context) (int, error) {
		session.AfterCommit(ctx, func() { note("committed") })
		note("write")
		return 1, nil
	})
	const counter = `counter(id: 1) { value }`
	const read, write, snapshot = `query Q { run(step: "read") { value } ` + counter + ` }`, `mutation M { increment(id: 1) { value } run(step: "commit") { value } }`, `query S @snapshot { ` + counter + ` }`
	r := post(t, b.URL, runs(read, read, write, `query A { `+counter+` }`, snapshot, `query B { `+counter+` }`, `query C { `+counter+` }`, write, write, `query D { `+counter+` }`))
	values := []int{0, 0, 1, 1, 1, 1, 1, 2, 3, 3}
	for i, text := range r.items(len(values)) {
		if !strings.Contains(text, fmt.Sprintf(`:{"value":%d}`, values[i])) || strings.Contains(text, "errors") {
			t.Errorf("item %d: want the value %d, got %s", i, values[i], text)
		}
	}
	want := []string{
		"query (a group of 2)", "read", "read",
		"mutation M", "write", "committed",
		"query A", "query S", "query (a group of 2)",
		"mutation M", "write", "committed", "mutation M", "write", "committed",
		"query D",
	}
	if !slices.Equal(events, want) {
		t.Errorf("want %q, got %q", want, events)
	}
}

func TestWhatBecomesOfOneItemChangesNothingForTheOthers(t *testing.T) {
	b := newBank(t, sessiontest.Setup{Extension: func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond }})
	b.Step("good", func(ctx context.Context) (int, error) {
		return 7, session.DB(ctx).Find(&[]schematest.Counter{}).Error
	})
	b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("a failure") })
	b.Step("panic", func(context.Context) (int, error) { panic("in a step") })
	b.Step("late", func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	const good, answer = `{"query":"{ run(step: \"good\") { value } }"}`, `{"data":{"run":{"value":7}}}`
	for what, c := range map[string]struct{ item, text string }{
		"a failed field":             {run(`{ run(step: "fail") { value } }`), `"data":{"run":null}`},
		"a panic":                    {run(`{ run(step: "panic") { value } }`), `panic: in a step`},
		"a panic of a marshaller":    {run(`{ run(step: "good") { loud } }`), `"data":null`},
		"a deadline":                 {run(`{ run(step: "late") { value } }`), `took longer`},
		"a failed mutation":          {run(`mutation { run(step: "fail") { value } }`), `"data":null`},
		"a panic of a mutation":      {run(`mutation { run(step: "panic") { value } }`), `"data":null`},
		"a deadline of a mutation":   {run(`mutation { run(step: "late") { value } }`), `took longer`},
		"a failed snapshot":          {run(`query @snapshot { run(step: "fail") { value } }`), "a failure"},
		"a syntax error":             {run(`{ run`), `"code":"GRAPHQL_PARSE_FAILED"`},
		"a validation error":         {run(`{ walk }`), `"code":"GRAPHQL_VALIDATION_FAILED"`},
		"a subscription":             {run(`subscription { counterChanged(id: 1) { value } }`), `"code":"STREAM_REQUIRED"`},
		"a number":                   {`3`, `"code":"BAD_REQUEST"`},
		"null":                       {`null`, `"code":"BAD_REQUEST"`},
		"an array":                   {`[]`, `"code":"BAD_REQUEST"`},
		"an item without a document": {`{}`, `"code":"BAD_REQUEST"`},
		"a wrong type":               {`{"query":["SECRET"]}`, `"code":"BAD_REQUEST"`},
		"variables that are a list":  {`{"query":"{ accounts { id } }","variables":["SECRET"]}`, `"code":"BAD_REQUEST"`},
	} {
		items := post(t, b.URL, "["+good+","+c.item+","+good+"]", "Accept", graphqlType).items(3)
		if items[0] != answer || items[2] != answer {
			t.Errorf("beside %s: %s and %s", what, items[0], items[2])
		}
		if !strings.Contains(items[1], c.text) || strings.Contains(items[1], "SECRET") || !strings.HasPrefix(items[1], `{"errors":[`) {
			t.Errorf("%s: got %s", what, items[1])
		}
		b.WantIdle()
	}
}

func TestAPanicThatNobodyElseRecoversIsTheAnswerOfItsItem(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, fields{
		"wait": func(context.Context) graphql.ResponseHandler { panic("early") },
		"other": func(context.Context) graphql.ResponseHandler {
			return func(context.Context) *graphql.Response { panic("late") }
		},
		"write": func(context.Context) graphql.ResponseHandler { panic("in a mutation") },
	})
	items := post(t, url, runs("{ one }", "{ wait }", "{ other }", "mutation { write }", "{ one }")).items(5)
	for i, word := range []string{`{"data":{"one":1}}`, "recovered: early", "recovered: late", "recovered: in a mutation", `{"data":{"one":1}}`} {
		if !strings.Contains(items[i], word) {
			t.Errorf("item %d: want %s, got %s", i, word, items[i])
		}
	}
}

func TestNothingIsDeferredInAnArray(t *testing.T) {
	b := newBank(t, sessiontest.Setup{})
	b.Step("late", func(context.Context) (int, error) { return 7, nil })
	const deferred = `{ account(id: 1) { id ... @defer { run(step: "late") { value } } } }`
	for _, documents := range [][]string{{deferred}, {deferred, deferred}} {
		for _, text := range post(t, b.URL, runs(documents...), "Accept", multipartType+", "+eventType+", "+jsonType).items(len(documents)) {
			if text != `{"data":{"account":{"id":"1","run":{"value":7}}}}` {
				t.Errorf("of %d: %s", len(documents), text)
			}
		}
	}
}

func TestAClientThatGoesAwayFromAnArrayLeavesNothingBehind(t *testing.T) {
	serving := make(chan struct{})
	b := newBank(t, sessiontest.Setup{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(serving)
			next.ServeHTTP(w, r)
		})
	}})
	started, ended := make(chan struct{}), make(chan struct{})
	b.Step("stall", func(ctx context.Context) (int, error) {
		started <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return 0, ctx.Err()
	})
	b.Step("never", func(context.Context) (int, error) {
		t.Error("an operation ran although the client had gone")
		return 1, nil
	})
	const stall = `{ run(step: "stall") { value } accounts { id } }`
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL,
		strings.NewReader(runs(stall, stall, `mutation { increment(id: 1) { value } run(step: "never") { value } }`, `{ run(step: "never") { value } }`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	gone := make(chan error)
	go func() {
		res, err := b.Server.Client().Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		gone <- err
	}()
	for range 2 {
		receive(t, "the queries", started)
	}
	leave()
	if err := receive(t, "the client", gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 2 {
		receive(t, "the end of the queries", ended)
	}
	receive(t, "the end of the request", serving)
	b.WantIdle()
	if n := b.Counter(1); n != 0 {
		t.Errorf("the mutation is stored: %d", n)
	}
}
