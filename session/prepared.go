package session

import (
	"context"
	"database/sql"
	"sync"
)

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
	statement, err := p.statement(ctx, pool, text) //nolint:sqlclosecheck // it is kept
	switch {
	case err != nil:
		return nil, err
	case statement == nil:
		return pool.QueryContext(ctx, text, args...)
	}
	return statement.QueryContext(ctx, args...)
}

// statement returns a prepared statement, or nil where there are too many.
func (p *prepared) statement(ctx context.Context, pool *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	known, full := p.byText[text], len(p.byText) >= maxPrepared
	p.mu.Unlock()
	if known != nil || full {
		return known, nil
	}
	statement, err := pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch known := p.byText[text]; {
	case known != nil:
		return known, statement.Close() //nolint:sqlclosecheck // the other one is kept
	case p.byText == nil:
		p.byText = map[string]*sql.Stmt{}
	}
	p.byText[text] = statement // closed with the pool
	return statement, nil
}
