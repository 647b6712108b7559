package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// client sends operations, one at a time, on a connection that it keeps.
type client struct {
	*http.Client
	base string
	idle time.Duration // of the connection, before the last operation
}

func newClient(base string, http2 bool) *client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &client{Client: &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: patience}, base: base}
}

// answer is what a client gets for an operation.
type answer struct {
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct {
			Code       string
			RetryAfter int // seconds
		}
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
func (c *client) send(query string, headers ...string) (a answer, err error) {
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { c.idle = got.IdleTime },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/query", strings.NewReader(request(query)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	if event, ok := bytes.CutSuffix(text, []byte("\n\nevent: complete\ndata:\n\n")); ok {
		_, text, _ = bytes.Cut(event, []byte("event: next\ndata: "))
	}
	if err := json.Unmarshal(text, &a); err != nil || !a.ok() && len(a.Errors) == 0 {
		return a, fmt.Errorf("not a whole answer: %s", text)
	}
	return a, nil
}

// crossed reports whether a request may have met the close of its connection, which nobody had used for the time that
// the server leaves it open. HTTP/1 cannot prevent that (RFC 9112, section 9.5). HTTP/2 tells which requests were
// not processed, and its clients send those again.
func (c *client) crossed(err error) bool {
	return c.Transport.(*http.Transport).Protocols.HTTP1() && c.idle > maxIdle*4/5 &&
		(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

func create(email string) string {
	return fmt.Sprintf(`mutation { createUser(input: {name: "N", email: %q}) { user { id } } }`, email)
}

// load is clients that send operations until each is refused a connection or gets no answer.
type load struct {
	wg       sync.WaitGroup
	answers  atomic.Int64
	joined   atomic.Int64 // clients that have been answered
	mu       sync.Mutex
	stored   []string // emails of mutations that were answered as successes
	rejected []string // that were answered as failures, or cannot have been processed
	crossed  int
	lost     []error // requests without an answer
}

// put begins a load of mutations and queries. Each third mutation must fail, after its first field has written. Each
// client has its own protocol, and pauses for up to its own time between its operations.
func put(s *server, clients int, kind func(int) (http2 bool, pause time.Duration)) *load {
	l := &load{}
	run := time.Now().UnixNano()
	for i := range clients {
		l.wg.Go(func() {
			http2, pause := kind(i)
			c := newClient(s.base, http2)
			defer c.CloseIdleConnections()
			for n := 0; l.one(c, fmt.Sprintf("c%d.%d.%d@example.com", run, i, n), n); n++ {
				if n == 0 {
					l.joined.Add(1)
				}
				time.Sleep(rand.N(pause + 1))
			}
		})
	}
	return l
}

// one sends one operation. It reports false if there was no answer.
func (l *load) one(c *client, email string, n int) bool {
	query, mutates := create(email), true
	var headers []string
	switch n % 4 {
	case 1:
		query, mutates = `{ users(first: 50) { nodes { name teams { nodes { name } } } } }`, false
	case 2:
		headers = []string{"Accept", "text/event-stream"}
	case 3:
		query = fmt.Sprintf(`mutation { a: createUser(input: {name: "N", email: %q}) { user { id } } b: createUser(input: {name: "N", email: %[1]q}) { user { id } } }`, email)
	}
	a, err := c.send(query, headers...)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), c.crossed(err):
		if !errors.Is(err, syscall.ECONNREFUSED) {
			l.crossed++
		}
		if mutates {
			l.rejected = append(l.rejected, email)
		}
		return false
	case err != nil:
		l.lost = append(l.lost, fmt.Errorf("%w, after %s of idleness", err, c.idle))
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
	t.Logf("%d answers, %d stored, %d refused, %d without an answer, %d crossed the end", l.answers.Load(), len(l.stored), len(l.rejected), len(l.lost), l.crossed)
}

func TestAtSIGTERMNoRequestLosesItsAnswer(t *testing.T) {
	t.Parallel()
	pauses := []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 2 * maxIdle}
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		for range 2 {
			s := launch(t, built(t), "--database", url, "--shutdown-timeout", "10s")
			events, eventsEnded := s.events()
			socketEnded := s.socket()
			const clients = 16
			l := put(s, clients, func(i int) (bool, time.Duration) { return i%2 == 0, pauses[i/2%len(pauses)] })
			eventually(t, "the load is on", func() bool { return l.answers.Load() > 200 && l.joined.Load() == clients })

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
			if strings.Contains(s.logged(), "WARN") {
				t.Errorf("logged:\n%s", &s.log)
			}
			l.check(t, url)
		}
	})
}

func TestAtTheEndWhoeverHasConnectedIsAccepted(t *testing.T) {
	t.Parallel()
	listener, err := listenOn(t.Context(), "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	const clients = 20
	for range clients {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if err := listener.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	for accepted := 0; ; accepted++ {
		conn, err := drainListener{listener}.Accept()
		if err == nil {
			_ = conn.Close()
			continue
		}
		if accepted != clients || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d of %d are accepted, then %v", accepted, clients, err)
		}
		return
	}
}

func TestAConnectionWithoutARequestDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s := launch(t, built(t), "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	s.probe("/readyz") // so that the connection before this one has been accepted
	began := time.Now()
	s.signal(syscall.SIGTERM)
	if err := s.wait(); err != nil || time.Since(began) > 3*time.Second || strings.Contains(s.logged(), "WARN") {
		t.Errorf("ended after %s with %v\n%s", time.Since(began), err, &s.log)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the connection has %d bytes and ends with %v", n, err)
	}
}

func TestAConnectionIsKeptForOneMoreRequestIfItsLastAnswerDidNotCloseIt(t *testing.T) {
	t.Parallel()
	body := request("{ __typename }")
	kept := func() bool {
		s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		answers := bufio.NewReader(conn)
		exchange := func(format string, args ...any) (*http.Response, error) {
			if _, err := fmt.Fprintf(conn, format, args...); err != nil {
				return nil, err
			}
			res, err := http.ReadResponse(answers, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			return res, err
		}
		res, err := exchange("POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
		if err != nil || res.StatusCode != http.StatusContinue {
			t.Fatal(res, err)
		}
		s.signal(syscall.SIGTERM)
		eventually(t, "it is stopping", func() bool { return strings.Contains(s.log.String(), "stopping") })
		time.Sleep(maxIdle - 10*time.Millisecond)
		if res, err := exchange("%s", body); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		time.Sleep(20 * time.Millisecond)
		res, err = exchange("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
		return err == nil && res.Close
	}
	for range 5 { // where there is much to do, the moment may be missed
		if kept() {
			return
		}
	}
	t.Error("the next request is lost")
}

func TestAnOpenConnectionLearnsThatTheServerIsNotReadyAnyMore(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", databasetest.Nothing)
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

func TestDuringTheDrainDelayTheServerIsNotReadyAndServesNewConnections(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		s := launch(t, built(t), "--database", url, "--drain-delay", "2s")
		text, _ := s.events()
		s.signal(syscall.SIGTERM)
		signalled := time.Now()
		eventually(t, "it is not ready", func() bool {
			status, text := s.probe("/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(text, "shutting down")
		})
		if status, _ := s.probe("/healthz"); status != http.StatusOK {
			t.Errorf("it is said to be dead: %d", status)
		}
		served := 0
		for time.Since(signalled) < 1500*time.Millisecond {
			c := newClient(s.base, served%2 == 0) // which has no connection yet
			a, err := c.send(create(fmt.Sprintf("late%d@example.com", served)))
			c.CloseIdleConnections()
			if err != nil || !a.ok() {
				t.Fatalf("after %d: %v %v", served, err, a.Errors)
			}
			served++
		}
		eventually(t, "a stream has what came since", func() bool { return strings.Count(text.String(), "CREATED") >= served })
		if err := s.wait(); err != nil || served == 0 || !contains(s.log.String(), `msg="not ready any more: new connections are still served" for_ms=2000`, "stopping") {
			t.Errorf("%d served, ended with %v\n%s", served, err, &s.log)
		}
	})
}

func TestWhatOutlivesTheShutdownIsRolledBackAndNamed(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		const timeout = 1500 * time.Millisecond
		s := launch(t, built(t), "--database", url, "--deadline", "1m", "--shutdown-timeout", timeout.String(), "--metrics", "127.0.0.1:0")
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
		eventually(t, "the mutation has begun", s.mutates)
		eventually(t, "it waits", waitsForLock(t, db))

		began := time.Now()
		s.signal(syscall.SIGTERM)
		err := s.wait()
		if took := time.Since(began); err != nil || took > timeout+500*time.Millisecond {
			t.Errorf("ended after %s with %v\n%s", took, err, &s.log)
		}
		if r := <-answered; r.err != nil || r.code() != "CANCELLED" || string(r.Data) != "null" {
			t.Errorf("answered with %v %s %v", r.err, r.Data, r.Errors)
		}
		if log := s.log.String(); !contains(log, "still running", "operation=Late", "id=") || strings.Contains(log, "could not be ended") {
			t.Errorf("logged:\n%s", log)
		}
		if db.Dialect().Name() != "sqlite" { // which has nothing that waits without the process
			eventually(t, "its statement is cancelled in the database", func() bool { return !waitsForLock(t, db)() })
		}
		release()
		var changed int64
		if err := db.Read.WithContext(t.Context()).Table("users").Where("name = 'Late' OR email = 'late@example.com'").Count(&changed).Error; err != nil || changed != 0 {
			t.Errorf("%d rows are changed, %v", changed, err)
		}
	})
}

func TestAServerOutOfFileDescriptorsEndsInTime(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	for scheme, flags := range map[string][]string{"http": nil, "https": {"--tls-cert", cert, "--tls-key", key}} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const timeout = 12 * time.Second
			s := launch(t, limited(t, "-n 60"), append(slices.Clone(flags), "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--shutdown-timeout", timeout.String())...)
			address := s.base[strings.LastIndex(s.base, "/")+1:]
			answered := make(chan error, 70)
			for range cap(answered) {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				go func() {
					if scheme == "https" {
						conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
					}
					_, err := fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
					if err == nil {
						var res *http.Response
						if res, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
							_ = res.Body.Close()
						}
					}
					answered <- err // and the connection stays
				}()
			}
			eventually(t, "it has no more descriptors", func() bool { return strings.Contains(s.log.String(), "too many open files") })
			began := time.Now()
			s.signal(syscall.SIGTERM)
			if err := s.wait(); err != nil || time.Since(began) > timeout {
				t.Errorf("ended after %s with %v\n%s", time.Since(began), err, &s.log)
			}
			for range cap(answered) {
				if err := <-answered; err != nil {
					t.Errorf("one who waited for a descriptor has no answer: %v", err)
				}
			}
		})
	}
}

// limited returns a program that is ours with a limit as ulimit takes it.
func limited(tb testing.TB, limit string) string {
	tb.Helper()
	script := filepath.Join(tb.TempDir(), "rollcall")
	text := fmt.Sprintf("#!/bin/sh\nulimit %s\nexec '%s' \"$@\"\n", limit, built(tb))
	syscall.ForkLock.RLock() // a child that another test forks now would hold the open file, and Linux executes none that may be written
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		tb.Fatal(err)
	}
	return script
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	s := launch(t, built(t), "--database", url, "--deadline", "1m", "--metrics", "127.0.0.1:0")
	lockUser42(t, databasetest.Open(t, url))
	go func() {
		c := newClient(s.base, false)
		defer c.CloseIdleConnections()
		_, _ = c.send(`mutation { updateUser(input: {id: "User:42", name: "Late"}) { user { id } } }`)
	}()
	eventually(t, "the mutation has begun", s.mutates)
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
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		args := []string{"--database", url}
		for range 2 {
			s := launch(t, built(t), args...)
			l := put(s, 8, func(int) (bool, time.Duration) { return false, 0 })
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
