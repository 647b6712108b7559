package sessiontest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// opening: promise 1.
var opening = []promise{
	{name: "What needs no data takes no connection", test: noDataNoConnection},
}

func noDataNoConnection(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	reads, _ := b.Reads.DB()
	writes, _ := b.DB.DB()
	before := reads.Stats().OpenConnections + writes.Stats().OpenConnections
	// With every connection taken away, whoever needs one would wait until the deadline.
	reads.SetMaxOpenConns(1)
	writes.SetMaxOpenConns(1)
	r, err := reads.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	w, err := writes.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()

	b.Must(`{ __typename }`)
	b.Must(`mutation { __typename }`)
	b.Must(`query @snapshot { __typename }`)
	b.Must(`{ __schema { types { name } } }`)
	if a := b.Send(`{ nothing }`); a.OK() || len(a.Errors) == 0 {
		t.Errorf("a validation error: got %s", a.Raw)
	}
	if a := b.Send(`{`); a.OK() || len(a.Errors) == 0 {
		t.Errorf("a syntax error: got %s", a.Raw)
	}
	res, err := http.Post(b.URL, "application/json", strings.NewReader(`{"query": `)) //nolint:noctx // a test client
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "errors") {
		t.Errorf("malformed JSON: got %d %s", res.StatusCode, body)
	}
	res, err = http.Get(b.URL + "?query=" + url.QueryEscape(`mutation { increment(id: 1) { id } }`)) //nolint:noctx // a test client
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode == http.StatusOK || !strings.Contains(string(body), "errors") {
		t.Errorf("a mutation by GET: got %d %s", res.StatusCode, body)
	}
	if after := reads.Stats().OpenConnections + writes.Stats().OpenConnections; after > before {
		t.Errorf("connections were opened: %d before, %d after", before, after)
	}
	if n := reads.Stats().WaitCount + writes.Stats().WaitCount; n != 0 {
		t.Errorf("%d operations waited for a connection", n)
	}
}
