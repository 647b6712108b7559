package population

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"rollcall/database"
	"rollcall/model"
)

// Copy adds users, with their ids, as fast as a database takes rows: by COPY, or by LOAD DATA LOCAL, whose server must have
// local_infile on, or into SQLite by statements of many rows; with their words and their number. by tells which it was.
func Copy(ctx context.Context, db *database.Database, users []*model.User) (by string, err error) {
	conn, err := db.Pools()["write"].Conn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	l := &loader{conn: conn, kind: kinds[db.Dialect().Name()], progress: func(string, ...any) {}}
	var words []word
	tables := []table{usersTable(slices.Values(users), len(users), &words), wordsTable(&words), {"directory_counts", []string{"name", "delta"}, 1, slices.Values([][]any{{"User", len(users)}})}}
	by, fill := "LOAD DATA", func(t table) error { return loadData(ctx, conn, t) }
	switch db.Dialect().Name() {
	case "sqlite":
		by, fill = "INSERT", func(t table) error { return l.insertRows(ctx, t, t.rows) }
	case "postgres":
		by, fill = "COPY", func(t table) error { return l.copy(ctx, t, t.rows) }
	}
	fillAll := func() error {
		for _, t := range tables {
			if err := fill(t); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		return nil
	}
	if by == "INSERT" { // which has transactions of its own
		return by, fillAll()
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return by, err
	}
	if err := fillAll(); err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return by, err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return by, err
}

// loadData fills a table with LOAD DATA LOCAL.
func loadData(ctx context.Context, conn *sql.Conn, t table) error {
	var text bytes.Buffer
	escape := strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\x00", "\\0")
	for row := range t.rows {
		for i, value := range row {
			if i > 0 {
				text.WriteByte('\t')
			}
			switch v := value.(type) {
			case *string:
				if v == nil {
					text.WriteString(`\N`)
				} else {
					_, _ = escape.WriteString(&text, *v)
				}
			case *int64:
				if v == nil {
					text.WriteString(`\N`)
				} else {
					fmt.Fprint(&text, *v)
				}
			case time.Time:
				text.WriteString(v.Format("2006-01-02 15:04:05.000000"))
			default:
				_, _ = escape.WriteString(&text, fmt.Sprint(v))
			}
		}
		text.WriteByte('\n')
	}
	name := "rollcall-" + t.name
	mysql.RegisterReaderHandler(name, func() io.Reader { return &text })
	defer mysql.DeregisterReaderHandler(name)
	_, err := conn.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE "+t.name+" CHARACTER SET utf8mb4 ("+strings.Join(t.columns, ", ")+")")
	return err
}
