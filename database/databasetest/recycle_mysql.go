package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// mysqlDatabase is a database on MySQL or MariaDB, by the server's connections.
type mysqlDatabase struct {
	admin *sql.DB // without checks of foreign keys
	name  string
}

func (*mysqlDatabase) close() error { return nil }

func (d *mysqlDatabase) table(name string) string { return fmt.Sprintf("%s.`%s`", d.name, name) }

var nextID = regexp.MustCompile(` AUTO_INCREMENT=([0-9]+)`)

func (d *mysqlDatabase) inventory(ctx context.Context) (inventory, error) {
	i := inventory{tables: map[string]string{}, rows: map[string]string{}, next: map[string]string{}}
	tables, err := texts(ctx, d.admin, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE'", d.name)
	if err != nil || len(tables) == 0 {
		return i, errors.Join(err, errors.New("it has no table"))
	}
	names := make([]string, len(tables))
	for n, table := range tables {
		names[n] = d.table(table)
		var definition string
		if err := d.admin.QueryRowContext(ctx, "SHOW CREATE TABLE "+names[n]).Scan(&table, &definition); err != nil {
			return i, err
		}
		i.tables[table], i.next[table] = nextID.ReplaceAllString(definition, ""), "1"
		if next := nextID.FindStringSubmatch(definition); next != nil {
			i.next[table] = next[1]
		}
	}
	if i.rows, err = pairs(ctx, d.admin, "CHECKSUM TABLE "+strings.Join(names, ", ")); err != nil {
		return i, err
	}
	for _, table := range tables { // a sum has the database's name before the table's
		i.rows[table] = i.rows[d.name+"."+table]
		delete(i.rows, d.name+"."+table)
	}
	others, err := texts(ctx, d.admin, `SELECT CONCAT(default_character_set_name, ' ', default_collation_name) FROM information_schema.schemata WHERE schema_name = ?
		UNION ALL SELECT CONCAT('view ', table_name) FROM information_schema.views WHERE table_schema = ?
		UNION ALL SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = ?
		UNION ALL SELECT CONCAT('routine ', routine_name) FROM information_schema.routines WHERE routine_schema = ?
		UNION ALL SELECT CONCAT('event ', event_name) FROM information_schema.events WHERE event_schema = ?`, d.name, d.name, d.name, d.name, d.name)
	i.others = strings.Join(others, "\n")
	return i, err
}

func (d *mysqlDatabase) dropTable(ctx context.Context, table string) error {
	_, err := d.admin.ExecContext(ctx, "DROP TABLE "+d.table(table))
	return err
}

func (d *mysqlDatabase) setNext(ctx context.Context, table, next string) error {
	_, err := d.admin.ExecContext(ctx, "ALTER TABLE "+d.table(table)+" AUTO_INCREMENT = "+next)
	return err
}

func (d *mysqlDatabase) copyRows(ctx context.Context, t *template, tables []string) error {
	return inTransaction(ctx, d.admin, func(run func(statement string, args ...any)) {
		for _, table := range tables {
			run("DELETE FROM " + d.table(table))
			run("INSERT INTO " + d.table(table) + " SELECT * FROM " + (&mysqlDatabase{name: t.name}).table(table))
		}
	})
}
