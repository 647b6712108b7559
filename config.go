package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"

	"rollcall/webhook"
)

// config is the command line. Every flag is an environment variable too: --pool-size is ROLLCALL_POOL_SIZE.
type config struct {
	Serve   struct{}      `cmd:"" default:"withargs" help:"Serve the API and the Playground (the default command)."`
	Migrate struct{}      `cmd:"" name:"migrate" help:"Bring the database's schema up to date, then stop."`
	Import  importCommand `cmd:"" help:"Bring users, teams and memberships in from a file, then stop."`
	Export  exportCommand `cmd:"" help:"Write the directory, or all that is held about one user, then stop."`
	Backup  backupCommand `cmd:"" help:"Copy SQLite's file, also while servers write to it, then stop."`
	Webhook struct {
		Enable struct {
			Name    string `arg:"" help:"The webhook's name."`
			FromNow bool   `env:"-" help:"Leave out what it has not sent yet: its receiver has to read everything again."`
		} `cmd:"" help:"Have a disabled webhook go on from where it has stopped, then stop."`
	} `cmd:"" help:"Look after webhooks."`
	Token   tokenCommand `cmd:"" help:"Make, list and revoke API tokens of services."`
	Check   struct{}     `cmd:"" help:"Print and try the configuration that serve would have, then stop."`
	Version struct{}     `cmd:"" help:"Print the version, then stop; --version and -v do so too."`

	Config        string        `placeholder:"FILE" help:"A file in YAML with values of these flags, such as pool-size: 8. Flags and variables beat it."`
	Database      string        `placeholder:"URL" default:"sqlite:rollcall.db" help:"Where the directory is. Default: ${default}."`
	Wait          time.Duration `placeholder:"DURATION" default:"30s" help:"How long a database that does not answer is waited for at the start. Default: ${default}."`
	Replicas      []string      `name:"replica" sep:"none" placeholder:"URL" help:"A replica of that database, at which queries are read while it is not too far behind; again for each."`
	MaxLag        time.Duration `placeholder:"DURATION" default:"10s" help:"How far a replica may be behind. Default: ${default}."`
	PoolSize      int           `placeholder:"N" default:"16" help:"Most connections for reads, and as many again for mutations (on SQLite: one). The server's own needs take up to 5 more. Default: ${default}."`
	LogFormat     string        `placeholder:"FORMAT" enum:"text,json" default:"text" help:"How the log is written, on standard error: text or json. Default: ${default}."`
	LogLevel      string        `placeholder:"LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error. Default: ${default}."`
	Echo          bool          `help:"Log each SQL statement, at level info, with its operation's name and id, its duration and its rows. It shows values too, such as names and emails."`
	LogOperations string        `name:"log-operations" placeholder:"WHICH" enum:"all,slow,failed,off" default:"slow" help:"Which operations the log has a line of, whatever --log-level says: all, slow (those of --slow, and those that failed or were refused), failed, or off. Default: ${default}."`
	Slow          time.Duration `placeholder:"DURATION" default:"500ms" help:"From how long on an operation is slow: its line has its SQL statements. 0: none is. Default: ${default}."`
	LogValues     bool          `name:"log-values" help:"Have these statements with their values, such as names and emails."`
	Listen        string        `placeholder:"HOST:PORT" default:"127.0.0.1:8080" help:"Where to serve. Without a host: on every address; port 0: any that is free. Default: ${default}."`
	BasePath      string        `placeholder:"PATH" help:"The path below which all is served, /readyz too, such as /api. Default: none."`
	Deadline      time.Duration `placeholder:"DURATION" default:"10s" help:"How long an operation may take. Default: ${default}."`
	Proof         string        `name:"commit-proof" placeholder:"on|off" enum:"on,off" default:"on" help:"Whether each mutation stores its id, so that its fate is known even if the connection is lost while it is stored; SQLite needs none. Default: ${default}."`
	MaxPage       int           `placeholder:"N" default:"100" help:"Most items that a page may hold. Default: ${default}."`
	MaxBatch      int           `placeholder:"N" default:"50" help:"Most operations that one request may hold, as an array; 0 allows no arrays. Default: ${default}."`
	MaxDepth      int           `placeholder:"N" default:"15" help:"Most fields below each other in a document. Default: ${default}."`
	MaxCost       int           `placeholder:"N" default:"100000" help:"Most that an operation may cost, and an array of them: 1 for each object that the answer may have, a tenth for each other value. Default: ${default}."`
	Documents     string        `placeholder:"FILE" help:"Documents that clients may name by an id instead of sending them: a manifest of Relay, Apollo or GraphQL Code Generator."`
	OnlyThese     bool          `name:"documents-only" help:"Refuse every document that is not in --documents, so the Playground's too."`
	CORSOrigin    []string      `placeholder:"ORIGIN" help:"Origins whose pages may use the API, such as https://example.com; https://*.example.com is all below a domain, * is all."`
	TLSCert       string        `placeholder:"FILE" help:"The certificate, in PEM, to serve HTTPS with; --tls-key goes with it. It is read again when it changes."`
	TLSKey        string        `placeholder:"FILE" help:"The certificate's private key, in PEM."`
	Concurrency   int           `placeholder:"N" default:"128" help:"Most requests that run at once; four times as many may wait, and more are refused. Default: ${default}."`
	OfOneClient   int           `name:"client-concurrency" placeholder:"N" default:"0" help:"Most requests of one client that run at once; 0 is any number. Default: ${default}."`
	Rate          int           `placeholder:"N" default:"0" help:"Most that each client may ask for in a minute, in units of cost as for --max-cost; 0 is any amount. Default: ${default}."`
	RateBurst     int           `placeholder:"N" help:"Most that a client may ask for at once, after it has asked for nothing. Default: what --rate allows in a minute."`
	MaxStreams    int           `placeholder:"N" default:"1000" help:"Most streams that a client may have open at once, and most WebSockets; 0 is any number. Default: ${default}."`
	Production    bool          `help:"Answer no introspection, and suggest nothing in errors."`
	Metrics       string        `placeholder:"HOST:PORT" help:"Where to serve /metrics for Prometheus, apart from the API. Without a host: on every address, so other machines may reach it. Default: nowhere."`
	KeepChanges   time.Duration `placeholder:"DURATION" default:"720h" help:"How long the log keeps changes: whoever has not read it for longer reads the lists anew. 0 is for ever. Default: ${default}."`
	EventsPoll    time.Duration `placeholder:"DURATION" default:"25ms" help:"How often the log of changes is looked at for what other servers have changed, while there are subscriptions. Default: ${default}."`
	Shutdown      time.Duration `name:"shutdown-timeout" placeholder:"DURATION" help:"How long the server may take to end; what runs then is cancelled. Default: 5s more than the deadline."`
	DrainDelay    time.Duration `placeholder:"DURATION" default:"0s" help:"How long the server goes on as before when it is to end, while /readyz says 503 already, so that load balancers learn of it first. Default: ${default}."`
	Issuers       []string      `name:"oidc-issuer" sep:"none" placeholder:"URL" help:"An OpenID provider whose access tokens are accepted, as it calls itself; again for each."`
	Audiences     []string      `name:"oidc-audience" sep:"none" placeholder:"NAME" help:"What the provider calls this server, so that a token is for it (the claim aud); one for all providers, or again for each, in their order."`
	RolesClaim    string        `name:"oidc-roles-claim" placeholder:"CLAIM" help:"The claim that has a user's roles, or a path to it such as realm_access.roles. Without one of VIEWER, EDITOR and ADMIN there, whoever has logged in is VIEWER."`
	Roles         []string      `name:"role-name" sep:"none" placeholder:"ROLE=NAME" help:"What a provider or a proxy calls a role, such as ADMIN=directory-admins, instead of its own name; again for each."`
	LinkEmail     []string      `name:"oidc-link-email" sep:"none" placeholder:"URL" help:"A provider whose verified email addresses say which user somebody is, the first time; or proxy, for those of --trust-proxy."`
	CreateUsers   bool          `name:"oidc-create-users" help:"Create a user of whoever a provider knows, by a verified email address and a name, and the directory does not."`
	ClientID      string        `name:"oidc-client-id" placeholder:"CLIENT" help:"The public client as which people log in from the Playground, at the first --oidc-issuer."`
	Scopes        string        `name:"oidc-scopes" placeholder:"SCOPES" default:"openid profile email" help:"What that client asks for, with openid; offline_access gets refresh tokens at some providers. Default: ${default}."`
	Parameters    []string      `name:"oidc-parameter" sep:"none" placeholder:"NAME=VALUE" help:"More that it sends, so that the tokens are for this server, such as audience=NAME (Auth0) or resource=URL (RFC 8707); again for each."`
	TrustProxy    []string      `name:"trust-proxy" sep:"none" placeholder:"CIDR" help:"Addresses of proxies that are believed whom they have logged in, and for whom they forward requests; again for each."`
	ProxyLogin    string        `name:"proxy-login" placeholder:"HEADERS" enum:"x-forwarded,x-auth-request,none" default:"x-forwarded" help:"Which headers of theirs say that: x-forwarded (X-Forwarded-User, -Email, -Groups), x-auth-request (X-Auth-Request-User, -Email, -Groups), or none. Default: ${default}."`
	Anonymous     bool          `name:"allow-anonymous" help:"Let in who has no credentials, as VIEWER."`
	LocalAdmin    bool          `name:"insecure-admin" help:"Let everybody on this machine in as ADMIN, without credentials; on a loopback address only. --demo does so too where nothing else says who may come."`
	Webhooks      []string      `name:"webhook" sep:"none" placeholder:"NAME=URL" help:"Where to send all changes, in their order, as the specification Standard Webhooks has it; again for each receiver."`
	Secrets       []string      `name:"webhook-secret" sep:"none" placeholder:"NAME=SECRET" help:"What to sign them with for the webhook of that name: whsec_ and base64, or a file that holds that."`
	DoMigrate     bool          `name:"migrate" help:"Bring the schema up to date before serving. SQLite's always is."`
	Demo          bool          `help:"Load 1,000 users, 50 teams and 3,000 memberships before serving, if there are no users yet."`

	command  string
	args     []string  // the command line
	settings []setting // all flags, in the order of the help
	refused  []error   // what is wrong with them; none but for the command check, which tells of all

	hangups <-chan os.Signal // SIGHUPs; nil: none come
	out     io.Writer        // addresses and results
	err     io.Writer        // the log
}

const description = `A directory of users, served over GraphQL.

Each flag can be given as a variable too: --pool-size as ROLLCALL_POOL_SIZE. A flag beats its variable; an empty one is unset.
The file of --config, and files of secrets, are for all of them too: README.md says how.

The URL of a database is one of

	sqlite:FILE
	mysql://user:password@host:port/name?tls=true (or mariadb://)
	postgres://user:password@host:port/name?sslmode=verify-full

MySQL and MariaDB take tls, tls-ca=FILE, tls-cert=FILE and tls-key=FILE, PostgreSQL pooler=session or transaction.

Besides the limits below these are fixed: a body of 1 MiB, headers of 64 KiB; in a document 10,000 tokens and lines, nesting of
50 (of lists 8), 100 directives, 5,000 selections and values, and between the same braces about 380 fields that have the same name
or alias, fewer if they have fields of their own; variables in 50 levels; 100 operations at a time on one WebSocket; 10 s for
headers to arrive, 30 s for a body or for a client to read, two minutes idle.`

// errHelped is what parse returns after it has printed the help that was asked for.
var errHelped = errors.New("help was printed")

// parse reads the command line and the environment.
func parse(args []string, out, err io.Writer) (cfg config, parseErr error) {
	cfg = config{args: args, out: out, err: err}
	helped := false
	parser, parseErr := kong.New(&cfg,
		kong.Name("rollcall"),
		kong.Description(description),
		kong.DefaultEnvars("ROLLCALL"),
		kong.KindMapper(reflect.Int, value(wholeNumber)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), value(duration)),
		kong.KindMapper(reflect.String, value(func(text string) (string, error) { return text, nil })),
		kong.Writers(out, err),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Help(help),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }),
	)
	if parseErr != nil {
		return cfg, parseErr
	}
	for _, flag := range parser.Model.Flags {
		flag.Group = groupOf(flag.Name)
	}
	variables, sources := takeVariables(parser.Model.Flags), newSources(parser.Model)
	defer func() {
		if parseErr != nil && cfg.command == "" {
			cfg.LogFormat = sources.logFormat(args)
		}
	}()
	if parseErr = kong.Resolvers(sources).Apply(parser); parseErr != nil {
		return cfg, parseErr
	}
	parsed, parseErr := parser.Parse(asCommand(args))
	if helped {
		return cfg, errHelped
	}
	if inFile, ok := errors.AsType[fileError](parseErr); ok {
		return cfg, inFile
	}
	if parseErr != nil {
		return cfg, fmt.Errorf("%s (see %s --help)", withoutURLs(sources.told(parseErr), args), commandAsked(parseErr))
	}
	cfg.command = commandOf(parsed)
	for i, origin := range cfg.CORSOrigin {
		cfg.CORSOrigin[i] = strings.TrimSpace(origin)
	}
	cfg.settings = sources.settings(parsed)
	if err := checkVariables(append(variables, slices.Collect(maps.Values(sources.variables))...)); err != nil {
		return cfg, err
	}
	if err := sources.checkCredentials(); err != nil {
		return cfg, err
	}
	for _, err := range cfg.problems() {
		cfg.refused = append(cfg.refused, sources.told(err))
	}
	if len(cfg.refused) > 0 && cfg.command != "check" {
		return cfg, cfg.refused[0]
	}
	return cfg, nil
}

// flagGroups are how the help orders flags. Others come before them.
var flagGroups = []struct {
	title string
	flags []string
}{
	{"Database:", []string{"database", "wait", "pool-size", "replica", "max-lag", "commit-proof", "keep-changes", "migrate", "demo"}},
	{"Where and how to serve:", []string{
		"listen", "base-path", "tls-cert", "tls-key", "metrics", "cors-origin", "documents", "documents-only", "production", "events-poll", "drain-delay", "shutdown-timeout",
	}},
	{"Limits:", []string{
		"deadline", "concurrency", "client-concurrency", "rate", "rate-burst", "max-page", "max-batch", "max-depth", "max-cost", "max-streams",
	}},
	{"Who may use it:", []string{
		"oidc-issuer", "oidc-audience", "oidc-roles-claim", "role-name", "oidc-link-email", "oidc-create-users", "oidc-client-id", "oidc-scopes", "oidc-parameter",
		"trust-proxy", "proxy-login", "allow-anonymous", "insecure-admin",
	}},
	{"Webhooks:", []string{"webhook", "webhook-secret"}},
}

// groupOf returns the group of a flag, or nil.
func groupOf(flag string) *kong.Group {
	for _, group := range flagGroups {
		if slices.Contains(group.flags, flag) {
			return &kong.Group{Key: group.title, Title: group.title}
		}
	}
	return nil
}

// ownFlags lists the flags that matter to a command other than serve. All flags are the program's, so that none is refused.
var ownFlags = map[string][]string{
	"migrate": {"config", "database", "echo", "log-format", "log-level", "wait"},
	"import": {
		"config", "database", "echo", "log-format", "log-level", "wait", "kind", "map", "delimiter", "encoding", "mode", "match", "on-error", "errors",
		"deactivate-missing", "activate", "force", "dry-run", "name", "restart", "migrate",
	},
	"export":         {"config", "database", "echo", "log-format", "log-level", "wait", "kind", "snapshot", "user"},
	"backup":         {"config", "database", "echo", "log-format", "log-level", "wait"},
	"webhook enable": {"config", "database", "from-now", "log-format", "log-level", "wait"},
	"token create":   {"config", "database", "echo", "log-format", "log-level", "wait", "name", "role", "scope", "owner", "expires"},
	"token list":     {"config", "database", "echo", "log-format", "log-level", "wait"},
	"token revoke":   {"config", "database", "echo", "log-format", "log-level", "wait"},
	"version":        {},
}

// help prints the help, for a command without the flags that do not matter to it.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	own, ok := ownFlags[commandOf(ctx)]
	if node := ctx.Selected(); node != nil && len(node.Children) > 0 { // it is its commands that have flags
		own, ok = nil, true
	}
	if ok {
		for _, flag := range ctx.Flags() {
			flag.Hidden = flag.Name != "help" && !slices.Contains(own, flag.Name)
		}
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

// commandOf is the command without its arguments.
func commandOf(ctx *kong.Context) string {
	name, _, _ := strings.Cut(ctx.Command(), " <")
	return name
}

// commandAsked returns the command whose arguments are wrong. For serve, which nobody need write, it is the program.
func commandAsked(err error) string {
	asked := []string{"rollcall"}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, step := range parse.Context.Path {
			if step.Command != nil && step.Command.Name != "serve" {
				asked = append(asked, step.Command.Name)
			}
		}
	}
	return strings.Join(asked, " ")
}

// asCommand translates the usual ways to ask for help and for the version into this program's.
func asCommand(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && slices.Contains([]string{"--version", "-version", "-v", "-V"}, args[0]):
		return []string{"version"}
	}
	return args
}

// value has kong read a value with a function of ours, whose errors say what to write instead.
func value[T any](read func(text string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil || text == "" && target.Kind() != reflect.String {
			return errors.New("the value is missing")
		}
		v, err := read(text)
		if err == nil {
			target.Set(reflect.ValueOf(v))
		}
		return err
	}
}

func wholeNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%q is not a whole number: write one such as 100", text)
	}
	return n, nil // beyond the range it is the largest number, which check refuses
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if _, plain := strconv.ParseFloat(text, 64); err != nil && plain == nil {
		return 0, fmt.Errorf("%q has no unit: write %[1]ss if seconds are meant", text)
	} else if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write one such as 10s, 500ms or 2m", text)
	}
	return d, nil
}

// takeVariables returns the names of the flags' variables. It has kong ignore the empty ones, since many tools write an unset
// variable so.
func takeVariables(flags []*kong.Flag) (names []string) {
	for _, flag := range flags {
		names = append(names, flag.Envs...)
		flag.Tag.Envs = slices.DeleteFunc(slices.Clone(flag.Tag.Envs), func(name string) bool { return os.Getenv(name) == "" })
	}
	return names
}

// foreign matches variables with our prefix that others set: the tests, and Kubernetes for each service with a name like ours.
var foreign = regexp.MustCompile(`^ROLLCALL_((TEST|E2E)_\w+|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_\w+)=.*|(\w+_)?PORT=\w+://.*)`)

// checkVariables refuses a variable that is not a flag's, since a mistyped one would be ignored.
func checkVariables(known []string) error {
	set := os.Environ()
	slices.Sort(set)
	for _, variable := range set {
		name, text, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "ROLLCALL_") || text == "" || slices.Contains(known, name) || foreign.MatchString(variable) {
			continue
		}
		found, ok := strings.TrimSuffix(name, "_FILE"), true
		if !slices.Contains(known, found) {
			found, ok = nearest(known, name)
		}
		if !ok {
			return fmt.Errorf("%s: there is no such variable: rollcall --help lists the flags, each of which has one; unset what is not meant for rollcall", name)
		}
		return fmt.Errorf("%s: there is no such variable: did you mean %s?", name, found)
	}
	return nil
}

// withoutURLs is an error's text without the URLs that it quotes, since these may hold a password, and without secrets of webhooks. What follows a URL may be a
// part of its password too, if that has a space and was not quoted.
func withoutURLs(err error, args []string) string {
	const instead = "(a URL: give it as --database=URL)"
	text := regexp.MustCompile(`\S*(://|@)\S*`).ReplaceAllString(err.Error(), instead)
	text = regexp.MustCompile(`whsec_[\w+/=-]*`).ReplaceAllString(text, "(a secret)")
	after := false
	for i, arg := range args {
		flag := strings.HasPrefix(arg, "-")
		after = after || strings.Contains(arg, "://") || !flag && strings.ContainsAny(arg, "@=")
		if !after || flag || i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(arg, " ") && !strings.Contains(args[i-1], "=") {
			continue
		}
		for word := range strings.FieldsSeq(arg) {
			if strings.Contains(text, word) {
				return "the command line is not understood from " + instead + " on"
			}
		}
	}
	return text
}

const (
	maxNumber = 1 << 30  // beyond any useful limit, and small enough that sums and products of limits do not overflow
	minRate   = scimCost // else no request of SCIM would ever be served
	minTime   = time.Millisecond
	maxTime   = 24 * time.Hour
	minKept   = time.Hour // a client that has lost its connection goes on from its cursor, and does not read all anew
)

// problems are the values that make no sense.
func (c config) problems() (all []error) {
	add := func(err error) {
		if err != nil {
			all = append(all, err)
		}
	}
	for _, n := range []struct {
		flag       string
		value, min int
	}{
		{"concurrency", c.Concurrency, 1},
		{"pool-size", c.PoolSize, 1},
		{"max-page", c.MaxPage, 1},
		{"max-depth", c.MaxDepth, 1},
		{"max-cost", c.MaxCost, 1},
		{"max-batch", c.MaxBatch, 0},
		{"max-streams", c.MaxStreams, 0},
		{"client-concurrency", c.OfOneClient, 0},
		{"rate", cmp.Or(c.Rate, minRate), minRate},
		{"rate-burst", cmp.Or(c.RateBurst, minRate), minRate},
	} {
		if n.value < n.min {
			add(fmt.Errorf("--%s: %d is too small: at least %d", n.flag, n.value, n.min))
		}
		if n.value > maxNumber {
			add(fmt.Errorf("--%s: %d is too large: at most %d", n.flag, n.value, maxNumber))
		}
	}
	all = append(all, c.durations()...)
	add(c.checkAddresses())
	if c.RateBurst != 0 && c.Rate == 0 {
		add(errors.New("--rate-burst: there is no rate: give --rate=N"))
	}
	if len(c.replicas()) > 0 && c.Proof == "off" {
		add(errors.New("--replica: --commit-proof=off leaves nothing by which a replica shows whether it has what a client has written: leave it out"))
	}
	if c.OnlyThese && c.Documents == "" {
		add(errors.New("--documents-only: there is no list of documents: give --documents=FILE"))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add(errors.New("--tls-cert and --tls-key: one is given without the other"))
	}
	add(c.checkLogins())
	_, err := tracesAsked()
	add(err)
	add(checkOrigins(c.CORSOrigin))
	return all
}

// durations are the durations that make no sense.
func (c config) durations() (all []error) {
	add := func(err error) { all = append(all, err) }
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"deadline", c.Deadline}, {"shutdown-timeout", cmp.Or(c.Shutdown, maxTime)}, {"events-poll", c.EventsPoll}, {"max-lag", c.MaxLag}, {"slow", cmp.Or(c.Slow, minTime)}} {
		if d.value < minTime {
			add(fmt.Errorf("--%s: %s is too short: give a duration such as 10s", d.flag, d.value))
		}
		if d.value > maxTime {
			add(fmt.Errorf("--%s: %s is too long: at most 24h", d.flag, d.value))
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"wait", c.Wait}, {"drain-delay", c.DrainDelay}} {
		if d.value < 0 || d.value > maxTime {
			add(fmt.Errorf("--%s: %s is not from 0 to 24h", d.flag, d.value))
		}
	}
	if c.KeepChanges != 0 && c.KeepChanges < minKept {
		add(fmt.Errorf("--keep-changes: %s is too short: at least %s, or 0 for ever", c.KeepChanges, minKept))
	}
	return all
}

// basePath matches what may stand before the paths that are served.
var basePath = regexp.MustCompile(`^(/[a-zA-Z0-9._~-]+)*$`)

// checkAddresses refuses what cannot be listened on.
func (c config) checkAddresses() error {
	if c.Listen == "" { // to package net it is any port on every address
		return errors.New("--listen: the address is missing: give one such as 127.0.0.1:8080")
	}
	if !basePath.MatchString(c.BasePath) || c.BasePath != "" && path.Clean(c.BasePath) != c.BasePath {
		return fmt.Errorf("--base-path: %q is not a path: write one such as /api, without a slash at its end", c.BasePath)
	}
	for _, of := range []struct{ flag, address string }{{"--listen", c.Listen}, {"--metrics", cmp.Or(c.Metrics, ":0")}} {
		_, port, err := net.SplitHostPort(of.address)
		if err != nil {
			return fmt.Errorf("%s: %q is not HOST:PORT: write one such as %s", of.flag, of.address, suggestion(of.address))
		}
		if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
			return fmt.Errorf("%s: %q is not a port: give a number from 0 to 65535", of.flag, port)
		}
	}
	if c.Listen == c.Metrics && !strings.HasSuffix(c.Listen, ":0") {
		return fmt.Errorf("--metrics: the API is served at %s: give another port", c.Metrics)
	}
	return nil
}

// suggestion is the address that a malformed one may have been meant as.
func suggestion(address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		return "127.0.0.1:" + address
	}
	if strings.Contains(address, "::") {
		return "[::1]:8080"
	}
	return "127.0.0.1:8080"
}

// replicas returns the URLs that --replica gives. Each of them may hold several, with spaces between, as a variable has to.
func (c config) replicas() []string { return strings.Fields(strings.Join(c.Replicas, " ")) }

// receivers returns the webhooks that --webhook and --webhook-secret configure. Each of them may hold several, with spaces between, as a variable
// has to.
func (c config) receivers() ([]webhook.Receiver, error) {
	var all []webhook.Receiver
	find := func(name string) int {
		return slices.IndexFunc(all, func(r webhook.Receiver) bool { return r.Name == name })
	}
	for text := range strings.FieldsSeq(strings.Join(c.Webhooks, " ")) {
		name, address, ok := strings.Cut(text, "=")
		if !ok && !strings.Contains(name, "/") {
			return nil, fmt.Errorf("--webhook: the URL of %s is missing: write one such as %[1]s=https://example.com/changes", name)
		}
		if !ok || strings.Contains(name, "/") {
			return nil, errors.New("--webhook: the name is missing: write one such as crm=https://example.com/changes")
		}
		if err := webhook.CheckName(name); err != nil {
			return nil, fmt.Errorf("--webhook: %w", err)
		}
		if find(name) >= 0 {
			return nil, fmt.Errorf("--webhook: there are two with the name %s", name)
		}
		u, err := webhook.ParseURL(address)
		if err != nil {
			return nil, fmt.Errorf("--webhook: %s: %w", name, err)
		}
		all = append(all, webhook.Receiver{Name: name, URL: u})
	}
	for text := range strings.FieldsSeq(strings.Join(c.Secrets, " ")) {
		name, secret, _ := strings.Cut(text, "=")
		i := find(name)
		if i < 0 {
			return nil, errors.New("--webhook-secret: there is no webhook of that name: write one such as crm=whsec_…, with --webhook=crm=URL")
		}
		if err := all[i].AddSecrets(secret); err != nil {
			return nil, fmt.Errorf("--webhook-secret: %s: %w", name, err)
		}
	}
	for _, r := range all {
		if len(r.Secrets) == 0 {
			return nil, fmt.Errorf("--webhook: %s has no secret: give --webhook-secret=%[1]s=FILE, or ROLLCALL_WEBHOOK_SECRET", r.Name)
		}
	}
	return all, nil
}

// tuneMemory has garbage collected seldom, since answers leave much of it and keep nothing, but often enough to stay within a
// container's memory. The variables GOGC and GOMEMLIMIT take precedence; /metrics shows what is in force.
func tuneMemory(log *slog.Logger) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(200)
	}
	if _, err := memlimit.Set(); err != nil {
		log.Warn("cannot tell how much memory there is: set GOMEMLIMIT if it is limited", "error", err)
	}
}

// loopback reports whether only this machine can reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// level returns the least level that is logged.
func (c config) level() (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel)) // parse has admitted no other than slog's four
	return level
}

// logger returns the log that the flags ask for, from a level on that may change. It tells durations in milliseconds.
func (c config) logger(level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inMilliseconds}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.err, options))
	}
	return slog.New(slog.NewTextHandler(c.err, options))
}

// given reports whether a flag has a value from anywhere but its default.
func (c config) given(flag string) bool {
	return slices.ContainsFunc(c.settings, func(s setting) bool { return s.flag == flag && s.origin != fromDefault })
}

// filled returns settings with the values of those flags that follow others.
func (c config) filled(settings []setting) []setting {
	for i, one := range settings {
		if one.value == "" {
			settings[i].value = c.followed(one.flag)
		}
	}
	return settings
}

// followed returns the value of a flag that is not given where it follows another's; "": it does not.
func (c config) followed(flag string) string {
	switch {
	case flag == "shutdown-timeout":
		return c.shutdownTimeout().String()
	case flag == "rate-burst" && c.Rate > 0:
		return strconv.Itoa(c.Rate)
	}
	return ""
}

// shutdownTimeout is how long the server may take to end: by default every operation can reach its deadline.
func (c config) shutdownTimeout() time.Duration { return cmp.Or(c.Shutdown, c.Deadline+5*time.Second) }

// fail says why the program ends, as the log is written.
func (c config) fail(err error) {
	text := strings.Join(strings.Fields(err.Error()), " ") // some drivers' have many lines
	if c.LogFormat == "json" {
		c.logger(c.level()).Error("failed", "error", text)
		return
	}
	_, _ = fmt.Fprintln(c.err, "rollcall:", text)
}

// version names the release, the commit and its date, and the version of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	name, revision, at := "rollcall "+release, commit, date
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = cmp.Or(revision, s.Value[:min(12, len(s.Value))])
		case "vcs.time":
			at = cmp.Or(at, s.Value)
		}
	}
	if revision != "" {
		name += " (" + strings.TrimSpace(revision+" "+at) + ")"
	}
	return strings.TrimSpace(name + " " + info.GoVersion)
}

// commit and date are set by the linker for builds that do not ask git, such as releases: see RELEASE in the Makefile. The date is the commit's, so that
// the same commit makes the same program on any day.
var commit, date string

// fingerprint returns a text that is the same wherever this program runs, and another one for each other program. Where its file cannot be
// read, no other process has it.
func fingerprint() string {
	name, err := "/proc/self/exe", error(nil) // which stays the file of this process when another one has taken its place
	if runtime.GOOS != "linux" {
		name, err = os.Executable()
	}
	if err != nil {
		return rand.Text()
	}
	file, err := os.Open(name)
	if err != nil {
		return rand.Text()
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return rand.Text()
	}
	return hex.EncodeToString(h.Sum(nil))
}

// release is the version in CHANGELOG.md that this program has, or will have once that is released.
const release = "0.1.0"
