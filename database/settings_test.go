package database_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/model"
)

// hostileMySQL and hostilePostgres are servers' defaults under which every connection must be as it is elsewhere, by their names.
var hostileMySQL = map[string][]string{
	"gbk":                  {"init_connect = 'SET NAMES gbk'"},
	"big5":                 {"init_connect = 'SET NAMES big5'"},
	"sjis":                 {"init_connect = 'SET NAMES sjis'"},
	"gb18030 or cp932":     {"init_connect = 'SET NAMES cp932'"},
	"latin1":               {"character_set_server = latin1", "init_connect = 'SET NAMES latin1'"},
	"utf8mb3":              {"character_set_server = utf8mb3", "init_connect = 'SET NAMES utf8mb3'"},
	"results alone":        {"init_connect = 'SET character_set_results = latin1'"},
	"results in no one's":  {"init_connect = 'SET character_set_results = NULL'"},
	"server in gbk":        {"character_set_server = gbk"}, // also as clients begin, on MariaDB
	"ANSI":                 {"sql_mode = 'ANSI'"},
	"NO_BACKSLASH_ESCAPES": {"sql_mode = 'NO_BACKSLASH_ESCAPES'"},
	"no mode":              {"sql_mode = ''"},
	"all modes":            {"sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION,HIGH_NOT_PRECEDENCE'"},
	"autocommit":           {"autocommit = 0"},
	"chain":                {"completion_type = 'CHAIN'"},
	"release":              {"completion_type = 'RELEASE'"},
	"time zone":            {"time_zone = '+09:00'"},
	"isolation":            {"TRANSACTION ISOLATION LEVEL SERIALIZABLE"},
	"read only":            {"TRANSACTION READ ONLY"},
	"safe updates":         {"sql_safe_updates = 1"},
	"short lists":          {"sql_select_limit = 1"},
	"small joins":          {"max_join_size = 1", "sql_big_selects = 0"},
	"no foreign keys":      {"foreign_key_checks = 0", "unique_checks = 0"},
	"is null":              {"init_connect = 'SET sql_auto_is_null = 1'"},
	"short idleness":       {"wait_timeout = 1"},
	"short statements":     {"/*M! max_statement_time = 0.000001 */ /*!50720 max_execution_time = 1 */"},
	"no checks":            {"/*M! check_constraint_checks = 0 */ /*!50720 sql_mode = '' */"},
}

var hostilePostgres = map[string][]string{
	"LATIN1":          {"client_encoding = 'LATIN1'"},
	"SQL_ASCII":       {"client_encoding = 'SQL_ASCII'"},
	"SJIS":            {"client_encoding = 'SJIS'"},
	"strings":         {"standard_conforming_strings = off"},
	"time zone":       {"TimeZone = 'Asia/Tokyo'"},
	"dates":           {"DateStyle = 'German, DMY'"},
	"isolation":       {"default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on"},
	"short of time":   {"statement_timeout = 1000", "lock_timeout = 1000"},
	"short lock":      {"idle_in_transaction_session_timeout = 1000"}, // for as long as it migrates
	"everything else": {"extra_float_digits = -5", "bytea_output = 'escape'", "IntervalStyle = 'sql_standard'", "array_nulls = off"},
}

// texts are names as they must come back. The first is SQL where the server takes what is before the quote for one character.
var texts = []string{
	"中',concat(0x70776e6564,user()),null,now(),now()) -- x", "縗' OR 1=1 -- ", "ｿ\\', '", `"quoted" 'quoted' \ back\\slash \'`,
	strings.Repeat("é", 200), "😀 👩‍👩‍👧", "Zoë", "Ж中文\u00a0ª", "a\tb%_?$1",
}

func TestEveryConnectionIsTheSameWhateverTheServersDefaultsAre(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		t.Parallel()
		var flags []string
		if kind == "mariadb" { // MySQL has no such option anymore
			flags = append(flags, "--skip-character-set-client-handshake")
		}
		server := databasetest.Start(t, kind, flags...)
		admin := server.Admin()
		execute(t, admin, "CREATE USER plain@'%' IDENTIFIED BY ''", "GRANT ALL ON rollcall.* TO plain@'%'") // init_connect is not for root
		for _, name := range slices.Sorted(maps.Keys(hostileMySQL)) {
			t.Run(name, func(t *testing.T) {
				execute(t, admin, "DROP DATABASE rollcall")
				var undo []string
				for _, set := range hostileMySQL[name] {
					execute(t, admin, "SET GLOBAL "+set)
					variable, _, _ := strings.Cut(set, " = ")
					undo = append(undo, "SET GLOBAL "+variable+" = DEFAULT")
				}
				defer func() {
					for _, statement := range append(undo, "SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
						"SET GLOBAL /*M! max_statement_time = 0, check_constraint_checks = 1 */ /*!50720 max_execution_time = 0 */") {
						_, _ = admin.ExecContext(context.Background(), statement) // not all have DEFAULT
					}
				}()
				execute(t, admin, "CREATE DATABASE rollcall") // in the character set that is the server's by now
				u := parse(t, server.URL)
				u.User = url.User("plain")
				alike(t, u.String(), func(t *testing.T, id int64) (bytes string) {
					return one(t, admin, fmt.Sprintf("SELECT HEX(name) FROM rollcall.users WHERE id = %d", id))
				})
			})
		}
	})
	databasetest.EachOf(t, "postgres", func(t *testing.T, _ string) {
		for _, name := range slices.Sorted(maps.Keys(hostilePostgres)) {
			for _, of := range []string{"DATABASE", "ROLE"} {
				t.Run(name+" of the "+strings.ToLower(of), func(t *testing.T) {
					raw, admin, role := ownPostgres(t)
					where := map[string]string{"DATABASE": "DATABASE " + strings.TrimPrefix(raw.Path, "/"), "ROLE": "ROLE " + role}[of]
					for _, set := range hostilePostgres[name] {
						execute(t, admin, "ALTER "+where+" SET "+set)
					}
					alike(t, raw.String(), func(t *testing.T, id int64) (bytes string) {
						return one(t, admin, fmt.Sprintf("SELECT upper(encode(convert_to(name, 'UTF8'), 'hex')) FROM users WHERE id = %d", id))
					})
				})
			}
		}
	})
}

// alike checks that a database is what it is everywhere. stored returns the bytes that it has for a user's name, in hexadecimal.
func alike(t *testing.T, url string, stored func(t *testing.T, id int64) string) {
	t.Helper()
	const deadline = 7 * time.Second
	db := databasetest.Open(t, url, database.Options{PoolSize: 2, Deadline: deadline})
	migrate(t, db)
	checkSettings(t, db, deadline)
	for i, text := range texts {
		user := model.User{Name: text, Email: fmt.Sprint(i)}
		create(t, db, &user)
		for name, pool := range map[string]*gorm.DB{"write": db.Write, "read": db.Read} {
			var found []model.User
			if err := pool.Where("name = ? AND id = ?", text, user.ID).Find(&found).Error; err != nil || len(found) != 1 || found[0].Name != text {
				t.Errorf("%s: %q came back as %+v, %v", name, text, found, err)
			}
		}
		if got, want := stored(t, user.ID), fmt.Sprintf("%X", text); got != want {
			t.Errorf("%q is stored as %s, want %s", text, got, want)
		}
	}
	var all []model.User
	if err := db.Read.Order("id").Find(&all).Error; err != nil || len(all) != len(texts) {
		t.Errorf("%d users were read, %v", len(all), err)
	}
	// What the side pool writes is committed: others see it.
	if _, err := db.Side.ExecContext(t.Context(), "UPDATE users SET name = 'side'"); err != nil {
		t.Error(err)
	}
	if got := stored(t, all[0].ID); got != fmt.Sprintf("%X", "side") {
		t.Errorf("what was written has not come to others: %s", got)
	}
	nobody := int64(1 << 40)
	if err := db.Write.Create(&model.User{Name: "x", Email: "x", ManagerID: &nobody}).Error; err == nil {
		t.Error("a manager who does not exist was taken")
	}
	if err := db.Write.Create(&model.User{Name: "x", Email: strings.Repeat("x", 321)}).Error; err == nil {
		t.Error("a text that is too long was taken")
	}
}

// checkSettings reads from the server itself how connections of every pool are set.
func checkSettings(t *testing.T, db *database.Database, deadline time.Duration) {
	t.Helper()
	pools := db.Pools()
	err := db.Maintain(t.Context(), func(pool *sql.DB) error {
		pools["maintenance"] = pool
		for name, pool := range pools {
			query, want := "SHOW SESSION VARIABLES", maps.Clone(wantMySQL)
			if db.Dialect().Name() == "postgres" {
				query, want = "SELECT name, setting FROM pg_settings", maps.Clone(wantPostgres)
			}
			got := variables(t, pool, query)
			switch dialect := db.Dialect().Name(); {
			case name == "read" && dialect == "postgres":
				want["transaction_read_only"] = "on"
				want["statement_timeout"] = fmt.Sprint(deadline.Milliseconds())
			case name == "read":
				want["tx_read_only"], want["transaction_read_only"] = "ON", "ON"
				want["max_statement_time"], want["max_execution_time"] = fmt.Sprintf("%.6f", deadline.Seconds()), fmt.Sprint(deadline.Milliseconds())
			case name == "maintenance" && dialect == "postgres":
				want["lock_timeout"], want["idle_in_transaction_session_timeout"] = "0", "0"
			}
			for variable, value := range want {
				if have, known := got[variable]; have != value && (known || db.Dialect().Name() == "postgres") { // two are called so or otherwise
					t.Errorf("%s: %s is %q, want %q", name, variable, have, value)
				}
			}
			if isolation := cmp.Or(got["tx_isolation"], got["transaction_isolation"]); strings.ToUpper(strings.ReplaceAll(isolation, " ", "-")) != "READ-COMMITTED" {
				t.Errorf("%s: the isolation is %q", name, isolation)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// variables reads names and their values.
func variables(t *testing.T, pool *sql.DB, query string) map[string]string {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), query)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = rows.Close() }()
	all := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Error(err)
		}
		all[name] = value
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	return all
}

var wantMySQL = map[string]string{
	"character_set_client": "utf8mb4", "character_set_connection": "utf8mb4", "character_set_results": "utf8mb4",
	"collation_connection": "utf8mb4_bin", "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", "autocommit": "ON",
	"completion_type": "NO_CHAIN", "time_zone": "+00:00", "foreign_key_checks": "ON", "unique_checks": "ON", "check_constraint_checks": "ON",
	"sql_select_limit": "18446744073709551615", "sql_big_selects": "ON", "sql_safe_updates": "OFF", "optimizer_search_depth": "4", "sql_auto_is_null": "OFF",
	"wait_timeout": "5400", "tx_read_only": "OFF", "transaction_read_only": "OFF", "max_statement_time": "0.000000", "max_execution_time": "0",
}

var wantPostgres = map[string]string{
	"client_encoding": "UTF8", "server_encoding": "UTF8", "standard_conforming_strings": "on", "TimeZone": "UTC", "DateStyle": "ISO, YMD",
	"transaction_read_only": "off", "transaction_deferrable": "off", "statement_timeout": "0", "session_replication_role": "origin",
}

func TestADatabaseThatCannotKeepEveryTextIsRefused(t *testing.T) {
	databasetest.EachOf(t, "postgres", func(t *testing.T, _ string) {
		for _, encoding := range []string{"LATIN1", "SQL_ASCII", "EUC_JP"} {
			t.Run(encoding, func(t *testing.T) {
				raw, admin, _ := ownPostgres(t)
				name := strings.TrimPrefix(raw.Path, "/") + "_e"
				execute(t, admin, "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LOCALE 'C' TEMPLATE template0")
				t.Cleanup(func() { _, _ = admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
				raw.Path += "_e"
				checkOpenError(t, raw.String(), "has the encoding "+encoding+", which cannot keep every text: create one with ENCODING 'UTF8'")
			})
		}
		t.Run("foreign keys are not checked", func(t *testing.T) {
			raw, admin, _ := ownPostgres(t)
			execute(t, admin, "ALTER DATABASE "+strings.TrimPrefix(raw.Path, "/")+" SET session_replication_role = replica")
			checkOpenError(t, raw.String(), "does not let a connection have the settings that it needs, which are now session_replication_role = replica")
		})
	})
}

func TestAConnectionThatDoesNotKeepItsSettingsIsRefused(t *testing.T) {
	databasetest.EachOf(t, "mysql", func(t *testing.T, kind string) {
		err := database.ConnectDeaf(t.Context(), databasetest.URL(t, kind))
		if _, ok := errors.AsType[*database.OpenError](err); !ok {
			t.Fatal(err)
		}
		for _, want := range []string{"does not let a connection have the settings that it needs", "collation_connection = 'utf8mb4_general_ci'", "time_zone = 'SYSTEM'"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}

// ownPostgres returns the URL of a new database for a new role that owns it, connections of the administrator to it, and the role.
func ownPostgres(t *testing.T) (u *url.URL, admin *sql.DB, role string) {
	t.Helper()
	u = parse(t, databasetest.URL(t, "postgres"))
	admin, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	name := strings.TrimPrefix(u.Path, "/")
	role = strings.Replace(name, "test", "role", 1)
	execute(t, admin, "CREATE ROLE "+role+" LOGIN", "ALTER DATABASE "+name+" OWNER TO "+role)
	t.Cleanup(func() {
		for _, statement := range []string{
			"ALTER DATABASE " + name + " OWNER TO CURRENT_USER", "REASSIGN OWNED BY " + role + " TO CURRENT_USER",
			"DROP OWNED BY " + role, "DROP ROLE " + role,
		} {
			if _, err := admin.ExecContext(context.Background(), statement); err != nil {
				t.Error(err)
			}
		}
	})
	u.User = url.User(role)
	return u, admin, role
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func one(t *testing.T, db *sql.DB, query string) (value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return value
}
