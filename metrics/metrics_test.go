package metrics_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/metrics"
	"rollcall/operation"
	"rollcall/session"
)

func TestAReportIsCountedOnce(t *testing.T) {
	m := metrics.New(nil, nil)
	waiting := 3
	m.Gauge("waiting", "How many wait.", func() int { return waiting }, "where", "here")
	m.Counter("things_total", "How many things there were.", func() int64 { return 5 })
	mutation := session.Operation{Kind: "mutation"}
	m.Observe(mutation, operation.Report{Result: operation.ResultError, Attempts: 3, Statements: 7, Duration: 3 * time.Second, Unknown: true})
	m.Observe(mutation, operation.Report{Result: operation.ResultOK, Attempts: 1, Statements: 2, Duration: time.Second, Replayed: true})
	m.Observe(session.Operation{Kind: "subscription"}, operation.Report{Result: operation.ResultOK, Attempts: 1, Statements: 1000, Duration: time.Hour})
	m.Observe(session.Operation{}, operation.Report{Result: operation.ResultRefused})
	waiting = 4

	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, line := range []string{
		`rollcall_operations_total{result="error",type="mutation"} 1`,
		`rollcall_operations_total{result="ok",type="mutation"} 1`,
		`rollcall_operations_total{result="ok",type="subscription"} 1`,
		`rollcall_operations_total{result="refused",type="unknown"} 1`,
		`rollcall_operations_total{result="ok",type="query"} 0`,
		`rollcall_operation_duration_seconds_sum{type="mutation"} 4`,
		`rollcall_operation_duration_seconds_bucket{type="mutation",le="1"} 1`,
		`rollcall_operation_statements_sum{type="mutation"} 9`,
		`rollcall_operation_retries_total{type="mutation"} 2`,
		`rollcall_unknown_outcomes_total 1`,
		`rollcall_replayed_mutations_total 1`,
		`waiting{where="here"} 4`,
		`things_total 5`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no %s in\n%s", line, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), `_seconds_count{type="subscription"}`) {
		t.Error("a subscription's duration, which is its client's, is counted")
	}
}

// page reads a server's metrics.
func page(tb testing.TB, m *metrics.Metrics) string {
	tb.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", nil))
	if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		tb.Errorf("Content-Type: %s", got)
	}
	return w.Body.String()
}

var (
	described = regexp.MustCompile(`^# HELP ([a-z_]+) (\S[^\\\n]*)\n# TYPE ([a-z_]+) (counter|gauge|histogram|summary)\n$`)
	sample    = regexp.MustCompile(`^([a-z_]+)(?:\{((?:[a-z_]+="[^"\\]*",?)+)\})? (\S+)\n$`)
	suffix    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// parse reads Prometheus's text format more strictly than Prometheus does: every family is described, in one piece, and of a known
// type, and no sample is there twice.
func parse(tb testing.TB, text string) (types map[string]string, samples map[string]float64) {
	tb.Helper()
	types, samples = map[string]string{}, map[string]float64{}
	description, family := "", ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# HELP ") {
			description = line
			continue
		}
		if strings.HasPrefix(line, "# ") {
			found := described.FindStringSubmatch(description + line)
			if found == nil || found[1] != found[3] || types[found[1]] != "" {
				tb.Fatalf("%s%s: not a description, or the family's second", description, line)
			}
			family, types[found[1]], description = found[1], found[4], ""
			continue
		}
		found := sample.FindStringSubmatch(line)
		if found == nil {
			tb.Fatalf("not a sample: %s", line)
		}
		name := found[1]
		if kind := types[family]; kind == "histogram" || kind == "summary" && name != family {
			name = suffix.ReplaceAllString(name, "")
		}
		value, err := strconv.ParseFloat(found[3], 64)
		key := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), " "+found[3])
		if _, twice := samples[key]; twice || err != nil || name != family {
			tb.Errorf("%s: twice, not a number (%v), or not of %s", line, err, family)
		}
		samples[key] = value
	}
	return types, samples
}

func TestAPageIsInPrometheusTextFormat(t *testing.T) {
	pool := sql.OpenDB(nil)
	defer func() { _ = pool.Close() }()
	pool.SetMaxOpenConns(7)
	m := metrics.New(map[string]*sql.DB{"write": pool, "read": pool}, nil)
	m.Gauge("waiting", "How many wait.", func() int { return 1 }, "where", "here")
	m.Gauge("waiting", "How many wait.", func() int { return 2 }, "where", "there")
	for _, statements := range []int64{0, 1, 2, 144, 145} {
		m.Observe(session.Operation{Kind: "query"}, operation.Report{Result: operation.ResultOK, Statements: statements, Duration: time.Millisecond})
	}
	types, samples := parse(t, page(t, m))
	for family, kind := range types {
		if (kind == "counter") != strings.HasSuffix(family, "_total") {
			t.Errorf("%s is a %s", family, kind)
		}
	}
	for key, want := range map[string]float64{
		`go_sql_max_open_connections{db_name="read"}`:                         7,
		`go_sql_max_open_connections{db_name="write"}`:                        7,
		`waiting{where="there"}`:                                              2,
		`go_info{version="` + runtime.Version() + `"}`:                        1,
		`go_sched_gomaxprocs_threads`:                                         float64(runtime.GOMAXPROCS(0)),
		`rollcall_operation_statements_bucket{type="query",le="0"}`:           1,
		`rollcall_operation_statements_bucket{type="query",le="2"}`:           3,
		`rollcall_operation_statements_bucket{type="query",le="144"}`:         4,
		`rollcall_operation_statements_bucket{type="query",le="+Inf"}`:        5,
		`rollcall_operation_statements_count{type="query"}`:                   5,
		`rollcall_operation_duration_seconds_bucket{type="query",le="0.001"}`: 5,
		`rollcall_operations_total{result="ok",type="subscription"}`:          0,
	} {
		if got, ok := samples[key]; !ok || got != want {
			t.Errorf("%s is %v, not %v", key, got, want)
		}
	}
	if began := time.Unix(int64(samples["process_start_time_seconds"]), 0); time.Since(began) > time.Minute {
		t.Errorf("the process began at %s", began)
	}
	for _, key := range []string{
		"go_goroutines", "go_threads", "go_gc_gogc_percent", "go_gc_gomemlimit_bytes", "go_memstats_mallocs_total", "go_memstats_sys_bytes",
		"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_virtual_memory_max_bytes", "process_open_fds", "process_max_fds",
	} {
		ofLinux := strings.HasPrefix(key, "process_")
		if samples[key] <= 0 && (!ofLinux || runtime.GOOS == "linux") {
			t.Errorf("%s is %v", key, samples[key])
		}
	}
}

func TestPagesAreReadWhileOperationsAreCounted(t *testing.T) {
	m := metrics.New(nil, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				m.Observe(session.Operation{Kind: "query"}, operation.Report{Result: operation.ResultOK})
			}
		})
		all.Go(func() { parse(t, page(t, m)) })
	}
	all.Wait()
	_, samples := parse(t, page(t, m))
	if got := samples[`rollcall_operations_total{result="ok",type="query"}`]; got != 400 {
		t.Errorf("%v operations, not 400", got)
	}
}

func BenchmarkPage(b *testing.B) {
	m := metrics.New(nil, nil)
	for b.Loop() {
		page(b, m)
	}
}
