package database

import (
	"database/sql"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"gorm.io/gorm"

	"rollcall/dialect"
)

// product is what the directory's own SQL differs in from one kind of database to another.
type product struct {
	dialect.Dialect
	goose    goose.Dialect
	versions func(goosedb.Store) goosedb.Store // nil: goose's own table of versions is right
	gorm     func(*sql.DB) gorm.Dialector

	tablesAndFlaws string // the names of the tables that are there, each with what is wrong with it or ""; one with a flaw may come twice
	mend           string // what ALTER TABLE is to do about a flaw
	readOnly       string // whether the server may be closed to this user's writes, and whether it is for sure; "": none is
	lossy          string // the settings by which a crash takes with it what was acknowledged shortly before
	oddEmails      string // a condition for emails that model.NormalEmail may change, and for only few besides
	catchUp        string // waits for what the other nodes of a cluster of Galera have committed; "": there is no such cluster
	lockCounts     string // changes the common row of those that recount
}
