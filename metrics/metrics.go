// Package metrics counts what the server does, for Prometheus.
package metrics

import (
	"cmp"
	"database/sql"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/operation"
	"rollcall/session"
)

// Metrics are one server's. Names and labels are the same whatever clients send, so that no client can make them grow.
type Metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.CounterVec
	unknown    prometheus.Counter
	kinds      map[string]kind
}

// kind is the metrics of the operations of one type, which are looked up once.
type kind struct {
	results    map[operation.Result]prometheus.Counter
	durations  prometheus.Observer
	statements prometheus.Observer
	retries    prometheus.Counter
}

// New returns metrics of operations, of the process, and of the database's pools, by their names.
func New(pools map[string]*sql.DB) *Metrics {
	m := &Metrics{
		kinds:    map[string]kind{},
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_operations_total",
			Help: "Operations that have ended, by type (query, mutation, subscription; unknown: refused before it could be told) and result (ok, partial: data and errors, error: no data, refused: not run).",
		}, []string{"type", "result"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_unknown_outcomes_total",
			Help: "Mutations of which it could not be told in time whether they were stored.",
		}),
	}
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rollcall_operation_duration_seconds",
		Help:    "How long queries and mutations took until their answer was complete.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"type"})
	statements := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rollcall_operation_statements",
		Help:    "How many SQL statements queries and mutations ran, in all attempts.",
		Buckets: []float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 144},
	}, []string{"type"})
	retries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_operation_retries_total",
		Help: "How often queries and mutations were run again after a conflict in the database.",
	}, []string{"type"})
	for _, typ := range []string{"query", "mutation"} { // from 0 on, or the first one would be no increase
		k := kind{
			results:    map[operation.Result]prometheus.Counter{},
			durations:  durations.WithLabelValues(typ),
			statements: statements.WithLabelValues(typ),
			retries:    retries.WithLabelValues(typ),
		}
		for _, result := range []operation.Result{operation.ResultOK, operation.ResultPartial, operation.ResultError, operation.ResultRefused} {
			k.results[result] = m.operations.WithLabelValues(typ, string(result))
		}
		m.kinds[typ] = k
	}
	m.operations.WithLabelValues("unknown", string(operation.ResultRefused))
	m.registry.MustRegister(m.operations, durations, statements, retries, m.unknown,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, pool := range pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	return m
}

// Observe counts an operation, for operation.Extension.
func (m *Metrics) Observe(op session.Operation, r operation.Report) {
	if r.Unknown {
		m.unknown.Inc()
	}
	k, timed := m.kinds[op.Kind]
	if !timed { // a subscription lasts as long as its client wants
		m.operations.WithLabelValues(cmp.Or(op.Kind, "unknown"), string(r.Result)).Inc()
		return
	}
	k.results[r.Result].Inc()
	if r.Result == operation.ResultRefused {
		return
	}
	k.durations.Observe(r.Duration.Seconds())
	k.statements.Observe(float64(r.Statements))
	k.retries.Add(float64(max(r.Attempts, 1) - 1))
}

// Gauge adds a metric whose value is called whenever the metrics are read. Labels are name, value, name, value.
func (m *Metrics) Gauge(name, help string, value func() int, labels ...string) {
	constant := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		constant[labels[i]] = labels[i+1]
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: constant},
		func() float64 { return float64(value()) }))
}

// Counter adds a count since the process began, which is asked for whenever the metrics are read.
func (m *Metrics) Counter(name, help string, value func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(value()) }))
}

// ServeHTTP shows the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}).ServeHTTP(w, r)
}
