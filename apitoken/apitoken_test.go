package apitoken_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/apitoken"
	"rollcall/auth"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/directory/directorytest"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
	"rollcall/session/sessiontest"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(databasetest.Templates{M: m}, time.Minute) }

// hang is how long something may take that has to happen.
const hang = time.Minute

// server is one of those that share a database.
type server struct {
	*apitoken.Tokens
	t     *testing.T
	db    *database.Database
	pools session.Pools
	log   *changelog.Log
	said  *bytes.Buffer

	reads, writes *counted
	clock         atomic.Pointer[time.Time]
}

// counted is a pool that counts what it runs.
type counted struct {
	apitoken.Pool
	n atomic.Int64
}

func (c *counted) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.n.Add(1)
	return c.Pool.ExecContext(ctx, query, args...)
}

func (c *counted) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	c.n.Add(1)
	return c.Pool.QueryContext(ctx, query, args...)
}

func (c *counted) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	c.n.Add(1)
	return c.Pool.QueryRowContext(ctx, query, args...)
}

func newServer(t *testing.T, db *database.Database) *server {
	t.Helper()
	s := &server{t: t, db: db, said: &bytes.Buffer{}, pools: session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: 30 * time.Second}}
	if err := s.pools.Install(); err != nil {
		t.Fatal(err)
	}
	s.log = &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	s.reads, s.writes = &counted{Pool: db.Pools()["read"]}, &counted{Pool: db.Pools()["write"]}
	s.Tokens = &apitoken.Tokens{
		Directory: directory.New(directory.Config{MaxPage: 100, Log: s.log}), Reads: s.reads, Writes: s.writes, Dialect: db.Dialect(),
		Logger: slog.New(slog.NewTextHandler(s.said, nil)), Now: func() time.Time { return *s.clock.Load() },
	}
	s.set(time.Now())
	t.Cleanup(func() {
		s.settle()
		if err := s.log.Settle(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// set has the server's clock stand at a time.
func (s *server) set(now time.Time) {
	now = now.UTC().Truncate(time.Microsecond)
	s.clock.Store(&now)
}

func (s *server) pass(d time.Duration) { s.set(s.clock.Load().Add(d)) }

func (s *server) settle() {
	s.t.Helper()
	if !s.Settle(hang) {
		s.t.Errorf("uses are not stored within %s", hang)
	}
}

func onEveryDatabase(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.Database) { fn(t, newServer(t, db)) })
}

// run runs a unit of work that writes, as a viewer's or, where that is nil, the program's.
func (s *server) run(viewer *access.Viewer, fn func(ctx context.Context) error) error {
	ctx := s.t.Context()
	if viewer != nil {
		ctx = access.WithViewer(ctx, viewer)
	}
	return session.Run(ctx, s.pools, session.Write, "test", fn)
}

func (s *server) must(fn func(ctx context.Context) error) {
	s.t.Helper()
	if err := s.run(nil, fn); err != nil {
		s.t.Fatal(err)
	}
}

// create makes a token; pairs are fields of its input and their values.
func (s *server) create(pairs ...any) (token auth.APIToken, row *model.APIToken) {
	s.t.Helper()
	s.must(func(ctx context.Context) (err error) {
		token, row, err = s.Create(ctx, inputOf(pairs))
		return err
	})
	return token, row
}

func inputOf(pairs []any) entity.Input {
	input := entity.Input{"name": "payroll"}
	for i := 0; i < len(pairs); i += 2 {
		input[pairs[i].(string)] = pairs[i+1]
	}
	return input
}

// user adds a user and returns their number.
func (s *server) user(name string) (id int64) {
	s.t.Helper()
	s.must(func(ctx context.Context) error {
		user, err := s.Directory.CreateUser(ctx, entity.Input{"name": name, "email": name + "@example.com"})
		if err == nil {
			id = user.ID
		}
		return err
	})
	return id
}

// viewer returns who sends a token; nil: it opens nothing.
func (s *server) viewer(token auth.APIToken) *access.Viewer {
	s.t.Helper()
	v, err := s.Viewer(s.t.Context(), token.SHA256())
	if _, dead := errors.AsType[*auth.InvalidTokenError](err); err != nil && !dead {
		s.t.Fatal(err)
	}
	return v
}

// wantDead fails unless whoever sends a token is told why it opens nothing, and the log which one it is.
func (s *server) wantDead(token auth.APIToken, row *model.APIToken, why string) {
	s.t.Helper()
	if v, err := s.Viewer(s.t.Context(), token.SHA256()); v != nil || err == nil || err.Error() != fmt.Sprintf("%s: token:%d", why, row.ID) {
		s.t.Errorf("want %s, got %+v, %v", why, v, err)
	}
}

// wantOpen fails unless a token opens something, or nothing, for those who log in and for those who have.
func (s *server) wantOpen(token auth.APIToken, row *model.APIToken, open bool) {
	s.t.Helper()
	subject := fmt.Sprint("token:", row.ID)
	valid, err := s.Valid(s.t.Context(), []string{subject})
	if v := s.viewer(token); (v != nil) != open || valid[subject] != open || err != nil {
		s.t.Errorf("want it to open something: %t; the viewer is %+v, and valid is %v, %v", open, v, valid, err)
	}
}

// stored returns the row of a token; nil: there is none.
func (s *server) stored(id int64) *model.APIToken {
	s.t.Helper()
	var rows []*model.APIToken
	if err := s.db.Write.WithContext(s.t.Context()).Find(&rows, id).Error; err != nil {
		s.t.Fatal(err)
	}
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

// changes returns the log, in short.
func (s *server) changes() (all []string) {
	s.t.Helper()
	if err := s.log.SettleAll(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	page, err := s.log.Read(s.t.Context(), changelog.Query{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range page.Changes {
		text := fmt.Sprint(c.Kind, " ", c.GlobalID(), " ", c.Version)
		if c.Type == model.APITokenType {
			text += " " + string(c.Fields)
		}
		all = append(all, text)
	}
	return all
}

// tables returns the text of all that the database holds.
func (s *server) tables() string {
	s.t.Helper()
	var names []string
	query := map[string]string{
		"sqlite":   "SELECT name FROM sqlite_master WHERE type = 'table'",
		"mysql":    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
		"postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
	}[s.db.Dialect().Name()]
	if err := s.db.Write.Raw(query).Scan(&names).Error; err != nil || len(names) < 8 {
		s.t.Fatalf("the tables are %q, %v", names, err)
	}
	var text strings.Builder
	for _, name := range names {
		var rows []map[string]any
		if err := s.db.Write.Raw("SELECT * FROM " + name).Scan(&rows).Error; err != nil {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			for column, value := range row {
				if b, ok := value.([]byte); ok {
					value = string(b)
				}
				fmt.Fprintln(&text, name, column, value)
			}
		}
	}
	return text.String()
}

func TestATokenIsShownOnceAndItsSHA256AloneIsStored(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		token, row := s.create("role", "ADMIN")
		if again, err := auth.ParseAPIToken(token.Text()); err != nil || again.SHA256() != token.SHA256() {
			t.Fatalf("%q is no token: %v", token.Text(), err)
		}
		s.must(func(ctx context.Context) error {
			_, err := s.Revoke(ctx, row.ID)
			return err
		})
		sum := sha256.Sum256([]byte(token.Text()))
		held := s.tables()
		if strings.Count(held, hex.EncodeToString(sum[:])) != 1 {
			t.Errorf("the SHA-256 is not once in the database:\n%s", held)
		}
		secret := token.Text()[len("rc_") : len(token.Text())-6]
		for what, text := range map[string]string{"the tables": held, "the log": strings.Join(s.changes(), " "), "what was logged": s.said.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the secret is there", what)
			}
		}
		if strings.Contains(strings.Join(s.changes(), " "), row.SHA256) {
			t.Error("the log has the SHA-256")
		}
		if !s.db.Dialect().Embedded() {
			return
		}
		var file string
		if err := s.db.Side.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal"} {
			if text, err := os.ReadFile(file + suffix); err != nil || bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s%s has the secret, or cannot be read: %v", file, suffix, err)
			}
		}
	})
}

func TestATokenIsWhoItSaysUntilItExpires(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		ada := s.user("ada")
		at := s.clock.Load().Add(time.Hour)
		token, row := s.create("role", "EDITOR", "scopes", []any{"SCIM", "READ", "READ"}, "ownerId", model.UserID(ada), "expiresAt", at)
		want := access.Viewer{Subject: fmt.Sprint("token:", row.ID), UserID: ada, Role: access.RoleEditor, Scopes: []string{"read", "scim"}, Expires: at}
		if v := s.viewer(token); v == nil || fmt.Sprint(*v) != fmt.Sprint(want) {
			t.Errorf("want %+v, got %+v", want, v)
		}
		s.set(at.Add(-time.Microsecond))
		s.wantOpen(token, row, true)
		s.set(at)
		s.wantOpen(token, row, false)
		s.wantDead(token, row, "the API token has expired")
		for _, other := range []auth.APIToken{auth.NewAPIToken(), {}} {
			if v := s.viewer(other); v != nil {
				t.Errorf("another token is %+v", v)
			}
		}
	})
}

func TestATokenHasTheLeastRoleItsScopesAndNinetyDaysUnlessItSaysOtherwise(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		now := *s.clock.Load()
		all := []string{"read", "write", "scim"}
		token, row := s.create()
		want := access.Viewer{Subject: fmt.Sprint("token:", row.ID), Role: access.RoleViewer, Scopes: all, Expires: now.Add(90 * 24 * time.Hour)}
		if v := s.viewer(token); fmt.Sprint(*v) != fmt.Sprint(want) {
			t.Errorf("want %+v, got %+v", want, v)
		}
		token, row = s.create("neverExpires", true, "scopes", nil)
		want = access.Viewer{Subject: fmt.Sprint("token:", row.ID), Role: access.RoleViewer, Scopes: all}
		if v := s.viewer(token); fmt.Sprint(*v) != fmt.Sprint(want) {
			t.Errorf("want %+v, got %+v", want, v)
		}
		s.pass(200 * 365 * 24 * time.Hour)
		s.wantOpen(token, row, true)
	})
}

func TestWhatNoTokenMayBeIsToldAtOnceAndStoresNothing(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		gone := s.user("gone")
		s.must(func(ctx context.Context) error {
			_, err := s.Directory.SetUserStatus(ctx, entity.Input{"id": model.UserID(gone)}, model.StatusDeactivated)
			return err
		})
		now := *s.clock.Load()
		for what, c := range map[string]struct {
			input  []any
			fields []string
		}{
			"no name":          {[]any{"name", " "}, []string{"name"}},
			"a long name":      {[]any{"name", strings.Repeat("x", 256)}, []string{"name"}},
			"a line break":     {[]any{"name", "a\nb"}, []string{"name"}},
			"another role":     {[]any{"role", "OWNER"}, []string{"role"}},
			"another scope":    {[]any{"scopes", []any{"READ", "ALL"}}, []string{"scopes.1"}},
			"no scope":         {[]any{"scopes", []any{}}, []string{"scopes"}},
			"no user":          {[]any{"ownerId", "User:9999"}, []string{"ownerId"}},
			"one who has left": {[]any{"ownerId", model.UserID(gone)}, []string{"ownerId"}},
			"no user's id":     {[]any{"ownerId", "Team:1"}, []string{"ownerId"}},
			"the past":         {[]any{"expiresAt", now}, []string{"expiresAt"}},
			"too late":         {[]any{"expiresAt", now.Add(apitoken.MaxLife + time.Microsecond)}, []string{"expiresAt"}},
			"both":             {[]any{"expiresAt", now.Add(time.Hour), "neverExpires", true}, []string{"neverExpires"}},
			"several":          {[]any{"name", "", "role", "x", "expiresAt", now}, []string{"name", "role", "expiresAt"}},
			"what there isn't": {[]any{"secret", "x"}, []string{"secret"}},
		} {
			err := s.run(nil, func(ctx context.Context) error {
				_, _, err := s.Create(ctx, inputOf(c.input))
				return err
			})
			list, _ := apierror.ErrorsOf(err)
			var fields []string
			for _, e := range list {
				if fields = append(fields, e.Field); e.Code != apierror.CodeBadUserInput {
					t.Errorf("%s: got %s", what, e.Code)
				}
			}
			if !slices.Equal(fields, c.fields) {
				t.Errorf("%s: want errors about %q, got %q: %v", what, c.fields, fields, err)
			}
		}
		for _, input := range [][]any{
			{"name", strings.Repeat("ä", 255)},
			{"expiresAt", now.Add(apitoken.MaxLife)},
			{"expiresAt", now.Add(time.Microsecond)},
		} {
			s.create(input...)
		}
		var n int64
		if err := s.db.Write.Table("api_tokens").Count(&n).Error; err != nil || n != 3 {
			t.Errorf("there are %d tokens, %v", n, err)
		}
	})
}

func TestOnlyAnAdministratorMakesListsAndRevokesTokensAndGivesNoMoreThanTheyHave(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		_, row := s.create()
		create := func(pairs ...any) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				_, made, err := s.Create(ctx, inputOf(pairs))
				if err == nil && !slices.Equal(made.Scopes, model.Scopes{"READ", "WRITE"}) {
					t.Errorf("the token has the scopes %q", made.Scopes)
				}
				return err
			}
		}
		list := func(ctx context.Context) error {
			_, err := s.List(ctx)
			return err
		}
		revoke := func(ctx context.Context) error {
			_, err := s.Revoke(ctx, row.ID)
			return err
		}
		for _, role := range []string{"", access.RoleViewer, access.RoleEditor} {
			for what, fn := range map[string]func(context.Context) error{"create": create(), "list": list, "revoke": revoke} {
				if err := s.run(&access.Viewer{Subject: "user:1", Role: role}, fn); apierror.CodeOf(err) != apierror.CodeForbidden {
					t.Errorf("%s as %q: got %v", what, role, err)
				}
			}
		}
		if s.stored(row.ID).RevokedAt != nil {
			t.Error("it is revoked")
		}
		admin := &access.Viewer{Subject: "token:9", Role: access.RoleAdmin, Scopes: []string{access.ScopeRead, access.ScopeWrite}}
		for what, c := range map[string]struct {
			fn    func(ctx context.Context) error
			field string // of the error; "": there is none
		}{
			"its own scopes":   {create("role", "ADMIN"), ""},
			"a scope it lacks": {create("scopes", []any{"READ", "METRICS"}), "scopes"},
			"list":             {list, ""},
			"revoke":           {revoke, ""},
		} {
			err := s.run(admin, c.fn)
			e, _ := errors.AsType[*apierror.Error](err)
			if c.field == "" && err != nil || c.field != "" && (e == nil || e.Code != apierror.CodeForbidden || e.Field != c.field) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
}

func TestATokenDoesNotOutliveTheOneThatMakesItButALoginIsNoToken(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		now := *s.clock.Load()
		ends := now.Add(10 * 24 * time.Hour)
		token := &access.Viewer{Subject: "token:9", Role: access.RoleAdmin, Scopes: []string{access.ScopeRead, access.ScopeWrite}, Expires: ends}
		lasting := &access.Viewer{Subject: "token:9", Role: access.RoleAdmin, Scopes: []string{access.ScopeRead, access.ScopeWrite}}
		login := &access.Viewer{Subject: "user:1", Role: access.RoleAdmin, Expires: now.Add(5 * time.Minute)}
		usual := now.Add(90 * 24 * time.Hour)
		for _, c := range []struct {
			what  string
			maker *access.Viewer
			input []any
			want  time.Time // zero: never
			field string    // of the error; "": there is none
		}{
			{"a token, by its own end", token, nil, ends, ""},
			{"a token that ends before", token, []any{"expiresAt", ends.Add(-time.Hour)}, ends.Add(-time.Hour), ""},
			{"a token that ends with it", token, []any{"expiresAt", ends}, ends, ""},
			{"a token that ends after", token, []any{"expiresAt", ends.Add(time.Second)}, ends, "expiresAt"},
			{"a token that never ends", token, []any{"neverExpires", true}, ends, "neverExpires"},
			{"a token of one that never ends", lasting, []any{"neverExpires", true}, time.Time{}, ""},
			{"the usual one of one that never ends", lasting, nil, usual, ""},
			{"the usual one of a login", login, nil, usual, ""},
			{"one of a login that never ends", login, []any{"neverExpires", true}, time.Time{}, ""},
		} {
			err := s.run(c.maker, func(ctx context.Context) error {
				_, made, err := s.Create(ctx, inputOf(c.input))
				if err == nil && (made.ExpiresAt == nil) != c.want.IsZero() || made != nil && made.ExpiresAt != nil && !made.ExpiresAt.Equal(c.want) {
					t.Errorf("%s: expires at %v", c.what, made.ExpiresAt)
				}
				return err
			})
			e, _ := errors.AsType[*apierror.Error](err)
			if c.field == "" && err != nil || c.field != "" && (e == nil || e.Code != apierror.CodeForbidden || e.Field != c.field) {
				t.Errorf("%s: got %v", c.what, err)
			}
		}
	})
}

func TestARevokedTokenOpensNothingAtAnyServerFromThenOn(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		one, other := newServer(t, databasetest.Open(t, url)), newServer(t, databasetest.Open(t, url))
		token, row := one.create()
		kept, keptRow := one.create()
		for _, s := range []*server{one, other} {
			s.wantOpen(token, row, true)
			s.settle() // the row is not locked any more
		}
		other.must(func(ctx context.Context) error {
			got, err := other.Revoke(ctx, row.ID)
			if err == nil && (got.RevokedAt == nil || got.Name != "payroll") {
				t.Errorf("revoked is %+v", got)
			}
			return err
		})
		for _, s := range []*server{one, other} {
			s.wantOpen(token, row, false)
			s.wantDead(token, row, "the API token was revoked")
			s.wantOpen(kept, keptRow, true)
		}
		err := one.run(nil, func(ctx context.Context) error {
			_, err := one.Revoke(ctx, 9999)
			return err
		})
		if apierror.CodeOf(err) != apierror.CodeNotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestOfManyWhoRevokeATokenAtATimeOneDoesAndTheOthersFindItDone(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		servers := []*server{newServer(t, databasetest.Open(t, url)), newServer(t, databasetest.Open(t, url))}
		_, row := servers[0].create()
		var all sync.WaitGroup
		var mu sync.Mutex
		times := map[time.Time]int{}
		for i := range 8 {
			all.Go(func() {
				err := servers[i%2].run(nil, func(ctx context.Context) error {
					got, err := servers[i%2].Revoke(ctx, row.ID)
					if err != nil {
						return err
					}
					session.AfterCommit(ctx, func() {
						mu.Lock()
						defer mu.Unlock()
						times[got.RevokedAt.UTC()]++
					})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		revoked := servers[0].stored(row.ID).RevokedAt.UTC()
		if len(times) != 1 || times[revoked] != 8 {
			t.Errorf("they say that it was revoked at %v, and that was at %s", times, revoked)
		}
		if log := servers[0].changes(); len(log) != 2 || !strings.HasPrefix(log[1], "REVOKED ApiToken:1 2 ") {
			t.Errorf("the log has %q", log)
		}
	})
}

func TestATokenOfADeactivatedOwnerOpensNothingUntilTheyAreReactivated(t *testing.T) {
	onEveryDatabase(t, func(_ *testing.T, s *server) {
		ada := s.user("ada")
		token, row := s.create("ownerId", model.UserID(ada))
		free, freeRow := s.create()
		for _, status := range []model.Status{model.StatusDeactivated, model.StatusActive} {
			s.must(func(ctx context.Context) error {
				_, err := s.Directory.SetUserStatus(ctx, entity.Input{"id": model.UserID(ada)}, status)
				return err
			})
			s.wantOpen(token, row, status == model.StatusActive)
			if status != model.StatusActive {
				s.wantDead(token, row, "the owner of the API token is deactivated")
			}
			s.wantOpen(free, freeRow, true)
		}
	})
}

func TestTheTokensOfAnOwnerWhoIsDeletedOrErasedGoWithThem(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		for _, c := range []struct {
			what   string
			user   string
			remove func(ctx context.Context, id string) error
		}{
			{"deleted", "kakapo", func(ctx context.Context, id string) error {
				_, err := s.Directory.DeleteUser(ctx, entity.Input{"id": id})
				return err
			}},
			{"deleted in a bulk", "hoatzin", func(ctx context.Context, id string) error {
				_, err := s.Directory.DeleteUsers(ctx, entity.Input{"users": []entity.Input{{"id": id}}})
				return err
			}},
			{"erased", "quetzal", func(ctx context.Context, id string) error {
				_, err := s.Directory.EraseUser(ctx, entity.Input{"id": id})
				return err
			}},
		} {
			before := len(s.changes())
			user := s.user(c.user)
			id := model.UserID(user)
			token, row := s.create("ownerId", id, "name", "of "+c.user)
			revoked, other := s.create("ownerId", id)
			free, freeRow := s.create("name", "of nobody")
			s.must(func(ctx context.Context) error {
				_, err := s.Revoke(ctx, other.ID)
				return err
			})
			undone := errors.New("undone")
			if err := s.run(nil, func(ctx context.Context) error { return errors.Join(c.remove(ctx, id), undone) }); !errors.Is(err, undone) {
				t.Fatal(err)
			}
			s.wantOpen(token, row, true) // nothing goes before the user has gone
			s.settle()
			s.must(func(ctx context.Context) error { return c.remove(ctx, id) })
			s.wantOpen(token, row, false)
			s.wantOpen(revoked, other, false)
			s.wantOpen(free, freeRow, true)
			if s.stored(row.ID) != nil || s.stored(other.ID) != nil || s.stored(freeRow.ID) == nil {
				t.Errorf("%s: the wrong rows are there", c.what)
			}
			var kinds []string
			log := s.changes()[before:]
			for _, change := range log {
				kinds = append(kinds, strings.Join(strings.SplitN(change, " ", 4)[:3], " "))
			}
			name := func(kind string, id string, version int) string { return fmt.Sprint(kind, " ", id, " ", version) }
			want := []string{
				name("CREATED", id, 1), name("CREATED", row.GlobalID(), 1), name("CREATED", other.GlobalID(), 1), name("CREATED", freeRow.GlobalID(), 1),
				name("REVOKED", other.GlobalID(), 2), name("DELETED", row.GlobalID(), 1), name("DELETED", other.GlobalID(), 2), name("DELETED", id, 1),
			}
			if c.what == "erased" {
				want = append(want, name("ERASED", id, 1))
				if held := s.tables(); strings.Contains(held, c.user) {
					t.Errorf("something is left of who was erased:\n%s", held)
				}
			}
			if !slices.Equal(kinds, want) {
				t.Errorf("%s: want the changes %q, got %q", c.what, want, kinds)
			}
			for _, change := range log {
				if erased := strings.HasSuffix(change, " []"); strings.Contains(change, "ApiToken") && erased != (c.what == "erased" && !strings.Contains(change, freeRow.GlobalID()+" ")) {
					t.Errorf("%s: is it erased? %s", c.what, change)
				}
			}
		}
		s.wantReplay()
	})
}

// wantReplay fails unless the tables hold what the log tells.
func (s *server) wantReplay() {
	s.t.Helper()
	var replay directorytest.Replay
	if err := errors.Join(replay.Read(s.t.Context(), s.log), replay.Compare(s.t.Context(), s.db)); err != nil {
		s.t.Error(err)
	}
}

func TestThatATokenIsMadeAndRevokedIsInTheLogOfTheSameTransaction(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		ada := s.user("ada")
		undone := errors.New("undone")
		err := s.run(nil, func(ctx context.Context) error {
			_, _, err := s.Create(ctx, inputOf(nil))
			return errors.Join(err, undone)
		})
		if log := s.changes(); !errors.Is(err, undone) || len(log) != 1 || strings.Contains(s.tables(), "payroll") {
			t.Fatalf("%v; the log has %q", err, log)
		}
		_, row := s.create("role", "EDITOR", "scopes", []any{"WRITE", "READ"}, "ownerId", model.UserID(ada))
		for range 2 { // the second one changes nothing
			s.must(func(ctx context.Context) error {
				_, err := s.Revoke(ctx, row.ID)
				return err
			})
		}
		stored := s.stored(row.ID)
		at := func(t *time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
		want := []string{
			fmt.Sprintf(`CREATED %s 1 [{"name":"name","before":null,"after":"payroll"},{"name":"role","before":null,"after":"EDITOR"},`+
				`{"name":"scopes","before":null,"after":["READ","WRITE"]},{"name":"ownerId","before":null,"after":"User:%d"},`+
				`{"name":"createdAt","before":null,"after":%q},{"name":"expiresAt","before":null,"after":%q}]`, row.GlobalID(), ada, at(&stored.CreatedAt), at(stored.ExpiresAt)),
			fmt.Sprintf(`REVOKED %s 2 [{"name":"revokedAt","before":null,"after":%q}]`, row.GlobalID(), at(stored.RevokedAt)),
		}
		if got := s.changes()[1:]; !slices.Equal(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
		s.wantReplay()
	})
}

func TestTheLastUseIsStoredOnceAMinuteAtMostForEachTokenAndServer(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		one, other := newServer(t, databasetest.Open(t, url)), newServer(t, databasetest.Open(t, url))
		began := *one.clock.Load()
		other.set(began.Add(30 * time.Second))
		token, row := one.create()
		second, _ := one.create()
		if one.stored(row.ID).LastUsedAt != nil {
			t.Error("it was used before")
		}
		use := func(s *server, after time.Duration, writes int64, last time.Duration) {
			t.Helper()
			s.set(began.Add(after))
			for range 10 {
				s.viewer(token)
			}
			s.settle()
			if at := one.stored(row.ID).LastUsedAt; s.writes.n.Load() != writes || at == nil || !at.Equal(began.Add(last)) {
				t.Errorf("at %s: %d writes, want %d; it is stored that it was used at %v, want %s", after, s.writes.n.Load(), writes, at, last)
			}
		}
		use(one, 0, 1, 0)
		use(one, time.Minute-time.Microsecond, 1, 0)
		use(one, time.Minute, 2, time.Minute)
		use(other, 30*time.Second, 1, time.Minute) // its clock is behind, and moves nothing back
		use(other, 90*time.Second, 2, 90*time.Second)
		one.viewer(second)
		one.settle()
		if n := one.writes.n.Load(); n != 3 {
			t.Errorf("another token's use is the %dth write", n)
		}
		one.viewer(auth.NewAPIToken())
		one.pass(200 * 24 * time.Hour)
		one.viewer(token)
		one.settle()
		if n := one.writes.n.Load(); n != 3 {
			t.Errorf("tokens that open nothing are used: %d writes", n)
		}
		if log := one.changes(); len(log) != 2 {
			t.Errorf("a use is in the log: %q", log)
		}
		one.wantReplay()
	})
}

func TestNobodyWaitsUntilTheLastUseIsStoredNorFailsBecauseOfIt(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		token, row := s.create()
		tx, err := s.db.Pools()["write"].BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE api_tokens SET name = name WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.pass(time.Hour)
			if v := s.viewer(token); v == nil { // while the row is locked, and on SQLite all of it
				t.Error("it opens nothing")
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		s.settle()
		if at := s.stored(row.ID).LastUsedAt; at == nil || !at.Equal(*s.clock.Load()) {
			t.Errorf("it was used at %v", at)
		}
		broken := databasetest.Open(t, databasetest.With(t, "sqlite", databasetest.Nothing))
		_ = broken.Close()
		s.Writes = broken.Pools()["write"]
		s.pass(time.Hour)
		if v := s.viewer(token); v == nil {
			t.Error("it opens nothing")
		}
		s.settle()
		if !strings.Contains(s.said.String(), "cannot store when an API token was last used") {
			t.Errorf("nothing is said: %q", s.said)
		}
	})
}

func TestWhichTokensOpenSomethingIsOneStatementHoweverManyThereAre(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		ada := s.user("ada")
		_, live := s.create("ownerId", model.UserID(ada))
		_, revoked := s.create()
		_, expired := s.create("expiresAt", s.clock.Load().Add(time.Minute))
		bob := s.user("bob")
		_, left := s.create("ownerId", model.UserID(bob))
		s.must(func(ctx context.Context) error {
			_, err := s.Directory.SetUserStatus(ctx, entity.Input{"id": model.UserID(bob)}, model.StatusDeactivated)
			if err == nil {
				_, err = s.Revoke(ctx, revoked.ID)
			}
			return err
		})
		s.pass(time.Hour)
		subjects := []string{"anonymous", "user:1", "token:", "token:0x1", "token:01", "token:-1", "proxy:token:1"}
		for _, row := range []*model.APIToken{live, revoked, expired, left} {
			subjects = append(subjects, fmt.Sprint("token:", row.ID))
		}
		want := fmt.Sprint(map[string]bool{fmt.Sprint("token:", live.ID): true})
		for n := range 3 {
			before := s.reads.n.Load()
			valid, err := s.Valid(t.Context(), subjects)
			if got := s.reads.n.Load() - before; err != nil || got != 1 || fmt.Sprint(valid) != want {
				t.Errorf("%d subjects: got %v, %v, with %d statements", len(subjects), valid, err, got)
			}
			for i := range 10_000 {
				subjects = append(subjects, fmt.Sprint("token:", 1000+20_000*n+i))
			}
		}
		before := s.reads.n.Load()
		if valid, err := s.Valid(t.Context(), []string{"user:1"}); err != nil || len(valid) > 0 || s.reads.n.Load() != before {
			t.Errorf("where there is no token: %v, %v", valid, err)
		}
		if s.writes.n.Load() != 0 {
			t.Error("a use was stored")
		}
	})
}

func TestATokenIsFoundByItsIDItsTextAndHowItsSHA256Begins(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		token, row := s.create()
		s.create()
		find := func(reference string) (id int64, err error) {
			err = s.run(nil, func(ctx context.Context) error {
				id, err = s.Find(ctx, reference)
				return err
			})
			return id, err
		}
		letter := strings.IndexAny(row.SHA256, "abcdef") + 1 // without one it would be a number
		prefix := row.SHA256[:max(apitoken.MinPrefix, letter)]
		for _, reference := range []string{"ApiToken:1", "1", token.Text(), row.SHA256, prefix, strings.ToUpper(prefix)} {
			if id, err := find(reference); id != row.ID || err != nil {
				t.Errorf("%s: got %d, %v", reference, id, err)
			}
		}
		mistyped := []byte(token.Text())
		mistyped[10] ^= 1
		for reference, want := range map[string]string{
			row.SHA256[:7] + "x":          "is no API token",
			"abc":                         "at least 8 digits",
			"":                            "is no API token",
			"payroll":                     "is no API token",
			"User:1":                      "is no API token",
			string(mistyped):              auth.ErrNoAPIToken.Error(),
			token.Text()[:30]:             auth.ErrNoAPIToken.Error(),
			auth.NewAPIToken().Text():     "there is no API token of this text",
			strings.Repeat("0", 63) + "f": "there is no API token 000",
		} {
			if _, err := find(reference); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "rc_") {
				t.Errorf("%q: got %v", reference, err)
			}
		}
		if err := s.db.Write.Exec("UPDATE api_tokens SET sha256 = ? WHERE id = 2", row.SHA256[:63]+"x").Error; err != nil {
			t.Fatal(err)
		}
		if _, err := find(prefix); err == nil || !strings.Contains(err.Error(), "2 API tokens") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheTablesHoldWhatTheLogTellsOfTokensWhateverIsDoneAtATime(t *testing.T) {
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		servers := []*server{newServer(t, databasetest.Open(t, url)), newServer(t, databasetest.Open(t, url))}
		owners := make([]int64, 6)
		for i := range owners {
			owners[i] = servers[0].user(fmt.Sprint("u", i))
		}
		var all sync.WaitGroup
		var made atomic.Int64
		for worker := range 6 {
			s := servers[worker%2]
			all.Go(func() {
				for range 15 {
					n, owner := rand.IntN(8), model.UserID(owners[rand.IntN(len(owners))])
					err := s.run(nil, func(ctx context.Context) (err error) {
						switch {
						case n < 4:
							_, _, err = s.Create(ctx, inputOf([]any{"ownerId", owner}))
						case n < 7:
							_, err = s.Revoke(ctx, 1+rand.Int64N(max(1, made.Load())))
						default:
							_, err = s.Directory.DeleteUser(ctx, entity.Input{"id": owner})
						}
						return err
					})
					if _, shown := apierror.ErrorsOf(err); err != nil && !shown {
						t.Error(err)
					}
					made.Add(1)
				}
			})
		}
		all.Wait()
		servers[0].wantReplay()
	})
}

func TestAnOwnersTokensAreInTheExportOfTheOwnerWithoutTheirSHA256(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		ada := s.user("ada")
		token, row := s.create("ownerId", model.UserID(ada), "name", "hers")
		s.create("name", "nobody's")
		s.viewer(token)
		s.settle()
		s.must(func(ctx context.Context) error {
			held, err := s.Directory.ExportUser(ctx, model.UserID(ada))
			if err != nil {
				return err
			}
			if len(held.APITokens) != 1 || len(held.Changes) != 2 {
				t.Fatalf("got %+v", held)
			}
			var one struct {
				ID, Name, Role, OwnerID                     string
				Scopes                                      []string
				CreatedAt, ExpiresAt, LastUsedAt, RevokedAt *time.Time
			}
			if err := json.Unmarshal(held.APITokens[0], &one); err != nil || one.ID != row.GlobalID() || one.Name != "hers" || one.LastUsedAt == nil || one.RevokedAt != nil {
				t.Errorf("got %s, %v", held.APITokens[0], err)
			}
			text, err := json.Marshal(held)
			if strings.Contains(string(text), row.SHA256) {
				t.Errorf("it has the SHA-256: %s", text)
			}
			return err
		})
	})
}
