package graph

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/apitoken"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/directory"
	"rollcall/document"
	"rollcall/graph/generated"
	"rollcall/idempotency"
	"rollcall/keyset"
	"rollcall/limit"
	"rollcall/operation"
	"rollcall/ratelimit"
	"rollcall/session"
	"rollcall/transport"
	"rollcall/validation"
	"rollcall/webhook"
)

// Config is what the API needs.
type Config struct {
	Database *database.Database
	Replicas *database.Replicas // at which queries are read; nil: there are none
	AfterFor time.Duration      // see transport.HTTP
	Proof    *session.Proof     // of commits; nil: none
	Keys     *idempotency.Keys  // nil: mutations have none
	Deadline time.Duration      // of an operation; 0: none
	MaxPage  int                // max items of a page
	MaxBatch int                // max operations of an array; 0: no arrays
	MaxDepth int                // max fields below each other in a document; 0: 15
	MaxCost  int                // max cost of an operation; 0: 100,000
	Logger   *slog.Logger

	Documents     *document.Listed // that clients may name; nil: none
	DocumentsOnly bool             // no others are run
	// Persisted keeps the documents that clients register by their hashes for all servers; nil: each server keeps its own.
	Persisted document.Store

	Concurrency int  // requests that run at once, beside four times as many that wait; 0: any number
	Production  bool // no introspection, and no suggestions in errors

	ClientConcurrency int // those of one client that run at once; 0: any number
	Rate              int // what each client may ask for in a minute, in units of cost; 0: any amount
	RateBurst         int // what one may ask for at once, after it has asked for nothing; 0: that of a minute
	MaxStreams        int // streams of one client that are open at once, and WebSockets; 0: any number
	// Client returns the address of whoever sends a request, which is whom limits are for where the viewer is anonymous or there is none; nil:
	// that of the connection.
	Client func(*http.Request) netip.Addr

	// Program returns a text that each program has of its own, and all servers of one have in common, so that the ETags of another
	// version do not count; nil: all have the same.
	Program func() string

	// Viewer wraps the API with what finds out who sends a request and puts that into its context; nil: nothing does. With it, an operation
	// without a viewer is refused.
	Viewer func(http.Handler) http.Handler
	// SocketViewer does the same by the payload of a WebSocket's connection_init: see transport.WebSocket.Init.
	SocketViewer func(ctx context.Context, payload map[string]any) (context.Context, map[string]any, error)
	// Until tells when a viewer ceases to be one who has a subscription or a WebSocket open; nil: none does.
	Until transport.Until
	// Refused is told of each answer that has an error by which a viewer was refused, with the first of these; nil: nothing is.
	Refused func(ctx context.Context, operation string, code apierror.Code, reason string)

	Observe func(session.Operation, operation.Report) // is told of each operation, once; nil: nothing is
	// Ended and Trace are those of operation.Extension.
	Ended func(context.Context, session.Operation, operation.Report, operation.Sent)
	Trace func(*graphql.OperationContext) *session.Trace
	// TraceBatches has batch.TraceOf tell of the batches of each operation, for Ended.
	TraceBatches bool

	Log      *changelog.Log      // of the database; nil: one of the handler's own
	Follower *changelog.Follower // of the log, for subscriptions; nil: one of the handler's own
	Bookmark time.Duration       // the longest time without an event of Subscription.changes; 0: 30 s
	Webhooks *webhook.Webhooks   // of the database; nil: it is not told of any

	Policy access.Policy // decides what viewers may do whatever the object is; nil: access.Roles

	// CheckOrigin reports whether a page may open a WebSocket; nil: one of the same host may.
	CheckOrigin func(*http.Request) bool
}

// maxBody is how many bytes a request's body may have.
const maxBody = 1 << 20

// documents is about how many bytes of parsed and validated documents are kept, and texts how many of persisted documents.
const (
	documents = 64 << 20
	texts     = 16 << 20
)

// API is the GraphQL API.
type API struct {
	http.Handler
	// Clients are whom limits are for. What is served beside the API may share these.
	Clients *ratelimit.Clients
	// Fallbacks and Resolved count what the read plan did not cover: batches and whole queries.
	Fallbacks, Resolved func() int64
	// Cost returns what a valid operation costs.
	Cost func(*graphql.OperationContext) int
	// Check returns an error that names the columns that the database does not have.
	Check func(ctx context.Context) error

	streams   *transport.HTTP
	sockets   *transport.WebSocket
	automatic *document.Automatic // nil: only listed documents are run
}

// Shutdown ends what is open for longer than an answer takes: streams and sockets. Their clients know to ask again. It
// returns once the sockets are closed, or with an error when ctx ends before.
func (a *API) Shutdown(ctx context.Context) error {
	a.Clients.Delays.End()
	a.streams.Shutdown()
	return a.sockets.Shutdown(ctx)
}

// Drain waits until the documents that clients have registered are stored for all servers, or until ctx ends.
func (a *API) Drain(ctx context.Context) { a.automatic.Drain(ctx) }

// Streams returns how many answers over HTTP are open that come in parts.
func (a *API) Streams() int { return a.streams.Streams() }

// Sockets returns how many WebSockets are open.
func (a *API) Sockets() int { return a.sockets.Sockets() }

// Admit waits until a request that is not GraphQL may run, as one of those of Config.Concurrency; leave is to be called once its answer is ready to be
// sent. The error is that there are too many, or the cause of ctx.
func (a *API) Admit(ctx context.Context) (leave func(), err error) { return a.streams.Gate.Enter(ctx) }

// Running returns how many requests run, of those that Config.Concurrency admits.
func (a *API) Running() int { return a.streams.Gate.Running() }

// Waiting returns how many requests wait to be admitted.
func (a *API) Waiting() int { return a.streams.Gate.Waiting() }

// NotModified returns how many requests were answered with 304, without running their operations.
func (a *API) NotModified() int64 { return a.streams.NotModified() }

// NewHandler returns the GraphQL API.
func NewHandler(cfg Config) *API { return newHandler(cfg, true) }

// newHandler returns the API with its queries answered from the read plan, or by the resolvers alone.
func newHandler(cfg Config, planned bool) *API {
	present := presenter{cfg.Logger, cfg.Deadline, cfg.Production}.present
	if cfg.Log == nil {
		cfg.Log = &changelog.Log{DB: cfg.Database.Side, Dialect: cfg.Database.Dialect(), Logger: cfg.Logger}
	}
	if cfg.Follower == nil {
		cfg.Follower = changelog.NewFollower(cfg.Log, changelog.FollowOptions{Reads: cfg.Database.Pools()["read"]})
	}
	d := directory.New(directory.Config{MaxPage: cfg.MaxPage, Proof: cfg.Proof, Log: cfg.Log, Policy: cfg.Policy})
	d.Plan.Event = nameEvent
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &Resolver{
		Directory: d, webhooks: cfg.Webhooks, tokens: &apitoken.Tokens{Directory: d}, Follower: cfg.Follower, Bookmark: cmp.Or(cfg.Bookmark, 30*time.Second),
	}})
	if planned {
		schema = d.Plan.Answers(schema)
	}
	srv := handler.New(schema)
	clients := cfg.clients()
	gate := cfg.gate(clients)
	cost := cfg.cost(d, clients)
	limits := limits(clients, cost)
	api := &API{
		Clients:   clients,
		Cost:      func(oc *graphql.OperationContext) int { return cost.Sum([]*graphql.OperationContext{oc}) },
		Fallbacks: d.Plan.Fallbacks, Resolved: d.Plan.Resolved,
		Check:   func(ctx context.Context) error { return d.Check(ctx, cfg.Database.Side) },
		streams: &transport.HTTP{MaxBody: maxBody, MaxBatch: cfg.MaxBatch, Gate: gate, CheckBatch: cost.CheckBatch, Documents: cfg.Documents, Limits: limits, Until: cfg.Until, AfterFor: cfg.AfterFor},
		sockets: &transport.WebSocket{MaxMessage: maxBody, CheckOrigin: cfg.CheckOrigin, Init: cfg.SocketViewer, Gate: gate, Limits: limits, Until: cfg.Until},
	}
	srv.AddTransport(api.sockets)
	srv.AddTransport(api.streams)
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(recovered)
	api.automatic = cfg.readDocuments(srv, schema.Schema(), clients)
	srv.Use(viewers{required: cfg.Viewer != nil, refused: cfg.Refused})
	srv.Use(cost)
	reports := newReports(d.Plan, cfg.Production, cfg.TraceBatches, api.Cost)
	srv.Use(reports)
	srv.AroundResponses(boundErrors)
	srv.AroundResponses(tellEnd)
	srv.Use(d.Plan)
	srv.Use(d.Access())
	pools := cfg.pools()
	api.streams.Validators = cfg.validators(pools)
	extension := cfg.extension(d, pools)
	extension.ErrorPresenter, extension.Trace, extension.Explain = present, reports.traceOr(cfg.Trace), reports.explain
	api.Handler = operation.Handler(srv, extension)
	if cfg.Viewer != nil {
		api.Handler = cfg.Viewer(api.Handler)
	}
	api.Handler = clients.Handler(api.Handler) // before it is known who the viewer is: whoever is refused has an address
	return api
}

// extension is what gives operations their sessions.
func (cfg Config) extension(d *directory.Directory, pools session.Pools) operation.Extension {
	return operation.Extension{
		Pools:   pools,
		Bind:    d.Bind,
		Keys:    cfg.Keys,
		DryRun:  "input.dryRun",
		Unkept:  []string{"createApiToken"},
		Current: []string{"changes", "history"}, // a client may have a cursor to which a replica has not got, and there changes are without positions
		CatchUp: cfg.Database.CatchUp,
		Repeat:  d.Plan.Repeat,
		Observe: cfg.Observe,
		Ended:   cfg.Ended,
	}
}

// pools are those of the database.
func (cfg Config) pools() session.Pools {
	return session.Pools{
		Choose:   cfg.choose(),
		Write:    cfg.Database.Write,
		Read:     cfg.Database.Read,
		Side:     cfg.Database.Side,
		Proof:    cfg.Proof,
		Deadline: cfg.Deadline,
		Moves:    cfg.Database.Several(),
		Logger:   cfg.Logger,
	}
}

// choose returns what chooses the replica that a query reads at; nil: there is none.
func (cfg Config) choose() func(context.Context, session.Needs) session.Replica {
	if cfg.Replicas == nil {
		return nil
	}
	return func(ctx context.Context, needs session.Needs) session.Replica {
		if replica := cfg.Replicas.Choose(ctx, needs.After, needs.Current); replica != nil {
			return replica
		}
		return nil
	}
}

// cost finds what operations cost, and refuses those that cost too much.
func (cfg Config) cost(d *directory.Directory, clients *ratelimit.Clients) *limit.Cost {
	return &limit.Cost{
		Max: cfg.maxCost(clients), Sizes: d.Sizes, Inputs: d.Inputs, Searches: d.Searches, Counts: d.Counts, MaxCount: keyset.MaxCount,
		Page: keyset.DefaultSize, MaxPage: cfg.MaxPage, TooLong: func(argument string, items int) error { return keyset.TooLong(argument, items, cfg.MaxPage) },
	}
}

// readDocuments sets up how a server finds, bounds and checks documents. It returns those that clients register.
func (cfg Config) readDocuments(srv *handler.Server, schema *ast.Schema, clients *ratelimit.Clients) *document.Automatic {
	automatic := cfg.automatic(clients)
	rules := validation.Rules
	if cfg.Production {
		rules = validation.WithoutIntrospection
	} else {
		srv.Use(introspection{schema})
	}
	parsed := limit.NewCache(documents, limit.Bytes)
	srv.SetQueryCache(parsed)
	srv.SetValidationRulesFn(rules)
	srv.Use(document.Extension{
		Listed: cfg.Documents, ListedOnly: cfg.DocumentsOnly, Rules: rules, Logger: cfg.Logger,
		Automatic: automatic,
	})
	srv.Use(&limit.Documents{Cache: parsed, Rules: rules, Check: validation.Request, Depth: cfg.MaxDepth})
	return automatic
}

// Documents that one client may have stored for all servers: as many at once, and then as many in an hour. An app has some hundreds, and whoever renders pages
// for others registers all of them.
const (
	registrations       = 1_000
	registrationsHourly = 60
)

// automatic keeps the documents that clients register by their hashes.
func (cfg Config) automatic(clients *ratelimit.Clients) *document.Automatic {
	if cfg.DocumentsOnly {
		return nil
	}
	admitted := ratelimit.New(ratelimit.Options{PerMinute: registrationsHourly / 60, Burst: registrations})
	return &document.Automatic{
		Memory: limit.NewCache(texts, func(hash string, text *document.Text) int { return 500 + len(hash) + text.Len() }),
		Store:  cfg.Persisted,
		Admit:  func(ctx context.Context) bool { return admitted.Take(clients.Of(ctx), 1).Granted },
		Logger: cfg.Logger,
	}
}

// gate admits as many requests as may run and wait; nil: all.
func (cfg Config) gate(clients *ratelimit.Clients) *transport.Gate {
	if cfg.Concurrency <= 0 {
		return nil
	}
	gate := transport.NewGate(cfg.Concurrency, 4*cfg.Concurrency, cfg.Deadline)
	gate.Clients = clients
	gate.MaxRunning = cfg.ClientConcurrency
	return gate
}
