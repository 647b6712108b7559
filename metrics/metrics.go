// Package metrics counts what the server does, for Prometheus.
package metrics

import (
	"bytes"
	"cmp"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	victoria "github.com/VictoriaMetrics/metrics"

	"rollcall/document"
	"rollcall/operation"
	"rollcall/session"
)

// Metrics are one server's. Names and labels are the same whatever clients send, so that no client can make them grow.
type Metrics struct {
	operations map[outcome]*victoria.Counter
	errors     map[string]*victoria.Counter // by code
	listed     *listed
	timed      map[string]timed // by type
	unknown    *victoria.Counter
	replayed   *victoria.Counter

	pools map[string]*sql.DB
	began time.Time

	page     sync.Mutex // held while a page is made, or a family added
	families []family   // by name
	readings readings
}

// outcome is what operations are counted by.
type outcome struct {
	kind   string
	result operation.Result
}

// timed is what is known of a type of operation that ends by itself.
type timed struct {
	retries               *victoria.Counter
	durations, statements *victoria.PrometheusHistogram
}

// family is the metrics of one name. What describes them is ours: the library can name their type alone.
type family struct {
	name, kind, help string
	set              *victoria.Set
}

// New returns metrics of operations, of errors by their codes, of the process, and of the database's pools, by their names.
func New(pools map[string]*sql.DB, codes []string) *Metrics {
	m := &Metrics{operations: map[outcome]*victoria.Counter{}, errors: map[string]*victoria.Counter{}, timed: map[string]timed{}, pools: pools, began: time.Now()}
	operations := m.family("rollcall_operations_total", "counter",
		"Operations that have ended, by type (query, mutation, subscription; unknown: refused before it could be told) and result (ok, partial: data and errors, error: no data, refused: not run).")
	retries := m.family("rollcall_operation_retries_total", "counter",
		"How often queries and mutations were run again after a conflict in the database.")
	durations := m.family("rollcall_operation_duration_seconds", "histogram",
		"How long queries and mutations took until their answer was complete.")
	statements := m.family("rollcall_operation_statements", "histogram",
		"How many SQL statements queries and mutations ran, in all attempts.")
	m.unknown = m.family("rollcall_unknown_outcomes_total", "counter",
		"Mutations of which it could not be told in time whether they were stored.").NewCounter("rollcall_unknown_outcomes_total")
	m.replayed = m.family("rollcall_replayed_mutations_total", "counter",
		"Mutations that were sent again with their idempotency key, and had the first answer.").NewCounter("rollcall_replayed_mutations_total")

	errors := m.family("rollcall_errors_total", "counter", "Errors, by code: each once for an operation, or for a request that has none. other: a code that is not this server's.")
	for _, code := range append(slices.Clone(codes), otherCode) {
		m.errors[code] = errors.NewCounter(fmt.Sprintf("rollcall_errors_total{code=%q}", code))
	}
	m.listed = newListed(m)

	// All are there from 0 on, or the first one would be no increase.
	count := func(kind string, result operation.Result) {
		m.operations[outcome{kind, result}] = operations.NewCounter(fmt.Sprintf(`rollcall_operations_total{result=%q,type=%q}`, result, kind))
	}
	for _, kind := range []string{"query", "mutation", "subscription"} {
		for _, result := range []operation.Result{operation.ResultOK, operation.ResultPartial, operation.ResultError, operation.ResultRefused} {
			count(kind, result)
		}
	}
	count("unknown", operation.ResultRefused)
	for _, kind := range []string{"query", "mutation"} { // a subscription lasts as long as its client wants
		m.timed[kind] = timed{
			retries: retries.NewCounter(fmt.Sprintf(`rollcall_operation_retries_total{type=%q}`, kind)),
			durations: durations.NewPrometheusHistogramExt(fmt.Sprintf(`rollcall_operation_duration_seconds{type=%q}`, kind),
				[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}),
			statements: statements.NewPrometheusHistogramExt(fmt.Sprintf(`rollcall_operation_statements{type=%q}`, kind),
				[]float64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 144}),
		}
	}
	m.addProcess()
	for name := range pools {
		m.addPool(name)
	}
	return m
}

// Observe counts an operation, for operation.Extension.
func (m *Metrics) Observe(op session.Operation, r operation.Report) {
	if r.Unknown {
		m.unknown.Inc()
	}
	if r.Replayed {
		m.replayed.Inc()
	}
	m.operations[outcome{cmp.Or(op.Kind, "unknown"), r.Result}].Inc()
	if r.Context != nil && document.IsListed(r.Context) {
		m.listed.observe(op.Name, op.Kind, r)
	}
	if t, ok := m.timed[op.Kind]; ok && r.Result != operation.ResultRefused {
		t.durations.Update(r.Duration.Seconds())
		t.statements.Update(float64(r.Statements))
		t.retries.Add(max(r.Attempts, 1) - 1)
	}
}

// otherCode stands for codes that New was not told of.
const otherCode = "other"

// Errors counts codes.
func (m *Metrics) Errors(codes []string) {
	for _, code := range codes {
		cmp.Or(m.errors[code], m.errors[otherCode]).Inc()
	}
}

// Gauge adds a metric, whose value is called whenever the metrics are read. labels are names, each with its value behind it.
func (m *Metrics) Gauge(name, help string, value func() int, labels ...string) {
	m.family(name, "gauge", help).NewGauge(name+labelled(labels), func() float64 { return float64(value()) })
}

// Seconds is Gauge for a duration.
func (m *Metrics) Seconds(name, help string, value func() time.Duration, labels ...string) {
	m.family(name, "gauge", help).NewGauge(name+labelled(labels), func() float64 { return value().Seconds() })
}

// Counter adds a count since the process began, which is asked for whenever the metrics are read. labels are as Gauge's.
func (m *Metrics) Counter(name, help string, value func() int64, labels ...string) {
	m.family(name, "counter", help).NewGauge(name+labelled(labels), func() float64 { return float64(value()) })
}

// Forget takes back the gauges and counts that have a label with a value.
func (m *Metrics) Forget(label, value string) {
	m.page.Lock()
	defer m.page.Unlock()
	pair := fmt.Sprintf("%s=%q", label, value)
	for _, f := range m.families {
		for _, name := range f.set.ListMetricNames() {
			_, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
			if slices.Contains(strings.Split(labels, ","), pair) {
				f.set.UnregisterMetric(name)
			}
		}
	}
}

func labelled(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	var pairs []string
	for pair := range slices.Chunk(labels, 2) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", pair[0], pair[1]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// family returns the metrics of a name, which its first caller describes.
func (m *Metrics) family(name, kind, help string) *victoria.Set {
	m.page.Lock()
	defer m.page.Unlock()
	i, known := slices.BinarySearchFunc(m.families, name, func(f family, name string) int { return strings.Compare(f.name, name) })
	if !known {
		m.families = slices.Insert(m.families, i, family{name, kind, help, victoria.NewSet()})
	}
	return m.families[i].set
}

// ServeHTTP shows the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(m.text())
}

// text returns the metrics in Prometheus's text format. It is made for one reader at a time, however many there are.
func (m *Metrics) text() []byte {
	m.page.Lock()
	defer m.page.Unlock()
	m.readings = read(m.began)
	m.readings.pools = map[string]sql.DBStats{}
	for name, pool := range m.pools {
		m.readings.pools[name] = pool.Stats()
	}
	var text, samples bytes.Buffer
	for _, f := range m.families {
		samples.Reset()
		if f.set.WritePrometheus(&samples); samples.Len() > 0 { // not every system tells everything
			fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%[4]s", f.name, f.help, f.kind, &samples)
		}
	}
	return text.Bytes()
}
