package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
)

// replicated is a server, with its database and a replica of that.
type replicated struct {
	*server
	replica *databasetest.Replica
}

func startReplicated(t *testing.T, main *databasetest.Server, replica *databasetest.Replica, flags ...string) *replicated {
	t.Helper()
	flags = append([]string{"--database", main.URL, "--replica", replica.URL, "--metrics", "127.0.0.1:0"}, flags...)
	r := &replicated{server: start(t, flags...), replica: replica}
	r.comes(t)
	return r
}

// reads returns how many units of work were read at the replica and at the main database.
func (r *replicated) reads() (replica, main float64) {
	r.tb.Helper()
	for name, value := range r.metrics() {
		switch {
		case name == `rollcall_replica_reads_total{replica="main"}`:
			main = value
		case strings.HasPrefix(name, "rollcall_replica_reads_total{"):
			replica = value
		}
	}
	return replica, main
}

// in reports whether the replica is read.
func (r *replicated) in() bool {
	for name, value := range r.metrics() {
		if strings.HasPrefix(name, "rollcall_replica_in{") {
			return value == 1
		}
	}
	return false
}

func (r *replicated) comes(t *testing.T) {
	t.Helper()
	eventually(t, "the replica is read", r.in)
}

func (r *replicated) goes(t *testing.T) {
	t.Helper()
	eventually(t, "the replica is not read", func() bool { return !r.in() })
}

// creates stores a user, and returns its email and the answer's header.
func (r *replicated) creates(client *http.Client) (email string, header http.Header) {
	r.tb.Helper()
	email = fmt.Sprintf("r%d@example.com", creations.Add(1))
	res, text := r.ask(client, http.MethodPost, request(create(email)), "Content-Type", "application/json")
	if !strings.Contains(string(text), `"id"`) {
		r.tb.Errorf("%s", text)
	}
	return email, res.Header
}

const findsNobody = `{"data":{"userByEmail":null}}`

// finds reports whether a query finds a user.
func (r *replicated) finds(client *http.Client, query, email string, headers ...string) bool {
	r.tb.Helper()
	_, text := r.ask(client, http.MethodPost, request(fmt.Sprintf(query, email)), append([]string{"Content-Type", "application/json"}, headers...)...)
	if !strings.Contains(string(text), `"data":{"userByEmail":`) || strings.Contains(string(text), "errors") {
		r.tb.Errorf("%s", text)
	}
	return string(text) != findsNobody
}

const (
	byEmail  = `{ userByEmail(email: %q) { name } }`
	freshly  = `query @fresh { userByEmail(email: %q) { name } }`
	snapshot = `query @snapshot { userByEmail(email: %q) { name } }`
)

func TestReplicas(t *testing.T) {
	t.Parallel()
	databasetest.EachReplicated(t, func(t *testing.T, main *databasetest.Server, replica *databasetest.Replica) {
		output(t, "migrate", "--database", main.URL)
		for _, c := range []struct {
			promise string
			test    func(*testing.T, *databasetest.Server, *databasetest.Replica)
		}{
			{"queries are read there, and see what they have to", readAtAReplica},
			{"one that is too far behind is not read", tooFarBehind},
			{"one that dies harms nobody", dying},
		} {
			t.Run(c.promise, func(t *testing.T) { c.test(t, main, replica) })
		}
	})
}

func readAtAReplica(t *testing.T, main *databasetest.Server, replica *databasetest.Replica) {
	r := startReplicated(t, main, replica, "--max-lag", "60s")
	plain := &http.Client{}
	defer plain.CloseIdleConnections()

	t.Run("and whoever writes always sees it there", r.ownWrites)

	resume := replica.Lags()
	email, header := r.creates(plain)
	if r.finds(plain, byEmail, email) {
		t.Error("a query that brings nothing was not read at the replica")
	}
	for what, query := range map[string]string{"a query": byEmail, "a snapshot": snapshot} {
		if !r.finds(plain, query, email, "Rollcall-After", header.Get("Rollcall-After")) {
			t.Errorf("%s that brings the id of a write does not see it", what)
		}
	}
	if !r.finds(plain, freshly, email) {
		t.Error("@fresh does not see what is committed")
	}
	t.Run("and a WebSocket sees its own writes", r.ownWritesOfASocket)
	t.Run("and an array sees those of its mutations", r.ownWritesOfAnArray)
	for _, garbage := range []string{"", "x", ",,", "00000000-0000-7000-8000-000000000000", strings.Repeat("a", 8000), "018f4f2e-0000-7000-8000-000000000000", "'; --"} {
		if r.finds(plain, byEmail, email, "Rollcall-After", garbage, "Cookie", "Rollcall-After="+garbage) {
			t.Errorf("%q is not ignored", garbage)
		}
	}
	if status, text := r.probe("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, text)
	}
	resume()
	eventually(t, "the replica has it", func() bool { return r.finds(plain, byEmail, email) })
}

// ownWrites has clients write and read, by header and by cookie, while the replica follows and while it does not.
func (r *replicated) ownWrites(t *testing.T) {
	const rounds = 50
	var old, read atomic.Int64
	for _, lagging := range []bool{false, true} {
		resume := func() {}
		if lagging {
			resume = r.replica.Lags()
		}
		var all sync.WaitGroup
		for client := range 4 {
			all.Go(func() {
				c := &http.Client{}
				defer c.CloseIdleConnections()
				if client%2 == 1 {
					c.Jar, _ = cookiejar.New(nil)
				}
				for range rounds {
					email, header := r.creates(c)
					after := []string{"Rollcall-After", header.Get("Rollcall-After")}
					if c.Jar != nil {
						after = nil
					}
					read.Add(1)
					if !r.finds(c, byEmail, email, after...) {
						old.Add(1)
					}
				}
			})
		}
		all.Wait()
		resume()
	}
	t.Logf("%d of %d were old", old.Load(), read.Load())
	if old.Load() != 0 || read.Load() != 8*rounds {
		t.Errorf("%d of %d were old", old.Load(), read.Load())
	}
	replica, _ := r.reads()
	if replica < 4*rounds/2 {
		t.Errorf("the replica was read %v times", replica)
	}
	r.comes(t)
}

func (r *replicated) ownWritesOfASocket(t *testing.T) {
	socket, err := dialSocket(t, r.server, `{"type":"connection_init"}`)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id, query string) string {
		text, _ := json.Marshal(map[string]any{"type": "subscribe", "id": id, "payload": map[string]string{"query": query}})
		if err := socket.Write(t.Context(), websocket.MessageText, text); err != nil {
			t.Fatal(err)
		}
		answer := ""
		for {
			_, text, err := socket.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), `"complete"`) {
				return answer
			}
			answer += string(text)
		}
	}
	email := fmt.Sprintf("r%d@example.com", creations.Add(1))
	ask("1", create(email))
	if answer := ask("2", fmt.Sprintf(byEmail, email)); !strings.Contains(answer, `"name"`) {
		t.Error(answer)
	}
}

func (r *replicated) ownWritesOfAnArray(t *testing.T) {
	first, second := fmt.Sprintf("r%d@example.com", creations.Add(1)), fmt.Sprintf("r%d@example.com", creations.Add(1))
	query := request(`{ a: userByEmail(email: "` + first + `") { name } }`)
	res, text := r.ask(http.DefaultClient, http.MethodPost, "["+strings.Join([]string{
		query, request(create(first)), query, query, request(create(second)), query,
	}, ",")+"]", "Content-Type", "application/json")
	if n := strings.Count(string(text), `"a":{"name"`); n != 3 || !strings.HasPrefix(string(text), `[{"data":{"a":null`) {
		t.Errorf("%s", text)
	}
	ids := strings.Split(res.Header.Get("Rollcall-After"), ", ")
	if cookies := res.Cookies(); len(ids) != 2 || len(cookies) != 1 || cookies[0].Value != ids[1] {
		t.Errorf("%q, %v", ids, cookies)
	}
}

func tooFarBehind(t *testing.T, main *databasetest.Server, replica *databasetest.Replica) {
	r := startReplicated(t, main, replica, "--max-lag", "1s")
	plain := &http.Client{}
	defer plain.CloseIdleConnections()
	resume := replica.Lags()
	email, _ := r.creates(plain)
	r.goes(t)
	if !r.finds(plain, byEmail, email) {
		t.Error("a query is read at the replica")
	}
	if status, text := r.probe("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, text)
	}
	resume()
	r.comes(t)
	if log := r.log.String(); !contains(log, "a replica is not read", "too far behind", "a replica is read") {
		t.Errorf("logged:\n%s", log)
	}
}

func dying(t *testing.T, main *databasetest.Server, replica *databasetest.Replica) {
	r := startReplicated(t, main, replica)
	var answered, failed atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			body := []string{
				request(`{ users(first: 50) { nodes { name manager { name } } } }`),
				request(`query @snapshot { users(first: 50) { nodes { name teams { nodes { name } } } } }`),
				"[" + request(`{ users(first: 50) { nodes { name } } }`) + "," + request(`{ users(first: 3) { nodes { email } } }`) + "]",
			}[i%3]
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, text := r.ask(c, http.MethodPost, body, "Content-Type", "application/json"); !strings.Contains(string(text), `"data":{"users":{"nodes":[{`) || strings.Contains(string(text), "errors") {
					failed.Add(1)
					t.Logf("%s", text)
				}
				answered.Add(1)
			}
		})
	}
	more := func() {
		before := answered.Load()
		eventually(t, "queries are answered", func() bool { return answered.Load() > before+200 })
	}
	more()
	replica.Kill()
	r.goes(t)
	more()
	replica.Start()
	r.comes(t)
	more()
	resume := replica.Pause() // without a word
	r.goes(t)
	more()
	resume()
	r.comes(t)
	more()
	close(stop)
	all.Wait()
	t.Logf("%d of %d failed", failed.Load(), answered.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d failed", failed.Load(), answered.Load())
	}

	replica.Kill()
	late := start(t, "--database", main.URL, "--replica", replica.URL, "--metrics", "127.0.0.1:0")
	late.answer(`{ users { totalCount } }`)
	replica.Start()
	(&replicated{server: late}).comes(t)
}
