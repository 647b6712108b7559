package ratelimit_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"rollcall/ratelimit"
)

// item parses a field as a List (RFC 9651) of one String, and returns that with its parameters, which are all integers.
func item(t *testing.T, header http.Header, name string) (policy string, parameters map[string]int64) {
	t.Helper()
	values := header.Values(name)
	if len(values) != 1 {
		t.Fatalf("%s: got %q", name, values)
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %q is no list of one item: %v", name, values, err)
	}
	one, ok := list[0].(httpsfv.Item)
	if !ok {
		t.Fatalf("%s: %q has no item", name, values)
	}
	if policy, ok = one.Value.(string); !ok {
		t.Fatalf("%s: the item of %q is no String", name, values)
	}
	parameters = map[string]int64{}
	for _, key := range one.Params.Names() {
		value, _ := one.Params.Get(key)
		if parameters[key], ok = value.(int64); !ok || parameters[key] < 0 {
			t.Errorf("%s: the parameter %s of %q is not an integer from 0 on", name, key, values)
		}
	}
	return policy, parameters
}

func TestTheFieldsAreThoseOfTheDraftAndTellWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		options       ratelimit.Options
		cost          int
		policy, limit string
	}{
		{ratelimit.Options{PerMinute: 100}, 50, `"default";q=100;w=60`, `"default";r=50;t=30`},
		{ratelimit.Options{PerMinute: 100}, 100, `"default";q=100;w=60`, `"default";r=0;t=60`},
		{ratelimit.Options{PerMinute: 100}, 0, `"default";q=100;w=60`, `"default";r=100`},
		{ratelimit.Options{Policy: "cost", PerMinute: 6000, Burst: 1000}, 1, `"cost";q=1000;w=10`, `"cost";r=999;t=1`},
		{ratelimit.Options{Policy: "cost", PerMinute: 6000, Burst: 10}, 1, `"cost";q=10;w=1`, `"cost";r=9;t=1`}, // no less than 1 s
		{ratelimit.Options{PerMinute: 1, Burst: 1 << 30}, 1, `"default";q=38430716;w=2305843010`, `"default";r=38430715;t=60`},
	} {
		l := ratelimit.New(c.options)
		header := http.Header{}
		l.Tell(header, l.TakeAt(named(1), c.cost, 0))
		if policy, limit := header.Get("RateLimit-Policy"), header.Get("RateLimit"); policy != c.policy || limit != c.limit || header["Retry-After"] != nil {
			t.Errorf("%+v after %d:\nwant %s, %s\ngot  %s, %s %s", c.options, c.cost, c.policy, c.limit, policy, limit, header["Retry-After"])
		}
		policy, of := item(t, header, ratelimit.HeaderPolicy)
		limited, left := item(t, header, ratelimit.HeaderLimit)
		if policy != limited || of["q"] < left["r"] || of["w"] < 1 || left["t"] > of["w"] {
			t.Errorf("%v and %v do not go together", header.Get(ratelimit.HeaderPolicy), header.Get(ratelimit.HeaderLimit))
		}
	}
}

func TestARefusalSaysWhenThereIsEnoughAndNotEarlier(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{PerMinute: 100})
	client := ratelimit.NewClient("", netip.MustParseAddr("192.0.2.1"))
	l.TakeAt(client, 100, 0)
	header := http.Header{}
	v := l.TakeAt(client, 50, 0)
	l.Tell(header, v)
	_, left := item(t, header, ratelimit.HeaderLimit)
	if v.Granted || header.Get("Retry-After") != "30" || left["t"] != 30 || left["r"] != 0 {
		t.Errorf("got %+v, %v", v, header)
	}
	after, _ := strconv.Atoi(header.Get("Retry-After"))
	if v := l.TakeAt(client, 50, time.Duration(after)*time.Second); !v.Granted {
		t.Errorf("who comes back as told is refused: %+v", v)
	}
	header = http.Header{}
	if l.Tell(header, l.TakeAt(client, 101, 0)); header["Retry-After"] != nil {
		t.Errorf("what will never be granted has %v", header)
	}
}

func TestALimiterThatIsNilTellsNothing(t *testing.T) {
	header := http.Header{}
	var l *ratelimit.Limiter
	if l.Tell(header, l.Take(named(1), 5)); len(header) > 0 {
		t.Errorf("got %v", header)
	}
}
