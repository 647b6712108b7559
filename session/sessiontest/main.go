package sessiontest

import (
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"time"
)

// Main runs a package's tests, and panics if goroutines go on for a time after the last one. (go.uber.org/goleak would ignore those of
// the runtime; here there are none but those that were there before.)
func Main(m interface{ Run() (code int) }, limit time.Duration) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt) // its goroutine stays; with -fuzz the tests start it
	signal.Stop(interrupts)
	before := runtime.NumGoroutine()
	if m.Run() != 0 {
		return // its failures say more
	}
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(limit); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			panic("goroutines have outlived the tests")
		}
	}
}
