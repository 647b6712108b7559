package metrics

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"strings"
	"time"

	victoria "github.com/VictoriaMetrics/metrics"
)

// The metrics of the Go runtime and of the process are those that Prometheus's own library for Go has: dashboards know their names.

// runtimeFamilies are the sums of runtime/metrics that have names of their own.
var runtimeFamilies = []struct {
	name, kind, help string
	sources          []string
}{
	{"go_gc_gogc_percent", "gauge", "Heap size target percentage configured by the user, otherwise 100. This value is set by the GOGC environment variable, and the runtime/debug.SetGCPercent function. Sourced from /gc/gogc:percent.", []string{"/gc/gogc:percent"}},
	{"go_gc_gomemlimit_bytes", "gauge", "Go runtime memory limit configured by the user, otherwise math.MaxInt64. This value is set by the GOMEMLIMIT environment variable, and the runtime/debug.SetMemoryLimit function. Sourced from /gc/gomemlimit:bytes.", []string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "gauge", "Number of bytes allocated in heap and currently in use. Equals to /memory/classes/heap/objects:bytes.", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_alloc_bytes_total", "counter", "Total number of bytes allocated in heap until now, even if released already. Equals to /gc/heap/allocs:bytes.", []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_buck_hash_sys_bytes", "gauge", "Number of bytes used by the profiling bucket hash table. Equals to /memory/classes/profiling/buckets:bytes.", []string{"/memory/classes/profiling/buckets:bytes"}},
	{"go_memstats_frees_total", "counter", "Total number of heap objects frees. Equals to /gc/heap/frees:objects + /gc/heap/tiny/allocs:objects.", []string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_gc_sys_bytes", "gauge", "Number of bytes used for garbage collection system metadata. Equals to /memory/classes/metadata/other:bytes.", []string{"/memory/classes/metadata/other:bytes"}},
	{"go_memstats_heap_alloc_bytes", "gauge", "Number of heap bytes allocated and currently in use, same as go_memstats_alloc_bytes. Equals to /memory/classes/heap/objects:bytes.", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_heap_idle_bytes", "gauge", "Number of heap bytes waiting to be used. Equals to /memory/classes/heap/released:bytes + /memory/classes/heap/free:bytes.", []string{"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"go_memstats_heap_inuse_bytes", "gauge", "Number of heap bytes that are in use. Equals to /memory/classes/heap/objects:bytes + /memory/classes/heap/unused:bytes", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_objects", "gauge", "Number of currently allocated objects. Equals to /gc/heap/objects:objects.", []string{"/gc/heap/objects:objects"}},
	{"go_memstats_heap_released_bytes", "gauge", "Number of heap bytes released to OS. Equals to /memory/classes/heap/released:bytes.", []string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_sys_bytes", "gauge", "Number of heap bytes obtained from system. Equals to /memory/classes/heap/objects:bytes + /memory/classes/heap/unused:bytes + /memory/classes/heap/released:bytes + /memory/classes/heap/free:bytes.", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"go_memstats_mallocs_total", "counter", "Total number of heap objects allocated, both live and gc-ed. Semantically a counter version for go_memstats_heap_objects gauge. Equals to /gc/heap/allocs:objects + /gc/heap/tiny/allocs:objects.", []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_mcache_inuse_bytes", "gauge", "Number of bytes in use by mcache structures. Equals to /memory/classes/metadata/mcache/inuse:bytes.", []string{"/memory/classes/metadata/mcache/inuse:bytes"}},
	{"go_memstats_mcache_sys_bytes", "gauge", "Number of bytes used for mcache structures obtained from system. Equals to /memory/classes/metadata/mcache/inuse:bytes + /memory/classes/metadata/mcache/free:bytes.", []string{"/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes"}},
	{"go_memstats_mspan_inuse_bytes", "gauge", "Number of bytes in use by mspan structures. Equals to /memory/classes/metadata/mspan/inuse:bytes.", []string{"/memory/classes/metadata/mspan/inuse:bytes"}},
	{"go_memstats_mspan_sys_bytes", "gauge", "Number of bytes used for mspan structures obtained from system. Equals to /memory/classes/metadata/mspan/inuse:bytes + /memory/classes/metadata/mspan/free:bytes.", []string{"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes"}},
	{"go_memstats_next_gc_bytes", "gauge", "Number of heap bytes when next garbage collection will take place. Equals to /gc/heap/goal:bytes.", []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_other_sys_bytes", "gauge", "Number of bytes used for other system allocations. Equals to /memory/classes/other:bytes.", []string{"/memory/classes/other:bytes"}},
	{"go_memstats_stack_inuse_bytes", "gauge", "Number of bytes obtained from system for stack allocator in non-CGO environments. Equals to /memory/classes/heap/stacks:bytes.", []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_stack_sys_bytes", "gauge", "Number of bytes obtained from system for stack allocator. Equals to /memory/classes/heap/stacks:bytes + /memory/classes/os-stacks:bytes.", []string{"/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes"}},
	{"go_memstats_sys_bytes", "gauge", "Number of bytes obtained from system. Equals to /memory/classes/total:byte.", []string{"/memory/classes/total:bytes"}},
	{"go_sched_gomaxprocs_threads", "gauge", "The current runtime.GOMAXPROCS setting, or the number of operating system threads that can execute user-level Go code simultaneously. Sourced from /sched/gomaxprocs:threads.", []string{"/sched/gomaxprocs:threads"}},
}

// processFamilies are what the system says of the process. Not every system says all of it.
var processFamilies = []struct{ name, kind, help string }{
	{"process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."},
	{"process_max_fds", "gauge", "Maximum number of open file descriptors."},
	{"process_network_receive_bytes_total", "counter", "Number of bytes received by the process over the network."},
	{"process_network_transmit_bytes_total", "counter", "Number of bytes sent by the process over the network."},
	{"process_open_fds", "gauge", "Number of open file descriptors."},
	{"process_resident_memory_bytes", "gauge", "Resident memory size in bytes."},
	{"process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."},
	{"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."},
	{"process_virtual_memory_max_bytes", "gauge", "Maximum amount of virtual memory available in bytes."},
}

// readings are what was asked for a page, all of it at once: what is a sum elsewhere is one here.
type readings struct {
	runtime map[string]uint64      // by the names of runtime/metrics
	process map[string]string      // by the names of metrics
	pools   map[string]sql.DBStats // by the pools' names
}

// read asks the runtime and the system.
func read(began time.Time) (r readings) {
	r.runtime = map[string]uint64{}
	var samples []runtimemetrics.Sample
	for _, f := range runtimeFamilies {
		for _, source := range f.sources {
			samples = append(samples, runtimemetrics.Sample{Name: source})
		}
	}
	runtimemetrics.Read(samples)
	for _, sample := range samples {
		r.runtime[sample.Name] = sample.Value.Uint64()
	}

	r.process = map[string]string{"process_start_time_seconds": fmt.Sprintf("%.3f", float64(began.UnixMilli())/1000)}
	var system bytes.Buffer
	victoria.WriteProcMetrics(&system)
	victoria.WriteFDMetrics(&system)
	for line := range strings.Lines(system.String()) {
		if name, value, ok := strings.Cut(line, " "); ok && r.process[name] == "" {
			r.process[name] = strings.TrimSpace(value)
		}
	}
	// What Linux says and the library does not.
	if found := addressSpace.FindStringSubmatch(contents("/proc/self/limits")); found != nil {
		r.process["process_virtual_memory_max_bytes"] = strings.Replace(found[1], "unlimited", "18446744073709551615", 1)
	}
	if found := octets.FindStringSubmatch(contents("/proc/self/net/netstat")); found != nil {
		names, values := strings.Fields(found[1]), strings.Fields(found[2])
		for i := range min(len(names), len(values)) {
			switch names[i] {
			case "InOctets":
				r.process["process_network_receive_bytes_total"] = values[i]
			case "OutOctets":
				r.process["process_network_transmit_bytes_total"] = values[i]
			}
		}
	}
	return r
}

var (
	addressSpace = regexp.MustCompile(`(?m)^Max address space +(unlimited|\d+)`)
	octets       = regexp.MustCompile(`(?m)^IpExt: (.*)\nIpExt: (.*)$`)
)

// contents returns what is in a file, and nothing where there is none.
func contents(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}

// addProcess adds the metrics of the Go runtime and of the process.
func (m *Metrics) addProcess() {
	for _, f := range runtimeFamilies {
		m.family(f.name, f.kind, f.help).NewGauge(f.name, func() (sum float64) {
			for _, source := range f.sources {
				sum += float64(m.readings.runtime[source])
			}
			return sum
		})
	}
	m.family("go_info", "gauge", "Information about the Go environment.").NewGauge(
		fmt.Sprintf("go_info{version=%q}", runtime.Version()), func() float64 { return 1 })
	m.family("go_goroutines", "gauge", "Number of goroutines that currently exist.").NewGauge("go_goroutines",
		func() float64 { return float64(runtime.NumGoroutine()) })
	m.family("go_threads", "gauge", "Number of OS threads created.").NewGauge("go_threads", func() float64 {
		n, _ := runtime.ThreadCreateProfile(nil)
		return float64(n)
	})
	m.family("go_gc_duration_seconds", "summary",
		"A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.").RegisterMetricsWriter(writePauses)
	m.family("go_memstats_last_gc_time_seconds", "gauge", "Number of seconds since 1970 of last garbage collection.").NewGauge(
		"go_memstats_last_gc_time_seconds", func() float64 {
			var stats debug.GCStats
			debug.ReadGCStats(&stats)
			return float64(stats.LastGC.UnixNano()) / 1e9
		})
	for _, f := range processFamilies {
		m.family(f.name, f.kind, f.help).RegisterMetricsWriter(func(w io.Writer) {
			if value, ok := m.readings.process[f.name]; ok {
				_, _ = fmt.Fprintln(w, f.name, value)
			}
		})
	}
}

// writePauses writes how long collections of garbage stopped the program.
func writePauses(w io.Writer) {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	for i, pause := range stats.PauseQuantiles {
		_, _ = fmt.Fprintf(w, "go_gc_duration_seconds{quantile=\"%g\"} %g\n", float64(i)/4, pause.Seconds())
	}
	_, _ = fmt.Fprintf(w, "go_gc_duration_seconds_sum %g\ngo_gc_duration_seconds_count %d\n", stats.PauseTotal.Seconds(), stats.NumGC)
}

// poolFamilies are what is known of a pool of connections.
var poolFamilies = []struct {
	name, kind, help string
	value            func(sql.DBStats) float64
}{
	{"go_sql_max_open_connections", "gauge", "Maximum number of open connections to the database.", func(s sql.DBStats) float64 { return float64(s.MaxOpenConnections) }},
	{"go_sql_open_connections", "gauge", "The number of established connections both in use and idle.", func(s sql.DBStats) float64 { return float64(s.OpenConnections) }},
	{"go_sql_in_use_connections", "gauge", "The number of connections currently in use.", func(s sql.DBStats) float64 { return float64(s.InUse) }},
	{"go_sql_idle_connections", "gauge", "The number of idle connections.", func(s sql.DBStats) float64 { return float64(s.Idle) }},
	{"go_sql_wait_count_total", "counter", "The total number of connections waited for.", func(s sql.DBStats) float64 { return float64(s.WaitCount) }},
	{"go_sql_wait_duration_seconds_total", "counter", "The total time blocked waiting for a new connection.", func(s sql.DBStats) float64 { return s.WaitDuration.Seconds() }},
	{"go_sql_max_idle_closed_total", "counter", "The total number of connections closed due to SetMaxIdleConns.", func(s sql.DBStats) float64 { return float64(s.MaxIdleClosed) }},
	{"go_sql_max_idle_time_closed_total", "counter", "The total number of connections closed due to SetConnMaxIdleTime.", func(s sql.DBStats) float64 { return float64(s.MaxIdleTimeClosed) }},
	{"go_sql_max_lifetime_closed_total", "counter", "The total number of connections closed due to SetConnMaxLifetime.", func(s sql.DBStats) float64 { return float64(s.MaxLifetimeClosed) }},
}

// addPool adds the metrics of a pool.
func (m *Metrics) addPool(pool string) {
	for _, f := range poolFamilies {
		m.family(f.name, f.kind, f.help).NewGauge(fmt.Sprintf("%s{db_name=%q}", f.name, pool), func() float64 {
			return f.value(m.readings.pools[pool])
		})
	}
}
