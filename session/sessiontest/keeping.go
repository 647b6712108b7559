package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/idempotency"
	"rollcall/operation"
	"rollcall/session"
)

// keeping: what idempotency keys promise.
var keeping = []promise{
	{name: "A mutation that is sent again with its key runs once, and has the first answer, byte for byte", test: replays, graphql: headers},
	{name: "A key costs a mutation two statements, its replay two in all, and others none", test: keysAreCounted, graphql: headers},
	{name: "A key is one mutation's: another document, operation or variables are a mismatch", test: mismatches, graphql: headers},
	{name: "What is not stored keeps no key: an error, a panic, a dry run", test: nothingKept, graphql: headers},
	{name: "Of many that are sent at once with one key, to two servers, one runs", test: keptAtOnce, graphql: headers},
	{name: "Who waits for a key until the deadline is told so, and holds no connection", test: waitsInVain, graphql: headers},
	{
		name: "Who waits for another server's key until the deadline is told so", test: waitsForAnother, graphql: headers,
		absent: map[string]string{"sqlite": "one writer at a time: it waits for the database, whoever has it"},
	},
	{name: "A mutation with a key that loses a conflict runs again, and what the last attempt answers is kept", test: keptAgain, graphql: headers},
	{name: "An answer that is too large to be kept is an error, and nothing is stored", test: tooLargeToKeep, graphql: headers},
	{name: "A key that cannot be one is refused, and read of mutations alone", test: noKeys, graphql: headers},
	{name: "Each viewer has keys of their own", test: keysOfViewers, graphql: headers},
	{name: "After OUTCOME_UNKNOWN the same key has the answer if it was stored", test: unknownThenReplayed, absent: cannotBeCut, graphql: headers},
	{name: "An answer is not replayed unless its COMMIT is known to be everywhere, and the next try replays it", test: lostReplay, absent: cannotBeCut, graphql: headers},
	{name: "After OUTCOME_UNKNOWN the same key runs if it was not stored, once that is certain", test: unknownThenRun, absent: cannotBeCut, graphql: headers},
	{name: "What Run does with a key it does once", test: runWithKey, only: byRun},
	{name: "Old keys are swept, and others stay", test: sweptKeys, only: byRun},
}

const headers = "Run has no request with a header: it is told a key by idempotency.Mutation"

// another serves the bank by another server, as another process would.
func (b *Bank) another(change func(*operation.Extension)) (url string) {
	e := b.extension()
	e.Keys = &idempotency.Keys{}
	if change != nil {
		change(&e)
	}
	server := httptest.NewServer(b.handler(Setup{}, e))
	b.tb.Cleanup(server.Close)
	return server.URL
}

// keysKept returns how many keys are stored.
func (b *Bank) keysKept() (n int) {
	b.tb.Helper()
	n, err := b.beside(context.Background(), "SELECT COUNT(*) FROM idempotency_keys")
	if err != nil {
		b.tb.Fatal(err)
	}
	return n
}

// wantReplay fails unless an answer is the first one.
func wantReplay(tb testing.TB, first, again Answer) {
	tb.Helper()
	if again.Raw != first.Raw || again.Header.Get("Idempotent-Replayed") != "true" {
		tb.Errorf("want a replay of %s, got %s with %v", first.Raw, again.Raw, again.Header)
	}
}

func replays(t *testing.T, backend Backend) {
	var ids sync.Map // of operations, by name
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
		e.Observe = func(op session.Operation, _ operation.Report) { ids.LoadOrStore(op.Name, op.ID) }
	}})
	text := `a "quoted" <&> \u{1F600}`
	var hooks counter
	b.Step("hook", func(ctx context.Context) (int, error) { session.AfterCommit(ctx, hooks.add); return 7, nil })
	for i, s := range []Sent{
		{Query: `mutation M0 { increment(id: 1) { value } run(step: "hook") { value } }`, Key: "bare-key"},
		{Query: `mutation M1($k: String!) @idempotent(key: $k) { increment(id: 1) { value } run(step: "hook") { value } }`, Variables: map[string]any{"k": text}},
		{Query: `mutation M2 @idempotent(key: "same") { increment(id: 1) { value } run(step: "hook") { value } }`, Key: `"same"`},
	} {
		first := b.Post(s)
		if !first.OK() || first.Header.Get("Idempotent-Replayed") != "" || !strings.Contains(first.Raw, fmt.Sprintf(`"value":%d}`, i+1)) {
			t.Errorf("got %s, %v", first.Raw, first.Header)
		}
		id, _ := ids.Load(fmt.Sprint("M", i))
		for range 3 {
			again := b.Post(s)
			wantReplay(t, first, again)
			if again.Header.Get("Operation-Id") != id {
				t.Errorf("want the first operation's id %v, got %v", id, again.Header)
			}
		}
		if n := b.Counter(1); n != i+1 || int(hooks.n.Load()) != i+1 {
			t.Errorf("after %d mutations the counter is %d and %d hooks ran", i+1, n, hooks.n.Load())
		}
	}
	empty := b.Post(Sent{Query: `mutation @idempotent(key: "nothing") { __typename }`})
	wantReplay(t, empty, b.Post(Sent{Query: `mutation @idempotent(key: "nothing") { __typename }`}))
	if n := b.keysKept(); n != 4 {
		t.Errorf("%d keys are stored, want 4", n)
	}
}

func keysAreCounted(t *testing.T, backend Backend) {
	var statements, replayed atomic.Int64
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) {
		e.Observe = func(_ session.Operation, r operation.Report) {
			statements.Store(r.Statements)
			if r.Replayed {
				replayed.Add(1)
			}
		}
	}})
	const query = `mutation { increment(id: 1) { value } }`
	for _, c := range []struct {
		what, key string
		want      int64
	}{{"without a key", "", 2}, {"with a key", "a", 4}, {"replayed", "a", 2}, {"with another key", "b", 4}, {"replayed", "b", 2}} {
		b.Post(Sent{Query: query, Key: c.key})
		if got := statements.Load(); got != c.want {
			t.Errorf("%s: %d statements, want %d", c.what, got, c.want)
		}
	}
	if n := b.Counter(1); n != 3 || replayed.Load() != 2 {
		t.Errorf("the counter is %d, want 3; %d replays were reported, want 2", n, replayed.Load())
	}
}

func mismatches(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const document = `mutation A($by: Int) { increment(id: 1, by: $by) { id } } mutation B($by: Int) { increment(id: 1, by: $by) { id } }`
	first := Sent{Query: document, Operation: "A", Variables: map[string]any{"by": 1}, Key: "k"}
	b.Post(first)
	for what, s := range map[string]Sent{
		"another document":      {Query: document + " ", Operation: "A", Variables: map[string]any{"by": 1}, Key: "k"},
		"another operation":     {Query: document, Operation: "B", Variables: map[string]any{"by": 1}, Key: "k"},
		"other variables":       {Query: document, Operation: "A", Variables: map[string]any{"by": 2}, Key: "k"},
		"a variable left out":   {Query: document, Operation: "A", Key: `"k"`},
		"a variable that is no": {Query: document, Operation: "A", Variables: map[string]any{"by": nil}, Key: "k"},
	} {
		a := b.Post(s)
		if a.Code() != string(idempotency.CodeMismatch) || a.Data != nil || a.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: got %s", what, a.Raw)
		}
	}
	if a := b.Post(first); !a.OK() || a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("after the mismatches: got %s", a.Raw)
	}
	if n := b.Counter(1); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
}

func nothingKept(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	fails := true
	b.Step("fail", func(context.Context) (int, error) {
		if fails {
			return 0, errors.New("on purpose")
		}
		return 1, nil
	})
	b.Step("panic", func(context.Context) (int, error) {
		if fails {
			panic("on purpose")
		}
		return 1, nil
	})
	for i, query := range []string{
		`mutation { increment(id: 1) { value } run(step: "fail") { value } }`,
		`mutation { increment(id: 1) { value } run(step: "panic") { value } }`,
	} {
		s := Sent{Query: query, Key: fmt.Sprint("key-", i)}
		for fails = true; fails; fails = false {
			WantNull(t, b.Post(s))
			WantNull(t, b.Post(s))
		}
		if a := b.Post(s); !a.OK() || a.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("what had failed: got %s", a.Raw)
		}
	}
	kept := b.keysKept()
	for range 2 {
		s := Sent{Query: `mutation { adjust(input: {id: 2, dryRun: true}) { value } }`, Key: "dry"}
		if a := b.Post(s); !a.OK() || a.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("a dry run: got %s", a.Raw)
		}
	}
	if n := b.Counter(1); n != 2 || kept != 2 || b.keysKept() != 2 {
		t.Errorf("the counter is %d, want 2; %d keys are stored and after a dry run %d, want 2", n, kept, b.keysKept())
	}
}

func keptAtOnce(t *testing.T, backend Backend) {
	const keys, each = 20, 6
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: 4}})
	urls := []string{b.URL, b.another(nil)}
	b.Step("entry", func(ctx context.Context) (int, error) { return 1, enter(ctx) })
	answers := make([][each]Answer, keys)
	var all sync.WaitGroup
	for k := range keys {
		for i := range each {
			all.Go(func() {
				query := fmt.Sprintf(`mutation M%d { run(step: "entry") { value } increment(id: %d) { value } }`, k, k%Counters+1)
				answers[k][i] = b.Post(Sent{Query: query, Key: fmt.Sprint("key-", k), URL: urls[i%2]})
			})
		}
	}
	all.Wait()
	for k, same := range answers {
		first := 0
		for _, a := range same {
			if !a.OK() || a.Raw != same[0].Raw {
				t.Errorf("key %d: got %s and %s", k, a.Raw, same[0].Raw)
			}
			if a.Header.Get("Idempotent-Replayed") == "" {
				first++
			}
		}
		if first != 1 {
			t.Errorf("key %d: %d answers were not replayed, want 1", k, first)
		}
	}
	b.wantEntries(keys)
	for id := range Counters {
		if n, want := b.Counter(id+1), (keys-id-1)/Counters+1; n != want {
			t.Errorf("counter %d is %d, want %d", id+1, n, want)
		}
	}
}

// enter inserts the name of the operation into a table that takes it any number of times.
func enter(ctx context.Context) error {
	op, _ := session.OperationFromContext(ctx)
	return session.DB(ctx).Exec("INSERT INTO entries VALUES (?)", op.Name).Error
}

// wantEntries fails unless there are as many entries, each of another name.
func (b *Bank) wantEntries(want int) {
	b.tb.Helper()
	all, err := b.beside(context.Background(), "SELECT COUNT(*) FROM entries")
	names, otherErr := b.beside(context.Background(), "SELECT COUNT(DISTINCT name) FROM entries")
	if all != want || names != want || err != nil || otherErr != nil {
		b.tb.Errorf("there are %d entries of %d names, want %d: %v, %v", all, names, want, err, otherErr)
	}
}

// hold adds the step "hold", which waits even after its deadline: running says that it does, and to close release ends that.
func (b *Bank) hold() (running <-chan bool, release chan<- bool) {
	begun, end := make(chan bool, 1), make(chan bool)
	b.Step("hold", func(context.Context) (int, error) {
		begun <- true
		<-end
		return 1, nil
	})
	return begun, end
}

func waitsInVain(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: 1}, Extension: func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond }})
	running, release := b.hold()
	s := Sent{Query: `mutation { run(step: "hold") { value } increment(id: 1) { value } }`, Key: "k"}
	first := make(chan Answer)
	go func() { first <- b.Post(s) }()
	<-running
	for range 2 { // the pool's only connection is the first one's
		if a := b.Post(s); a.Code() != string(idempotency.CodeInProgress) || a.Data != nil {
			t.Errorf("got %s", a.Raw)
		}
	}
	close(release)
	if a := <-first; a.OK() {
		t.Errorf("after its deadline: got %s", a.Raw)
	}
	b.wantNothing(0)
}

func waitsForAnother(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	impatient := b.another(func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond })
	running, release := b.hold()
	s := Sent{Query: `mutation { run(step: "hold") { value } increment(id: 1) { value } }`, Key: "k"}
	first := make(chan Answer)
	go func() { first <- b.Post(s) }()
	<-running
	other := s
	other.URL = impatient
	for range 2 {
		if a := b.Post(other); a.Code() != string(idempotency.CodeInProgress) || a.Data != nil {
			t.Errorf("got %s", a.Raw)
		}
	}
	close(release)
	wantReplay(t, <-first, b.Post(other))
	if n := b.Counter(1); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
}

func keptAgain(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	attempts := 0
	b.Step("lose", func(ctx context.Context) (int, error) {
		if attempts++; attempts < 3 && b.Dialect != "sqlite" {
			return 0, session.DB(ctx).Exec(transientFailure(b.Dialect)).Error
		}
		return attempts, nil
	})
	s := Sent{Query: `mutation { increment(id: 1) { value } run(step: "lose") { value } }`, Key: "k"}
	first := b.Post(s)
	if want := fmt.Sprintf(`"run":{"value":%d}`, attempts); !first.OK() || !strings.Contains(first.Raw, want) {
		t.Errorf("want %s, got %s", want, first.Raw)
	}
	wantReplay(t, first, b.Post(s))
	if n := b.Counter(1); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
}

func tooLargeToKeep(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{Extension: func(e *operation.Extension) { e.Keys = &idempotency.Keys{MaxAnswer: 50} }})
	s := Sent{Query: `mutation { increment(id: 1) { id value } accounts: increment(id: 2) { id value } }`, Key: "k"}
	for range 2 {
		if a := b.Post(s); a.Code() != string(idempotency.CodeTooLarge) || a.Data != nil || !strings.Contains(a.Raw, "select less") {
			t.Errorf("got %s", a.Raw)
		}
	}
	b.wantNothing(0)
	s.Query = `mutation { increment(id: 1) { value } }` // within the limit, and the key is still free
	first := b.Post(s)
	if !first.OK() {
		t.Errorf("got %s", first.Raw)
	}
	wantReplay(t, first, b.Post(s))
	large := b.another(func(e *operation.Extension) { e.Keys = &idempotency.Keys{MaxAnswer: 4 << 20} })
	query := &strings.Builder{} // of an answer of more than a mebibyte
	query.WriteString("mutation Large {")
	for i := range 1000 {
		fmt.Fprintf(query, " a%d%s: __typename", i, strings.Repeat("x", 1100))
	}
	s = Sent{Query: query.String() + "}", Key: "large", URL: large}
	if first = b.Post(s); !first.OK() || len(first.Raw) < 1<<20 {
		t.Errorf("got %d bytes, %.100s", len(first.Raw), first.Raw)
	}
	wantReplay(t, first, b.Post(s))
}

func noKeys(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const query = `mutation { increment(id: 1) { value } }`
	long := strings.Repeat("k", 256)
	for _, header := range [][]string{
		{""}, {`""`}, {`"open`}, {`"a"b`}, {`a"b`}, {"a b"}, {"a,b"}, {"a;b"}, {`"a";p=1`}, {`"\a"`}, {"é"}, {`"é"`}, {long}, {`"` + long + `"`}, {"a", "a"}, {`\`},
	} {
		a := b.Post(Sent{Query: query, Header: http.Header{"Idempotency-Key": header}})
		if a.Code() != "BAD_USER_INPUT" || a.Data != nil {
			t.Errorf("%q: got %s", header, a.Raw)
		}
		if a := b.Post(Sent{Query: `{ counter(id: 1) { value } }`, Header: http.Header{"Idempotency-Key": header}}); !a.OK() {
			t.Errorf("a query with %q: got %s", header, a.Raw)
		}
	}
	for _, key := range []string{"", long} {
		a := b.Post(Sent{Query: `mutation($k: String!) @idempotent(key: $k) { increment(id: 1) { value } }`, Variables: map[string]any{"k": key}})
		if a.Code() != "BAD_USER_INPUT" || a.Data != nil {
			t.Errorf("@idempotent of %d characters: got %s", len(key), a.Raw)
		}
	}
	if a := b.Post(Sent{Query: `mutation @idempotent(key: "a") { increment(id: 1) { value } }`, Key: "b"}); a.Code() != "BAD_USER_INPUT" {
		t.Errorf("two keys: got %s", a.Raw)
	}
	none := b.another(func(e *operation.Extension) { e.Keys = nil })
	if a := b.Post(Sent{Query: `mutation @idempotent(key: "a") { increment(id: 1) { value } }`, URL: none}); a.Code() != "BAD_USER_INPUT" {
		t.Errorf("a directive that the server does not heed: got %s", a.Raw)
	}
	if n := b.keysKept(); n != 0 {
		t.Errorf("%d keys are stored, want none", n)
	}
	b.wantNothing(0)
	for _, key := range []string{`"a \"b\" \\c"`, "~", `"` + long[1:] + `"`, long[2:]} {
		if a := b.Post(Sent{Query: query, Key: key}); !a.OK() {
			t.Errorf("%s: got %s", key, a.Raw)
		}
	}
	if n := b.Counter(1); n != 4 {
		t.Errorf("the counter is %d, want 4", n)
	}
	for range 2 { // the same as "a \"b\" \\c"
		a := b.Post(Sent{Query: `mutation($k: String!) @idempotent(key: $k) { increment(id: 1) { value } }`, Variables: map[string]any{"k": `a "b" \c`}})
		if a.Code() != string(idempotency.CodeMismatch) {
			t.Errorf("a key of the header in a directive: got %s", a.Raw)
		}
	}
}

func keysOfViewers(t *testing.T, backend Backend) {
	type viewer struct{}
	b := NewBank(t, backend, Setup{
		Extension: func(e *operation.Extension) {
			e.Keys = &idempotency.Keys{Viewer: func(ctx context.Context) string { name, _ := ctx.Value(viewer{}).(string); return name }}
		},
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), viewer{}, r.Header.Get("Viewer"))))
			})
		},
	})
	for _, v := range []struct{ viewer, key string }{{"", "ab"}, {"a", "b"}, {"ab", "a"}, {"Ab", "a"}, {"a b", "a"}} {
		s := Sent{Query: `mutation { increment(id: 1) { value } }`, Key: v.key, Header: http.Header{"Viewer": {v.viewer}}}
		first := b.Post(s)
		if first.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%q has the key of another viewer", v.viewer)
		}
		wantReplay(t, first, b.Post(s))
	}
	if n := b.Counter(1); n != 5 {
		t.Errorf("the counter is %d, want 5", n)
	}
}

func unknownThenReplayed(t *testing.T, backend Backend) {
	p, next := cutNext(t, backend.Dialect)
	b := NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: unreachableProof(t)})
	s := Sent{Query: `mutation M { increment(id: 1) { value } }`, Key: "k"}
	next <- after
	id := wantUnknown(t, b.Post(s))
	again := b.Post(s)
	if again.Raw != `{"data":{"increment":{"value":1}}}` || again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("Operation-Id") != id {
		t.Errorf("want the answer of %s, got %s, %v", id, again.Raw, again.Header)
	}
	if n := b.Counter(1); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
}

func lostReplay(t *testing.T, backend Backend) {
	p, next := cutNext(t, backend.Dialect)
	b := NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: unreachableProof(t)})
	s := Sent{Query: `mutation M { increment(id: 1) { value } }`, Key: "k"}
	first := b.Post(s)
	for _, c := range []cut{before, after} {
		next <- c
		a := b.Post(s)
		if a.Code() != string(idempotency.CodeInProgress) || a.Errors[0].Extensions["operationId"] != nil || a.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("got %s, %v", a.Raw, a.Header)
		}
	}
	wantReplay(t, first, b.Post(s))
	if n := b.Counter(1); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
}

// In this one the server goes on holding the transaction open.
func unknownThenRun(t *testing.T, backend Backend) {
	p, next := cutNext(t, backend.Dialect)
	b := NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: func(e *operation.Extension) {
		e.Side = nil // else the server is told to end the transaction
		e.Proof.Within = 100 * time.Millisecond
		e.Deadline = 500 * time.Millisecond
	}})
	s := Sent{Query: `mutation M { increment(id: 1) { value } }`, Key: "k"}
	next <- hold
	wantUnknown(t, b.Post(s))
	if a := b.Post(s); a.Code() != string(idempotency.CodeInProgress) {
		t.Errorf("while its fate is open: got %s", a.Raw)
	}
	p.release()
	var a Answer
	Eventually(t, "it runs", func() bool { a = b.Post(s); return a.OK() })
	if a.Header.Get("Idempotent-Replayed") != "" || b.Counter(1) != 1 {
		t.Errorf("got %s, and the counter is %d", a.Raw, b.Counter(1))
	}
	wantReplay(t, a, b.Post(s))
}

func runWithKey(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	ran := 0
	once := func(parts ...string) (kept *idempotency.Kept, err error) {
		m := b.Keys.Mutation(t.Context(), "import", parts...)
		defer m.End()
		err = session.Run(t.Context(), b.pools, session.Write, "import", func(ctx context.Context) error {
			if kept, err = m.Claim(ctx); err != nil || kept != nil {
				return err
			}
			ran++
			return errors.Join(increment(ctx), m.Keep(ctx, []byte("done")))
		})
		return kept, m.Failure(err)
	}
	if kept, err := once("a", "b"); kept != nil || err != nil {
		t.Errorf("the first time: got %v, %v", kept, err)
	}
	if kept, err := once("a", "b"); err != nil || string(kept.Answer) != "done" || kept.OperationID == "" {
		t.Errorf("the second time: got %v, %v", kept, err)
	}
	if _, err := once("ab"); err == nil {
		t.Error("other parts are taken for the same")
	}
	if ran != 1 || b.Counter(1) != 1 {
		t.Errorf("it ran %d times, and the counter is %d", ran, b.Counter(1))
	}
}

func sweptKeys(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	const old = 1234 // more than are swept at once
	long := time.Now().Add(-25 * time.Hour).UnixMilli()
	var rows []string
	for i := range old {
		rows = append(rows, fmt.Sprintf("('old-%d', 'f', 'o', %d)", i, long))
	}
	b.Exec("INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) VALUES " + strings.Join(rows, ", "))
	b.Exec("INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) VALUES ('new', 'f', 'o', ?)", time.Now().Add(-23*time.Hour).UnixMilli())
	for _, want := range []int{old, 0} {
		if n, err := b.Keys.Sweep(t.Context(), b.pools); n != want || err != nil {
			t.Errorf("swept %d, %v; want %d", n, err, want)
		}
	}
	if n := b.keysKept(); n != 1 {
		t.Errorf("%d keys are left, want 1", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.Exec("UPDATE idempotency_keys SET stored_at = 0")
	ended := make(chan bool)
	go func() {
		b.Keys.SweepEvery(ctx, b.pools, time.Hour, func(err error) { t.Error(err) })
		close(ended)
	}()
	Eventually(t, "the key is swept", func() bool { return b.keysKept() == 0 })
	cancel()
	<-ended
}
