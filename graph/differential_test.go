package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/changelog"
	"rollcall/database"
	"rollcall/directory/directorytest"
	"rollcall/graph"
	"rollcall/graph/generated"
	operations "rollcall/operation"
	"rollcall/session"
)

var schema = generated.NewExecutableSchema(generated.Config{}).Schema()

// pair is the API on one database twice: as it is, and as gqlgen's engine alone answers it, from resolvers.
type pair struct {
	db          *database.Database
	api, engine *counted
}

// counted is an API that counts what its last request has cost.
type counted struct {
	*graph.API
	statements atomic.Int64
}

func newPair(db *database.Database, change func(*graph.Config)) *pair {
	p := &pair{db: db, api: &counted{}, engine: &counted{}}
	log := &changelog.Log{DB: db.Side, Dialect: db.Dialect()}
	serve := func(c *counted, handler func(graph.Config) *graph.API) {
		cfg := graph.Config{
			Database: db, Proof: proof(db), Log: log, Deadline: time.Minute, MaxPage: 100, MaxBatch: 10, MaxDepth: 30, MaxCost: 1 << 40,
			Logger:  slog.New(slog.DiscardHandler),
			Observe: func(_ session.Operation, r operations.Report) { c.statements.Add(r.Statements) },
		}
		change(&cfg)
		c.API = handler(cfg)
	}
	serve(p.api, graph.NewHandler)
	serve(p.engine, graph.NewEngineHandler)
	return p
}

// asked is what came of a request.
type asked struct {
	status     int
	kind       string
	body       string
	answers    []compared
	statements int64 // that were run
	fallbacks  int64 // batches that no plan enqueued
	resolved   int64 // operations that resolvers have answered
}

// compared is what has to be the same in an answer.
type compared struct {
	data, extensions string
	errors           []string // sorted
}

func (c compared) String() string {
	return fmt.Sprintf("data: %s\nextensions: %s\nerrors: %s", c.data, c.extensions, strings.Join(c.errors, "\n        "))
}

// ask sends a request: an operation, or an array of them.
func (c *counted) ask(ctx context.Context, body any, accept string) (a asked) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(text))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	res := httptest.NewRecorder()
	statements, fallbacks, resolved := c.statements.Load(), c.Fallbacks(), c.Resolved()
	c.ServeHTTP(res, req)
	a = asked{
		status: res.Code, kind: res.Header().Get("Content-Type"), body: res.Body.String(),
		statements: c.statements.Load() - statements, fallbacks: c.Fallbacks() - fallbacks, resolved: c.Resolved() - resolved,
	}
	a.answers, err = parse(res.Body.Bytes())
	if err != nil {
		a.body = fmt.Sprintf("not JSON (%v): %s", err, a.body)
	}
	return a
}

// parse takes an answer, or an array of them, apart.
func parse(body []byte) (all []compared, err error) {
	type response struct {
		Data, Extensions json.RawMessage
		Errors           []struct {
			Path       []any
			Message    string
			Extensions map[string]any
		}
	}
	var responses []response
	if bytes.HasPrefix(body, []byte("[")) {
		err = json.Unmarshal(body, &responses)
	} else {
		responses = make([]response, 1)
		err = json.Unmarshal(body, &responses[0])
	}
	for _, r := range responses {
		c := compared{data: string(r.Data), extensions: string(r.Extensions)}
		if last := len(r.Errors) - 1; last >= 100 { // which of them are shown is left to chance
			r.Errors = r.Errors[last:]
		}
		for _, e := range r.Errors {
			_, identified := e.Extensions["operationId"]
			delete(e.Extensions, "operationId")
			c.errors = append(c.errors, fmt.Sprint(e.Path, " ", e.Extensions, " ", e.Message, " ", identified))
		}
		slices.Sort(c.errors)
		all = append(all, c)
	}
	return all, err
}

// failed reports whether there is an error in any of the answers.
func (a asked) failed() bool {
	return slices.ContainsFunc(a.answers, func(c compared) bool { return len(c.errors) > 0 })
}

// difference says what is different in an answer that should be as the engine's; "" is nothing.
func difference(api, engine asked) string {
	switch {
	case api.status != engine.status || api.kind != engine.kind:
		return fmt.Sprintf("want the status %d and %s, got %d and %s", engine.status, engine.kind, api.status, api.kind)
	case fmt.Sprint(api.answers) != fmt.Sprint(engine.answers) || len(api.answers) == 0:
		return fmt.Sprintf("want\n%v\ngot\n%v\nwhole: %.300s", engine.answers, api.answers, api.body)
	case api.statements > engine.statements:
		return fmt.Sprintf("want %d statements, got %d", engine.statements, api.statements)
	case api.fallbacks > engine.fallbacks:
		return fmt.Sprintf("want %d fallbacks, got %d", engine.fallbacks, api.fallbacks)
	}
	return ""
}

// hostile adds rows whose answers are hard to write, and some that have none.
func hostile(t *testing.T, db *database.Database) {
	t.Helper()
	names := []string{
		`"quotes' and \ backslashes\"`, "\x01\b\f\n\r\t\x1f\x7f", "🦊\U0010ffff\u0000"[:8], "line\u2028paragraph\u2029<&>", strings.Repeat("ü", 255),
		"a zero time", `\u0041 {"a":[]}`, "", "\ufffd\ufeff", "last",
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if err := db.Write.Exec(sql, args...).Error; err != nil {
			t.Fatal(err)
		}
	}
	at, zero := "2024-05-06 07:08:09.123456", "0001-01-01 00:00:00"
	for i, name := range names { // each is managed by the one before, and the first two by nobody
		id, created := 1001+i, at
		manager := any(id - 1)
		if i < 2 {
			manager = nil
		}
		if name == "a zero time" {
			created = zero
		}
		exec("INSERT INTO users (id, name, title, external_id, email, manager_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			id, name, name, fmt.Sprintf("hostile é%d", i), fmt.Sprintf("hostile%d@example.com", i), manager, created, at)
	}
	exec("INSERT INTO teams (id, name, created_at, updated_at) VALUES (51, ?, ?, ?), (52, 'nobody is in it', ?, ?), (53, 'a zero time', ?, ?)", names[0], at, at, at, at, at, zero)
	exec("INSERT INTO memberships (team_id, user_id, role, created_at) VALUES (51, 1001, 'OWNER', ?), (51, 1003, 'MEMBER', ?), (51, 1006, 'MEMBER', ?), (53, 1002, 'OWNER', ?)", at, zero, at, at)
	if db.Dialect().Name() == "sqlite" {
		exec(`UPDATE users SET name = CAST(x'6180c328ff62' AS TEXT) WHERE id = 1008`)
		exec(`UPDATE users SET name = CAST(x'610062' AS TEXT) WHERE id = 1009`)
	}
	if err := db.Derive(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// onHostileData runs fn on every database with the demo data and hostile rows.
func onHostileData(t *testing.T, fn func(t *testing.T, db *database.Database)) {
	directorytest.EachDemo(t, func(t *testing.T, db *database.Database) {
		hostile(t, db)
		fn(t, db)
	})
}

// differentials is how many operations are compared on a database, or a share of that. ROLLCALL_TEST_DIFFERENTIAL sets it, for
// each database.
func differentials(t *testing.T, db *database.Database, share int) int {
	t.Helper()
	total := 400
	if db.Dialect().Name() != "sqlite" {
		total = 100
	}
	return max(1, number(t, "ROLLCALL_TEST_DIFFERENTIAL", total)/share)
}

// seeds returns where the seeds of a test begin: ROLLCALL_TEST_SEED, to repeat a failure, or anywhere.
func seeds(t *testing.T) uint64 {
	t.Helper()
	if s := os.Getenv("ROLLCALL_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return rand.Uint64N(1 << 40)
}

// resultCounts counts what a differential test has seen.
type resultCounts struct{ operations, planned, failed, refused int }

// random returns the operation of a seed, and what its client accepts.
func (*pair) random(seed uint64, snapshot bool) (randomOperation, string) {
	return generate(schema, seed, snapshot), []string{"application/json", "application/graphql-response+json", "*/*"}[seed%3]
}

// asViewer returns a context whose requests are those of the viewer of a seed: of nobody's, of somebody's who is no user, or of users' at the top of the demo data's tree, in
// the middle, and at its end.
func asViewer(ctx context.Context, seed uint64) context.Context {
	viewers := []*access.Viewer{
		nil,
		{Subject: "anonymous", Role: access.RoleViewer},
		{Subject: "user:1", UserID: 1, Role: access.RoleViewer},
		{Subject: "user:5", UserID: 5, Role: access.RoleViewer},
		{Subject: "user:1003", UserID: 1003},
		{Subject: "token:1", Role: access.RoleEditor},
	}
	v := viewers[seed/3%uint64(len(viewers))] // by 3 goes what a client accepts
	if v == nil {
		return ctx
	}
	return access.WithViewer(ctx, v)
}

// compare asks both for the operation of a seed. Where something is broken that resolvers need and the answer may do without, as a
// column, that is as it was when all was sound, or fails as the resolvers do.
func (p *pair) compare(t *testing.T, seed uint64, snapshot bool, seen *resultCounts, sound *asked) {
	t.Helper()
	op, accept := p.random(seed, snapshot)
	ctx := asViewer(t.Context(), seed)
	engine, api := p.engine.ask(ctx, op, accept), p.api.ask(ctx, op, accept)
	if sound == nil {
		sound = &engine
		// A resolver that starts late finds what a list has read meanwhile, and then needs no statement of its own.
		for again := 0; again < 20 && engine.statements < api.statements; again++ {
			engine.statements = max(engine.statements, p.engine.ask(ctx, op, accept).statements)
		}
	}
	if api.failed() {
		engine.statements += sound.statements // whole rows, for the resolvers that had to run
	} else {
		engine = *sound
	}
	if d := difference(api, engine); d != "" {
		t.Errorf("ROLLCALL_TEST_SEED=%d ROLLCALL_TEST_DIFFERENTIAL=1: %s\n%s", seed, d, op)
	}
	seen.operations++
	switch {
	case len(api.answers) == 1 && api.answers[0].data == "":
		seen.refused++
	case api.failed():
		seen.failed++
	case api.resolved == 0:
		seen.planned++
	case strings.Contains(api.answers[0].extensions, "forbidden"): // of what is hidden, wrong arguments may be no error
	case op.asIs:
		t.Errorf("ROLLCALL_TEST_SEED=%d: resolvers have answered what the plan covers: %s", seed, op)
	}
}

// TestAnAnswerIsTheSameAsTheEngines compares operations made at random.
func TestAnAnswerIsTheSameAsTheEngines(t *testing.T) {
	onHostileData(t, func(t *testing.T, db *database.Database) {
		p, seed, seen := newPair(db, func(*graph.Config) {}), seeds(t), &resultCounts{}
		for i := range differentials(t, db, 1) {
			p.compare(t, seed+uint64(i), true, seen, nil)
			if t.Failed() {
				return
			}
		}
		t.Logf("%+v", *seen)
		if n := seen.operations; n > 100 && (seen.planned < n/3 || seen.failed < n/50 || seen.refused > n/3) {
			t.Errorf("the operations are not mixed well: %+v", *seen)
		}
	})
}

// TestAnAnswerWithErrorsOfTheDatabaseIsTheSameAsTheEngines compares operations of which some statements fail.
func TestAnAnswerWithErrorsOfTheDatabaseIsTheSameAsTheEngines(t *testing.T) {
	onHostileData(t, func(t *testing.T, db *database.Database) {
		p, seed := newPair(db, func(*graph.Config) {}), seeds(t)
		for _, c := range []struct{ spoil, mend string }{
			{"memberships RENAME TO gone", "gone RENAME TO memberships"},
			{"teams RENAME TO gone", "gone RENAME TO teams"},
			{"users RENAME TO gone", "gone RENAME TO users"},
			{"users RENAME COLUMN email TO gone", "users RENAME COLUMN gone TO email"},
			{"users RENAME COLUMN manager_id TO gone", "users RENAME COLUMN gone TO manager_id"},
			{"teams RENAME COLUMN name TO gone", "teams RENAME COLUMN gone TO name"},
			{"memberships RENAME COLUMN created_at TO gone", "memberships RENAME COLUMN gone TO created_at"},
		} {
			t.Run(c.spoil, func(t *testing.T) {
				// An error ends a transaction of PostgreSQL's, so it is left to chance which siblings have one.
				snapshot := db.Dialect().Name() != "postgres"
				var sound []asked
				for i := range differentials(t, db, 8) {
					op, accept := p.random(seed+uint64(i), snapshot)
					sound = append(sound, p.engine.ask(asViewer(t.Context(), seed+uint64(i)), op, accept))
				}
				arrays := p.arrays(t, seed, differentials(t, db, 80))
				alter(t, db, c.spoil)
				defer alter(t, db, c.mend)
				seen := &resultCounts{}
				for i := range sound {
					p.compare(t, seed+uint64(i), snapshot, seen, &sound[i])
					if t.Failed() {
						return
					}
				}
				p.compareArrays(t, arrays)
				t.Logf("%+v", *seen)
			})
		}
	})
}

func alter(t *testing.T, db *database.Database, what string) {
	t.Helper()
	if err := db.Write.Exec("ALTER TABLE " + what).Error; err != nil {
		t.Fatal(err)
	}
}

// array is operations that are sent together, and their answers by resolvers when all is sound.
type array struct {
	seed       uint64
	operations []randomOperation
	sound      asked
}

// arrays makes arrays of the operations of seeds.
func (p *pair) arrays(t *testing.T, seed uint64, n int) (all []array) {
	t.Helper()
	for range n {
		a := array{seed: seed}
		seed += 10
		for j := range 1 + seed%5 {
			a.operations = append(a.operations, generate(schema, seed+j, false))
		}
		a.sound = p.engine.ask(asViewer(t.Context(), a.seed), a.operations, "application/json")
		all = append(all, a)
	}
	return all
}

// compareArrays asks both for arrays: see compare.
func (p *pair) compareArrays(t *testing.T, arrays []array) {
	t.Helper()
	for _, a := range arrays {
		operations := a.operations
		ctx := asViewer(t.Context(), a.seed)
		engine, api := p.engine.ask(ctx, operations, "application/json"), p.api.ask(ctx, operations, "application/json")
		// Whole rows are read for the resolvers that had to run, and what another query was reading meanwhile is read again for it.
		if engine.statements += 2 * a.sound.statements; !api.failed() {
			engine.statements = a.sound.statements
		} else { // and so the resolvers of another may miss what was read for them
			engine.fallbacks += int64(len(operations))
		}
		for j, c := range api.answers {
			if c.errors == nil && j < len(engine.answers) && j < len(a.sound.answers) {
				engine.answers[j] = a.sound.answers[j]
			}
		}
		if d := difference(api, engine); d != "" || len(api.answers) != len(operations) {
			t.Errorf("ROLLCALL_TEST_SEED=%d: %s\n%v", a.seed, d, operations)
			return
		}
		for j, c := range api.answers {
			if operations[j].asIs && c.errors == nil && !strings.Contains(c.extensions, "forbidden") { // see compare
				continue
			}
			api.resolved--
		}
		if api.resolved > 0 {
			t.Errorf("ROLLCALL_TEST_SEED=%d: resolvers have answered %d too many: %v", a.seed, api.resolved, operations)
		}
	}
}

func TestAnArrayIsAnsweredAsByTheEngine(t *testing.T) {
	onHostileData(t, func(t *testing.T, db *database.Database) {
		p := newPair(db, func(*graph.Config) {})
		p.compareArrays(t, p.arrays(t, seeds(t), differentials(t, db, 10)))
	})
}

// gqlgen panics where the variable of a @skip or @include is null.
func TestAConditionThatIsNullFailsItsOperationAlone(t *testing.T) {
	onHostileData(t, func(t *testing.T, db *database.Database) {
		p := newPair(db, func(*graph.Config) {})
		operations := []randomOperation{
			{Query: `query($v: Boolean = true) { user(id: "User:1") { name @include(if: $v) } team(id: "Team:1") { name } }`, Variables: map[string]any{"v": nil}},
			{Query: `query($v: Boolean = true) { users(first: 2) { nodes { id ... @skip(if: $v) { name } } } }`, Variables: map[string]any{"v": nil}},
			{Query: `{ user(id: "User:2") { name } }`},
		}
		for _, body := range []any{operations, operations[0], operations[1]} {
			engine, api := p.engine.ask(t.Context(), body, "application/json"), p.api.ask(t.Context(), body, "application/json")
			if d := difference(api, engine); d != "" || !api.failed() {
				t.Errorf("%s: got %s", d, api.body)
			}
		}
	})
}

// slowly makes every statement on memberships last until it is cancelled.
func slowly(t *testing.T, db *database.Database) {
	t.Helper()
	alter(t, db, "memberships RENAME TO gone")
	if err := db.Write.Exec("CREATE VIEW memberships AS " + map[string]string{
		"sqlite":   "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT gone.* FROM gone, n WHERE n.x < 0",
		"mysql":    "SELECT gone.* FROM gone WHERE SLEEP(30) = 0",
		"postgres": "SELECT gone.* FROM gone, pg_sleep(30)",
	}[db.Dialect().Name()]).Error; err != nil {
		t.Fatal(err)
	}
}

// slow are operations that read something before, and beside, what is slow. (Not on a snapshot, where it is left to chance which of
// two comes first.)
var slow = []any{
	randomOperation{Query: `{ a: user(id: "User:500") { name manager { name } } users(first: 3) { nodes { name teams(first: 2) { nodes { name } } } } }`},
	randomOperation{Query: `{ team(id: "Team:7") { id members(first: 1) { totalCount edges { node { manager { name } } } } } bad: user(id: "Team:1") { id } }`},
	randomOperation{Query: `query @snapshot { users(first: 2) { nodes { teams { totalCount } } } }`},
	[]randomOperation{{Query: `{ user(id: "User:500") { teams { nodes { name } } } }`}, {Query: `{ user(id: "User:501") { name } }`}},
}

// lessened returns the engine's answers in the place of those that broke off for a reason and have nothing else: where whole rows
// can't be read any more there is null, and that reason, in the place of what the engine has.
func lessened(t *testing.T, api, engine asked, code string) asked {
	t.Helper()
	for i, a := range api.answers {
		if i >= len(engine.answers) || !slices.ContainsFunc(a.errors, func(e string) bool { return strings.Contains(e, code) }) {
			continue
		}
		e := engine.answers[i]
		for _, message := range a.errors {
			if !strings.Contains(message, code) && !slices.Contains(e.errors, message) {
				return api
			}
		}
		var less, all any
		if json.Unmarshal([]byte(a.data), &less) != nil || json.Unmarshal([]byte(e.data), &all) != nil || !within(less, all) {
			return api
		}
		api.answers[i] = e
	}
	return api
}

// within reports whether data is others', or null in its place.
func within(less, all any) bool {
	if less == nil {
		return true
	}
	switch less := less.(type) {
	case map[string]any:
		all, _ := all.(map[string]any)
		for key, value := range less {
			if other, ok := all[key]; !ok || !within(value, other) {
				return false
			}
		}
		return len(less) == len(all)
	case []any:
		all, _ := all.([]any)
		for i, value := range less {
			if i >= len(all) || !within(value, all[i]) {
				return false
			}
		}
		return len(less) == len(all)
	}
	return less == all
}

func TestALateOperationIsAnsweredAsByTheEngine(t *testing.T) {
	t.Parallel()
	brokenOff(t, "TIMEOUT", func(db *database.Database, op any, patience time.Duration) (engine, api asked) {
		p := newPair(db, func(cfg *graph.Config) { cfg.Deadline = patience })
		return p.engine.ask(t.Context(), op, "application/json"), p.api.ask(t.Context(), op, "application/json")
	})
}

func TestACancelledOperationIsAnsweredAsByTheEngine(t *testing.T) {
	t.Parallel()
	brokenOff(t, "CANCELLED", func(db *database.Database, op any, patience time.Duration) (engine, api asked) {
		p := newPair(db, func(*graph.Config) {})
		return p.engine.askFor(t.Context(), patience, op), p.api.askFor(t.Context(), patience, op)
	})
}

// brokenOff compares how both answer what ask breaks off, after a time in which all that is not slow has been read. A machine that
// has much to do may need more of it: where the answers differ, both are asked again with more patience.
func brokenOff(t *testing.T, code string, ask func(db *database.Database, op any, patience time.Duration) (engine, api asked)) {
	t.Helper()
	onHostileData(t, func(t *testing.T, db *database.Database) {
		t.Parallel()
		slowly(t, db)
		for i, op := range slow {
			var api asked
			different := "nobody has asked"
			for patience := time.Second / 2; different != "" && patience < time.Minute; patience *= 4 {
				var engine asked
				engine, api = ask(db, op, patience)
				if different = difference(lessened(t, api, engine, "code:"+code), engine); engine.statements > api.statements {
					different = fmt.Sprintf("want %d statements, got %d", engine.statements, api.statements)
				}
			}
			if different != "" {
				t.Errorf("operation %d: %s", i, different)
			}
			if !strings.Contains(api.body, `"`+code+`"`) || strings.Contains(api.body, `"INTERNAL`) { // nobody is there to read it
				t.Errorf("operation %d: got %s", i, api.body)
			}
		}
	})
}

// TestManyAtOnceAreAnsweredAsByTheEngine compares while others run, some of which are cancelled or late at any moment.
func TestManyAtOnceAreAnsweredAsByTheEngine(t *testing.T) {
	onHostileData(t, func(t *testing.T, db *database.Database) {
		p, seed := newPair(db, func(*graph.Config) {}), seeds(t)
		late := newPair(db, func(cfg *graph.Config) { cfg.Deadline = 3 * time.Millisecond })
		const clients = 8
		var all sync.WaitGroup
		for client := range clients {
			all.Go(func() {
				for i := range differentials(t, db, 4*clients) {
					seed := seed + uint64(i*clients+client)
					op := generate(schema, seed, true)
					engine := p.engine.ask(t.Context(), op, "application/json")
					for what, api := range map[string]asked{
						"":          p.api.ask(t.Context(), op, "application/json"),
						"late":      late.api.ask(t.Context(), op, "application/json"),
						"cancelled": p.api.askFor(t.Context(), time.Duration(i%40)*100*time.Microsecond, op),
					} {
						if d := broken(what, api, engine); d != "" {
							t.Errorf("ROLLCALL_TEST_SEED=%d, %s: %s\n%s", seed, what, d, op)
						}
					}
				}
			})
		}
		all.Wait()
	})
}

// askFor is ask by a client that goes away after a time.
func (c *counted) askFor(ctx context.Context, patience time.Duration, body any) asked {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(patience, cancel).Stop()
	return c.ask(ctx, body, "application/json")
}

// broken says what is wrong with an answer that may have been broken off for a reason: it is the engine's, or none, or has
// errors that tell the reason.
func broken(why string, api, engine asked) string {
	if fmt.Sprint(api.answers) == fmt.Sprint(engine.answers) || why == "cancelled" && api.body == "" {
		return ""
	}
	code := map[string]string{"late": "code:TIMEOUT", "cancelled": "code:CANCELLED"}[why]
	if code == "" || len(api.answers) != 1 {
		return fmt.Sprintf("want %v, got %s", engine.answers, api.body)
	}
	told := false
	for _, e := range api.answers[0].errors {
		told = told || strings.Contains(e, code) || strings.Contains(e, "TOO_MANY_ERRORS")
	}
	if !told {
		return fmt.Sprintf("want %v, or the reason in an error, got %s", engine.answers, api.body)
	}
	return ""
}
