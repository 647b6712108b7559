// Package clustertest starts the set-ups of cluster/ for tests, and puts loads on them whose answers it compares with what is stored.
package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Cluster is a set-up that runs: nodes of a database, servers of Rollcall, and haproxy before them.
type Cluster struct {
	Kind    string // galera, group, postgres or sqlite
	Nodes   int
	Servers []string // where each answers: http://127.0.0.1:14681
	Proxy   string   // where haproxy does
	Port    int      // the set-up's first

	script string
	env    []string
}

// setups are the ports and nodes of each kind.
var setups = map[string]struct{ port, nodes, servers int }{
	"galera": {14600, 3, 3}, "group": {14700, 3, 3}, "postgres": {14800, 2, 3}, "sqlite": {14900, 0, 2},
}

// Start starts a set-up of a kind, whose servers run a program, at the port CLUSTER_PORT if that is set. What tests change, say a server that was ended, is theirs to put right again.
// Stop ends it. One that somebody else has started is left alone, with an error.
func Start(kind, program string) (*Cluster, error) {
	s, ok := setups[kind]
	if !ok {
		return nil, fmt.Errorf("there is no set-up %q", kind)
	}
	if text := os.Getenv("CLUSTER_PORT"); text != "" {
		var err error
		if s.port, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("CLUSTER_PORT: %w", err)
		}
	}
	c := &Cluster{
		Kind: kind, Nodes: s.nodes, Port: s.port, Proxy: fmt.Sprintf("http://127.0.0.1:%d", s.port+80), script: filepath.Join(Folder(), kind+".sh"),
		env: append(os.Environ(), "CLUSTER_PROGRAM="+program),
	}
	for n := range s.servers {
		c.Servers = append(c.Servers, fmt.Sprintf("http://127.0.0.1:%d", s.port+81+n))
	}
	_, err := c.run(nil, "start")
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
		err = errors.Join(err, c.Stop())
	}
	return c, err
}

// Folder is where the set-ups' scripts are: beside the tests, which run there.
func Folder() string {
	folder, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return folder
}

// Stop ends all of the set-up, and deletes its data.
func (c *Cluster) Stop() error {
	_, err := c.run(nil, "stop")
	return err
}

// run calls the script; settings are variables.
func (c *Cluster) run(settings []string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.script, command...)
	cmd.Env = slices.Concat(c.env, settings)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &log, time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(c.script), strings.Join(command, " "), err, &out, &log)
	}
	return strings.TrimSpace(out.String()), nil
}

// Do has the script do something, and returns what it prints.
func (c *Cluster) Do(tb testing.TB, command ...string) string {
	tb.Helper()
	return c.With(tb, nil, command...)
}

// With is Do with settings of the script, such as CLUSTER_HOSTS=balanced.
func (c *Cluster) With(tb testing.TB, settings []string, command ...string) string {
	tb.Helper()
	out, err := c.run(settings, command...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Try is With for what may fail.
func (c *Cluster) Try(settings []string, command ...string) error {
	_, err := c.run(settings, command...)
	return err
}

// SQL has a node, counted from 1, execute statements. It fails if it has to.
func (c *Cluster) SQL(node int, statements string) (string, error) {
	return c.run(nil, "sql", strconv.Itoa(node), statements)
}

// Restart ends the servers, counted from 1, and starts them again, with settings of the script.
func (c *Cluster) Restart(tb testing.TB, settings ...string) {
	tb.Helper()
	for i := range c.Servers {
		c.Do(tb, "stop-server", strconv.Itoa(i+1))
		c.With(tb, settings, "server", strconv.Itoa(i+1))
	}
	c.Settle(tb)
}

// Settle waits until each node has what is stored, and each server that has a writer is ready.
func (c *Cluster) Settle(tb testing.TB) {
	tb.Helper()
	c.Do(tb, "settle")
	ready := 0
	for until := time.Now().Add(30 * time.Second); ready < len(c.Writers()) || ready == 0; ready = len(c.Writers()) {
		if time.Now().After(until) {
			tb.Fatal("no server is ready")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Writers are the servers that are ready, which are those that take mutations.
func (c *Cluster) Writers() (ready []string) {
	var all sync.WaitGroup
	is := make([]bool, len(c.Servers))
	for i, server := range c.Servers {
		all.Go(func() { is[i] = Ready(server) })
	}
	all.Wait()
	for i, server := range c.Servers {
		if is[i] {
			ready = append(ready, server)
		}
	}
	return ready
}

// Ready reports whether a server is.
func Ready(server string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
