package session_test

import (
	"context"
	"net/url"
	"testing"

	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/session/sessiontest"
)

// TestTheSessionKeepsItsPromises runs the conformance suite on every database.
func TestTheSessionKeepsItsPromises(t *testing.T) {
	databasetest.EachKind(t, func(t *testing.T, kind string) { sessiontest.Run(t, backend(kind)) })
}

// backend opens databases of one kind for the suite.
func backend(kind string) sessiontest.Backend {
	return sessiontest.Backend{Dialect: databasetest.Dialect(kind), Open: func(tb testing.TB, opt sessiontest.Options) sessiontest.Pools {
		tb.Helper()
		content := databasetest.Nothing
		if opt.Fill != nil {
			content = databasetest.Content{Name: "a bank", Fill: func(_ context.Context, db *database.Database) error { return opt.Fill(db.Write) }}
		}
		direct := databasetest.With(tb, kind, content)
		address := direct
		if opt.Via != nil {
			u, err := url.Parse(direct)
			if err != nil {
				tb.Fatal(err)
			}
			u.Host = opt.Via(u.Host)
			address = u.String()
		}
		options := database.Options{PoolSize: opt.PoolSize}
		db := databasetest.Open(tb, direct, options)
		side := db.Side
		if address != direct {
			db = databasetest.Open(tb, address, options)
		}
		return sessiontest.Pools{DB: db.Write, Reads: db.Read, Side: side, Filled: opt.Fill != nil}
	}}
}
