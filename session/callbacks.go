package session

import (
	"strings"
	"time"
	"unicode"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/dialect"
)

// replaceCallbacks replaces the GORM callbacks that reach the database by ones that hold the session's slot from the
// statement's start until its rows are read, which no gorm.ConnPool could. A statement outside a session is left as it was.
func replaceCallbacks(db *gorm.DB) error {
	loud := db.Config.Logger
	db.Config.Logger = loud.LogMode(logger.Silent) // GORM reports each replacement
	defer func() { db.Config.Logger = loud }()

	c := db.Callback()
	for _, r := range []struct {
		processor interface {
			Get(string) func(*gorm.DB)
			Replace(string, func(*gorm.DB)) error
		}
		name  string
		write bool
	}{
		{c.Query(), "gorm:query", false},
		{c.Create(), "gorm:create", true},
		{c.Update(), "gorm:update", true},
		{c.Delete(), "gorm:delete", true},
		{c.Raw(), "gorm:raw", true},
	} {
		if err := r.processor.Replace(r.name, within(r.processor.Get(r.name), r.write)); err != nil {
			return err
		}
	}
	return c.Row().Replace("gorm:row", rowsWithin(c.Row().Get("gorm:row")))
}

// within runs a callback in the session that its statement belongs to.
func within(run func(*gorm.DB), write bool) func(*gorm.DB) {
	return func(db *gorm.DB) {
		if db.Error != nil || db.DryRun {
			run(db)
		} else if err := admitted(db, write, run); err != nil {
			_ = db.AddError(err)
		}
	}
}

// admitted runs a callback, or returns why its statement can't run.
func admitted(db *gorm.DB, write bool, run func(*gorm.DB)) error {
	switch pool := db.Statement.ConnPool.(type) {
	case *sharedPool:
		if err := pool.s.enter(db.Statement.SQL.String(), write); err != nil {
			return err
		}
		defer pool.s.leave()
		target, done, err := pool.s.lease()
		if err != nil {
			return err
		}
		defer done()
		runNoted(db, pool.s, target, run)
	case *ownPool:
		if err := pool.admit(db.Statement.SQL.String(), write); err != nil {
			return err
		}
		runNoted(db, pool.s, pool.target, run)
	default:
		if err := astray(db); err != nil {
			return err
		}
		run(db)
	}
	return nil
}

// rowsWithin refuses open results on a connection that is shared.
func rowsWithin(run func(*gorm.DB)) func(*gorm.DB) {
	run = within(run, false)
	return func(db *gorm.DB) {
		if _, shared := db.Statement.ConnPool.(*sharedPool); shared {
			_ = db.AddError(ErrRows)
		} else if db.Error == nil {
			run(db)
		}
		if db.Error != nil { // GORM's Row has no other way to report it, and would be nil
			db.Statement.Dest = failedRow(db.Error)
		}
	}
}

// runNoted runs a callback on target and lets the session learn of a fatal error.
func runNoted(db *gorm.DB, s *Session, target gorm.ConnPool, run func(*gorm.DB)) {
	own := db.Statement.ConnPool
	db.Statement.ConnPool = target
	defer func() { db.Statement.ConnPool = own }()
	began := time.Now()
	run(db)
	s.ran(db.Statement.Context, began, db.Statement.SQL.String(), db.Statement.Vars, max(db.RowsAffected, 0), db.Error)
	if db.Error != nil {
		db.Error = s.after(db.Error)
	}
}

// astray returns an error for a statement of a session that would run outside it, since PrepareStmt or a plugin
// has put another pool in the place of the session's, or the pool itself was used. (The statements of a Read run on the pool anyhow.)
func astray(db *gorm.DB) error {
	switch pool := db.Config.ConnPool.(type) {
	case *sharedPool:
		return ErrConnection
	case *gorm.PreparedStmtDB:
		if _, ok := pool.ConnPool.(*sharedPool); ok {
			return ErrPrepareStmt
		}
	}
	if s, ok := db.Statement.Context.Value(contextKey{}).(*Session); ok && s.kind != Read && !s.closed.Load() {
		return ErrOutside
	}
	return nil
}

// controls reports whether raw SQL would begin, end or mark the transaction, which other callers'
// statements are in too. Savepoints are allowed where no others can come between.
func controls(sql string, d dialect.Dialect, savepoints bool) bool {
	sql = uncommented(sql)
	const usual = "SELECT"
	if sql == "" || len(sql) > len(usual) && strings.EqualFold(sql[:len(usual)], usual) { // "": GORM has yet to write it
		return false
	}
	words := append(strings.FieldsFunc(sql[:min(len(sql), 64)], func(r rune) bool { return !unicode.IsLetter(r) }), "", "")
	switch strings.ToUpper(words[0]) {
	case "BEGIN", "START", "COMMIT", "END", "ABORT":
		return true
	case "SAVEPOINT", "RELEASE":
		return !savepoints
	case "ROLLBACK":
		return !savepoints || !strings.EqualFold(words[1], "TO")
	}
	return d.CommitsImplicitly(strings.ToUpper(words[0]), words[1])
}

// uncommented is a statement without what comes before its first word.
func uncommented(sql string) string {
	for {
		sql = strings.TrimLeftFunc(sql, func(r rune) bool { return r == ';' || r == '(' || unicode.IsSpace(r) })
		var end string
		switch {
		case strings.HasPrefix(sql, "/*"):
			end = "*/"
		case strings.HasPrefix(sql, "--"), strings.HasPrefix(sql, "#"):
			end = "\n"
		default:
			return sql
		}
		_, sql, _ = strings.Cut(sql, end)
	}
}
