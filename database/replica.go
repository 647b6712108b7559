package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"rollcall/dialect"
)

const (
	lookEvery = 250 * time.Millisecond // from one look at a database to the next
	lookFor   = time.Second            // how long it may take to answer
	openEvery = time.Second            // how often one is tried to open that could not be reached

	waitFor = 100 * time.Millisecond // how long a query waits for a replica to have what the query has to see
	lagStep = 100 * time.Millisecond // replicas whose lags differ by less lag alike
	maxSeen = 4096                   // positions of the log that are remembered, each with when it was seen
)

// Replicas are databases to which the changes of another one come, its main one, and at which queries can be read instead. How far
// each is behind shows in the log of changes, whose clock they have too: so nothing is written for that, and no right is needed.
type Replicas struct {
	main *Database
	opt  ReplicaOptions
	all  []*Replica

	known    recent // ids that the main database has, where that matters
	vain     recent // ids that were waited for in vain
	mainRead atomic.Int64
	loops    sync.WaitGroup

	mu   sync.Mutex
	now  clock  // of the main database, as of the last look
	seen []seen // of its clock, in the order of the positions; the last is the newest
}

// ReplicaOptions are what NewReplicas needs besides the databases.
type ReplicaOptions struct {
	Options
	MaxLag  time.Duration         // a replica that is further behind is not read
	Opened  func(*Database) error // prepares a replica once it is open; nil: it needs nothing
	AtMain  bool                  // the main database may be behind too, as one host of several: what a query has to see is waited for there
	Observe *slog.Logger          // is told of replicas that are read no more, and again; nil: slog.Default()
}

// Replica is one of Replicas.
type Replica struct {
	of         *Replicas
	url, name  string
	known      recent // ids that it has
	units      atomic.Int64
	served     atomic.Int64
	suspicious chan struct{} // has it looked at now

	mu       sync.Mutex
	db       *Database // nil: it could not be reached yet
	position int64     // of its log, as of the last look
	looked   time.Time // when that had ended
	compared clock     // where the main database is or was too
	agreed   time.Time // when it was there last
	out      string    // why it is not read; "": it is
	gone     context.Context
	leave    context.CancelFunc // ends gone
}

// seen is a place in the main database's log, and when it was first seen to be there.
type seen struct {
	clock
	at time.Time
}

// clock is how far a database's log is, and its schema.
type clock struct {
	position  int64
	operation string // that the change at the position belongs to
	version   int64
	born      string // when the directory was made, which its replicas have too
}

const selectReplicaClock = "SELECT k.position, k.operation_id, (SELECT coalesce(max(version_id), 0) FROM goose_db_version), " +
	"(" + selectBorn + ") FROM changes_clock k WHERE k.id = 1"

const selectBorn = "SELECT coalesce(CAST(min(tstamp) AS CHAR(32)), '') FROM goose_db_version"

// The reasons why a replica is not read that are not an error's.
const (
	notYet    = "it was not looked at yet"
	tooFar    = "it is too far behind"
	otherLog  = "its changes are not those of --database: it is no replica of that, or no more"
	otherRows = "its schema is another one"
)

// NewReplicas returns the replicas of a database, by their URLs. None is open yet. The error says which URL cannot be a replica's.
func NewReplicas(main *Database, urls []string, opt ReplicaOptions) (*Replicas, error) {
	r := &Replicas{main: main, opt: opt}
	r.opt.Observe = cmp.Or(opt.Observe, slog.Default())
	for _, raw := range urls {
		scheme, _, _ := strings.Cut(raw, ":")
		kind, known := schemes[scheme]
		switch {
		case !known:
			return nil, openErrorf("the URL must be one of mysql://user:password@host:port/name and postgres://user:password@host:port/name")
		case main.Dialect().Embedded() || kind.Embedded():
			return nil, openErrorf("SQLite has no replicas: they are of PostgreSQL, MySQL or MariaDB, as --database is then")
		case len(eachHost(raw)) > 1:
			return nil, openErrorf("a replica is one server, and this URL lists several: give each a URL of its own")
		case kind.Name() != main.Dialect().Name():
			return nil, openErrorf("a database of %s is no replica of one of %s: give one of the same kind as --database", kind.Name(), main.Dialect().Name())
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		r.all = append(r.all, &Replica{of: r, url: raw, name: r.nameOf(raw), out: notYet, suspicious: make(chan struct{}, 1), gone: gone, leave: leave})
	}
	return r, nil
}

// nameOf names a replica in the log and in metrics, by what is not secret in its URL.
func (r *Replicas) nameOf(raw string) string {
	name := fmt.Sprintf("replica %d", len(r.all)+1)
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		name = u.Host + u.Path
	}
	for n, base := 2, name; slices.ContainsFunc(r.all, func(p *Replica) bool { return p.name == name }); n++ {
		name = fmt.Sprintf("%s (%d)", base, n)
	}
	return name
}

// Open opens the replicas, and looks at each from then on until ctx ends. One that cannot be reached is no error: it is tried again. One that
// is none of the main database's is an *OpenError.
func (r *Replicas) Open(ctx context.Context) error {
	if len(r.all) == 0 {
		return nil
	}
	now, err := readClock(ctx, r.main)
	if err != nil {
		return err
	}
	// How long a replica has been behind already is not known: until it has got to here it is too far.
	r.saw(now, time.Now().Add(-r.opt.MaxLag-time.Millisecond))
	errs := make([]error, len(r.all))
	var each sync.WaitGroup
	for i, p := range r.all {
		each.Go(func() {
			if errs[i] = p.open(ctx); errs[i] == nil {
				p.look(ctx)
			}
		})
	}
	each.Wait()
	for i, p := range r.all {
		if refused, ok := errors.AsType[*OpenError](errs[i]); errs[i] != nil && !(ok && refused.Unreachable) {
			return fmt.Errorf("%s: %w", p.name, errs[i])
		} else if ok {
			p.becomes(refused.Message)
		}
	}
	if len(r.all) > 0 {
		r.loops.Go(func() { every(ctx, lookEvery, nil, r.lookAtMain) })
	}
	for _, p := range r.all {
		r.loops.Go(func() { every(ctx, lookEvery, p.suspicious, p.look) })
	}
	return nil
}

// every calls look at an interval, and whenever it is woken, until ctx ends.
func every(ctx context.Context, interval time.Duration, woken <-chan struct{}, look func(context.Context)) {
	for tick := time.Tick(interval); ; {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-tick:
		}
		look(ctx)
	}
}

// Close closes the replicas, once the context of Open has ended.
func (r *Replicas) Close() error {
	r.loops.Wait()
	var errs []error
	for _, p := range r.all {
		p.leave()
		if p.db != nil {
			errs = append(errs, p.db.Close())
		}
	}
	return errors.Join(errs...)
}

// All returns the replicas, in the order of their URLs.
func (r *Replicas) All() []*Replica { return r.all }

// MainServed returns how many units of work had to read at the main database.
func (r *Replicas) MainServed() int64 { return r.mainRead.Load() }

// readClock reads how far a database's log is, within the time that a look may take.
func readClock(ctx context.Context, d *Database) (c clock, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	err = d.Side.QueryRowContext(ctx, selectReplicaClock).Scan(&c.position, &c.operation, &c.version, &c.born)
	return c, err
}

// saw notes how far the main database's log is.
func (r *Replicas) saw(now clock, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
	last := len(r.seen) - 1
	switch {
	case last >= 0 && r.seen[last].position == now.position && r.seen[last].operation == now.operation:
		return
	case last >= 0 && now.position <= r.seen[last].position: // it was restored, or another has taken its place: who has what is not known any more
		r.seen = nil
		for _, p := range r.all {
			p.known.clear()
			p.mu.Lock()
			p.compared = clock{}
			p.mu.Unlock()
		}
	case len(r.seen) == maxSeen: // every second one will do
		for i := range maxSeen / 2 {
			r.seen[i] = r.seen[2*i]
		}
		r.seen = r.seen[:maxSeen/2]
	}
	r.seen = append(r.seen, seen{now, at})
}

func (r *Replicas) lookAtMain(ctx context.Context) {
	began := time.Now()
	now, err := readClock(ctx, r.main)
	if err != nil {
		return // it is for /readyz to tell
	}
	r.saw(now, began)
}

// lag returns how long ago the main database was first seen beyond a position.
func (r *Replicas) lag(position int64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, _ := slices.BinarySearchFunc(r.seen, position, func(s seen, position int64) int { return cmp.Compare(s.position, position+1) })
	if i == len(r.seen) {
		return 0
	}
	return time.Since(r.seen[i].at)
}

// open opens the replica, and makes sure that it is one.
func (p *Replica) open(ctx context.Context) error {
	db, err := Open(ctx, p.url, p.of.opt.Options)
	if err != nil {
		return err
	}
	db.pools.write.SetMaxIdleConns(0) // nothing is written there
	if err = p.verify(ctx, db); err == nil && p.of.opt.Opened != nil {
		err = p.of.opt.Opened(db)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.db = db
	return nil
}

// verify returns an error if a database is none to which the main database's changes come.
func (p *Replica) verify(ctx context.Context, db *Database) error {
	there, err := readClock(ctx, db)
	if m := dialect.MeaningOf(err); m.Fault == dialect.FaultMissing || m.Number != "" && m.Fault == "" {
		return openErrorf("there is no directory: it is no replica of --database")
	} else if err != nil {
		return &OpenError{Message: "it does not tell how far it is: " + cmp.Or(m.Text, err.Error()), Unreachable: true}
	}
	for began := time.Now(); ; time.Sleep(lookEvery) {
		switch of, err := p.of.compare(ctx, there); {
		case err != nil:
			return &OpenError{Message: "it cannot be compared with --database: " + err.Error(), Unreachable: true}
		case of == mains:
			return nil
		case of == others, time.Since(began) > lookFor:
			return openErrorf("its changes are not those of --database: it is no replica of that")
		}
	}
}

// origin is whose a clock is.
type origin int

const (
	others origin = iota // another directory's, or that of a copy which has gone its own way
	mains
	beyond // what the main database has, which may be a node of a cluster that has not got there yet
)

// compare tells whether the main database is or was where a clock is: the same directory, with the same operation at the position. A log that is empty, or
// ends before what is kept of the main database's, may be a replica's that is far behind.
func (r *Replicas) compare(ctx context.Context, there clock) (origin, error) {
	r.mu.Lock()
	born := r.now.born
	i, seen := slices.BinarySearchFunc(r.seen, there.position, func(s seen, position int64) int { return cmp.Compare(s.position, position) })
	seen = seen && r.seen[i].operation == there.operation
	r.mu.Unlock()
	switch {
	case there.born != born:
		return others, nil
	case seen, there.position == 0:
		return mains, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	var now, expired int64
	var last string
	var operation sql.NullString
	err := r.main.Side.QueryRowContext(ctx, r.main.Dialect().Rebind("SELECT k.position, k.expired, k.operation_id, "+
		"(SELECT c.operation_id FROM changes c WHERE c.position = ?) FROM changes_clock k WHERE k.id = 1"), there.position).Scan(&now, &expired, &last, &operation)
	switch {
	case err != nil:
		return others, err
	case there.position == now && there.operation == last, there.position <= expired, operation.Valid && operation.String == there.operation:
		return mains, nil
	case there.position > now:
		return beyond, nil
	}
	return others, nil
}

// look asks the replica how far it is, and decides whether it is read.
func (p *Replica) look(ctx context.Context) {
	p.mu.Lock()
	db, wait := p.db, openEvery-time.Since(p.looked)
	p.mu.Unlock()
	if db == nil {
		if wait > 0 {
			return
		}
		err := p.open(ctx)
		p.mu.Lock()
		p.looked = time.Now()
		db = p.db
		p.mu.Unlock()
		if err != nil {
			p.becomes(err.Error())
			return
		}
	}
	c, err := readClock(ctx, db)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.becomes(cmp.Or(Unavailable(err), "it does not answer"))
		p.mu.Lock()
		p.leave() // who reads there reads elsewhere
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	if c.position < p.position { // it is another one, or was restored
		p.known.clear()
	}
	p.position, p.looked = c.position, time.Now()
	p.mu.Unlock()
	of, told := p.compares(ctx, c)
	if !told {
		return // what it was stays, as long as the main database does not tell
	}
	p.of.mu.Lock()
	version := p.of.now.version
	p.of.mu.Unlock()
	switch {
	case of != mains:
		p.becomes(otherLog)
	case c.version != version:
		p.becomes(otherRows)
	case p.Lag() > p.of.opt.MaxLag:
		p.becomes(tooFar)
	default:
		p.becomes("")
	}
}

// compares tells whose the replica's clock is; told is false as long as that is not known.
func (p *Replica) compares(ctx context.Context, c clock) (of origin, told bool) {
	p.mu.Lock()
	same := c == p.compared
	p.mu.Unlock()
	var err error
	if of = mains; !same {
		of, err = p.of.compare(ctx, c)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if of == mains && err == nil {
		p.compared, p.agreed = c, time.Now()
	}
	return of, err == nil && (of != beyond || time.Since(p.agreed) > lookFor)
}

// becomes has the replica be read, or not for a reason.
func (p *Replica) becomes(out string) {
	p.mu.Lock()
	before := p.out
	p.out = out
	if out == "" && p.gone.Err() != nil {
		p.known.clear() // it may be another one by now
		p.gone, p.leave = context.WithCancel(context.Background())
	}
	p.mu.Unlock()
	switch {
	case out == before:
	case out == "":
		p.of.opt.Observe.Info("a replica is read", "replica", p.name)
	default:
		p.of.opt.Observe.Warn("a replica is not read", "replica", p.name, "reason", out, "lag", p.Lag().String())
	}
}

// Name returns what the replica is called in the log and in metrics.
func (p *Replica) Name() string { return p.name }

// Lag returns for how long the main database has had what the replica has not, as far as was seen.
func (p *Replica) Lag() time.Duration {
	p.mu.Lock()
	position := p.position
	p.mu.Unlock()
	return p.of.lag(position)
}

// In reports whether the replica is read.
func (p *Replica) In() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out == ""
}

// Served returns how many units of work have read at the replica.
func (p *Replica) Served() int64 { return p.served.Load() }

// DB returns the pool for reads.
func (p *Replica) DB() *gorm.DB { return p.db.Read }

// Begin counts a unit of work that reads at the replica. The context ends when the replica does not answer any more.
func (p *Replica) Begin() (gone context.Context) {
	p.units.Add(1)
	p.served.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// End counts the end of a unit.
func (p *Replica) End() { p.units.Add(-1) }

// Failed is told of an error that a unit of work has met. If the connection was lost, the replica is not read until it has answered again.
func (p *Replica) Failed(err error) {
	if !dialect.Is(err, dialect.Lost) {
		return
	}
	p.becomes("a connection to it was lost")
	select {
	case p.suspicious <- struct{}{}:
	default:
	}
}

// Choose returns the replica at which a unit of work is to read that has to see the writes with some ids; nil: it is to read at the main
// database, as it has to where it needs all that is committed (current). Of those that are not too far behind it is the one that lags least, and of these one with
// few units. It waits for at most 100 ms.
func (r *Replicas) Choose(ctx context.Context, after []string, current bool) *Replica {
	if !current {
		candidates := r.candidates()
		if i := r.await(ctx, len(candidates), func(i int) (*Database, *recent) { return candidates[i].db, &candidates[i].known }, after); i >= 0 {
			return candidates[i]
		}
	}
	if r.opt.AtMain {
		r.await(ctx, 1, func(int) (*Database, *recent) { return r.main, &r.known }, after)
	}
	r.mainRead.Add(1)
	return nil
}

// candidates returns the replicas that are read, the best first.
func (r *Replicas) candidates() []*Replica {
	type candidate struct {
		*Replica
		lag           time.Duration
		units, served int64
	}
	var in []candidate
	for _, p := range r.all {
		if lag := p.Lag(); p.In() && lag <= r.opt.MaxLag {
			in = append(in, candidate{p, lag / lagStep, p.units.Load(), p.served.Load()})
		}
	}
	slices.SortStableFunc(in, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.lag, b.lag), cmp.Compare(a.units, b.units), cmp.Compare(a.served, b.served))
	})
	best := make([]*Replica, len(in))
	for i, c := range in {
		best[i] = c.Replica
	}
	return best
}

// await returns the first of n databases that has the writes with some ids, as soon as there is one; -1: there is none in time.
func (r *Replicas) await(ctx context.Context, n int, database func(i int) (*Database, *recent), ids []string) int {
	for i := range n {
		if _, known := database(i); known.all(ids) {
			return i
		}
	}
	if n == 0 {
		return -1
	}
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		for i := range n {
			if db, known := database(i); db.has(ctx, ids) {
				known.add(ids...)
				return i
			}
		}
		if r.vain.all(ids) { // once is enough
			return -1
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			r.vain.add(ids...)
			return -1
		}
	}
}

// has reports whether the database has the rows by which transactions prove that they are stored, and so all that they have written.
func (d *Database) has(ctx context.Context, ids []string) bool {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	var n int
	query := d.Dialect().Rebind("SELECT COUNT(*) FROM session_operations WHERE id IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ")")
	err := d.pools.read.QueryRowContext(ctx, query, args...).Scan(&n)
	return err == nil && n == len(ids)
}

// recent remembers the last ids that were added, some thousands. It is safe for concurrent use.
type recent struct {
	mu               sync.Mutex
	current, earlier map[string]struct{}
}

const maxRecent = 4096 // twice as many are remembered at most

// all reports whether the ids are remembered.
func (r *recent) all(ids []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool {
		_, now := r.current[id]
		_, before := r.earlier[id]
		return !now && !before
	})
}

func (r *recent) add(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || len(r.current) >= maxRecent {
		r.current, r.earlier = map[string]struct{}{}, r.current
	}
	for _, id := range ids {
		r.current[id] = struct{}{}
	}
}

func (r *recent) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.earlier = nil, nil
}
