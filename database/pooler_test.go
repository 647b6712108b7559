package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
)

// behind runs fn behind PgBouncer in each mode, with each URL that is for it. direct is the same database without it.
func behind(t *testing.T, size int, fn func(t *testing.T, mode, pooled string, direct *url.URL, admin *sql.DB, role string)) {
	t.Helper()
	databasetest.EachOf(t, "postgres", func(t *testing.T, _ string) {
		for mode, parameters := range map[string][]string{"session": {"", "&pooler=session", "&pooler=transaction"}, "transaction": {"", "&pooler=transaction"}} {
			for _, parameter := range parameters {
				t.Run(mode+parameter, func(t *testing.T) {
					direct, admin, role := ownPostgres(t)
					fn(t, mode, databasetest.PgBouncer(t, direct.String(), mode, size)+parameter, direct, admin, role)
				})
			}
		}
	})
}

func TestEveryConnectionIsTheSameBehindAPooler(t *testing.T) {
	behind(t, 20, func(t *testing.T, _, pooled string, _ *url.URL, admin *sql.DB, role string) {
		for _, name := range []string{"LATIN1", "time zone", "dates", "isolation", "read only", "short of time", "short lock"} {
			for _, set := range hostilePostgres[name] {
				execute(t, admin, "ALTER ROLE "+role+" SET "+set)
			}
		}
		alike(t, pooled, func(t *testing.T, id int64) (bytes string) {
			return one(t, admin, fmt.Sprintf("SELECT upper(encode(convert_to(name, 'UTF8'), 'hex')) FROM users WHERE id = %d", id))
		})
	})
}

func TestReadsBehindAPoolerCannotWriteAndEndAtTheDeadlineWhoeverElseIsThere(t *testing.T) {
	behind(t, 6, func(t *testing.T, mode, pooled string, direct *url.URL, _ *sql.DB, _ string) {
		if mode == "session" {
			return // where each connection has a backend of its own
		}
		migrate(t, databasetest.Open(t, direct.String()))
		const deadline = 400 * time.Millisecond
		db := databasetest.Open(t, pooled, database.Options{PoolSize: 8, Deadline: deadline})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 10 {
					user := model.User{Name: "Ada", Email: fmt.Sprintf("%d.%d", i, n)}
					create(t, db, &user)
					tx := db.Write.Begin()
					if err := errors.Join(tx.Exec("UPDATE users SET name = 'Bob' WHERE id = ?", user.ID).Error, tx.Rollback().Error); err != nil {
						t.Error(err)
					}
					var refused *pgconn.PgError
					if err := db.Read.Exec("UPDATE users SET name = 'Eve' WHERE id = ?", user.ID).Error; !errors.As(err, &refused) || refused.Code != "25006" {
						t.Errorf("a write of the read pool: %v", err)
					}
					var got model.User
					if err := db.Read.First(&got, user.ID).Error; err != nil || got.Name != "Ada" {
						t.Errorf("%+v, %v", got, err)
					}
				}
			})
		}
		for range 3 {
			all.Go(func() {
				began := time.Now()
				err := db.Read.Exec("SELECT pg_sleep(10)").Error
				if took := time.Since(began); err == nil || took > deadline+3*time.Second {
					t.Errorf("a long read ended after %s with %v", took, err)
				}
				if err := db.Write.Exec("SELECT pg_sleep(0.6)").Error; err != nil {
					t.Errorf("a transaction's statement is bounded too: %v", err)
				}
			})
		}
		all.Wait()
		if n := count(t, db, "users"); n != 80 {
			t.Errorf("%d users", n)
		}
		// Nothing is left for other clients of the same backends.
		bystander, err := sql.Open("pgx", strings.ReplaceAll(pooled, "&pooler=transaction", "")+"&default_query_exec_mode=exec")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = bystander.Close() }()
		for range 20 {
			var settings string
			if err := bystander.QueryRowContext(t.Context(), `SELECT concat_ws(' ', current_setting('default_transaction_read_only'),
				current_setting('statement_timeout'), current_setting('transaction_read_only'))`).Scan(&settings); err != nil || settings != "off 0 off" {
				t.Errorf("a bystander has %s, %v", settings, err)
			}
		}
	})
}

func TestProcessesThatMigrateBehindASmallPoolerDoNotBlockEachOther(t *testing.T) {
	behind(t, 2, func(t *testing.T, mode, pooled string, _ *url.URL, _ *sql.DB, _ string) {
		if mode == "session" {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var all sync.WaitGroup
		for range 4 {
			db := databasetest.Open(t, pooled, database.Options{PoolSize: 2})
			all.Go(func() {
				if _, err := db.Migrate(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestAPoolerThatSharesSessionsIsNotTakenForOneThatDoesNot(t *testing.T) {
	behind(t, 6, func(t *testing.T, mode, pooled string, direct *url.URL, _ *sql.DB, _ string) {
		if mode == "session" || !strings.Contains(pooled, "pooler=") {
			return
		}
		checkOpenError(t, strings.Replace(pooled, "pooler=transaction", "pooler=session", 1), "is behind a pooler that shares sessions: write pooler=transaction in the URL")
		checkOpenError(t, direct.String()+"&pooler=statement", `pooler is "statement" in the PostgreSQL URL: write session or transaction`)
	})
}

func TestTargetSessionAttrsChoosesAServer(t *testing.T) {
	databasetest.EachOf(t, "postgres", func(t *testing.T, kind string) {
		for attrs, ok := range map[string]bool{"any": true, "read-write": true, "primary": true, "prefer-standby": true, "read-only": false, "standby": false} {
			t.Run(attrs, func(t *testing.T) {
				u := databasetest.URL(t, kind) + "&target_session_attrs=" + attrs
				if !ok {
					checkOpenError(t, u, "cannot connect to PostgreSQL")
					return
				}
				db := databasetest.Open(t, u, database.Options{PoolSize: 2})
				migrate(t, db)
				create(t, db, &model.User{Name: "Ada", Email: "ada"})
				if n := count(t, db, "users"); n != 1 {
					t.Errorf("%d users", n)
				}
			})
		}
		t.Run("several hosts", func(t *testing.T) {
			u := databasetest.URL(t, kind)
			host := parse(t, u).Host
			db := databasetest.Open(t, strings.Replace(u, host, "127.0.0.1:1,"+host, 1)+"&target_session_attrs=read-write")
			migrate(t, db)
		})
	})
}
