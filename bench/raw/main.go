// Raw answers the workloads as a server does that is written by hand for them: net/http, encoding/json and database/sql, with
// one statement for each relation of a level. It is no GraphQL server: it knows each document by its text. The pools
// and their settings are Rollcall's; how garbage is collected GOGC and GOMEMLIMIT say.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/bench/workload"
	"rollcall/database"
)

type config struct {
	Database string `required:"" placeholder:"URL" help:"Where the directory is."`
}

// server answers requests from two pools.
type server struct {
	reads, writes *pool
	statements    prometheus.Counter
}

// request is one GraphQL request.
type request struct {
	Query     string          `json:"query"`
	Variables json.RawMessage `json:"variables"`
}

// operation reads what a document asks for.
type operation func(ctx context.Context, variables json.RawMessage) (data any, err error)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cfg config
	kong.Parse(&cfg, kong.Description("Answer the benchmark's requests by hand-written code."))
	if err := run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg config) error {
	db, err := database.Open(ctx, cfg.Database, database.Options{Deadline: 10 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	s := &server{
		reads:      &pool{DB: db.Pools()["read"], dialect: db.Dialect().Name()},
		writes:     &pool{DB: db.Pools()["write"], dialect: db.Dialect().Name()},
		statements: prometheus.NewCounter(prometheus.CounterOpts{Name: "raw_statements_total", Help: "Statements that were run."}),
	}
	prometheus.MustRegister(s.statements)
	mux := http.NewServeMux()
	mux.Handle("POST /query", s.handler())
	mux.Handle("GET /metrics", promhttp.Handler())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	_ = srv.Serve(listener)
	return nil
}

// handler knows the documents of the workloads.
func (s *server) handler() http.Handler {
	operations := map[string]operation{}
	by := map[string]operation{
		"point": s.point, "list": s.list, "nested": s.nested, "deep": s.deep,
		"aliases": s.aliases, "mutation": s.mutation, "typename": typename,
	}
	for _, w := range workload.All() {
		operations[w.Query] = by[w.Name]
	}
	s.scale(operations)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buffer := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(buffer)
		buffer.Reset()
		_, err := buffer.ReadFrom(r.Body)
		var req request
		if err == nil {
			err = json.Unmarshal(buffer.Bytes(), &req)
		}
		answer := operations[req.Query]
		if err != nil || answer == nil {
			http.Error(w, "not a request of the benchmark", http.StatusBadRequest)
			return
		}
		data, err := answer(r.Context(), req.Variables)
		if err == nil {
			buffer.Reset()
			err = json.NewEncoder(buffer).Encode(response{data})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		buffer.Truncate(buffer.Len() - 1) // the encoder's newline
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(buffer.Len())) // or net/http sends it in chunks
		_, _ = w.Write(buffer.Bytes())
	})
}

// buffers are for requests, then for their answers.
var buffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}

type response struct {
	Data any `json:"data"`
}

func typename(context.Context, json.RawMessage) (any, error) {
	return struct {
		Typename string `json:"__typename"`
	}{"Query"}, nil
}
