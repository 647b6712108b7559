package session

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"gorm.io/gorm"

	"rollcall/dialect"
)

// shared is what the sessions on one pool have in common. It is GORM's plugin too, and is found by that.
type shared struct {
	pool     *sql.DB
	side     *sql.DB // nil: nothing is killed
	dialect  dialect.Dialect
	gate     *semaphore.Weighted // a Write's transaction holds 1 of it, an exclusive one everything
	lastTurn atomic.Value        // a chan struct{} that is closed when the last turn that was taken has ended; see Session.queue
	prepared prepared

	mu      sync.Mutex
	holding map[*Session]bool      // sessions that have a connection
	handles map[any]dialect.Handle // by the driver's connection
}

// everyone is the whole weight of the gate.
const everyone = math.MaxInt32

const pluginName = "session"

// install makes a pool ready for sessions. It may be called again.
func install(db *gorm.DB, side *sql.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	if s := sharedOf(db); s != nil && s.pool != pool {
		return errors.New("the pool has its gorm.Config in common with another: give each a Config of its own")
	} else if s != nil {
		if s.side == nil {
			s.side = side
		}
		return nil
	}
	return db.Use(&shared{
		pool:     pool,
		side:     side,
		dialect:  dialect.OfDB(db),
		gate:     semaphore.NewWeighted(everyone),
		prepared: prepared{byText: map[string]*sql.Stmt{}},
		holding:  map[*Session]bool{},
		handles:  map[any]dialect.Handle{},
	})
}

// sharedOf returns what the sessions on a pool share, or nil if it is not installed.
func sharedOf(db *gorm.DB) *shared {
	s, _ := db.Plugins[pluginName].(*shared)
	return s
}

// Name is the plugin's key in gorm.Config.Plugins.
func (*shared) Name() string { return pluginName }

// Initialize replaces the GORM callbacks that reach the database.
func (*shared) Initialize(db *gorm.DB) error { return replaceCallbacks(db) }

// conn takes a connection that works.
func (s *shared) conn(ctx context.Context) (*sql.Conn, error) {
	return fresh(ctx, func() (*sql.Conn, error) { return s.pool.Conn(ctx) })
}

func (s *shared) opened(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding[session] = true
}

func (s *shared) released(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holding, session)
}

// Holding returns the operations whose sessions hold a connection of a pool. At shutdown, when every
// request has been answered, there should be none: what is named here has leaked.
func Holding(db *gorm.DB) []Operation {
	s := sharedOf(db)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ops []Operation
	for session := range s.holding {
		ops = append(ops, session.op)
	}
	slices.SortFunc(ops, func(a, b Operation) int { return strings.Compare(a.ID, b.ID) })
	return ops
}
