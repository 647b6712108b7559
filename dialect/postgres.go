package dialect

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

type postgres struct{ standard }

// ForNoKeyUpdate lets foreign keys refer to the rows, whose check FOR UPDATE would have wait.
func (postgres) ForNoKeyUpdate() string { return " FOR NO KEY UPDATE" }

func (postgres) Name() string { return "postgres" }

func (postgres) System(context.Context, *sql.DB) (string, error) { return "postgresql", nil }

func (postgres) Rebind(query string) string {
	b := make([]byte, 0, len(query)+len(query)/2)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b = append(b, before...)
		if !found {
			return string(b)
		}
		b = strconv.AppendInt(append(b, '$'), int64(n), 10)
		query = after
	}
}

// NextIDs takes them from the table's sequence.
func (postgres) NextIDs(table string, n int) string {
	return fmt.Sprintf("SELECT nextval(pg_get_serial_sequence('%s', 'id')) FROM generate_series(1, %d)", table, n)
}

// AfterIDs moves the table's sequence, which rows with explicit ids leave behind.
func (postgres) AfterIDs(table string) string {
	return "SELECT setval(pg_get_serial_sequence('" + table + "', 'id'), (SELECT max(id) FROM " + table + "))"
}

// Analyze does at once what autovacuum does within a minute or more, or never where it is off.
func (postgres) Analyze(table string) string { return "ANALYZE " + table }

func (postgres) Bytes() string { return "bytea" }

func (postgres) Created() string { return "timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)" }

// Locate finds a connection by its server process and when that began, as the system may give a process's number
// again. Behind a pooler, where it differs from the number that the client was given, the process may be another client's by then.
func (postgres) Locate(ctx context.Context, conn *sql.Conn) (Handle, error) {
	var pid, given uint32
	var kill string
	err := conn.QueryRowContext(ctx, `SELECT pid, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ' || pid ||
		' AND extract(epoch FROM backend_start) = ' || extract(epoch FROM backend_start)
		FROM pg_stat_activity WHERE pid = pg_backend_pid()`).Scan(&pid, &kill)
	if err != nil {
		return Handle{}, err
	}
	err = conn.Raw(func(c any) error {
		if direct, ok := c.(pgxConn); ok {
			given = direct.Conn().PgConn().PID()
		}
		return nil
	})
	if given != pid {
		return Handle{unlabelled: true}, err
	}
	return Handle{kill: kill}, err
}

// pgxConn is a connection of pgx's for database/sql.
type pgxConn interface{ Conn() *pgx.Conn }

// postgresErrors has SQLSTATEs, some with the server's routine, before the classes of SQLSTATEs that they belong to:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
var postgresErrors = meanings(
	numbers{"40001 40P01", Transient | NotStored, FaultBusy},    // serialization failure, deadlock
	numbers{"55P03", Transient | Waited, FaultBusy},             // lock not available
	numbers{"22 23 40 P0", NotStored, ""},                       // what is deferred has failed: data, constraint, PL/pgSQL; rolled back
	numbers{"40003", Lost, ""},                                  // statement completion unknown
	numbers{"23505", Unique | NotStored, ""},                    // unique violation
	numbers{"23503 23001", ForeignKey | NotStored, ""},          // foreign key, and as of PostgreSQL 18 RESTRICT
	numbers{"25006", ReadOnly | Misplaced, FaultReadOnly},       // read-only transaction
	numbers{"26000 0A000:RevalidateCachedQuery", Misplaced, ""}, // no such prepared statement; it returns other types than then
	numbers{"57014", Cancelled, ""},                             // query cancelled
	numbers{"08 57P", Lost, FaultUnreachable},                   // connection; shutdown, crash
	numbers{"57P03", Lost | Outdated, FaultNotReady},            // starting, shutting down or recovering
	numbers{"57P04", Lost, FaultMissing},                        // the database was dropped
	numbers{"55000", Outdated, FaultNotReady},                   // the database accepts no connections
	numbers{"28000 28P01", Barred, FaultDenied},                 // login, password
	numbers{"42501", Barred | NoRight, FaultDenied},             // privilege
	numbers{"3D000", NoDatabase, FaultMissing},                  // unknown database
	numbers{"3F000 42P01", 0, FaultMissing},                     // no schema, no table
	numbers{"53", 0, FaultBusy},                                 // memory, locks, connections
	numbers{"53100", 0, FaultFull},                              // disk
	numbers{"58030", 0, FaultFile},                              // I/O
	numbers{"XX001 XX002", 0, FaultDamaged},                     // data, index
)
