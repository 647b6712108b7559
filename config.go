package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// config is the command line. Every flag is an environment variable too: --pool-size is ROLLCALL_POOL_SIZE.
type config struct {
	Serve   struct{} `cmd:"" default:"withargs" help:"Serve the API and the Playground (the default command)."`
	Migrate struct{} `cmd:"" name:"migrate" help:"Bring the database's schema up to date, then stop."`
	Version struct{} `cmd:"" help:"Print the version, then stop."`

	Database    string        `placeholder:"URL" default:"sqlite:rollcall.db" help:"Where the directory is. Default: ${default}."`
	PoolSize    int           `placeholder:"N" default:"16" help:"Most connections for reads, and as many again for mutations; SQLite has one for these. Default: ${default}."`
	LogFormat   string        `placeholder:"FORMAT" enum:"text,json" default:"text" help:"How the log is written, on standard error: text or json. Default: ${default}."`
	LogLevel    string        `placeholder:"LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error. Default: ${default}."`
	Echo        bool          `help:"Log each SQL statement, at level info, with its operation's name and id, its duration and its rows."`
	Listen      string        `placeholder:"HOST:PORT" default:"127.0.0.1:8080" help:"Where to serve. Without a host: on every address, which needs --allow-anonymous; port 0: any that is free. Default: ${default}."`
	Deadline    time.Duration `placeholder:"DURATION" default:"10s" help:"How long an operation may take. Default: ${default}."`
	Proof       string        `name:"commit-proof" placeholder:"on|off" enum:"on,off" default:"on" help:"Whether each mutation stores its id, so that its fate is known even if the connection is lost while it is stored; SQLite needs none. Default: ${default}."`
	MaxPage     int           `placeholder:"N" default:"100" help:"Most items that a page may hold. Default: ${default}."`
	MaxBatch    int           `placeholder:"N" default:"50" help:"Most operations that one request may hold, as an array; 0 allows no arrays. Default: ${default}."`
	MaxDepth    int           `placeholder:"N" default:"15" help:"Most fields below each other in a document. Default: ${default}."`
	MaxCost     int           `placeholder:"N" default:"100000" help:"Most that an operation may cost, and an array of them: 1 for each object that it may return, a tenth for each other value. Default: ${default}."`
	Documents   string        `placeholder:"FILE" help:"Documents that clients may name by an id instead of sending them: a manifest of Relay, Apollo or GraphQL Code Generator."`
	OnlyThese   bool          `name:"documents-only" help:"Refuse every document that is not in --documents, so the Playground's too."`
	CORSOrigin  []string      `placeholder:"ORIGIN" help:"Origins whose pages may use the API, such as https://example.com; * is all."`
	TLSCert     string        `placeholder:"FILE" help:"The certificate, in PEM, to serve HTTPS with; --tls-key goes with it."`
	TLSKey      string        `placeholder:"FILE" help:"The certificate's private key, in PEM."`
	Concurrency int           `placeholder:"N" default:"128" help:"Most requests that run at once; four times as many may wait, and more are refused. Default: ${default}."`
	Production  bool          `help:"Answer no introspection, and suggest nothing in errors."`
	Metrics     string        `placeholder:"HOST:PORT" help:"Where to serve /metrics for Prometheus, apart from the API. Default: nowhere."`
	Shutdown    time.Duration `name:"shutdown-timeout" placeholder:"DURATION" help:"How long the server may take to end; what runs then is cancelled. Default: 5s more than the deadline."`
	Anonymous   bool          `name:"allow-anonymous" help:"Serve on an address that other machines can reach, although nobody has to log in."`
	DoMigrate   bool          `name:"migrate" help:"Bring the schema up to date before serving. SQLite's always is."`
	Demo        bool          `help:"Load 1,000 users, 50 teams and 3,000 memberships before serving, if there are no users yet."`

	command string
	out     io.Writer // addresses and results
	err     io.Writer // the log
}

const description = `A directory of users, served over GraphQL.

Each flag can be given as a variable too: --pool-size as ROLLCALL_POOL_SIZE. A flag beats its variable.

The URL of a database is one of

	sqlite:FILE
	mysql://user:password@host:port/name?tls=true
	postgres://user:password@host:port/name?sslmode=verify-full

MySQL and MariaDB take tls, tls-ca=FILE, tls-cert=FILE and tls-key=FILE.

Besides the limits below these are fixed: a body of 1 MiB, headers of 64 KiB; in a document 10,000 tokens and lines, nesting of
50 (of lists 8), 100 directives, 5,000 selections and values, and about 380 repeats of one field; variables in 50 levels; 100
operations at a time on one WebSocket; 10 s for headers to arrive, 30 s for a body or for a client to read, two minutes idle.`

// errHelped is what parse returns after it has printed the help that was asked for.
var errHelped = errors.New("help was printed")

// parse reads the command line and the environment.
func parse(args []string, out, err io.Writer) (cfg config, parseErr error) {
	cfg = config{out: out, err: err}
	helped := false
	parser, parseErr := kong.New(&cfg,
		kong.Name("rollcall"),
		kong.Description(description),
		kong.DefaultEnvars("ROLLCALL"),
		kong.Writers(out, err),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }),
	)
	if parseErr != nil {
		return cfg, parseErr
	}
	parsed, parseErr := parser.Parse(args)
	if helped {
		return cfg, errHelped
	}
	if parseErr != nil {
		return cfg, fmt.Errorf("%s (see rollcall --help)", withoutURLs(parseErr))
	}
	cfg.command = parsed.Command()
	return cfg, cfg.check()
}

// withoutURLs is an error's text without the URLs that it quotes, since these may hold a password.
func withoutURLs(err error) string {
	return regexp.MustCompile(`\S*(://|@)\S*`).ReplaceAllString(err.Error(), "(a URL: give it as --database=URL)")
}

// check refuses values that make no sense.
func (c config) check() error {
	switch {
	case c.Listen == "": // to package net it is any port on every address
		return errors.New("--listen: the address is missing: give one such as 127.0.0.1:8080")
	case !c.Anonymous && !loopback(c.Listen):
		return fmt.Errorf("--listen: other machines may reach %s, and whoever does can read and change the whole directory, since nobody has to log in: listen on 127.0.0.1, or add --allow-anonymous if that is meant", c.Listen)
	case c.Shutdown < 0:
		return fmt.Errorf("--shutdown-timeout: %s is too short: give a duration such as 15s", c.Shutdown)
	case c.Concurrency < 1:
		return fmt.Errorf("--concurrency: %d is too small: at least 1", c.Concurrency)
	case c.PoolSize < 1:
		return fmt.Errorf("--pool-size: %d is too small: at least 1", c.PoolSize)
	case c.MaxPage < 1:
		return fmt.Errorf("--max-page: %d is too small: at least 1", c.MaxPage)
	case c.MaxDepth < 1:
		return fmt.Errorf("--max-depth: %d is too small: at least 1", c.MaxDepth)
	case c.MaxCost < 1:
		return fmt.Errorf("--max-cost: %d is too small: at least 1", c.MaxCost)
	case c.MaxBatch < 0:
		return fmt.Errorf("--max-batch: %d is too small: at least 0", c.MaxBatch)
	case c.OnlyThese && c.Documents == "":
		return errors.New("--documents-only: there is no list of documents: give --documents=FILE")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key: one is given without the other")
	case c.Deadline <= 0:
		return fmt.Errorf("--deadline: %s is too short: give a duration such as 10s", c.Deadline)
	}
	return checkOrigins(c.CORSOrigin)
}

// shutdownTimeout is by default long enough for every operation to meet its deadline.
func (c config) shutdownTimeout() time.Duration {
	return cmp.Or(c.Shutdown, c.Deadline+5*time.Second)
}

// garbageSet tells whether how often garbage is collected was chosen by Go's own variable.
func garbageSet() bool {
	_, set := os.LookupEnv("GOGC")
	return set
}

// loopback tells whether only this machine can reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // Listen will say what is wrong with it
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// logger returns the log that the flags ask for.
func (c config) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // parse has admitted no other than slog's four
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.err, options))
	}
	return slog.New(slog.NewTextHandler(c.err, options))
}

// version tells what this program is.
func version() string {
	name := "rollcall " + release
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				name += " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
		name += " " + info.GoVersion
	}
	return strings.TrimSpace(name)
}

// release is the version in CHANGELOG.md that this program is, or is on the way to.
const release = "0.1.0"
