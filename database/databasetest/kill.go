package databasetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall/database"
)

// Kill has the server end one of the connections to a database after another, by db's side pool, until the context ends. It returns how
// many there were. SQLite has no connections to kill.
func Kill(ctx context.Context, db *database.Database) (killed int64) {
	others, kill := "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()", "KILL %d"
	switch db.Dialect().Name() {
	case "sqlite":
		return 0
	case "postgres":
		others, kill = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", "SELECT pg_terminate_backend(%d)"
	}
	for ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // so that most of what is done succeeds
		var ids []int64
		rows, err := db.Side.QueryContext(ctx, others)
		for err == nil && rows.Next() {
			var id int64
			err = rows.Scan(&id)
			ids = append(ids, id)
		}
		if rows != nil {
			_ = rows.Close()
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := db.Side.ExecContext(ctx, fmt.Sprintf(kill, ids[rand.IntN(len(ids))])); err == nil {
			killed++
		}
	}
	return killed
}
