// Package sqlite runs SQLite for database/sql and for GORM, in Go alone: it drives github.com/ncruces/go-sqlite3.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Connector connects to one database, for sql.OpenDB. The end of its context ends a statement: while it runs, while it waits for a lock,
// and before its next row. The connection stays usable. errors.As finds an sqlite3.ErrorCode in every error of SQLite's own.
//
// Times are stored as UTC, as "2006-01-02 15:04:05.999999999-07:00". From columns declared as DATE, DATETIME or TIMESTAMP they are read
// in each form that SQLite takes for a date, with or without a time of day. Any other text is read as a string.
type Connector struct {
	// Path is that of the file, which is created unless there is one. ":memory:" is a database of one connection.
	Path string
	// ReadOnly opens the file for reading alone.
	ReadOnly bool
	// Immediate has each transaction that is not read-only take the lock for writing when it begins, for which it waits as long as
	// the busy_timeout says. One that takes it later fails at once if another has written since it began to read.
	Immediate bool
	// Pragmas are set on each connection, in this order, such as "busy_timeout = 5000".
	Pragmas []string
}

// Connect implements driver.Connector.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	db, err := sqlite3.OpenContext(ctx, c.name())
	if err != nil {
		return nil, err
	}
	conn := &conn{db: db, immediate: c.Immediate}
	for _, pragma := range c.Pragmas {
		if err := conn.exec(ctx, "PRAGMA "+pragma); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// Driver implements driver.Connector.
func (c Connector) Driver() driver.Driver { return pathDriver{} }

// name returns the path as a URI (https://sqlite.org/uri.html). The log gets the file's mode and owner (modeof); its index (-shm)
// does not.
func (c Connector) name() string {
	if c.Path == ":memory:" {
		return c.Path
	}
	path := filepath.ToSlash(filepath.Clean(c.Path))
	if filepath.VolumeName(path) != "" { // Windows'
		path = "/" + path
	}
	escape := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23", "&", "%26")
	name := "file:" + escape.Replace(path) + "?modeof=" + escape.Replace(c.Path)
	if c.ReadOnly {
		name += "&mode=ro"
	}
	return name
}

// pathDriver opens a path.
type pathDriver struct{}

func (pathDriver) Open(path string) (driver.Conn, error) {
	return Connector{Path: path}.Connect(context.Background())
}
