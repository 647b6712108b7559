package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/webhook"
)

// resolvedFields are those that only resolvers answer.
var resolvedFields = []string{"Query.mutationOutcome", "Query.webhooks", "Query.__schema", "Query.__type"}

// TestThePlanCoversEveryField asks for every field of every type that a query reaches, one by one. A field that fails here
// lacks a declaration in directory/.
func TestThePlanCoversEveryField(t *testing.T) {
	db := databasetest.Open(t, databasetest.With(t, "sqlite", directorytest.Demo))
	p := newPair(db, func(cfg *graph.Config) { cfg.Webhooks = withWebhook(t, db) })
	token := p.api.ask(t.Context(), randomOperation{Query: `mutation { createApiToken(input: {name: "a", ownerId: "User:2"}) { apiToken { id } } }`}, "application/json")
	if token.failed() {
		t.Fatal(token.body)
	}
	reached := reach(t)
	if len(reached) < 50 {
		t.Errorf("only %d fields are reached", len(reached))
	}
	for name, query := range reached {
		a := p.api.ask(t.Context(), randomOperation{Query: query}, "application/json")
		var data any
		if err := json.Unmarshal([]byte(a.answers[0].data), &data); err != nil || a.failed() {
			t.Fatalf("%s: %s gives %s", name, query, a.body)
		}
		if !slices.Contains(leaves(data), "wanted") {
			t.Errorf("%s: %s finds nothing: %s", name, query, a.body)
		}
		if byResolvers := a.resolved > 0; byResolvers != (slices.Contains(resolvedFields, name) || strings.HasPrefix(name, "Webhook.")) {
			t.Errorf("%s: is it resolved? %t", name, byResolvers)
		}
	}
}

// withWebhook returns the webhooks of a database, of which there is one.
func withWebhook(t *testing.T, db *database.Database) *webhook.Webhooks {
	t.Helper()
	address, err := webhook.ParseURL("https://u:s3cret@example.com/s3cret?token=s3cret")
	if err != nil {
		t.Fatal(err)
	}
	log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	w := &webhook.Webhooks{DB: db.Side, Dialect: db.Dialect(), Log: log, Receivers: []webhook.Receiver{{Name: "crm", URL: address}}}
	if err := w.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWebhooksTellHowFarTheyAreAndNothingSecret has what is shown of one that has never sent anything.
func TestWebhooksTellHowFarTheyAreAndNothingSecret(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		p := newPair(db, func(cfg *graph.Config) { cfg.Webhooks = withWebhook(t, db) })
		const query = "{ webhooks { name endpoint position lag oldestUndelivered lastAttemptAt lastStatus lastError failingSince disabledAt } }"
		want := fmt.Sprintf(`{"data":{"webhooks":[{"name":"crm","endpoint":"https://example.com","position":%q,"lag":0,"oldestUndelivered":null,`+
			`"lastAttemptAt":null,"lastStatus":null,"lastError":null,"failingSince":null,"disabledAt":null}]}}`, changelog.Cursor{})
		if a := p.api.ask(t.Context(), randomOperation{Query: query}, "application/json"); strings.TrimSpace(a.body) != want {
			t.Errorf("got %s, want %s", a.body, want)
		}
	})
}

// leaves are the keys in a value.
func leaves(value any) (keys []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			keys = append(append(keys, key), leaves(below)...)
		}
	case []any:
		for _, below := range v {
			keys = append(keys, leaves(below)...)
		}
	}
	return keys
}

// reach returns a query for each field of each type, which calls it "wanted".
func reach(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	type way struct {
		to        *ast.Definition
		from, end string // of the query
	}
	ways := []way{{to: schema.Query, from: "{ ", end: " }"}}
	seen := map[*ast.Definition]bool{}
	for len(ways) > 0 {
		w := ways[0]
		ways = ways[1:]
		if seen[w.to] {
			continue
		}
		seen[w.to] = true
		for _, typ := range schema.GetPossibleTypes(w.to) {
			if typ != w.to { // of nodes, the second of each type is asked for
				from := strings.ReplaceAll(w.from, `"User:2"`, `"`+typ.Name+`:2"`)
				ways = append(ways, way{typ, from + "... on " + typ.Name + " { ", " }" + w.end})
			}
		}
		queries[w.to.Name+".__typename"] = w.from + "wanted: __typename" + w.end
		for _, f := range w.to.Fields {
			below := schema.Types[f.Type.Name()]
			field, end := f.Name+required(t, f), w.end
			if below.IsCompositeType() {
				if !strings.HasPrefix(f.Name, "__") {
					ways = append(ways, way{below, w.from + field + " { ", " }" + w.end})
				}
				end = " { __typename }" + w.end
			}
			queries[w.to.Name+"."+f.Name] = w.from + "wanted: " + field + end
		}
	}
	return queries
}

// required are the arguments that a field can't do without, such that it finds something in the demo data.
func required(t *testing.T, f *ast.FieldDefinition) string {
	t.Helper()
	if f.Name == "mutationOutcome" {
		return `(operationId: "0197f3a0-0000-7000-8000-000000000000")`
	}
	values := map[string]string{"id": `"User:2"`, "ids": `["User:2"]`, "email": `"kwame.mensah.2@example.com"`, "externalId": `"E-10001"`, "limit": "5", "name": `"User"`}
	if f.Name == "team" {
		values["id"] = `"Team:2"`
	}
	var all []string
	for _, a := range f.Arguments {
		if !a.Type.NonNull {
			continue
		}
		if values[a.Name] == "" {
			t.Fatalf("say what the argument %s of %s may be", a.Name, f.Name)
		}
		all = append(all, fmt.Sprintf("%s: %s", a.Name, values[a.Name]))
	}
	if all == nil {
		return ""
	}
	return "(" + strings.Join(all, ", ") + ")"
}
