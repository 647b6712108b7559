package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// movedError says that a file of the SQLite database is not the one any more that was opened. What is written goes into a
// file that has no name then, and another one by that name is not to be mixed with what is open: only a new start helps.
type movedError struct{ Path string }

func (e *movedError) Error() string {
	return e.Path + " has been deleted, replaced or overwritten since it was opened: restart rollcall"
}

// Unwrap returns SQLite's own error for that, which it gives where there is no write-ahead log.
func (*movedError) Unwrap() error { return sqlite3.READONLY_DBMOVED }

// sqliteFiles watches the files of an open database.
type sqliteFiles struct {
	path   string
	known  map[string]os.FileInfo    // what was opened, by path
	held   *sql.DB                   // one connection that stays: SQLite removes the log and its index with the last one
	looked atomic.Pointer[time.Time] // when they were last found well

	mu   sync.Mutex
	file *os.File // the database's. Before all is over it is not closed: that would end SQLite's locks on it
	seen sqliteHeader
}

// sqliteHeader shows whether something else than SQLite has written to a file: https://sqlite.org/fileformat.html
type sqliteHeader struct {
	size    int64
	time    time.Time // of the last change
	changes uint32    // SQLite never lowers it
}

var errOverwritten = errors.New("not what SQLite has written")

// header reads the file's, if the file has changed since was.
func (was sqliteHeader) header(file *os.File) (sqliteHeader, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == was.size && info.ModTime().Equal(was.time) {
		return was, err
	}
	now := sqliteHeader{size: info.Size(), time: info.ModTime()}
	b := make([]byte, 32)
	if _, err := file.ReadAt(b, 0); err != nil {
		return was, err
	}
	now.changes = binary.BigEndian.Uint32(b[24:])
	pageSize, pages := int64(binary.BigEndian.Uint16(b[16:])), int64(binary.BigEndian.Uint32(b[28:]))
	if pageSize == 1 { // it does not fit
		pageSize = 1 << 16
	}
	// A file may grow after its header, and is cut after it; it does not lose pages that the header counts.
	cut := now.size < was.size && now.size < pages*pageSize
	if string(b[:16]) != "SQLite format 3\x00" || cut || int32(now.changes-was.changes) < 0 && was.size > 0 {
		return was, errOverwritten
	}
	return now, nil
}

// overwritten reports whether something else than SQLite has written to the database's file. With a log SQLite itself writes to it
// only when it moves there what is in the log.
func (f *sqliteFiles) overwritten() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.seen.header(f.file)
	if err != nil { // perhaps in the middle of a write
		now, err = f.seen.header(f.file)
	}
	f.seen = now
	return err != nil
}

// lookPause is how long it counts that the files were well, for what does not store anything.
const lookPause = 100 * time.Millisecond

// openFiles opens the connection that stays, and notes what it has opened.
func openFiles(ctx context.Context, path string, held *sql.DB) (*sqliteFiles, error) {
	f := &sqliteFiles{path: path, known: map[string]os.FileInfo{}, held: held}
	held.SetMaxOpenConns(1)
	if err := sqliteCheck(ctx, held); err != nil {
		return nil, err
	}
	var n int
	if err := held.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master").Scan(&n); err != nil { // this opens the log
		return nil, err
	}
	target, err := filepath.EvalSymlinks(path) // beside which the log is
	if err != nil {
		return nil, err
	}
	if f.file, err = os.Open(path); err != nil {
		return nil, err
	}
	if f.seen, err = f.seen.header(f.file); err != nil {
		return nil, err
	}
	for _, name := range []string{path, target + "-wal", target + "-shm"} {
		if f.known[name], err = os.Stat(name); err != nil {
			return nil, err
		}
	}
	shareIndex(target+"-shm", f.known[path])
	f.looked.Store(new(time.Now()))
	return f, nil
}

// look returns a *movedError unless each file is still the one that was opened, and nothing else has visibly written to the
// database's.
func (f *sqliteFiles) look() error {
	for path, known := range f.known {
		if now, err := os.Stat(path); err != nil || !os.SameFile(now, known) {
			return &movedError{path}
		}
	}
	if f.overwritten() {
		return &movedError{f.path}
	}
	f.looked.Store(new(time.Now()))
	return nil
}

// close closes the connection that stays. As the last one it moves what is in the log to the database's file, also from a log
// that has been deleted. But then it deletes whatever log there is by that name: where the database has gone, or another file
// has come, the connection is left to the end of the process.
func (f *sqliteFiles) close() error {
	for path, known := range f.known {
		now, err := os.Stat(path)
		if err == nil && !os.SameFile(now, known) || err != nil && path == f.path {
			return nil
		}
	}
	if f.overwritten() {
		return nil
	}
	return errors.Join(f.held.Close(), f.file.Close())
}

// connect returns a connection that is used for as long only as the files are those that were opened.
func (f *sqliteFiles) connect(ctx context.Context, base driver.Connector) (driver.Conn, error) {
	if err := f.look(); err != nil { // SQLite would make a new file
		return nil, err
	}
	conn, err := base.Connect(ctx)
	if err = cmp.Or(f.look(), err); err != nil {
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
		return nil, err
	}
	return &guardedConn{driverConn: conn.(driverConn), guard: f}, nil
}

// fit refuses a connection where the files are not well. The pool asks for another then, and learns why.
func (f *sqliteFiles) fit() error {
	if time.Since(*f.looked.Load()) > lookPause && f.look() != nil {
		return driver.ErrBadConn
	}
	return nil
}

func (*sqliteFiles) failed(error) {}

// mayCommit has nothing stored in a file that has no name any more.
func (f *sqliteFiles) mayCommit() error { return f.look() }
