package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gormlogger "gorm.io/gorm/logger"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
	"rollcall/session"
)

// batched are operations on the demo data with the number of their statements, which depends on nothing
// but the operation. Those of a mutation are without its own reads and writes of the user.
var batched = []struct {
	what, query string
	statements  int
}{
	{"twenty aliased users with their managers", aliases(20, `user(id: "User:%d") { name manager { name } }`), 2},
	{"nodes, node, user and team are one level", `{
		nodes(ids: ["User:500", "Team:3", "User:501"]) { id ... on User { name manager { name } } ... on Team { name members(first: 2) { nodes { name } } } }
		node(id: "User:502") { ... on User { manager { name } } }
		user(id: "User:503") { manager { name } }
		team(id: "Team:4") { members(first: 2) { nodes { name } } } }`, 4},
	{"the same relation under two aliases", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { a: teams(first: 3) { nodes { name } } b: teams(first: 3) { nodes { id } } } } }`, 2},
	{"the same relation with different arguments", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { a: teams(first: 1) { nodes { name } } b: teams(first: 2) { nodes { id } } } } }`, 3},
	{"fragments", `query { users(first: 9, after: "AVN9Sc0DXfQD") { ...Page } }
		fragment Page on UserConnection { nodes { ...Person } edges { node { ...Person } } }
		fragment Person on User { manager { ... on Node { ... on User { manager { name } } } } }`, 3},
	{"what is skipped is not read", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { name manager @skip(if: true) { name } teams @include(if: false) { totalCount } } } }`, 1},
	{"variables decide what is included", `query($yes: Boolean = true) { users(first: 9, after: "AVN9Sc0DXfQD") { nodes { manager @include(if: $yes) { name } } } }`, 2},
	{"three levels and counts", `{ users(first: 9, after: "AVN9Sc0DXfQD") { totalCount nodes { manager { manager { name } } teams { totalCount nodes { name members(first: 2) { totalCount nodes { name } } } } } } }`, 8},
	{"errors and nulls", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { teams(first: -1) { totalCount } } } none: user(id: "User:99999") { manager { name } } }`, 2},
	{"nothing", `{ __typename }`, 0},
	{"an invalid argument at the root", `{ users(first: -1) { nodes { manager { name } } } user(id: "User:500") { manager { name } } }`, 2},
	{"orders and both ways", `{ users(last: 9, before: "AVN9Sc0DXfQD") { nodes {
		reports(first: 2, orderBy: {field: NAME, direction: DESC}) { totalCount edges { cursor node { name } } pageInfo { hasPreviousPage } }
		teams(last: 2, orderBy: {field: ROLE}) { edges { cursor role } } } } }`, 4},
	{"the same relation in another order", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes {
		a: teams(orderBy: {field: NAME}) { nodes { name } } b: teams(orderBy: {field: NAME, direction: ASC}) { nodes { name } } c: teams(last: 20, orderBy: {field: NAME}) { nodes { name } }
		d: teams(orderBy: {field: NAME, direction: DESC}) { nodes { name } } e: teams(orderBy: {field: ID}) { nodes { name } } f: teams { nodes { name } } } } }`, 5},
	{"all managers above many users are one statement", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { managementChain { name managementChain { name } } } } }`, 3},
	{"users below many others, whose tree ends within two levels", `{ nodes(ids: ["User:12", "User:13", "User:900"]) { ... on User { allReports(first: 30) { edges { depth node { name } } } } } }`, 2},
	{"users below many others, whose page ends within two levels", `{ nodes(ids: ["User:2", "User:3", "User:900"]) { ... on User { allReports(first: 100, maxDepth: 3) { nodes { name } } } } }`, 2},
	{"filtered users below many others, whose number is bounded", `{ nodes(ids: ["User:2", "User:3"]) { ... on User { allReports(filter: {name: {startsWith: "a"}}) { nodes { name } } } } }`, 3},
	{"members of nested teams and their numbers", `{ teams(first: 5) { nodes { parent { name } children { totalCount } members(first: 3, membership: ALL) { totalCount edges { team { name } node { name } } } } } }`, 5},
	{"the log, and histories", `{ users(first: 9, after: "AVN9Sc0DXfQD") { asOf nodes { history(first: 2) { asOf totalCount nodes { kind } } } } changes(first: 5) { upToDate } }`, 5},
	{"@defer, inlined", `{ users(first: 9, after: "AVN9Sc0DXfQD") { nodes { ... @defer { manager { name } } } } }`, 2},
	{"one state of the database", `query @snapshot { users(first: 9, after: "AVN9Sc0DXfQD") { nodes { manager { name } teams { nodes { name } } } } }`, 3},
}

func aliases(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " u%d: "+field, i, 500+i)
	}
	return "{" + b.String() + " }"
}

func TestStatementsAreOnePerRelationAndLevel(t *testing.T) {
	onDemoData(t, func(t *testing.T, d *directory) {
		for _, op := range batched {
			t.Run(op.what, func(t *testing.T) {
				d.wantStatements(t, op.statements, func() { d.send(op.query) })
			})
		}
	})
}

// TestStatementsNeverVaryUnderLoad runs mixed operations 64 at a time and counts the statements of each by
// its name. ROLLCALL_TEST_BATCHING is how many on each database; `make batching` sets it.
func TestStatementsNeverVaryUnderLoad(t *testing.T) {
	total := number(t, "ROLLCALL_TEST_BATCHING", 240)
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) { // one after the other, since GOMAXPROCS is that of all
		d, all := newDirectory(t, db), []int{1, 2, 8}
		for _, procs := range all {
			t.Run(fmt.Sprintf("GOMAXPROCS=%d", procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				underLoad(t, d, total/len(all))
			})
		}
	})
}

func underLoad(t *testing.T, d *directory, total int) {
	t.Helper()
	const clients = 64
	fallbacks := d.fallbacks()
	counts := &perOperation{counts: map[string]int{}}
	d.logStatements(counts)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	wants := make(chan int)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for range wants {
				i := rand.IntN(len(batched) + 1)
				name := fmt.Sprintf("c%dx%d", c, rand.Int64())
				query, want := "mutation "+name+` { updateUser(input: {id: "User:`+strconv.Itoa(600+c)+`"}) { user { manager { name } teams { nodes { name } } } } }`, 3
				if i < len(batched) {
					query, want = named(batched[i].query, name), batched[i].statements
				}
				body, _ := json.Marshal(map[string]string{"query": query})
				res, err := client.Post(d.url, "application/json", strings.NewReader(string(body)))
				if err != nil {
					t.Error(err)
					continue
				}
				answer, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if got := counts.of(name); got != want || err != nil {
					t.Errorf("want %d statements, got %d: %s\nthe answer is %.500s, %v, and the log\n%s", want, got, query, answer, err, d.log)
				}
			}
		})
	}
	for i := range total {
		wants <- i
	}
	close(wants)
	wg.Wait()
	if n := d.fallbacks() - fallbacks; n != 0 {
		t.Errorf("%d batches were not enqueued", n)
	}
}

// named gives an operation a name.
func named(query, name string) string {
	switch {
	case strings.HasPrefix(query, "{"):
		return "query " + name + query
	default:
		return strings.Replace(query, "query", "query "+name, 1)
	}
}

// perOperation is a GORM logger that counts the statements of each operation by its name.
type perOperation struct {
	databasetest.Statements
	mu     sync.Mutex
	counts map[string]int
}

func (p *perOperation) LogMode(gormlogger.LogLevel) gormlogger.Interface { return p }

func (p *perOperation) Trace(ctx context.Context, _ time.Time, _ func() (string, int64), _ error) {
	op, _ := session.OperationFromContext(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[op.Name]++
}

func (p *perOperation) of(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[name]
}
