package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/metrics"
	"rollcall/operation"
	"rollcall/session"
)

func TestAReportIsCountedOnce(t *testing.T) {
	m := metrics.New(nil)
	waiting := 3
	m.Gauge("waiting", "How many wait.", func() int { return waiting }, "where", "here")
	m.Counter("things_total", "How many things there were.", func() int64 { return 5 })
	mutation := session.Operation{Kind: "mutation"}
	m.Observe(mutation, operation.Report{Result: operation.ResultError, Attempts: 3, Statements: 7, Duration: 3 * time.Second, Unknown: true})
	m.Observe(mutation, operation.Report{Result: operation.ResultOK, Attempts: 1, Statements: 2, Duration: time.Second})
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
