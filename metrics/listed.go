package metrics

import (
	"fmt"
	"sync"

	victoria "github.com/VictoriaMetrics/metrics"

	"rollcall/operation"
)

// maxListed is how many operations of listed documents are told apart. Others are counted together, without a name.
const maxListed = 500

// listed is the metrics of the operations of listed documents, by their names. These are the operator's, not the clients'.
type listed struct {
	totals, seconds *victoria.Set

	mu    sync.Mutex
	names map[string]bool
}

func newListed(m *Metrics) *listed {
	return &listed{
		totals: m.family("rollcall_listed_operations_total", "counter",
			"Operations of listed documents that have ended, by name and result, as in rollcall_operations_total."),
		seconds: m.family("rollcall_listed_operation_seconds_total", "counter",
			"How long the queries and mutations among them took together, until their answers were complete."),
		names: map[string]bool{},
	}
}

func (l *listed) observe(name, kind string, r operation.Report) {
	l.mu.Lock()
	if !l.names[name] && len(l.names) >= maxListed {
		name = ""
	}
	l.names[name] = true
	l.mu.Unlock()
	l.totals.GetOrCreateCounter(fmt.Sprintf("rollcall_listed_operations_total{operation=%q,result=%q}", name, r.Result)).Inc()
	if kind != "subscription" {
		l.seconds.GetOrCreateFloatCounter(fmt.Sprintf("rollcall_listed_operation_seconds_total{operation=%q}", name)).Add(r.Duration.Seconds())
	}
}
