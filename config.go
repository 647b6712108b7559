package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	Database  string        `placeholder:"URL" default:"sqlite:rollcall.db" help:"Where the directory is: sqlite:FILE, mysql://user:password@host:port/name (with tls=true, tls-ca=FILE, tls-cert=FILE and tls-key=FILE as wanted), or postgres://user:password@host:port/name. Default: ${default}."`
	PoolSize  int           `placeholder:"N" default:"16" help:"Most connections for reads, and as many again for mutations. Default: ${default}."`
	LogFormat string        `enum:"text,json" default:"text" help:"How the log is written, on standard error: text or json. Default: ${default}."`
	LogLevel  slog.Level    `placeholder:"LEVEL" default:"info" help:"Least level that is logged: debug, info, warn or error. Default: ${default}."`
	Echo      bool          `help:"Log each SQL statement with its operation's name and id, its duration and its rows."`
	Listen    string        `placeholder:"ADDRESS" default:"127.0.0.1:8080" help:"Where to serve. Default: ${default}."`
	Deadline  time.Duration `placeholder:"DURATION" default:"10s" help:"How long an operation may take. Default: ${default}."`
	MaxPage   int           `placeholder:"N" default:"100" help:"Most items that a page may hold. Default: ${default}."`
	DoMigrate bool          `name:"migrate" help:"Bring the schema up to date before serving. SQLite's always is."`
	Demo      bool          `help:"Load 1,000 users, 50 teams and 3,000 memberships before serving, if there are no users yet."`

	command string
	out     io.Writer // addresses and results
	err     io.Writer // the log
}

// errHelped is what parse returns after it has printed the help that was asked for.
var errHelped = errors.New("help was printed")

// parse reads the command line and the environment.
func parse(args []string, out, err io.Writer) (cfg config, parseErr error) {
	cfg = config{out: out, err: err}
	helped := false
	parser, parseErr := kong.New(&cfg,
		kong.Name("rollcall"),
		kong.Description("A directory of users, served over GraphQL.\n\nEach flag can be given as a variable too: --pool-size as ROLLCALL_POOL_SIZE."),
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
		return cfg, fmt.Errorf("%w (see rollcall --help)", parseErr)
	}
	cfg.command = parsed.Command()
	return cfg, cfg.check()
}

// check refuses values that make no sense.
func (c config) check() error {
	switch {
	case c.PoolSize < 1:
		return fmt.Errorf("--pool-size: %d is too small: at least 1", c.PoolSize)
	case c.MaxPage < 1:
		return fmt.Errorf("--max-page: %d is too small: at least 1", c.MaxPage)
	case c.Deadline <= 0:
		return fmt.Errorf("--deadline: %s is too short: give a duration such as 10s", c.Deadline)
	}
	return nil
}

// logger returns the log that the flags ask for.
func (c config) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
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
