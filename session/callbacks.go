package session

import (
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// replaceCallbacks replaces the GORM callbacks that reach the database by ones that hold the session's slot
// from the statement's start until its rows are read, which no gorm.ConnPool could. A
// statement outside a session is left as it was.
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
			return
		}
		switch pool := db.Statement.ConnPool.(type) {
		case *sharedPool:
			if err := pool.s.enter(write); err != nil {
				_ = db.AddError(err)
				return
			}
			defer pool.s.leave()
			runNoted(db, pool.s, run)
		case ownPool:
			if write && pool.s.mode != writing {
				_ = db.AddError(ErrReadOnly)
				return
			}
			runNoted(db, pool.s, run)
		default:
			runOutside(db, run)
		}
	}
}

// rowsWithin refuses open results on a connection that is shared.
func rowsWithin(run func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		switch pool := db.Statement.ConnPool.(type) {
		case *sharedPool:
			_ = db.AddError(ErrRows)
			db.Statement.Dest = failedRow(db.Statement.Context, ErrRows)
		case ownPool:
			runNoted(db, pool.s, run)
		default:
			runOutside(db, run)
		}
	}
}

// runNoted runs a callback and lets the session learn of a fatal error.
func runNoted(db *gorm.DB, s *Session, run func(*gorm.DB)) {
	run(db)
	if db.Error != nil {
		db.Error = s.after(db.Error)
	}
}

// runOutside runs a callback whose statement belongs to no session, unless it does so only because
// PrepareStmt has replaced the session's pool.
func runOutside(db *gorm.DB, run func(*gorm.DB)) {
	switch db.Statement.ConnPool.(type) {
	case *gorm.PreparedStmtDB, *gorm.PreparedStmtTX:
		if _, err := FromContext(db.Statement.Context); err == nil {
			_ = db.AddError(ErrPrepareStmt)
			if rows, ok := db.Get("rows"); !ok || rows != true {
				db.Statement.Dest = failedRow(db.Statement.Context, ErrPrepareStmt)
			}
			return
		}
	}
	run(db)
}
