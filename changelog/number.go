package changelog

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/keyset"
)

// numberer gives positions to changes that were committed without. It works when it is woken, and never twice at a time.
type numberer struct {
	mu       sync.Mutex
	working  bool
	asked    int64         // how often it was woken
	answered int64         // how many of these a pass that began later has answered
	passed   chan struct{} // closed when a pass has ended; nil: nobody waits
	hurry    chan struct{} // ends the pause between two passes
	after    []func()      // what runs when positions were given
}

const (
	passEvery = 20 * time.Millisecond // from beginning to beginning, so that a pass numbers what many mutations have committed
	minPause  = time.Millisecond
	passFor   = 10 * time.Second // how long one may take
	maxPass   = 10_000           // rows that one looks at, if that is enough for one operation
	maxChunk  = 1000             // rows after which it commits, at the end of an operation
	maxCase   = 250              // rows that one statement changes

	maxFailures = 10 // passes in a row that fail, until the next wake
)

// Wake has the numberer look for changes without positions. It returns at once.
func (l *Log) Wake() {
	n := &l.numberer
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	l.begin()
}

// begin has the numberer work, if it does not. The caller holds mu.
func (l *Log) begin() {
	if n := &l.numberer; !n.working && l.DB != nil {
		n.working, n.hurry = true, make(chan struct{}, 1)
		go l.work(n.hurry)
	}
}

// OnNumbered has fn run whenever this process has given positions. It must be quick.
func (l *Log) OnNumbered(fn func()) {
	l.numberer.mu.Lock()
	defer l.numberer.mu.Unlock()
	l.numberer.after = append(l.numberer.after, fn)
}

var errUnsettled = errors.New("changelog: committed changes could not be given their positions, for now")

// Settle waits until what this process has committed has its positions, so that who reads the log then sees it. The error says that this has failed for now.
func (l *Log) Settle(ctx context.Context) error {
	n := &l.numberer
	n.mu.Lock()
	asked := n.asked
	if n.answered < asked {
		l.begin() // it may have given up
	}
	n.mu.Unlock()
	for {
		n.mu.Lock()
		if n.answered >= asked || !n.working {
			settled := n.answered >= asked || l.DB == nil // others number
			n.mu.Unlock()
			if !settled {
				return errUnsettled
			}
			return nil
		}
		if n.passed == nil {
			n.passed = make(chan struct{})
		}
		passed := n.passed
		select {
		case n.hurry <- struct{}{}:
		default:
		}
		n.mu.Unlock()
		select {
		case <-passed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// SettleAll is Settle for what others have committed, too: it takes a pass of its own.
func (l *Log) SettleAll(ctx context.Context) error {
	l.Wake()
	return l.Settle(ctx)
}

// settleFor bounds how long a reader waits for positions while nobody can give them.
const settleFor = time.Second

// Settled has the log read once what this process has committed has its positions, and again, once others' changes have theirs, if read finds that some had
// none. late reports that they had not got them within a second.
func (l *Log) Settled(ctx context.Context, read func() (unnumbered bool, err error)) (late bool, err error) {
	settling, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	late = l.Settle(settling) != nil
	if unnumbered, err := read(); err != nil || !unnumbered {
		return late, err
	}
	late = l.SettleAll(settling) != nil
	_, err = read()
	return late, err
}

// work numbers until it was not woken again during a pause.
func (l *Log) work(hurry <-chan struct{}) {
	n := &l.numberer
	for failures := 0; ; {
		began := time.Now()
		asked, err := l.pass()
		pause, hurried := max(passEvery-time.Since(began), minPause), hurry
		if err != nil {
			failures++
			pause, hurried = passEvery+rand.N(time.Millisecond<<min(failures, 9)), nil // others may be in the way
		} else {
			failures = 0
		}
		select {
		case <-time.After(pause):
		case <-hurried:
		}
		n.mu.Lock()
		if n.working = n.asked > asked || 0 < failures && failures <= maxFailures; !n.working {
			n.tell()
			n.mu.Unlock()
			if err != nil {
				l.logger().Warn("changes have no positions yet: the next mutation, or another server, will try again", "error", err)
			}
			return
		}
		n.mu.Unlock()
	}
}

// pass numbers once. It returns how often the numberer had been woken when it began.
func (l *Log) pass() (asked int64, err error) {
	n := &l.numberer
	n.mu.Lock()
	asked, after := n.asked, n.after
	n.mu.Unlock()
	given := true // in order, by the mutations
	if !l.inOrder(l.Dialect) {
		ctx, cancel := context.WithTimeout(context.Background(), passFor)
		defer cancel()
		var numbered int
		numbered, err = l.number(ctx)
		given = numbered > 0
	}
	if given {
		for _, fn := range after {
			fn()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.answered = asked
	}
	n.tell()
	return asked, err
}

// tell wakes those that wait for a pass. The caller holds mu.
func (n *numberer) tell() {
	if n.passed != nil {
		close(n.passed)
		n.passed = nil
	}
}

// number gives positions to the committed changes that have none, and returns how many there were. The changes of an operation follow each other;
// operations come in the order of their first rows. So an operation that has seen what another one has changed comes
// later: its rows were all inserted after the other was committed, and have greater numbers. (A cluster's nodes give greater
// numbers than those that have come from others.) Two servers wait for each other at the clock; on two nodes one of them fails
// and tries again.
func (l *Log) number(ctx context.Context) (total int, err error) {
	for {
		n, more, err := l.numberSome(ctx)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
}

// unnumbered is a change without a position.
type unnumbered struct {
	id        int64
	operation string
	ends      bool
}

// numberSome numbers some operations in one transaction. more says that there are others.
func (l *Log) numberSome(ctx context.Context) (n int, more bool, err error) {
	tx, err := l.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, false, err
	}
	defer func() {
		if failed := tx.Rollback(); failed != nil && !errors.Is(failed, sql.ErrTxDone) {
			err = errors.Join(err, failed)
		}
	}()
	var position int64
	if err := tx.QueryRowContext(ctx, "SELECT position FROM changes_clock WHERE id = 1"+l.Dialect.ForUpdate()).Scan(&position); err != nil {
		return 0, false, err
	}
	var rows []unnumbered
	for limit := maxPass; ; limit *= 2 { // until the first operation is there as a whole
		all, err := readUnnumbered(ctx, tx, limit)
		if err != nil {
			return 0, false, err
		}
		if rows, more = inOperations(all, len(all) == limit); len(rows) > 0 || len(all) < limit {
			break
		}
	}
	if len(rows) == 0 {
		return 0, false, nil
	}
	for chunk := range slices.Chunk(rows, maxCase) {
		if err := l.give(ctx, tx, chunk); err != nil {
			return 0, false, err
		}
	}
	return len(rows), more, tx.Commit()
}

func readUnnumbered(ctx context.Context, tx *sql.Tx, limit int) (all []unnumbered, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, operation_id, ends_operation FROM changes WHERE position IS NULL ORDER BY id LIMIT "+strconv.Itoa(limit))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var one unnumbered
		if err := rows.Scan(&one.id, &one.operation, &one.ends); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// inOperations puts the changes of each operation behind each other, in the order of the operations' first ones, and returns those of a
// chunk. If there may be more rows than these, operations whose last row is not among them are left out.
func inOperations(rows []unnumbered, perhapsMore bool) (chunk []unnumbered, more bool) {
	byOperation := map[string][]unnumbered{}
	var order []string
	for _, row := range rows {
		if len(byOperation[row.operation]) == 0 {
			order = append(order, row.operation)
		}
		byOperation[row.operation] = append(byOperation[row.operation], row)
	}
	for i, operation := range order {
		all := byOperation[operation]
		if perhapsMore && !all[len(all)-1].ends {
			continue
		}
		if chunk = append(chunk, all...); len(chunk) >= maxChunk && i < len(order)-1 {
			return chunk, true
		}
	}
	return chunk, perhapsMore
}

// give gives the next positions to some changes, in their order.
func (l *Log) give(ctx context.Context, tx *sql.Tx, rows []unnumbered) error {
	var text strings.Builder
	text.WriteString("UPDATE changes SET position = (SELECT k.position FROM changes_clock k WHERE k.id = 1) + CASE id")
	args := make([]any, 0, 2*len(rows))
	for i, row := range rows {
		text.WriteString(" WHEN ? THEN " + strconv.Itoa(i+1))
		args = append(args, row.id)
	}
	text.WriteString(" END WHERE id IN (" + keyset.Marks(len(rows)) + ")")
	args = append(args, args...)
	if _, err := tx.ExecContext(ctx, l.Dialect.Rebind(text.String()), args...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, l.Dialect.Rebind("UPDATE changes_clock SET position = position + ?, operation_id = ? WHERE id = 1"), len(rows), rows[len(rows)-1].operation)
	return err
}
