package sessiontest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/dialect"
	"rollcall/operation"
	"rollcall/session"
)

// proving: promise 13.
var proving = []promise{
	{name: "200 cuts at COMMIT and no wrong answer", test: cutCommits, absent: cannotBeCut},
	{name: "An error at COMMIT is a refusal only if nothing can have been stored", test: errorsAtCommit, absent: cannotBeCut},
	{name: "Without a proof an error at COMMIT that is no refusal answers OUTCOME_UNKNOWN", test: errorsWithoutProof, absent: cannotBeCut},
	{name: "A transaction that the server has left open is never stored by whoever gets its connection", test: leftOpen, absent: cannotBeCut},
	{name: "A lost COMMIT whose outcome cannot be had in time answers OUTCOME_UNKNOWN, and its id tells later that it was aborted", test: unknownThenAborted, absent: cannotBeCut},
	{name: "A lost COMMIT whose outcome cannot be had in time answers OUTCOME_UNKNOWN, and its id tells later that it was committed", test: unknownThenCommitted, absent: cannotBeCut},
	{name: "A transaction whose COMMIT was lost is ended on a server that does not notice", test: cutUnnoticed, absent: cannotBeCut},
	{name: "Without a proof a lost COMMIT answers OUTCOME_UNKNOWN and no id is stored", test: cutWithoutProof, absent: cannotBeCut},
	{name: "An operation whose outcome was asked for before its COMMIT is aborted for good", test: askedBefore, absent: cannotBeCut},
	{name: "An outcome that was told stays, whatever settings the connection has on which it was asked for", test: toldForGood, absent: cannotBeCut},
	{name: "Several who ask for one outcome at once hear the same", test: askedAtOnce, absent: cannotBeCut},
	{name: "Each attempt at an operation has an id of its own", test: idsOfAttempts, absent: cannotBeCut},
	{name: "An id that is too old has expired, and what is no id is no operation", test: idsOutOfRange, absent: cannotBeCut},
	{name: "Sweeping deletes old ids only", test: sweeping, absent: cannotBeCut},
}

var cannotBeCut = map[string]string{"sqlite": "its COMMIT is a call within the process, so that its answer cannot be lost and needs no proof"}

// marked adds the step "mark" to a bank, which inserts the name of its operation into the table marks.
func marked(b *Bank) *Bank {
	b.tb.Helper()
	b.Step("mark", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		return 1, session.DB(ctx).Exec("INSERT INTO marks VALUES (?)", op.Name).Error
	})
	return b
}

// marks reads the names of the operations that are stored.
func marks(b *Bank) map[string]bool {
	b.tb.Helper()
	var names []string
	if err := b.DB.Raw("SELECT name FROM marks").Scan(&names).Error; err != nil {
		b.tb.Fatal(err)
	}
	stored := map[string]bool{}
	for _, name := range names {
		stored[name] = true
	}
	return stored
}

// proofOf returns the proof that a bank's server has, with this limit.
func proofOf(b *Bank, within time.Duration) *session.Proof {
	return &session.Proof{DB: b.Side, Dialect: dialect.OfDB(b.DB), Within: within}
}

// operations returns the ids stored.
func operations(b *Bank) (ids []string) {
	b.tb.Helper()
	if err := b.DB.Raw("SELECT id FROM session_operations ORDER BY id").Scan(&ids).Error; err != nil {
		b.tb.Fatal(err)
	}
	return ids
}

// wantOutcome fails unless an id has this outcome, and goes on having it.
func wantOutcome(tb testing.TB, proof *session.Proof, id string, want session.Outcome) {
	tb.Helper()
	for range 2 {
		if got, err := proof.Outcome(tb.Context(), id); got != want || err != nil {
			tb.Errorf("the outcome of %s: want %d, got %d, %v", id, want, got, err)
		}
	}
}

func cutCommits(t *testing.T, backend Backend) {
	const cuts, workers = 200, 8
	kinds := []cut{before, during, before, after}
	var commits atomic.Int64
	p := newProxy(t, backend.Dialect, func() cut { return kinds[int(commits.Add(1))%len(kinds)] })
	b := marked(NewBank(t, backend, Setup{
		Options:   Options{PoolSize: workers, Via: p.via},
		Extension: func(e *operation.Extension) { e.Proof.Within = 20 * time.Second },
	}))

	answers := make([]Answer, cuts)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < cuts; i += workers {
				answers[i] = b.Send(fmt.Sprintf(`mutation M%d { increment(id: %d) { id } run(step: "mark") { value } }`, i, i%Counters+1))
			}
		})
	}
	wg.Wait()

	if n := commits.Load(); n != cuts {
		t.Errorf("want %d cuts, got %d", cuts, n)
	}
	stored := marks(b)
	for i, a := range answers {
		if a.OK() != stored[fmt.Sprintf("M%d", i)] {
			t.Errorf("M%d: stored is %t, and the answer %s", i, !a.OK(), a.Raw)
		}
		if !a.OK() {
			WantNull(t, a)
			if a.Code() != "INTERNAL_SERVER_ERROR" {
				t.Errorf("M%d: want the truth, got %s", i, a.Raw)
			}
		}
	}
	if len(stored) < cuts/4 || len(stored) > cuts/2 {
		t.Errorf("of %d COMMITs the server answered %d and did not receive %d, but it stored %d", cuts, cuts/4, cuts/2, len(stored))
	}
	sum := 0
	for id := range Counters {
		sum += b.Counter(id + 1)
	}
	if sum != len(stored) {
		t.Errorf("%d operations are stored, but %d increments", len(stored), sum)
	}
	b.WantIdle()
}

// doubtful are errors after which a COMMIT may have been stored, or which are conflicts.
var doubtful = map[string][]string{
	// Shutdown, lock refused, interrupted, killed, disconnected; node not ready, error during commit, unknown error, lock
	// wait timeout, read only, XA; an observer's, and one of Galera's own: https://dev.mysql.com/doc/mysql-errors/9.0/en/
	"mysql": {"1053", "1192", "1317", "1927", "4031", "1047", "1180", "1105", "1205", "1290", "1399", "3100", "1878"},
	// https://www.postgresql.org/docs/current/errcodes-appendix.html
	"postgres": {"08000", "08006", "08P01", "57P01", "57P03", "57014", "40003", "53100", "58030", "25006", "XX000"},
}

// certain are errors by which a database says that a COMMIT has stored nothing: conflicts, after which it is run again, and others.
var certain = map[string]struct{ conflicts, others []string }{
	"mysql":    {conflicts: []string{"1213", "3101"}},
	"postgres": {[]string{"40001", "40P01"}, []string{"23503", "23505", "23514", "22012", "P0001", "40002"}},
}

// rerun are doubtful errors after which a mutation is run again, once it is sure that nothing was stored: the end of a wait for
// a lock, and what another connection may not have: a node that is not ready, a server that is read-only.
var rerun = []string{"1205", "55P03", "1047", "1290", "25006"}

// cutNext returns a proxy that does at one COMMIT what it is sent for it, and nothing at the others.
func cutNext(tb testing.TB, dialect string) (*proxy, chan<- cut) {
	tb.Helper()
	next := make(chan cut, 1)
	return newProxy(tb, dialect, func() cut {
		select {
		case what := <-next:
			return what
		default:
			return pass
		}
	}), next
}

func errorsAtCommit(t *testing.T, backend Backend) {
	p, next := cutNext(t, backend.Dialect)
	b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via, PoolSize: 2}}))
	stored := 0
	for _, p.number = range slices.Concat(doubtful[b.Dialect], certain[b.Dialect].conflicts, certain[b.Dialect].others) {
		for _, what := range []cut{deny, grant} {
			if what == grant && !slices.Contains(doubtful[b.Dialect], p.number) {
				continue
			}
			next <- what
			name := fmt.Sprintf("M%d_%s", what, p.number)
			a := b.Send(`mutation ` + name + ` { increment(id: 1) { value } run(step: "mark") { value } }`)
			again := slices.Contains(slices.Concat(rerun, certain[b.Dialect].conflicts), p.number)
			if want := what == grant || again; a.OK() != want || a.Code() == "OUTCOME_UNKNOWN" {
				t.Errorf("%s, of which the server stored %t: got %s", name, what == grant, a.Raw)
			}
			if a.OK() {
				stored++
			}
			if marks(b)[name] != a.OK() || b.Counter(1) != stored {
				t.Errorf("%s: stored is %t, the counter is %d after %d mutations, and the answer %s", name, marks(b)[name], b.Counter(1), stored, a.Raw)
			}
			b.WantIdle()
		}
	}
}

func errorsWithoutProof(t *testing.T, backend Backend) {
	p, next := cutNext(t, backend.Dialect)
	b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via, PoolSize: 2}, Extension: func(e *operation.Extension) { e.Proof = nil }}))
	for _, p.number = range doubtful[b.Dialect] {
		for _, what := range []cut{deny, grant} {
			next <- what
			name := fmt.Sprintf("M%d_%s", what, p.number)
			wantUnknown(t, b.Send(`mutation `+name+` { run(step: "mark") { value } }`))
			if got := marks(b)[name]; got != (what == grant) {
				t.Errorf("%s: stored is %t", name, got)
			}
		}
	}
	for _, p.number = range certain[b.Dialect].conflicts {
		next <- deny
		b.Must(`mutation Again` + p.number + ` { run(step: "mark") { value } }`)
	}
	for _, p.number = range certain[b.Dialect].others {
		next <- deny
		a := b.Send(`mutation Refused` + p.number + ` { run(step: "mark") { value } }`)
		if WantNull(t, a); a.Code() != "INTERNAL_SERVER_ERROR" {
			t.Errorf("%s: want a refusal, got %s", p.number, a.Raw)
		}
	}
}

// leftOpen has a server answer what ends a transaction with an error, and go on with the transaction. MySQL would store
// it at the next BEGIN on its connection.
func leftOpen(t *testing.T, backend Backend) {
	for _, withProof := range []bool{true, false} {
		var next cut
		p := newProxy(t, backend.Dialect, func() cut { return next })
		p.undo = func() cut { return next }
		p.number = map[string]string{"mysql": "1047", "postgres": "XX000"}[backend.Dialect]
		b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via, PoolSize: 1}, Extension: func(e *operation.Extension) {
			e.Side = nil // else the connection is killed
			if !withProof {
				e.Proof = nil
			} else {
				e.Proof.Within = 100 * time.Millisecond
			}
		}}))
		b.Step("fail", func(context.Context) (int, error) { return 0, errors.New("it failed") })
		next = leave
		id := wantUnknown(t, b.Send(`mutation Committed { increment(id: 1) { value } run(step: "mark") { value } }`))
		next = pass
		b.Must(`mutation Next { increment(id: 2) { value } }`)
		if withProof {
			wantOutcome(t, proofOf(b, 20*time.Second), id, session.Aborted)
		}
		next = leave
		WantNull(t, b.Send(`mutation RolledBack { increment(id: 1) { value } run(step: "mark") { value } fail: run(step: "fail") { value } }`))
		WantNull(t, b.Send(`mutation Empty { fail: run(step: "fail") { value } }`))
		next = pass
		b.Must(`mutation Last { increment(id: 2) { value } }`)
		if stored := marks(b); len(stored) != 0 || b.Counter(1) != 0 || b.Counter(2) != 2 {
			t.Errorf("with a proof %t: what was refused is stored: %v", withProof, stored)
		}
	}
}

// wantUnknown fails unless an answer is OUTCOME_UNKNOWN. It returns the operation's id.
func wantUnknown(tb testing.TB, a Answer) string {
	tb.Helper()
	WantNull(tb, a)
	if a.Code() != "OUTCOME_UNKNOWN" {
		tb.Fatalf("want OUTCOME_UNKNOWN, got %s", a.Raw)
	}
	id, _ := a.Errors[0].Extensions["operationId"].(string)
	if uuid.Validate(id) != nil {
		tb.Fatalf("want the operation's id, got %s", a.Raw)
	}
	return id
}

// In this one the server goes on holding the transaction open, as when the network fails silently.
func unknownThenAborted(t *testing.T, backend Backend) {
	p := newProxy(t, backend.Dialect, func() cut { return hold })
	b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: func(e *operation.Extension) {
		e.Side = nil // else the server is told to end the transaction
		e.Proof.Within = 100 * time.Millisecond
	}}))
	id := wantUnknown(t, b.Send(`mutation M { run(step: "mark") { value } }`))
	b.WantIdle()
	if got, err := proofOf(b, 100*time.Millisecond).Outcome(t.Context(), id); got != session.Unknown || err == nil {
		t.Errorf("while the transaction is open: want no outcome and an error, got %d, %v", got, err)
	}
	p.release()
	wantOutcome(t, proofOf(b, 20*time.Second), id, session.Aborted)
	if marks(b)["M"] {
		t.Error("the outcome was Aborted, but the mutation is stored")
	}
}

func cutUnnoticed(t *testing.T, backend Backend) {
	p := newProxy(t, backend.Dialect, func() cut { return hold })
	b := marked(NewBank(t, backend, Setup{
		Options:   Options{Via: p.via},
		Extension: func(e *operation.Extension) { e.Proof.Within = 20 * time.Second },
	}))
	a := b.Send(`mutation M { run(step: "mark") { value } }`)
	WantNull(t, a)
	if a.Code() != "INTERNAL_SERVER_ERROR" || marks(b)["M"] {
		t.Errorf("want a refusal, got %s; stored is %v", a.Raw, marks(b))
	}
	b.WantIdle()
}

func unknownThenCommitted(t *testing.T, backend Backend) {
	p := newProxy(t, backend.Dialect, func() cut { return after })
	b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: unreachableProof(t)}))
	attempts := 0
	b.Step("fail once", func(ctx context.Context) (int, error) {
		if attempts++; attempts == 1 {
			return 0, session.DB(ctx).Exec(transientFailure(b.Dialect)).Error
		}
		return attempts, nil
	})
	// The id is that of the attempt that reached its COMMIT.
	id := wantUnknown(t, b.Send(`mutation M { mark: run(step: "mark") { value } run(step: "fail once") { value } }`))
	b.WantIdle()
	wantOutcome(t, proofOf(b, 20*time.Second), id, session.Committed)
	if !marks(b)["M"] {
		t.Error("the outcome was Committed, but the mutation is not stored")
	}
}

// noServer is a database that cannot be reached.
type noServer struct{}

func (noServer) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("no server")
}
func (noServer) Driver() driver.Driver { return nil }

// unreachableProof returns what has the extension's proof ask a database that cannot be reached.
func unreachableProof(tb testing.TB) func(*operation.Extension) {
	tb.Helper()
	unreachable := sql.OpenDB(noServer{})
	tb.Cleanup(func() { _ = unreachable.Close() })
	return func(e *operation.Extension) {
		e.Proof = &session.Proof{DB: unreachable, Dialect: dialect.OfDB(e.Write), Within: 100 * time.Millisecond}
	}
}

func cutWithoutProof(t *testing.T, backend Backend) {
	next := make(chan cut, 1)
	p := newProxy(t, backend.Dialect, func() cut { return <-next })
	b := marked(NewBank(t, backend, Setup{Options: Options{Via: p.via}, Extension: func(e *operation.Extension) { e.Proof = nil }}))
	next <- pass
	b.Must(`mutation Passed { run(step: "mark") { value } }`)
	next <- before
	wantUnknown(t, b.Send(`mutation Before { run(step: "mark") { value } }`))
	next <- after
	wantUnknown(t, b.Send(`mutation After { run(step: "mark") { value } }`))
	if stored := marks(b); len(stored) != 2 || !stored["Passed"] || !stored["After"] {
		t.Errorf("stored are %v", stored)
	}
	if ids := operations(b); len(ids) != 0 {
		t.Errorf("these ids are stored: %v", ids)
	}
	b.WantIdle()
}

func askedBefore(t *testing.T, backend Backend) {
	b := marked(NewBank(t, backend, Setup{}))
	proof := proofOf(b, 20*time.Second)
	var id string
	b.Step("id", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		id = op.ID
		return 1, nil
	})
	b.Step("ask", func(context.Context) (int, error) {
		wantOutcome(t, proof, id, session.Aborted)
		return 1, nil
	})
	b.Must(`mutation Unasked { id: run(step: "id") { value } run(step: "mark") { value } }`)
	wantOutcome(t, proof, id, session.Committed)

	WantNull(t, b.Send(`mutation Asked { id: run(step: "id") { value } mark: run(step: "mark") { value } run(step: "ask") { value } }`))
	wantOutcome(t, proof, id, session.Aborted)
	if stored := marks(b); len(stored) != 1 || !stored["Unasked"] {
		t.Errorf("stored are %v", stored)
	}
	b.WantIdle()
}

// settings are what a server may set its connections to.
var settings = map[string][]string{
	"mysql": {
		"autocommit = 0", "transaction_isolation = 'REPEATABLE-READ'", "transaction_isolation = 'SERIALIZABLE'",
		"transaction_isolation = 'READ-UNCOMMITTED'", "sql_mode = ''", "time_zone = '+13:00'",
	},
	"postgres": {
		"default_transaction_isolation = 'repeatable read'", "default_transaction_isolation = 'serializable'",
		"default_transaction_deferrable = on", "timezone = 'Pacific/Kiritimati'",
	},
}

// sideConfigured sets up every connection of a bank's side pool and returns what closes these connections.
func sideConfigured(b *Bank, setting string) (ended func()) {
	b.tb.Helper()
	var all []*sql.Conn
	for range b.Side.Stats().MaxOpenConnections {
		conn, err := b.Side.Conn(context.Background())
		if err != nil {
			b.tb.Fatal(err)
		}
		all = append(all, conn)
		if _, err := conn.ExecContext(context.Background(), "SET SESSION "+sessionVariable(b, conn, setting)); err != nil {
			b.tb.Fatal(err)
		}
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	return func() {
		b.Side.SetMaxIdleConns(0)
		Eventually(b.tb, "the connections are closed", func() bool { return b.Side.Stats().OpenConnections == 0 })
		b.Side.SetMaxIdleConns(len(all))
	}
}

// sessionVariable is a setting by the name that the server has for it: MariaDB before 11.1 has tx_isolation.
func sessionVariable(b *Bank, conn *sql.Conn, setting string) string {
	if b.Dialect == "mysql" && strings.HasPrefix(setting, "transaction_isolation") {
		var name, value string
		err := conn.QueryRowContext(context.Background(), "SHOW VARIABLES LIKE 'tx_isolation'").Scan(&name, &value)
		if err == nil {
			return strings.Replace(setting, "transaction_isolation", name, 1)
		}
	}
	return setting
}

func toldForGood(t *testing.T, backend Backend) {
	b := marked(NewBank(t, backend, Setup{}))
	proof := proofOf(b, 20*time.Second)
	insert := "INSERT INTO session_operations (id, state) VALUES (?, 1)"
	for _, setting := range settings[b.Dialect] {
		ended := sideConfigured(b, setting)
		never, stored := idMade(time.Now()), idMade(time.Now())
		b.Exec(insert, stored)
		wantOutcome(t, proof, never, session.Aborted)
		wantOutcome(t, proof, stored, session.Committed)
		old := idMade(time.Now().Add(-27 * time.Hour))
		b.Exec(insert, old)
		if n, err := proof.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("%s: want 1 id swept, got %d, %v", setting, n, err)
		}
		ended()
		if err := b.DB.Exec(insert, never).Error; err == nil {
			t.Errorf("%s: an attempt that was said to be aborted could be committed", setting)
		}
		wantOutcome(t, proof, never, session.Aborted)
		wantOutcome(t, proof, stored, session.Committed)
		if slices.Contains(operations(b), old) {
			t.Errorf("%s: an id that was swept is there again", setting)
		}
	}
}

// askedAtOnce has many ask, by two pools, while the attempt's transaction is open and when there was none.
func askedAtOnce(t *testing.T, backend Backend) {
	b := marked(NewBank(t, backend, Setup{}))
	sideConfigured(b, settings[b.Dialect][0])
	const each = 12
	ask := func(id string) <-chan session.Outcome {
		t.Helper()
		outcomes := make(chan session.Outcome, 2*each)
		pool, err := b.DB.DB()
		if err != nil {
			t.Fatal(err)
		}
		for _, pool := range []*sql.DB{b.Side, pool} {
			proof := &session.Proof{DB: pool, Dialect: dialect.OfDB(b.DB), Within: 20 * time.Second}
			for range each {
				go func() {
					outcome, err := proof.Outcome(context.Background(), id)
					if err != nil {
						t.Errorf("asked at once: %v", err)
					}
					outcomes <- outcome
				}()
			}
		}
		return outcomes
	}
	want := func(outcomes <-chan session.Outcome, want session.Outcome) {
		t.Helper()
		for range 2 * each {
			if got := <-outcomes; got != want {
				t.Errorf("want the outcome %d, got %d", want, got)
			}
		}
	}
	for range 10 {
		want(ask(idMade(time.Now())), session.Aborted)
	}
	for end, outcome := range map[string]session.Outcome{"COMMIT": session.Committed, "ROLLBACK": session.Aborted} {
		id := idMade(time.Now())
		conn, err := b.Side.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{"BEGIN", fmt.Sprintf("INSERT INTO session_operations (id, state) VALUES ('%s', 1)", id)} {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		outcomes := ask(id)
		Eventually(t, "somebody waits", func() bool { return b.Side.Stats().WaitCount > 0 })
		time.Sleep(50 * time.Millisecond) // for the others, which may also come later
		if _, err := conn.ExecContext(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		want(outcomes, outcome)
	}
}

// transientFailure returns a statement that fails as if it had been a deadlock's victim.
func transientFailure(dialect string) string {
	if dialect == "postgres" {
		return "DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '40P01'; END $$"
	}
	return "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if'"
}

func idsOfAttempts(t *testing.T, backend Backend) {
	b := marked(NewBank(t, backend, Setup{}))
	proof := proofOf(b, 20*time.Second)
	var first string
	attempts := 0
	b.Step("fail once", func(ctx context.Context) (int, error) {
		op, _ := session.OperationFromContext(ctx)
		if attempts++; attempts == 1 {
			first = op.ID
			return 0, session.DB(ctx).Exec(transientFailure(b.Dialect)).Error
		}
		// Whoever asks for the first attempt must not stop the second.
		wantOutcome(t, proof, first, session.Aborted)
		return attempts, nil
	})
	b.Must(`mutation M { mark: run(step: "mark") { value } run(step: "fail once") { value } }`)
	if attempts != 2 || !marks(b)["M"] {
		t.Errorf("after %d attempts these are stored: %v", attempts, marks(b))
	}
	ids := operations(b)
	if len(ids) != 2 || !slices.Contains(ids, first) {
		t.Fatalf("want the first attempt's id, which was asked for, and another one, got %v", ids)
	}
	second := ids[0]
	if second == first {
		second = ids[1]
	}
	wantOutcome(t, proof, second, session.Committed)
	wantOutcome(t, proof, first, session.Aborted)
}

// idMade returns the id of an operation that began then.
func idMade(then time.Time) string {
	id := uuid.Must(uuid.NewV7())
	for i, ms := 5, then.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		id[i] = byte(ms)
	}
	return id.String()
}

func idsOutOfRange(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	proof := proofOf(b, 20*time.Second)
	old := idMade(time.Now().Add(-25 * time.Hour))
	wantOutcome(t, proof, old, session.Expired)
	for _, id := range []string{
		"", "x", strings.Repeat("x", 1000), uuid.NewString(), strings.ToUpper(old), "{" + old + "}", " " + old,
		idMade(time.Now().Add(time.Hour)),
	} {
		if got, err := proof.Outcome(t.Context(), id); got != session.Unknown || !errors.Is(err, session.ErrNoOperation) {
			t.Errorf("%q: want ErrNoOperation, got %d, %v", id, got, err)
		}
	}
	if ids := operations(b); len(ids) != 0 {
		t.Errorf("these ids are stored: %v", ids)
	}
	recent := idMade(time.Now().Add(-23 * time.Hour))
	wantOutcome(t, proof, recent, session.Aborted)
	longer := proofOf(b, 20*time.Second)
	longer.Keep = 48 * time.Hour
	wantOutcome(t, longer, old, session.Aborted)
	shorter := proofOf(b, 20*time.Second)
	shorter.Keep = time.Hour
	wantOutcome(t, shorter, recent, session.Expired)
}

func sweeping(t *testing.T, backend Backend) {
	b := marked(NewBank(t, backend, Setup{}))
	proof := proofOf(b, 20*time.Second)
	b.Must(`mutation M { run(step: "mark") { value } }`)
	kept := operations(b)
	insert := func(age, behind time.Duration) string { // behind is how much the database's clock or time zone is
		made := time.Now().UTC().Add(-age)
		id := idMade(made)
		b.Exec("INSERT INTO session_operations (id, state, created_at) VALUES (?, 1, ?)", id, made.Add(-behind))
		return id
	}
	kept = append(kept, insert(23*time.Hour, 0), insert(24*time.Hour-10*time.Minute, 12*time.Hour))
	insert(27*time.Hour, -14*time.Hour)
	insert(1000*time.Hour, 0)

	check := func() {
		t.Helper()
		slices.Sort(kept)
		if ids := operations(b); !slices.Equal(ids, kept) {
			t.Errorf("want these ids kept: %v, got %v", kept, ids)
		}
	}
	if n, err := proof.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("want 2 ids swept, got %d, %v", n, err)
	}
	check()
	for _, id := range kept {
		wantOutcome(t, proof, id, session.Committed)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		proof.SweepEvery(ctx, time.Millisecond, func(err error) { t.Errorf("sweeping: %v", err) })
	}()
	for range 2 { // at once, and again
		insert(27*time.Hour, 0)
		Eventually(t, "the old id is swept", func() bool { return len(operations(b)) == len(kept) })
	}
	check()
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("SweepEvery goes on after its context has ended")
	}
}
