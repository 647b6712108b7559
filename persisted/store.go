// Package persisted keeps documents that clients register by their hashes in a table, so that one which is registered at one server is known at the
// others. It is a document.Store.
//
// The table is bounded, and anybody who may run an operation may fill it. So what is in use is pushed out last: first go the documents that were not used
// since they were stored, then those that were used on one day, then those that were used on several, each by their last uses.
package persisted

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"rollcall/dialect"
	"rollcall/document"
	"rollcall/session"
)

// Store is the documents at one database. It is safe for concurrent use.
type Store struct {
	Reads   *sql.DB // by which Find looks for documents
	Writes  *sql.DB // for all that is written; where one connection writes at a time, that one
	Dialect dialect.Dialect

	MaxCount  int           // documents; 0: 10,000. Each server may exceed it by a hundredth, until it sweeps.
	MaxBytes  int64         // of their texts; 0: 64 MiB. It may be exceeded as MaxCount may.
	Retention time.Duration // since the last use; 0: 30 days. It may be a day more, since a use is noted once a day.

	Now func() time.Time // nil: time.Now

	count, bytes atomic.Int64 // stored by this server since it has swept
}

var _ document.Store = &Store{}

func (s *Store) maxCount() int64 { return int64(cmp.Or(s.MaxCount, 10_000)) }
func (s *Store) maxBytes() int64 { return cmp.Or(s.MaxBytes, 64<<20) }

// now is in milliseconds, as times are stored.
func (s *Store) now() int64 {
	if s.Now != nil {
		return s.Now().UnixMilli()
	}
	return time.Now().UnixMilli()
}

// Find returns the document that is stored under a hash; nil: none is.
func (s *Store) Find(ctx context.Context, hash string) (*document.Stored, error) {
	var text []byte
	var used int64
	err := s.Reads.QueryRowContext(ctx, s.Dialect.Rebind("SELECT text, used_at FROM persisted_documents WHERE hash = ?"), hash).Scan(&text, &used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil //nolint:nilnil // as document.Store says
	case err != nil:
		return nil, err
	}
	found := &document.Stored{Text: string(text)}
	if used > 0 {
		found.Used = time.UnixMilli(used)
	}
	return found, nil
}

// Keep stores a document under its hash, unless there is one.
func (s *Store) Keep(ctx context.Context, hash, text string) error {
	return s.insert(ctx, hash, text, 0, 0)
}

// oneDay is how long a use is the last one that is noted. It is an hour short, so that whoever comes once a day is not missed every other day.
const oneDay = 23 * time.Hour

// Use notes that a document is in use, once a day at most, and stores it if it has gone.
func (s *Store) Use(ctx context.Context, hash, text string) error {
	now := s.now()
	changed, err := s.exec(ctx, "UPDATE persisted_documents SET used_at = ?, days = CASE WHEN days = 0 THEN 1 ELSE 2 END WHERE hash = ? AND used_at < ?",
		now, hash, now-oneDay.Milliseconds())
	if err != nil || changed > 0 {
		return err
	}
	return s.insert(ctx, hash, text, now, 1) // another server has noted it, or it was pushed out
}

// Remove removes the document of a hash, if it still has that text.
func (s *Store) Remove(ctx context.Context, hash, text string) error {
	_, err := s.exec(ctx, "DELETE FROM persisted_documents WHERE hash = ? AND text = ?", hash, []byte(text))
	return err
}

// insert stores a document unless there is one, and sweeps when it has stored so many that the table may have grown by a hundredth of its bounds.
func (s *Store) insert(ctx context.Context, hash, text string, used, days int64) error {
	_, err := s.exec(ctx, "INSERT INTO persisted_documents (hash, text, bytes, stored_at, used_at, days) VALUES (?, ?, ?, ?, ?, ?) "+s.Dialect.UnlessStored("hash"),
		hash, []byte(text), len(text), s.now(), used, days)
	if err != nil {
		return err
	}
	count, bytes := s.count.Add(1), s.bytes.Add(int64(len(text)))
	if count > s.maxCount()/100 || bytes > s.maxBytes()/100 {
		_, err = s.Sweep(ctx)
	}
	return err
}

// exec runs a statement that is a transaction of its own, again where it has lost against another.
func (s *Store) exec(ctx context.Context, statement string, args ...any) (affected int64, err error) {
	for range 5 {
		var result sql.Result
		if result, err = s.Writes.ExecContext(ctx, s.Dialect.Rebind(statement), args...); err == nil {
			return result.RowsAffected()
		}
		if !dialect.Is(err, dialect.Transient) {
			break
		}
	}
	return 0, err
}

// sweepBatch is how many documents are read at a time to be swept.
const sweepBatch = 500

// row is what a sweep goes by.
type row struct {
	hash        string
	bytes, used int64
}

// Sweep deletes the documents that were not used for longer than Retention, and those that are too many, and returns how many there were.
func (s *Store) Sweep(ctx context.Context) (n int, err error) {
	s.count.Store(0)
	s.bytes.Store(0)
	old := s.now() - cmp.Or(s.Retention, 30*24*time.Hour).Milliseconds()
	for {
		rows, err := s.rows(ctx, "used_at < ? AND stored_at < ?", old, old)
		if err == nil {
			err = s.delete(ctx, rows)
		}
		if err != nil {
			return n, err
		}
		if n += len(rows); len(rows) < sweepBatch {
			break
		}
	}
	for {
		rows, err := s.tooMany(ctx)
		if err == nil {
			err = s.delete(ctx, rows)
		}
		if err != nil || len(rows) == 0 {
			return n, err
		}
		n += len(rows)
	}
}

// SweepEvery sweeps at an interval until ctx ends. Failures go to report.
func (s *Store) SweepEvery(ctx context.Context, interval time.Duration, report func(error)) {
	session.Every(ctx, interval, s.Sweep, report)
}

// tooMany returns the next documents that are to go for the table to be within its bounds.
func (s *Store) tooMany(ctx context.Context) ([]row, error) {
	var count, bytes int64
	err := s.Writes.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM persisted_documents").Scan(&count, &bytes)
	if err != nil || count <= s.maxCount() && bytes <= s.maxBytes() {
		return nil, err
	}
	rows, err := s.rows(ctx, "1 = 1")
	for i, r := range rows {
		if count <= s.maxCount() && bytes <= s.maxBytes() {
			return rows[:i], err
		}
		count--
		bytes -= r.bytes
	}
	return rows, err
}

// rows returns the first documents, of those that may go by a condition, in the order in which they go.
func (s *Store) rows(ctx context.Context, condition string, args ...any) (all []row, err error) {
	found, err := s.Writes.QueryContext(ctx, s.Dialect.Rebind("SELECT hash, bytes, used_at FROM persisted_documents WHERE "+condition+
		" ORDER BY days, used_at, stored_at, hash LIMIT ?"), append(args, sweepBatch)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var r row
		if err := found.Scan(&r.hash, &r.bytes, &r.used); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, found.Err()
}

// delete deletes documents that were not used meanwhile, each in a transaction of its own: so servers that sweep at a time do not wait for each other in
// a circle, and nothing waits for long.
func (s *Store) delete(ctx context.Context, rows []row) error {
	for _, r := range rows {
		if _, err := s.exec(ctx, "DELETE FROM persisted_documents WHERE hash = ? AND used_at = ?", r.hash, r.used); err != nil {
			return err
		}
	}
	return nil
}
