package main

import (
	"database/sql"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/metrics"
	"rollcall/operation"
	"rollcall/session"
)

// families returns the descriptions of the metrics that are about every program in Go, each with the labels of its samples.
func families(tb testing.TB, served http.Handler) map[string]string {
	tb.Helper()
	w := httptest.NewRecorder()
	served.ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", nil))
	all := map[string]string{}
	family := ""
	for line := range strings.Lines(w.Body.String()) {
		if help, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(help, " ")
		}
		if strings.HasPrefix(family, "go_") || strings.HasPrefix(family, "process_") {
			if line[0] != '#' {
				line = regexp.MustCompile(` \S+\n$`).ReplaceAllString(line, "\n")
			}
			all[family] += line
		}
	}
	return all
}

func TestTheMetricsOfAProgramInGoAreThoseOfPrometheusOwnLibrary(t *testing.T) {
	pools, registry := map[string]*sql.DB{}, prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, name := range []string{"read", "write"} {
		pools[name] = sql.OpenDB(nil)
		defer func() { _ = pools[name].Close() }()
		registry.MustRegister(collectors.NewDBStatsCollector(pools[name], name))
	}
	got, want := families(t, metrics.New(pools, nil)), families(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if len(want) < 40 {
		t.Errorf("only %d families", len(want))
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("got %s\nwant %s", got[name], want[name])
		}
	}
	if extra := slices.DeleteFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return want[name] != "" }); len(extra) > 0 {
		t.Errorf("only ours: %s", extra)
	}
}

func BenchmarkObserveByRollcall(b *testing.B) {
	m := metrics.New(nil, nil)
	for b.Loop() {
		m.Observe(session.Operation{Kind: "query"}, operation.Report{Result: operation.ResultOK, Attempts: 1, Statements: 3, Duration: time.Millisecond})
	}
}

func BenchmarkObserveByClientGolang(b *testing.B) {
	add := promauto.With(prometheus.NewRegistry())
	operations := add.NewCounterVec(prometheus.CounterOpts{Name: "operations"}, []string{"type", "result"})
	retries := add.NewCounterVec(prometheus.CounterOpts{Name: "retries"}, []string{"type"})
	durations := add.NewHistogramVec(prometheus.HistogramOpts{Name: "durations", Buckets: prometheus.ExponentialBuckets(.001, 2, 14)}, []string{"type"})
	statements := add.NewHistogramVec(prometheus.HistogramOpts{Name: "statements", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}, []string{"type"})
	for b.Loop() {
		operations.WithLabelValues("query", "ok").Inc()
		durations.WithLabelValues("query").Observe(.001)
		statements.WithLabelValues("query").Observe(3)
		retries.WithLabelValues("query").Add(0)
	}
}
