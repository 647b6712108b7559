package databasetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm/logger"
)

// Statements is a logger of GORM's, as in database.Options, that keeps the statements.
type Statements struct {
	mu  sync.Mutex
	all []string
}

// LogMode implements logger.Interface, as the others do.
func (s *Statements) LogMode(logger.LogLevel) logger.Interface { return s }

// Info keeps nothing.
func (*Statements) Info(context.Context, string, ...any) {}

// Warn keeps nothing.
func (*Statements) Warn(context.Context, string, ...any) {}

// Error keeps nothing.
func (*Statements) Error(context.Context, string, ...any) {}

// Trace keeps a statement.
func (s *Statements) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	text, _ := statement()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, text)
}

// During returns the statements that fn issues.
func (s *Statements) During(fn func()) []string {
	s.mu.Lock()
	s.all = nil
	s.mu.Unlock()
	fn()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
