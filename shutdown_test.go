package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
)

// client sends operations, one at a time, on a connection that it keeps.
type client struct {
	*http.Client
	base string
}

func newClient(base string, http2 bool) *client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &client{&http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: patience}, base}
}

// answer is what a client gets for an operation.
type answer struct {
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

func (a answer) ok() bool { return len(a.Errors) == 0 && len(a.Data) > 0 }

func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Extensions.Code
}

// send returns a whole answer or an error.
func (c *client) send(query string) (a answer, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.base+"/query", strings.NewReader(request(query)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil || !a.ok() && len(a.Errors) == 0 {
		return a, fmt.Errorf("not a whole answer: %s", text)
	}
	return a, nil
}

func create(email string) string {
	return fmt.Sprintf(`mutation { createUser(input: {name: "N", email: %q}) { user { id } } }`, email)
}

// load is clients that send operations until each is refused a connection or gets no answer.
type load struct {
	wg       sync.WaitGroup
	answers  atomic.Int64
	mu       sync.Mutex
	stored   []string // emails of mutations that were answered as successes
	rejected []string // that were answered as failures
	lost     []error  // requests without an answer
}

// put begins a load of mutations and queries. Each third mutation must fail, after its first field has written.
func put(s *server, clients int, http2 func(int) bool) *load {
	l := &load{}
	for i := range clients {
		l.wg.Go(func() {
			c := newClient(s.base, http2(i))
			defer c.CloseIdleConnections()
			for n := 0; ; n++ {
				if !l.one(c, fmt.Sprintf("c%d.%d@example.com", i, n), n) {
					return
				}
			}
		})
	}
	return l
}

// one sends one operation. It reports false if there was no answer.
func (l *load) one(c *client, email string, n int) bool {
	query, mutates := create(email), true
	switch n % 4 {
	case 1:
		query, mutates = `{ users(first: 50) { nodes { name teams { nodes { name } } } } }`, false
	case 3:
		query = fmt.Sprintf(`mutation { a: createUser(input: {name: "N", email: %q}) { user { id } } b: createUser(input: {name: "N", email: %[1]q}) { user { id } } }`, email)
	}
	a, err := c.send(query)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return false
	case err != nil:
		l.lost = append(l.lost, err)
		return false
	case mutates && a.ok():
		l.stored = append(l.stored, email)
	case mutates && a.code() != "OUTCOME_UNKNOWN":
		l.rejected = append(l.rejected, email)
	}
	l.answers.Add(1)
	return true
}

// check compares what was answered with what is stored.
func (l *load) check(t *testing.T, url string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var emails []string
	if err := databasetest.Open(t, url).Read.WithContext(t.Context()).Table("users").Pluck("email", &emails).Error; err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, email := range emails {
		stored[email] = true
	}
	for _, email := range l.stored {
		if !stored[email] {
			t.Errorf("%s was acknowledged and is lost", email)
		}
	}
	for _, email := range l.rejected {
		if stored[email] {
			t.Errorf("%s was refused and is stored", email)
		}
	}
	if len(l.stored) == 0 {
		t.Error("nothing was stored")
	}
	t.Logf("%d answers, %d stored, %d refused, %d without an answer", l.answers.Load(), len(l.stored), len(l.rejected), len(l.lost))
}

func TestAtSIGTERMNoRequestLosesItsAnswer(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		s := launch(t, built(t), "--database", url, "--migrate", "--demo", "--shutdown-timeout", "10s")
		events, eventsEnded := s.events()
		socketEnded := s.socket()
		l := put(s, 16, func(i int) bool { return i%4 == 0 })
		eventually(t, "the load is on", func() bool { return l.answers.Load() > 200 })

		began := time.Now()
		s.signal(syscall.SIGTERM)
		l.wg.Wait()
		if err := s.wait(); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("ended after %s with %v\n%s", time.Since(began), err, &s.log)
		}
		for _, err := range l.lost {
			t.Errorf("a request without an answer: %v", err)
		}
		if err := <-socketEnded; websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("the socket ended with %v", err)
		}
		<-eventsEnded //nolint:errcheck // breaking off is an error or none, as HTTP's version has it
		if text := events.String(); !strings.HasSuffix(text, "\n\n") || strings.Contains(text, "complete") {
			t.Errorf("the stream breaks off within an event, or is said to be complete: …%q", text[max(0, len(text)-80):])
		}
		if strings.Contains(s.log.String(), "WARN") {
			t.Errorf("logged:\n%s", &s.log)
		}
		l.check(t, url)
	})
}

func TestAnOpenConnectionLearnsThatTheServerIsNotReadyAnyMore(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, "sqlite")
	s := launch(t, built(t), "--database", url)
	if status, text := s.probe("/readyz"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	s.signal(syscall.SIGTERM)
	eventually(t, "it is stopping", func() bool { return strings.Contains(s.log.String(), "stopping") })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req) // on the connection that is there
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "shutting down") || !res.Close {
		t.Errorf("%s %s, and the connection stays: %v", res.Status, text, !res.Close)
	}
	if err := s.wait(); err != nil {
		t.Error(err)
	}
}

func TestWhatOutlivesTheShutdownIsRolledBackAndNamed(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		const timeout = 1500 * time.Millisecond
		s := launch(t, built(t), "--database", url, "--migrate", "--demo", "--deadline", "1m", "--shutdown-timeout", timeout.String())
		db := databasetest.Open(t, url)
		release := lockUser42(t, db)
		type result struct {
			answer
			err error
		}
		answered := make(chan result, 1)
		go func() {
			c := newClient(s.base, false)
			defer c.CloseIdleConnections()
			a, err := c.send(`mutation Late {
				a: createUser(input: {name: "N", email: "late@example.com"}) { user { id } }
				b: updateUser(input: {id: "User:42", name: "Late"}) { user { id } }
			}`)
			answered <- result{a, err}
		}()
		eventually(t, "the mutation waits", waitsForLock(t, db))
		time.Sleep(100 * time.Millisecond) // SQLite doesn't tell

		began := time.Now()
		s.signal(syscall.SIGTERM)
		err := s.wait()
		if took := time.Since(began); err != nil || took > timeout+500*time.Millisecond {
			t.Errorf("ended after %s with %v\n%s", took, err, &s.log)
		}
		if r := <-answered; r.err != nil || r.code() == "" || r.code() == "OUTCOME_UNKNOWN" || string(r.Data) != "null" {
			t.Errorf("answered with %v %s %v", r.err, r.Data, r.Errors)
		}
		if log := s.log.String(); !contains(log, "still running", "operation=Late", "id=") || strings.Contains(log, "could not be ended") {
			t.Errorf("logged:\n%s", log)
		}
		if db.Dialect() != "sqlite" { // which has nothing that waits without the process
			eventually(t, "its statement is cancelled in the database", func() bool { return !waitsForLock(t, db)() })
		}
		release()
		var changed int64
		if err := db.Read.WithContext(t.Context()).Table("users").Where("name = 'Late' OR email = 'late@example.com'").Count(&changed).Error; err != nil || changed != 0 {
			t.Errorf("%d rows are changed, %v", changed, err)
		}
	})
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, "sqlite")
	s := launch(t, built(t), "--database", url, "--demo", "--deadline", "1m")
	lockUser42(t, databasetest.Open(t, url))
	go func() {
		c := newClient(s.base, false)
		defer c.CloseIdleConnections()
		_, _ = c.send(`mutation { updateUser(input: {id: "User:42", name: "Late"}) { user { id } } }`)
	}()
	time.Sleep(100 * time.Millisecond)
	s.signal(syscall.SIGTERM)
	eventually(t, "it is stopping", func() bool { return strings.Contains(s.log.String(), "stopping") })
	began := time.Now()
	s.signal(syscall.SIGTERM)
	if err := s.wait(); err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("ended after %s with %v", time.Since(began), err)
	}
}

func TestAfterAKillEveryAcknowledgedMutationIsThere(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		args := []string{"--database", url, "--migrate"}
		for range 2 {
			s := launch(t, built(t), args...)
			l := put(s, 8, func(int) bool { return false })
			eventually(t, "the load is on", func() bool { return l.answers.Load() > 300 })
			s.signal(syscall.SIGKILL)
			l.wg.Wait()
			_ = s.wait()
			again := launch(t, built(t), args...)
			again.answer("{ users { totalCount } }")
			l.check(t, url)
			again.signal(syscall.SIGTERM)
			_ = again.wait()
			admin(t, parseURL(t, url), "DELETE FROM users", "")
		}
	})
}
