package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

// setups says which set-ups the tests run on.
const setups = "ROLLCALL_TEST_CLUSTER"

var (
	folder  string                              // of programs
	started = map[string]*clustertest.Cluster{} // by kind
)

// TestMain ends the set-ups that the tests have started.
func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "rollcall-program-"); err != nil {
		panic(err)
	}
	m.Run()
	for _, c := range started {
		err = errors.Join(err, c.Stop())
	}
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		panic(err)
	}
}

// each runs fn on each set-up of these kinds that the variable names; without kinds on all that it names. A set-up is started by the first test that needs it.
func each(t *testing.T, fn func(t *testing.T, c *clustertest.Cluster), kinds ...string) {
	t.Helper()
	named := strings.Fields(os.Getenv(setups))
	if len(named) == 0 {
		t.Skip(setups + " names no set-ups: see make cluster")
	}
	if len(kinds) > 0 {
		named = slices.DeleteFunc(named, func(kind string) bool { return !slices.Contains(kinds, kind) })
	}
	if len(named) == 0 {
		t.Skip("this is of " + strings.Join(kinds, " and "))
	}
	for _, kind := range named {
		t.Run(kind, func(t *testing.T) {
			c := started[kind]
			if c == nil {
				began := time.Now()
				var err error
				if c, err = clustertest.Start(kind, built(t)); err != nil {
					t.Fatal(err)
				}
				started[kind] = c
				t.Logf("started within %.0f s", time.Since(began).Seconds())
			}
			fn(t, c)
		})
	}
}

// number is how often something is tried: n, or what a variable says.
func number(tb testing.TB, variable string, n int) int {
	tb.Helper()
	if value := os.Getenv(variable); value != "" {
		var err error
		if n, err = strconv.Atoi(value); err != nil {
			tb.Fatalf("%s: %v", variable, err)
		}
	}
	return n
}

// built builds this checkout, once.
func built(tb testing.TB) string {
	tb.Helper()
	return build(tb, filepath.Dir(clustertest.Folder()), "rollcall")
}

func build(tb testing.TB, source, name string) string {
	tb.Helper()
	program := filepath.Join(folder, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	command(tb, source, "go", "build", "-o", program, ".")
	return program
}

// command runs a program in a folder, and returns what it writes.
func command(tb testing.TB, folder, name string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), name, args...)
	cmd.Dir = folder
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		tb.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &out)
	}
	return out.String()
}

// pair returns clients of two servers that take mutations.
func pair(t *testing.T, c *clustertest.Cluster) (a, b clustertest.Client) {
	t.Helper()
	writers := c.Writers()
	if len(writers) < 2 {
		t.Fatalf("only %d of %d servers take mutations", len(writers), len(c.Servers))
	}
	return clustertest.Client{Base: writers[0]}, clustertest.Client{Base: writers[len(writers)-1]}
}

// atOnce has all be answered at once.
func atOnce(all ...func() clustertest.Answer) []clustertest.Answer {
	answers := make([]clustertest.Answer, len(all))
	var done sync.WaitGroup
	start := make(chan struct{})
	for i, fn := range all {
		done.Go(func() {
			<-start
			answers[i] = fn()
		})
	}
	close(start)
	done.Wait()
	return answers
}

var emails atomic.Int64

// email returns one that nobody has.
func email() string {
	return fmt.Sprintf("one.%d.%d@example.com", emails.Add(1), time.Now().UnixNano())
}

type object = map[string]any

const (
	createUser = `mutation($input: CreateUserInput!) { createUser(input: $input) { user { id version } } }`
	updateUser = `mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id version } } }`
)

// created creates a user and returns the id.
func created(t *testing.T, c clustertest.Client) string {
	t.Helper()
	a := c.Send(t.Context(), createUser, object{"input": object{"name": "N", "email": email()}})
	if a.Code() != "" {
		t.Fatalf("createUser: %s", a)
	}
	return a.Text("createUser", "user", "id")
}

// updated changes a user.
func updated(t *testing.T, c clustertest.Client, id string, fields object) clustertest.Answer {
	t.Helper()
	input := object{"id": id}
	maps.Copy(input, fields)
	return c.Send(t.Context(), updateUser, object{"input": input})
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
