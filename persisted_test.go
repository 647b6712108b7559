package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// persistedHash is the hash of a document in hexadecimal.
func persistedHash(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}

// byHash is the extensions that name a document by a hash.
func byHash(hash string) string {
	return fmt.Sprintf(`{"persistedQuery":{"version":1,"sha256Hash":%q}}`, hash)
}

// sendDocument sends the hash of a document by POST, with its text if that is not "".
func (s *server) sendDocument(hash, text string) string {
	s.tb.Helper()
	body := `{"extensions":` + byHash(hash) + `}`
	if text != "" {
		body = strings.TrimSuffix(request(text), "}") + `,"extensions":` + byHash(hash) + `}`
	}
	res, answer := s.ask(http.DefaultClient, http.MethodPost, body, "Content-Type", "application/json")
	if res.StatusCode >= http.StatusInternalServerError {
		s.tb.Errorf("%s: %s", res.Status, answer)
	}
	return string(answer)
}

// register sends a document with its hash.
func (s *server) register(document string) string {
	return s.sendDocument(persistedHash(document), document)
}

// named sends the hash of a document alone.
func (s *server) named(document string) string { return s.sendDocument(persistedHash(document), "") }

// documents returns which documents are stored, all texts in one.
func documents(tb testing.TB, db *database.Database) (all []string) {
	tb.Helper()
	rows, err := db.Side.QueryContext(tb.Context(), "SELECT text FROM persisted_documents ORDER BY text")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			tb.Fatal(err)
		}
		all = append(all, string(text))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

const unknownDocument = `"message":"PersistedQueryNotFound"`

func TestADocumentThatIsRegisteredAtOneServerIsKnownAtTheOther(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, address string) {
		t.Parallel()
		one, other := start(t, "--database", address), start(t, "--database", address)
		const query, mutation = `query Kwame { user(id: "User:42") { name } }`, `mutation Rename { updateUser(input: {id: "User:42", title: "Pilot \u{1F642}"}) { user { title } } }`
		for document, want := range map[string]string{query: `{"data":{"user":{"name":"Kwame Weber"}}}`, mutation: `{"data":{"updateUser":{"user":{"title":"Pilot ` + "\U0001F642" + `"}}}}`} {
			if got := other.named(document); !strings.Contains(got, unknownDocument) {
				t.Errorf("unknown: %s", got)
			}
			if got := one.register(document); got != want {
				t.Errorf("registered: %s", got)
			}
			eventually(t, "the other server knows it", func() bool { return other.named(document) == want })
		}
		path := "/query?extensions=" + url.QueryEscape(byHash(persistedHash(query)))
		if res, body := start(t, "--database", address).askAt(http.DefaultClient, path, http.MethodGet, ""); res.StatusCode != http.StatusOK || !strings.Contains(string(body), "Kwame") {
			t.Errorf("by GET at a third server: %s %s", res.Status, body)
		}
		const last = `{ user(id: "User:7") { id } }`
		one.register(last)
		one.stop()
		if got := other.named(last); got != `{"data":{"user":{"id":"User:7"}}}` {
			t.Errorf("registered just before the server was stopped: %s", got)
		}
		if strings.Contains(one.logged()+other.logged(), "WARN") {
			t.Errorf("logged: %s\n%s", &one.log, &other.log)
		}
	})
}

func TestADocumentThatIsRefusedIsNotStored(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, address string) {
		t.Parallel()
		db := databasetest.Open(t, address)
		s := start(t, "--database", address, "--max-cost", "300", "--rate", "400", "--rate-burst", "400", "--allow-anonymous")
		const good = `{ users(first: 1) { nodes { name } } }`
		for code, document := range map[string]string{
			"GRAPHQL_PARSE_FAILED":      `{ users(`,
			"GRAPHQL_VALIDATION_FAILED": `{ nobody }`,
			"COST_LIMIT":                `{ users(first: 100) { nodes { name teams(first: 100) { nodes { id } } } } }`,
			"DEPTH_LIMIT":               `{ user(id: "User:1") ` + strings.Repeat("{ manager ", 20) + "{ id }" + strings.Repeat(" }", 20) + " }",
			"BAD_REQUEST":               good,
		} {
			hash := persistedHash(document)
			if code == "BAD_REQUEST" {
				hash = persistedHash("another")
			}
			if got := s.sendDocument(hash, document); !strings.Contains(got, `"code":"`+code+`"`) {
				t.Errorf("%s: got %s", code, got)
			}
			if got := s.sendDocument(hash, ""); !strings.Contains(got, unknownDocument) {
				t.Errorf("%s: it is known: %s", code, got)
			}
		}
		refused := ""
		for i := 0; refused == "" && i < 100; i++ { // until the client has asked for too much
			document := fmt.Sprintf(`query N%d { users(first: 100) { nodes { name } } }`, i)
			if got := s.register(document); strings.Contains(got, "RATE_LIMITED") {
				refused = document
			}
		}
		s.stop()
		all := documents(t, db)
		if refused == "" || len(all) == 0 {
			t.Fatalf("refused for the rate: %q; stored: %q", refused, all)
		}
		for _, document := range all {
			if !strings.HasPrefix(document, "query N") || document == refused {
				t.Errorf("stored: %s", document)
			}
		}
	})
}

func TestOneClientDoesNotFillTheTableOfDocuments(t *testing.T) {
	t.Parallel()
	address := databasetest.With(t, "sqlite", databasetest.Nothing)
	s := start(t, "--database", address, "--allow-anonymous")
	const documented = 1_000 // see graph/handler.go
	for i := range documented + 50 {
		s.register(fmt.Sprintf(`query N%d { __typename }`, i))
	}
	const last = `query Last { __typename }`
	s.register(last)
	if got := s.named(last); got != `{"data":{"__typename":"Query"}}` {
		t.Errorf("the server itself does not know it: %s", got)
	}
	s.stop()
	if n := len(documents(t, databasetest.Open(t, address))); n < documented || n > documented+2 { // as one flows in each minute
		t.Errorf("%d are stored", n)
	}
}

func TestListedDocumentsAreNotStored(t *testing.T) {
	t.Parallel()
	const listed, free = `{ users { totalCount } }`, `{ teams { totalCount } }`
	list := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(list, fmt.Appendf(nil, `{%q: %q}`, persistedHash(listed), listed), 0o600); err != nil {
		t.Fatal(err)
	}
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, address string) {
		t.Parallel()
		db := databasetest.Open(t, address)
		for _, only := range []bool{true, false} {
			args := []string{"--database", address, "--documents", list}
			if only {
				args = append(args, "--documents-only")
			}
			s := start(t, args...)
			for _, got := range []string{s.register(listed), s.named(listed)} {
				if got != `{"data":{"users":{"totalCount":0}}}` {
					t.Errorf("listed: %s", got)
				}
			}
			if got := s.register(free); strings.Contains(got, "PERSISTED_QUERY_NOT_IN_LIST") != only {
				t.Errorf("only: %t: %s", only, got)
			}
			s.stop()
			if all := documents(t, db); only && len(all) > 0 || !only && (len(all) != 1 || all[0] != free) {
				t.Errorf("only: %t, stored: %q", only, all)
			}
		}
		if got := start(t, "--database", address, "--documents", list, "--documents-only").named(free); !strings.Contains(got, "PERSISTED_QUERY_NOT_IN_LIST") {
			t.Errorf("a stored one where only listed ones are run: %s", got)
		}
	})
}

func TestADocumentThatWasTamperedWithIsNotRun(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, address string) {
		t.Parallel()
		db := databasetest.Open(t, address)
		one, other := start(t, "--database", address), start(t, "--database", address)
		const document, evil = `query Mine { user(id: "User:42") { id } }`, `mutation { deleteUser(input: {id: "User:42"}) { deletedUserId } }`
		one.register(document)
		eventually(t, "it is stored", func() bool { return len(documents(t, db)) == 1 })
		if err := db.Write.Exec("UPDATE persisted_documents SET text = ?", []byte(evil)).Error; err != nil {
			t.Fatal(err)
		}
		if got := other.named(document); !strings.Contains(got, unknownDocument) {
			t.Errorf("got %s", got)
		}
		eventually(t, "it is removed", func() bool { return len(documents(t, db)) == 0 })
		if got := other.register(document); got != `{"data":{"user":{"id":"User:42"}}}` {
			t.Errorf("registered anew: %s", got)
		}
		eventually(t, "it is stored again", func() bool { all := documents(t, db); return len(all) == 1 && all[0] == document })
		if !contains(other.log.String(), "level=ERROR", persistedHash(document)) {
			t.Errorf("logged: %s", &other.log)
		}
	})
}

func TestWithoutTheTableOfDocumentsEachServerKnowsItsOwn(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, address string) {
		t.Parallel()
		db := databasetest.Open(t, address)
		one, other := start(t, "--database", address), start(t, "--database", address)
		if err := db.Write.Exec("ALTER TABLE persisted_documents RENAME TO away").Error; err != nil {
			t.Fatal(err)
		}
		const document = `query Mine { user(id: "User:42") { id } }`
		for range 2 {
			if got := one.register(document); got != `{"data":{"user":{"id":"User:42"}}}` {
				t.Errorf("got %s", got)
			}
		}
		if got := one.named(document); got != `{"data":{"user":{"id":"User:42"}}}` {
			t.Errorf("got %s", got)
		}
		for range 3 {
			if got := other.named(document); !strings.Contains(got, unknownDocument) {
				t.Errorf("got %s", got)
			}
		}
		if n := strings.Count(other.log.String(), "cannot look for a persisted document"); n != 1 {
			t.Errorf("%d warnings: %s", n, &other.log)
		}
	})
}

// TestTwoServersSweepWhatIsOldAndDisturbNobody has old and new rows in each table that is swept.
func TestTwoServersSweepWhatIsOldAndDisturbNobody(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, address string) {
		t.Parallel()
		db := databasetest.Open(t, address)
		first := start(t, "--database", address)
		first.register(`mutation { createUser(input: {name: "A", email: "a@example.com"}) { user { id } } }`)
		first.stop()
		number := func(query string) (n int) {
			if err := db.Side.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		tx := db.Write.Begin()
		run := func(statement string, args ...any) {
			if err := tx.Exec(statement, args...).Error; err != nil {
				t.Fatal(err)
			}
		}
		run("UPDATE changes SET at = at - 7200000000") // by two hours
		const old = 60                                 // of each
		for i := range old {
			run("INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) VALUES (?, 'f', 'o', ?)", fmt.Sprint("old", i), i)
			run("INSERT INTO persisted_documents (hash, text, bytes, stored_at, used_at, days) VALUES (?, ?, 1, ?, 0, 0)", fmt.Sprint("old", i), []byte("x"), i)
		}
		run("INSERT INTO idempotency_keys (id, fingerprint, operation_id, stored_at) SELECT 'new', 'f', 'o', MAX(stored_at) FROM persisted_documents")
		if err := tx.Commit().Error; err != nil {
			t.Fatal(err)
		}
		var servers []*server
		for range 2 {
			servers = append(servers, start(t, "--database", address, "--keep-changes", "1h"))
		}
		for i, s := range servers {
			s.answer(fmt.Sprintf(`mutation { createUser(input: {name: "B", email: "b%d@example.com"}) { user { id } } }`, i))
		}
		for query, want := range map[string]int{
			"SELECT COUNT(*) FROM idempotency_keys":                  1,
			"SELECT COUNT(*) FROM persisted_documents":               1,
			"SELECT COUNT(*) FROM changes WHERE object_id = 1":       0,
			"SELECT COUNT(*) FROM changes WHERE object_id IN (2, 3)": 2,
		} {
			if !soon(func() bool { return number(query) == want }) {
				t.Errorf("%s: %d, want %d; logged:\n%s\n%s", query, number(query), want, servers[0].logged(), servers[1].logged())
			}
		}
		for _, s := range servers {
			s.stop()
			if text := s.logged(); strings.Contains(text, "WARN") || strings.Contains(text, "ERROR") {
				t.Errorf("logged: %s", text)
			}
		}
	})
}
