package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	verifier "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
	"rollcall/session"
	"rollcall/session/sessiontest"
	"rollcall/webhook"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(databasetest.Templates{M: m}, time.Minute) }

// hang is how long something may take that has to happen.
const hang = time.Minute

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes or more"))

// quick are times for tests.
func quick() *webhook.Times {
	return &webhook.Times{
		Poll: 10 * time.Millisecond, Renew: 50 * time.Millisecond, HoldFor: time.Second, TakeAfter: 1500 * time.Millisecond,
		Attempt: 300 * time.Millisecond, Finish: 300 * time.Millisecond, MinPause: 5 * time.Millisecond, MaxPause: 50 * time.Millisecond, GiveUp: time.Hour,
	}
}

// request is what a receiver has got.
type request struct {
	id      string
	body    string
	changes []logged
}

// logged is a change in a request.
type logged struct {
	Cursor, At, Kind, Type, ObjectID, OperationID string
	Version                                       int64
}

// receiver is a server that gets changes. It checks each request, and that they come in order and one at a time.
type receiver struct {
	*httptest.Server
	tb testing.TB
	// respond answers a request that has been noted; nil: with 204.
	respond func(w http.ResponseWriter, r *http.Request)

	mu       sync.Mutex
	current  *response // the one that is under way; nil: none
	requests []request
	objects  []int64 // the ids of the objects that have changed, as they came first
	last     int64   // the position of the last of them

	confirmed bool // the last request
}

func newReceiver(tb testing.TB, respond func(w http.ResponseWriter, r *http.Request)) *receiver {
	rec := &receiver{tb: tb, respond: respond}
	rec.Server = httptest.NewServer(rec)
	tb.Cleanup(func() {
		rec.CloseClientConnections()
		rec.Close()
	})
	return rec
}

func (rec *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed
	}
	answer := &response{ResponseWriter: w, rec: rec, gone: r.Context()}
	rec.note(answer, r.Header, body)
	defer answer.end()
	if rec.respond == nil {
		answer.WriteHeader(http.StatusNoContent)
		return
	}
	rec.respond(answer, r)
}

// response notes whether the receiver confirms.
type response struct {
	http.ResponseWriter
	rec       *receiver
	gone      context.Context // ends when the sender has gone
	decided   bool
	overtaken bool // by another request, while this one was under way
}

func (r *response) WriteHeader(status int) {
	r.end()
	r.decided = true
	r.rec.mu.Lock()
	r.rec.confirmed = status/100 == 2
	r.rec.mu.Unlock()
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(text []byte) (int, error) {
	if !r.decided {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(text)
}

func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.end()
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// end is called before the sender can know of an answer. A request that has been overtaken must be one whose sender has
// gone, which the receiver may learn later than of the next request.
func (r *response) end() {
	r.rec.mu.Lock()
	overtaken := r.overtaken
	r.overtaken = false
	if r.rec.current == r {
		r.rec.current = nil
	}
	r.rec.mu.Unlock()
	if !overtaken {
		return
	}
	select {
	case <-r.gone.Done():
	case <-time.After(10 * time.Second):
		r.rec.tb.Error("two requests are under way at a time")
	}
}

func (rec *receiver) note(answer *response, header http.Header, body []byte) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.current != nil {
		rec.current.overtaken = true
	}
	rec.current = answer
	hook, err := verifier.NewWebhook(secret)
	if err == nil {
		err = hook.Verify(body, header)
	}
	if err != nil {
		rec.tb.Errorf("the signature is wrong: %v", err)
	}
	var m struct {
		Type string
		Data struct{ Changes []logged }
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Type != "directory.changed" || len(m.Data.Changes) == 0 {
		rec.tb.Errorf("got %s, %v", body, err)
	}
	got := request{header.Get("webhook-id"), string(body), m.Data.Changes}
	rec.check(got)
	rec.confirmed = false
	rec.requests = append(rec.requests, got)
}

// check has a request be the one before it again, or, if that was confirmed, begin right after that.
func (rec *receiver) check(got request) {
	for i, c := range got.changes {
		var id int64
		_, _ = fmt.Sscanf(c.ObjectID, "User:%d", &id)
		at, err := changelog.ParseCursor("cursor", c.Cursor)
		if err != nil || i > 0 && at.Position != rec.last+1 {
			rec.tb.Errorf("%s is at %d, after %d: %v", c.ObjectID, at.Position, rec.last, err)
		}
		if i == 0 && len(rec.requests) > 0 {
			before := rec.requests[len(rec.requests)-1]
			if before.id == got.id && before.body == got.body {
				return
			}
			if before.id == got.id || at.Position != rec.last+1 || !rec.confirmed {
				rec.tb.Errorf("after %s (confirmed: %t) comes %s", before.body, rec.confirmed, got.body)
			}
		}
		rec.last = at.Position
		rec.objects = append(rec.objects, id)
	}
}

// got returns the ids of the objects that have changed, each once, in the order in which they came first.
func (rec *receiver) got() []int64 {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.objects)
}

func (rec *receiver) all() []request {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.requests)
}

// wantUpTo waits until the receiver has got the changes of the objects from 1 to n, in this order.
func (rec *receiver) wantUpTo(n int64) {
	rec.tb.Helper()
	eventually(rec.tb, fmt.Sprintf("the changes up to %d", n), func() bool { return int64(len(rec.got())) >= n })
	for i, id := range rec.got() {
		if id != int64(i)+1 {
			rec.tb.Fatalf("change %d is of User:%d", i+1, id)
		}
	}
}

// eventually waits for something.
func eventually(tb testing.TB, what string, met func() bool) {
	tb.Helper()
	for began := time.Now(); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > hang {
			tb.Fatalf("%s: not within %s", what, hang)
		}
	}
}

// server is one of those that share a database.
type server struct {
	*webhook.Webhooks
	db   *database.Database
	log  *buffer
	stop func() // in good order
}

// buffer is what a server has logged.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newServer returns a server that is not started.
func newServer(db *database.Database, times *webhook.Times, receivers ...webhook.Receiver) *server {
	s := &server{db: db, log: &buffer{}}
	pool := db.Side
	if db.Dialect().Embedded() {
		pool = db.Pools()["write"]
	}
	log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	s.Webhooks = &webhook.Webhooks{
		DB: pool, Dialect: db.Dialect(), Log: log, Receivers: receivers, Times: times, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	return s
}

// start starts a server.
func start(tb testing.TB, db *database.Database, times *webhook.Times, receivers ...webhook.Receiver) *server {
	tb.Helper()
	s := newServer(db, times, receivers...)
	if err := s.Register(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	s.stop = func() {
		cancel()
		<-done
	}
	tb.Cleanup(s.stop)
	return s
}

// to returns the configuration of a webhook.
func to(tb testing.TB, name, url string) webhook.Receiver {
	tb.Helper()
	u, err := webhook.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := webhook.ParseSecret(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return webhook.Receiver{Name: name, URL: u, Secrets: []webhook.Secret{key}}
}

// write logs changes of the users from first to last, a few in each transaction.
func write(tb testing.TB, db *database.Database, first, last int64) {
	tb.Helper()
	log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	pools := session.Pools{Write: db.Write, Side: db.Side}
	if err := pools.Install(); err != nil {
		tb.Fatal(err)
	}
	for begin := first; begin <= last; begin += 3 {
		err := session.Run(tb.Context(), pools, session.Write, "test", func(ctx context.Context) error {
			for id := begin; id < min(begin+3, last+1); id++ {
				log.Append(ctx, func() *model.Change {
					return &model.Change{
						At: time.Now(), Kind: model.Updated, Type: model.UserType, ObjectID: id, Version: 2, UserID: &id,
						Fields: []byte(`[{"name":"name","before":"Ada Lovelace","after":"Augusta"}]`),
					}
				})
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := log.Settle(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// status returns how far a webhook is.
func (s *server) status(tb testing.TB, name string) model.Webhook {
	tb.Helper()
	all, err := s.Status(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, one := range all {
		if one.Name == name {
			return *one
		}
	}
	tb.Fatalf("%s is not there", name)
	return model.Webhook{}
}

func TestAReceiverGetsAllChangesFromItsRegistrationOnInOrderAndSigned(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		write(t, db, 1, 5)
		rec := newReceiver(t, nil)
		s := start(t, db, quick(), to(t, "crm", rec.URL))
		if len(rec.got()) > 0 || s.status(t, "crm").Lag != 0 {
			t.Errorf("a new webhook has got %v, and lags by %d", rec.got(), s.status(t, "crm").Lag)
		}
		write(t, db, 6, 300)
		eventually(t, "all changes", func() bool { return len(rec.got()) == 295 })
		for i, id := range rec.got() {
			if id != int64(i)+6 {
				t.Fatalf("change %d is of User:%d", i, id)
			}
		}
		eventually(t, "no lag", func() bool { return s.status(t, "crm").Lag == 0 })
		if got := s.status(t, "crm"); got.LastStatus == nil || *got.LastStatus != 204 || got.LastError != nil || got.OldestUndelivered != nil || got.LastAttemptAt == nil {
			t.Errorf("got %+v", got)
		}
		s.stop()
		write(t, db, 301, 303)
		start(t, db, quick(), to(t, "crm", rec.URL))
		eventually(t, "what was changed meanwhile", func() bool { return len(rec.got()) == 298 })
	})
}

func TestAMessageHasIdsAndNothingOfAPerson(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		rec := newReceiver(t, nil)
		start(t, db, quick(), to(t, "crm", rec.URL))
		write(t, db, 1, 1)
		rec.wantUpTo(1)
		got := rec.all()[0]
		c := got.changes[0]
		want := fmt.Sprintf(`{"type":"directory.changed","timestamp":%q,"data":{"changes":[{"cursor":%q,"at":%q,"kind":"UPDATED","type":"USER","objectId":"User:1","version":2,"operationId":%q}]}}`,
			c.At, c.Cursor, c.At, c.OperationID)
		if got.body != want || c.At == "" || c.OperationID == "" {
			t.Errorf("got %s, want %s", got.body, want)
		}
		if _, err := changelog.ParseCursor("cursor", c.Cursor); err != nil {
			t.Error(err)
		}
	})
}

// misbehave are the ways in which a receiver can fail.
var misbehave = []func(w http.ResponseWriter, r *http.Request){
	func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	func(_ http.ResponseWriter, r *http.Request) { // it hangs
		<-r.Context().Done()
	},
	func(w http.ResponseWriter, _ *http.Request) { // it is killed
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.Close()
		}
	},
	func(w http.ResponseWriter, _ *http.Request) { // it does not speak HTTP
		if conn, out, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = out.WriteString("\x00\xffwhat?\r\n\r\n")
			_ = out.Flush()
			_ = conn.Close()
		}
	},
	func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	},
	func(w http.ResponseWriter, r *http.Request) { // a success, with a body that does not end
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				return
			}
		}
	},
	func(w http.ResponseWriter, _ *http.Request) { // headers that do not end
		if conn, out, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = out.WriteString("HTTP/1.1 200 OK\r\n")
			for range 10_000 {
				if _, err = out.WriteString("X-More: " + strings.Repeat("x", 100) + "\r\n"); err != nil {
					break
				}
			}
			_ = conn.Close()
		}
	},
}

func TestNothingIsLostAndTheOrderIsKeptWhenAReceiverFailsAtRandom(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("a redirect was followed")
			}
			if rand.N(2) == 0 {
				w.WriteHeader(http.StatusOK)
				return
			}
			misbehave[rand.N(len(misbehave))](w, r)
		})
		s := start(t, db, quick(), to(t, "crm", rec.URL))
		var n int64
		for round := range 40 {
			write(t, db, n+1, n+int64(1+round%7))
			n += int64(1 + round%7)
			time.Sleep(time.Duration(rand.N(20)) * time.Millisecond)
		}
		rec.wantUpTo(n)
		eventually(t, "no lag", func() bool { return s.status(t, "crm").Lag == 0 })
		rec.wantUpTo(n)
		ids := map[string]bool{}
		for _, r := range rec.all() {
			ids[r.id] = true
		}
		if len(ids) == len(rec.all()) {
			t.Error("nothing was sent again")
		}
		eventually(t, "all attempts are counted", func() bool { // each once it is stored what became of it
			return s.Attempts("crm", "delivered")+s.Attempts("crm", "refused")+s.Attempts("crm", "failed") == int64(len(rec.all()))
		})
	})
}

func TestNothingIsLostWhenServersAreKilled(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Duration(rand.N(10)) * time.Millisecond)
			w.WriteHeader(http.StatusOK)
		})
		hook := to(t, "crm", rec.URL)
		other := start(t, db, quick(), hook)
		var n int64
		for round := range 6 {
			own, err := database.Open(t.Context(), url, database.Options{PoolSize: 4})
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, own, quick(), hook)
			if round%2 == 0 {
				other.stop() // in good order: the new one takes over
			}
			write(t, db, n+1, n+20)
			n += 20
			eventually(t, "some changes", func() bool { return int64(len(rec.got())) > n-15 })
			write(t, db, n+1, n+20)
			n += 20
			_ = own.Close() // it is dead: it can neither store anything, nor give its lease back
			s.stop()
			if round%2 == 0 {
				other = start(t, db, quick(), hook)
			}
			rec.wantUpTo(n)
		}
	})
}

func TestAServerThatCannotRenewItsLeaseHasEndedItsRequestWhenAnotherOneSends(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // which fails at two requests at a time
		times := quick()
		times.Attempt = time.Hour
		own, err := database.Open(t.Context(), url, database.Options{PoolSize: 4})
		if err != nil {
			t.Fatal(err)
		}
		start(t, own, times, to(t, "crm", rec.URL))
		write(t, db, 1, 1)
		eventually(t, "a request", func() bool { return len(rec.all()) == 1 })
		start(t, db, times, to(t, "crm", rec.URL))
		_ = own.Close()
		eventually(t, "the other's request", func() bool { return len(rec.all()) == 2 })
	})
}

func TestAHangingReceiverDelaysNoOther(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		slow := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		fast := newReceiver(t, nil)
		times := quick()
		times.Attempt = time.Hour
		s := start(t, db, times, to(t, "fast", fast.URL), to(t, "slow", slow.URL))
		write(t, db, 1, 1)
		eventually(t, "the slow one's request", func() bool { return len(slow.all()) == 1 })
		write(t, db, 2, 500)
		fast.wantUpTo(500)
		if got := s.status(t, "slow"); got.Lag != 500 || got.OldestUndelivered == nil || len(slow.all()) != 1 {
			t.Errorf("got %+v and %d requests", got, len(slow.all()))
		}
	})
}

func TestAReceiverThatFailsForTooLongIsDisabledAndLosesNothingOnceItIsEnabled(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		var mu sync.Mutex
		status := http.StatusServiceUnavailable
		answer := func(with int) { mu.Lock(); status = with; mu.Unlock() }
		rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			w.WriteHeader(status)
		})
		times := quick()
		times.GiveUp = 200 * time.Millisecond
		s := start(t, db, times, to(t, "crm", rec.URL))
		write(t, db, 1, 3)
		isDisabled := func() bool { return s.status(t, "crm").DisabledAt != nil }
		eventually(t, "disabled", isDisabled)
		attempts := len(rec.all())
		got := s.status(t, "crm")
		if attempts < 3 || got.FailingSince == nil || got.LastStatus == nil || *got.LastStatus != 503 || got.LastError == nil || got.Lag != 3 {
			t.Errorf("after %d attempts: %+v", attempts, got)
		}
		answer(http.StatusOK)
		write(t, db, 4, 5)
		time.Sleep(20 * times.Poll)
		if n := len(rec.all()); n != attempts {
			t.Errorf("%d requests to one that is disabled", n-attempts)
		}
		if lag, err := s.Enable(t.Context(), "crm", false); err != nil || lag != 5 {
			t.Errorf("Enable = %d, %v", lag, err)
		}
		rec.wantUpTo(5)
		eventually(t, "no lag", func() bool { return s.status(t, "crm").Lag == 0 })
		if got := s.status(t, "crm"); got.DisabledAt != nil || got.FailingSince != nil || got.LastError != nil {
			t.Errorf("got %+v", got)
		}

		answer(http.StatusGone)
		write(t, db, 6, 6)
		eventually(t, "disabled", isDisabled)
		eventually(t, "two reports", func() bool { return strings.Count(s.log.String(), "level=ERROR") == 2 })
		if _, err := s.Enable(t.Context(), "srm", false); err == nil {
			t.Error("what is not there can be enabled")
		}
	})
}

func TestAWebhookWhoseChangesAreGoneIsDisabledAndNotSkipped(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		rec := newReceiver(t, nil)
		hook := to(t, "crm", rec.URL)
		s := start(t, db, quick(), hook)
		s.stop()
		write(t, db, 1, 5)
		if position, ok, err := s.Needed(t.Context()); position != 0 || !ok || err != nil {
			t.Errorf("Needed = %d, %t, %v", position, ok, err)
		}
		s.Log.Keep, s.Log.Floor = time.Nanosecond, s.Needed
		if n, err := s.Log.Sweep(t.Context(), db.Pools()["write"]); n != 0 || err != nil {
			t.Errorf("%d changes were swept that it has not sent, %v", n, err)
		}
		s.Log.Floor = nil
		if n, err := s.Log.Sweep(t.Context(), db.Pools()["write"]); n != 5 || err != nil {
			t.Fatalf("%d changes were swept, %v", n, err)
		}
		s = start(t, db, quick(), hook)
		eventually(t, "disabled", func() bool { return s.status(t, "crm").DisabledAt != nil })
		if got := s.status(t, "crm"); got.LastError == nil || !strings.Contains(*got.LastError, "CURSOR_EXPIRED") || len(rec.all()) > 0 {
			t.Errorf("got %+v", got)
		}
		if _, ok, err := s.Needed(t.Context()); ok || err != nil {
			t.Errorf("one that is disabled needs something: %v", err)
		}
		if _, err := s.Enable(t.Context(), "crm", false); err == nil || !strings.Contains(err.Error(), "--from-now") {
			t.Errorf("Enable: %v", err)
		}
		if _, err := s.Enable(t.Context(), "crm", true); err != nil {
			t.Error(err)
		}
		write(t, db, 6, 7)
		eventually(t, "what is new", func() bool { return slices.Equal(rec.got(), []int64{6, 7}) })
	})
}

func TestWhatIsSentAgainIsTheSameWhateverWasChangedMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		hung := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		times := quick()
		times.Attempt = time.Hour
		s := start(t, db, times, to(t, "crm", hung.URL))
		write(t, db, 1, 2)
		eventually(t, "a request", func() bool { return len(hung.all()) == 1 })
		s.stop()
		write(t, db, 3, 5)
		rec := newReceiver(t, nil)
		start(t, db, quick(), to(t, "crm", rec.URL))
		rec.wantUpTo(5)
		first, second := hung.all()[0], rec.all()[0]
		if first.id != second.id || first.body != second.body {
			t.Errorf("%s is sent again as %s", first.body, second.body)
		}
	})
}

// writeTokens logs changes of n API tokens.
func writeTokens(tb testing.TB, db *database.Database, n int) {
	tb.Helper()
	log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	pools := session.Pools{Write: db.Write, Side: db.Side}
	if err := pools.Install(); err != nil {
		tb.Fatal(err)
	}
	err := session.Run(tb.Context(), pools, session.Write, "test", func(ctx context.Context) error {
		for id := range n {
			log.Append(ctx, func() *model.Change {
				return &model.Change{At: time.Now(), Kind: model.Created, Type: model.APITokenType, ObjectID: int64(id) + 1, Version: 1, Fields: []byte("[]")}
			})
		}
		return nil
	})
	if err == nil {
		err = log.Settle(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// collector is a receiver that keeps what it gets. The positions of changes may have gaps.
func collector(t *testing.T) (url string, got func(text string) bool) {
	t.Helper()
	var mu sync.Mutex
	var bodies strings.Builder
	rec := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies.Write(body)
	}))
	t.Cleanup(rec.Close)
	return rec.URL, func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(bodies.String(), text)
	}
}

func TestChangesOfAPITokensAreNotSentAndHoldNothingUp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		url, got := collector(t)
		s := start(t, db, quick(), to(t, "crm", url))
		for user := int64(1); user <= 3; user++ {
			writeTokens(t, db, 250) // more than a batch
			eventually(t, "no lag", func() bool { return s.status(t, "crm").Lag == 0 })
			write(t, db, user, user)
			writeTokens(t, db, 1)
			eventually(t, "the user's change", func() bool { return got(fmt.Sprintf(`"User:%d"`, user)) })
		}
		eventually(t, "no lag", func() bool { return s.status(t, "crm").Lag == 0 })
		if status := s.status(t, "crm"); got("ApiToken") || status.OldestUndelivered != nil || status.DisabledAt != nil || status.LastError != nil {
			t.Errorf("is a token's change sent? %t; %+v", got("ApiToken"), status)
		}
	})
}

// TestABatchOfAnEarlierProgramGoesOnWithoutTheChangesOfAPITokens has servers that ended amid a batch whose last changes, or all, are those of
// tokens: earlier programs send these.
func TestABatchOfAnEarlierProgramGoesOnWithoutTheChangesOfAPITokens(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		next := int64(1) // user
		for i, users := range []int64{0, 2, 0} {
			url, got := collector(t)
			name := fmt.Sprint("crm", i)
			if err := newServer(db, quick(), to(t, name, url)).Register(t.Context()); err != nil {
				t.Fatal(err)
			}
			if users > 0 {
				write(t, db, next, next+users-1)
			}
			writeTokens(t, db, 3)
			if err := db.Write.Exec("UPDATE webhooks SET batch_until = position + ? WHERE name = ?", users+2, name).Error; err != nil {
				t.Fatal(err)
			}
			if i == 2 { // something came behind a batch of tokens alone
				write(t, db, next, next)
				users = 1
			}
			s := start(t, db, quick(), to(t, name, url))
			eventually(t, "no lag", func() bool { return s.status(t, name).Lag == 0 })
			next += users
			if got(`"User:`) != (users > 0) || users > 0 && !got(fmt.Sprintf(`"User:%d"`, next-1)) {
				t.Errorf("the changes of %d users have not come, or others", users)
			}
			write(t, db, next, next)
			eventually(t, "the next change", func() bool { return got(fmt.Sprintf(`"User:%d"`, next)) })
			next++
			if s.stop(); got("ApiToken") {
				t.Error("a token's change is sent")
			}
		}
	})
}

func TestOneThatNoServerHasForAWeekNeedsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		s := newServer(db, quick(), to(t, "crm", "http://127.0.0.1:1"))
		if _, ok, err := s.Needed(t.Context()); ok || err != nil {
			t.Errorf("without webhooks something is needed: %v", err)
		}
		if err := s.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := s.Needed(t.Context()); !ok {
			t.Error("what a new one needs is not known")
		}
		if err := db.Write.Exec("UPDATE webhooks SET renewed_at = ?", time.Now().Add(-8*24*time.Hour).UnixMicro()).Error; err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := s.Needed(t.Context()); ok {
			t.Error("one that is in no configuration needs something")
		}
	})
}

func TestNothingSecretIsShown(t *testing.T) {
	db := databasetest.New(t, "sqlite")
	rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) { misbehave[rand.N(len(misbehave)-2)](w, r) })
	address := strings.TrimPrefix(rec.URL, "http://")
	times := quick()
	times.GiveUp = time.Second
	s := start(t, db, times, to(t, "crm", "http://u:s3cret@"+address+"/s3cret?token=s3cret"), to(t, "dead", "http://u:s3cret@127.0.0.1:1/s3cret"))
	write(t, db, 1, 1)
	shown := ""
	eventually(t, "both disabled", func() bool {
		text := fmt.Sprintf("%+v", *s.status(t, "crm").Endpoint)
		both := 0
		for _, name := range []string{"crm", "dead"} {
			one := s.status(t, name)
			if one.LastError != nil {
				text += *one.LastError
			}
			if one.DisabledAt != nil {
				both++
			}
		}
		shown += text
		return both == 2
	})
	s.stop()
	shown += s.log.String()
	if strings.Contains(shown, "s3cret") || strings.Contains(shown, secret) || !strings.Contains(shown, "http://"+address) || !strings.Contains(shown, "connection refused") {
		t.Errorf("it shows %s", shown)
	}
	for _, text := range []string{"whsec_s3cret", "s3cret", "whsec_" + base64.StdEncoding.EncodeToString([]byte("s3cret")), "ftp://s3cret", "http://s3cret host", "https:///s3cret"} {
		_, ofSecret := webhook.ParseSecret(text)
		_, ofURL := webhook.ParseURL(text)
		if ofSecret == nil || ofURL == nil || strings.Contains(ofSecret.Error()+ofURL.Error(), "s3cret") {
			t.Errorf("%s: %v, %v", text, ofSecret, ofURL)
		}
	}
}
