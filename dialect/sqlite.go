package dialect

import (
	"context"
	"database/sql"
)

type sqlite struct{ standard }

func (sqlite) Name() string { return "sqlite" }

func (sqlite) System(context.Context, *sql.DB) (string, error) { return "sqlite", nil }

func (sqlite) Embedded() bool { return true }

func (sqlite) ForUpdate() string { return "" }

func (sqlite) ForNoKeyUpdate() string { return "" }

func (sqlite) Created() string {
	return "datetime NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))"
}

// Snapshot has no isolation level, which the driver does not take: every read transaction sees one state.
func (sqlite) Snapshot() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

// RolledBack tries BEGIN, which fails in a transaction. SQLite rolls back for ON CONFLICT ROLLBACK, a full disk or an interrupted
// write (https://sqlite.org/lang_transaction.html), and its error does not always say so.
func (sqlite) RolledBack(ctx context.Context, tx *sql.Tx) bool {
	_, err := tx.ExecContext(ctx, "BEGIN")
	return err == nil
}

// Prepares is true, as most of the work of a small statement is to parse it.
func (sqlite) Prepares() bool { return true }

// sqliteErrors has the result codes, extended ones before the primary ones that they belong to: https://sqlite.org/rescode.html
var sqliteErrors = meanings(
	numbers{"5", Transient | Waited | NotStored, FaultBusy}, // busy
	numbers{"6", Transient | NotStored, FaultBusy},          // locked
	numbers{"7 15", 0, FaultBusy},                           // no memory; locking protocol
	numbers{"8", ReadOnly | NotStored, FaultReadOnly},       // read-only: so is the file on every other connection
	numbers{"13", NotStored, FaultFull},                     // full
	numbers{"10", 0, FaultFile},                             // I/O
	numbers{"778", NotStored, FaultFile},                    // I/O, a write: as a disk that is full is told; what was written is no whole commit
	numbers{"3 14", Barred, FaultFile},                      // permission; cannot open
	numbers{"11 26", 0, FaultDamaged},                       // corrupt; not a database
	numbers{"19", NotStored, ""},                            // constraint
	numbers{"1555 2067", Unique | NotStored, ""},            // primary key, unique
	numbers{"787 1811", ForeignKey | NotStored, ""},         // foreign key, and a trigger, as which RESTRICT works
)
