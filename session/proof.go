package session

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"rollcall/dialect"
)

// Proof lets the fate of a Write be known when the connection is lost at COMMIT, where the driver cannot know
// whether the server stored the transaction. Each transaction inserts the id of its attempt last, under a
// unique key. To find out, the same id is inserted as a tombstone from a connection elsewhere, unless it is there:
// then the transaction was committed, else it never will be.
type Proof struct {
	// DB is the pool for tombstones. It must not be the pool of the transactions: these would wait for
	// each other. It must lead to the server that these lead to, or to one that takes part in its commits: no replica.
	DB *sql.DB
	// Dialect is DB's. An embedded database, whose COMMIT cannot be lost, needs no proof.
	Dialect dialect.Dialect
	// Within is how long a Write may wait for its outcome; 5 seconds where it is 0.
	Within time.Duration
	// Keep is how long ids are kept, far longer than any COMMIT may take; a day where it is 0. It is the same in
	// every process at one database.
	Keep time.Duration
}

// Outcome is what became of a Write.
type Outcome int

// The outcomes.
const (
	Unknown   Outcome = iota // it cannot be told now
	Committed                // it is stored
	Aborted                  // nothing of it is stored, or ever will be; if it ran without a proof, this is not known
	Expired                  // it is too long ago to be told
)

// The states of a row.
const (
	stateAborted   = 0 // a tombstone
	stateCommitted = 1
)

// ProofTable returns the statement that creates the table session_operations, which the application's migrations are to run.
// Nothing in it is left to the server's defaults, least of all whether the table is transactional.
func ProofTable(d dialect.Dialect) string {
	return fmt.Sprintf(`CREATE TABLE session_operations (
    id varchar(64) NOT NULL PRIMARY KEY,
    state smallint NOT NULL,
    created_at %s
)%s`, d.Created(), d.TableOptions())
}

func (p *Proof) keep() time.Duration { return cmp.Or(p.Keep, 24*time.Hour) }

// insertState takes an id and its state.
const insertState = "INSERT INTO session_operations (id, state) VALUES (?, ?)"

// insert marks an attempt as committed, from within its transaction.
func (p *Proof) insert(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, p.Dialect.Rebind(insertState), id, stateCommitted)
	return err
}

// Outcome reports what became of the attempt with an id, as OutcomeUnknownError has it. An attempt that is
// not known to have been committed never will be once Outcome has returned Aborted. The error says why
// the outcome is Unknown; it is ErrNoOperation for an id that cannot be one.
func (p *Proof) Outcome(ctx context.Context, id string) (Outcome, error) {
	made, ok := IDTime(id)
	switch age := time.Since(made); {
	case !ok || age < -time.Minute:
		return Unknown, ErrNoOperation
	case age > p.keep():
		return Expired, nil
	}
	return p.resolve(ctx, id)
}

// resolve tries to learn an outcome until ctx ends, or the time of a Write is up.
func (p *Proof) resolve(ctx context.Context, id string) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Within, 5*time.Second))
	defer cancel()
	for {
		outcome, err := p.try(ctx, id)
		if err == nil {
			return outcome, nil
		}
		select {
		case <-ctx.Done():
			return Unknown, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// try stores a tombstone, unless the id is stored, and returns which it found. It waits for the attempt's transaction, if
// that is still open, and for others that ask. Whatever the connection's own settings are, nothing is reported that is not
// committed, and nothing overlooked that is. Where a COMMIT waits for a standby, so does this one.
func (p *Proof) try(ctx context.Context, id string) (Outcome, error) {
	tx, err := p.DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return Unknown, err
	}
	defer func() { _ = tx.Rollback() }()
	tombstone := p.Dialect.Rebind(insertState + " " + p.Dialect.UnlessStored("id"))
	if _, err := tx.ExecContext(ctx, tombstone, id, stateAborted); err != nil {
		return Unknown, err
	}
	var state int
	if err := tx.QueryRowContext(ctx, p.Dialect.Rebind("SELECT state FROM session_operations WHERE id = ?"), id).Scan(&state); err != nil {
		return Unknown, err
	}
	if state == stateCommitted { // others see it before the standby has it, and only the COMMIT of what has written waits for that
		if _, err := tx.ExecContext(ctx, p.Dialect.Rebind("UPDATE session_operations SET state = state WHERE id = ?"), id); err != nil {
			return Unknown, err
		}
	}
	if err := tx.Commit(); err != nil {
		return Unknown, err
	}
	if state == stateCommitted {
		return Committed, nil
	}
	return Aborted, nil
}

// clocks is by how much the clocks of two processes may differ. An id that was swept while Outcome still answers for
// it would be taken for one that was never stored.
const clocks = time.Hour

// Sweep deletes the ids that are older than Keep, by an hour in which clocks may differ, and returns how many
// there were. The ids themselves hold when they were made, so that neither the database's clock nor a time zone matters.
func (p *Proof) Sweep(ctx context.Context) (int64, error) {
	tx, err := p.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	oldest := firstID(time.Now().Add(-p.keep() - clocks))
	result, err := tx.ExecContext(ctx, p.Dialect.Rebind("DELETE FROM session_operations WHERE id < ?"), oldest)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// SweepEvery sweeps at an interval until ctx ends. Failures go to report.
func (p *Proof) SweepEvery(ctx context.Context, interval time.Duration, report func(error)) {
	Every(ctx, interval, p.Sweep, report)
}

// Every sweeps, at once and then at an interval, until ctx ends. Failures go to report.
func Every[N any](ctx context.Context, interval time.Duration, sweep func(context.Context) (N, error), report func(error)) {
	for tick := time.Tick(interval); ; {
		if _, err := sweep(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}
