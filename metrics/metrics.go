// Package metrics counts what the server does, for Prometheus.
package metrics

import (
	"database/sql"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/batch"
	"rollcall/session"
)

// Metrics are one server's. Names and labels are the same whatever clients send, so that nobody can make them grow.
type Metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	statements *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	unknown    prometheus.Counter
}

// New returns metrics of operations, of the process, and of what database/sql tells of the pools, by their names.
func New(pools map[string]*sql.DB) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_operations_total",
			Help: "Operations that have ended, by type (query, mutation, subscription; unknown: refused before it could be told) and result (ok, partial: data and errors, error: no data, refused: not run).",
		}, []string{"type", "result"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollcall_operation_duration_seconds",
			Help:    "How long queries and mutations took until their answer was complete.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"type"}),
		statements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollcall_operation_statements",
			Help:    "How many SQL statements queries and mutations ran, in all attempts.",
			Buckets: []float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 144},
		}, []string{"type"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_operation_retries_total",
			Help: "How often queries and mutations were run again after a conflict in the database.",
		}, []string{"type"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_unknown_outcomes_total",
			Help: "Mutations of which it could not be told in time whether they were stored.",
		}),
	}
	for _, kind := range []ast.Operation{ast.Query, ast.Mutation} { // from 0 on, or the first one would be no increase
		m.durations.WithLabelValues(string(kind))
		m.statements.WithLabelValues(string(kind))
		m.retries.WithLabelValues(string(kind))
		for _, result := range []session.Result{session.ResultOK, session.ResultPartial, session.ResultError, session.ResultRefused} {
			m.operations.WithLabelValues(string(kind), string(result))
		}
	}
	m.operations.WithLabelValues("unknown", string(session.ResultRefused))
	m.registry.MustRegister(m.operations, m.durations, m.statements, m.retries, m.unknown,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rollcall_batching_fallbacks_total",
			Help: "Batches that no read plan foresaw.",
		}, func() float64 { return float64(batch.Fallbacks()) }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, pool := range pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	return m
}

// Observe counts an operation, for session.Extension.
func (m *Metrics) Observe(op session.Operation, r session.Report) {
	kind := string(op.Kind)
	if kind == "" {
		kind = "unknown"
	}
	m.operations.WithLabelValues(kind, string(r.Result)).Inc()
	if r.Unknown {
		m.unknown.Inc()
	}
	if r.Result == session.ResultRefused || op.Kind == ast.Subscription { // lasts as long as its client wants
		return
	}
	m.durations.WithLabelValues(kind).Observe(r.Duration.Seconds())
	m.statements.WithLabelValues(kind).Observe(float64(r.Statements))
	m.retries.WithLabelValues(kind).Add(float64(max(r.Attempts, 1) - 1))
}

// Gauge adds a number that is asked for whenever the metrics are read. Labels are name, value, name, value.
func (m *Metrics) Gauge(name, help string, value func() int, labels ...string) {
	constant := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		constant[labels[i]] = labels[i+1]
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: constant},
		func() float64 { return float64(value()) }))
}

// ServeHTTP shows the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}).ServeHTTP(w, r)
}
