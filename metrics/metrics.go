// Package metrics counts what the server does, for Prometheus.
package metrics

import (
	"cmp"
	"database/sql"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/operation"
	"rollcall/session"
)

// Metrics are one server's. Names and labels are the same whatever clients send, so that no client can make them grow.
type Metrics struct {
	registry              *prometheus.Registry
	add                   promauto.Factory
	operations, retries   *prometheus.CounterVec
	durations, statements *prometheus.HistogramVec
	unknown               prometheus.Counter
}

// New returns metrics of operations, of the process, and of the database's pools, by their names.
func New(pools map[string]*sql.DB) *Metrics {
	registry := prometheus.NewRegistry()
	add := promauto.With(registry)
	m := &Metrics{
		registry: registry,
		add:      add,
		operations: add.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_operations_total",
			Help: "Operations that have ended, by type (query, mutation, subscription; unknown: refused before it could be told) and result (ok, partial: data and errors, error: no data, refused: not run).",
		}, []string{"type", "result"}),
		retries: add.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_operation_retries_total",
			Help: "How often queries and mutations were run again after a conflict in the database.",
		}, []string{"type"}),
		durations: add.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollcall_operation_duration_seconds",
			Help:    "How long queries and mutations took until their answer was complete.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"type"}),
		statements: add.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollcall_operation_statements",
			Help:    "How many SQL statements queries and mutations ran, in all attempts.",
			Buckets: []float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 144},
		}, []string{"type"}),
		unknown: add.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_unknown_outcomes_total",
			Help: "Mutations of which it could not be told in time whether they were stored.",
		}),
	}
	for _, typ := range []string{"query", "mutation"} { // from 0 on, or the first one would be no increase
		m.retries.WithLabelValues(typ)
		m.durations.WithLabelValues(typ)
		m.statements.WithLabelValues(typ)
		for _, result := range []operation.Result{operation.ResultOK, operation.ResultPartial, operation.ResultError, operation.ResultRefused} {
			m.operations.WithLabelValues(typ, string(result))
		}
	}
	m.operations.WithLabelValues("unknown", string(operation.ResultRefused))
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, pool := range pools {
		registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	return m
}

// Observe counts an operation, for operation.Extension.
func (m *Metrics) Observe(op session.Operation, r operation.Report) {
	if r.Unknown {
		m.unknown.Inc()
	}
	m.operations.WithLabelValues(cmp.Or(op.Kind, "unknown"), string(r.Result)).Inc()
	timed := op.Kind == "query" || op.Kind == "mutation" // a subscription lasts as long as its client wants
	if timed && r.Result != operation.ResultRefused {
		m.durations.WithLabelValues(op.Kind).Observe(r.Duration.Seconds())
		m.statements.WithLabelValues(op.Kind).Observe(float64(r.Statements))
		m.retries.WithLabelValues(op.Kind).Add(float64(max(r.Attempts, 1) - 1))
	}
}

// Gauge adds a metric with one label, whose value is called whenever the metrics are read.
func (m *Metrics) Gauge(name, help string, value func() int, label, labelValue string) {
	m.add.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: labelValue}},
		func() float64 { return float64(value()) })
}

// Counter adds a count since the process began, which is asked for whenever the metrics are read.
func (m *Metrics) Counter(name, help string, value func() int64) {
	m.add.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

// ServeHTTP shows the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}).ServeHTTP(w, r)
}
