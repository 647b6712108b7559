package database_test

import (
	"testing"

	"rollcall/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }
