package document

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
)

// hash is the id that Apollo and GraphQL Code Generator give to a document.
func hash(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}

const (
	listed = `query Listed { one }`
	relay  = `query Relay { one }`
)

// goTypes finds the names of Go's types and packages.
var goTypes = regexp.MustCompile(`json: (cannot|unknown|invalid)|\bGo |struct|float64|int64|uint|\bbool\b|map\[|interface|RawMessage|strconv|\bEOF\b|http:`)

func TestAManifestOfEachBuildToolIsRead(t *testing.T) {
	for what, text := range map[string]string{
		"Relay":                  `{ "9f2d": "query Relay { one }" }`,
		"GraphQL Code Generator": fmt.Sprintf(`{ %q: "query Relay { one }", "9f2d": "query Relay { one }" }`, hash(listed)),
		"Apollo": `{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
			{ "id": "9f2d", "name": "Relay", "type": "query", "body": "query Relay { one }" },
			{ "id": "9f2d", "name": "Relay", "type": "query", "body": "query Relay { one }" } ] }`,
		"Apollo, without operations":                      `{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [] }`,
		"PowerShell, which begins with a byte order mark": "\ufeff" + `{ "9f2d": "query Relay { one }" }`,
		"none": ` {} `,
		"Apollo, with how long answers may be kept": `{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
			{ "id": "9f2d", "name": "Relay", "type": "query", "body": "query Relay { one }", "cacheControl": "private, max-age=60" } ] }`,
		"texts, with how long answers may be kept": `{ "9f2d": { "body": "query Relay { one }", "cacheControl": "Private,MAX-AGE=60" }, "bare": { "body": "query Relay { one }" } }`,
	} {
		got, err := readManifest([]byte(text))
		want := List{"9f2d": {Text: relay}}
		switch what {
		case "GraphQL Code Generator":
			want[hash(listed)] = Document{Text: relay}
		case "none", "Apollo, without operations":
			want = List{}
		case "Apollo, with how long answers may be kept":
			want = List{"9f2d": {relay, "private, max-age=60"}}
		case "texts, with how long answers may be kept":
			want = List{"9f2d": {relay, "private, max-age=60"}, "bare": {Text: relay}}
		}
		if err != nil || got == nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

func TestABrokenManifestIsRefusedWithAReason(t *testing.T) {
	const apollo = `{"format":"apollo-persisted-query-manifest","version":1,"operations":[`
	for text, words := range map[string]string{
		``:                         "not JSON",
		`{"a":`:                    "not JSON",
		`{"a":"{ one }"} more`:     "at byte",
		`null`:                     "object from ids to documents",
		`[]`:                       "object from ids to documents",
		`["{ one }"]`:              "object from ids to documents",
		`"a"`:                      "object from ids to documents",
		`{"a":{"text":"{ one }"}}`: "object from ids to documents",
		`{"a":{"body":"{ one }","cacheControl":60}}`:                                       "object from ids to documents",
		`{"a":{"cacheControl":"no-store"}}`:                                                `"a"`,
		`{"a":{"body":"{ one }","cacheControl":"public, max-age"}}`:                        `"a": max-age needs`,
		apollo + `{"id":"a","body":"x","cacheControl":"private=x"}]}`:                      `"a": private has no value`,
		apollo + `{"id":"a","body":"x"},{"id":"a","body":"x","cacheControl":"no-store"}]}`: `"a"`,
		`{"a":["{ one }"]}`:              "object from ids to documents",
		`{"":"{ one }"}`:                 "empty",
		`{"a":""}`:                       `"a"`,
		`{"format":"other","version":1}`: `"other"`,
		`{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}`: "version 2",
		apollo + `{"id":"a"}]}`: "operation 0",
		apollo + `{"id":"a","body":"{ one }"},{"body":"{ one }"}]}`: "operation 1",
		apollo + `{"id":"a","body":"x"},{"id":"a","body":"y"}]}`:    `"a"`,
		apollo + `3]}`:                          "",
		"{\"a\":\"{ one # \xe9 }\"}":            "not UTF-8",
		`{"a":"{ one # \ud83d }"}`:              "surrogate",
		`{"\ude00":"{ one }"}`:                  "surrogate",
		apollo + `{"id":"a","body":"\ud83d"}]}`: "surrogate",
	} {
		documents, err := readManifest([]byte(text))
		if err == nil || documents != nil {
			t.Errorf("%s: %v", text, documents)
			continue
		}
		if !strings.Contains(err.Error(), words) || goTypes.MatchString(err.Error()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnyDocumentIsReadAsItWasWritten(t *testing.T) {
	document := "query Q {\n\tone # \"a\" \\ é\n}\n"
	text, _ := json.Marshal(map[string]string{"a": document})
	documents, err := readManifest(text)
	if err != nil || documents["a"].Text != document {
		t.Errorf("got %q, %v", documents, err)
	}
}

// FuzzManifest reads a list of documents.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"a":"{ one }"}`, `{"a":""}`, `{"a":3}`, `{"a":"x"} y`, `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"x"}]}`,
		`{"format":"apollo-persisted-query-manifest","version":1}`, `{"format":"x","version":1e9}`, `{"format":3}`, `{"format":"a","version":"b"}`,
		`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"x"},{"id":"a","body":"y"}]}`, "{\"\xff\":\"\xff\"}",
		`{"a":{"body":"x","cacheControl":"public, max-age=60"}}`, `{"a":{"body":"x","cacheControl":","}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, err := readManifest(text)
		switch {
		case err != nil && (documents != nil || err.Error() == "" || strings.Contains(err.Error(), "\n")):
			t.Fatalf("%v, %q", documents, err)
		case err == nil && (documents == nil || !json.Valid(text)):
			t.Fatalf("%q is a manifest of %v", text, documents)
		}
		for id, document := range documents {
			if id == "" || document.Text == "" {
				t.Fatalf("an empty id or document: %v", documents)
			}
		}
	})
}
