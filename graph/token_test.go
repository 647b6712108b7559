package graph_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const createToken = `mutation($input: CreateApiTokenInput!) { createApiToken(input: $input) { token apiToken { id name role scopes owner { id } createdAt expiresAt lastUsedAt revokedAt } } }`

func TestATokenIsMadeListedAndRevokedByTheAPIAndItsTextIsInOneAnswer(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		ada, expires := d.user("ada"), time.Now().AddDate(1, 0, 0).UTC().Format("2006-01-02T00:00:00Z")
		a := d.must(createToken, "input", input{"name": secret, "role": "EDITOR", "scopes": []string{"WRITE", "READ"}, "ownerId": ada, "expiresAt": expires})
		text, _ := a.at(t, "createApiToken.token").(string)
		token := a.at(t, "createApiToken.apiToken").(map[string]any)
		if !strings.HasPrefix(text, "rc_") || len(text) != 52 {
			t.Fatalf("got %s", a.raw)
		}
		if at := token["createdAt"]; at == nil || fmt.Sprint(token) != fmt.Sprint(map[string]any{
			"id": "ApiToken:1", "name": secret, "role": "EDITOR", "scopes": []any{"READ", "WRITE"}, "owner": map[string]any{"id": ada},
			"createdAt": at, "expiresAt": expires, "lastUsedAt": nil, "revokedAt": nil,
		}) {
			t.Errorf("got %s", a.raw)
		}
		d.must(createToken, "input", input{"name": "other", "neverExpires": true})
		const list = `query($after: String) { apiTokens(first: 1, after: $after) { totalCount nodes { id name role scopes owner { id } createdAt expiresAt lastUsedAt revokedAt } pageInfo { endCursor hasNextPage } } }`
		first := d.must(list)
		if fmt.Sprint(first.at(t, "apiTokens.nodes.0")) != fmt.Sprint(token) || first.at(t, "apiTokens.totalCount") != 2.0 || first.at(t, "apiTokens.pageInfo.hasNextPage") != true {
			t.Errorf("got %s", first.raw)
		}
		second := d.must(list, "after", first.at(t, "apiTokens.pageInfo.endCursor"))
		if second.at(t, "apiTokens.nodes.0.name") != "other" || second.at(t, "apiTokens.nodes.0.expiresAt") != nil || second.at(t, "apiTokens.nodes.0.owner") != nil {
			t.Errorf("got %s", second.raw)
		}
		const revoke = `mutation($id: ID!) { revokeApiToken(input: {id: $id}) { apiToken { id revokedAt } } }`
		revoked := d.must(revoke, "id", "ApiToken:1").at(t, "revokeApiToken.apiToken.revokedAt")
		if again := d.must(revoke, "id", "ApiToken:1").at(t, "revokeApiToken.apiToken.revokedAt"); revoked == nil || again != revoked {
			t.Errorf("it is revoked at %v, then at %v", revoked, again)
		}
		for id, code := range map[string]string{"ApiToken:9": "NOT_FOUND", "User:1": "BAD_USER_INPUT", "1": "BAD_USER_INPUT"} {
			if a := d.send(revoke, "id", id); a.code(t) != code || a.Errors[0].Extensions["field"] != "input.id" {
				t.Errorf("%s: got %s", id, a.raw)
			}
		}
		sum := sha256.Sum256([]byte(text))
		leaks := d.leaks(t) // of the name: so they are looked for
		if held := strings.Join(leaks, "\n"); len(leaks) < 2 || strings.Contains(held, text[3:46]) || strings.Contains(held, hex.EncodeToString(sum[:])) {
			t.Errorf("got\n%s", held)
		}
		if strings.Contains(d.log.String(), text[3:46]) {
			t.Error("the token was logged")
		}
	})
}

func TestWhatIsWrongWithATokensInputIsToldAtOnce(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		a := d.send(createToken, "input", input{"name": " ", "expiresAt": "2020-01-01T00:00:00Z", "ownerId": "Team:1"})
		var fields []string
		for _, e := range a.Errors {
			fields = append(fields, fmt.Sprint(e.Extensions["code"], " ", e.Extensions["field"]))
		}
		slices.Sort(fields)
		if want := []string{"BAD_USER_INPUT input.expiresAt", "BAD_USER_INPUT input.name", "BAD_USER_INPUT input.ownerId"}; !slices.Equal(fields, want) {
			t.Errorf("got %s", a.raw)
		}
		for _, in := range []input{{"name": "x", "role": "OWNER"}, {"name": "x", "scopes": []string{"ALL"}}} {
			if a := d.send(createToken, "input", in); a.code(t) != "BAD_USER_INPUT" {
				t.Errorf("%v: got %s", in, a.raw)
			}
		}
	})
}

func TestAMutationThatMakesATokenTakesNoIdempotencyKeySoThatNoAnswerWithASecretIsKept(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		const plain = `createApiToken(input: {name: "x"}) { token }`
		for what, query := range map[string]string{
			"a directive":           `mutation @idempotent(key: "k") { ` + plain + ` }`,
			"an alias":              `mutation @idempotent(key: "k") { it: ` + plain + ` }`,
			"a fragment":            `mutation @idempotent(key: "k") { ...F } fragment F on Mutation { ... on Mutation { ` + plain + ` } }`,
			"one of several":        `mutation @idempotent(key: "k") { createTeam(input: {name: "T"}) { team { id } } ` + plain + ` }`,
			"although included":     `mutation @idempotent(key: "k") { createApiToken(input: {name: "x"}) @include(if: true) { token } }`,
			"the header, see below": "",
		} {
			header := ""
			if query == "" {
				query, header = `mutation { `+plain+` }`, `"k"`
			}
			a := d.withKey(t, query, header)
			if a.code(t) != "BAD_USER_INPUT" || !strings.Contains(a.Errors[0].Message, "createApiToken takes no idempotency key") || a.Data != nil {
				t.Errorf("%s: got %s", what, a.raw)
			}
		}
		for _, table := range []string{"api_tokens", "idempotency_keys", "teams"} {
			var n int64
			if err := d.db.Write.Table(table).Count(&n).Error; err != nil || n != 0 {
				t.Errorf("%s has %d rows, %v", table, n, err)
			}
		}
		d.must(`mutation @idempotent(key: "k") { createTeam(input: {name: "T"}) { team { id } } createApiToken(input: {name: "x"}) @skip(if: true) { token } }`)
		d.must(`mutation { ` + plain + ` }`)
		d.must(`mutation @idempotent(key: "l") { revokeApiToken(input: {id: "ApiToken:1"}) { apiToken { id } } }`)
	})
}

// withKey sends a query with a header Idempotency-Key, unless that is "".
func (d *directory) withKey(t *testing.T, query, key string) (a answer) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.raw = string(raw)
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Errorf("not JSON: %s", raw)
	}
	return a
}

func TestTheLogTellsOfTokensByTheirTypeAndIdsWithoutAnObject(t *testing.T) {
	withSubscribers(t, func(t *testing.T, d *directory) {
		s := d.subscribe(`subscription { changes(types: [API_TOKEN], ids: ["ApiToken:1"]) { change { kind type objectId version object { id } } } }`, nil)
		defer s.cancel()
		ada := d.user("ada")
		d.must(createToken, "input", input{"name": "a", "ownerId": ada})
		d.must(createToken, "input", input{"name": "b"})
		d.must(`mutation { revokeApiToken(input: {id: "ApiToken:1"}) { apiToken { id } } }`)
		d.must(deleteMutation, "id", ada)
		d.settle()
		want := []string{"CREATED API_TOKEN ApiToken:1 1", "REVOKED API_TOKEN ApiToken:1 2", "DELETED API_TOKEN ApiToken:1 2"}
		short := func(change map[string]any) string {
			if change["object"] != nil {
				t.Errorf("it has an object: %v", change)
			}
			return fmt.Sprint(change["kind"], " ", change["type"], " ", change["objectId"], " ", change["version"])
		}
		for _, arguments := range []string{`ids: ["ApiToken:1"]`, `types: [API_TOKEN], ids: ["ApiToken:1", "User:7"]`} {
			a := d.must(`{ changes(` + arguments + `) { nodes { kind type objectId version object { id } } } }`)
			var got []string
			for _, node := range a.at(t, "changes.nodes").([]any) {
				got = append(got, short(node.(map[string]any)))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: want %q, got %q", arguments, want, got)
			}
		}
		if a := d.must(`{ changes(types: [API_TOKEN], kinds: [CREATED]) { nodes { objectId } } }`); len(a.at(t, "changes.nodes").([]any)) != 2 {
			t.Errorf("got %s", a.raw)
		}
		for _, change := range want {
			for {
				var event struct {
					Data struct {
						Changes struct{ Change map[string]any }
					}
				}
				if err := json.Unmarshal([]byte(s.next()), &event); err != nil {
					t.Fatal(err)
				}
				if event.Data.Changes.Change == nil { // a bookmark
					continue
				}
				if got := short(event.Data.Changes.Change); got != change {
					t.Errorf("want the event %s, got %s", change, got)
				}
				break
			}
		}
	})
}

func TestATokenIsNoNode(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		d.must(createToken, "input", input{"name": "a"})
		for _, query := range []string{`{ node(id: "ApiToken:1") { id } }`, `{ nodes(ids: ["ApiToken:1"]) { id } }`} {
			if a := d.send(query); a.code(t) != "BAD_USER_INPUT" {
				t.Errorf("%s: got %s", query, a.raw)
			}
		}
	})
}
