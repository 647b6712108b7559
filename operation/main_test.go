package operation_test

import (
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/session/sessiontest"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(databasetest.Templates{M: m}, 20*time.Second) }
