package sqlite

import (
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
)

// Dialector is GORM's dialect "sqlite", over a pool of Connector's. Its migrator makes tables, and does not alter them.
type Dialector struct{ Pool gorm.ConnPool }

var _ interface {
	gorm.Dialector
	gorm.SavePointerDialectorInterface
} = Dialector{}

// Name implements gorm.Dialector.
func (Dialector) Name() string { return "sqlite" }

// Initialize implements gorm.Dialector.
func (d Dialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.Pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses:        []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses:        []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses:        []string{"DELETE", "FROM", "WHERE", "RETURNING"},
		LastInsertIDReversed: true, // it is the id of the last of several rows
	})
	db.ClauseBuilders["LIMIT"] = limit
	db.ClauseBuilders["FOR"] = func(clause.Clause, clause.Builder) {} // no row can be locked
	return nil
}

// limit writes LIMIT, without which SQLite knows no OFFSET.
func limit(c clause.Clause, to clause.Builder) {
	l, ok := c.Expression.(clause.Limit)
	if !ok {
		c.Build(to)
		return
	}
	rows := -1 // all
	if l.Limit != nil && *l.Limit >= 0 {
		rows = *l.Limit
	}
	if rows < 0 && l.Offset <= 0 {
		return
	}
	_, _ = to.WriteString("LIMIT " + strconv.Itoa(rows))
	if l.Offset > 0 {
		_, _ = to.WriteString(" OFFSET " + strconv.Itoa(l.Offset))
	}
}

// DefaultValueOf implements gorm.Dialector. SQLite has no DEFAULT among the values of an INSERT, and says so.
func (Dialector) DefaultValueOf(field *schema.Field) clause.Expression {
	if field.AutoIncrement {
		return clause.Expr{SQL: "NULL"}
	}
	return clause.Expr{SQL: "DEFAULT"}
}

// BindVarTo implements gorm.Dialector.
func (Dialector) BindVarTo(to clause.Writer, _ *gorm.Statement, _ any) { _ = to.WriteByte('?') }

// QuoteTo implements gorm.Dialector. A name may consist of several, with dots between them, each in quotes already or not. An empty
// one gets no quotes: in these, SQLite takes it for a name.
func (Dialector) QuoteTo(to clause.Writer, name string) {
	if name == "" {
		return
	}
	for i, part := range strings.Split(name, ".") {
		if i > 0 {
			_ = to.WriteByte('.')
		}
		if len(part) > 1 && part[0] == '`' && part[len(part)-1] == '`' {
			part = part[1 : len(part)-1]
		}
		_, _ = to.WriteString("`" + strings.ReplaceAll(part, "`", "``") + "`")
	}
}

// Explain implements gorm.Dialector.
func (Dialector) Explain(query string, values ...any) string {
	return logger.ExplainSQL(query, nil, `"`, values...)
}

// DataTypeOf implements gorm.Dialector.
func (Dialector) DataTypeOf(field *schema.Field) string {
	switch field.DataType {
	case schema.Bool:
		return "numeric"
	case schema.Int, schema.Uint:
		if field.AutoIncrement {
			return "integer PRIMARY KEY AUTOINCREMENT"
		}
		return "integer"
	case schema.Float:
		return "real"
	case schema.String:
		return "text"
	case schema.Time:
		return "datetime"
	case schema.Bytes:
		return "blob"
	}
	return string(field.DataType)
}

// SavePoint implements gorm.SavePointerDialectorInterface.
func (Dialector) SavePoint(tx *gorm.DB, name string) error { return tx.Exec("SAVEPOINT " + name).Error }

// RollbackTo implements gorm.SavePointerDialectorInterface.
func (Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}

// Migrator implements gorm.Dialector.
func (d Dialector) Migrator(db *gorm.DB) gorm.Migrator {
	return tables{migrator.Migrator{Config: migrator.Config{DB: db, Dialector: d, CreateIndexAfterCreateTable: true}}}
}

// tables asks sqlite_master what GORM's own migrator asks a server's information_schema.
type tables struct{ migrator.Migrator }

// HasTable implements gorm.Migrator.
func (t tables) HasTable(value any) bool {
	var n int64
	err := t.RunWithValue(value, func(statement *gorm.Statement) error {
		return t.DB.Raw("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", statement.Table).Scan(&n).Error
	})
	return err == nil && n > 0
}

// GetTables implements gorm.Migrator.
func (t tables) GetTables() (names []string, err error) {
	return names, t.DB.Raw("SELECT name FROM sqlite_master WHERE type = 'table'").Scan(&names).Error
}
