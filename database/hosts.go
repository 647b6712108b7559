package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"rollcall/dialect"
)

const (
	probeEvery     = 250 * time.Millisecond
	defaultSilent  = 750 * time.Millisecond // with the above a host that hangs is known within a second
	bornEvery      = 5 * time.Second
	defaultSettled = 10 * time.Second // how long an earlier host is well before it is the writer again
)

// hosts are the servers that a URL lists, in the order of preference. One of them is the writer, to which all connections lead. Each
// is asked every 250 ms, on a connection of its own, whether it is well: then it answers and takes writes. The writer stays as long as
// it is well, unless an earlier host has been so for some time. When it is left, connections to it are used no more, and are cut if
// it does not answer. While no host is well, whoever wants a connection waits. nil is one host, which nobody asks.
type hosts struct {
	all     []*host
	settled time.Duration
	silent  time.Duration
	renewal *renewal // of the connections
	log     *slog.Logger
	until   context.Context // when the database is closed
	close   context.CancelFunc
	probes  sync.WaitGroup

	mu      sync.Mutex
	writer  int             // none: -1
	last    int             // the last writer; none yet: -1
	tenure  context.Context // ends when last is left for another
	leave   context.CancelFunc
	changed chan struct{} // closed after each probe: whoever waits for a writer looks again
	rank    int64         // the highest of any host
}

// host is one of hosts. Below conns everything is guarded by hosts.mu.
type host struct {
	addr  string
	pool  *sql.DB                                                         // for probes
	probe func(ctx context.Context, pool *sql.DB) (rank int64, err error) // without an error it takes writes
	wake  chan struct{}

	conns  map[*hostConn]bool
	asked  bool
	err    error     // why it is not well, or nil
	since  time.Time // when it became well
	rank   int64     // where it is lower than another host's, this host's data are those before a failover
	born   string    // when its directory was made, which all nodes of a cluster have; "": it has none yet
	bornAt time.Time // when that was asked; zero: it is not known
	others int       // probes in a row that have found another directory; the second is told, since one may come amid a migration
	doubts int64     // how often a connection to it has failed
	looked int64     // how many of these were there before the last probe began
}

// findBorn asks a host that takes writes when its directory was made: now and then, at once when it is well again, and always while hosts differ, as they may amid a
// migration. What cannot be told in time is asked again, and says nothing against the host.
func (h *hosts) findBorn(ctx context.Context, one *host) {
	h.mu.Lock()
	recent := one.asked && one.err == nil && time.Since(one.bornAt) < bornEvery && !slices.ContainsFunc(h.all, h.other)
	h.mu.Unlock()
	if recent {
		return
	}
	var born string
	err := one.pool.QueryRowContext(ctx, selectBorn).Scan(&born)
	if err != nil && dialect.MeaningOf(err).Fault != dialect.FaultMissing {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one.born, one.bornAt = born, time.Now()
}

// unwellError is what is wrong with a host that answers.
type unwellError string

func (u unwellError) Error() string { return string(u) }

const (
	errHostReadOnly unwellError = "is read-only"
	errHostOutside  unwellError = "is outside the primary component"
	errHostUnsynced unwellError = "is not synced"
	errHostBehind   unwellError = "has been left behind by a failover"
	errHostOther    unwellError = "has another directory"
)

// noHostError says that no host takes writes. It names no address, since anyone may read it.
type noHostError struct {
	reasons string
	cause   error // why waiting for one has ended, or nil
	denied  bool  // by all of them, for the user or the database that the URL names
}

func (e *noHostError) Error() string { return "no host of the database takes writes: " + e.reasons }
func (e *noHostError) Unwrap() error { return e.cause }

var errClosed = errors.New("the database is closed")

// watchAll begins to watch hosts, until end.
func (h *hosts) watchAll(all []*host, opt Options, r *renewal) {
	h.all, h.renewal, h.log = all, r, cmp.Or(opt.Log, slog.Default())
	h.settled, h.silent = cmp.Or(opt.Settled, defaultSettled), cmp.Or(opt.Silent, defaultSilent)
	h.writer, h.last, h.changed = -1, -1, make(chan struct{})
	h.until, h.close = context.WithCancel(context.Background())
	h.tenure, h.leave = context.WithCancel(h.until)
	for _, one := range all {
		one.wake, one.conns = make(chan struct{}, 1), map[*hostConn]bool{}
		one.pool.SetMaxOpenConns(1)
	}
	for i := range all {
		h.probes.Go(func() { h.watch(i) })
	}
}

// end stops the probes.
func (h *hosts) end() {
	if h == nil {
		return
	}
	h.close()
	h.probes.Wait()
	for _, one := range h.all {
		_ = one.pool.Close()
	}
}

// watch probes a host, and at once when it is in doubt.
func (h *hosts) watch(i int) {
	one := h.all[i]
	for h.until.Err() == nil {
		h.mu.Lock()
		doubts := one.doubts
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(h.until, h.silent)
		rank, err := one.probe(ctx, one.pool)
		if err == nil {
			h.findBorn(ctx, one)
		}
		cancel()
		h.report(i, rank, err, doubts)
		select {
		case <-h.until.Done():
		case <-one.wake:
		case <-time.After(probeEvery):
		}
	}
}

// report takes a probe's result, before which a number of doubts were known.
func (h *hosts) report(i int, rank int64, err error, doubts int64) {
	if h.until.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.all[i]
	if err == nil && (one.err != nil || !one.asked) {
		one.since = time.Now()
	}
	if err != nil && one.err == nil && i == h.writer { // all nodes of a cluster may hang: what was well a moment ago says nothing of the others now
		for j := range h.all {
			if j != i {
				h.all[j].doubt()
			}
		}
	}
	one.asked, one.err, one.looked = true, err, doubts
	if err == nil {
		one.rank = rank
		h.rank = max(h.rank, rank)
	}
	if !errors.Is(h.well(one), errHostOther) {
		one.others = 0
	} else if one.others++; one.others == 2 {
		h.log.Error("a host of the database has another directory than the writer, and does not follow it", "host", one.addr, "writer", h.all[h.last].addr)
	}
	h.elect()
	if h.last != i && h.last >= 0 && silent(err) {
		one.cut()
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// well returns why a host cannot be the writer, or nil.
func (h *hosts) well(one *host) error {
	switch {
	case one.err != nil:
		return one.err
	case one.rank < h.rank:
		return errHostBehind
	case h.other(one):
		return errHostOther
	}
	return nil
}

// other reports whether a host has another directory than the writer, as far as both are known.
func (h *hosts) other(one *host) bool {
	return h.last >= 0 && !one.bornAt.IsZero() && !h.all[h.last].bornAt.IsZero() && one.born != h.all[h.last].born
}

// writes reports whether there is a writer that is well.
func (h *hosts) writes() bool { return h.writer >= 0 && h.well(h.all[h.writer]) == nil }

// elect makes the best host the writer. It leaves things as they are while a host is asked again that may be that.
func (h *hosts) elect() {
	best, asking := -1, false
	stays := h.writes()
	for i, one := range h.all {
		if !one.asked {
			break // its answer, or the end of the wait for it, is near
		}
		if h.well(one) != nil {
			continue
		}
		if i != h.writer && one.looked != one.doubts {
			if asking = !stays; asking {
				break
			}
			continue
		}
		if !stays || i == h.writer || i < h.writer && time.Since(one.since) >= h.settled {
			best = i
			break
		}
	}
	if best == h.writer || best < 0 && asking {
		return
	}
	h.writer = best
	switch {
	case best < 0:
		h.log.Error("no host of the database takes writes", "reasons", h.reasons(), "errors", h.errors())
		return
	case best == h.last:
		h.log.Info("the host of the database takes writes again", "host", h.all[best].addr)
		return
	case h.last >= 0: // it is said once connections lead there
		defer h.log.Warn("the database's writer is another host now", "host", h.all[best].addr, "before", h.all[h.last].addr, "reason", h.well(h.all[h.last]))
	}
	left := h.last
	h.last = best
	h.leave()
	h.tenure, h.leave = context.WithCancel(h.until)
	h.renewal.replace()
	if left >= 0 && silent(h.all[left].err) {
		h.all[left].cut()
	}
}

// silent reports whether a host does not answer, by the error of its probe.
func silent(err error) bool {
	_, answers := errors.AsType[unwellError](err)
	m := dialect.MeaningOf(err)
	return err != nil && !answers && (m.Number == "" || m.Is(dialect.Lost))
}

// reasons says of each host why it is not the writer.
func (h *hosts) reasons() string {
	texts := make([]string, len(h.all))
	for i, one := range h.all {
		reason := "does not answer"
		if h.well(one) == nil {
			reason = "is being asked"
		} else if known, ok := errors.AsType[unwellError](h.well(one)); ok {
			reason = string(known)
		} else if !silent(one.err) {
			reason = "says: " + cmp.Or(string(dialect.MeaningOf(one.err).Fault), "an error that is in the log")
		}
		texts[i] = fmt.Sprintf("%d %s", i+1, reason)
	}
	return strings.Join(texts, ", ")
}

// errors are those of the hosts, for the log.
func (h *hosts) errors() (all []string) {
	for _, one := range h.all {
		all = append(all, fmt.Sprintf("%s: %v", one.addr, h.well(one)))
	}
	return all
}

// denied reports whether every host has refused the user, or has not the database. h.mu is held.
func (h *hosts) denied() bool {
	return !slices.ContainsFunc(h.all, func(one *host) bool { return one.err == nil || !dialect.Is(one.err, dialect.Barred|dialect.NoDatabase) })
}

// failure returns a *noHostError if there is no writer.
func (h *hosts) failure() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writes() {
		return nil
	}
	return &noHostError{reasons: h.reasons()}
}

// doubt has a host looked at, before it is given another connection.
func (h *hosts) doubt(i int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[i].doubt()
}

func (one *host) doubt() {
	one.doubts++
	select {
	case one.wake <- struct{}{}:
	default:
	}
}

// wait returns the writer, once there is one that is not in doubt, and what ends when that is left.
func (h *hosts) wait(ctx context.Context) (writer int, tenure context.Context, err error) {
	if h == nil {
		return 0, context.Background(), nil
	}
	for {
		h.mu.Lock()
		changed, reasons := h.changed, ""
		if i := h.writer; h.writes() && h.all[i].looked == h.all[i].doubts {
			defer h.mu.Unlock()
			return i, h.tenure, nil
		}
		if h.writer < 0 {
			reasons = h.reasons()
		}
		denied := h.denied()
		h.mu.Unlock()
		select {
		case <-changed:
		case <-h.until.Done():
			return 0, nil, errClosed
		case <-ctx.Done():
			if reasons == "" {
				return 0, nil, context.Cause(ctx)
			}
			return 0, nil, &noHostError{reasons, context.Cause(ctx), denied}
		}
	}
}

// connectTo returns what dial returns for the writer, and what ends when that is left. It goes on to the next one, and waits for that, where the
// connection is lost on the way.
func connectTo[C any](ctx context.Context, h *hosts, dial func(ctx context.Context, i int) (C, error)) (conn C, tenure context.Context, err error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, probeEvery) {
		var i int
		if i, tenure, err = h.wait(ctx); err != nil {
			return conn, nil, err
		}
		within, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(tenure, cancel)
		conn, err = dial(within, i)
		stop()
		cancel()
		left := tenure.Err() != nil
		if closer, ok := any(conn).(io.Closer); ok && err == nil && left { // its generation may be the next writer's
			err = errors.Join(driver.ErrBadConn, closer.Close())
		}
		if h == nil || err == nil || ctx.Err() != nil || !left && !dialect.Is(err, dialect.Lost|dialect.Misplaced) {
			return conn, tenure, err
		}
		h.doubt(i)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// dialing returns dial with connections to a host that can be cut, and whose failures put it in doubt.
func (h *hosts) dialing(i int, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &hostConn{conn, h, i}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all[i].conns[c] = true
		return c, nil
	}
}

// cut ends all connections to a host.
func (one *host) cut() {
	for c := range one.conns {
		_ = c.Conn.Close()
	}
	clear(one.conns)
}

// hostConn is a connection to one of several hosts.
type hostConn struct {
	net.Conn
	hosts *hosts
	host  int
}

func (c *hostConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.noted(err)
}

func (c *hostConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.noted(err)
}

// noted puts the host in doubt for an error that was not made here. A host that hangs is found by the probes.
func (c *hostConn) noted(err error) error {
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.hosts.doubt(c.host)
	}
	return err
}

func (c *hostConn) Close() error {
	c.hosts.mu.Lock()
	delete(c.hosts.all[c.host].conns, c)
	c.hosts.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn lets the drivers look whether the server has closed the connection.
func (c *hostConn) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}
