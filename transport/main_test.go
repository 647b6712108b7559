package transport_test

import (
	"testing"

	"rollcall/database/databasetest"
	"rollcall/session/sessiontest"
)

// TestMain fails if goroutines go on after the last test.
func TestMain(m *testing.M) { sessiontest.Main(databasetest.Templates{M: m}, hang) }
