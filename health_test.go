package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// probe returns the status and the text of a probe's answer.
func (s *server) probe(path string) (int, string) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		s.tb.Errorf("%s: %v %v", path, err, res.Header)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

func TestProbesTellThatTheServerLivesAndIsReady(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing))
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := s.probe(path); status != http.StatusOK || text != "ok" {
			t.Errorf("%s: %d %s", path, status, text)
		}
		for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want || want == 405 && res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %s %v", method, path, res.Status, res.Header)
			}
		}
	}
}

func TestTheServerIsReadyWithANewerSchemaWhileThatAllowsIt(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		s := start(t, "--database", url)
		db := databasetest.Open(t, url)
		ready := func() bool { status, _ := s.probe("/readyz"); return status == http.StatusOK }
		if !ready() {
			t.Fatal("it is not ready")
		}
		require(t, db, 99999) // as a migration does first
		eventually(t, "it is not ready while it is migrated", func() bool { return !ready() })
		newer(t, db)
		require(t, db, 10)
		eventually(t, "it is ready with a newer schema", ready)
		s.answer(`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } }`)
		require(t, db, 99999)
		eventually(t, "it is not ready", func() bool {
			status, text := s.probe("/readyz")
			return status == http.StatusServiceUnavailable && contains(text, "99999", "run a newer rollcall")
		})
		if status, _ := s.probe("/healthz"); status != http.StatusOK {
			t.Errorf("it is said not to live: %d", status)
		}
		require(t, db, 10)
		eventually(t, "it is ready again", ready)
		if err := db.Write.Exec("DELETE FROM goose_db_version WHERE version_id = (SELECT * FROM (SELECT max(version_id) FROM goose_db_version WHERE version_id < 99999) v)").Error; err != nil {
			t.Fatal(err)
		}
		if err := db.Write.Exec("DELETE FROM goose_db_version WHERE version_id = 99999").Error; err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is not ready with an older schema", func() bool {
			status, text := s.probe("/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(text, "rollcall migrate")
		})
	})
}

func TestProbesPutNoLoadOnTheDatabase(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		h := &health{db: db, log: parsed(t).logger(parsed(t).level())}
		if reason := h.check(t.Context()); reason != "" {
			t.Fatal(reason)
		}
		if err := db.Side.Close(); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if reason := h.check(t.Context()); reason != "" {
				t.Fatalf("the database was asked again at once: %s", reason)
			}
		}
		h.checked = h.checked.Add(-readyFor)
		if reason := h.check(t.Context()); reason != "the database does not answer" {
			t.Errorf("afterwards: %q", reason)
		}
	})
}

// metrics reads the numbers by their names and labels.
func (s *server) metrics() map[string]float64 {
	s.tb.Helper()
	address := regexp.MustCompile(`Metrics are at (\S+)\n`).FindStringSubmatch(s.out.String())
	if address == nil {
		s.tb.Fatalf("no address of metrics in:\n%s", &s.out)
	}
	numbers := map[string]float64{}
	for line := range strings.Lines(get(s.tb, address[1]).body) {
		if i := strings.LastIndex(line, " "); i > 0 && line[0] != '#' {
			number, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
			if err != nil {
				s.tb.Errorf("%v: %s", err, line)
			}
			numbers[line[:i]] = number
		}
	}
	return numbers
}

// post sends a body and returns the answer's.
func (s *server) post(body string, headers ...string) string {
	s.tb.Helper()
	_, text := s.ask(http.DefaultClient, http.MethodPost, body, append([]string{"Content-Type", "application/json"}, headers...)...)
	return string(text)
}

func request(query string) string {
	text, _ := json.Marshal(map[string]string{"query": query})
	return string(text)
}

func TestMetricsCountEachOperationOnceByTypeAndResult(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--metrics", "127.0.0.1:0")
	operations := func(kind, result string) string {
		return fmt.Sprintf("rollcall_operations_total{result=%q,type=%q}", result, kind)
	}
	statements, ended := `rollcall_operation_statements_sum{type="query"}`, `rollcall_operation_duration_seconds_count{type="query"}`
	for name, c := range map[string]struct {
		body, accept string
		want         map[string]float64
	}{
		"a query": {
			body: request(`{ user(id: "User:42") { name } }`),
			want: map[string]float64{operations("query", "ok"): 1, statements: 1, ended: 1},
		},
		"a query with data and errors": {
			body: request(`{ a: user(id: "User:42") { name } user(id: "Team:1") { name } }`),
			want: map[string]float64{operations("query", "partial"): 1, statements: 1, ended: 1},
		},
		"a mutation": {
			body: request(`mutation { updateUser(input: {id: "User:42", name: "New"}) { user { id } } }`),
			want: map[string]float64{operations("mutation", "ok"): 1, `rollcall_operation_duration_seconds_count{type="mutation"}`: 1},
		},
		"a mutation that is refused by its resolver": {
			body: request(`mutation { deleteUser(input: {id: "User:1"}) { deletedUserId } }`),
			want: map[string]float64{operations("mutation", "error"): 1},
		},
		"a syntax error": {
			body: request(`{ user(`), want: map[string]float64{operations("unknown", "refused"): 1},
		},
		"no JSON": {
			body: `{"query`, want: map[string]float64{operations("unknown", "refused"): 1},
		},
		"a variable that does not fit": {
			body: `{"query": "mutation M($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }", "variables": {"id": true}}`,
			want: map[string]float64{operations("unknown", "refused"): 1},
		},
		"an array of queries": {
			body: "[" + request(`{ user(id: "User:41") { name } }`) + "," + request(`{ user(id: "User:40") { name } }`) + "," + request(`{ __typename }`) + "]",
			want: map[string]float64{operations("query", "ok"): 3, statements: 1, ended: 3},
		},
		"a deferred answer": {
			body:   request(`{ user(id: "User:42") { name ... @defer { teams { nodes { name } } } } }`),
			accept: "multipart/mixed",
			want:   map[string]float64{operations("query", "ok"): 1, statements: 2, ended: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.metrics()
			answer := s.post(c.body, "Accept", c.accept)
			after := s.metrics()
			for key, want := range c.want {
				if got := after[key] - before[key]; got != want {
					t.Errorf("%s grew by %v, want %v; the answer is %s", key, got, want, answer)
				}
			}
			for key := range after {
				if strings.HasPrefix(key, "rollcall_operations_total") && c.want[key] == 0 && after[key] != before[key] {
					t.Errorf("%s grew by %v", key, after[key]-before[key])
				}
			}
		})
	}
	for _, key := range []string{
		`go_sql_open_connections{db_name="read"}`, `go_sql_in_use_connections{db_name="write"}`, `go_sql_idle_connections{db_name="side"}`,
		`go_sql_wait_count_total{db_name="write"}`, `go_sql_wait_duration_seconds_total{db_name="write"}`,
		"rollcall_batching_fallbacks_total", "rollcall_unknown_outcomes_total", `rollcall_operation_retries_total{type="mutation"}`, "go_goroutines",
	} {
		if _, ok := s.metrics()[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
}

func TestMetricsCountAConflictThatWasRunAgain(t *testing.T) {
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) { // it can be made to report a conflict
		url := databasetest.With(t, kind, directorytest.Demo)
		s := start(t, "--database", url, "--metrics", "127.0.0.1:0")
		for _, statement := range []string{
			"CREATE SEQUENCE tries",
			`CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN IF nextval(''tries'') < 3 THEN RAISE EXCEPTION USING ERRCODE = ''40001''; END IF; RETURN NEW; END'`,
			"CREATE TRIGGER conflict BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION conflict()",
		} {
			admin(t, parseURL(t, url), statement, "")
		}
		s.answer(`mutation { updateUser(input: {id: "User:42", name: "New"}) { user { id } } }`)
		m := s.metrics()
		if m[`rollcall_operation_retries_total{type="mutation"}`] != 2 || m[`rollcall_operations_total{result="ok",type="mutation"}`] != 1 ||
			m[`rollcall_operation_statements_sum{type="mutation"}`] < 6 {
			t.Errorf("%v", m)
		}
	})
}

// events opens a subscription by server-sent events. Its text grows until the stream ends.
func (s *server) events() (text *writings, ended <-chan error) {
	s.tb.Helper()
	return s.stream(request("subscription { userChanged { kind userId } }"))
}

// stream opens what is answered by server-sent events.
func (s *server) stream(body string) (text *writings, ended <-chan error) {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.base+"/query", strings.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	text, done := &writings{}, make(chan error, 1)
	go func() {
		defer func() { _ = res.Body.Close() }()
		_, err := io.Copy(text, bufio.NewReader(res.Body))
		done <- err
	}()
	eventually(s.tb, "the stream opens", func() bool { return text.String() != "" })
	return text, done
}

// socket opens a WebSocket with a subscription. What is sent gets the error that ends it.
func (s *server) socket() <-chan error {
	s.tb.Helper()
	conn, res, err := websocket.Dial(s.tb.Context(), s.base+"/query", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		s.tb.Fatal(err)
	}
	_ = res
	say := func(text string) {
		if err := conn.Write(s.tb.Context(), websocket.MessageText, []byte(text)); err != nil {
			s.tb.Fatal(err)
		}
	}
	say(`{"type":"connection_init"}`)
	if _, text, err := conn.Read(s.tb.Context()); err != nil || !bytes.Contains(text, []byte("connection_ack")) {
		s.tb.Fatalf("%s %v", text, err)
	}
	say(`{"id":"1","type":"subscribe","payload":` + request("subscription { userChanged { kind userId } }") + `}`)
	ended := make(chan error, 1)
	go func() {
		defer func() { _ = conn.CloseNow() }()
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

func TestMetricsCountWhatIsOpen(t *testing.T) {
	s := start(t, "--database", databasetest.With(t, "sqlite", databasetest.Nothing), "--metrics", "127.0.0.1:0")
	open := func() string {
		m := s.metrics()
		return fmt.Sprintf("%v %v %v", m[`rollcall_open_streams{transport="http"}`], m[`rollcall_open_streams{transport="websocket"}`],
			m[`rollcall_operations_total{result="ok",type="subscription"}`])
	}
	text, _ := s.events()
	s.events()
	s.socket()
	s.post(request(`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } }`))
	eventually(t, "the event arrives", func() bool { return strings.Contains(text.String(), "CREATED") })
	if got := open(); got != "2 1 0" {
		t.Errorf("open are %s", got)
	}
}

func TestRequestsWaitForOthersAndTooManyAreRefused(t *testing.T) {
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	s := start(t, "--database", url, "--concurrency", "1", "--metrics", "127.0.0.1:0")
	release := lockUser42(t, databasetest.Open(t, url))
	var answers sync.WaitGroup
	for i := range 5 {
		answers.Go(func() {
			s.answer(fmt.Sprintf(`mutation { updateUser(input: {id: "User:42", name: "N%d"}) { user { id } } }`, i))
		})
	}
	requests := func() [2]float64 {
		m := s.metrics()
		return [2]float64{m[`rollcall_requests{state="running"}`], m[`rollcall_requests{state="waiting"}`]}
	}
	eventually(t, "one runs and four wait", func() bool { return requests() == [2]float64{1, 4} })
	res, body := s.ask(http.DefaultClient, http.MethodPost, request("{ __typename }"), "Content-Type", "application/json")
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "OVERLOADED") {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
	release()
	answers.Wait()
	if got := requests(); got != [2]float64{} {
		t.Errorf("at the end %v", got)
	}
}
