package databasetest

import (
	"context"
	"database/sql"
	"strings"
)

// postgresDatabase is a database on PostgreSQL, by connections of its own.
type postgresDatabase struct{ db *sql.DB }

func (d *postgresDatabase) close() error { return d.db.Close() }

func (d *postgresDatabase) inventory(ctx context.Context) (i inventory, err error) {
	if i.tables, err = pairs(ctx, d.db, `SELECT relname, concat_ws(E'\n', concat_ws(' ', relpersistence, reloptions, relrowsecurity, relacl),
			(SELECT string_agg(concat_ws(' ', attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attcollation, attacl, pg_get_expr(adbin, adrelid)), E'\n' ORDER BY attnum)
				FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = t.oid AND attnum > 0),
			(SELECT string_agg(pg_get_indexdef(indexrelid), E'\n' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = t.oid),
			(SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), E'\n' ORDER BY conname) FROM pg_constraint WHERE conrelid = t.oid),
			(SELECT string_agg(concat_ws(' ', tgname, tgenabled), E'\n' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = t.oid AND NOT tgisinternal))
		FROM pg_class t WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`); err != nil {
		return i, err
	}
	others, err := texts(ctx, d.db, `SELECT concat_ws(' ', 'database', datacl, datconnlimit) FROM pg_database WHERE datname = current_database()
		UNION ALL SELECT concat_ws(' ', 'settings', setrole, setconfig) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
		UNION ALL SELECT concat_ws(' ', 'relation', relname, relkind, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('r', 'i')
		UNION ALL SELECT concat_ws(' ', 'schema', nspname, nspacl) FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%'
		UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'type', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0
		UNION ALL SELECT concat_ws(' ', 'extension', extname) FROM pg_extension
		UNION ALL SELECT concat_ws(' ', 'event trigger', evtname) FROM pg_event_trigger
		UNION ALL SELECT concat_ws(' ', 'transaction', gid) FROM pg_prepared_xacts WHERE database = current_database()
		ORDER BY 1`)
	if err != nil {
		return i, err
	}
	i.others = strings.Join(others, "\n")
	var sums []string
	for table := range i.tables {
		sums = append(sums, "SELECT '"+table+"', md5(coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '')) FROM "+table+" r")
	}
	if i.rows, err = pairs(ctx, d.db, strings.Join(sums, " UNION ALL ")); err != nil {
		return i, err
	}
	i.next, err = pairs(ctx, d.db, `SELECT relname, coalesce(pg_sequence_last_value(oid)::text, '') FROM pg_class WHERE relkind = 'S'`)
	return i, err
}

func (d *postgresDatabase) dropTable(ctx context.Context, table string) error {
	_, err := d.db.ExecContext(ctx, "DROP TABLE "+table+" CASCADE")
	return err
}

func (d *postgresDatabase) setNext(ctx context.Context, sequence, last string) error {
	query := "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE seqrelid = $1::regclass"
	args := []any{sequence}
	if last != "" {
		query, args = "SELECT setval($1::regclass, $2::text::bigint)", append(args, last)
	}
	_, err := d.db.ExecContext(ctx, query, args...)
	return err
}

func (d *postgresDatabase) copyRows(ctx context.Context, t *template, tables []string) error {
	return inTransaction(ctx, d.db, func(run func(statement string, args ...any)) {
		run("SET LOCAL session_replication_role = replica") // it checks no foreign key
		for _, table := range tables {
			run("DELETE FROM " + table)
			run("INSERT INTO "+table+" OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::"+table+", $1::json)", t.rows[table])
		}
	})
}

// rowsAsJSON returns the rows of each table.
func (d *postgresDatabase) rowsAsJSON(ctx context.Context, tables map[string]string) (map[string]string, error) {
	var queries []string
	for table := range tables {
		queries = append(queries, "SELECT '"+table+"', coalesce(json_agg(r), '[]')::text FROM "+table+" r")
	}
	return pairs(ctx, d.db, strings.Join(queries, " UNION ALL "))
}
