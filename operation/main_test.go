package operation_test

import (
	"testing"
	"time"

	"rollcall/session/sessiontest"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(m, 20*time.Second) }
