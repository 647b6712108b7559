package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
)

func TestAStartThatFailsHasWrittenNothing(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		taken, folder := listen(t), t.TempDir()
		text := filepath.Join(folder, "text")
		if err := os.WriteFile(text, []byte("neither JSON nor PEM"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"--listen", taken},
			{"--metrics", taken},
			{"--documents", filepath.Join(folder, "missing")},
			{"--documents", text},
			{"--tls-cert", text, "--tls-key", text},
		} {
			if got := refusal(t, append(args, "--database", url, "--migrate", "--demo")...); !strings.HasPrefix(got, args[0]) {
				t.Errorf("%q: %s", args, got)
			}
		}
		if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is there: %v", err)
			}
			return
		}
		names, err := databasetest.Open(t, url).Write.Migrator().GetTables()
		if err != nil || len(names) > 0 {
			t.Errorf("the tables %v are there, %v", names, err)
		}
	})
}

// A start has its port before it has its schema. Who comes in between is not sent away.
func TestWhoConnectsDuringTheStartIsAnsweredAfterIt(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", databasetest.Nothing)
	db := databasetest.Open(t, url)
	release := lockUser42(t, db) // so that the demo data have to wait
	address := freeAddress(t)
	answered := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, parsed(t, "--database", url, "--demo", "--listen", address)) }()
	go func() {
		for {
			res, err := http.Get("http://" + address + "/readyz")
			if err == nil {
				text, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = errors.New(string(text))
				}
			} else if strings.Contains(err.Error(), "refused") { // it has not begun
				time.Sleep(2 * time.Millisecond)
				continue
			}
			answered <- err
			return
		}
	}()
	select {
	case err := <-answered:
		t.Errorf("answered before the start was complete: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	release()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// startWaiting starts a server whose database is away, until it waits for that.
func startWaiting(t *testing.T, url string, out, log *writings) (cancel context.CancelFunc, ended <-chan error) {
	t.Helper()
	cfg, err := parse([]string{"--database", url, "--listen", "127.0.0.1:0"}, out, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- run(ctx, cfg) }()
	eventually(t, "it waits", func() bool {
		return contains(log.String(), `level=WARN msg="the database does not answer, and is waited for" for_ms=30000`)
	})
	return cancel, end
}

// A database that is away when the server starts, as after a power cut, is waited for.
func TestADatabaseThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		for _, hosts := range []int{1, 2} {
			u, p := parseURL(t, databasetest.With(t, kind, databasetest.Nothing)), &databasetest.Proxy{}
			there := u.Host
			u.Host = p.Listen(t, freeAddress(t))
			if hosts == 2 {
				u.Host += "," + freeAddress(t)
			}
			var out, log writings
			cancel, ended := startWaiting(t, u.String(), &out, &log)
			p.Lead(there)
			eventually(t, "it serves", func() bool { return strings.Contains(out.String(), "Rollcall serves") })
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "is waited for"); n != 1 {
				t.Errorf("it says so %d times", n)
			}
		}
	})
}

func TestWhoIsToEndWhileTheDatabaseIsWaitedForEndsInGoodOrder(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		u := parseURL(t, databasetest.With(t, kind, databasetest.Nothing))
		u.Host = freeAddress(t)
		var out, log writings
		cancel, ended := startWaiting(t, u.String(), &out, &log)
		cancel()
		if err := <-ended; err != nil || !strings.Contains(log.String(), "msg=stopped") {
			t.Errorf("%v\n%s", err, &log)
		}
	})
}

func TestADatabaseThatRefusesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		away := parseURL(t, databasetest.With(t, kind, databasetest.Nothing))
		away.Path += "_unknown"
		denied := parseURL(t, databasetest.With(t, kind, databasetest.Nothing))
		denied.User = url.UserPassword("nobody", "s3cret")
		several := parseURL(t, denied.String())
		several.Host += "," + several.Host
		for want, u := range map[string]*url.URL{"has no database": away, "refuses the user": denied, "no host of the database|refuses the user": several} {
			var log writings
			cfg, err := parse([]string{"--database", u.String(), "--listen", "127.0.0.1:0", "--wait=24h"}, io.Discard, &log)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(t.Context(), cfg); err == nil || !regexp.MustCompile(want).MatchString(err.Error()) || contains(log.String(), "waited") {
				t.Errorf("%v\n%s", err, &log)
			}
		}
	})
}

// freeAddress returns one that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := listenOn(tb.Context(), "--listen", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestATableThatWouldLoseItsRowsIsRefusedAtTheStartAndNotReady(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		damage, mend := "ALTER TABLE session_operations ENGINE = MyISAM", "ALTER TABLE session_operations ENGINE = InnoDB"
		if kind == "postgres" {
			damage, mend = "ALTER TABLE session_operations SET UNLOGGED", "ALTER TABLE session_operations SET LOGGED"
		}
		t.Parallel()
		url := databasetest.With(t, kind, databasetest.Nothing)
		s := start(t, "--database", url)
		db := databasetest.Open(t, url)
		if err := db.Write.Exec(damage).Error; err != nil {
			t.Fatal(err)
		}
		for _, flags := range [][]string{{}, {"--migrate"}, {"--demo"}} {
			if text := refusal(t, append(flags, "--database", url)...); !contains(text, "the table session_operations ", "run "+mend) {
				t.Error(text)
			}
		}
		eventually(t, "it is not ready", func() bool {
			status, text := s.probe("/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(text, "the table session_operations")
		})
		if err := db.Write.Exec(mend).Error; err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is ready", func() bool { status, _ := s.probe("/readyz"); return status == http.StatusOK })
	})
}

func TestWhoeverMigratesIsToldOfUsersWithOneEmail(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		db := databasetest.Open(t, url)
		for _, statement := range []string{
			"DELETE FROM goose_db_version WHERE version_id >= 7", // which may run again, and so may what follows it then
			"DROP TABLE idempotency_keys",
			"DROP TABLE changes",
			"DROP TABLE changes_clock",
			"DROP TABLE schema_requirement",
			"DROP TABLE webhooks",
			"DROP TABLE imports",
			"DROP TABLE import_waiting",
			"DROP TABLE import_users",
			"DROP TABLE identities",
			"DROP TABLE api_tokens",
			"DROP TABLE persisted_documents",
			"INSERT INTO users (id, name, email, created_at, updated_at) VALUES " +
				"(7, 'Zoe', 'zo\u00eb@example.com', '2024-01-01', '2024-01-01'), (9, 'Zoe', 'zoe\u0308@example.com', '2024-01-01', '2024-01-01')",
		} {
			if err := db.Write.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		s := start(t, "--database", url, "--migrate")
		if !contains(s.log.String(), "level=WARN", "User:9 has the email of User:7") {
			t.Errorf("logged: %s", &s.log)
		}
		for range 2 {
			if got := output(t, "migrate", "--database", url); !contains(got, "applied: 0.", "User:9 has the email of User:7") {
				t.Errorf("migrate: %s", got)
			}
		}
	})
}

func TestTheLogWarnsOfADatabaseThatMayLoseWhatItAcknowledges(t *testing.T) {
	t.Parallel()
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		s := start(t, "--database", url)
		if strings.Contains(s.logged(), "WARN") {
			t.Errorf("logged: %s", &s.log)
		}
		if kind != "postgres" { // elsewhere the setting is a whole server's: see the tests of package database
			return
		}
		name := url[strings.LastIndex(url, "/")+1:]
		name, _, _ = strings.Cut(name, "?")
		admin(t, parseURL(t, url), "ALTER DATABASE "+name+" SET synchronous_commit = off", "")
		s = start(t, "--database", url)
		if !contains(s.log.String(), "level=WARN", "synchronous_commit = off") {
			t.Errorf("logged: %s", &s.log)
		}
	})
}

// TestMigrateCompletesWhatWasKilledAtAnyMoment kills it at 8 moments, or at as many as ROLLCALL_TEST_KILLS says.
func TestMigrateCompletesWhatWasKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	moments := 8
	if s := os.Getenv("ROLLCALL_TEST_KILLS"); s != "" {
		var err error
		if moments, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	program := built(t)
	migrateFor := func(url string, limit time.Duration) (took time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		began := time.Now()
		_ = exec.CommandContext(ctx, program, "migrate", "--database", url).Run() // which is killed when ctx ends
		return time.Since(began)
	}
	schema := func(url string) (text string) {
		db := databasetest.Open(t, url)
		rows := db.Read.Raw("SELECT group_concat(sql || ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)").Row()
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	whole := databasetest.URL(t, "sqlite")
	took, want := migrateFor(whole, patience), schema(whole)
	within := 0
	for i := range moments {
		url := databasetest.URL(t, "sqlite")
		migrateFor(url, took*time.Duration(i+1)/time.Duration(moments))
		switch text := output(t, "migrate", "--database", url); {
		case strings.Contains(text, "applied: 0"):
		default:
			within++
		}
		if got := schema(url); got != want {
			t.Errorf("killed after %s: %s\nwant: %s", took*time.Duration(i+1)/time.Duration(moments), got, want)
		}
	}
	if within < moments/4 {
		t.Errorf("only %d of %d were killed before they had ended", within, moments)
	}
}

func TestTheLogHasTheDemoDataOnceTheServerServes(t *testing.T) {
	t.Parallel()
	databasetest.EachURL(t, func(t *testing.T, url string) {
		s := start(t, "--database", url, "--migrate", "--demo")
		first := s.answer("{ changes(first: 1) { nodes { kind } } }")
		if nodes, _ := field(t, first, "changes", "nodes").([]any); len(nodes) != 1 {
			t.Errorf("got %s: who subscribes now would be told of all the demo data as news", first)
		}
	})
}
