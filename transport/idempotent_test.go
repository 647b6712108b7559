package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/document"
	"rollcall/idempotency"
	"rollcall/operation"
	"rollcall/session/sessiontest"
	"rollcall/transport"
)

const keyed = `mutation @idempotent(key: %q) { increment(id: 1) { value } }`

// extended is an extension of a server's that adds something to each answer.
func extended(srv *handler.Server) {
	srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		graphql.RegisterExtension(ctx, "text", "<&>")
		graphql.RegisterExtension(ctx, "number", 1e21)
		return next(ctx)
	})
}

func TestAReplayedAnswerIsTheStoredOneInEveryForm(t *testing.T) {
	b := newBank(t, sessiontest.Setup{Server: extended})
	text := ""
	for i, accept := range []string{jsonType, graphqlType, eventType, multipartType} {
		key := fmt.Sprint("key-", i)
		first := post(t, b.URL, run(`mutation { increment(id: 1) { value } }`), "Accept", accept, "Idempotency-Key", key)
		again := post(t, b.URL, run(`mutation { increment(id: 1) { value } }`), "Accept", accept, "Idempotency-Key", key)
		if again.text != first.text || first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: got %s and %s, with %v and %v", accept, first.text, again.text, first.Header, again.Header)
		}
		if id := first.Header.Get("Operation-Id"); id == "" || again.Header.Get("Operation-Id") != id {
			t.Errorf("%s: the ids are %v and %v", accept, id, again.Header["Operation-Id"])
		}
		if text = first.text; i < 2 {
			var stored string
			if err := b.DB.Raw("SELECT answer FROM idempotency_keys ORDER BY stored_at DESC, rowid DESC LIMIT 1").Scan(&stored).Error; err != nil || stored != text {
				t.Errorf("stored is %s, %v, and sent was %s", stored, err, text)
			}
		}
		if other := post(t, b.URL, run(`mutation { increment(id: 1) { value } }`), "Idempotency-Key", key); other.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("accepted otherwise: got %s", other.text)
		}
	}
	if !strings.Contains(text, `"extensions":{"number":1e+21,"text":"\u003c\u0026\u003e"}`) {
		t.Errorf("got %s", text)
	}
	if n := b.Counter(1); n != 4 {
		t.Errorf("the counter is %d, want 4", n)
	}
}

func TestAnErrorOfAKeyHasItsStatus(t *testing.T) {
	b := newBank(t, sessiontest.Setup{Extension: func(e *operation.Extension) { e.Deadline = 300 * time.Millisecond }})
	running, release := make(chan bool, 1), make(chan bool)
	b.Step("hold", func(context.Context) (int, error) { running <- true; <-release; return 1, nil })
	done := make(chan bool)
	go func() {
		post(t, b.URL, run(`mutation { run(step: "hold") { value } }`), "Idempotency-Key", "held")
		close(done)
	}()
	<-running
	post(t, b.URL, run(`mutation { run(step: "hold") { value } }`), "Idempotency-Key", "held", "Accept", graphqlType).
		wantRefused(http.StatusConflict, string(idempotency.CodeInProgress))
	post(t, b.URL, run(`mutation { run(step: "hold") { value } }`), "Idempotency-Key", "held").
		wantRefused(http.StatusOK, string(idempotency.CodeInProgress))
	close(release)
	<-done

	post(t, b.URL, run(`mutation { increment(id: 1) { value } }`), "Idempotency-Key", "k")
	const other = `mutation { increment(id: 2) { value } }`
	post(t, b.URL, run(other), "Idempotency-Key", "k", "Accept", graphqlType).wantRefused(http.StatusUnprocessableEntity, string(idempotency.CodeMismatch))
	post(t, b.URL, run(other), "Idempotency-Key", "k").wantRefused(http.StatusOK, string(idempotency.CodeMismatch))
	post(t, b.URL, run(other), "Idempotency-Key", `"`, "Accept", graphqlType).wantRefused(http.StatusBadRequest, "BAD_USER_INPUT")
	post(t, b.URL, run(other), "Idempotency-Key", `"`).wantRefused(http.StatusOK, "BAD_USER_INPUT")
}

func TestInAnArrayEachMutationHasAKeyByTheDirective(t *testing.T) {
	b := newBank(t, sessiontest.Setup{})
	for _, body := range []string{runs(`mutation { increment(id: 1) { value } }`), runs(`{ counter(id: 1) { value } }`)} {
		post(t, b.URL, body, "Idempotency-Key", "k").wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
	}
	a, c, query := fmt.Sprintf(keyed, "a"), fmt.Sprintf(keyed, "c"), `{ counter(id: 1) { value } }`
	first := post(t, b.URL, runs(a, query))
	if want := `[{"data":{"increment":{"value":1}}},{"data":{"counter":{"value":1}}}]`; first.text != want || first.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("got %s, %v", first.text, first.Header)
	}
	again := post(t, b.URL, runs(c, a, query, a+" "))
	items := again.items(4)
	if items[0] != `{"data":{"increment":{"value":2}}}` || items[1] != `{"data":{"increment":{"value":1}}}` ||
		items[2] != `{"data":{"counter":{"value":2}}}` || errorCode(t, items[3]) != string(idempotency.CodeMismatch) {
		t.Errorf("got %s", again.text)
	}
	if got := again.Header.Get("Idempotent-Replayed"); got != "false, true, false, false" {
		t.Errorf("want the second replayed, got %s", got)
	}
	firstIDs, ids := strings.Split(first.Header.Get("Operation-Id"), ", "), strings.Split(again.Header.Get("Operation-Id"), ", ")
	if len(ids) != 4 || ids[1] != firstIDs[0] || ids[0] == firstIDs[0] {
		t.Errorf("the ids were %v, and are %v", firstIDs, ids)
	}
}

func TestOnASocketAMutationHasAKeyByTheDirectiveAlone(t *testing.T) {
	ws := &transport.WebSocket{}
	b := newBank(t, sessiontest.Setup{Transport: ws})
	s := &socketServer{tb: t, ws: ws, url: b.URL}
	c := s.dialWith(&websocket.DialOptions{Subprotocols: []string{modern}, HTTPHeader: http.Header{"Idempotency-Key": {"of the socket"}}})
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack"}`)
	for value := range 2 { // the header is no key of theirs
		c.subscribe("a", `mutation { increment(id: 2) { value } }`)
		c.want(fmt.Sprintf(`{"id":"a","type":"next","payload":{"data":{"increment":{"value":%d}}}}`, value+1), `{"id":"a","type":"complete"}`)
	}
	for range 3 {
		c.subscribe("b", fmt.Sprintf(keyed, "k"))
		c.want(`{"id":"b","type":"next","payload":{"data":{"increment":{"value":1}}}}`, `{"id":"b","type":"complete"}`)
	}
	c.subscribe("d", fmt.Sprintf(keyed, "k")+" ")
	if text, err := c.read(); err != nil || !strings.Contains(text, string(idempotency.CodeMismatch)) {
		t.Errorf("got %s, %v", text, err)
	}
	c.want(`{"id":"d","type":"complete"}`)
}

func TestADocumentIsTheSameForAKeyWhetherItIsSentOrNamed(t *testing.T) {
	const text = `mutation { increment(id: 1) { value } }`
	b := newBank(t, sessiontest.Setup{Server: func(srv *handler.Server) {
		srv.Use(document.Extension{Listed: document.NewListed(document.List{"one": {Text: text}})})
	}})
	for i, body := range []string{`{"documentId":"one"}`, run(text), naming("", automatic("one")), `{"documentId":"one"}`} {
		r := post(t, b.URL, body, "Idempotency-Key", "k")
		if r.text != `{"data":{"increment":{"value":1}}}` || (r.Header.Get("Idempotent-Replayed") == "true") != (i > 0) {
			t.Errorf("%s: got %s", body, r.text)
		}
	}
}

// An interceptor outside of the session may refuse what the session would replay.
func TestARefusalComesBeforeAReplay(t *testing.T) {
	refuses := false
	b := newBank(t, sessiontest.Setup{Server: func(srv *handler.Server) {
		srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
			if refuses {
				return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{{Message: "refused"}}})
			}
			return next(ctx)
		})
	}})
	for _, refuses = range []bool{false, true} {
		r := post(t, b.URL, run(`mutation { increment(id: 1) { value } }`), "Idempotency-Key", "k")
		if strings.Contains(r.text, "refused") != refuses || r.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("got %s, %v", r.text, r.Header)
		}
	}
}
