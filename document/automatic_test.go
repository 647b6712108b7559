package document

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
)

// table is a Store in memory that notes what it is asked for.
type table struct {
	mu    sync.Mutex
	texts map[string]string
	used  map[string]time.Time
	asked []string
	err   error
}

func (s *table) do(what, hash string, change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what+" "+hash[:4])
	if s.err == nil {
		change()
	}
	return s.err
}

func (s *table) Find(_ context.Context, hash string) (found *Stored, err error) {
	err = s.do("find", hash, func() {
		if text, ok := s.texts[hash]; ok {
			found = &Stored{Text: text, Used: s.used[hash]}
		}
	})
	return found, err
}

func (s *table) Keep(_ context.Context, hash, text string) error {
	return s.do("keep", hash, func() { s.texts[hash] = text })
}

func (s *table) Use(_ context.Context, hash, text string) error {
	return s.do("use", hash, func() { s.texts[hash], s.used[hash] = text, time.Now() })
}

func (s *table) Remove(_ context.Context, hash, text string) error {
	return s.do("remove", hash, func() {
		if s.texts[hash] == text {
			delete(s.texts, hash)
		}
	})
}

// since returns what the store was asked for since the last time.
func (s *table) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *table) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func newTable() *table { return &table{texts: map[string]string{}, used: map[string]time.Time{}} }

// send sends a text, or none, under a hash, and says whether it is refused. What is not refused runs, unless another extension refuses it.
func send(t *testing.T, a *Automatic, text, hash string, refused bool) (code string) {
	t.Helper()
	params := &graphql.RawParams{Query: text, Extensions: byHash(hash)}
	ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{})
	e := Extension{Automatic: a}
	if err := e.MutateOperationParameters(ctx, params); err != nil {
		return err.Extensions["code"].(string)
	}
	if !refused {
		e.InterceptOperation(ctx, func(context.Context) graphql.ResponseHandler { return nil })
	}
	a.Drain(t.Context())
	if sum := hashOfText(params.Query); sum != hash {
		t.Errorf("%q runs, which is not the document of %s", params.Query, hash)
	}
	return ""
}

func newAutomatic(store Store) *Automatic {
	return &Automatic{Memory: lru.New[*Text](10), Store: store}
}

const text = `query Automatic { one }`

func TestADocumentThatIsRegisteredAtOneServerIsKnownAtAnother(t *testing.T) {
	store := newTable()
	one, other := newAutomatic(store), newAutomatic(store)
	sum := hash(text)
	if code := send(t, other, "", sum, false); code != CodeNotFound {
		t.Errorf("before it is registered: %q", code)
	}
	for _, server := range []*Automatic{one, other, other} {
		query := ""
		if server == one {
			query = text
		}
		if code := send(t, server, query, sum, false); code != "" {
			t.Errorf("got %s", code)
		}
	}
	if got, want := store.since(), []string{"find " + sum[:4], "keep " + sum[:4], "find " + sum[:4], "use " + sum[:4]}; !slices.Equal(got, want) {
		t.Errorf("the store was asked for %q, want %q", got, want)
	}
}

func TestADocumentThatIsRefusedIsKeptNowhere(t *testing.T) {
	store := newTable()
	a := newAutomatic(store)
	send(t, a, text, hash(text), true)
	if code := send(t, a, "", hash(text), false); code != CodeNotFound || len(store.texts) != 0 {
		t.Errorf("the document of an operation that was refused is found: %q, %v", code, store.texts)
	}
}

func TestAKnownDocumentAsksTheStoreForNothingButOnceADay(t *testing.T) {
	store := newTable()
	a := newAutomatic(store)
	send(t, a, text, hash(text), false)
	send(t, a, "", hash(text), false) // its first use
	store.since()
	for range 100 {
		send(t, a, "", hash(text), false)
		send(t, a, text, hash(text), false)
	}
	if asked := store.since(); len(asked) != 0 {
		t.Errorf("the store was asked for %q", asked)
	}
	known, _ := a.Memory.Get(t.Context(), hash(text))
	known.next.Store(time.Now().UnixMilli()) // a day later
	delete(store.texts, hash(text))          // and pushed out meanwhile
	send(t, a, "", hash(text), false)
	send(t, a, "", hash(text), false)
	if asked := store.since(); !slices.Equal(asked, []string{"use " + hash(text)[:4]}) || store.texts[hash(text)] != text {
		t.Errorf("a day later the store was asked for %q", asked)
	}
	another := newAutomatic(store)
	send(t, another, "", hash(text), false)
	if asked := store.since(); !slices.Equal(asked, []string{"find " + hash(text)[:4]}) {
		t.Errorf("a use that is noted already: the store was asked for %q", asked)
	}
}

func TestADocumentThatIsNotThatOfItsHashIsNotRunAndMakesRoomForTheRightOne(t *testing.T) {
	store := newTable()
	var log strings.Builder
	a := newAutomatic(store)
	a.Logger = slog.New(slog.NewTextHandler(&log, nil))
	store.texts[hash(text)] = `mutation { tampered }`
	if code := send(t, a, "", hash(text), false); code != CodeNotFound {
		t.Errorf("got %q", code)
	}
	a.Drain(t.Context())
	if len(store.texts) != 0 || !strings.Contains(log.String(), hash(text)) {
		t.Errorf("it is still there, or nobody was told: %v, %s", store.texts, &log)
	}
	send(t, a, text, hash(text), false)
	if code := send(t, newAutomatic(store), "", hash(text), false); code != "" {
		t.Errorf("registered anew: %s", code)
	}
}

func TestAStoreThatFailsFailsNoOperationAndIsToldLater(t *testing.T) {
	store := newTable()
	var log strings.Builder
	a := newAutomatic(store)
	a.Logger = slog.New(slog.NewTextHandler(&log, nil))
	store.fail(errors.New("away"))
	for range 3 {
		if code := send(t, a, "", hash(relay), false); code != CodeNotFound {
			t.Errorf("what cannot be looked for: %q", code)
		}
		if code := send(t, a, text, hash(text), false); code != "" {
			t.Errorf("a registration: %s", code)
		}
	}
	if code := send(t, a, "", hash(text), false); code != "" {
		t.Errorf("what is in the memory: %s", code)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings of one outage: %s", n, &log)
	}
	if n := slices.Index(store.since(), "keep "+hash(text)[:4]); n < 0 {
		t.Error("the store was not told")
	}
	store.fail(nil)
	send(t, a, "", hash(text), false)
	if len(store.texts) != 0 {
		t.Error("the store is told again at once")
	}
	known, _ := a.Memory.Get(t.Context(), hash(text))
	known.next.Store(time.Now().UnixMilli()) // a minute later
	send(t, a, "", hash(text), false)
	if store.texts[hash(text)] != text {
		t.Error("the store is not told later")
	}
}

func TestAStoreThatHangsDelaysNoOperation(t *testing.T) {
	release := make(chan struct{})
	a := newAutomatic(hanging{newTable(), release})
	for i := range 2 * maxJobs {
		one := text + strings.Repeat(" ", i) // each is another document
		r := &run{automatic: a, hash: hash(one), Text: &Text{text: one}, sent: true}
		a.ran(t.Context(), r) // returns
	}
	a.mu.Lock()
	waiting := len(a.jobs)
	a.mu.Unlock()
	if waiting != maxJobs {
		t.Errorf("%d wait for the store, want %d", waiting, maxJobs)
	}
	close(release)
	a.Drain(t.Context())
	large := strings.Repeat(" ", maxBytes/4)
	release = make(chan struct{})
	a = newAutomatic(hanging{newTable(), release})
	for range 20 {
		a.enqueue(job{text: large, tell: a.Store.Keep, hash: hash(text)})
	}
	a.mu.Lock()
	if a.bytes > maxBytes {
		t.Errorf("texts of %d bytes wait", a.bytes)
	}
	a.mu.Unlock()
	close(release)
	a.Drain(t.Context())
}

// hanging is a store that stores nothing until it is released.
type hanging struct {
	*table
	release chan struct{}
}

func (h hanging) Keep(ctx context.Context, hash, text string) error {
	<-h.release
	return h.table.Keep(ctx, hash, text)
}

func TestAnAnswerWaitsForItsDocumentToBeStoredButNotForEver(t *testing.T) {
	answer := func(a *Automatic) {
		ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{})
		e := Extension{Automatic: a}
		if err := e.MutateOperationParameters(ctx, &graphql.RawParams{Query: text, Extensions: byHash(hash(text))}); err != nil {
			t.Fatal(err)
		}
		respond := e.InterceptOperation(ctx, func(context.Context) graphql.ResponseHandler { return graphql.OneShot(&graphql.Response{}) })
		if respond(ctx) == nil || respond(ctx) != nil {
			t.Error("the answer is another one")
		}
	}
	release := make(chan struct{})
	store := hanging{newTable(), release}
	a := newAutomatic(store)
	answer(a) // returns
	if asked := store.since(); len(asked) != 0 {
		t.Errorf("the store was done with %q", asked)
	}
	close(release)
	a.Drain(t.Context())
	for range 100 {
		store := newTable()
		answer(newAutomatic(store))
		if asked := store.since(); !slices.Equal(asked, []string{"keep " + hash(text)[:4]}) {
			t.Fatalf("answered before it was stored: %q", asked)
		}
	}
}

func TestWhoeverMayNotRegisterIsServedByThisServerAlone(t *testing.T) {
	store := newTable()
	a := newAutomatic(store)
	may := false
	a.Admit = func(context.Context) bool { return may }
	send(t, a, text, hash(text), false)
	if code := send(t, a, "", hash(text), false); code != "" || len(store.texts) != 0 {
		t.Errorf("got %q, stored %v", code, store.texts)
	}
	may = true
	send(t, a, "", hash(text), false) // somebody else's
	if !slices.Equal(slices.Collect(maps.Values(store.texts)), []string{text}) {
		t.Errorf("stored %v", store.texts)
	}
}

func TestOnlyAHashIsLookedForInTheStore(t *testing.T) {
	store := newTable()
	for _, no := range []string{"unknown", strings.ToUpper(hash(text)), hash(text) + "0", hash(text)[1:], "g" + hash(text)[1:], hash(text)[:60] + "'--\x00", strings.Repeat("é", 32)} {
		if code := send(t, newAutomatic(store), "", no, false); code != CodeNotFound {
			t.Errorf("%q: %q", no, code)
		}
	}
	if asked := store.since(); len(asked) != 0 {
		t.Errorf("the store was asked for %q", asked)
	}
}

func TestAListedDocumentIsNotStored(t *testing.T) {
	store := newTable()
	e := Extension{Listed: NewListed(List{hash(listed): {Text: listed}}), Automatic: newAutomatic(store)}
	for _, query := range []string{"", listed} {
		ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{})
		params := &graphql.RawParams{Query: query, Extensions: byHash(hash(listed))}
		if err := e.MutateOperationParameters(ctx, params); err != nil || params.Query != listed {
			t.Errorf("got %q, %v", params.Query, err)
		}
		Run(ctx, graphql.GetOperationContext(ctx))
	}
	e.Automatic.Drain(t.Context())
	if asked := store.since(); len(asked) != 0 {
		t.Errorf("the store was asked for %q", asked)
	}
}

func TestTheTextThatIsStoredIsTheOneThatWasSent(t *testing.T) {
	const escaped = `query Other { one(text: "\u{41}") }` // which gqlparser gets otherwise
	store := newTable()
	ctx := graphql.WithOperationContext(t.Context(), &graphql.OperationContext{})
	e := Extension{Automatic: newAutomatic(store)}
	params := &graphql.RawParams{Query: escaped, Extensions: byHash(hash(escaped))}
	if err := e.MutateOperationParameters(ctx, params); err != nil || params.Query == escaped {
		t.Fatalf("%q, %v", params.Query, err)
	}
	Run(ctx, graphql.GetOperationContext(ctx))
	e.Automatic.Drain(t.Context())
	if store.texts[hash(escaped)] != escaped {
		t.Errorf("stored %q", store.texts)
	}
}
