package database_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
)

func TestTimesComeBackInUTCWithMicroseconds(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		kyoto := time.FixedZone("", 9*60*60)
		for i, at := range []time.Time{
			time.Date(2024, 2, 29, 23, 59, 59, 123456000, kyoto),
			time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC),
		} {
			user := model.User{Name: "Ada", Email: fmt.Sprint(i), CreatedAt: at}
			create(t, db, &user)
			for name, pool := range map[string]*database.Database{"read": {Read: db.Read}, "write": {Read: db.Write}} {
				var got model.User
				if err := pool.Read.First(&got, user.ID).Error; err != nil {
					t.Fatal(err)
				}
				if want := at.UTC(); !equal(got.CreatedAt, want) {
					t.Errorf("%s: %v came back as %v", name, want, got.CreatedAt)
				}
				if !equal(got.UpdatedAt, user.UpdatedAt) || time.Since(got.UpdatedAt).Abs() > time.Minute {
					t.Errorf("%s: now, %v, came back as %v", name, user.UpdatedAt, got.UpdatedAt)
				}
			}
		}
	})
}

// equal is true for one instant in one zone; == also tells UTC from a zone of the same offset.
func equal(a, b time.Time) bool { return a == b }

func TestTheServerRefusesWritesOfTheReadPool(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		create(t, db, &model.User{Name: "Ada", Email: "ada"})
		for _, write := range []string{
			"INSERT INTO teams (name, created_at, updated_at) VALUES ('x', '2024-01-01', '2024-01-01')",
			"UPDATE users SET name = 'x'",
			"DELETE FROM users",
			"CREATE TABLE x (id int)",
		} {
			if err := db.Read.Exec(write).Error; err == nil {
				t.Errorf("not refused: %s", write)
			}
			tx := db.Read.Begin()
			if err := tx.Exec(write).Error; err == nil {
				t.Errorf("not refused in a transaction: %s", write)
			}
			tx.Rollback()
		}
		if n := count(t, db, "users"); n != 1 {
			t.Errorf("%d users left", n)
		}
	})
}

func TestThePoolsHaveTheirIsolation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		// MySQL and MariaDB name it differently; new versions of MariaDB have both names.
		query, want := "SHOW VARIABLES WHERE variable_name IN ('tx_isolation', 'transaction_isolation')", "READ-COMMITTED"
		switch db.Dialect().Name() {
		case "sqlite": // always serializable; what counts there is that a commit is on the disk
			query, want = "SELECT 'synchronous', synchronous FROM pragma_synchronous", "2"
		case "postgres":
			query, want = "SELECT name, setting FROM pg_settings WHERE name = 'transaction_isolation'", "read committed"
		}
		for _, pool := range []*database.Database{{Read: db.Write}, {Read: db.Read}} {
			var name, got string
			if err := pool.Read.Raw(query).Row().Scan(&name, &got); err != nil || got != want {
				t.Errorf("%s = %q, %v; want %s", name, got, err, want)
			}
		}
	})
}

func TestTheServerEndsAPooledReadAtTheDeadline(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		sleep := map[string]string{ // where SLEEP is all that is selected, MySQL ends it with the value 1 instead of an error
			"mysql":    "SELECT COUNT(*) FROM (SELECT 1 AS a UNION ALL SELECT 2) AS two WHERE SLEEP(10) = 0",
			"postgres": "SELECT pg_sleep(10)",
		}[databasetest.Dialect(kind)]
		db := databasetest.New(t, kind, database.Options{PoolSize: 2, Deadline: 150 * time.Millisecond})
		began := time.Now()
		err := db.Read.Exec(sleep).Error
		if took := time.Since(began); err == nil || took > 2*time.Second {
			t.Errorf("ended after %s with %v", took, err)
		}
		if err := db.Write.Exec(strings.Replace(sleep, "10", "0.3", 1)).Error; err != nil {
			t.Errorf("a transaction's statement is bounded too: %v", err)
		}
	})
}

func TestAnUpdateThatChangesNothingCountsItsRow(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		create(t, db, &model.User{Name: "Ada", Email: "ada"})
		if got := db.Write.Exec("UPDATE users SET name = 'Ada'").RowsAffected; got != 1 {
			t.Errorf("%d rows", got)
		}
	})
}

func TestThePoolSizeBoundsReadsAndTransactions(t *testing.T) {
	databasetest.EachURL(t, func(t *testing.T, url string) {
		db := databasetest.Open(t, url, database.Options{PoolSize: 3})
		write, _ := db.Write.DB()
		read, _ := db.Read.DB()
		wantWrite := 3
		if db.Dialect().Name() == "sqlite" {
			wantWrite = 1
		}
		if w, r := write.Stats().MaxOpenConnections, read.Stats().MaxOpenConnections; w != wantWrite || r != 3 {
			t.Errorf("%d connections to write and %d to read", w, r)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenSaysWhatIsWrongAndNeverThePassword(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	const closed = "127.0.0.1:1"
	cases := map[string]string{
		"":                                     "one of sqlite:FILE, mysql://",
		"rollcall.db":                          "one of sqlite:FILE, mysql://",
		"oracle://u:s3cret@h/x":                "one of sqlite:FILE, mysql://",
		"sqlite:":                              "the path of a file",
		"sqlite::memory:":                      "the path of a file",
		"sqlite:x.db?mode=ro":                  "without parameters",
		"sqlite:" + folder:                     "is not a file",
		"sqlite:" + text:                       "is not a SQLite database",
		"sqlite:" + folder + "/no/rollcall.db": "the folder " + folder + "/no of the SQLite file does not exist",

		"mysql://u:s3cret@" + closed + "/x":                              "cannot reach MySQL at " + closed + ": connect: connection refused",
		"mariadb://u:s3cret@" + closed + "/x":                            "cannot reach MariaDB at " + closed + ": connect: connection refused",
		"mysql://u:s3cret@nowhere.invalid/x":                             `no host of the name "nowhere.invalid"`,
		"mysql://u:s3cret@" + closed:                                     "names no database",
		"mysql://u:s3cret@" + closed + "/":                               "names no database",
		"mysql://u:s3cret@" + closed + "/x?parseTime=false":              `unknown parameter "parseTime"`,
		"mysql://u:s3cret@" + closed + "/x?timeout=soon":                 "a parameter of the MySQL URL is wrong",
		"mariadb://u:s3cret@" + closed + "/":                             "the MariaDB URL names no database: write mariadb://user:password@host:port/name",
		"mysql://u:s3cret@" + closed + "/x?tls=maybe":                    `tls is "maybe"`,
		"mysql://u:s3cret@" + closed + "/x?tls-ca=/no/ca.pem":            "cannot read tls-ca",
		"mysql://u:s3cret@" + closed + "/x?tls-ca=" + text:               "holds no PEM certificate",
		"mysql://u:s3cret@" + closed + "/x?tls-cert=/no/cert":            "tls-cert and tls-key",
		"postgres://u:s3cret@" + closed + "/x":                           "cannot reach PostgreSQL at " + closed,
		"postgres://u:s3cret@nowhere.invalid/x":                          `no host of the name "nowhere.invalid"`,
		"postgres://u:s3cret@h/x?sslmode=maybe":                          "the PostgreSQL URL cannot be used",
		"postgres://u:s3cret@h/x?sslmode=verify-full&sslrootcert=/no/ca": "the PostgreSQL URL cannot be used",
	}
	// A password whose special characters are not encoded is taken for some other part of the URL.
	for _, password := range []string{"s3cret/x", "s3cret?x", "s3cret#x", "1/s3cret", "1?s3cret", "1#s3cret", "s3cret%zz", "s3cret x", "s3:cret"} {
		for _, scheme := range []string{"mysql", "postgres"} {
			cases[scheme+"://u:"+password+"@"+closed+"/x"] = ""
		}
	}
	for url, want := range cases {
		checkOpenError(t, url, want)
	}
}

func TestNoPartOfAPasswordIsToldWhateverIsWrongWithTheURL(t *testing.T) {
	const specials = "@/?#%:[]& =+\\'\"<>^|{},;!*\t\x00ä"
	var passwords []string
	for _, one := range specials {
		for _, other := range specials {
			passwords = append(passwords, "pwaa1"+string(one)+"pwbb2"+string(other)+"pwcc3")
		}
	}
	for _, numeric := range []string{"/", "?", "#", "@", "%", "/?", "@/", ":@"} { // so that what is before it looks like a port
		passwords = append(passwords, "1"+numeric+"pwbb2", "1"+numeric+"pwbb2@pwcc3")
	}
	forms := []string{
		"%s://u:%s@127.0.0.1:1/x", "%s://u:%s@127.0.0.1:1", "%s://u:%s@127.0.0.1:1/x?timeout=soon&connect_timeout=soon", "%s://u:%s@127.0.0.1:one/x",
		"%s:u:%s@127.0.0.1:1/x", "%s:/u:%s@127.0.0.1:1/x", "%s://u:%s", "%s://:%s@127.0.0.1:1/x?tls=maybe&sslmode=maybe", "%s://u:%s@/x",
		"%s://u@127.0.0.1:1/x?password=%s&sslmode=maybe", "%s://u@127.0.0.1:1?sslpassword=%s", "%s: host=127.0.0.1 port=1 password=%s", "%shost=127.0.0.1 password='%s'",
	}
	for _, scheme := range []string{"mysql", "mariadb", "postgres", "postgresql"} {
		for _, form := range forms {
			for _, password := range passwords {
				if form == "%s://u:%s" && strings.Contains(password, "@") {
					continue // a host and a password in it cannot be told apart
				}
				url := fmt.Sprintf(form, scheme, password)
				db, err := database.Open(t.Context(), url, database.Options{PoolSize: 1})
				if err == nil {
					t.Errorf("%q was opened", url)
					_ = db.Close()
				} else if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "pwaa") || strings.Contains(text, "pwbb") || strings.Contains(text, "pwcc") {
					t.Errorf("%q: %s", url, text)
				}
			}
		}
	}
}

func TestAPostgresURLSaysWhichDatabaseItMeansWhateverTheEnvironmentSays(t *testing.T) {
	for name, value := range map[string]string{"PGHOST": "127.0.0.1", "PGPORT": "2", "PGDATABASE": "other", "PGUSER": "other"} {
		t.Setenv(name, value)
	}
	for url, want := range map[string]string{
		"postgres://u@127.0.0.1:1":                         "the PostgreSQL URL names no database",
		"postgres://u@127.0.0.1:1/":                        "the PostgreSQL URL names no database",
		"postgres://u@127.0.0.1:1/?sslmode=disable":        "the PostgreSQL URL names no database",
		"postgresql://u@127.0.0.1:1?dbname=":               "the PostgreSQL URL names no database",
		"postgres://u@127.0.0.1:1/x?dbname=":               "the PostgreSQL URL names no database",
		"postgres://u@127.0.0.1:1/x?host=":                 "the PostgreSQL URL names no host",
		"postgres:///x":                                    "the PostgreSQL URL names no host",
		"postgres://u@/x":                                  "the PostgreSQL URL names no host",
		"postgres://127.0.0.1/x":                           "PostgreSQL at 127.0.0.1:5432 ",
		"postgres://127.0.0.1/rollcall_no?sslmode=disable": "PostgreSQL at 127.0.0.1:5432 ",
		"postgres://127.0.0.1:1/x":                         "cannot reach PostgreSQL at 127.0.0.1:1",
		"postgres:///x?host=127.0.0.1&port=1":              "cannot reach PostgreSQL at 127.0.0.1:1",
		"postgres://u@?host=127.0.0.1&port=1&dbname=x":     "cannot reach PostgreSQL at 127.0.0.1:1",
		"postgres://[::1]:1/x":                             "cannot reach PostgreSQL at [::1]:1",
	} {
		checkOpenError(t, url, want)
	}
}

func TestMariaDBIsASchemeToo(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		db := databasetest.Open(t, strings.Replace(databasetest.URL(t, kind), "mysql://", "mariadb://", 1))
		if db.Dialect().Name() != "mysql" {
			t.Errorf("the dialect is %s", db.Dialect().Name())
		}
		migrate(t, db)
	})
}

func TestOpenTellsAWrongPasswordFromAMissingDatabase(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		u, err := url.Parse(databasetest.URL(t, kind))
		if err != nil {
			t.Fatal(err)
		}
		missing := *u
		missing.Path = "/rollcall_missing"
		checkOpenError(t, missing.String(), `has no database "rollcall_missing": create it first`)
		stranger := *u
		stranger.User = url.UserPassword("rollcall_nobody", "s3cret")
		checkOpenError(t, stranger.String(), `the user "rollcall_nobody"`)
	})
}

func TestOpenGivesUpOnASilentServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() }) // after the parallel subtests
	for _, scheme := range []string{"mysql", "postgres"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			url := scheme + "://u:s3cret@" + silent.Addr().String() + "/x"
			began := time.Now()
			checkOpenError(t, url, "did not answer within 5s")
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := database.Open(ctx, url, database.Options{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("under a shorter deadline: %v", err)
			}
		})
	}
}

func TestOpenSaysWhenASQLiteFileCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	path := filepath.Join(t.TempDir(), "rollcall.db")
	databasetest.Open(t, "sqlite:"+path)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	checkOpenError(t, "sqlite:"+path, "cannot be written")
}

func TestASQLitePathMayHoldAnyCharacter(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "50% of #1 & more")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	db := databasetest.Open(t, "sqlite://"+filepath.Join(folder, "a b.db"))
	migrate(t, db)
	create(t, db, &model.User{Name: "Ada", Email: "ada"})
	if n := count(t, db, "users"); n != 1 {
		t.Errorf("%d users", n)
	}
	if _, err := os.Stat(filepath.Join(folder, "a b.db")); err != nil {
		t.Error(err)
	}
}

func checkOpenError(t *testing.T, url, want string) {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{})
	var open *database.OpenError
	switch {
	case err == nil:
		t.Errorf("%s was opened", url)
		_ = db.Close()
	case !errors.As(err, &open), !strings.Contains(err.Error(), want), strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: %v, want %q", url, err, want)
	case strings.Contains(fmt.Sprintf("%+v %#v", err, err), "cret"):
		t.Errorf("%s: the password is in %#v", url, err)
	}
}
