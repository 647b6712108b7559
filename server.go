// Rollcall serves a directory of users over GraphQL.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"rollcall/database"
	"rollcall/document"
	"rollcall/graph"
	"rollcall/metrics"
	"rollcall/session"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	cfg, err := parse(os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		err = run(ctx, cfg)
	}
	if err != nil && !errors.Is(err, errHelped) {
		fmt.Fprintln(os.Stderr, "rollcall:", strings.Join(strings.Fields(err.Error()), " ")) // some drivers' have many lines
		os.Exit(1)
	}
}

// run carries out a command. It returns nil once ctx has ended it in good order.
func run(ctx context.Context, cfg config) error {
	if cfg.command == "version" {
		_, err := fmt.Fprintln(cfg.out, version())
		return err
	}
	log := cfg.logger()
	tuneMemory(log)
	if cfg.command == "migrate" {
		return migrate(ctx, cfg, log)
	}
	e, err := equip(ctx, cfg)
	if err != nil {
		return err
	}
	defer e.close()
	db, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := prepare(ctx, cfg, db, log); err != nil {
		return err
	}
	return serve(ctx, cfg, e, db, log)
}

// equipment is what a server needs besides its database. All of it is got before anything is written there, so that a start
// that fails for want of it leaves no trace.
type equipment struct {
	listener, metrics *net.TCPListener // whoever connects waits until the server serves; metrics is nil where there are none
	encryption        *tls.Config
	documents         map[string]string
}

func equip(ctx context.Context, cfg config) (e equipment, err error) {
	if e.encryption, err = cfg.encryption(); err != nil {
		return e, err
	}
	if e.documents, err = document.ReadFile(cfg.Documents); err != nil {
		return e, fmt.Errorf("--documents: %w", err)
	}
	if e.listener, err = listenOn(ctx, "--listen", cfg.Listen); err != nil || cfg.Metrics == "" {
		return e, err
	}
	if e.metrics, err = listenOn(ctx, "--metrics", cfg.Metrics); err != nil {
		e.close()
	}
	return e, err
}

func (e equipment) close() {
	_ = e.listener.Close()
	if e.metrics != nil {
		_ = e.metrics.Close()
	}
}

func open(ctx context.Context, cfg config, log *slog.Logger) (*database.Database, error) {
	options := database.Options{PoolSize: cfg.PoolSize, Deadline: cfg.Deadline}
	if cfg.Echo {
		options.Logger = session.Echo(log)
	}
	db, err := database.Open(ctx, cfg.Database, options)
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	return db, nil
}

func migrate(ctx context.Context, cfg config, log *slog.Logger) error {
	db, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	applied, err := db.Migrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	clashes, err := db.SpellEmails(ctx) // again, as what an operator has done about clashes may let it
	if err != nil {
		return fmt.Errorf("migrate: the emails cannot be rewritten: %w", err)
	}
	_, _ = fmt.Fprintf(cfg.out, "The schema is up to date; migrations applied: %d.\n", applied)
	for _, clash := range clashes {
		_, _ = fmt.Fprintln(cfg.out, clash)
	}
	return nil
}

// prepare makes sure of the schema and of the demo data.
func prepare(ctx context.Context, cfg config, db *database.Database, log *slog.Logger) error {
	if cfg.DoMigrate || db.Dialect() == "sqlite" {
		applied, err := db.Migrate(ctx)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if applied > 0 {
			warnOfClashes(ctx, db, log)
		}
	} else if err := db.CheckSchema(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	settings, err := db.Lossy(ctx)
	if err != nil {
		log.Warn("cannot tell whether the database keeps what it acknowledges", "error", err)
	}
	for _, setting := range settings {
		log.Warn("a crash of the database may take mutations with it that were acknowledged", "setting", setting)
	}
	if !cfg.Demo {
		return nil
	}
	loaded, err := db.LoadDemo(ctx)
	if err != nil {
		return fmt.Errorf("--demo: %w", err)
	}
	if !loaded {
		_, err = fmt.Fprintln(cfg.out, "The directory has users already: no demo data was loaded.")
	}
	return err
}

// warnOfClashes logs which users have one email, as far as migrations have met them. It keeps nobody from serving.
func warnOfClashes(ctx context.Context, db *database.Database, log *slog.Logger) {
	const most = 100
	clashes, err := db.SpellEmails(ctx)
	if err != nil {
		log.Warn("cannot tell whether users share an email", "error", err)
	}
	for _, clash := range clashes[:min(most, len(clashes))] {
		log.Warn("two users have one email", "users", clash.String())
	}
	if more := len(clashes) - most; more > 0 {
		log.Warn("more users share an email: `rollcall migrate` lists them", "more", more)
	}
}

// serve answers requests until ctx ends, then lets those in flight finish.
func serve(ctx context.Context, cfg config, e equipment, db *database.Database, log *slog.Logger) error {
	proof := commitProof(cfg, db)
	checks, counts := &health{db: db, log: log}, metrics.New(db.Pools())
	handler, api, err := newHandler(cfg, e.documents, db, proof, checks, counts, log)
	if err != nil {
		return err
	}
	defer serveMetrics(cfg, e.metrics, counts, log)()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      cfg.Deadline + 30*time.Second, // those of the API's answers begin when they do
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Protocols:         &http.Protocols{},
		TLSConfig:         e.encryption,
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if proof != nil {
		go proof.SweepEvery(ctx, time.Hour, func(err error) { log.Warn("cannot sweep old operation ids", "error", err) })
	}
	l := &life{Server: server, listener: e.listener, api: api, health: checks, db: db, log: log}
	l.begin()
	announce(cfg, e.listener.Addr())
	select {
	case err := <-l.served:
		return err
	case <-ctx.Done():
	}
	l.end(cfg.shutdownTimeout())
	return nil
}

// commitProof is what lets the fate of a mutation be known whose connection is lost at COMMIT. SQLite has none.
func commitProof(cfg config, db *database.Database) *session.Proof {
	if cfg.Proof == "off" || db.Dialect() == "sqlite" {
		return nil
	}
	return &session.Proof{DB: db.Side, Dialect: db.Dialect()}
}

// serveMetrics serves them on a listener of their own, if there is one, until the function is called that it returns.
func serveMetrics(cfg config, listener *net.TCPListener, counts *metrics.Metrics, log *slog.Logger) (end func()) {
	if listener == nil {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", counts)
	server := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() { _ = server.Serve(listener) }()
	also := ""
	if reachable(listener.Addr()) != listener.Addr().String() {
		also = " (and on this machine's other addresses)"
	}
	_, _ = fmt.Fprintf(cfg.out, "Metrics are at http://%s/metrics%s\n", reachable(listener.Addr()), also)
	return func() { _ = server.Close() }
}

// listenOn listens on the address that a flag gives.
func listenOn(ctx context.Context, flag, address string) (*net.TCPListener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program: choose another port, or 0 for any", flag, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is not an address of this machine", flag, address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: this user may not listen at %s: choose a port above 1023", flag, address)
	case errors.As(err, &dns):
		return nil, fmt.Errorf("%s: no host of the name %q is known", flag, dns.Name)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return listener.(*net.TCPListener), nil // as those of tcp are
}

// newHandler routes the API, the Playground and the probes.
func newHandler(cfg config, documents map[string]string, db *database.Database, proof *session.Proof, checks *health, counts *metrics.Metrics, log *slog.Logger) (http.Handler, *graph.API, error) {
	page, err := graph.NewPlayground()
	if err != nil {
		return nil, nil, err
	}
	api := graph.NewHandler(graph.Config{
		Database: db,
		Proof:    proof,
		Deadline: cfg.Deadline,
		MaxPage:  cfg.MaxPage,
		MaxBatch: cfg.MaxBatch,
		MaxDepth: cfg.MaxDepth,
		MaxCost:  cfg.MaxCost,

		Documents:     documents,
		DocumentsOnly: cfg.OnlyThese,
		CheckOrigin:   cfg.socketOrigins(),
		Concurrency:   cfg.Concurrency,
		Production:    cfg.Production,
		Observe:       counts.Observe,
		Logger:        log,
	})
	counts.Gauge("rollcall_open_streams", "Answers in parts that are open.", api.Streams, "transport", "http")
	counts.Gauge("rollcall_open_streams", "Answers in parts that are open.", api.Sockets, "transport", "websocket")
	counts.Gauge("rollcall_requests", "Requests that have been admitted, and that wait for that.", api.Running, "state", "running")
	counts.Gauge("rollcall_requests", "Requests that have been admitted, and that wait for that.", api.Waiting, "state", "waiting")
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle("/query", api)
	mux.Handle("/query/{$}", api) // as some clients and proxies write it
	mux.HandleFunc("/healthz", checks.alive)
	mux.HandleFunc("/readyz", checks.ready)
	h, err := web(cfg, mux)
	return h, api, err
}

// announce prints where the server is, and a query to try.
func announce(cfg config, addr net.Addr) {
	base := "http://" + reachable(addr)
	if cfg.TLSCert != "" {
		base = "https://" + reachable(addr)
	}
	_, _ = fmt.Fprintf(cfg.out, `Rollcall serves %s
  Playground  %s/
  API         %s/query
Try:
  curl %s/query -H 'Content-Type: application/json' \
    -d '{"query": "{ user(id: \"User:42\") { name manager { name } teams { nodes { name } } } }"}'
`, redacted(cfg.Database), base, base, base)
}

// reachable names an address that a client on this machine can use.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

// redacted is a database's URL without what is secret in it.
func redacted(database string) string {
	u, err := url.Parse(database)
	if err != nil || u.Host == "" {
		scheme, rest, _ := strings.Cut(database, ":")
		if scheme == "sqlite" {
			return scheme + ":" + rest
		}
		return scheme
	}
	u.RawQuery = ""
	return u.Redacted()
}
