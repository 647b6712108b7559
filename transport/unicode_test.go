package transport_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/transport"
)

// halves are JSON strings of which encoding/json would put U+FFFD in the place of a part.
var halves = []string{`"\ud83d"`, `"\ude00"`, `"\ude00\ud83d"`, `"a\uD83D\ud83d\ude00"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\\\ud83d"`}

// wholes hold nothing of the kind.
var wholes = []string{`"\ud83d\ude00"`, `"\\ud83d"`, `"\\\\ude00"`, `"\ufffd\u0000\uD7FF\ue000"`, `"😀\\"`, `"\"\ud83d\ude00\""`}

func TestWhatIsNotUnicodeIsRefusedWhereverItStands(t *testing.T) {
	ran := func(context.Context) graphql.ResponseHandler {
		t.Error("it ran")
		return graphql.OneShot(data("null"))
	}
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, fields{"one": ran})
	bodies := []string{
		"{\"query\":\"{ one # \xff\\n}\"}", "{\"query\":\"{ one }\",\"variables\":{\"n\":\"Ren\xe9\"}}", "{\"query\":\"{ one }\",\"variables\":{\"\xe9\":1}}",
		"{\"query\":\"{ one }\",\"operationName\":\"\xc0\x80\"}", "{\"query\":\"{ one }\",\"more\":\"\xed\xa0\xbd\"}", "[{\"query\":\"{ one }\"},\"\xff\"]",
		run(`{ one }`) + "\xff", "\xff" + run(`{ one }`), "\xff\xfe{\x00}\x00",
	}
	for _, half := range halves {
		bodies = append(bodies, `{"query":"{ one }","variables":{"n":[{"a":`+half+`}]}}`, `{"query":"{ one }","variables":{`+half+`:1}}`,
			`{"query":"{ one }","extensions":{"a":`+half+`}}`, `{"query":"{ one }","operationName":`+half+`}`, `{"query":"{ one #`+half[1:]+`}`, `{"query":"{ one }",`+half+`:1}`)
	}
	for _, body := range bodies {
		post(t, url, body).wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
		if t.Failed() {
			t.Fatalf("%q", body)
		}
	}
	parameters := []string{
		"?query={one}%23%ff", "?query={one}&operationName=%C0%80", "?query={one}&documentId=%ED%A0%BD", "?query={one}&variables={%22n%22:%22Ren%e9%22}",
		"?query={one}&extensions={%22%ff%22:1}", "?query={one}&variables=%FF%FE{%00}%00",
	}
	for _, half := range halves {
		parameters = append(parameters, query("query", "{ one }", "variables", `{"n":`+half+`}`), query("query", "{ one }", "extensions", `{`+half+`:1}`))
	}
	for _, p := range parameters {
		ask(t, http.MethodGet, url+p, "").wantRefused(http.StatusBadRequest, transport.CodeBadRequest)
		if t.Failed() {
			t.Fatal(p)
		}
	}
}

func TestWhatIsUnicodeIsTakenHoweverItIsEscaped(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{}, nil)
	for _, whole := range wholes {
		if r := post(t, url, `{"query":"{ one }","variables":{"n":`+whole+`},"more":`+whole+`}`); r.text != `{"data":{"one":1}}` {
			t.Errorf("%s: %s", whole, r.text)
		}
		if r := get(t, url, "", "query", "{ one }", "variables", `{"n":`+whole+`}`, "more", "\xff"); r.text != `{"data":{"one":1}}` {
			t.Errorf("%s by GET: %s", whole, r.text)
		}
	}
}

func TestAnItemThatIsNotUnicodeIsRefusedAlone(t *testing.T) {
	url := serveHTTP(t, &transport.HTTP{MaxBatch: 5}, nil)
	items := post(t, url, `[`+run(`{ one }`)+`,{"query":"{ one }","variables":{"n":"\ud83d"}},`+run(`{ one }`)+`]`).items(3)
	if items[0] != `{"data":{"one":1}}` || errorCode(t, items[1]) != transport.CodeBadRequest || items[2] != items[0] {
		t.Errorf("got %q", items)
	}
}

func TestAMessageThatIsNotUnicodeClosesTheSocket(t *testing.T) {
	s := serveSockets(t, &transport.WebSocket{}, nil)
	for protocol, begin := range map[string]string{modern: "subscribe", legacy: "start"} {
		for _, half := range halves {
			for _, text := range []string{
				`{"id":"1","type":"` + begin + `","payload":{"query":"{ one }","variables":{"n":` + half + `}}}`,
				`{"id":` + half + `,"type":"` + begin + `","payload":{"query":"{ one }"}}`,
			} {
				c := s.connect(protocol)
				c.send(text)
				if reason := c.wantClosed(4400); !strings.Contains(reason, "surrogate") {
					t.Errorf("%s: %s", text, reason)
				}
			}
		}
		c := s.connect(protocol)
		c.send("{\"id\":\"1\",\"type\":\"" + begin + "\",\"payload\":{\"query\":\"{ one # \xff\\n}\"}}")
		c.wantClosed(1007)
		c = s.connect(protocol)
		c.send(`{"id":"\ud83d\ude00","type":"` + begin + `","payload":{"query":"{ one }","variables":{"n":` + wholes[1] + `}}}`)
		if text, err := c.read(); err != nil || !strings.Contains(text, `"😀"`) || !strings.Contains(text, `{"data":{"one":1}}`) {
			t.Errorf("got %s %v", text, err)
		}
	}
}
