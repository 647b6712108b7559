// Rollcall serves a directory of users over GraphQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/klauspost/compress/gzhttp"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/apitoken"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/directory"
	"rollcall/document"
	"rollcall/graph"
	"rollcall/idempotency"
	"rollcall/identity"
	"rollcall/metrics"
	"rollcall/persisted"
	"rollcall/provisioning"
	"rollcall/scim"
	"rollcall/session"
	"rollcall/tracing"
	"rollcall/webhook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // so that none ends a server, even one that starts
	cfg, err := parse(os.Args[1:], os.Stdout, os.Stderr)
	if cfg.hangups = hangups; cfg.command != "serve" {
		signal.Reset(syscall.SIGHUP)
	}
	if err == nil {
		err = run(ctx, cfg)
	}
	if err != nil && !errors.Is(err, errHelped) {
		cfg.fail(err)
		os.Exit(1)
	}
}

// run carries out a command. It returns nil once ctx has ended it in good order.
func run(ctx context.Context, cfg config) (err error) {
	if cfg.command == "version" {
		_, err := fmt.Fprintln(cfg.out, version())
		return err
	}
	s := &service{config: cfg, began: time.Now(), level: &slog.LevelVar{}}
	s.level.Set(cfg.level())
	s.log = cfg.logger(s.level)
	tuneMemory(s.log)
	if cfg.command == "serve" {
		s.log.Info("starting", "version", version(), "database", redacted(cfg.Database))
		defer func() { // after all else
			if err == nil {
				s.log.Info("stopped", "after", time.Since(s.began))
			}
		}()
	}
	steps := []func(context.Context) error{s.acquire, s.open, s.trace, s.assemble, s.prepare, s.serve}
	switch cfg.command {
	case "check":
		steps = []func(context.Context) error{s.check}
	case "migrate":
		steps = []func(context.Context) error{s.open, s.migrate}
	case "import":
		steps = []func(context.Context) error{s.open, s.importFile}
	case "export":
		steps = []func(context.Context) error{s.thereIs, s.open, s.export}
	case "backup":
		steps = []func(context.Context) error{s.thereIs, s.open, s.backup}
	case "webhook enable":
		steps = []func(context.Context) error{s.thereIs, s.open, s.enableWebhook}
	case "token create":
		steps = []func(context.Context) error{s.thereIs, s.open, s.createToken}
	case "token list":
		steps = []func(context.Context) error{s.thereIs, s.open, s.listTokens}
	case "token revoke":
		steps = []func(context.Context) error{s.thereIs, s.open, s.revokeTokens}
	}
	defer s.close()
	for _, step := range steps {
		err := step(ctx)
		if cfg.command == "serve" && ctx.Err() != nil {
			return nil // it was told to end, perhaps while it starts
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// service is what a command works with: the flags, and what it has made of them.
type service struct {
	config
	log   *slog.Logger
	level *slog.LevelVar // log's
	began time.Time
	db    *database.Database

	replicas *database.Replicas // nil: there are none

	certificate *currentCertificate // nil: none
	documents   *document.Listed
	listener    *net.TCPListener // clients that connect to it wait until the server serves
	metrics     *net.TCPListener // nil: they are not served
	receivers   []webhook.Receiver

	proof    *session.Proof // nil: there is none
	keys     *idempotency.Keys
	changes  *changelog.Log
	webhooks *webhook.Webhooks
	tokens   *apitoken.Tokens
	kept     *persisted.Store
	health   *health
	counts   *metrics.Metrics
	counted  []string // webhooks, by their names, that counts tells of

	operations *operationLog
	tracer     *tracing.Tracer // nil: nobody asks for traces

	handler http.Handler
	api     *graph.API
	viewers *identity.Authenticator
}

// acquire gets what a server needs besides its database, before anything is written there: a start that fails for want of it
// leaves no trace.
func (s *service) acquire(ctx context.Context) (err error) {
	r, err := s.readable()
	if err != nil {
		return err
	}
	if r.certificate != nil {
		s.certificate = &currentCertificate{}
		s.certificate.serving.Store(r.certificate)
		r.certificate.warn(s.log)
	}
	s.documents, s.receivers = document.NewListed(r.documents), r.receivers
	if s.listener, err = listenOn(ctx, "--listen", s.Listen); err != nil || s.Metrics == "" {
		return err
	}
	s.metrics, err = listenOn(ctx, "--metrics", s.Metrics)
	return err
}

// thereIs refuses a file of SQLite that is not there, for a command that reads it: to open it would make an empty one.
func (s *service) thereIs(context.Context) error {
	path, isFile := strings.CutPrefix(s.Database, "sqlite:")
	if !isFile {
		return nil
	}
	if _, err := os.Stat(strings.TrimPrefix(path, "//")); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--database: there is no file %s: give the server's --database", path)
	}
	return nil
}

// options are those of each database that is opened.
func (s *service) options() database.Options {
	options := database.Options{PoolSize: s.PoolSize, Deadline: s.Deadline, Log: s.log}
	if s.Echo {
		options.Logger = session.Echo(s.log)
	}
	return options
}

// awaitDatabase opens the database. One that does not answer is tried again for as long as --wait says.
func (s *service) awaitDatabase(ctx context.Context) (err error) {
	const between = 500 * time.Millisecond
	told, until := false, time.Now().Add(s.Wait)
	for {
		if s.db, err = database.Open(ctx, s.Database, s.options()); err == nil {
			return nil
		}
		failure, ok := errors.AsType[*database.OpenError](err)
		if !ok || !failure.Unreachable || time.Until(until) < between {
			return err
		}
		if !told {
			s.log.Warn("the database does not answer, and is waited for", "for", s.Wait, "error", err)
			told = true
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *service) open(ctx context.Context) (err error) {
	if err = s.awaitDatabase(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	s.changes = &changelog.Log{DB: s.db.Side, Dialect: s.db.Dialect(), Keep: s.KeepChanges, Logger: s.log}
	s.webhooks = &webhook.Webhooks{DB: s.db.Side, Dialect: s.db.Dialect(), Log: s.changes, Receivers: s.receivers, Logger: s.log}
	s.tokens = &apitoken.Tokens{Reads: s.db.Pools()["read"], Writes: s.db.Side, Dialect: s.db.Dialect(), Logger: s.log}
	s.kept = &persisted.Store{Reads: s.db.Pools()["read"], Writes: s.db.Side, Dialect: s.db.Dialect()}
	if s.db.Dialect().Embedded() { // then writes queue for one connection
		s.webhooks.DB = s.db.Pools()["write"]
		s.tokens.Writes = s.webhooks.DB
		s.kept.Writes = s.webhooks.DB
	}
	s.changes.Floor = s.webhooks.Needed
	return nil
}

// close gives back what was acquired and opened. A listener that is nil can be closed.
func (s *service) close() {
	if s.replicas != nil {
		_ = s.replicas.Close()
	}
	if s.db != nil {
		_ = s.db.Close()
	}
	_ = s.listener.Close()
	_ = s.metrics.Close()
	s.endTraces()
}

func (s *service) migrate(ctx context.Context) error {
	applied, err := s.db.Migrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	schema, err := s.db.Schema(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if schema.Newer() { // what this program would derive may not be what a newer one does
		_, err = fmt.Fprintf(s.out, "The schema has version %d, newer than version %d that this rollcall knows, and allows this rollcall; "+
			"migrations applied: %d. Nothing was derived anew: that takes a newer rollcall.\n", schema.Have, schema.Want, applied)
		return err
	}
	clashes, err := s.db.SpellEmails(ctx) // again, since an operator may have resolved clashes
	if err != nil {
		return fmt.Errorf("migrate: the emails cannot be rewritten: %w", err)
	}
	if err := s.db.Derive(ctx); err != nil { // again, since rows may have been written past the server
		return fmt.Errorf("migrate: what is made of other rows cannot be written: %w", err)
	}
	_, _ = fmt.Fprintf(s.out, "The schema is up to date; migrations applied: %d.\n", applied)
	for _, clash := range clashes {
		_, _ = fmt.Fprintln(s.out, clash)
	}
	return nil
}

// enableWebhook has a disabled webhook go on.
func (s *service) enableWebhook(ctx context.Context) error {
	if err := s.db.CheckSchema(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	enable := s.config.Webhook.Enable
	lag, err := s.webhooks.Enable(ctx, enable.Name, enable.FromNow)
	if err != nil {
		return fmt.Errorf("webhook enable: in %s: %w", redacted(s.Database), err)
	}
	_, err = fmt.Fprintf(s.out, "The webhook %s is enabled; changes that its receiver does not have: %d.\n", enable.Name, lag)
	return err
}

// installed returns the pools for units of work that are not the API's. What a unit does has a deadline, or 0.
func (s *service) installed(deadline time.Duration) (session.Pools, error) {
	pools := session.Pools{Write: s.db.Write, Read: s.db.Read, Side: s.db.Side, Proof: s.proof, Deadline: deadline, Moves: s.db.Several(), Logger: s.log}
	return pools, pools.Install()
}

// proven is installed for a command that writes: its commits are proven where a connection could be lost with one.
func (s *service) proven(deadline time.Duration) (session.Pools, error) {
	if !s.db.Dialect().Embedded() {
		s.proof = s.proves()
	}
	return s.installed(deadline)
}

// proves returns a proof of commits. Of several hosts the next one may not take writes as long as the old one is missed, which takes longer than an answer may.
func (s *service) proves() *session.Proof {
	p := &session.Proof{DB: s.db.Side, Dialect: s.db.Dialect()}
	if s.db.Several() {
		p.Within = max(s.Deadline, 10*time.Second)
	}
	return p
}

// current makes sure of the schema: it is brought up to date if that is asked for, and SQLite's always is. It returns how many migrations that took.
func (s *service) current(ctx context.Context, migrate bool) (applied int, err error) {
	if !migrate && !s.db.Dialect().Embedded() {
		if err := s.db.CheckSchema(ctx); err != nil {
			return 0, fmt.Errorf("--database: %w", err)
		}
		return 0, nil
	}
	if applied, err = s.db.Migrate(ctx); err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	return applied, nil
}

// prepare makes sure of the schema and of the demo data.
func (s *service) prepare(ctx context.Context) error {
	applied, err := s.current(ctx, s.DoMigrate)
	if err != nil {
		return err
	}
	if applied > 0 {
		s.warnOfClashes(ctx)
	}
	schema, err := s.db.Schema(ctx)
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if schema.Newer() {
		s.log.Info("the database's schema is newer than this program, and allows it", "schema", schema.Have, "program", schema.Want)
	}
	settings, err := s.db.Lossy(ctx)
	if err != nil {
		s.log.Warn("cannot tell whether the database keeps what it acknowledges", "error", err)
	}
	for _, setting := range settings {
		s.log.Warn("a crash of the database may take mutations with it that were acknowledged", "setting", setting)
	}
	if !s.Demo {
		return nil
	}
	loaded, err := directory.LoadDemo(ctx, session.Pools{Write: s.db.Write, Side: s.db.Side, Moves: s.db.Several(), Logger: s.log}, s.db.Alone)
	if err != nil {
		return fmt.Errorf("--demo: %w", err)
	}
	if !loaded {
		const already = "The directory has users already: no demo data was loaded."
		s.say(already+"\n", already)
	}
	return nil
}

// warnOfClashes logs which users share an email, as far as migrations have met them. The server serves all the same.
func (s *service) warnOfClashes(ctx context.Context) {
	const maxLogged = 100
	clashes, err := s.db.SpellEmails(ctx)
	if err != nil {
		s.log.Warn("cannot tell whether users share an email", "error", err)
	}
	for _, clash := range clashes[:min(maxLogged, len(clashes))] {
		s.log.Warn("two users have one email", "users", clash.String())
	}
	if more := len(clashes) - maxLogged; more > 0 {
		s.log.Warn("more users share an email: `rollcall migrate` lists them", "more", more)
	}
}

// serve answers requests until ctx ends, for --drain-delay longer, then lets those in flight finish.
func (s *service) serve(ctx context.Context) error {
	signalled := ctx.Done()
	ctx, part := context.WithCancel(context.WithoutCancel(ctx)) // what serves goes on during the delay
	defer part()
	if err := s.api.Check(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	if err := s.openReplicas(watching); err != nil {
		return err
	}
	if err := s.webhooks.Register(ctx); err != nil {
		return fmt.Errorf("--webhook: %w", err)
	}
	if s.proof != nil {
		go s.proof.SweepEvery(ctx, time.Hour, func(err error) { s.log.Warn("cannot sweep old operation ids", "error", err) })
	}
	pools := session.Pools{Write: s.db.Write, Side: s.db.Side, Proof: s.proof, Moves: s.db.Several(), Logger: s.log}
	go s.keys.SweepEvery(ctx, pools, time.Hour, func(err error) { s.log.Warn("cannot sweep old idempotency keys", "error", err) })
	go s.kept.SweepEvery(ctx, time.Hour, func(err error) { s.log.Warn("cannot sweep old persisted documents", "error", err) })
	go s.changes.SweepEvery(ctx, s.db.Pools()["write"], time.Hour, func(err error) { s.log.Warn("cannot sweep old changes", "error", err) })
	go s.changes.WakeEvery(ctx, time.Second, func(err error) { s.log.Warn("cannot tell whether changes were left without a position", "error", err) })
	go s.db.FoldCountsEvery(ctx, time.Second, func(err error) { s.log.Warn("cannot fold the counts of the directory", "error", err) })
	defer s.serveMetrics()()
	defer s.deliver(ctx)()
	s.number(ctx)
	s.watchViewers(ctx)
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      s.Deadline + 30*time.Second, // the API sets its own when an answer begins
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		Protocols:         &http.Protocols{},
	}
	if s.certificate != nil {
		server.TLSConfig = s.certificate.config()
		go s.certificate.watch(ctx, s.log)
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	l := &lifecycle{Server: server, listener: s.listener, api: s.api, health: s.health, db: s.db, log: s.log}
	l.begin()
	go s.reloadAt(ctx, s.hangups)
	s.announce()
	s.announceLogins()
	select {
	case err := <-l.served:
		return err
	case <-signalled:
	}
	l.delay(s.DrainDelay)
	part()
	l.end(s.shutdownTimeout())
	return nil
}

// number has the changes numbered that the demo data has, or that a server has left which died: who subscribes then is not told of them as news.
func (s *service) number(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = s.changes.SettleAll(ctx) // else WakeEvery will
}

// deliver delivers webhooks until ctx ends, or until the function that it returns is called, which waits for the end.
func (s *service) deliver(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.webhooks.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// serveMetrics serves /metrics on a listener of its own, if there is one, until the function that it returns is called.
func (s *service) serveMetrics() (end func()) {
	if s.metrics == nil {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", gzhttp.GzipHandler(s.counts))
	server := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go func() { _ = server.Serve(s.metrics) }()
	address, also := reachable(s.metrics), ""
	if address != s.metrics.Addr().String() {
		also = " (and on this machine's other addresses)"
	}
	s.say(fmt.Sprintf("Metrics are at http://%s/metrics%s\n", address, also), "metrics are served", "metrics", "http://"+address+"/metrics")
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

// assemble routes the API, the Playground and the probes, before anything is written: a program whose schema and declarations differ
// leaves no trace.
func (s *service) assemble(context.Context) (err error) {
	defer func() {
		p := recover() // of gqlgen, where an extension refuses the schema
		if refusal, ok := p.(error); ok && !errors.As(refusal, new(runtime.Error)) {
			err = refusal
		} else if p != nil {
			panic(p)
		}
	}()
	s.health, s.counts = &health{db: s.db, log: s.log}, metrics.New(s.db.Pools(), codes())
	if s.Proof == "on" && !s.db.Dialect().Embedded() { // which has no connection that a COMMIT could be lost with
		s.proof = s.proves()
	}
	s.keys, s.changes.Actor = &idempotency.Keys{Viewer: access.IdentityOf}, actor
	if s.viewers, err = s.newAuthenticator(); err != nil {
		return err
	}
	if err = s.findReplicas(); err != nil {
		return err
	}
	follower := s.newFollower()
	s.operations = &operationLog{config: s.config, tracer: s.tracer, handler: s.log.Handler(), count: s.counts.Errors, cost: func(oc *graphql.OperationContext) int { return s.api.Cost(oc) }}
	s.api = graph.NewHandler(graph.Config{
		Database: s.db,
		Replicas: s.replicas,
		AfterFor: s.afterFor(),
		Proof:    s.proof,
		Keys:     s.keys,
		Log:      s.changes,
		Follower: follower,
		Webhooks: s.webhooks,
		Deadline: s.Deadline,
		MaxPage:  s.MaxPage,
		MaxBatch: s.MaxBatch,
		MaxDepth: s.MaxDepth,
		MaxCost:  s.MaxCost,

		ClientConcurrency: s.OfOneClient,
		Client:            s.viewers.Client,
		Rate:              s.Rate,
		RateBurst:         s.RateBurst,
		MaxStreams:        s.MaxStreams,

		Documents:     s.documents,
		DocumentsOnly: s.OnlyThese,
		Persisted:     s.kept,
		CheckOrigin:   s.socketOrigins(),
		Concurrency:   s.Concurrency,
		Production:    s.Production,
		Program:       sync.OnceValue(fingerprint),
		Viewer:        s.withViewer,
		SocketViewer:  s.socketViewer,
		Until:         s.viewers.Until,
		Refused:       s.viewers.Refused,
		Observe:       s.counts.Observe,
		Ended:         s.operations.ended,
		Trace:         s.operations.trace,
		TraceBatches:  s.tracer != nil,
		Logger:        s.log,
	})
	s.count(follower)
	return s.route()
}

// count has the metrics tell what is not counted with each operation.
func (s *service) count(follower *changelog.Follower) {
	s.countRequests(follower)
	s.countLimits()
	s.changes.OnNumbered(s.webhooks.Wake)
	s.countWebhooks(s.receivers)
	for _, code := range []apierror.Code{apierror.CodeUnauthenticated, apierror.CodeForbidden} {
		s.counts.Counter("rollcall_refused_attempts_total", "Requests and operations that were refused for who has sent them, or has not said so.",
			func() int64 { return s.viewers.Refusals.Count(code) }, "code", string(code))
	}
}

// newFollower returns what follows the log for subscriptions.
func (s *service) newFollower() *changelog.Follower {
	follow := changelog.FollowOptions{Poll: s.EventsPoll, Reads: s.db.Pools()["read"]}
	if signal, ok := s.db.Signal("rollcall_changes"); ok {
		follow.Signal = signal
	}
	return changelog.NewFollower(s.changes, follow)
}

// route says what is served where.
func (s *service) route() (err error) {
	pools, err := s.installed(s.Deadline)
	if err != nil {
		return err
	}
	all, mux := http.NewServeMux(), http.NewServeMux()
	all.Handle(s.BasePath+"/", http.StripPrefix(s.BasePath, mux))
	mux.Handle("/", s.page())
	mux.Handle("/query", s.api)
	mux.Handle("/query/{$}", s.api) // as some clients and proxies write it
	mux.HandleFunc("/healthz", s.health.alive)
	mux.HandleFunc("/readyz", s.health.ready)
	s.routeSCIM(all, pools)
	s.routeMetrics(mux)
	s.handler, err = web(s.config, s.viewers.Proxies.Scheme(s.tracer.Handler(all)))
	return err
}

// scimCost is what a request of SCIM costs of what a client may ask for: about what a user costs by GraphQL with the teams that SCIM tells of, too.
const scimCost = 10

// limited lets only those requests of SCIM through for which their clients have enough left.
func (s *service) limited(h http.Handler) http.Handler {
	return s.api.Clients.Charge(h, scimCost, func(w http.ResponseWriter, status int, message string) {
		scim.WriteError(w, scim.Failed(status, "%s", message))
	})
}

// countRequests has the metrics tell of what is open and of how requests were answered.
func (s *service) countRequests(follower *changelog.Follower) {
	s.countReplicas()
	s.counts.Gauge("rollcall_ready", "1 while requests should come here, as /readyz says, else 0.", func() int {
		if s.health.unready(context.Background()) != "" {
			return 0
		}
		return 1
	})
	s.counts.Gauge("rollcall_build_info", "Always 1.", func() int { return 1 }, "version", release, "go", runtime.Version())
	s.counts.Gauge("rollcall_open_streams", "Answers in parts that are open.", s.api.Streams, "transport", "http")
	s.counts.Gauge("rollcall_open_streams", "Answers in parts that are open.", s.api.Sockets, "transport", "websocket")
	s.counts.Gauge("rollcall_requests", "Requests that have been admitted, and that wait for that.", s.api.Running, "state", "running")
	s.counts.Gauge("rollcall_requests", "Requests that have been admitted, and that wait for that.", s.api.Waiting, "state", "waiting")
	s.counts.Gauge("rollcall_subscriptions", "Subscriptions that are open.", follower.Subscribers)
	s.counts.Counter("rollcall_slow_subscriptions_total", "Subscriptions that have ended since their clients took the events too slowly.", follower.Slow)
	s.counts.Counter("rollcall_changes_reads_total", "Reads of the log of changes, each for all subscriptions.", follower.Reads)
	s.counts.Counter("rollcall_batching_fallbacks_total", "Batches that no read plan foresaw.", s.api.Fallbacks)
	s.counts.Counter("rollcall_resolved_queries_total",
		"Queries that were answered by resolvers and not from the read plan: it does not cover them, or something in them failed.", s.api.Resolved)
	s.counts.Counter("rollcall_not_modified_total", "Requests that were answered with 304: the client has the answer, and nothing was run.", s.api.NotModified)
}

// countLimits has the metrics tell of what clients were refused for asking for too much.
func (s *service) countLimits() {
	const refused = "Requests and operations that were refused since their clients had asked for too much, or had too many streams or WebSockets open."
	limiter, streams := s.api.Clients.Limiter, s.api.Clients.Streams
	sockets := s.api.Clients.Sockets
	for client, named := range map[string]bool{"viewer": true, "address": false} {
		s.counts.Counter("rollcall_rate_limited_total", refused, func() int64 { return limiter.Refused(named) }, "limit", "rate", "client", client)
		s.counts.Counter("rollcall_rate_limited_total", refused, func() int64 { return streams.Refused(named) }, "limit", "streams", "client", client)
		s.counts.Counter("rollcall_rate_limited_total", refused, func() int64 { return sockets.Refused(named) }, "limit", "sockets", "client", client)
	}
	s.counts.Gauge("rollcall_rate_delayed", "Refusals for the rate that wait before they are answered.", s.api.Clients.Delays.Waiting)
	s.counts.Gauge("rollcall_rate_buckets", "Clients that have asked for something so recently that they may not ask for as much as others at once.", limiter.Buckets)
}

// countWebhooks has the metrics tell of the webhooks that this server may deliver, and of no others.
func (s *service) countWebhooks(receivers []webhook.Receiver) {
	before := s.counted
	s.counted = nil
	for _, r := range receivers {
		s.counted = append(s.counted, r.Name)
		if !slices.Contains(before, r.Name) {
			s.countWebhook(r.Name)
		}
	}
	for _, name := range before {
		if !slices.Contains(s.counted, name) {
			s.counts.Forget("webhook", name)
		}
	}
}

// countWebhook has the metrics tell of one webhook.
func (s *service) countWebhook(name string) {
	s.counts.Gauge("rollcall_webhook_lag_changes", "Changes that the webhook's receiver does not have.", func() int { return s.webhooks.Lag(name) }, "webhook", name)
	s.counts.Gauge("rollcall_webhook_lag_seconds", "How long ago the oldest of these changes was made.", func() int { return s.webhooks.Age(name) }, "webhook", name)
	s.counts.Gauge("rollcall_webhook_disabled", "1 if the webhook is disabled, else 0.", func() int { return s.webhooks.Disabled(name) }, "webhook", name)
	for _, outcome := range webhook.Outcomes {
		s.counts.Counter("rollcall_webhook_attempts_total",
			"Requests of this server to the receiver, by outcome (delivered, refused: another status than 2xx, failed: no answer).",
			func() int64 { return s.webhooks.Attempts(name, outcome) }, "outcome", outcome, "webhook", name)
	}
}

// say tells something of the start: on standard output, or in the log where all output is JSON.
func (s *service) say(text, line string, attrs ...any) {
	if s.LogFormat == "json" {
		s.log.Info(line, attrs...)
		return
	}
	_, _ = io.WriteString(s.out, text)
}

// announce prints where the server is, and a query to try, which any directory has an answer to.
func (s *service) announce() {
	base := "http://" + reachable(s.listener)
	if s.certificate != nil {
		base = "https://" + reachable(s.listener)
	}
	base += s.BasePath
	s.log.Info("ready", "playground", base+"/", "api", base+"/query", "scim", base+provisioning.Base, "after", time.Since(s.began))
	credentials := ""
	if !s.localAdmin() && !s.Anonymous {
		credentials = " -H \"Authorization: Bearer $TOKEN\""
	}
	if s.LogFormat == "json" {
		return
	}
	_, _ = fmt.Fprintf(s.out, `Rollcall serves %s
  Playground  %s/
  API         %s/query
  SCIM        %s%s
Try:
  curl %s/query -H 'Content-Type: application/json'%s \
    -d '{"query": "{ users(first: 3) { totalCount nodes { id name manager { name } } } }"}'
`, redacted(s.Database), base, base, base, provisioning.Base, base, credentials)
}

// reachable is an address of a listener that a client on this machine can use.
func reachable(listener *net.TCPListener) string {
	addr := listener.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", addr.Port)
	}
	return addr.String()
}

// redacted is a database's URL without what is secret in it.
func redacted(database string) string {
	scheme, _, isURL := strings.Cut(database, ":")
	u, err := url.Parse(database)
	switch {
	case !isURL || strings.ContainsAny(scheme, " =@/"):
		return withheld
	case err == nil && u.Host != "":
		u.RawQuery = ""
		return u.Redacted()
	case scheme == "sqlite":
		return database
	}
	return scheme
}
