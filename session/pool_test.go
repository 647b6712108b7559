package session_test

import (
	"context"
	"database/sql/driver"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"rollcall/session"
)

// staleDriver has connections that are useless at first, as those are that an operation has left closed behind it in a
// pool for which many wait. database/sql gives up after three of them.
type staleDriver struct {
	idleDriver
	stale *atomic.Int32 // how many are left
}

func (d staleDriver) Connect(context.Context) (driver.Conn, error) {
	if d.stale.Add(-1) >= 0 {
		return nil, driver.ErrBadConn
	}
	return &d.idleDriver, nil
}

func TestUselessConnectionsInThePoolHurtNoOperation(t *testing.T) {
	for _, query := range []string{
		`query { account(id: 1) { balance } }`,
		`query @snapshot { account(id: 1) { balance } }`,
		`mutation { increment(id: 1) { id } }`,
	} {
		stale := &atomic.Int32{}
		srv := bankServer(benchResolver{db: func(ctx context.Context, _ *gorm.DB) *gorm.DB { return session.DB(ctx) }})
		srv.Use(session.Extension{DB: poolOf(t, staleDriver{stale: stale})})
		stale.Store(10)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"query": "`+query+`"}`))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		session.Handler(srv).ServeHTTP(w, req)
		if strings.Contains(w.Body.String(), "errors") || stale.Load() > 0 {
			t.Errorf("%s: want a success after 10 useless connections, got %s", query, w.Body)
		}
	}
}
