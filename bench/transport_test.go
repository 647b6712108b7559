package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	gqlgen "github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/schematest/generated"
	"rollcall/transport"
)

// discard is an http.ResponseWriter that keeps nothing but the number of bytes.
type discard struct {
	header http.Header
	n      int
}

func (d *discard) Header() http.Header { return d.header }
func (*discard) WriteHeader(int)       {}
func (d *discard) Write(p []byte) (int, error) {
	d.n += len(p)
	return len(p), nil
}

// The ResponseWriter of net/http has deadlines too.
func (*discard) SetReadDeadline(time.Time) error  { return nil }
func (*discard) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkTransport is what a transport adds to the smallest operation: this project's HTTP transport beside gqlgen's,
// with each of the usual Accept headers.
func BenchmarkTransport(b *testing.B) {
	const body = `{"query":"{ __typename }"}`
	for _, accept := range []string{"application/json", "application/graphql-response+json, application/json;q=0.9"} {
		for _, c := range []struct {
			name      string
			transport graphql.Transport
		}{
			{"rollcall", &transport.HTTP{MaxBody: 1 << 20, MaxBatch: 50}},
			{"gqlgen", gqlgen.POST{}},
		} {
			b.Run(strings.SplitN(accept, ",", 2)[0]+"/"+c.name, func(b *testing.B) {
				srv := handler.New(generated.NewExecutableSchema(generated.Config{}))
				srv.SetQueryCache(lru.New[*ast.QueryDocument](10))
				srv.AddTransport(c.transport)
				r := httptest.NewRequest(http.MethodPost, "/", nil)
				r.ContentLength = int64(len(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", accept)
				reader := strings.NewReader(body)
				r.Body = io.NopCloser(reader)
				b.ReportAllocs()
				for b.Loop() {
					reader.Reset(body)
					w := &discard{header: http.Header{}}
					srv.ServeHTTP(w, r)
					if w.n != len(`{"data":{"__typename":"Query"}}`) {
						b.Fatal(w.n)
					}
				}
			})
		}
	}
}
