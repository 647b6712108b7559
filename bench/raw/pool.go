package main

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
)

// pool is connections of one kind, and the statements that have been prepared on them.
type pool struct {
	*sql.DB
	dialect  string
	prepared sync.Map // *sql.Stmt by the text of the query
}

// prepare prepares a query, once, where that pays, and else returns nil: pgx does so by itself, and MySQL's driver writes the
// parameters into the text, which costs no more.
func (p *pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if p.dialect != "sqlite" {
		return nil, nil
	}
	if known, ok := p.prepared.Load(query); ok {
		return known.(*sql.Stmt), nil
	}
	statement, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	known, late := p.prepared.LoadOrStore(query, statement)
	if late {
		err = statement.Close()
	}
	return known.(*sql.Stmt), err
}

// QueryContext implements querier.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := p.prepare(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case statement != nil:
		return statement.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, bound(p.dialect, query), args...)
}

// transaction holds a connection of a pool. What it runs has to be prepared before, since there may be no other.
type transaction struct {
	*sql.Tx
	pool *pool
}

// QueryContext implements querier.
func (t transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := t.pool.prepare(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case statement != nil:
		return t.StmtContext(ctx, statement).QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, bound(t.pool.dialect, query), args...)
}

// ExecContext is as QueryContext, for what returns no rows.
func (t transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	statement, err := t.pool.prepare(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case statement != nil:
		return t.StmtContext(ctx, statement).ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, bound(t.pool.dialect, query), args...)
}

// bound writes placeholders as the database wants them.
func bound(dialect, query string) string {
	if dialect != "postgres" {
		return query
	}
	var b strings.Builder
	for n, part := range strings.Split(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
	}
	return b.String()
}
