package databasetest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/database"
)

// Kill has the server end one of the connections to a database every so often, by db's side pool, until the context ends. It returns how
// many there were. SQLite has no connections to kill.
func Kill(ctx context.Context, db *database.Database, every time.Duration) (killed int64) {
	others, kill := "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()", "KILL %d"
	switch db.Dialect().Name() {
	case "sqlite":
		return 0
	case "postgres":
		others, kill = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", "SELECT pg_terminate_backend(%d)"
	}
	for ctx.Err() == nil {
		time.Sleep(every)
		ids, err := numbers(ctx, db.Side, others)
		if err != nil || len(ids) == 0 {
			continue
		}
		if _, err := db.Side.ExecContext(ctx, fmt.Sprintf(kill, ids[rand.IntN(len(ids))])); err == nil {
			killed++
		}
	}
	return killed
}

func numbers(ctx context.Context, db *sql.DB, query string) (all []int64, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var one int64
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
