// Bench compares Rollcall with a server that is written by hand (bench/raw), and with other builds of Rollcall: all answer
// the same requests from the same data, in turns, and what that costs each is printed as a table and drawn. Its tests are
// benchmarks beside other libraries. It is a module of its own, for what only it depends on.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/bench/workload"
)

type config struct {
	Database    string        `placeholder:"URL" default:"sqlite:" help:"sqlite: for files of its own, or the URL of a server on which databases may be created, such as mysql://root@127.0.0.1:3306/. Default: ${default}."`
	Rounds      int           `placeholder:"N" default:"5" help:"How often each server is measured with each workload, in turns. Default: ${default}."`
	Round       time.Duration `placeholder:"DURATION" default:"2s" help:"About how long the first server takes for a round (raw, else the first other build); the others answer as many requests. Default: ${default}."`
	Connections int           `placeholder:"N" default:"16" help:"Clients at a time. Default: ${default}."`
	Workload    []string      `placeholder:"NAME" enum:"point,list,nested,deep,aliases,mutation,typename,bulk" help:"Only these workloads, without the growth curve: point, list, nested, deep, aliases, mutation, typename, bulk."`
	Against     []string      `placeholder:"[NAME=]BINARY" sep:"none" help:"Another build of Rollcall, say an older one, by its absolute path: it is measured in turns with this one, and the report marks what is worse in this one. It can be given several times."`
	Raw         bool          `negatable:"" default:"true" help:"Measure raw, the server written by hand; --no-raw leaves it out, and with it the growth curve."`
	Plots       string        `placeholder:"FOLDER" help:"Where to write comparison.svg, growth.svg and figures.json. Default: nowhere."`
	Quick       bool          `help:"One short round of each, to see that it works; its figures mean nothing."`
}

// sizes are the pages of the growth curve.
var sizes = []int{10, 50, 250, 1000}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cli struct {
		Compare    config     `cmd:"" default:"withargs" help:"Compare the servers (the default command)."`
		Scale      scale      `cmd:"" help:"Measure them in a directory of a million users."`
		Throughput throughput `cmd:"" help:"Measure how many mutations many writers get done, and when subscribers are told."`
	}
	parsed := kong.Parse(&cli,
		kong.Name("bench"),
		kong.Description("Compare Rollcall with a server written by hand, and with other builds of Rollcall: CPU, memory, statements and latency. It needs Linux, and a machine that does nothing else; then the ratios count."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }),
	)
	if cli.Compare.Quick {
		cli.Compare.Rounds, cli.Compare.Round = 1, 50*time.Millisecond
	}
	do := func() error { return run(ctx, cli.Compare) }
	switch parsed.Command() {
	case "scale":
		do = func() error { return cli.Scale.run(ctx) }
	case "throughput":
		do = func() error { return cli.Throughput.run(ctx) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg config) error {
	builds, err := cfg.check()
	if err != nil {
		return err
	}
	if cfg.Plots != "" { // now, and not when everything has been measured
		if err := os.MkdirAll(cfg.Plots, 0o755); err != nil {
			return fmt.Errorf("--plots: %w", err)
		}
	}
	folder, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	b, err := begin(ctx, cfg, builds, folder)
	if err != nil {
		return err
	}
	defer b.end()

	var growth, all []comparison
	for _, first := range sizes { // before a mutation, which each server is sent as many of as it can answer
		if len(cfg.Workload) > 0 || !cfg.Raw {
			break
		}
		c, err := b.compare(ctx, workload.Nested(first), min(cfg.Rounds, 3))
		if err != nil {
			return fmt.Errorf("growth: %w", err)
		}
		growth = append(growth, c)
	}
	for _, w := range workload.All() {
		if len(cfg.Workload) > 0 && !slices.Contains(cfg.Workload, w.Name) {
			continue
		}
		c, err := b.compare(ctx, w, cfg.Rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
		all = append(all, c)
	}
	if cfg.Raw && len(all) > 0 {
		printTable(os.Stdout, b.about, all)
	}
	if len(growth) > 0 {
		printGrowth(os.Stdout, growth)
	}
	if len(cfg.Workload) == 0 || slices.Contains(cfg.Workload, "bulk") {
		i := slices.IndexFunc(b.servers, func(s *server) bool { return s.name == rollcall })
		c, err := b.bulk(ctx, b.servers[i], cfg.Rounds)
		if err != nil {
			return fmt.Errorf("bulk: %w", err)
		}
		printCreated(os.Stdout, b.about, c)
	}
	for _, old := range builds {
		printBuild(os.Stdout, b.about, old.name, all)
	}
	if cfg.Plots == "" || len(growth) == 0 {
		return nil
	}
	return errors.Join(store(cfg.Plots, b.about, all, growth), draw(cfg.Plots, b.about, all, growth))
}
