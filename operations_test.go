package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/operation"
	"rollcall/ratelimit"
	"rollcall/session"
)

// loggedOperations are the lines that the log has of operations, each as its attributes.
func (s *server) loggedOperations() (all []map[string]any) {
	s.tb.Helper()
	for line := range strings.Lines(s.log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			s.tb.Fatalf("%v: %s", err, line)
		}
		if one["msg"] == "operation" {
			all = append(all, one)
		}
	}
	return all
}

// next waits for the next line of an operation, and compares some of its attributes, such as "transport=get status=200 sql=none".
func (l *lines) next(what, want string, has ...string) map[string]any {
	l.server.tb.Helper()
	var line map[string]any
	eventually(l.server.tb, "a line of "+what, func() bool {
		all := l.server.loggedOperations()
		if len(all) > l.seen {
			line = all[l.seen]
		}
		return line != nil
	})
	l.seen++
	for part := range strings.FieldsSeq(want) {
		name, value, _ := strings.Cut(part, "=")
		if got := line[name]; fmt.Sprint(got) != value && (got != nil || value != "none") {
			l.server.tb.Errorf("%s: %s is %v instead of %s in %v", what, name, got, value, line)
		}
	}
	for _, name := range has {
		if line[name] == nil {
			l.server.tb.Errorf("%s: no %s in %v", what, name, line)
		}
	}
	return line
}

// lines are those of a server's operations, in their order.
type lines struct {
	server *server
	seen   int
}

func TestEveryDoorHasItsLineInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--log-operations=all", "--log-format=json", "--slow=0s", "--max-cost=1000")
	l := &lines{server: s}
	post := func(body string, headers ...string) {
		s.ask(http.DefaultClient, http.MethodPost, body, append([]string{"Content-Type", jsonType}, headers...)...)
	}
	get := func(method, query string, headers ...string) *http.Response {
		res, _ := s.askAt(http.DefaultClient, "/query?"+query, method, "", headers...)
		return res
	}
	const find = `query Find { user(id: \"User:42\") { name } }`
	costs := []string{"id", "duration_ms", "database_ms", "bytes", "waited_ms"}

	post(`{"query":"` + find + `"}`)
	l.next("a POST", "name=Find type=query result=ok viewer=local client=127.0.0.1 transport=post status=200 statements=1 rows=1 cost=2 attempts=1 answered_from=plan codes=none sql=none", costs...)
	post(`{"query":"mutation Name { updateUser(input: {id: \"User:42\", title: \"Pilot\"}) { user { id } } }"}`)
	l.next("a mutation", "name=Name type=mutation result=ok transport=post attempts=1 answered_from=resolvers", costs...)
	get("GET", "query={user(id:%22User:42%22){name}}")
	l.next("a GET", "transport=get type=query name=none status=200 statements=1")
	get("HEAD", "query={user(id:%22User:42%22){name}}")
	l.next("a HEAD", "transport=head type=query status=200 statements=none")
	post(`[{"query":"` + find + `"},{"query":"` + find + `"},{"query":"{ nope }"}]`)
	of := map[any]int{}
	for range 3 {
		line := l.next("an array", "transport=array status=200", "bytes")
		of[line["statements"]]++
	}
	if of[1.0] != 1 || of[0.0] != 1 || of[nil] != 1 {
		t.Errorf("the statements of an array are counted %v", of)
	}
	post(`{"query":"query Parts { user(id: \"User:42\") { name ... @defer { manager { name } } } }"}`, "Accept", "multipart/mixed")
	l.next("an answer in parts", "name=Parts transport=multipart status=200 result=ok answered_from=resolvers", costs...)
	document := `{ user(id: "User:41") { name } }`
	s.register(document)
	l.next("a document that is registered", "transport=post status=200 result=ok")
	named := "extensions=" + url.QueryEscape(byHash(persistedHash(document)))
	etag := get("GET", named).Header.Get("ETag")
	l.next("one that is named", "transport=get status=200")
	get("GET", named, "If-None-Match", etag)
	l.next("one that the client has", "transport=get status=304 type=query result=ok statements=none")

	for what, refused := range map[string]struct {
		send func()
		line string
	}{
		"what is not JSON":      {func() { post(`{"qu`) }, "transport=post status=400 codes=BAD_REQUEST"},
		"an array that is none": {func() { post(`[]`) }, "transport=array status=400 codes=BAD_REQUEST"},
		"what is not valid":     {func() { post(`{"query":"{ nope }"}`) }, "transport=post status=200 codes=GRAPHQL_VALIDATION_FAILED"},
		"what is too long":      {func() { post(strings.Repeat(" ", 2<<20)) }, "transport=post status=413 codes=BODY_TOO_LARGE"},
		"another media type":    {func() { s.ask(http.DefaultClient, http.MethodPost, "x", "Content-Type", "text/plain") }, "transport=post status=415 codes=UNSUPPORTED_MEDIA_TYPE"},
		"another answer":        {func() { post(`{"query":"{ __typename }"}`, "Accept", "image/png") }, "transport=post status=406 codes=NOT_ACCEPTABLE"},
		"a mutation by GET":     {func() { get("GET", "query=mutation+No{deleteUser(input:{id:%22User:1%22}){deletedUserId}}") }, "transport=get status=405 name=No type=mutation codes=METHOD_NOT_ALLOWED"},
		"an unknown document":   {func() { s.named("{ teams { totalCount } }") }, "transport=post status=200 codes=PERSISTED_QUERY_NOT_FOUND"},
		"what is too costly": {func() {
			post(`{"query":"query Much { users(first: 100) { nodes { reports(first: 100) { nodes { id } } } } }"}`)
		}, "name=Much type=query transport=post codes=COST_LIMIT"},
		"an error": {func() { post(`{"query":"query Wrong { user(id: \"42\") { name } }"}`) }, "name=Wrong result=partial codes=BAD_USER_INPUT"},
	} {
		refused.send()
		result := "result=refused statements=none "
		if what == "an error" {
			result = "answered_from=resolvers "
		}
		l.next(what, result+refused.line, "id", "duration_ms", "bytes")
	}

	s.askAt(http.DefaultClient, "/scim/v2/Users?filter=userName+eq+%22ada@example.com%22", http.MethodGet, "")
	if line := l.next("SCIM", "type=scim transport=scim status=200 viewer=local result=ok", "id", "duration_ms", "bytes"); line["name"] != "GET /scim/v2/Users" {
		t.Errorf("got %v", line)
	}
	s.socketLines(l)
}

// socketLines are those of what comes over a WebSocket, and of events.
func (s *server) socketLines(l *lines) {
	t := s.tb.(*testing.T)
	conn, err := dialSocket(t, s, `{"type":"connection_init"}`)
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(id, query string) {
		if err := wsjson.Write(t.Context(), conn, map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": query}}); err != nil {
			t.Fatal(err)
		}
	}
	subscribe("1", `query Find { user(id: "User:42") { name } }`)
	l.next("a query on a WebSocket", "name=Find type=query transport=websocket status=none result=ok statements=1 client=127.0.0.1", "bytes", "database_ms")
	subscribe("2", `{ nope }`)
	l.next("an invalid one", "transport=websocket result=refused codes=GRAPHQL_VALIDATION_FAILED")
	subscribe("3", `subscription Watch { userChanged { kind } }`)
	l.next("a subscription that begins", "name=Watch type=subscription transport=websocket result=begun codes=none")
	for range 2 {
		s.answer(`mutation { updateUser(input: {id: "User:42", title: "Pilot"}) { user { id } } }`)
		s.answer(`mutation { updateUser(input: {id: "User:42", title: "Cook"}) { user { id } } }`)
	}
	for range 4 {
		l.next("a mutation", "type=mutation")
	}
	for events := 0; events < 3; {
		_, text, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "userChanged") {
			events++
		}
	}
	if err := wsjson.Write(t.Context(), conn, map[string]any{"id": "3", "type": "complete"}); err != nil {
		t.Fatal(err)
	}
	if line := l.next("its end", "name=Watch type=subscription transport=websocket result=ok", "events", "duration_ms"); line["events"].(float64) < 3 {
		t.Errorf("got %v", line)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"subscribe","id":"4"}`)); err != nil {
		t.Fatal(err)
	}
	l.next("a message that is none", "transport=websocket status=4400 result=refused")
	res, _ := s.ask(http.DefaultClient, http.MethodGet, "", "Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://evil.example")
	l.next("a page of another origin", "transport=websocket result=refused status="+fmt.Sprint(res.StatusCode))
}

func TestWhoIsRefusedAtTheDoorHasALineToo(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	token := strings.TrimSpace(output(t, "token", "create", "--database", url, "--name=reader", "--role=viewer", "--scope=read"))
	s := startAs(t, "--database", url, "--log-format=json", "--rate=100", "--rate-burst=100")
	l := &lines{server: s}
	const body = `{"query":"query Who { users(first: 30) { nodes { name manager { name } } } }"}`
	send := func(body, token string) {
		s.ask(http.DefaultClient, http.MethodPost, body, "Content-Type", jsonType, "Authorization", "Bearer "+token)
	}
	send(body, "rc_wrong")
	l.next("a token that is none", "transport=post status=401 result=refused codes=UNAUTHENTICATED client=127.0.0.1 viewer=none", "id")
	send(`{"query":"mutation Clean { deleteUser(input: {id: \"User:1\"}) { deletedUserId } }"}`, token)
	if line := l.next("a scope that is lacking", "name=Clean type=mutation result=refused codes=FORBIDDEN", "viewer"); !strings.HasPrefix(fmt.Sprint(line["viewer"]), "token:") {
		t.Errorf("got %v", line)
	}
	send(body, token)
	send(body, token)
	l.next("a client that asks for too much", "status=429 result=refused codes=RATE_LIMITED transport=post name=Who", "viewer")
	s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodGet, "", "Authorization", "Bearer "+token)
	l.next("SCIM", "type=scim transport=scim result=refused")
	if log := s.log.String(); strings.Contains(log, token) || strings.Contains(log, "rc_wrong") {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

// TestAnOperationThatTakesTooLongIsInTheLogWithItsStatements by its id alone, and without values.
func TestAnOperationThatTakesTooLongIsInTheLogWithItsStatements(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		for _, values := range []bool{false, true} {
			s := start(t, "--database", url, "--deadline=700ms", "--slow=300ms", "--log-format=json", fmt.Sprintf("--log-values=%t", values))
			s.answer(`{ user(id: "User:42") { name } }`) // is quick, and has no line
			release := lockUser42(t, databasetest.Open(t, url))
			res, text := s.ask(http.DefaultClient, http.MethodPost, `{"query":"mutation Slow($t: String) { updateUser(input: {id: \"User:42\", title: $t}) { user { id } } }","variables":{"t":"sesame"}}`,
				"Content-Type", jsonType)
			release()
			line := (&lines{server: s}).next("the mutation", "name=Slow type=mutation codes=TIMEOUT result=error", "sql", "attempts")
			if line["id"] != res.Header.Get("Operation-Id") || line["duration_ms"].(float64) < 300 {
				t.Errorf("got %v for %s", line, text)
			}
			var failed string
			for _, one := range line["sql"].([]any) {
				if one := one.(map[string]any); one["failed"] == true {
					failed += one["sql"].(string)
				}
			}
			if failed == "" {
				t.Errorf("no statement has failed: %v", line["sql"])
			}
			s.stop()
		}
	})
}

func TestNothingOfWhatIsSentIsInTheLogUnlessThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		url := databasetest.With(t, "sqlite", directorytest.Demo)
		s := start(t, "--database", url, "--log-operations=all", "--slow=1ms", "--log-format="+format)
		send := func(body string, headers ...string) {
			s.ask(http.DefaultClient, http.MethodPost, body, append([]string{"Content-Type", jsonType}, headers...)...)
		}
		const create = `{"query":"mutation Make($n: String!) { createUser(input: {name: $n, email: \"sesame@example.com\", title: \"sesame\"}) { user { id } } }","variables":{"n":"Sesame"}}`
		send(create)
		send(`{"query":"query Find { users(query: \"sesame\", first: 100) { nodes { name } } all: users(first: 100) { nodes { teams { nodes { name members { nodes { name } } } } } } }","extensions":{"sesame":"sesame"}}`)
		send(`{"query":"{ sesame }","variables":{"sesame":1}}`)
		send(`{"sesame`)
		send(create, "Authorization", "Bearer rc_sesame")
		s.askAt(http.DefaultClient, "/scim/v2/Users?filter=userName+eq+%22sesame@example.com%22", http.MethodGet, "")
		eventually(t, "there are six lines", func() bool { return strings.Count(s.log.String(), "transport") >= 6 })
		log := s.log.String()
		if strings.Contains(strings.ToLower(log), "sesame") {
			t.Errorf("logged:\n%s", log)
		}
		if !strings.Contains(log, "INSERT INTO") || !strings.Contains(log, "SELECT") {
			t.Errorf("there is no slow operation:\n%s", log)
		}
		s.stop()
		s = start(t, "--database", url, "--log-operations=all", "--slow=1ms", "--log-values", "--log-format="+format)
		s.answer(`query Find { users(query: "sesame", first: 100) { nodes { name } } all: users(first: 100) { nodes { teams { nodes { name members { nodes { name } } } } } } }`)
		eventually(t, "with --log-values they are", func() bool { return strings.Contains(s.log.String(), "sesame") })
	}
}

func TestTheLogHasTheOperationsThatAreAskedFor(t *testing.T) {
	quick, slow := time.Millisecond, time.Second
	ops := []struct {
		what   string
		kind   string
		report operation.Report
	}{
		{"quick", "query", operation.Report{Result: operation.ResultOK, Duration: quick, Attempts: 1}},
		{"slow", "query", operation.Report{Result: operation.ResultOK, Duration: slow, Attempts: 1}},
		{"waited", "query", operation.Report{Result: operation.ResultOK, Duration: quick, Waited: slow, Attempts: 1}},
		{"failed", "mutation", operation.Report{Result: operation.ResultError, Codes: []string{"CONFLICT"}, Duration: quick, Attempts: 1}},
		{"partial", "query", operation.Report{Result: operation.ResultPartial, Duration: quick, Attempts: 1}},
		{"refused", "", operation.Report{Result: operation.ResultRefused, Codes: []string{"BAD_REQUEST"}}},
		{"begun", "subscription", operation.Report{Result: operation.ResultBegun}},
		{"ended", "subscription", operation.Report{Result: operation.ResultOK, Duration: time.Hour}},
		{"unheard", "subscription", operation.Report{Result: operation.ResultError, Duration: time.Hour}}, // its client has gone before an event
		{"broken", "subscription", operation.Report{Result: operation.ResultPartial, Codes: []string{"UNAUTHENTICATED"}}},
	}
	for which, want := range map[string]string{
		"--log-operations=all":             "quick slow waited failed partial refused begun ended unheard broken",
		"--log-operations=slow":            "slow waited failed partial refused broken",
		"":                                 "slow waited failed partial refused broken",
		"--slow=0s":                        "failed partial refused broken",
		"--slow=2s":                        "failed partial refused broken",
		"--log-operations=failed":          "failed partial refused broken",
		"--log-operations=off":             "",
		"--log-operations=all --slow=0s":   "quick slow waited failed partial refused begun ended unheard broken",
		"--log-level=error":                "slow waited failed partial refused broken",
		"--log-operations=off --slow=10ms": "",
	} {
		var out bytes.Buffer
		l := &operationLog{config: parsed(t, strings.Fields(which)...), count: func([]string) {}}
		l.handler = slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError, ReplaceAttr: inMilliseconds})
		for _, op := range ops {
			l.ended(context.Background(), session.Operation{ID: "1", Name: op.what, Kind: op.kind}, op.report, operation.Sent{By: "post"})
		}
		var got []string
		for _, found := range regexp.MustCompile(`name=(\w+)`).FindAllStringSubmatch(out.String(), -1) {
			got = append(got, found[1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %s", which, got, want)
		}
	}
}

// TestAFloodOfRefusalsDoesNotFillTheLog: how many there were is there all the same.
func TestAFloodOfRefusalsDoesNotFillTheLog(t *testing.T) {
	var out writings
	for which, want := range map[string]int{"slow": maxFailed, "all": 500} {
		out.text.Reset()
		l := &operationLog{config: parsed(t, "--log-operations="+which), count: func([]string) {}, handler: slog.NewTextHandler(&out, nil)}
		for range 500 {
			l.ended(context.Background(), session.Operation{ID: "1"}, operation.Report{Result: operation.ResultRefused, Codes: []string{"BAD_REQUEST"}}, operation.Sent{})
		}
		if n := strings.Count(out.String(), "msg=operation "); n != want {
			t.Errorf("%s: %d lines", which, n)
		}
		if more := fmt.Sprint("operations=", 500-want); which == "slow" {
			eventually(t, more, func() bool { return strings.Contains(out.String(), more) })
		}
	}
}

func TestALineHasTheSlowestStatementsInTheirOrder(t *testing.T) {
	var all []session.Statement
	began := time.Now()
	for i := range 3 * maxLogged {
		all = append(all, session.Statement{SQL: fmt.Sprint("SELECT ", i), Began: began.Add(time.Duration(i) * time.Millisecond), Duration: time.Duration(i%3) * time.Second, Rows: 1, Attempt: 1})
	}
	got := slowest(all, 7)
	if len(got) != maxLogged+1 || got[0].SQL != "SELECT 2" || got[1].SQL != "SELECT 5" || got[1].At != 3 || got[1].Duration != 2000 || got[maxLogged].SQL != "(and 107 more)" {
		t.Errorf("got %v", got)
	}
	if text := slowest(all[1:2], 0).String(); text != "1000ms 1 rows: SELECT 1" {
		t.Errorf("got %s", text)
	}
}

func TestALineNamesTheClientsAddress(t *testing.T) {
	var out bytes.Buffer
	l := &operationLog{config: parsed(t), count: func([]string) {}, handler: slog.NewTextHandler(&out, nil)}
	clients := &ratelimit.Clients{Addr: func(*http.Request) netip.Addr { return netip.MustParseAddr("::ffff:203.0.113.9") }}
	clients.Handler(l.scim(http.NotFoundHandler())).ServeHTTP(&discarded{header: http.Header{}}, (&http.Request{Method: http.MethodPut, URL: &url.URL{Path: "/scim/v2/x"}}).WithContext(t.Context()))
	if !contains(out.String(), "client=203.0.113.9 ", `name="PUT /scim/v2/x"`, "status=404", "result=error") {
		t.Errorf("got %s", &out)
	}
}

// discarded is an answer that nobody reads.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header       { return d.header }
func (*discarded) WriteHeader(int)             {}
func (*discarded) Write(b []byte) (int, error) { return len(b), nil }

// TestAllOutputIsJSONWhereTheLogIs: of a server from its start to its end, and of starts that fail.
func TestAllOutputIsJSONWhereTheLogIs(t *testing.T) {
	t.Parallel()
	program := built(t)
	url := databasetest.With(t, "sqlite", directorytest.Demo)
	s := launch(t, program, "--log-format=json", "--database", url, "--demo", "--metrics=127.0.0.1:0")
	s.answer("{ users { totalCount } }")
	_ = exec.Command("kill", "-TERM", fmt.Sprint(s.pid)).Run()
	if err := s.wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	messages := jsonLines(t, s.out.String()+s.log.String())
	var order []string
	for _, one := range messages {
		order = append(order, fmt.Sprint(one["msg"]))
	}
	for _, want := range []string{"starting", "metrics are served", "ready", "stopped"} {
		if !slices.Contains(order, want) {
			t.Errorf("no %s among %q", want, order)
		}
	}
	if order[0] != "starting" || order[len(order)-1] != "stopped" || s.out.String() != "" {
		t.Errorf("got %q, and on standard output %q", order, &s.out)
	}
	ready := messages[slices.Index(order, "ready")]
	if ready["api"] != s.base+"/query" || ready["playground"] != s.base+"/" || ready["after_ms"].(float64) <= 0 {
		t.Errorf("got %v", ready)
	}
	for _, args := range [][]string{
		{"--log-format=json", "--listen", listen(t)},
		{"--log-format", "json", "--database=sqlite:no/rollcall.db"},
		{"--log-format=json", "--bogus"},
		{"--log-format=json", "--pool-size=0"},
	} {
		out, log, err := execute(t, program, args...)
		lines := jsonLines(t, out+log)
		if last := lines[len(lines)-1]; err == nil || last["level"] != "ERROR" || last["error"] == "" {
			t.Errorf("%q: got %v, %v", args, lines, err)
		}
	}
}

// jsonLines reads lines each of which is an object of JSON.
func jsonLines(tb testing.TB, text string) (all []map[string]any) {
	tb.Helper()
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			tb.Errorf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	return all
}
