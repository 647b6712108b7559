package identity_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"rollcall/access"
	"rollcall/auth"
	"rollcall/auth/authtest"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/identity"
	"rollcall/model"
	"rollcall/session"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

// world is a directory with two issuers that are trusted.
type world struct {
	tb         testing.TB
	db         *database.Database
	one, other *authtest.Provider
	issuers    *auth.Issuers
	pools      session.Pools
	log        writings
	directory  *directory.Directory
	statements *databasetest.Statements
	cfg        identity.Config
	changes    *changelog.Log
}

func newWorld(tb testing.TB, db *database.Database) *world {
	tb.Helper()
	w := &world{tb: tb, db: db, one: authtest.New(tb), other: authtest.New(tb), statements: &databasetest.Statements{}}
	logger := slog.New(slog.NewTextHandler(&w.log, nil))
	var err error
	w.issuers, err = auth.NewIssuers(logger,
		auth.Issuer{URL: w.one.URL, Audiences: []string{authtest.Audience}, RolesClaim: "roles"},
		auth.Issuer{URL: w.other.URL, Audiences: []string{authtest.Audience}, RolesClaim: "roles"})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.issuers.Run(ctx) })
	tb.Cleanup(func() { cancel(); running.Wait() })
	for w.issuers.Ready() != nil {
		select {
		case <-tb.Context().Done():
			tb.Fatal("the issuers do not get ready")
		default:
		}
	}
	w.pools = session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Logger: logger}
	if err := w.pools.Install(); err != nil {
		tb.Fatal(err)
	}
	db.Read.Config.Logger = w.statements
	w.changes = &changelog.Log{DB: db.Side, Dialect: db.Dialect(), Actor: identity.Actor, Logger: logger}
	w.directory = directory.New(directory.Config{MaxPage: 100, Log: w.changes})
	tb.Cleanup(func() { _ = w.changes.Settle(context.Background()) })
	w.cfg = identity.Config{Issuers: w.issuers, Directory: w.directory, Pools: w.pools, Logger: logger}
	return w
}

// authenticator returns one with the configuration as change leaves it.
func (w *world) authenticator(change func(*identity.Config)) *identity.Authenticator {
	cfg := w.cfg
	if change != nil {
		change(&cfg)
	}
	return identity.New(cfg)
}

// user creates a user.
func (w *world) user(email string) (id string) {
	w.tb.Helper()
	w.write(func(ctx context.Context) error {
		u, err := w.directory.CreateUser(ctx, entity.Input{"name": "Somebody", "email": email})
		if err == nil {
			id = u.GlobalID()
		}
		return err
	})
	return id
}

func (w *world) setStatus(id string, status model.Status) {
	w.tb.Helper()
	w.write(func(ctx context.Context) error {
		_, err := w.directory.SetUserStatus(ctx, entity.Input{"id": id}, status)
		return err
	})
}

func (w *world) write(fn func(ctx context.Context) error) {
	w.tb.Helper()
	if err := session.Run(context.Background(), w.pools, session.Write, "a test", fn); err != nil {
		w.tb.Fatal(err)
	}
}

// count returns the number that a statement reads.
func (w *world) count(statement string) (n int) {
	w.tb.Helper()
	if err := w.db.Side.QueryRowContext(context.Background(), statement).Scan(&n); err != nil {
		w.tb.Fatal(err)
	}
	return n
}

// request returns one with a bearer token, from a client on the Internet.
func request(token string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://rollcall.example/query", nil)
	r.RemoteAddr = "203.0.113.7:1234"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// viewer returns the viewer of a request, which must have one.
func viewer(tb testing.TB, a *identity.Authenticator, r *http.Request) *access.Viewer {
	tb.Helper()
	ctx, refusal := a.Context(r)
	if refusal != nil {
		tb.Fatalf("refused with %d: %v", refusal.Status, refusal.Err)
	}
	return access.ViewerOf(ctx)
}

// refused returns why a request is refused, which it must be.
func refused(tb testing.TB, a *identity.Authenticator, r *http.Request) *identity.Refusal {
	tb.Helper()
	ctx, refusal := a.Context(r)
	if refusal == nil {
		tb.Fatalf("let in as %+v", access.ViewerOf(ctx))
	}
	return refusal
}

// writings is what was written so far.
type writings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *writings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *writings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
