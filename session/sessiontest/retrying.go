package sessiontest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/operation"
)

// retrying: idempotency keys in trouble.
var retrying = []promise{
	{name: "Creations that are sent again and again, through connections that are cut at every stage, create once", test: retries, graphql: headers},
}

// stage is when a client loses its connection to the server.
type stage string

const (
	amidRequest  stage = "in the middle of the request"
	afterRequest stage = "once the request is sent"
	inResolver   stage = "before the commit, which the cancellation prevents"
	atCommit     stage = "about at the commit"
	beforeAnswer stage = "after the commit, before the answer"
	amidAnswer   stage = "in the middle of the answer"
	never        stage = "never"
)

var stages = []stage{amidRequest, afterRequest, inResolver, atCommit, beforeAnswer, amidAnswer, never}

type (
	stageKey struct{} // of a request's context: at which stage its connection is to be cut
	connKey  struct{} // and the connection
)

// cutting cuts a request's connection.
func cutting(ctx context.Context) { _ = ctx.Value(connKey{}).(net.Conn).Close() }

// cutAnswer cuts a connection before the first byte of an answer, or in the middle of it.
type cutAnswer struct {
	http.ResponseWriter
	r     *http.Request
	stage stage
}

func (w *cutAnswer) WriteHeader(status int) {
	if w.stage == beforeAnswer {
		cutting(w.r.Context())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *cutAnswer) Write(p []byte) (int, error) {
	switch w.stage {
	case beforeAnswer:
		cutting(w.r.Context())
	case amidAnswer:
		w.Header().Set("Content-Length", strconv.Itoa(len(p)))
		_, err := w.ResponseWriter.Write(p[:len(p)/2])
		err = errors.Join(err, http.NewResponseController(w.ResponseWriter).Flush())
		cutting(w.r.Context())
		return len(p), err
	}
	return w.ResponseWriter.Write(p)
}

// retrier sends creations until each is answered.
type retrier struct {
	*Bank
	seed    uint64
	cuts    map[stage]*atomic.Int64 // requests without a whole answer
	commits atomic.Int64            // that reached the proxy
	replays atomic.Int64
	refused atomic.Int64 // answers that were errors
	ran     atomic.Int64 // attempts of the engine
}

// howManyRetries is how many creations the test sends.
func howManyRetries(tb testing.TB) int {
	tb.Helper()
	n, err := strconv.Atoi(os.Getenv("ROLLCALL_TEST_RETRIES"))
	if os.Getenv("ROLLCALL_TEST_RETRIES") == "" {
		return 300
	}
	if err != nil || n < 1 {
		tb.Fatalf("ROLLCALL_TEST_RETRIES is %q: want a number", os.Getenv("ROLLCALL_TEST_RETRIES"))
	}
	return n
}

func retries(t *testing.T, backend Backend) {
	n := howManyRetries(t)
	r := newRetrier(t, backend)
	trouble := &chaos{Bank: r.Bank, tb: t}
	over, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		r.kill(trouble, over)
	}()
	var clients sync.WaitGroup
	var next atomic.Int64
	for i := range 16 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(r.seed, uint64(i)))
			for number := int(next.Add(1)); number <= n; number = int(next.Add(1)) {
				r.create(number, random)
			}
		})
	}
	clients.Wait()
	close(over)
	<-done
	r.wantEntries(n)
	if got := r.keysKept(); got != n {
		t.Errorf("%d keys are stored, want %d", got, n)
	}
	lost := map[stage]int64{}
	for s, count := range r.cuts {
		if lost[s] = count.Load(); lost[s] == 0 && s != never {
			t.Errorf("no connection was cut %s", s)
		}
	}
	if r.replays.Load() == 0 || r.refused.Load() == 0 && backend.Dialect != "sqlite" {
		t.Error("nothing was replayed, or nothing refused")
	}
	t.Logf("ROLLCALL_TEST_CHAOS_SEED=%d: %d creations ran %d times; %d answers were replayed and %d were errors, %d connections to the database were killed and %d cut at COMMIT; without an answer: %v",
		r.seed, n, r.ran.Load(), r.replays.Load(), r.refused.Load(), trouble.kills.Load(), r.commits.Load()/10, lost)
}

func newRetrier(t *testing.T, backend Backend) *retrier {
	t.Helper()
	r := &retrier{seed: chaosSeed(t), cuts: map[stage]*atomic.Int64{}}
	for _, s := range stages {
		r.cuts[s] = &atomic.Int64{}
	}
	opt := Options{PoolSize: 8}
	if backend.Dialect != "sqlite" {
		kinds := []cut{before, during, after, hold}
		opt.Via = newProxy(t, backend.Dialect, func() cut {
			if n := int(r.commits.Add(1)); n%10 == 0 {
				return kinds[n/10%len(kinds)]
			}
			return pass
		}).via
	}
	r.Bank = NewBank(t, backend, Setup{
		Options: opt,
		Extension: func(e *operation.Extension) {
			e.Deadline = 2 * time.Second
			if e.Proof != nil {
				e.Proof.Within = 500 * time.Microsecond // so that some outcomes are unknown
			}
		},
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				stage := stage(req.Header.Get("Stage"))
				next.ServeHTTP(&cutAnswer{w, req, stage}, req.WithContext(context.WithValue(req.Context(), stageKey{}, stage)))
			})
		},
		Listen: func(s *httptest.Server) {
			s.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
				return context.WithValue(ctx, connKey{}, conn)
			}
		},
	})
	r.Step("create", func(ctx context.Context) (int, error) { return int(r.ran.Add(1)), enter(ctx) })
	r.Step("cut", func(ctx context.Context) (int, error) {
		switch ctx.Value(stageKey{}) {
		case inResolver:
			cutting(ctx)
			<-ctx.Done()
			return 0, ctx.Err()
		case atCommit:
			cutting(ctx)
		}
		return 1, nil
	})
	return r
}

// kill kills connections to the database until it is over. On SQLite there are none.
func (r *retrier) kill(trouble *chaos, over <-chan bool) {
	random := rand.New(rand.NewPCG(r.seed, chaosClients))
	for r.Dialect != "sqlite" {
		select {
		case <-over:
			return
		case <-time.After(upTo(random, 60*time.Millisecond)):
			trouble.kill(random)
		}
	}
}

// create sends one creation until it is answered, and once more to compare.
func (r *retrier) create(number int, random *rand.Rand) {
	s := Sent{Query: fmt.Sprintf(`mutation M%d { run(step: "create") { value } cut: run(step: "cut") { value } }`, number), Key: fmt.Sprint("key-", number)}
	if number%2 == 0 {
		s.Query = fmt.Sprintf(`mutation M%d @idempotent(key: %q) { run(step: "create") { value } cut: run(step: "cut") { value } }`, number, s.Key)
		s.Key = ""
	}
	first := "" // answer
	for attempt := range 200 {
		at := never
		if attempt < 4 {
			at = stages[random.IntN(len(stages))]
		}
		a, err := r.sendUntil(s, at)
		switch {
		case err != nil:
			r.cuts[at].Add(1)
			continue
		case !a.OK():
			r.refused.Add(1)
			continue
		case a.Header.Get("Idempotent-Replayed") != "":
			r.replays.Add(1)
		}
		if first != "" {
			if a.Raw != first {
				r.tb.Errorf("creation %d was answered %s and %s", number, first, a.Raw)
			}
			return
		}
		first = a.Raw
	}
	r.tb.Errorf("creation %d had no answer in 200 attempts", number)
}

// sendUntil sends a request whose connection is cut at a stage.
func (r *retrier) sendUntil(s Sent, at stage) (a Answer, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if at == afterRequest {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return a, err
	}
	body := io.Reader(bytes.NewReader(text))
	if at == amidRequest {
		body = io.MultiReader(bytes.NewReader(text[:len(text)/2]), failingReader{})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, body)
	if err != nil {
		return a, err
	}
	req.ContentLength = int64(len(text))
	req.GetBody = nil // so that net/http does not send it again by itself, which it does for what it knows to be idempotent
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Stage", string(at))
	if s.Key != "" {
		req.Header.Set("Idempotency-Key", s.Key)
	}
	res, err := r.Server.Client().Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	a = Answer{Status: res.StatusCode, Raw: string(raw), Header: res.Header}
	return a, json.Unmarshal(raw, &a)
}

// failingReader is the rest of a body that never comes.
type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("cut on purpose") }
