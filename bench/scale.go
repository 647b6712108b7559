package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"rollcall/bench/population"
	"rollcall/bench/workload"
	"rollcall/database"
)

// scale is the flags of the measurement of a large directory.
type scale struct {
	Database string        `placeholder:"URL" default:"sqlite:" help:"sqlite: for a file among the temporary ones, or sqlite:FOLDER, or the URL of a server on which databases may be created. The directory stays there, and is used again. Default: ${default}."`
	Users    int           `placeholder:"N" default:"1000000" help:"Users, each in 3 teams. Default: ${default}."`
	Teams    int           `placeholder:"N" help:"Teams. Default: one for 20 users."`
	Requests int           `placeholder:"N" default:"1000" help:"Requests of each shape to each server, by one client. Default: ${default}."`
	Longest  time.Duration `placeholder:"DURATION" default:"20s" help:"How long a server may take for a shape: where that is over, there are fewer requests. Default: ${default}."`
	Shape    []string      `placeholder:"NAME" help:"Only these shapes."`
	Binary   string        `placeholder:"FILE" help:"Measure this build of Rollcall."`
	Drop     bool          `help:"Drop the directory in the end."`
	Quick    bool          `help:"Few users and requests, and a directory that is dropped, to see that it works; its figures mean nothing."`
}

// What is too slow, or costs too much beside raw.
const (
	slow = 50 * time.Millisecond
	dear = 2.5
)

// shaped is what a shape costs each server.
type shaped struct {
	workload.Shape
	raw, rollcall cost
	requests      [2]int
}

func (s scale) run(ctx context.Context) (err error) {
	if s.Quick {
		s.Users, s.Requests, s.Longest, s.Drop = 2000, 20, time.Second, true
	}
	if s.Teams == 0 {
		s.Teams = max(s.Users/20, 100)
	}
	if s.Users < 1 || s.Requests < 1 || s.Teams < 100 {
		return errors.New("--users and --requests must be 1 or more, --teams 100 or more")
	}
	folder, err := os.MkdirTemp("", "rollcall-scale-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	size := population.Size{Users: s.Users, Teams: s.Teams}
	url, kind, drop, err := s.directory(ctx, size)
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if s.Drop {
		defer func() { err = errors.Join(err, drop()) }()
	}
	progress("building the servers")
	if s.Binary == "" {
		s.Binary = filepath.Join(folder, rollcall)
		if err := build(ctx, s.Binary, "rollcall", "."); err != nil {
			return fmt.Errorf("go build rollcall: %w", err)
		}
	}
	if err := build(ctx, filepath.Join(folder, raw), "rollcall/bench", "./raw"); err != nil {
		return fmt.Errorf("go build raw: %w", err)
	}
	args := append([]string{"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", "--deadline=5m", "--max-cost=10000000", "--database=" + url}, withoutCredentials(ctx, s.Binary)...)
	served, err := launch(s.Binary, args, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", rollcall, err)
	}
	defer served.end()
	env, err := served.collector(ctx)
	if err != nil {
		return err
	}
	byHand, err := launch(filepath.Join(folder, raw), []string{"--database=" + url}, env)
	if err != nil {
		return fmt.Errorf("%s: %w", raw, err)
	}
	defer byHand.end()
	served.name, byHand.name = rollcall, raw

	var all []shaped
	for _, shape := range workload.Shapes(size) {
		if len(s.Shape) > 0 && !slices.Contains(s.Shape, shape.Name) {
			continue
		}
		one, err := s.compare(ctx, shape, byHand, served)
		if err != nil && strings.Contains(err.Error(), "GRAPHQL_VALIDATION_FAILED") {
			progress("%s is left out: this build's schema does not have it", shape.Name)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", shape.Name, err)
		}
		all = append(all, one)
		progress("%s", one.row())
	}
	printScale(os.Stdout, fmt.Sprintf("%s, %d users, %d teams, %d memberships, one client, up to %d requests, %d cores, %s",
		kind, s.Users, s.Teams, size.Memberships(), s.Requests, runtime.NumCPU(), runtime.Version()), all)
	return nil
}

// directory returns the URL of a directory of a size, which it makes unless it is there, and a function that drops it.
func (s scale) directory(ctx context.Context, size population.Size) (owned, kind string, drop func() error, err error) {
	name := fmt.Sprintf("rollcall_scale_%d_%d_%d", population.Revision, size.Users, size.Teams)
	scheme, folder, _ := strings.Cut(s.Database, ":")
	create := func() error { return nil }
	if scheme == "sqlite" {
		file := filepath.Join(cmp.Or(folder, os.TempDir()), name+".db")
		owned = "sqlite:" + file
		drop = func() (err error) {
			for _, end := range []string{"", "-wal", "-shm"} {
				if e := os.Remove(file + end); e != nil && !errors.Is(e, os.ErrNotExist) {
					err = errors.Join(err, e)
				}
			}
			return err
		}
	} else {
		admin, u, err := administer(s.Database)
		if err != nil {
			return "", "", nil, err
		}
		u.Path = "/" + name
		owned = u.String()
		create = func() error { _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); return err }
		drop = func() error {
			_, err := admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+name)
			return err
		}
	}
	kind = kinds[scheme]
	there := create() != nil || scheme == "sqlite"
	complete, err := filled(ctx, owned, size, !there)
	switch {
	case err != nil:
		return "", "", nil, err
	case complete && there:
		progress("using %s, which is there", name)
	case there: // it was left behind when it was being made
		if err = drop(); err == nil {
			err = create()
		}
		if err == nil {
			_, err = filled(ctx, owned, size, true)
		}
	}
	return owned, kind, drop, err
}

// filled reports whether a directory has the size, after it has been filled if it is to be.
func filled(ctx context.Context, url string, size population.Size, fill bool) (complete bool, err error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Migrate(ctx); err != nil {
		return false, err
	}
	if fill {
		if err := size.Load(ctx, db, progress); err != nil {
			return false, err
		}
	}
	return size.Complete(ctx, db), nil
}

// compare makes sure that both servers answer alike, then measures them in turns.
func (s scale) compare(ctx context.Context, shape workload.Shape, servers ...*server) (c shaped, err error) {
	c.Shape = shape
	random := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	for n := 0; n < 50 && n < s.Requests && (n < 2 || time.Since(began) < s.Longest/4); n++ {
		variables := shape.Variables(random)
		var answers [2][]byte
		for i, to := range servers {
			if answers[i], err = ask(ctx, http.DefaultClient, to, to.request(shape.Workload, variables)); err != nil {
				return c, err
			}
		}
		if !bytes.Equal(answers[0], answers[1]) {
			return c, fmt.Errorf("the servers do not agree on %v:\n%.2000s\n%.2000s", variables, answers[0], answers[1])
		}
	}
	const turns = 4 // so that both have their share of what else the machine does
	var rounds [2][]cost
	var latencies [2][]time.Duration
	for turn := range turns {
		for i, to := range servers {
			one, took, err := s.measure(ctx, shape.Workload, to, (s.Requests+turns-1)/turns, s.Longest/turns, uint64(turn))
			if err != nil {
				return c, err
			}
			rounds[i], latencies[i] = append(rounds[i], one), append(latencies[i], took...)
		}
	}
	for i, to := range []*cost{&c.raw, &c.rollcall} {
		slices.Sort(latencies[i])
		*to = medians(rounds[i])
		to.p50, to.p99 = latencies[i][len(latencies[i])/2], latencies[i][len(latencies[i])*99/100]
		c.requests[i] = len(latencies[i])
	}
	return c, nil
}

// measure sends requests, one after the other.
func (s scale) measure(ctx context.Context, w workload.Workload, to *server, requests int, longest time.Duration, seed uint64) (c cost, latencies []time.Duration, err error) {
	random := rand.New(rand.NewPCG(seed, 3))
	before, err := to.counts(ctx)
	if err != nil {
		return c, nil, err
	}
	cpu, err := to.cpu()
	if err != nil {
		return c, nil, err
	}
	for began := time.Now(); len(latencies) < requests && (len(latencies) == 0 || time.Since(began) < longest); {
		body := to.request(w, w.Variables(random))
		sent := time.Now()
		if _, err := ask(ctx, http.DefaultClient, to, body); err != nil {
			return c, nil, err
		}
		latencies = append(latencies, time.Since(sent))
	}
	after, err := to.cpu()
	if err != nil {
		return c, nil, err
	}
	counted, err := to.counts(ctx)
	n := float64(len(latencies))
	return cost{cpu: float64((after - cpu).Microseconds()) / n, statements: (counted.statements - before.statements) / n}, latencies, err
}

// row is a shape's line in the table.
func (c shaped) row() string {
	var marks []string
	if c.Scans {
		marks = append(marks, "may scan")
	}
	if c.rollcall.p99 > slow {
		marks = append(marks, "**slow**")
	}
	ratio := c.rollcall.cpu / c.raw.cpu
	if ratio > dear {
		marks = append(marks, "**dear**")
	}
	return fmt.Sprintf("| %s: %s | %s / %s | %s / %s | %.0f / %.0f µs | %.2f | %.1f / %.1f | %d / %d | %s |", c.Name, c.What,
		short(c.raw.p50), short(c.rollcall.p50), short(c.raw.p99), short(c.rollcall.p99), c.raw.cpu, c.rollcall.cpu, ratio,
		c.raw.statements, c.rollcall.statements, c.requests[0], c.requests[1], strings.Join(marks, ", "))
}

// printScale prints all shapes, as Markdown.
func printScale(to io.Writer, about string, all []shaped) {
	_, _ = fmt.Fprintf(to, "%s. Pairs are raw / Rollcall. CPU is that of the server's process for one request, which on SQLite includes the database.\n", about)
	_, _ = fmt.Fprintf(to, "Marked are a p99 above %d ms (slow) and more than %.1f times raw's CPU (dear); what may scan has no index for all of it.\n\n", slow.Milliseconds(), dear)
	_, _ = fmt.Fprintln(to, "| Shape | p50 | p99 | CPU | Ratio | Statements | Requests | |")
	_, _ = fmt.Fprintln(to, "|---|---|---|---|---|---|---|---|")
	for _, c := range all {
		_, _ = fmt.Fprintln(to, c.row())
	}
}
