package session

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"gorm.io/gorm"
)

// Query runs one read in the operation's session and calls row for each of its rows, which row may Scan: a read that is run
// often costs much less so than by GORM, which looks into its destination's type for each row and column. Every ? is a
// placeholder, in every dialect. An error of row ends the reading and nothing else. row must not use the session: in a
// transaction that gets ErrNested. GORM's logger is told of the statement, and errors are those that GORM's statements have.
func Query(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	s := mustFromContext(ctx)
	if err := s.enter(query, false); err != nil {
		return err
	}
	defer s.leave()
	began, text := time.Now(), s.with.dialect.Rebind(query)
	n, err := s.each(text, args, row)
	s.ran(ctx, began, text, args, n, err)
	s.base.Logger.Trace(s.ctx, began, func() (string, int64) { return s.explained(text, args), n }, err)
	return err
}

// each calls row for each row of a result and returns for how many. In a transaction the caller holds the slot.
func (s *Session) each(query string, args []any, row func(*sql.Rows) error) (n int64, err error) {
	target, done, err := s.lease()
	if err != nil {
		return 0, err
	}
	defer done()
	return s.read(target, query, args, row)
}

// read is each at a target that it has been given. (each itself is on the stack of those, too, that wait for theirs.)
func (s *Session) read(target gorm.ConnPool, query string, args []any, row func(*sql.Rows) error) (n int64, err error) {
	rows, err := s.open(target, query, args)
	if err != nil {
		return 0, s.after(err)
	}
	defer func() {
		if failed := cmp.Or(rows.Close(), rows.Err()); failed != nil { // of rows that row has not read, even if it panicked
			_ = s.after(failed)
			if !errors.Is(err, failed) {
				err = errors.Join(err, failed)
			}
		}
		err = s.explain(err)
	}()
	for rows.Next() {
		n++
		if err := row(rows); err != nil {
			return n, err
		}
	}
	return n, nil
}

// open runs a statement where the session's run.
func (s *Session) open(target gorm.ConnPool, query string, args []any) (*sql.Rows, error) {
	if s.kind == Read && s.with.dialect.Prepares() {
		return s.with.prepared.query(s.ctx, s.with.pool, query, args)
	}
	return target.QueryContext(s.ctx, query, args...)
}

// prepared keeps the statements of Query prepared, where the dialect wants that. (MySQL's driver writes the parameters into the text,
// and pgx prepares by itself.)
type prepared struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt
}

// maxPrepared is how many statements are kept, the first ones: others run as they are.
const maxPrepared = 128

// query runs a statement on whatever connection of the pool is free.
func (p *prepared) query(ctx context.Context, pool *sql.DB, text string, args []any) (*sql.Rows, error) {
	p.mu.Lock()
	statement, full := p.byText[text], len(p.byText) >= maxPrepared
	p.mu.Unlock()
	if statement == nil {
		if full {
			return pool.QueryContext(ctx, text, args...)
		}
		var err error
		if statement, err = p.prepare(ctx, pool, text); err != nil {
			return nil, err
		}
	}
	return statement.QueryContext(ctx, args...)
}

func (p *prepared) prepare(ctx context.Context, pool *sql.DB, text string) (*sql.Stmt, error) {
	statement, err := pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byText[text]; known != nil {
		return known, statement.Close() //nolint:sqlclosecheck // the other one is kept
	}
	p.byText[text] = statement // closed with the pool
	return statement, nil
}
