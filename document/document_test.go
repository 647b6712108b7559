package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// schema is one of which nothing but the types is needed.
type schema struct{ graphql.ExecutableSchema }

func (schema) Schema() *ast.Schema {
	return gqlparser.MustLoadSchema(&ast.Source{Input: `type Query { one(text: String): Int }`})
}

// byHash is a request that names a document by its hash as Apollo's clients do.
func byHash(hash any) map[string]any {
	return map[string]any{HashExtension: map[string]any{"version": json.Number("1"), "sha256Hash": hash}}
}

func byID(id any) map[string]any { return map[string]any{IDExtension: id} }

func TestARequestGetsTheTextOfTheDocumentThatItNames(t *testing.T) {
	const kept, other = `query Kept { one }`, `query Other { one(text: "\u{41}") }`
	automatic := &Automatic{Memory: lru.New[*Text](10)}
	automatic.Memory.Add(t.Context(), hash(kept), &Text{text: kept})
	open := Extension{Listed: NewListed(List{hash(listed): {Text: listed}, "9f2d": {Text: relay}}), Automatic: automatic}
	closed, bare := open, Extension{}
	closed.ListedOnly = true
	both := byHash(hash(other))
	both[IDExtension] = "unknown"
	for i, c := range []struct {
		extension  Extension
		query      string
		extensions map[string]any
		want, code string
	}{
		{open, "", byID("9f2d"), relay, ""},
		{open, other, byID("9f2d"), relay, ""},
		{closed, "", byID("sha256:" + hash(listed)), listed, ""},
		{closed, other, byHash(hash(listed)), listed, ""},
		{open, "", byHash(hash(kept)), kept, ""},
		{open, other, byHash(hash(other)), strings.Replace(other, `\u{41}"`, `A"     `, 1), ""},
		{open, "", byHash(hash(other)), strings.Replace(other, `\u{41}"`, `A"     `, 1), ""},
		{open, other, both, strings.Replace(other, `\u{41}"`, `A"     `, 1), ""},
		{open, kept, byID("unknown"), kept, ""},
		{open, kept, nil, kept, ""},
		{open, "", byID("unknown"), "", CodeNotFound},
		{open, "", byID(""), "", ""},
		{open, "", byHash("unknown"), "", CodeNotFound},
		{open, kept, byHash(hash(other)), "", "BAD_REQUEST"},
		{open, kept, byHash(nil), "", "BAD_REQUEST"},
		{open, kept, map[string]any{HashExtension: 3}, "", "BAD_REQUEST"},
		{open, kept, map[string]any{HashExtension: map[string]any{"version": json.Number("2"), "sha256Hash": hash(kept)}}, "", "BAD_REQUEST"},
		{open, `{ one(text: "\ud83d") }`, nil, "", "GRAPHQL_PARSE_FAILED"},
		{closed, kept, nil, "", CodeIDRequired},
		{closed, kept, byID(3), "", CodeIDRequired},
		{closed, "", byHash(hash(kept)), "", CodeNotListed},
		{closed, "", byID("unknown"), "", CodeNotListed},
		{bare, kept, byHash(hash(kept)), kept, ""},
		{bare, "", byHash(hash(kept)), "", CodeNotFound},
	} {
		params := &graphql.RawParams{Query: c.query, Extensions: c.extensions}
		ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{})
		err := c.extension.MutateOperationParameters(ctx, params)
		if err == nil {
			Run(ctx, graphql.GetOperationContext(ctx))
		}
		switch {
		case err != nil && err.Extensions["code"] != c.code, err == nil && c.code != "":
			t.Errorf("%d: want the code %q, got %v", i, c.code, err)
		case err == nil && params.Query != c.want:
			t.Errorf("%d: want %q, got %q", i, c.want, params.Query)
		}
	}
}

func TestAListedDocumentThatDoesNotFitTheSchemaIsLogged(t *testing.T) {
	var log strings.Builder
	e := Extension{Listed: NewListed(List{"good": {Text: `{ one(text: "\u{41}") }`}, "syntax": {Text: `{ one(text: "\u{}") }`}, "field": {Text: `{ two }`}}), Rules: rules.NewDefaultRules}
	for _, logger := range []*slog.Logger{nil, slog.New(slog.NewTextHandler(&log, nil))} {
		e.Logger = logger
		if err := e.Validate(schema{}); err != nil {
			t.Error(err)
		}
	}
	if text := log.String(); strings.Contains(text, "good") || strings.Count(text, "document=syntax ") != 1 || strings.Count(text, "document=field ") != 1 {
		t.Errorf("got %s", text)
	}
	if err := (Extension{}).Validate(schema{}); err != nil {
		t.Error(err)
	}
}

func TestAFileOfDocumentsIsReadOrTheErrorNamesIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "documents.json")
	if _, err := ReadFile(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for text, wrong := range map[string]bool{fmt.Sprintf(`{"9f2d":%q}`, relay): false, `{"9f2d":""}`: true} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		documents, err := ReadFile(name)
		if wrong && (err == nil || !strings.HasPrefix(err.Error(), name+": ")) || !wrong && (err != nil || documents["9f2d"].Text != relay) {
			t.Errorf("%s: %v, %v", text, documents, err)
		}
	}
	if documents, err := ReadFile(""); documents != nil || err != nil {
		t.Errorf("without a file: %v, %v", documents, err)
	}
}
