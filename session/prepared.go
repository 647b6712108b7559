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
	p.mu.Lock()
	statement, full := p.byText[text], len(p.byText) >= maxPrepared
	p.mu.Unlock()
	if statement == nil {
		if full {
			return pool.QueryContext(ctx, text, args...)
		}
		var err error
		if statement, err = p.prepare(ctx, pool, text); err != nil { //nolint:sqlclosecheck // it is kept
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
