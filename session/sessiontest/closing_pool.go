package sessiontest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/session"
)

// A barrier lets nobody through until as many have come as it is for, time after time.
type barrier struct {
	mu      sync.Mutex
	size    int
	waiting int
	open    chan struct{}
}

func newBarrier(size int) *barrier { return &barrier{size: size, open: make(chan struct{})} }

func (b *barrier) wait(ctx context.Context) error {
	b.mu.Lock()
	open := b.open
	if b.waiting++; b.waiting == b.size {
		b.waiting, b.open = 0, make(chan struct{})
		close(open)
	}
	b.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd has every connection of a pool held by an operation before any of these goes on. One that needed
// a second connection then would have to wait for the others, and these for it.
func crowd(t *testing.T, backend Backend) {
	const size, times = 2, 10
	b := NewBank(t, backend, Setup{Options: Options{PoolSize: size}})
	hold := func(pool *gorm.DB) func(context.Context) (int, error) {
		db, err := pool.DB()
		if err != nil {
			t.Fatal(err)
		}
		// SQLite has one connection for mutations.
		full := newBarrier(db.Stats().MaxOpenConnections)
		return func(ctx context.Context) (int, error) {
			if err := b.read(ctx); err != nil { // the transaction begins
				return 0, err
			}
			if err := full.wait(ctx); err != nil {
				return 0, err
			}
			return 1, session.Do(ctx, func(tx *gorm.DB) error {
				var ids []int
				return tx.Raw("SELECT id FROM counters").Scan(&ids).Error
			})
		}
	}
	b.Step("holdWrite", hold(b.DB))
	b.Step("holdRead", hold(b.Reads))
	b.Step("read", func(ctx context.Context) (int, error) { return 1, b.read(ctx) })

	var peers strings.Builder
	for i := range Siblings {
		fmt.Fprintf(&peers, " p%d: peer(id: %d) { id }", i, i+1)
	}
	below := fmt.Sprintf(`{ account(id: 1) { id %s } a: run(step: "read") { value } b: run(step: "read") { value } }`, &peers)
	var all sync.WaitGroup
	for i := range size * times {
		for _, query := range []string{
			fmt.Sprintf(`mutation { run(step: "holdWrite") %s increment(id: %d) { value } }`, below, i%Counters+1),
			fmt.Sprintf(`query @snapshot { run(step: "holdRead") %s accounts { id } }`, below),
			fmt.Sprintf(`query { run(step: "read") %s accounts { id } }`, below),
		} {
			all.Go(func() {
				if a := b.Send(query); !a.OK() {
					t.Errorf("%s: %d %s", query, a.Status, a.Raw)
				}
			})
		}
	}
	all.Wait()
	sum := 0
	for id := range Counters {
		sum += b.Counter(id + 1)
	}
	if sum != size*times {
		t.Errorf("want %d increments stored, got %d", size*times, sum)
	}
	b.WantIdle()
}

// slowReader takes an answer that no buffer between server and client can hold, so that the server cannot
// have written it before the client reads.
func slowReader(t *testing.T, backend Backend) {
	const buffer = 32 << 10
	writing := make(chan struct{})
	written := make(chan struct{}, 1)
	conns := make(chan *net.TCPConn, 1)
	b := NewBank(t, backend, Setup{
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(&announcer{ResponseWriter: w, announce: sync.OnceFunc(func() { writing <- struct{}{} })}, r)
				written <- struct{}{}
			})
		},
		Listen: func(s *httptest.Server) {
			s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				shrunk := c.(*net.TCPConn)
				if err := shrunk.SetWriteBuffer(buffer); err != nil {
					t.Error(err)
				}
				conns <- shrunk
				return ctx
			}
		},
	})
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintf(&long, " a%d_%s: balance", i, strings.Repeat("x", 4000))
	}
	for _, query := range []string{
		fmt.Sprintf(`mutation { transfer(from: 1, to: 2, amount: 1) { %s } }`, &long),
		fmt.Sprintf(`query @snapshot { account(id: 1) { %s } }`, &long),
		fmt.Sprintf(`query { account(id: 1) { %s } }`, &long),
	} {
		kind, _, _ := strings.Cut(query, "{")
		conn := dial(t, b, buffer)
		post(t, conn, query)
		receive(t, "the answer's first byte", writing)
		// From here on the server writes to a client that reads nothing.
		b.WantIdle()
		b.wantNoTransaction(t)
		select {
		case <-written:
			t.Errorf("%s: the answer was written before it was read", kind)
		default:
		}
		// It has been slow for long enough.
		if err := errors.Join(conn.SetReadBuffer(1<<20), receive(t, "a connection", conns).SetWriteBuffer(1<<20)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || len(body) < 12*buffer || strings.Contains(string(body[:100]), "errors") {
			t.Errorf("%s: want a long answer, got %d bytes, %v: %.100s", kind, len(body), err, body)
		}
		receive(t, "the handler's end", written)
		_ = conn.Close()
	}
}

// announcer tells of the first byte that is written.
type announcer struct {
	http.ResponseWriter
	announce func()
}

func (a *announcer) Write(p []byte) (int, error) {
	a.announce()
	return a.ResponseWriter.Write(p)
}

// dial connects to the server as a client that has room for little.
func dial(tb testing.TB, b *Bank, buffer int) *net.TCPConn {
	tb.Helper()
	conn, err := net.Dial("tcp", b.Server.Listener.Addr().String()) //nolint:noctx // until the end of the test
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetReadBuffer(buffer); err != nil {
		tb.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return tcp
}

// post sends an operation on a connection.
func post(tb testing.TB, conn net.Conn, query string) {
	tb.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://bank/", bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := req.Write(conn); err != nil {
		tb.Fatal(err)
	}
}

// wantNoTransaction fails if there is an open transaction that has read or written accounts: a change of the table
// has to wait for it, and in SQLite a complete checkpoint is refused.
func (b *Bank) wantNoTransaction(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if b.Dialect != "sqlite" {
		if _, err := b.Side.ExecContext(ctx, "ALTER TABLE accounts ALTER COLUMN balance SET DEFAULT 0"); err != nil {
			tb.Errorf("there is an open transaction: %v", err)
		}
		return
	}
	var busy, log, done int
	if err := b.Side.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil || busy != 0 {
		tb.Errorf("there is an open transaction: busy %d, %v", busy, err)
	}
}

func usedAfterEnd(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	ended := make(chan context.Context, 1)
	b.Step("keep", func(ctx context.Context) (int, error) {
		ended <- ctx
		return 1, b.read(ctx)
	})
	b.Step("keepUnused", func(ctx context.Context) (int, error) {
		ended <- ctx
		return 1, nil
	})
	b.Step("keepFailed", func(ctx context.Context) (int, error) {
		ended <- ctx
		return 0, errors.Join(b.read(ctx), errors.New("refused"))
	})
	for _, operation := range kinds {
		kind := b.kind(operation)
		head := strings.Replace(operation+" ", " ", " Kept ", 1)
		for _, step := range []string{"keep", "keepUnused", "keepFailed"} {
			b.Send(fmt.Sprintf(`%s { run(step: "%s") { value } }`, head, step))
			ctx := <-ended
			wantClosed(t, ctx, "Kept", kind)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { wantClosed(t, ctx, "Kept", kind) })
			}
			wg.Wait()
			b.WantIdle()
		}
	}
	b.Step("increment", func(ctx context.Context) (int, error) { return 1, Add(session.DB(ctx), "counters", "value", 1, 1) })
	b.Must(`mutation { run(step: "increment") { value } }`)
	if value := b.Counter(1); value != 1 {
		t.Errorf("a write after the end was stored: %d", value)
	}
}

func holding(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	here, goOn := make(chan struct{}), make(chan struct{})
	b.Step("hold", func(ctx context.Context) (int, error) {
		if err := b.read(ctx); err != nil {
			return 0, err
		}
		here <- struct{}{}
		<-goOn
		return 1, nil
	})
	b.Step("holdOwn", func(ctx context.Context) (int, error) {
		return 1, session.Do(ctx, func(*gorm.DB) error {
			here <- struct{}{}
			<-goOn
			return nil
		})
	})
	for _, c := range []struct {
		query, kind string
		pool        *gorm.DB
	}{
		{`mutation Teller { run(step: "hold") { value } }`, "mutation", b.DB},
		{`query Teller @snapshot { run(step: "hold") { value } }`, "query @snapshot", b.Reads},
		{`query Teller { run(step: "holdOwn") { value } }`, "query", b.Reads},
	} {
		answer := make(chan Answer, 1)
		go func() { answer <- b.Send(c.query) }()
		receive(t, "the step", here)
		if ops := session.Holding(c.pool); len(ops) != 1 || ops[0].Name != "Teller" || ops[0].Kind != b.kind(c.kind) || ops[0].ID == "" {
			t.Errorf("%s: want it to be named, got %v", c.query, ops)
		}
		if b.InUse() != 1 {
			t.Errorf("%s: %d connections are in use", c.query, b.InUse())
		}
		goOn <- struct{}{}
		if a := receive(t, "an answer", answer); !a.OK() {
			t.Errorf("%s: %s", c.query, a.Raw)
		}
		b.WantIdle()
	}
}
