package clustertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load is clients that create one user after another, and read now and then, whatever they are answered, and note it.
type Load struct {
	Attempts []Attempt

	end context.CancelFunc
	all sync.WaitGroup
	mu  sync.Mutex
}

// Attempt is an operation and what it was answered.
type Attempt struct {
	Base         string // where it was sent first
	Email        string // of the user whom the mutation creates; "": it is a query
	Code         string // as Answer.Code has it
	Operation    string // of one that failed
	Keyed        bool   // sent again with an idempotency key, until an answer told what became of it
	Began, Ended time.Time
}

// loads tells the loads of a process apart.
var loads atomic.Int64

// internal is the code of what no fault of a node or a server explains.
const internal = "INTERNAL_SERVER_ERROR"

const (
	createUser      = `mutation($email: String!) { createUser(input: {name: "N", email: $email}) { user { id } } }`
	createUserKeyed = `mutation($email: String!, $key: String!) @idempotent(key: $key) { createUser(input: {name: "N", email: $email}) { user { id } } }`
)

// Begin begins a load of so many clients, which are shared out among the bases. Every other one sends with a key, and each time to the next base
// until it knows; the others send each mutation once. The load ends with the test at the latest.
func Begin(tb testing.TB, clients int, bases ...string) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{end: cancel}
	tb.Cleanup(l.End)
	run := fmt.Sprintf("%d.%d", loads.Add(1), time.Now().UnixNano())
	for i := range clients {
		l.all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				email := ""
				if n%4 != 3 {
					email = fmt.Sprintf("load.%s.%d.%d@example.com", run, i, n)
				}
				l.note(one(bases, i, email))
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return l
}

func one(bases []string, client int, email string) Attempt {
	at := client / 2 % len(bases)
	a := Attempt{Base: bases[at], Email: email, Keyed: email != "" && client%2 == 1, Began: time.Now()}
	query, variables := createUser, map[string]any{"email": email}
	switch {
	case email == "":
		query, variables = `{ users(first: 5) { nodes { name } } }`, nil
	case a.Keyed:
		query, variables["key"] = createUserKeyed, email
	}
	for ; ; at++ {
		answer := Client{Base: bases[at%len(bases)]}.Send(context.Background(), query, variables)
		a.Code, a.Operation, a.Ended = answer.Code(), answer.Operation(), time.Now()
		if !a.Keyed || a.Code == "" || a.Code == "CONFLICT" || a.Code == internal || time.Since(a.Began) > 2*time.Minute {
			return a
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *Load) note(a Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Attempts = append(l.Attempts, a)
}

// End ends the load, once each client has its last answer.
func (l *Load) End() {
	l.end()
	l.all.Wait()
}

// Successes is how many mutations have succeeded so far.
func (l *Load) Successes() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.Attempts {
		if a.Code == "" && a.Email != "" {
			n++
		}
	}
	return n
}

// Pause is the longest time without a success between two moments, of what was sent to a base first, or of all ("").
func (l *Load) Pause(base string, from, to time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ends []time.Time
	for _, a := range l.Attempts {
		if a.Code == "" && a.Email != "" && (base == "" || a.Base == base) && a.Ended.After(from) && a.Ended.Before(to) {
			ends = append(ends, a.Ended)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range append(ends, to) {
		longest, from = max(longest, end.Sub(from)), end
	}
	return longest
}

// Verdict is what has become of the operations of a load.
type Verdict struct {
	Queries, Failed            int // and those of them without an answer that is right
	Acknowledged, Lost         int // succeeded, and those of them that are not stored
	Refused, Stored            int // failed, and those of them that are stored
	Unknown, Unresolved, Wrong int // were OUTCOME_UNKNOWN; what mutationOutcome could not tell, and told otherwise than it is
	Unanswered                 int
	Twice                      int // run twice under one key
	Differ                     int // stored at some nodes alone
	Internal                   int // were INTERNAL_SERVER_ERROR
	Endless                    int // were sent again for two minutes, in vain
	Codes                      map[string]int
	Examples                   []string // of what must not be
}

// Verify compares what a load was answered with what all servers show. Nodes must have settled.
func (l *Load) Verify(tb testing.TB, servers []string) (v Verdict) {
	tb.Helper()
	v.Codes = map[string]int{}
	shown := make([]map[string]bool, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() { shown[i] = l.shown(tb, server) })
	}
	all.Wait()
	for _, a := range l.Attempts {
		if a.Code == internal {
			v.wrong(&v.Internal, "an internal error", a)
		}
		if a.Email == "" {
			v.Queries++
			if a.Code != "" {
				v.Failed++
			}
			continue
		}
		stored := shown[0][a.Email]
		for _, others := range shown[1:] {
			if others[a.Email] != stored {
				v.wrong(&v.Differ, "at some nodes alone", a)
			}
		}
		v.Codes[a.Code]++
		switch {
		case a.Code == "":
			if v.Acknowledged++; !stored {
				v.wrong(&v.Lost, "lost", a)
			}
		case a.Code == "CONFLICT" && a.Keyed:
			v.wrong(&v.Twice, "run twice", a)
		case a.Keyed && a.Code != internal:
			v.wrong(&v.Endless, "never stored", a)
		case a.Code == Unanswered:
			v.Unanswered++
		case a.Code == "OUTCOME_UNKNOWN":
			v.Unknown++
			v.ask(tb, servers[v.Unknown%len(servers)], a, stored)
		default:
			if v.Refused++; stored {
				v.wrong(&v.Stored, "refused and stored", a)
			}
		}
	}
	return v
}

func (v *Verdict) wrong(count *int, what string, a Attempt) {
	if *count++; len(v.Examples) < 10 {
		v.Examples = append(v.Examples, fmt.Sprintf("%s: %+v", what, a))
	}
}

// ask compares what mutationOutcome tells.
func (v *Verdict) ask(tb testing.TB, server string, a Attempt, stored bool) {
	tb.Helper()
	answer := Client{Base: server}.Send(tb.Context(), `query($id: ID!) { mutationOutcome(operationId: $id) }`, map[string]any{"id": a.Operation})
	switch outcome := answer.Text("mutationOutcome"); {
	case outcome == "COMMITTED" && stored, outcome == "ABORTED" && !stored:
	case outcome == "UNKNOWN":
		v.Unresolved++
	default:
		v.wrong(&v.Wrong, "said to be "+outcome, a)
	}
}

// shown returns which emails of the load a server finds.
func (l *Load) shown(tb testing.TB, server string) map[string]bool {
	found := map[string]bool{}
	for some := range slices.Chunk(l.Attempts, 100) {
		var query strings.Builder
		for i, a := range some {
			if a.Email != "" {
				_, _ = fmt.Fprintf(&query, "a%d: userByEmail(email: %q) { id } ", i, a.Email)
			}
		}
		answer := Client{Base: server}.Send(context.Background(), "{ __typename "+query.String()+"}", nil)
		if answer.Code() != "" {
			tb.Errorf("%s does not tell what is stored: %s", server, answer)
			return found
		}
		for i, a := range some {
			if a.Email != "" {
				found[a.Email] = answer.At(fmt.Sprint("a", i)) != nil
			}
		}
	}
	return found
}

// Faultless fails the test unless every operation has succeeded.
func (v Verdict) Faultless(tb testing.TB) {
	tb.Helper()
	v.Check(tb)
	if failed := v.Failed + v.Refused + v.Unknown + v.Unanswered; failed > 0 {
		tb.Errorf("%d operations have failed", failed)
	}
}

// Check fails the test unless nothing is as it must not be, and reports the figures.
func (v Verdict) Check(tb testing.TB) {
	tb.Helper()
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(v.Codes)) {
		codes = append(codes, fmt.Sprintf("%d %q", v.Codes[code], code))
	}
	tb.Logf("%d queries, %d failed; %d acknowledged, %d lost; %d refused, %d of them stored; %d unknown, %d unresolved, %d wrong; %d unanswered; %d run twice; %d differ; %d internal, %d endless (%s)",
		v.Queries, v.Failed, v.Acknowledged, v.Lost, v.Refused, v.Stored, v.Unknown, v.Unresolved, v.Wrong, v.Unanswered, v.Twice, v.Differ, v.Internal, v.Endless, strings.Join(codes, ", "))
	if v.Acknowledged == 0 || v.Lost+v.Stored+v.Unresolved+v.Wrong+v.Twice+v.Differ+v.Internal+v.Endless > 0 {
		tb.Errorf("what must not be:\n%s", strings.Join(v.Examples, "\n"))
	}
}
