package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// collected is a collector of traces.
type collected struct {
	mu  sync.Mutex
	all []*spans.Span
	who map[string]string // attributes of the process
}

// collect has traces sent to a collector until the test ends.
func collect(t *testing.T) *collected {
	t.Helper()
	c := &collected{who: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &sent) != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, of := range sent.GetResourceSpans() {
			for _, attribute := range of.GetResource().GetAttributes() {
				c.who[attribute.GetKey()] = attribute.GetValue().GetStringValue()
			}
			for _, in := range of.GetScopeSpans() {
				c.all = append(c.all, in.GetSpans()...)
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	return c
}

// of returns the span of an operation, by its id, once it has come, and those below it by the id of the one above.
func (c *collected) of(t *testing.T, operation string) (own *spans.Span, below map[string][]*spans.Span) {
	t.Helper()
	eventually(t, "the spans of the operation are there", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, span := range c.all {
			if attributeOf(span, "rollcall.operation.id") == operation {
				own = span
			}
		}
		return own != nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	below = map[string][]*spans.Span{}
	for _, span := range c.all {
		if string(span.GetTraceId()) == string(own.GetTraceId()) {
			below[string(span.GetParentSpanId())] = append(below[string(span.GetParentSpanId())], span)
		}
	}
	return own, below
}

func attributeOf(span *spans.Span, key string) string {
	for _, attribute := range span.GetAttributes() {
		if attribute.GetKey() == key {
			return attribute.GetValue().GetStringValue()
		}
	}
	return ""
}

func namesOf(all []*spans.Span) (names []string) {
	for _, span := range all {
		names = append(names, span.GetName())
	}
	return names
}

// traced sends an operation below a client's span, and returns its id.
func traced(s *server, query, parent string) string {
	res, _ := s.ask(http.DefaultClient, http.MethodPost, request(query), "Content-Type", "application/json", "traceparent", parent)
	return res.Header.Get("Operation-Id")
}

func TestAnOperationIsATraceOfItsBatchesAndStatementsBelowTheClients(t *testing.T) {
	c := collect(t)
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		s := start(t, "--database", url, "--log-operations=all")
		const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		client := "00-" + trace + "-" + parent + "-01"
		id := traced(s, `query Names { users(first: 3) { nodes { name teams { nodes { name } } } } }`, client)
		own, below := c.of(t, id)
		if got := hex.EncodeToString(own.GetTraceId()) + hex.EncodeToString(own.GetParentSpanId()); got != trace+parent || own.GetName() != "query" ||
			attributeOf(own, "graphql.operation.name") != "Names" || own.GetKind() != spans.Span_SPAN_KIND_SERVER {
			t.Errorf("got %v", own)
		}
		batches := below[string(own.GetSpanId())]
		if len(batches) != 2 {
			t.Fatalf("below it are %q", namesOf(batches))
		}
		for _, one := range batches {
			statements := below[string(one.GetSpanId())]
			if !strings.HasPrefix(one.GetName(), "batch ") || len(statements) != 1 || statements[0].GetName() != "SELECT" || attributeOf(statements[0], "db.query.text") == "" {
				t.Errorf("below %s are %q", one.GetName(), namesOf(statements))
			}
			for _, span := range append(statements, one) {
				if span.GetStartTimeUnixNano() < own.GetStartTimeUnixNano() || span.GetEndTimeUnixNano() > own.GetEndTimeUnixNano() {
					t.Errorf("%s is not within its operation", span.GetName())
				}
			}
		}
		if line := regexp.MustCompile(`.* id=` + id + `.*`).FindString(s.log.String()); !strings.Contains(line, "trace_id="+trace) {
			t.Errorf("the log has %q", line)
		}

		own, below = c.of(t, traced(s, `mutation { updateUser(input: {id: "User:42", title: "Pilot"}) { user { id } } }`, ""))
		names := namesOf(below[string(own.GetSpanId())])
		if len(own.GetParentSpanId()) != 0 || names[0] != "BEGIN" || names[len(names)-1] != "COMMIT" || attributeOf(below[string(own.GetSpanId())][0], "db.system.name") == "" {
			t.Errorf("a mutation's are %q", names)
		}

		own, _ = c.of(t, traced(s, `{ users(first: 10000) { totalCount } }`, ""))
		if attributeOf(own, "error.type") != "BAD_USER_INPUT" {
			t.Errorf("a refused one's is %v", own)
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.who["service.name"] != "rollcall" || c.who["service.version"] != release || c.who["deployment.environment.name"] != "test" {
		t.Errorf("the process is said to be %v", c.who)
	}
}

func TestATraceNamesTheProductThatTheServerIs(t *testing.T) {
	c := collect(t)
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		s := start(t, "--database", databasetest.With(t, kind, directorytest.Demo))
		own, below := c.of(t, traced(s, `mutation { updateUser(input: {id: "User:42", title: "Pilot"}) { user { id } } }`, ""))
		want := map[string]string{"sqlite": "sqlite", "mariadb": "mariadb", "mysql": "mysql", "postgres": "postgresql"}[kind]
		for _, span := range below[string(own.GetSpanId())] {
			if got := attributeOf(span, "db.system.name"); got != want && attributeOf(span, "db.query.text") != "" {
				t.Errorf("%s is at %q", span.GetName(), got)
			}
		}
	})
}

// TestACommitThatIsLostHasItsProofInTheTraceTheLogAndTheReport as a statement of its own, behind COMMIT.
func TestACommitThatIsLostHasItsProofInTheTraceTheLogAndTheReport(t *testing.T) {
	c := collect(t)
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		u, err := url.Parse(databasetest.With(t, kind, directorytest.Demo))
		if err != nil {
			t.Fatal(err)
		}
		var armed atomic.Bool
		proxy := &databasetest.Proxy{}
		proxy.Pass = func(sent []byte, forward func()) {
			if len(sent) < 64 && bytes.Contains(bytes.ToUpper(sent), []byte("COMMIT")) && armed.CompareAndSwap(true, false) {
				proxy.Cut() // and the server never sees it
				proxy.Reopen(t)
				return
			}
			forward()
		}
		u.Host = proxy.Listen(t, u.Host)
		s := start(t, "--database", u.String(), "--slow=1ms", "--log-operations=all", "--log-format=json")
		eventually(t, "the COMMIT of a mutation is lost", func() bool { // and not another one
			armed.Store(true)
			defer armed.Store(false)
			body := `{"query":"mutation { updateUser(input: {id: \"User:42\", title: \"Pilot\"}) { user { id } } }","extensions":{"report":true}}`
			res, text := s.ask(http.DefaultClient, http.MethodPost, body, "Content-Type", jsonType)
			var answer struct {
				Extensions struct {
					Report struct{ Statements []struct{ SQL string } }
				}
			}
			if err := json.Unmarshal(text, &answer); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			var reported []string
			for _, one := range answer.Extensions.Report.Statements {
				verb, _, _ := strings.Cut(one.SQL, " ")
				reported = append(reported, verb)
			}
			if !slices.Contains(reported, "PROOF") {
				return false
			}
			own, below := c.of(t, res.Header.Get("Operation-Id"))
			if names := namesOf(below[string(own.GetSpanId())]); !slices.Equal(names, reported) {
				t.Errorf("the trace has %q, and the report %q", names, reported)
			}
			if at := slices.Index(reported, "PROOF"); at < 2 || reported[at-1] != "COMMIT" || reported[at-2] != "INSERT" {
				t.Errorf("got %q", reported)
			}
			var logged []string
			eventually(t, "it has its line", func() bool {
				for _, line := range s.loggedOperations() {
					if line["id"] != attributeOf(own, "rollcall.operation.id") {
						continue
					}
					for _, one := range line["sql"].([]any) {
						verb, _, _ := strings.Cut(one.(map[string]any)["sql"].(string), " ")
						logged = append(logged, verb)
					}
				}
				return logged != nil
			})
			if !slices.Equal(logged, reported) {
				t.Errorf("the log has %q, and the report %q", logged, reported)
			}
			return true
		})
	})
}

// TestWhatAnArrayReadsTogetherIsWithItsFirstToWhichTheOthersLead in the traces and in the log, by ids.
func TestWhatAnArrayReadsTogetherIsWithItsFirstToWhichTheOthersLead(t *testing.T) {
	c := collect(t)
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		s := start(t, "--database", url, "--slow=1ms", "--log-operations=all", "--log-format=json")
		const query = `{"query":"{ users(first: 100) { nodes { name teams { nodes { name } } } } }"},{"query":"{ users(first: 100) { nodes { name manager { name } } } }"},{"query":"{ user(id: \"User:42\") { name } }"}`
		res, _ := s.ask(http.DefaultClient, http.MethodPost, "["+query+"]", "Content-Type", jsonType)
		lines := map[string]map[string]any{}
		eventually(t, "each has its line", func() bool {
			for _, line := range s.loggedOperations() {
				lines[line["id"].(string)] = line
			}
			return len(lines) == 3
		})
		var firsts []string
		for id := range strings.SplitSeq(res.Header.Get("Operation-Id"), ", ") {
			own, below := c.of(t, id)
			batches := below[string(own.GetSpanId())]
			first := attributeOf(own, "rollcall.operation.read_with")
			if line := lines[id]; first != "" {
				if len(batches) > 0 || line["read_with"] != first || line["sql"] != nil || lines[first]["sql"] == nil {
					t.Errorf("%s leads to %s, has %q, and in the log %v", id, first, namesOf(batches), line)
				}
				continue
			}
			firsts = append(firsts, id)
			if len(batches) < 3 {
				t.Errorf("there are %q", namesOf(batches))
			}
			for _, one := range batches {
				statements := below[string(one.GetSpanId())]
				if !strings.HasPrefix(one.GetName(), "batch ") || len(statements) != 1 || attributeOf(statements[0], "db.query.text") == "" {
					t.Errorf("below %s are %q", one.GetName(), namesOf(statements))
				}
			}
		}
		if len(firsts) != 1 {
			t.Errorf("%q are first", firsts)
		}
	})
}

func TestARequestOfSCIMIsATraceAndALineOfItsStatementsAndItsIdIsThatOfItsChanges(t *testing.T) {
	c := collect(t)
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		s := start(t, "--database", url, "--slow=1ms", "--log-operations=all", "--log-format=json")
		l := &lines{server: s}
		const trace, parent = "0af7651916cd43dd8448eb211c80319d", "b7ad6b7169203332"
		res, text := s.askAt(http.DefaultClient, "/scim/v2/Users", http.MethodPost, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com"}`,
			"Content-Type", "application/scim+json", "traceparent", "00-"+trace+"-"+parent+"-01")
		id := res.Header.Get("Operation-Id")
		line := l.next("SCIM", "type=scim transport=scim status=201 result=ok attempts=1 codes=none trace_id="+trace, "statements", "database_ms", "rows", "waited_ms")
		if line["id"] != id || line["statements"].(float64) < 1 || line["rows"].(float64) < 1 {
			t.Errorf("got %v for %s", line, text)
		}
		own, below := c.of(t, id)
		statements := below[string(own.GetSpanId())]
		if got := hex.EncodeToString(own.GetTraceId()) + hex.EncodeToString(own.GetParentSpanId()); got != trace+parent || own.GetName() != "POST scim" ||
			own.GetKind() != spans.Span_SPAN_KIND_SERVER || attributeOf(own, "http.request.method") != "POST" || attributeOf(own, "url.path") != "/scim/v2/Users" || attributeOf(own, "graphql.operation.type") != "" {
			t.Errorf("got %v", own)
		}
		logged, _ := line["sql"].([]any)
		if names := namesOf(statements); line["duration_ms"].(float64) >= 1 && len(logged) != len(names) || names[0] != "BEGIN" || names[len(names)-1] != "COMMIT" || !slices.Contains(names, "INSERT") {
			t.Errorf("its statements are %q, and in the log %v", names, logged)
		}
		_, text = s.ask(http.DefaultClient, http.MethodPost, request(`{ changes(ids: ["`+path.Base(res.Header.Get("Location"))+`"]) { nodes { kind operationId } } }`), "Content-Type", jsonType)
		if !contains(string(text), `"kind":"CREATED","operationId":"`+id+`"`) {
			t.Errorf("the change of %s is %s", id, text)
		}
		l.next("a query", "type=query")

		s.askAt(http.DefaultClient, "/scim/v2/Users/User:999999", http.MethodGet, "")
		l.next("what is not there", "type=scim status=404 result=error codes=NOT_FOUND statements=1 attempts=1")
		s.askAt(http.DefaultClient, "/scim/v2/Schemas", http.MethodGet, "")
		l.next("what takes no statement", "type=scim status=200 result=ok statements=none")
	})
}

func TestWhatAsksForTracesThatCannotBeSentIsRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for variable, value := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if text := refusal(t, "--database", databasetest.URL(t, "sqlite")); !contains(text, variable) {
				t.Error(text)
			}
		})
	}
}

func TestACollectorThatIsAwayStopsNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo))
	s.answer("{ users { totalCount } }")
	eventually(t, "the log tells of it", func() bool { return strings.Contains(s.log.String(), "traces are not sent") })
	s.answer("{ users { totalCount } }")
}

func TestNothingIsTracedUnlessThatIsAskedFor(t *testing.T) {
	c := collect(t)
	for variable, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo))
			s.answer("{ users { totalCount } }")
			s.stop()
		})
	}
	if len(c.all) != 0 {
		t.Errorf("got %d spans", len(c.all))
	}
}
