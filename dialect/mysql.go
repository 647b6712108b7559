package dialect

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"

	driverMySQL "github.com/go-sql-driver/mysql"
)

type mysql struct{ standard }

func (mysql) Name() string { return "mysql" }

// System asks the server, since a URL does not say which of the two it is.
func (mysql) System(ctx context.Context, pool *sql.DB) (system string, err error) {
	err = pool.QueryRowContext(ctx, "SELECT IF(VERSION() LIKE '%MariaDB%', 'mariadb', 'mysql')").Scan(&system)
	return system, err
}

// UnlessStored avoids INSERT IGNORE, which hides other errors.
func (mysql) UnlessStored(column string) string {
	return fmt.Sprintf("ON DUPLICATE KEY UPDATE %[1]s = %[1]s", column)
}

// IfNew counts, since a row that stays as it was is one affected row too where the driver has ClientFoundRows; one that changes is two.
func (mysql) IfNew(_, counter string) string {
	return fmt.Sprintf("ON DUPLICATE KEY UPDATE %[1]s = %[1]s + 1", counter)
}

// DeleteBy has the form with which MariaDB and MySQL both take the name of an index. For most rows of a small table they would take none.
func (mysql) DeleteBy(table, index string) string {
	return fmt.Sprintf("DELETE %[1]s FROM %[1]s FORCE INDEX (%[2]s)", table, index)
}

func (mysql) Bytes() string { return "mediumblob" }

func (mysql) Created() string { return "datetime(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))" }

func (mysql) TableOptions() string {
	return " ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin"
}

// CommitsImplicitly knows https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html
func (mysql) CommitsImplicitly(first, second string) bool {
	switch first {
	case "ALTER", "CREATE", "DROP", "GRANT", "LOCK", "RENAME", "REVOKE", "TRUNCATE", "UNLOCK":
		return !strings.EqualFold(second, "TEMPORARY")
	}
	return false
}

// mysqlNode names a server, well enough to distinguish it from others behind the same address.
const mysqlNode = "CONCAT_WS(' ', @@hostname, @@port, @@server_id)"

// Locate has a connection take a lock under a random name. Such locks are local to a server, so that it alone finds its
// holder, and a pooler keeps the connection for the client that has one. Where they are forbidden, as in some clusters, nothing
// is killed.
func (mysql) Locate(ctx context.Context, conn *sql.Conn) (Handle, error) {
	lock := "session " + rand.Text()
	var got sql.NullInt64
	var node string
	err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT GET_LOCK('%s', 0), %s", lock, mysqlNode)).Scan(&got, &node)
	if m := MeaningOf(err); m.Number != "" && !m.Is(Lost|Interrupted) || err == nil && got.Int64 != 1 {
		return Handle{}, nil
	}
	return Handle{kill: fmt.Sprintf("KILL IS_USED_LOCK('%s')", lock), node: node}, err
}

// mysqlErrors has the numbers of MySQL and MariaDB: https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html,
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
var mysqlErrors = meanings(
	// Conflicts. After these the server has ended the transaction; 1205 ends a statement, and is treated the same.
	numbers{"1213 3101", Transient | NotStored, FaultBusy}, // deadlock, Galera's certification too; a group's certification
	numbers{"1020", Transient, FaultBusy},                  // record has changed since last read
	numbers{"1205", Transient | Waited, FaultBusy},         // lock wait timeout

	// What another connection may do.
	numbers{"1047 3032 3168", Misplaced, FaultNotReady}, // Galera not ready, offline mode, not available
	numbers{"1180 3100", Outdated, FaultNotReady},       // failure of COMMIT, failure of a replication hook, both at COMMIT
	// Table, option (of these only the read-only ones are about our statements), transaction, mode, recovery, schema.
	numbers{"1036 1290 1792 1836 1881 3989", ReadOnly | Misplaced, FaultReadOnly},
	numbers{"1598 1665", Misplaced, FaultUnlogged}, // nothing is logged; binlog_format=STATEMENT when the connection was opened

	// Rights, some of which a connection has from when it was opened.
	numbers{"1045 1698", Barred | Outdated, FaultDenied},            // the password
	numbers{"1044", Barred | NoRight | Outdated, FaultDenied},       // the database
	numbers{"1142 1143 1227 1370", NoRight | Outdated, FaultDenied}, // the table, the column, the operation, the routine
	numbers{"1820 1862 3118 4151", Outdated, FaultDenied},           // the password has expired, the account is locked
	numbers{"1049", NoDatabase, FaultMissing},                       // unknown database
	numbers{"1046 1146 1932", 0, FaultMissing},                      // no database, no table, not in the engine
	numbers{"1969 3024", OverTime, ""},                              // MariaDB's, MySQL's
	numbers{"1317", Interrupted, ""},                                // KILL QUERY, or KILL while a statement runs
	numbers{"1053 1927 3169 4031", Lost, FaultUnreachable},          // shutdown, killed, killed, disconnected
	numbers{"1077 1079 1152 1184", Lost, FaultUnreachable},          // shutdown, shutdown, aborted, aborted
	numbers{"1158 1159 1160 1161", Lost, FaultUnreachable},          // the network's, upon which the server closes the connection
	numbers{"1037 1038 1040 1041 1135 1206 1297", 0, FaultBusy},     // memory, connections, threads, locks
	numbers{"1129 1130 1203 1226", 0, FaultBusy},                    // the host's errors, a user's limits
	numbers{"1021 1114", 0, FaultFull},                              // disk, table
	numbers{"1033 1034 1035 1194 1195 1712", 0, FaultDamaged},       // a table's or an index's file
	numbers{"1062 1586", Unique, ""},                                // ER_DUP_ENTRY, ER_DUP_ENTRY_WITH_KEY_NAME
	numbers{"1060 1061 1826 3822", Exists, ""},                      // ER_DUP_FIELDNAME, ER_DUP_KEYNAME, ER_FK_DUP_NAME, ER_CHECK_CONSTRAINT_DUP_NAME
	numbers{"1216 1217 1451 1452", ForeignKey, ""},                  // ER_NO_REFERENCED_ROW, ER_ROW_IS_REFERENCED, and both _2
	numbers{"1094", NoConnection, ""},                               // ER_NO_SUCH_THREAD
)

// ErrOutsideCluster is what a node of Galera's that has lost its cluster says of most statements.
var ErrOutsideCluster error = &driverMySQL.MySQLError{Number: 1047, Message: "the node is outside the primary component of its cluster"}

// mysqlConstraint takes the key from "Duplicate entry '…' for key '…'", where MySQL, and not MariaDB,
// puts the table before it. It reads from the end, since the entry is a user's text.
func mysqlConstraint(text string) string {
	quoted := strings.Split(text, "'")
	if len(quoted) < 3 {
		return ""
	}
	key := quoted[len(quoted)-2]
	return key[strings.LastIndex(key, ".")+1:]
}
