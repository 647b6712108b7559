package sessiontest

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/graph-gophers/dataloader/v7"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"gorm.io/gorm"

	"rollcall/dialect"
	"rollcall/idempotency"
	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/schematest/generated"
	"rollcall/session"
)

// Backend is a kind of database.
type Backend struct {
	Dialect string // "mysql", "postgres" or "sqlite", as gorm.DB.Name has it
	// Open makes a new database, empty unless Options has it filled, and opens it until the end of the test.
	Open func(tb testing.TB, opt Options) Pools

	way way // that operations go, unless a test sends them otherwise; "": over HTTP
}

// Options are what a test asks of its database.
type Options struct {
	PoolSize int // connections for reads, and as many for mutations; 0: 8
	// Via returns the address to use in place of that of the database's server, for DB and Reads only; nil: the
	// same. It is not used where the database has no server.
	Via func(address string) string
	// Fill gives a new database what the test wants there. It is the same for all tests that have one, so a filled database may be kept
	// and copied. A backend that does so sets Pools.Filled; else it need not call it.
	Fill func(db *gorm.DB) error
}

// Pools are an open database.
type Pools struct {
	DB, Reads *gorm.DB
	Side      *sql.DB
	Filled    bool // by Options.Fill
}

// Bank is the world of one test: a server over a database of its own.
type Bank struct {
	Pools
	Dialect string
	URL     string
	Server  *httptest.Server
	Log     *SafeBuffer // of the session
	Events  chan int    // ids that counterChanged sends
	Keys    *idempotency.Keys

	adjusted counter // hooks of adjust and rehearse that ran

	tb      testing.TB
	steps   sync.Map // func(context.Context) (int, error) by name
	way     way
	pools   session.Pools // and what else session.Run is given
	bind    func(context.Context, []*graphql.OperationContext) context.Context
	onError func(context.Context)
}

// Accounts and counters that a new bank has, with ids from 1; each account has Balance.
const (
	Accounts = 32
	Counters = 8
	Balance  = 1000
)

// Setup changes a bank's server before it starts.
type Setup struct {
	Options
	Transport graphql.Transport          // in place of gqlgen's
	Extension func(*operation.Extension) // changes the extension
	Server    func(*handler.Server)      // is called before the session's extension is installed
	OnError   func(context.Context)      // is called with the context of each error that is shown
	Wrap      func(http.Handler) http.Handler
	Listen    func(*httptest.Server) // is called before the server starts
}

// NewBank opens a database, fills it and serves it.
func NewBank(tb testing.TB, backend Backend, setup Setup) *Bank {
	tb.Helper()
	b := openBank(tb, backend, setup.Options)
	e := b.extension()
	if setup.Extension != nil {
		setup.Extension(&e)
	}
	b.pools, b.bind, b.onError = e.Pools, e.Bind, setup.OnError
	h := b.handler(setup, e)
	if setup.Wrap != nil {
		h = setup.Wrap(h)
	}
	b.Server = httptest.NewUnstartedServer(h)
	if setup.Listen != nil {
		setup.Listen(b.Server)
	}
	b.Server.Start()
	b.URL = b.Server.URL
	tb.Cleanup(func() {
		b.Server.Close()
		b.WantIdle()
		b.stopGrinding()
	})
	return b
}

// handler returns a server of the bank.
func (b *Bank) handler(setup Setup, e operation.Extension) http.Handler {
	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: resolver{b: b}}))
	if setup.Transport != nil {
		srv.AddTransport(setup.Transport)
	}
	srv.AddTransport(operation.Parts(transport.Websocket{}))
	srv.AddTransport(operation.Parts(transport.SSE{}))
	srv.AddTransport(operation.Parts(transport.MultipartMixed{}))
	srv.AddTransport(transport.GET{})
	srv.AddTransport(transport.POST{})
	srv.Use(extension.Introspection{})
	srv.SetRecoverFunc(func(_ context.Context, p any) error { return fmt.Errorf("panic: %v", p) })
	if setup.OnError != nil {
		srv.SetErrorPresenter(func(ctx context.Context, err error) *gqlerror.Error {
			setup.OnError(ctx)
			return graphql.DefaultErrorPresenter(ctx, err)
		})
	}
	if setup.Server != nil {
		setup.Server(srv)
	}
	return operation.Handler(srv, e)
}

// extension returns what a bank's server has unless a test changes it.
func (b *Bank) extension() operation.Extension {
	e := operation.Extension{
		Bind:   bindLoader,
		Keys:   b.Keys,
		DryRun: "input.dryRun",
		Pools: session.Pools{
			Write: b.DB, Read: b.Reads, Side: b.Side, Deadline: 30 * time.Second,
			Logger: slog.New(slog.NewTextHandler(b.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		},
	}
	if b.Dialect != "sqlite" {
		e.Proof = &session.Proof{DB: b.Side, Dialect: dialect.OfDB(b.DB)}
	}
	return e
}

// openBank opens a database that is filled.
func openBank(tb testing.TB, backend Backend, opt Options) *Bank {
	tb.Helper()
	opt.PoolSize, opt.Fill = cmp.Or(opt.PoolSize, 8), fill
	b := &Bank{Pools: backend.Open(tb, opt), Dialect: backend.Dialect, Log: &SafeBuffer{}, Events: make(chan int), Keys: &idempotency.Keys{}, tb: tb, way: backend.way}
	if !b.Filled {
		if err := fill(b.DB); err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

// fill creates a bank's tables and rows.
func fill(db *gorm.DB) error {
	statements := []string{
		"CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL)",
		"CREATE TABLE counters (id INT PRIMARY KEY, value INT NOT NULL)",
		"CREATE TABLE marks (name VARCHAR(64) PRIMARY KEY)",
		"CREATE TABLE entries (name VARCHAR(64) NOT NULL)",
	}
	if !db.Migrator().HasTable("idempotency_keys") {
		statements = append(statements, idempotency.Table(dialect.OfDB(db))...)
	}
	if d := dialect.OfDB(db); d != dialect.SQLite && !db.Migrator().HasTable("session_operations") {
		statements = append(statements, session.ProofTable(d))
	}
	rows := func(n int, value int) (list string) {
		for i := range n {
			list += fmt.Sprintf(", (%d, %d)", i+1, value)
		}
		return list[1:]
	}
	statements = append(statements, "INSERT INTO accounts VALUES"+rows(Accounts, Balance), "INSERT INTO counters VALUES"+rows(Counters, 0))
	for _, statement := range statements {
		if err := db.Exec(statement).Error; err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Exec runs a statement beside the server, on the pool for mutations.
func (b *Bank) Exec(statement string, args ...any) {
	b.tb.Helper()
	if err := b.DB.Exec(statement, args...).Error; err != nil {
		b.tb.Fatalf("%s: %v", statement, err)
	}
}

// Counter reads a counter beside the server.
func (b *Bank) Counter(id int) (value int) {
	b.tb.Helper()
	pool, _ := b.DB.DB()
	query := "SELECT value FROM counters WHERE id = ?"
	if b.Dialect == "postgres" {
		query = "SELECT value FROM counters WHERE id = $1"
	}
	if err := pool.QueryRowContext(context.Background(), query, id).Scan(&value); err != nil {
		b.tb.Fatal(err)
	}
	return value
}

// Total is the sum of all balances, read beside the server.
func (b *Bank) Total() (sum int) {
	b.tb.Helper()
	pool, _ := b.DB.DB()
	if err := pool.QueryRowContext(context.Background(), "SELECT SUM(balance) FROM accounts").Scan(&sum); err != nil {
		b.tb.Fatal(err)
	}
	return sum
}

// InUse is how many connections are checked out.
func (b *Bank) InUse() int {
	reads, _ := b.Reads.DB()
	writes, _ := b.DB.DB()
	if reads == writes {
		return reads.Stats().InUse
	}
	return reads.Stats().InUse + writes.Stats().InUse
}

// WantIdle fails unless every connection comes back, within a generous time.
func (b *Bank) WantIdle() {
	b.tb.Helper()
	Eventually(b.tb, "all connections are back, and no operation is said to hold one", func() bool {
		return b.InUse() == 0 && len(session.Holding(b.DB)) == 0 && len(session.Holding(b.Reads)) == 0
	})
}

// Eventually waits until a condition holds. It fails after a time that only a hang exceeds.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	const limit = time.Minute
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	tb.Fatalf("it did not happen in %s that %s", limit, what)
}

// Step adds a resolver that queries call as run(step: name). A step that returns an error is null, with the error.
func (b *Bank) Step(name string, fn func(ctx context.Context) (int, error)) { b.steps.Store(name, fn) }

// Answer is a GraphQL response.
type Answer struct {
	Status int
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
	Raw    string
	Header http.Header `json:"-"`
}

// OK reports whether the answer is a success.
func (a Answer) OK() bool { return a.Status == http.StatusOK && len(a.Errors) == 0 && a.Data != nil }

// Code is the code of the first error.
func (a Answer) Code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

// why is the code of the first error, or else its message, without which operation it is of.
func (a Answer) why() string {
	if len(a.Errors) == 0 {
		return ""
	}
	message := a.Errors[0].Message
	if at := strings.Index(message, "took longer"); at >= 0 {
		message = message[at:]
	}
	return cmp.Or(a.Code(), message)
}

// Send posts an operation.
func (b *Bank) Send(query string) Answer {
	b.tb.Helper()
	a, err := b.SendContext(context.Background(), query)
	if err != nil {
		b.tb.Error(err)
	}
	return a
}

// SendContext posts an operation as a client who may go away.
func (b *Bank) SendContext(ctx context.Context, query string) (Answer, error) {
	if b.way == byRun {
		a := b.direct(ctx, query)
		return a, ctx.Err()
	}
	return b.PostContext(ctx, Sent{Query: query})
}

// Must is Send for an operation that has to succeed.
func (b *Bank) Must(query string) Answer {
	b.tb.Helper()
	a := b.Send(query)
	if !a.OK() {
		b.tb.Fatalf("%s: want a success, got %d %s", query, a.Status, a.Raw)
	}
	return a
}

// WantNull fails unless the answer is data: null with one error.
func WantNull(tb testing.TB, a Answer) {
	tb.Helper()
	if a.Data != nil || len(a.Errors) != 1 || !bytes.Contains([]byte(a.Raw), []byte(`"data":null`)) {
		tb.Errorf("want data: null and one error, got %s", a.Raw)
	}
}

// SafeBuffer is a bytes.Buffer for several goroutines.
type SafeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *SafeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *SafeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The resolvers of the bank; the rest of the schema is left out.
type (
	resolver struct {
		generated.ResolverRoot
		b *Bank
	}
	queryResolver struct {
		generated.QueryResolver
		b *Bank
	}
	mutationResolver struct {
		generated.MutationResolver
		b *Bank
	}
	subscriptionResolver struct {
		generated.SubscriptionResolver
		b *Bank
	}
	accountResolver struct{ b *Bank }
	counterResolver struct{}
	stepResolver    struct{ b *Bank }
)

func (r resolver) Account() generated.AccountResolver   { return accountResolver{r.b} }
func (resolver) Counter() generated.CounterResolver     { return counterResolver{} }
func (r resolver) Mutation() generated.MutationResolver { return mutationResolver{b: r.b} }
func (r resolver) Query() generated.QueryResolver       { return queryResolver{b: r.b} }
func (r resolver) Step() generated.StepResolver         { return stepResolver{r.b} }

func (r resolver) Subscription() generated.SubscriptionResolver {
	return subscriptionResolver{b: r.b}
}

func (b *Bank) run(ctx context.Context, name string) (*schematest.Step, error) {
	fn, ok := b.steps.Load(name)
	if !ok {
		return nil, fmt.Errorf("no step %s", name)
	}
	value, err := fn.(func(context.Context) (int, error))(ctx)
	if err != nil {
		return nil, err
	}
	return &schematest.Step{Value: value, Loud: &schematest.Loud{}}, nil
}

func (r queryResolver) Run(ctx context.Context, step string) (*schematest.Step, error) {
	return r.b.run(ctx, step)
}

func (r mutationResolver) Run(ctx context.Context, step string) (*schematest.Step, error) {
	return r.b.run(ctx, step)
}

func (r stepResolver) Run(ctx context.Context, _ *schematest.Step, step string) (*schematest.Step, error) {
	return r.b.run(ctx, step)
}

func (r accountResolver) Run(ctx context.Context, _ *schematest.Account, step string) (*schematest.Step, error) {
	return r.b.run(ctx, step)
}

func (stepResolver) Account(ctx context.Context, _ *schematest.Step, id int) (*schematest.Account, error) {
	return account(ctx, id)
}

func account(ctx context.Context, id int) (*schematest.Account, error) {
	var a schematest.Account
	return &a, session.DB(ctx).Where("id = ?", id).Take(&a).Error
}

func (queryResolver) Account(ctx context.Context, id int) (*schematest.Account, error) {
	return account(ctx, id)
}

func (queryResolver) Accounts(ctx context.Context) ([]*schematest.Account, error) {
	var accounts []*schematest.Account
	err := session.DB(ctx).Order("id").Find(&accounts).Error
	return accounts, err
}

func (queryResolver) Counter(_ context.Context, id int) (*schematest.Counter, error) {
	return &schematest.Counter{ID: id}, nil
}

func (counterResolver) Value(ctx context.Context, c *schematest.Counter) (int, error) {
	var stored schematest.Counter
	err := session.DB(ctx).Where("id = ?", c.ID).Take(&stored).Error
	return stored.Value, err
}

func (accountResolver) Peer(ctx context.Context, _ *schematest.Account, id int) (*schematest.Account, error) {
	return ctx.Value(loaderKey{}).(*dataloader.Loader[int, *schematest.Account]).Load(ctx, id)()
}

// Transfer locks the accounts in the order given, so that opposite transfers are a deadlock.
func (mutationResolver) Transfer(ctx context.Context, from, to, amount int) ([]*schematest.Account, error) {
	db := session.DB(ctx)
	if err := Add(db, "accounts", "balance", from, -amount); err != nil {
		return nil, err
	}
	if err := Add(db, "accounts", "balance", to, amount); err != nil {
		return nil, err
	}
	var accounts []*schematest.Account
	err := db.Where("id IN ?", []int{from, to}).Order("id").Find(&accounts).Error
	return accounts, err
}

func (mutationResolver) Increment(ctx context.Context, id, by int) (*schematest.Counter, error) {
	if err := Add(session.DB(ctx), "counters", "value", id, by); err != nil {
		return nil, err
	}
	return &schematest.Counter{ID: id}, nil
}

func (r mutationResolver) Adjust(ctx context.Context, input schematest.Adjustment) (*schematest.Counter, error) {
	session.AfterCommit(ctx, r.b.adjusted.add)
	return r.Increment(ctx, input.ID, 1)
}

func (r mutationResolver) Rehearse(ctx context.Context, input schematest.Adjustment) (*schematest.Counter, error) {
	return r.Adjust(ctx, input)
}

// Add adds to a column of a row.
func Add(db *gorm.DB, table, column string, id, by int) error {
	return db.Exec(fmt.Sprintf("UPDATE %s SET %s = %s + ? WHERE id = ?", table, column, column), by, id).Error
}

// CounterChanged sends an event for each id in Events, whatever id it is asked for; id 0 is refused. A step
// "subscribe", if there is one, is run first.
func (r subscriptionResolver) CounterChanged(ctx context.Context, id int) (<-chan *schematest.Counter, error) {
	if id == 0 {
		_ = session.DB(ctx).Find(&[]schematest.Counter{})
		return nil, fmt.Errorf("no counter 0")
	}
	if _, ok := r.b.steps.Load("subscribe"); ok {
		if _, err := r.b.run(ctx, "subscribe"); err != nil {
			return nil, err
		}
	}
	events := make(chan *schematest.Counter)
	go func() {
		defer close(events)
		for {
			select {
			case id, ok := <-r.b.Events:
				if !ok {
					return
				}
				select {
				case events <- &schematest.Counter{ID: id}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return events, nil
}

type loaderKey struct{}

// Siblings is how many keys make the loader of peers send a batch.
const Siblings = 20

// bindLoader gives an operation a loader that sends its batch at the Siblings-th key.
func bindLoader(ctx context.Context, _ []*graphql.OperationContext) context.Context {
	load := func(_ context.Context, ids []int) []*dataloader.Result[*schematest.Account] {
		var accounts []*schematest.Account
		err := session.DB(ctx).Where("id IN ?", ids).Find(&accounts).Error
		results := make([]*dataloader.Result[*schematest.Account], len(ids))
		for i, id := range ids {
			results[i] = &dataloader.Result[*schematest.Account]{Error: err}
			for _, a := range accounts {
				if a.ID == id {
					results[i].Data = a
				}
			}
		}
		return results
	}
	loader := dataloader.NewBatchedLoader(load,
		dataloader.WithWait[int, *schematest.Account](time.Minute), dataloader.WithBatchCapacity[int, *schematest.Account](Siblings))
	return context.WithValue(ctx, loaderKey{}, loader)
}
