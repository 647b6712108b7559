package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// throughput is the flags of the measurement of many writers.
type throughput struct {
	Database []string      `placeholder:"URL" default:"sqlite:" help:"sqlite: for files of its own, or the URL of a server on which databases may be created; those of several nodes of a cluster, in order. Default: ${default}."`
	Servers  int           `placeholder:"N" default:"2" help:"Servers of each build on one database, between which writers are divided. Default: ${default}."`
	Writers  int           `placeholder:"N" default:"16" help:"Clients that each send one mutation after another. Default: ${default}."`
	Rounds   int           `placeholder:"N" default:"10" help:"How often each build is measured, in turns. Default: ${default}."`
	Round    time.Duration `placeholder:"DURATION" default:"3s" help:"How long a round is. Default: ${default}."`
	Mix      string        `placeholder:"NAME" enum:"mixed,update" default:"mixed" help:"What is sent: mixed (updateUser, of ten one createUser, of twenty one updateUsers of up to 20) or update (updateUser alone). Default: ${default}."`
	Build    []string      `placeholder:"NAME=BINARY" sep:"none" help:"A build of Rollcall by its absolute path. It can be given several times; the first is what the others are compared with. Default: this working tree alone."`
	Process  []int         `placeholder:"PID" help:"The database's processes, whose CPU time is to be counted, with that of their children."`
	Rate     float64       `placeholder:"N" help:"Mutations per second that all writers send together. Default: as many as get done."`
	Audience int           `placeholder:"N" help:"Subscribers, divided between all servers, that are there meanwhile."`
	Of       string        `name:"audience-of" placeholder:"WHAT" enum:"one,all" default:"one" help:"What each of them follows: one of the users that are written to, or all. Default: ${default}."`
	Follow   bool          `help:"Subscribe to all changes at the last server, write at the others alone, and measure how long after its answer a mutation is told."`
	Quick    bool          `help:"One short round, to see that it works; its figures mean nothing."`
}

// crowd is how many users are written to.
const crowd = 1600

// followed is a build on its database.
type followed struct {
	name    string
	nodes   []*server
	rates   []float64 // mutations per second, of each round
	retries []float64 // per mutation
	cpu     []float64 // of the servers, in µs per mutation
	stored  []float64 // of the database, likewise
	failed  int       // mutations with errors
	delays  []time.Duration
	missed  int // mutations whose event did not come
	present *audience
	events  []float64 // that the audience was told, per second
}

func (t throughput) run(ctx context.Context) (err error) {
	if t.Quick {
		t.Rounds, t.Round = 1, 100*time.Millisecond
	}
	if t.Servers < 1 || t.Writers < 1 || t.Rounds < 1 {
		return errors.New("--servers, --writers and --rounds must be 1 or more")
	}
	folder, err := os.MkdirTemp("", "rollcall-throughput-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if len(t.Build) == 0 {
		file := filepath.Join(folder, rollcall)
		if err := build(ctx, file, "rollcall", "."); err != nil {
			return fmt.Errorf("go build rollcall: %w", err)
		}
		t.Build = []string{rollcall + "=" + file}
	}
	var ends []func()
	defer func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}()
	var all []*followed
	for _, given := range t.Build {
		f, end, err := t.start(ctx, given, folder)
		ends = append(ends, end)
		if err != nil {
			return fmt.Errorf("--build %s: %w", given, err)
		}
		all = append(all, f)
	}
	for round := range t.Rounds + 1 { // the first is to warm up
		turns := slices.Clone(all)
		if round%2 == 1 { // so that none is always the first, or after the same one
			slices.Reverse(turns)
		}
		for _, f := range turns {
			if err := t.measure(ctx, f, round); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		if round == 0 {
			for _, f := range all {
				f.rates, f.retries, f.cpu, f.stored, f.events, f.delays, f.missed = nil, nil, nil, nil, nil, nil, 0
			}
		}
	}
	t.print(os.Stdout, all)
	return nil
}

// start creates a database, migrates it by the build itself, starts its servers and creates users.
func (t throughput) start(ctx context.Context, given, folder string) (f *followed, end func(), err error) {
	var ends []func()
	end = func() {
		for _, one := range slices.Backward(ends) {
			one()
		}
	}
	name, file, ok := strings.Cut(given, "=")
	if !ok {
		return nil, end, errors.New("it must be NAME=BINARY")
	}
	f = &followed{name: name}
	urls := []string{"sqlite:" + filepath.Join(folder, name+".db")}
	if !strings.HasPrefix(t.Database[0], "sqlite:") {
		urls = nil
		database := "rollcall_bench_" + strings.ToLower(rand.Text()[:8])
		admin, _, err := administer(t.Database[0])
		if err != nil {
			return nil, end, err
		}
		if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+database); err != nil {
			return nil, end, errors.Join(err, admin.Close())
		}
		ends = append(ends, func() { drop(context.WithoutCancel(ctx), admin, database) })
		for _, node := range t.Database {
			u, err := url.Parse(node)
			if err != nil {
				return nil, end, errors.New("--database is malformed")
			}
			u.Path = "/" + database
			urls = append(urls, u.String())
		}
	}
	if text, err := exec.CommandContext(ctx, file, "migrate", "--database="+urls[0]).CombinedOutput(); err != nil {
		return nil, end, fmt.Errorf("migrate: %w\n%s", err, text)
	}
	for i := range t.Servers {
		args := []string{"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", fmt.Sprintf("--pool-size=%d", (t.Writers+t.Servers-1)/t.Servers), "--log-level=error", "--max-cost=10000000", "--database=" + urls[i%len(urls)]}
		if t.Audience > 0 {
			args = append(args, fmt.Sprintf("--max-streams=%d", t.Audience+1))
		}
		args = append(args, withoutCredentials(ctx, file)...)
		s, err := launch(file, args, nil)
		for try := 0; err != nil && len(urls) > 1 && try < 20; try++ { // a node may not have all of the schema yet
			time.Sleep(250 * time.Millisecond)
			s, err = launch(file, args, nil)
		}
		if err != nil {
			return nil, end, err
		}
		f.nodes, ends = append(f.nodes, s), append(ends, s.end)
	}
	var users []map[string]any
	for i := range crowd {
		users = append(users, map[string]any{"name": fmt.Sprintf("Given Family %d", i), "email": fmt.Sprintf("user.%d@example.com", i)})
	}
	for chunk := range slices.Chunk(users, 800) {
		body, err := json.Marshal(map[string]any{
			"query": `mutation($users: [CreateUserInput!]!) { createUsers(input: {users: $users}) { results { user { id } } } }`, "variables": map[string]any{"users": chunk},
		})
		if err != nil {
			return nil, end, err
		}
		answer, err := ask(ctx, http.DefaultClient, f.nodes[0], body)
		if err != nil {
			return nil, end, err
		}
		var created struct {
			Data struct {
				CreateUsers struct {
					Results []struct{ User struct{ ID string } }
				}
			}
		}
		if err := json.Unmarshal(answer, &created); err != nil {
			return nil, end, err
		}
		for _, r := range created.Data.CreateUsers.Results {
			f.nodes[0].cursors = append(f.nodes[0].cursors, r.User.ID)
		}
	}
	if t.Audience > 0 {
		users := f.nodes[0].cursors
		if f.present, err = gather(ctx, t.Audience, f.nodes, func(i int) string {
			if t.Of == "all" {
				return ""
			}
			return users[i%len(users)]
		}); err != nil {
			return nil, end, err
		}
		ends = append(ends, f.present.leave)
	}
	return f, end, nil
}

func drop(ctx context.Context, admin *sql.DB, database string) {
	if _, err := admin.ExecContext(ctx, "DROP DATABASE "+database); err != nil {
		progress("cannot drop the database %s: %v", database, err)
	}
	_ = admin.Close()
}

// measure is one round.
func (t throughput) measure(ctx context.Context, f *followed, round int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	writing := f.nodes
	var told *told
	if t.Follow {
		var err error
		if told, err = follow(ctx, f.nodes[len(f.nodes)-1]); err != nil {
			return err
		}
		if len(f.nodes) > 1 {
			writing = f.nodes[:len(f.nodes)-1]
		}
	}
	before, err := f.retried(ctx)
	if err != nil {
		return err
	}
	cpu, stored, err := t.cpu(f)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: t.Writers}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all sync.WaitGroup
	answered, failed := map[string]time.Time{}, 0
	toldBefore := f.told()
	began := time.Now()
	for i := range t.Writers {
		all.Go(func() {
			w := writer{Rand: mathrand.New(mathrand.NewPCG(uint64(round), uint64(i))), mix: t.Mix, own: f.own(i, t.Writers), prefix: fmt.Sprintf("%s %d.%d.", f.name, round, i)}
			own, wrong := map[string]time.Time{}, 0
			for n := 0; time.Since(began) < t.Round && ctx.Err() == nil; n++ {
				if t.Rate > 0 { // the writers one after the other, evenly
					time.Sleep(time.Until(began.Add(time.Duration(float64(n*t.Writers+i) / t.Rate * float64(time.Second)))))
				}
				mark, body := w.next()
				if _, err := ask(ctx, client, writing[i%len(writing)], body); err != nil {
					if wrong++; wrong == 1 {
						progress("%s: %v", f.name, err)
					}
					continue
				}
				own[mark] = time.Now()
			}
			mu.Lock()
			defer mu.Unlock()
			failed += wrong
			for mark, at := range own {
				answered[mark] = at
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	after, err := f.retried(ctx)
	if err != nil {
		return err
	}
	n := float64(max(len(answered), 1))
	cpuAfter, storedAfter, err := t.cpu(f)
	if err != nil {
		return err
	}
	f.cpu = append(f.cpu, float64((cpuAfter-cpu).Microseconds())/n)
	f.stored = append(f.stored, float64((storedAfter-stored).Microseconds())/n)
	f.rates = append(f.rates, float64(len(answered))/took.Seconds())
	f.events = append(f.events, float64(f.told()-toldBefore)/took.Seconds())
	f.retries = append(f.retries, (after-before)/n)
	f.failed += failed
	if told != nil {
		delays, missed := told.since(answered)
		f.delays, f.missed = append(f.delays, delays...), f.missed+missed
	}
	return context.Cause(ctx)
}

// told is how many events the audience has been told.
func (f *followed) told() int64 {
	if f.present == nil {
		return 0
	}
	return f.present.events.Load()
}

// own are the users that a writer changes.
func (f *followed) own(i, of int) (ids []string) {
	for ; i < len(f.nodes[0].cursors); i += of {
		ids = append(ids, f.nodes[0].cursors[i])
	}
	return ids
}

// retried is how often the servers have run an operation again.
func (f *followed) retried(ctx context.Context) (n float64, err error) {
	for _, s := range f.nodes {
		values, err := s.values(ctx)
		if err != nil {
			return 0, err
		}
		n += values["rollcall_operation_retries_total"]
	}
	return n, nil
}

// cpu is the CPU time that the servers and the database have had.
func (t throughput) cpu(f *followed) (servers, stored time.Duration, err error) {
	for _, s := range f.nodes {
		used, err := s.cpu()
		if err != nil {
			return 0, 0, err
		}
		servers += used
	}
	for _, pid := range t.Process {
		for _, one := range append(children(pid), pid) {
			var used unix.Timespec
			if unix.ClockGettime(int32(^one)<<3|2, &used) == nil { // it may have ended
				stored += time.Duration(used.Nano())
			}
		}
	}
	return servers, stored, nil
}

func children(pid int) (all []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	for word := range strings.FieldsSeq(string(text)) {
		if id, err := strconv.Atoi(word); err == nil {
			all = append(all, id)
		}
	}
	return all
}

// writer makes one client's mutations.
type writer struct {
	*mathrand.Rand
	mix    string
	own    []string // ids
	prefix string
	n      int
	turn   int // of whose user it is: none is changed again before the others, so that subscribers see each title
}

// next returns a mutation, and a title that only it gives a user.
func (w *writer) next() (mark string, body []byte) {
	w.n++
	mark = fmt.Sprint(w.prefix, w.n)
	query, variables := `mutation($id: ID!, $title: String!) { updateUser(input: {id: $id, title: $title}) { user { id } } }`,
		map[string]any{"id": w.user(), "title": mark}
	switch kind := w.IntN(20); {
	case w.mix == "update":
	case kind < 2:
		query = `mutation($name: String!, $email: String!, $title: String!) { createUser(input: {name: $name, email: $email, title: $title}) { user { id } } }`
		variables = map[string]any{"name": "New " + mark, "email": strings.ReplaceAll(mark, " ", "-") + "@example.com", "title": mark}
	case kind < 3:
		query = `mutation($users: [UpdateUserInput!]!) { updateUsers(input: {users: $users}) { results { user { id } } } }`
		var users []map[string]any
		for range 2 + w.IntN(min(19, len(w.own)-1)) {
			users = append(users, map[string]any{"id": w.user(), "title": mark})
		}
		variables = map[string]any{"users": users}
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		panic(err) // of strings it can't
	}
	return mark, body
}

func (w *writer) user() string {
	w.turn++
	return w.own[w.turn%len(w.own)]
}

// told is what a subscriber is told, and when.
type told struct {
	mu    sync.Mutex
	first map[string]time.Time // by title
}

// follow subscribes to the changes of all users at a server.
func follow(ctx context.Context, s *server) (*told, error) {
	events, err := subscribe(ctx, s, `{"query": "subscription { userChanged { kind user { id title } } }"}`)
	if err != nil {
		return nil, err
	}
	t := &told{first: map[string]time.Time{}}
	lines := bufio.NewScanner(events)
	go func() {
		defer func() { _ = events.Close() }()
		for lines.Scan() {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			now := time.Now()
			var event struct {
				Data struct {
					UserChanged struct{ User struct{ Title string } }
				}
			}
			if json.Unmarshal([]byte(text), &event) != nil {
				continue
			}
			t.mu.Lock()
			if title := event.Data.UserChanged.User.Title; t.first[title].IsZero() {
				t.first[title] = now
			}
			t.mu.Unlock()
		}
	}()
	time.Sleep(200 * time.Millisecond) // until it is subscribed
	return t, nil
}

// since returns how long after its answer each mutation was told: 0 where that came first. Those whose event does not come within
// two seconds are counted. One that the next change has overtaken may be told by that one's title.
func (t *told) since(answered map[string]time.Time) (delays []time.Duration, missed int) {
	for wait := time.Now(); time.Since(wait) < 2*time.Second; time.Sleep(10 * time.Millisecond) {
		if missed = t.untold(answered); missed == 0 {
			break
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for mark, at := range answered {
		if first := t.first[mark]; !first.IsZero() {
			delays = append(delays, max(first.Sub(at), 0))
		}
	}
	return delays, missed
}

func (t *told) untold(answered map[string]time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for mark := range answered {
		if t.first[mark].IsZero() {
			n++
		}
	}
	return n
}

// print prints a table, as Markdown. A ratio is the median of those of each round, whose turns follow each other.
func (t throughput) print(to io.Writer, all []*followed) {
	kind, _, _ := strings.Cut(t.Database[0], ":")
	_, _ = fmt.Fprintf(to, "\n%d writers (%s), %d servers, %s on %d, %d rounds of %s, %d cores, %s: medians\n\n", t.Writers, t.Mix, t.Servers, cmp.Or(kinds[kind], kind),
		len(t.Database), t.Rounds, t.Round, runtime.NumCPU(), runtime.Version())
	_, _ = fmt.Fprintln(to, "| Build | Mutations/s | Range | Ratio | Range of ratios (quartiles) | CPU of the servers, µs | CPU of the database, µs | Reruns each | Errors | Told after: median, ms | p99, ms | Not told | Events/s of the audience |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, f := range all {
		var ratios []float64
		for i := range f.rates {
			ratios = append(ratios, f.rates[i]/all[0].rates[i])
		}
		slices.Sort(ratios)
		p50, p99 := "–", "–"
		if slices.Sort(f.delays); len(f.delays) > 0 {
			p50, p99 = digits(1e3*f.delays[len(f.delays)/2].Seconds()), digits(1e3*f.delays[len(f.delays)*99/100].Seconds())
		}
		_, _ = fmt.Fprintf(to, "| %s | %.0f | %.0f to %.0f | %.3f | %.3f to %.3f | %.0f | %.0f | %.4f | %d | %s | %s | %d | %.0f |\n", f.name, median(f.rates), slices.Min(f.rates), slices.Max(f.rates),
			median(ratios), ratios[len(ratios)/4], ratios[len(ratios)*3/4], median(f.cpu), median(f.stored), median(f.retries), f.failed, p50, p99, f.missed, median(f.events))
		if f.present != nil && f.present.ended.Load() > 0 {
			_, _ = fmt.Fprintf(to, "\nOf the audience of %s %d subscriptions have ended.\n", f.name, f.present.ended.Load())
		}
	}
}
