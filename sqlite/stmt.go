package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// stmt is a prepared statement.
type stmt struct {
	c          *conn
	db         *sqlite3.Stmt
	parameters int

	// What the columns of its rows are called, which of them hold times, and how often SQLite had prepared it again by then.
	columns    []string
	times      []int
	reprepared int
}

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int { return s.parameters }

// Close implements driver.Stmt.
func (s *stmt) Close() (err error) {
	if s == nil {
		return nil
	}
	defer s.c.recovered(&err)
	return s.db.Close()
}

// Exec implements driver.Stmt.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

// Query implements driver.Stmt.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	all := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		all[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return all
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.run(ctx, args); err != nil {
		return nil, err
	}
	return s.c.result(), nil
}

// run runs the statement to its end.
func (s *stmt) run(ctx context.Context, args []driver.NamedValue) error {
	return s.c.under(ctx, func() error {
		if err := s.bind(args); err != nil {
			return err
		}
		err := s.db.Exec()
		return cmp.Or(err, s.db.ClearBindings())
	})
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	r, err := s.query(ctx, args)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// query runs the statement up to its first row.
func (s *stmt) query(ctx context.Context, args []driver.NamedValue) (*rows, error) {
	r := &rows{ctx: ctx, stmt: s}
	err := s.c.under(ctx, func() error {
		err := s.bind(args)
		if err == nil {
			r.ready = s.db.Step()
			err = s.db.Err()
		}
		if err != nil {
			_ = s.db.Reset() // with the same error once more
			_ = s.db.ClearBindings()
			return err
		}
		s.describe()
		return nil
	})
	r.done = !r.ready
	return r, err
}

// describe looks at the columns. SQLite prepares a statement again where the schema has changed.
func (s *stmt) describe() {
	reprepared := s.db.Status(sqlite3.STMTSTATUS_REPREPARE, false)
	if s.columns != nil && s.reprepared == reprepared {
		return
	}
	s.reprepared = reprepared
	s.columns, s.times = make([]string, s.db.ColumnCount()), nil
	for i := range s.columns {
		s.columns[i] = s.db.ColumnName(i)
		switch strings.ToUpper(s.db.ColumnDeclType(i)) {
		case "DATE", "DATETIME", "TIMESTAMP":
			s.times = append(s.times, i)
		}
	}
}

// bind gives each parameter its value.
func (s *stmt) bind(args []driver.NamedValue) error {
	if len(args) != s.parameters {
		return fmt.Errorf("sqlite: %d arguments for %d parameters", len(args), s.parameters)
	}
	for i, arg := range args {
		if arg.Name != "" {
			return errors.New("sqlite: parameters have no names here")
		}
		if err := s.bindOne(i+1, arg.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *stmt) bindOne(n int, value driver.Value) error {
	switch v := value.(type) {
	case nil:
		return s.db.BindNull(n)
	case int64:
		return s.db.BindInt64(n, v)
	case string:
		return s.db.BindText(n, v)
	case time.Time:
		return s.db.BindText(n, formatTime(v))
	case bool:
		return s.db.BindBool(n, v)
	case float64:
		return s.db.BindFloat(n, v)
	case []byte:
		return s.db.BindBlob(n, v)
	}
	return fmt.Errorf("sqlite: parameter %d is a %T", n, value)
}

// rows are a statement's result.
type rows struct {
	*stmt
	ctx    context.Context
	values []any
	ready  bool // the next row has been read
	done   bool // there is none
	failed bool // since its step has failed
	last   bool // the statement is not run again
}

var emptyBlob any = []byte{} // which go-sqlite3 leaves for a blob of no bytes; nil would be NULL

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.columns }

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	return strings.ToUpper(r.db.ColumnDeclType(i))
}

// Next implements driver.Rows.
func (r *rows) Next(to []driver.Value) (err error) {
	defer r.c.recovered(&err)
	switch {
	case r.done:
		return io.EOF
	case r.c.broken:
		return errBroken
	case r.ready:
		r.ready = false
	default:
		if err := r.step(); err != nil {
			return err
		}
	}
	if len(r.values) != len(to) {
		r.values = make([]any, len(to))
	}
	for i := range r.values {
		r.values[i] = emptyBlob
	}
	if err := r.db.Columns(r.values...); err != nil {
		return err
	}
	for i, value := range r.values {
		to[i] = value
	}
	for _, i := range r.times {
		if text, ok := to[i].(string); ok {
			if t, ok := parseTime(text); ok {
				to[i] = t
			}
		}
	}
	return nil
}

func (r *rows) step() error {
	defer r.c.db.SetInterrupt(r.c.db.SetInterrupt(r.ctx))
	if r.db.Step() {
		return nil
	}
	r.done = true
	if err := r.db.Err(); err != nil {
		r.failed = true
		return ended(r.ctx, err)
	}
	return io.EOF
}

// Close implements driver.Rows. What a statement that writes has yet to do, it does now.
func (r *rows) Close() (err error) {
	defer r.c.recovered(&err)
	err = r.db.Reset()
	if r.failed {
		err = nil // it is the one of the step that failed
	}
	if r.last {
		return cmp.Or(err, r.stmt.Close())
	}
	return cmp.Or(err, r.db.ClearBindings())
}
