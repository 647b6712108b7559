package session

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"
)

// Query runs one read in the operation's session and calls row for each of its rows, which row may Scan: a read that is run
// often costs much less so than by GORM, which looks into its destination's type for each row and column. A
// placeholder is a ? in every dialect. row must not use the session, which would wait for it in a transaction. GORM's
// logger is told of the statement, and errors are those that GORM's statements have.
func Query(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	s := mustFromContext(ctx)
	if err := s.enter(false); err != nil {
		return err
	}
	defer s.leave()
	if controls(query, s.with.dialect, false) {
		if s.mode != pooled {
			s.dead = ErrTransaction // whoever tries is not to be believed that the error was told
		}
		return ErrTransaction
	}
	if s.with.dialect == "postgres" {
		query = numbered(query)
	}
	began, n := time.Now(), int64(0)
	s.statements.Add(1)
	err := each(s.ctx, s.pool.target(), query, args, func(rows *sql.Rows) error {
		n++
		return row(rows)
	})
	if err != nil {
		err = s.after(err)
	}
	s.base.Logger.Trace(s.ctx, began, func() (string, int64) {
		if filter, ok := s.base.Logger.(gorm.ParamsFilter); ok {
			query, args = filter.ParamsFilter(s.ctx, query, args...)
		}
		return s.base.Explain(query, args...), n
	}, err)
	return err
}

// each calls row for each row of a result.
func each(ctx context.Context, pool gorm.ConnPool, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := pool.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err has told of what matters
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
