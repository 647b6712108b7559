package operation_test

import (
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails if goroutines go on after the last test. (go.uber.org/goleak would ignore those of the
// runtime; here there are none but those that were there before.)
func TestMain(m *testing.M) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt) // its goroutine stays; with -fuzz the tests start it
	signal.Stop(interrupts)
	before := runtime.NumGoroutine()
	if m.Run() != 0 {
		return // its failures say more
	}
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			panic("goroutines have outlived the tests")
		}
	}
}
