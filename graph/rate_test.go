package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"rollcall/access"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
)

// rated serves the API to viewers, whom the header X-Viewer or a socket's connection_init names, at the address in X-Address. Each may ask for 100
// units at once; nothing flows in during a test.
func rated(t *testing.T, change func(*graph.Config)) string {
	t.Helper()
	as := func(ctx context.Context, subject string) context.Context {
		if subject == "" {
			return ctx
		}
		return access.WithViewer(ctx, &access.Viewer{Subject: subject})
	}
	return serve(t, func(cfg *graph.Config) {
		cfg.Rate, cfg.RateBurst, cfg.MaxStreams = 1, 100, 1
		cfg.Viewer = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(as(r.Context(), r.Header.Get("X-Viewer"))))
			})
		}
		cfg.SocketViewer = func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error) {
			return as(ctx, fmt.Sprint(payload["viewer"])), nil, nil
		}
		cfg.Client = func(r *http.Request) netip.Addr {
			addr, _ := netip.ParseAddr(r.Header.Get("X-Address"))
			return addr
		}
		if change != nil {
			change(cfg)
		}
	})
}

// charged posts a body as a viewer and returns the answer with how much is left.
func charged(t *testing.T, url, viewer, address string, body any) (res *http.Response, text string, left int) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(sent)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "X-Viewer": viewer, "X-Address": address} {
		req.Header.Set(name, value)
	}
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(res.Header.Get("RateLimit"), `"cost";r=`)
	number, _, _ := strings.Cut(rest, ";")
	if left, err = strconv.Atoi(number); err != nil {
		t.Fatalf("what is left is not told: %v", res.Header)
	}
	return res, string(answer), left
}

func TestEachViewerMayAskForAsMuchAndWhoHasNoNameByAddress(t *testing.T) {
	url := rated(t, nil)
	third := operation{Query: `{ users(first: 10) { nodes { id name email title manager { name department } } } }`, Extensions: map[string]any{"cost": true}}
	_, text, left := charged(t, url, "user:42", "192.0.2.1", third)
	var answer struct {
		Extensions struct {
			Cost struct{ Requested, Limit int }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Extensions.Cost.Requested != 100-left || answer.Extensions.Cost.Limit != 100 || left > 75 || left < 67 {
		t.Fatalf("%d are left of 100 after %s: %v", left, text, err)
	}
	once := 100 - left
	for _, c := range []struct {
		viewer, address string
		left            int // -1: it is refused
	}{
		{"user:42", "192.0.2.2", 100 - 2*once}, // the same at another address
		{"user:42", "192.0.2.1", 100 - 3*once},
		{"user:42", "192.0.2.1", -1},
		{"token:7", "192.0.2.1", 100 - once},
		{"anonymous", "192.0.2.1", 100 - once},
		{"local", "192.0.2.1", 100 - 2*once}, // who has no credentials either
		{"anonymous", "192.0.2.2", 100 - once},
		{"anonymous", "2001:db8::1", 100 - once},
		{"anonymous", "2001:db8::ffff", 100 - 2*once}, // of the same network
		{"anonymous", "2001:db8:0:1::1", 100 - once},
	} {
		res, text, left := charged(t, url, c.viewer, c.address, third)
		if (c.left < 0) != (res.StatusCode == http.StatusTooManyRequests) || c.left >= 0 && left != c.left {
			t.Errorf("%+v: got %d with %d left: %s", c, res.StatusCode, left, text)
		}
		if telling := fmt.Sprint(res.Header["Ratelimit"], res.Header["Ratelimit-Policy"], text); strings.Contains(telling, "user:42") || strings.Contains(telling, "192.0.2") {
			t.Errorf("%+v: the answer tells whom it is for: %s", c, telling)
		}
	}
}

func TestIntrospectionIsFreeAndNothingElse(t *testing.T) {
	url := rated(t, nil)
	for query, cost := range map[string]int{
		`{ __schema { queryType { name } } }`: 0,
		`{ __typename }`:                      0,
		`{ ...F } fragment F on Query { ... { __type(name: "x") { name } } }`: 0,
		`{ __typename user(id: "User:1") { name } }`:                          2,
		`{ ...F } fragment F on Query { user(id: "User:1") { name } }`:        2,
	} {
		if _, text, left := charged(t, url, query, "", operation{Query: query}); 100-left != cost {
			t.Errorf("%s costs %d: %s", query, 100-left, text)
		}
	}
}

func TestWhatCostsMoreThanAClientMayEverAskForIsRefusedAsTooCostly(t *testing.T) {
	url := rated(t, nil)
	one := operation{Query: `{ users(first: 60) { nodes { id name } } }`}
	for what, body := range map[string]any{
		"an operation": operation{Query: `{ users(first: 100) { nodes { id } } }`},
		"an array":     []operation{one, one},
	} {
		res, text, _ := charged(t, url, what, "", body)
		if res.StatusCode != http.StatusOK || !strings.Contains(text, `"COST_LIMIT"`) || !strings.Contains(text, `"limit":100`) || res.Header.Get("Retry-After") != "" {
			t.Errorf("%s: got %d %v %s", what, res.StatusCode, res.Header, text)
		}
	}
	if res, text, _ := charged(t, url, "one", "", one); res.StatusCode != http.StatusOK || strings.Contains(text, "errors") {
		t.Errorf("what may be asked for at once is refused: %d %s", res.StatusCode, text)
	}
}

func TestASocketsLimitsAreThoseOfTheViewerThatItsFirstMessageNames(t *testing.T) {
	url := rated(t, nil)
	charged(t, url, "user:42", "192.0.2.1", operation{Query: `{ users(first: 60) { nodes { id name } } }`})
	for viewer, want := range map[string]string{"user:42": "RATE_LIMITED", "user:43": "next"} {
		conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
			Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"X-Address": {"192.0.2.1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		var got json.RawMessage
		for _, message := range []any{
			map[string]any{"type": "connection_init", "payload": map[string]any{"viewer": viewer}},
			map[string]any{"type": "subscribe", "id": "1", "payload": operation{Query: `{ users(first: 60) { nodes { id name } } }`}},
		} {
			if err := wsjson.Write(t.Context(), conn, message); err != nil {
				t.Fatal(err)
			}
			if err := wsjson.Read(t.Context(), conn, &got); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(string(got), want) {
			t.Errorf("%s: got %s", viewer, got)
		}
	}
}

func TestWithoutARateNothingIsSaidOfOne(t *testing.T) {
	url := rated(t, func(cfg *graph.Config) { cfg.Rate, cfg.RateBurst = 0, 0 })
	res, err := http.Get(url + "?query={__typename}")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header["Ratelimit"] != nil || res.Header["Ratelimit-Policy"] != nil {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
}

func TestARefusalThatWaitsEndsWithTheServer(t *testing.T) {
	api := graph.NewHandler(graph.Config{
		Database: databasetest.Open(t, databasetest.With(t, "sqlite", directorytest.Demo)), MaxPage: 100, Concurrency: 1, Logger: slog.New(slog.DiscardHandler), Rate: 1, RateBurst: 15,
	})
	api.Clients.Delays.For = time.Hour
	server := httptest.NewServer(api)
	defer server.Close()
	const query = "?query={users(first:9){nodes{name}}}"
	get := func() (int, error) {
		res, err := http.Get(server.URL + query)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	if status, err := get(); err != nil || status != http.StatusOK {
		t.Fatalf("got %d, %v", status, err)
	}
	answered := make(chan int, 1)
	go func() {
		status, _ := get()
		answered <- status
	}()
	for end := time.Now().Add(time.Minute); api.Clients.Delays.Waiting() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the refusal does not wait")
		}
	}
	if err := api.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if status := <-answered; status != http.StatusTooManyRequests {
		t.Errorf("got %d", status)
	}
}

// BenchmarkRefusal compares a list that is served with one that is refused: since there is too little left for it, or nothing at all.
func BenchmarkRefusal(b *testing.B) {
	db := databasetest.Open(b, databasetest.With(b, "sqlite", directorytest.Demo))
	for _, c := range []struct {
		what        string
		burst, code int
	}{{"served", 1 << 30, http.StatusOK}, {"too little left", 60, http.StatusTooManyRequests}, {"nothing left", 45, http.StatusTooManyRequests}} {
		b.Run(c.what, func(b *testing.B) {
			api := graph.NewHandler(graph.Config{
				Database: db, MaxPage: 100, Concurrency: 128, Logger: slog.New(slog.DiscardHandler), Rate: 1, RateBurst: c.burst,
			})
			api.Clients.Delays = nil // what is measured is not the time that a refusal waits
			send := func() int {
				body, _ := json.Marshal(operation{Query: `{ users(first: 20) { nodes { name manager { name } } } }`})
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/query", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r)
				return w.Code
			}
			send() // which costs 45, and a document that is known later
			send()
			b.ReportAllocs()
			for b.Loop() {
				if code := send(); code != c.code {
					b.Fatal(code)
				}
			}
		})
	}
}
