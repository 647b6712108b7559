package sessiontest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/session"
)

// The media types of the transports.
const (
	plain = "application/json"
	parts = "multipart/mixed"
	sse   = "text/event-stream"
)

// stream is an answer that comes in parts.
type stream struct {
	body      io.ReadCloser
	multipart *multipart.Reader
	lines     *bufio.Scanner
	over      bool
}

// stream posts an operation whose answer is accepted as a media type.
func (b *Bank) stream(ctx context.Context, accept, query string) *stream {
	b.tb.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		b.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(body))
	if err != nil {
		b.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	res, err := b.Server.Client().Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { _ = res.Body.Close() })
	s := &stream{body: res.Body}
	switch got := res.Header.Get("Content-Type"); {
	case strings.HasPrefix(got, parts):
		s.multipart = multipart.NewReader(res.Body, "-")
	case strings.HasPrefix(got, sse):
		s.lines = bufio.NewScanner(res.Body)
	case accept != plain:
		b.tb.Fatalf("want %s, got %s", accept, got)
	}
	return s
}

// next returns the next part, or "" at the end.
func (s *stream) next() string {
	switch {
	case s.multipart != nil:
		part, err := s.multipart.NextPart()
		if err != nil {
			return ""
		}
		raw, _ := io.ReadAll(part)
		return string(raw)
	case s.lines != nil:
		for s.lines.Scan() {
			if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
				return data
			}
		}
	case !s.over:
		s.over = true
		raw, _ := io.ReadAll(s.body)
		return string(raw)
	}
	return ""
}

// rest returns all parts that are left, on a line each.
func (s *stream) rest(tb testing.TB) string {
	tb.Helper()
	all := make(chan string, 1)
	go func() {
		var left []string
		for part := s.next(); part != ""; part = s.next() {
			left = append(left, part)
		}
		all <- strings.Join(left, "\n")
	}()
	return receive(tb, "the last part", all)
}

func refusedSubscription(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	resolver := make(chan context.Context, 1)
	b.Step("subscribe", func(ctx context.Context) (int, error) {
		resolver <- ctx
		return 0, session.Do(ctx, func(tx *gorm.DB) error {
			if len(session.Holding(b.Reads)) != 1 {
				t.Error("the resolver's session holds nothing")
			}
			return tx.Exec("no statement").Error
		})
	})
	s := b.stream(t.Context(), sse, `subscription Refused { counterChanged(id: 1) { value } }`)
	if answer := s.rest(t); !strings.Contains(answer, `"errors"`) {
		t.Errorf("want an error, got %s", answer)
	}
	b.WantIdle()
	wantClosed(t, <-resolver, "Refused", "subscription")
}

// wantClosed fails unless a session refuses every use with an error that names its operation.
func wantClosed(tb testing.TB, ctx context.Context, name, kind string) {
	tb.Helper()
	uses := map[string]func() error{
		"Find":  func() error { return session.DB(ctx).Find(&[]struct{ ID int }{}).Error },
		"Raw":   func() error { return session.DB(ctx).Raw("SELECT 1").Find(&[]struct{ ID int }{}).Error },
		"Do":    func() error { return session.Do(ctx, func(*gorm.DB) error { return nil }) },
		"Query": func() error { return session.Query(ctx, "SELECT 1", nil, ignore) },
	}
	if kind == "mutation" || kind == session.Write.String() {
		uses["Exec"] = func() error { return Add(session.DB(ctx), "counters", "value", 1, 1) }
	}
	for use, try := range uses {
		err := try()
		var closed *session.ClosedError
		if !errors.As(err, &closed) {
			tb.Errorf("%s after the end: want a ClosedError, got %v", use, err)
			continue
		}
		op := closed.Operation
		if op.Name != name || op.Kind != kind || op.ID == "" || !strings.Contains(err.Error(), op.String()) {
			tb.Errorf("%s after the end of %s: got the operation %+v and %v", use, name, op, err)
		}
	}
}

// worlds are the contexts in which fields were resolved.
type worlds struct {
	mu   sync.Mutex
	seen []context.Context
}

func (w *worlds) note(ctx context.Context, next graphql.Resolver) (any, error) {
	if field := graphql.GetFieldContext(ctx).Field.Name; field == "value" || field == "counterChanged" {
		w.mu.Lock()
		w.seen = append(w.seen, ctx)
		w.mu.Unlock()
	}
	return next(ctx)
}

func events(t *testing.T, backend Backend) {
	w := &worlds{}
	b := NewBank(t, backend, Setup{Server: func(srv *handler.Server) { srv.AroundFields(w.note) }})
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	s := b.stream(ctx, sse, `subscription Watch { counterChanged(id: 1) { value } }`)
	for value := range 3 {
		b.Exec(fmt.Sprintf("UPDATE counters SET value = %d WHERE id = 1", value))
		select {
		case b.Events <- 1:
		case <-time.After(20 * time.Second):
			t.Fatal("nobody takes the event")
		}
		if part, want := s.next(), fmt.Sprintf(`{"value":%d}`, value); !strings.Contains(part, want) {
			t.Errorf("event %d: want %s, got %s", value, want, part)
		}
	}
	hangUp()
	b.WantIdle()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) != 4 {
		t.Fatalf("want a session for the resolver and one for each of 3 events, got %d", len(w.seen))
	}
	for i, one := range w.seen {
		for _, other := range w.seen[:i] {
			s1, _ := session.FromContext(one)
			s2, _ := session.FromContext(other)
			if s1 == nil || s1 == s2 || one.Value(loaderKey{}) == other.Value(loaderKey{}) {
				t.Errorf("session or loaders %d have served before", i)
			}
		}
		if i < len(w.seen)-1 { // the last may be ending still
			wantClosed(t, one, "Watch", "subscription")
		}
	}
}

// deferring are the ways to defer run(step: "late") below run(step: "early").
var deferring = []string{
	`run(step: "early") { value ... @defer(label: "l") { run(step: "late") { value } } }`,
	`run(step: "early") { value ... @ defer { run(step: "late") { value } } }`,
	`run(step: "early") { value ...Late @defer }`,
	`run(step: "early") { value ... { ...Nested } }`,
}

// fragments are those that deferring uses.
const fragments = ` fragment Late on Step { run(step: "late") { value } } fragment Nested on Step { ... on Step @defer { ...Late @defer } }`

// selection is an operation that defers in one of the ways.
func selection(operation, way string) string {
	q := fmt.Sprintf("%s { %s }", operation, way)
	switch {
	case strings.Contains(way, "Nested"):
		return q + fragments
	case strings.Contains(way, "Late"):
		return q + strings.Split(fragments, " fragment Nested")[0]
	}
	return q
}

// wantOne fails unless an answer is one part that has everything.
func wantOne(tb testing.TB, what, answer string) {
	tb.Helper()
	if strings.Contains(answer, "\n{") || strings.Contains(answer, "hasNext") || strings.Contains(answer, "errors") ||
		!strings.Contains(answer, `"run":{"value":1,"run":{"value":2}}`) {
		tb.Errorf("%s: want one part with everything, got %s", what, answer)
	}
}

// cached lets documents be shared between operations, as a real server does.
func cached(srv *handler.Server) { srv.SetQueryCache(lru.New[*ast.QueryDocument](100)) }

func deferredInMutation(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Server: cached})
	var fail atomic.Bool
	b.Step("early", func(ctx context.Context) (int, error) { return 1, Add(session.DB(ctx), "counters", "value", 1, 1) })
	b.Step("late", func(ctx context.Context) (int, error) {
		if err := Add(session.DB(ctx), "counters", "value", 1, 1); err != nil {
			return 0, err
		}
		if n := b.count("SELECT value FROM counters WHERE id = 1"); n != 0 {
			t.Errorf("what was deferred is resolved after the commit: %d is stored", n)
		}
		if fail.Load() {
			return 0, errors.New("too late")
		}
		return 2, nil
	})
	for _, accept := range []string{plain, parts, sse} {
		for _, way := range deferring {
			query := selection("mutation", way)
			wantOne(t, accept+" "+query, b.stream(t.Context(), accept, query).rest(t))
			if value := b.Counter(1); value != 2 {
				t.Errorf("%s: %s: want 2 stored, got %d", accept, query, value)
			}
			b.Exec("UPDATE counters SET value = 0 WHERE id = 1")

			fail.Store(true)
			answer := b.stream(t.Context(), accept, query).rest(t)
			if !strings.Contains(answer, `"data":null`) || !strings.Contains(answer, "too late") || b.Counter(1) != 0 {
				t.Errorf("%s: %s: want data: null and nothing stored, got %s, %d", accept, query, answer, b.Counter(1))
			}
			fail.Store(false)
		}
	}
	b.WantIdle()
}

func deferredInOneResponse(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Server: cached})
	b.Step("early", func(context.Context) (int, error) { return 1, nil })
	b.Step("late", func(ctx context.Context) (int, error) { return 2, b.read(ctx) })
	for _, way := range deferring {
		query := selection("query", way)
		wantOne(t, query, b.stream(t.Context(), plain, query).rest(t))
		// The document is cached now; that it was answered in one part here changes nothing elsewhere, nor the reverse.
		if answer := b.stream(t.Context(), parts, query).rest(t); !strings.Contains(answer, "hasNext") {
			t.Errorf("%s: want several parts, got %s", query, answer)
		}
		wantOne(t, query, b.stream(t.Context(), plain, query).rest(t))

		// A client that would take parts does not get them by GET.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"?query="+url.QueryEscape(query), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "multipart/mixed;deferSpec=20220824, application/json")
		res, err := b.Server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		wantOne(t, "GET "+query, string(raw))
	}
	b.WantIdle()
	wantGone(t)
}

// read is a statement of an operation.
func (b *Bank) read(ctx context.Context) error {
	var rows []struct{ ID int }
	return session.DB(ctx).Raw("SELECT id FROM accounts").Find(&rows).Error
}

func deferredInSnapshot(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	var first atomic.Pointer[session.Session]
	b.Step("early", func(ctx context.Context) (int, error) {
		s, err := session.FromContext(ctx)
		first.Store(s)
		return 1, errors.Join(err, b.read(ctx))
	})
	b.Step("late", func(ctx context.Context) (int, error) {
		if s, _ := session.FromContext(ctx); s != first.Load() {
			t.Error("what was deferred has another session")
		}
		if ops := session.Holding(b.Reads); len(ops) != 1 {
			t.Errorf("the transaction has ended before: %v", ops)
		}
		return 2, b.read(ctx)
	})
	for _, accept := range []string{plain, parts, sse} {
		for _, way := range deferring {
			query := selection("query @snapshot", way)
			wantOne(t, accept+" "+query, b.stream(t.Context(), accept, query).rest(t))
			b.WantIdle()
		}
	}
}

func deferredInStream(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	for _, accept := range []string{parts, sse} {
		firstRead, late := make(chan struct{}), make(chan context.Context, 1)
		b.Step("early", func(context.Context) (int, error) { return 1, nil })
		b.Step("late", func(ctx context.Context) (int, error) {
			<-firstRead
			late <- ctx
			return 2, b.read(ctx)
		})
		s := b.stream(t.Context(), accept, `query Streamed { run(step: "early") { value ... @defer { run(step: "late") { value } } } }`)
		if part := s.next(); !strings.Contains(part, `"run":{"value":1}`) || !strings.Contains(part, `"hasNext":true`) {
			t.Errorf("%s: want a first part without what is deferred, got %s", accept, part)
		}
		close(firstRead) // only now, with the first part sent, is a statement run
		if rest := s.rest(t); !strings.Contains(rest, `"run":{"value":2}`) || !strings.Contains(rest, `"hasNext":false`) || strings.Contains(rest, "errors") {
			t.Errorf("%s: want the deferred part, got %s", accept, rest)
		}
		b.WantIdle()
		wantClosed(t, <-late, "Streamed", "query")
	}
	wantGone(t)
}

// deferredTwice are queries that defer one field more than once under one label or none, and the labels of their parts.
var deferredTwice = []struct {
	query  string
	labels []string
}{
	{`{ run(step: "early") { value ... @defer { late: run(step: "late") { value } } ... @defer { late: run(step: "late") { value } } } }`, nil},
	{`{ run(step: "early") { value ... @defer(label: "l") { late: run(step: "late") { value } } ... @defer(label: "l") { late: run(step: "late") { value } } } }`, []string{"l", "l"}},
	{`query ($l: String = "v") { run(step: "early") { value ... @defer(label: $l, if: true) { late: run(step: "late") { value } } } }`, []string{"v"}},
	{`{ run(step: "early") { value ... @defer(label: "o") { ... @defer { late: run(step: "late") { value } } } } }`, []string{"o"}},
	{`{ run(step: "early") { value ...A ...B } } fragment A on Step { ...L @defer(label: "l") } fragment B on Step { ...L @defer(label: "l") ... @defer { late: run(step: "late") { value } } } fragment L on Step { late: run(step: "late") { value } }`, []string{"l"}},
}

func deferredTwiceInStream(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Server: cached, Extension: func(e *operation.Extension) { e.Deadline = 20 * time.Second }})
	b.Step("early", func(context.Context) (int, error) { return 1, nil })
	b.Step("late", func(ctx context.Context) (int, error) { return 2, b.read(ctx) })
	for _, accept := range []string{parts, sse} {
		for _, c := range deferredTwice {
			for range 2 { // the second time the document is cached
				answer := b.stream(t.Context(), accept, c.query).rest(t)
				if strings.Count(answer, `{"value":2}`) != 1 || !strings.Contains(answer, `"hasNext":false`) || strings.Contains(answer, "errors") {
					t.Errorf("%s: %s: want the deferred field once, got %s", accept, c.query, answer)
				}
				if got := labelsOf(answer); !slices.Equal(got, c.labels) {
					t.Errorf("%s: %s: want the labels %v, got %v in %s", accept, c.query, c.labels, got, answer)
				}
			}
			b.WantIdle()
			wantGone(t)
		}
	}
}

// deferredEach are queries, the first part of their answers and the others, each as "path label data", sorted.
var deferredEach = []struct {
	query, first string
	others       []string
}{
	{
		`{ run(step: "early") { ... @defer(label: "sent") { value } ... @defer(label: "late") { run(step: "late") { value } } } }`,
		`{"run":{"value":1}}`,
		[]string{`run late {"run":{"value":2}}`, `run sent {"value":1}`},
	},
	{
		`{ run(step: "early") { value ... @defer(label: "all") { value } } }`,
		`{"run":{"value":1}}`,
		[]string{`run all {"value":1}`},
	},
	{
		`{ run(step: "early") { value ... @defer { v: value } } }`,
		`{"run":{"value":1,"v":1}}`,
		[]string{`run  {"v":1}`},
	},
	{
		`{ ... @defer(label: "root") { run(step: "early") { value } } }`,
		`{"run":{"value":1}}`,
		[]string{` root {"run":{"value":1}}`},
	},
	{
		`query ($no: Boolean = false) { run(step: "early") { value ... @defer(if: $no, label: "not") { v: value } ... @defer(label: "skipped") { w: value @skip(if: true) } } }`,
		`{"run":{"value":1,"v":1}}`, nil,
	},
	{ // both of them and beside what is not deferred
		`{ run(step: "early") { run(step: "late") { value } ...A @defer(label: "a") ... @defer(label: "b") { run(step: "late") { value } } } } fragment A on Step { value }`,
		`{"run":{"run":{"value":2},"value":1}}`,
		[]string{`run a {"value":1}`, `run b {"run":{"value":2}}`},
	},
	{ // within what is deferred itself
		`{ run(step: "early") { value ... @defer(label: "outer") { run(step: "late") { value ... @defer(label: "sent") { v: value } ... @defer(label: "inner") { run(step: "late") { value } } } } } }`,
		`{"run":{"value":1}}`,
		[]string{`run outer {"run":{"value":2,"v":2}}`, `run.run inner {"run":{"value":2}}`, `run.run sent {"v":2}`},
	},
}

func deferredEachInStream(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Server: cached, Extension: func(e *operation.Extension) { e.Deadline = 20 * time.Second }})
	b.Step("early", func(ctx context.Context) (int, error) { return 1, b.read(ctx) })
	b.Step("late", func(context.Context) (int, error) { return 2, nil })
	for _, accept := range []string{parts, sse} {
		for _, c := range deferredEach {
			for range 2 { // the second time the document is cached
				first, others := taken(t, b.stream(t.Context(), accept, c.query))
				if first != c.first || !slices.Equal(others, c.others) {
					t.Errorf("%s: %s: want %s and %q, got %s and %q", accept, c.query, c.first, c.others, first, others)
				}
			}
			first, others := taken(t, b.stream(t.Context(), accept, `{ accounts { id ... @defer(label: "each") { balance } } }`))
			if n := strings.Count(first, `"balance":`); n < 2 || len(others) != n || !slices.Contains(others, fmt.Sprintf(`accounts.%d each {"balance":1000}`, n-1)) {
				t.Errorf("%s: got %d accounts and %q", accept, n, others)
			}
			b.WantIdle()
			wantGone(t)
		}
	}
}

// taken takes all parts of an answer.
func taken(t *testing.T, s *stream) (first string, others []string) {
	t.Helper()
	type part struct {
		Data        json.RawMessage
		Path        []any
		Label       string
		Errors      []any
		Incremental []part
		HasNext     *bool
	}
	more := false
	for text, i := s.next(), 0; text != ""; text, i = s.next(), i+1 {
		var p part
		if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.Errors) > 0 || i > 0 && !more {
			t.Fatalf("got %s, %v; was it promised? %t", text, err, more)
		}
		more = p.HasNext != nil && *p.HasNext
		if i == 0 {
			first = string(p.Data)
			continue
		}
		if p.Incremental == nil {
			p.Incremental = []part{p}
		}
		for _, p := range p.Incremental {
			var path []string
			for _, element := range p.Path {
				path = append(path, fmt.Sprint(element))
			}
			others = append(others, fmt.Sprintf("%s %s %s", strings.Join(path, "."), p.Label, p.Data))
		}
	}
	if more {
		t.Error("the last part promises another")
	}
	slices.Sort(others)
	return first, others
}

// labelsOf returns the labels in an answer, sorted.
func labelsOf(answer string) (labels []string) {
	for _, match := range regexp.MustCompile(`"label":"(.*?)"`).FindAllStringSubmatch(answer, -1) {
		labels = append(labels, match[1])
	}
	slices.Sort(labels)
	return labels
}

func deferredInEvent(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	s := b.stream(ctx, sse, `subscription { counterChanged(id: 1) { id ... @defer { value } } }`)
	for range 2 {
		b.Events <- 1
		if part := s.next(); !strings.Contains(part, `"value":0`) || strings.Contains(part, "hasNext") {
			t.Errorf("want everything in the event, got %s", part)
		}
	}
	hangUp()
	b.WantIdle()
	wantGone(t)
}

// wantGone fails unless every goroutine of the engine and of the session ends.
func wantGone(tb testing.TB) {
	tb.Helper()
	var left string
	working := func() bool {
		left = ""
		for stack := range strings.SplitSeq(goroutines(), "\n\n") {
			for _, own := range []string{"rollcall/session.(", "rollcall/operation.(", "gqlgen/graphql."} {
				if strings.Contains(stack, own) {
					left = stack
					return true
				}
			}
		}
		return false
	}
	for end := time.Now().Add(20 * time.Second); working(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("a goroutine is left:\n%s", left)
		}
	}
}

// twice defers run(step: "stuck") two times, so that one part has to wait for the other to be sent.
const twice = `query CutOff { run(step: "early") {
	value
	... @defer(label: "a") { run(step: "stuck") { value run(step: "early") { value ... @defer(label: "c") { again: run(step: "stuck") { value } } } } }
	... @defer(label: "b") { b: run(step: "stuck") { value } }
	... @defer(label: "d") { d: run(step: "early") { value } }
} }`

func deferredCutOff(t *testing.T, backend Backend) {
	release := make(chan struct{})
	type step = func(context.Context) (int, error)
	stuck := []struct {
		name string
		step func(b *Bank) step
	}{
		{"a resolver that waits for the end", func(*Bank) step {
			return func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			}
		}},
		{"a long statement", func(b *Bank) step {
			return func(ctx context.Context) (int, error) { return 0, b.Sleep(session.DB(ctx)) }
		}},
		{"a resolver that takes no notice", func(*Bank) step { // the last, since it is there until it is released
			return func(context.Context) (int, error) { <-release; return 0, nil }
		}},
	}
	late := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Deadline = 200 * time.Millisecond }})
	x := newExchange()
	patient := NewBank(t, backend, Setup{Wrap: x.wrap})
	for _, b := range []*Bank{late, patient} {
		b.Step("early", func(context.Context) (int, error) { return 1, nil })
	}
	for i, c := range stuck {
		late.Step("stuck", c.step(late))
		patient.Step("stuck", c.step(patient))
		for _, accept := range []string{parts, sse} {
			answer := late.stream(t.Context(), accept, twice).rest(t)
			if !strings.Contains(answer, "took longer than") || !strings.Contains(answer, `"hasNext":false`) {
				t.Errorf("%s: %s: want a last part that tells the deadline, got %s", accept, c.name, answer)
			}
			late.WantIdle()

			ctx, hangUp := context.WithCancel(t.Context())
			s := patient.stream(ctx, accept, twice)
			l := receive(t, "the request", x.requests)
			if part := s.next(); !strings.Contains(part, `"hasNext":true`) {
				t.Errorf("%s: %s: want a first part, got %s", accept, c.name, part)
			}
			hangUp()
			receive(t, "the handler's end", l.answer)
			patient.WantIdle()
		}
		if i == len(stuck)-1 {
			close(release)
		}
		wantGone(t)
	}
}

func deferredPanic(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.Step("early", func(context.Context) (int, error) { return 1, nil })
	for _, accept := range []string{parts, sse} {
		for _, query := range []string{
			`{ run(step: "early") { value ... @defer { run(step: "early") { loud } } ... @defer(label: "b") { b: run(step: "early") { value } } } }`,
			`{ run(step: "early") { loud ... @defer { run(step: "early") { value } } } }`,
		} {
			answer := b.stream(t.Context(), accept, query).rest(t)
			if strings.Count(answer, "internal server error") != 1 || strings.Contains(answer, `"hasNext":true`) != strings.Contains(answer, `"hasNext":false`) {
				t.Errorf("%s: %s: want one error and an end, got %s", accept, query, answer)
			}
			b.WantIdle()
			wantGone(t)
		}
	}
	b.Must(`{ run(step: "early") { value } }`)
}
