package transport_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/handler/lru"

	"rollcall/document"
	"rollcall/transport"
)

// hash is the id that Apollo and GraphQL Code Generator give to a document.
func hash(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}

// automatic is extensions that name a document by its hash.
func automatic(hash string) string {
	return fmt.Sprintf(`{"persistedQuery":{"version":1,"sha256Hash":%q}}`, hash)
}

// naming is the body of a POST with extensions, and with a document unless that is empty.
func naming(document, extensions string) string {
	if document == "" {
		return `{"extensions":` + extensions + `}`
	}
	return strings.TrimSuffix(run(document), "}") + `,"extensions":` + extensions + `}`
}

const (
	listed = `query Listed { one }`
	relay  = `query Relay { one }`
	other  = `query Other { one }`
)

// trusted are documents under the ids that clients' build tools make.
var trusted = document.NewListed(document.List{hash(listed): {Text: listed}, "9f2d": {Text: relay}})

func serveDocuments(t *testing.T, only bool) string {
	t.Helper()
	return serveHTTP(t, &transport.HTTP{MaxBatch: 5}, nil,
		document.Extension{Listed: trusted, ListedOnly: only, Automatic: &document.Automatic{Memory: lru.New[*document.Text](10)}})
}

func TestADocumentIsRunByItsID(t *testing.T) {
	for _, only := range []bool{false, true} {
		url := serveDocuments(t, only)
		for what, r := range map[string]reply{
			"documentId":                   post(t, url, `{"documentId":"9f2d"}`),
			"documentId with a prefix":     post(t, url, fmt.Sprintf(`{"documentId":"sha256:%s"}`, hash(listed))),
			"documentId without a prefix":  post(t, url, fmt.Sprintf(`{"documentId":%q}`, hash(listed))),
			"documentId by GET":            get(t, url, "", "documentId", "sha256:"+hash(listed)),
			"documentId and more":          get(t, url, "", "documentId", "9f2d", "operationName", "Relay", "variables", "{}"),
			"documentId and extensions":    post(t, url, `{"documentId":"9f2d","extensions":{"a":1}}`),
			"documentId and null":          post(t, url, `{"documentId":"9f2d","query":null}`),
			"persistedQuery":               post(t, url, naming("", automatic(hash(listed)))),
			"persistedQuery by GET":        get(t, url, "", "extensions", automatic(hash(listed))),
			"persistedQuery, with no text": post(t, url, fmt.Sprintf(`{"query":"","extensions":%s}`, automatic(hash(listed)))),
			"persistedQuery and its text":  post(t, url, naming(listed, automatic(hash(listed)))),
		} {
			if r.text != `{"data":{"one":1}}` || r.StatusCode != http.StatusOK {
				t.Errorf("only: %t, %s: %s", only, what, r.text)
			}
		}
		for i, text := range post(t, url, `[{"documentId":"9f2d"},`+naming("", automatic(hash(listed)))+`]`).items(2) {
			if text != `{"data":{"one":1}}` {
				t.Errorf("only: %t, item %d: %s", only, i, text)
			}
		}
	}
}

func TestTheTextOfAListedDocumentIsTheListedOne(t *testing.T) {
	seen := make(capture, 1)
	url := serveHTTP(t, &transport.HTTP{}, nil, document.Extension{Listed: trusted, ListedOnly: true}, seen)
	post(t, url, naming(other, automatic(hash(listed))))
	if p := receive(t, "the parameters", seen); p.Query != listed || len(p.Extensions) != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestOnlyListedDocumentsAreRunWhereThatIsAskedFor(t *testing.T) {
	url := serveDocuments(t, true)
	for _, c := range []struct{ what, body, code string }{
		{"a text", run(other), document.CodeIDRequired},
		{"the text of a listed document", run(listed), document.CodeIDRequired},
		{"an unknown id", `{"documentId":"SECRET"}`, document.CodeNotListed},
		{"an unknown id and a text", `{"documentId":"SECRET","query":"{ one }"}`, document.CodeNotListed},
		{"an unknown hash", naming("", automatic(hash(other))), document.CodeNotListed},
		{"a registration", naming(other, automatic(hash(other))), document.CodeNotListed},
		{"a hash that is none", naming("", `{"persistedQuery":{"version":1,"sha256Hash":["SECRET"]}}`), document.CodeIDRequired},
		{"an extension that is none", naming(other, `{"persistedQuery":"SECRET"}`), document.CodeIDRequired},
		{"an id that is a number", naming(other, `{"documentId":3}`), document.CodeIDRequired},
		{"an empty id", `{"documentId":"","query":"{ one }"}`, document.CodeIDRequired},
		{"the prefix alone", `{"documentId":"sha256:","query":"{ one }"}`, document.CodeNotListed},
	} {
		if r := post(t, url, c.body, "Accept", graphqlType); r.StatusCode != http.StatusBadRequest || r.code() != c.code || strings.Contains(r.text, "SECRET") {
			t.Errorf("%s: want %s, got %d %s", c.what, c.code, r.StatusCode, r.text)
		}
	}
	if r := get(t, url, graphqlType, "query", other, "extensions", automatic(hash(other))); r.code() != document.CodeNotListed {
		t.Errorf("a registration by GET: %s", r.text)
	}
	if r := get(t, url, graphqlType, "query", other); r.code() != document.CodeIDRequired {
		t.Errorf("a text by GET: %s", r.text)
	}
	items := post(t, url, `[{"documentId":"9f2d"},`+run(other)+`,{"documentId":"9f2d"}]`).items(3)
	if items[0] != `{"data":{"one":1}}` || errorCode(t, items[1]) != document.CodeIDRequired || items[2] != items[0] {
		t.Errorf("in an array: %q", items)
	}
}

func TestAnUnknownDocumentIsNotFoundUntilItIsRegistered(t *testing.T) {
	const text = `query Automatic { one }`
	for way, send := range map[string]func(url, text, extensions string) reply{
		"POST": func(url, text, extensions string) reply {
			return post(t, url, naming(text, extensions), "Accept", graphqlType)
		},
		"GET": func(url, text, extensions string) reply {
			if text == "" {
				return get(t, url, graphqlType, "extensions", extensions)
			}
			return get(t, url, graphqlType, "query", text, "extensions", extensions)
		},
	} {
		url := serveDocuments(t, false)
		r := send(url, "", automatic(hash(text)))
		if r.StatusCode != http.StatusBadRequest || r.code() != document.CodeNotFound || !strings.Contains(r.text, `"message":"PersistedQueryNotFound"`) {
			t.Errorf("%s: unknown: %d %s", way, r.StatusCode, r.text) // this message is what Apollo's older clients go by
		}
		for _, extensions := range []string{automatic(hash(text)), automatic(hash(text))} {
			if r := send(url, text, extensions); r.text != `{"data":{"one":1}}` {
				t.Errorf("%s: the registration: %s", way, r.text)
			}
		}
		if r := send(url, "", automatic(hash(text))); r.text != `{"data":{"one":1}}` {
			t.Errorf("%s: registered: %s", way, r.text)
		}
		for what, c := range map[string][2]string{
			"a wrong hash":              {text, automatic(hash(other))},
			"another version":           {"", `{"persistedQuery":{"version":2,"sha256Hash":"SECRET"}}`},
			"a hash that is none":       {text, `{"persistedQuery":{"version":1,"sha256Hash":["SECRET"]}}`},
			"an extension that is none": {text, `{"persistedQuery":"SECRET"}`},
			"a version that is none":    {text, `{"persistedQuery":{"version":"SECRET","sha256Hash":"SECRET"}}`},
			"an extension without hash": {"", `{"persistedQuery":{"version":1}}`},
		} {
			if r := send(url, c[0], c[1]); r.StatusCode != http.StatusBadRequest || r.code() == "" || strings.Contains(r.text, "SECRET") || goTypes.MatchString(r.text) {
				t.Errorf("%s: %s: %d %s", way, what, r.StatusCode, r.text)
			}
		}
		if r := send(url, "", automatic(hash(other))); r.code() != document.CodeNotFound {
			t.Errorf("%s: a document is registered by a wrong hash: %s", way, r.text)
		}
	}
}

func TestAnUnknownIDIsNotFoundWhereTextsAreAllowed(t *testing.T) {
	url := serveDocuments(t, false)
	for _, r := range []reply{post(t, url, `{"documentId":"SECRET"}`, "Accept", graphqlType), get(t, url, graphqlType, "documentId", "SECRET")} {
		if r.StatusCode != http.StatusBadRequest || r.code() != document.CodeNotFound || strings.Contains(r.text, "SECRET") {
			t.Errorf("got %d %s", r.StatusCode, r.text)
		}
	}
	if r := post(t, url, run(other)); r.text != `{"data":{"one":1}}` {
		t.Errorf("a text: %s", r.text)
	}
}
