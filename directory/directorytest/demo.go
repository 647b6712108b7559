// Package directorytest fills directories for tests.
package directorytest

import (
	"context"
	"testing"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/session"
)

// Demo is the demo data, with positions in the log as a server's start gives them.
var Demo = databasetest.Content{Name: "demo data", Fill: func(ctx context.Context, db *database.Database) error {
	if _, err := LoadDemo(ctx, db); err != nil {
		return err
	}
	return (&changelog.Log{DB: db.Side, Dialect: db.Dialect()}).SettleAll(ctx)
}}

// LoadDemo loads the demo data, as a server does.
func LoadDemo(ctx context.Context, db *database.Database) (loaded bool, err error) {
	return directory.LoadDemo(ctx, session.Pools{Write: db.Write, Side: db.Side}, db.Alone)
}

// EachDemo is databasetest.Each with the demo data.
func EachDemo(t *testing.T, fn func(t *testing.T, db *database.Database)) {
	t.Helper()
	databasetest.EachWith(t, Demo, func(t *testing.T, url string) { fn(t, databasetest.Open(t, url)) })
}
