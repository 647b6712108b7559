package sessiontest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/session"
)

// parent and child have what makes GORM issue statements of its own: associations and hooks.
type parent struct {
	ID       int
	Name     string
	Children []child
	Hooked   int64 `gorm:"-"`
}

type child struct {
	ID       int
	ParentID *int
	Name     string
}

func (p *parent) BeforeCreate(tx *gorm.DB) error { return p.hook(tx) }
func (p *parent) AfterFind(tx *gorm.DB) error    { return p.hook(tx) }

func (p *parent) hook(tx *gorm.DB) error {
	return tx.Model(&child{}).Where("parent_id = ?", p.ID).Count(&p.Hooked).Error
}

// family creates the tables of parent and child: parent 1 has the children 1 and 2, parent 2 has 3.
func (b *Bank) family() {
	for _, statement := range []string{
		"CREATE TABLE parents (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)",
		"CREATE TABLE children (id INT PRIMARY KEY, parent_id INT, name VARCHAR(20) NOT NULL)",
		"INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c')",
		"INSERT INTO children VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'z')",
	} {
		b.Exec(statement)
	}
}

// finisher is one way to a statement in GORM. It returns nil only if it did what it should.
type finisher struct {
	name string
	call func(db *gorm.DB) error
}

// rows returns an error unless tx succeeded with a number of rows.
func rows(tx *gorm.DB, want int64) error {
	if tx.Error == nil && tx.RowsAffected != want {
		return fmt.Errorf("%d rows, want %d", tx.RowsAffected, want)
	}
	return tx.Error
}

// same returns err, or an error unless got is what is wanted.
func same[T comparable](got, want T, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return err
}

// reads work in every session.
var reads = []finisher{
	{"First", func(db *gorm.DB) error { var p parent; err := db.First(&p, 2).Error; return same(p.Name, "b", err) }},
	{"Take", func(db *gorm.DB) error { var p parent; err := db.Take(&p, 2).Error; return same(p.Name, "b", err) }},
	{"Last", func(db *gorm.DB) error { var p parent; err := db.Last(&p).Error; return same(p.Name, "c", err) }},
	{"First of none", func(db *gorm.DB) error {
		if err := db.First(&parent{}, 9).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
			return fmt.Errorf("want ErrRecordNotFound, got %w", err)
		}
		return nil
	}},
	{"Find", func(db *gorm.DB) error { return rows(db.Find(&[]parent{}), 3) }},
	{"Find into maps", func(db *gorm.DB) error { return rows(db.Table("parents").Find(&[]map[string]any{}), 3) }},
	{"FindInBatches", func(db *gorm.DB) error {
		return rows(db.FindInBatches(&[]parent{}, 2, func(tx *gorm.DB, _ int) error { return tx.Find(&[]child{}).Error }), 3)
	}},
	{"FirstOrInit", func(db *gorm.DB) error {
		p := parent{}
		err := db.Where(parent{Name: "new"}).FirstOrInit(&p).Error
		return same(p.Name, "new", err)
	}},
	{"FirstOrCreate of one that is there", func(db *gorm.DB) error {
		p := parent{}
		err := db.Where(parent{Name: "b"}).FirstOrCreate(&p).Error
		return same(p.ID, 2, err)
	}},
	{"Count", func(db *gorm.DB) error {
		var n int64
		err := db.Model(&child{}).Count(&n).Error
		return same(n, 3, err)
	}},
	{"Pluck", func(db *gorm.DB) error { return rows(db.Model(&child{}).Pluck("name", &[]string{}), 3) }},
	{"Raw and Find", func(db *gorm.DB) error { return rows(db.Raw("SELECT id FROM parents").Find(&[]int{}), 3) }},
	{"Joins", func(db *gorm.DB) error {
		return rows(db.Joins("JOIN children ON children.parent_id = parents.id").Find(&[]parent{}), 3)
	}},
	{"Preload", func(db *gorm.DB) error {
		var p parent
		err := db.Preload("Children").Preload(clause.Associations).Take(&p, 1).Error
		return same(len(p.Children), 2, err)
	}},
	{"hooks", func(db *gorm.DB) error { var p parent; err := db.Take(&p, 1).Error; return same(p.Hooked, 2, err) }},
	{"Association.Find", func(db *gorm.DB) error {
		var c []child
		err := db.Model(&parent{ID: 1}).Association("Children").Find(&c)
		return same(len(c), 2, err)
	}},
	{"Association.Count", func(db *gorm.DB) error {
		a := db.Model(&parent{ID: 1}).Association("Children")
		return same(a.Count(), 2, a.Error)
	}},
	{"Scopes", func(db *gorm.DB) error {
		return rows(db.Scopes(func(db *gorm.DB) *gorm.DB { return db.Where("id = 1") }).Find(&[]parent{}), 1)
	}},
	{"another context", func(db *gorm.DB) error { return rows(db.WithContext(context.Background()).Find(&[]parent{}), 3) }},
	{"Session", func(db *gorm.DB) error { return rows(db.Session(&gorm.Session{NewDB: true}).Find(&[]parent{}), 3) }},
	{"Debug", func(db *gorm.DB) error { return rows(db.Debug().Find(&[]parent{}), 3) }},
	{"DryRun", func(db *gorm.DB) error {
		tx := db.Session(&gorm.Session{DryRun: true}).Delete(&parent{}, 1)
		return same(tx.Statement.SQL.Len() > 0, true, tx.Error)
	}},
	{"ToSQL", func(db *gorm.DB) error {
		sql := db.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.Find(&[]parent{}) })
		return same(sql != "", true, nil)
	}},
	{"generic Find", func(db *gorm.DB) error {
		p, err := gorm.G[parent](db).Where("id < ?", 3).Find(db.Statement.Context)
		return same(len(p), 2, err)
	}},
	{"generic Count", func(db *gorm.DB) error {
		n, err := gorm.G[parent](db).Count(db.Statement.Context, "id")
		return same(n, 3, err)
	}},
	{"generic Scan", func(db *gorm.DB) error { // it is a Find
		var names []string
		err := gorm.G[parent](db).Select("name").Scan(db.Statement.Context, &names)
		return same(len(names), 3, err)
	}},
}

// writes work in a mutation, and are refused in a query.
var writes = []finisher{
	{"Create", func(db *gorm.DB) error { return rows(db.Create(&parent{ID: 10}), 1) }},
	{"Create of several", func(db *gorm.DB) error { return rows(db.Create(&[]parent{{ID: 10}, {ID: 11}}), 2) }},
	{"Create from a map", func(db *gorm.DB) error {
		return rows(db.Model(&parent{}).Create(map[string]any{"id": 10, "name": "d"}), 1)
	}},
	{"Create with an association", func(db *gorm.DB) error {
		if err := db.Create(&parent{ID: 10, Children: []child{{ID: 10}, {ID: 11}}}).Error; err != nil {
			return err
		}
		return rows(db.Find(&[]child{}, "parent_id = ?", 10), 2)
	}},
	{"Create on conflict", func(db *gorm.DB) error {
		if err := db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&parent{ID: 1, Name: "new"}).Error; err != nil {
			return err
		}
		return rows(db.Find(&[]parent{}, "name = ?", "new"), 1)
	}},
	{"CreateInBatches", func(db *gorm.DB) error {
		return rows(db.CreateInBatches(&[]parent{{ID: 10}, {ID: 11}, {ID: 12}}, 2), 3)
	}},
	{"Save of a new one", func(db *gorm.DB) error { return rows(db.Save(&parent{ID: 10}), 1) }},
	{"Save", func(db *gorm.DB) error { return rows(db.Save(&parent{ID: 1, Name: "new"}), 1) }},
	{"FirstOrCreate", func(db *gorm.DB) error { return rows(db.Where(parent{ID: 10}).FirstOrCreate(&parent{}), 1) }},
	{"Update", func(db *gorm.DB) error { return rows(db.Model(&parent{}).Where("id < ?", 3).Update("name", "new"), 2) }},
	{"Updates", func(db *gorm.DB) error { return rows(db.Model(&parent{ID: 1}).Updates(parent{Name: "new"}), 1) }},
	{"UpdateColumn", func(db *gorm.DB) error { return rows(db.Model(&parent{ID: 1}).UpdateColumn("name", "new"), 1) }},
	{"UpdateColumns", func(db *gorm.DB) error {
		return rows(db.Model(&parent{ID: 1}).UpdateColumns(map[string]any{"name": "new"}), 1)
	}},
	{"Delete", func(db *gorm.DB) error { return rows(db.Delete(&parent{}, 3), 1) }},
	{"Exec", func(db *gorm.DB) error { return rows(db.Exec("UPDATE parents SET name = ? WHERE id = ?", "new", 1), 1) }},
	{"Association.Append", func(db *gorm.DB) error {
		if err := db.Model(&parent{ID: 1}).Association("Children").Append(&child{ID: 10}); err != nil {
			return err
		}
		return rows(db.Find(&[]child{}, "parent_id = ?", 1), 3)
	}},
	{"Association.Replace", func(db *gorm.DB) error {
		if err := db.Model(&parent{ID: 1}).Association("Children").Replace(&child{ID: 10}); err != nil {
			return err
		}
		return rows(db.Find(&[]child{}, "parent_id = ?", 1), 1)
	}},
	{"Association.Clear", func(db *gorm.DB) error {
		if err := db.Model(&parent{ID: 1}).Association("Children").Clear(); err != nil {
			return err
		}
		return rows(db.Find(&[]child{}, "parent_id = ?", 1), 0)
	}},
	{"generic Create", func(db *gorm.DB) error { return gorm.G[parent](db).Create(db.Statement.Context, &parent{ID: 10}) }},
	{"generic Update", func(db *gorm.DB) error {
		n, err := gorm.G[parent](db).Where("id = ?", 1).Update(db.Statement.Context, "name", "new")
		return same(n, 1, err)
	}},
	{"generic Delete", func(db *gorm.DB) error {
		n, err := gorm.G[parent](db).Where("id = ?", 1).Delete(db.Statement.Context)
		return same(n, 1, err)
	}},
}

// openResults leave a result open, at least for a moment.
var openResults = []finisher{
	{"Row", func(db *gorm.DB) error {
		var n int
		return db.Table("parents").Select("id").Where("id = 1").Row().Scan(&n)
	}},
	{"Row of nothing that can be queried", func(db *gorm.DB) error { var n int; return db.Model(&parent{}).Row().Scan(&n) }},
	{"Row.Err", func(db *gorm.DB) error { return db.Table("parents").Row().Err() }},
	{"Raw and Row", func(db *gorm.DB) error { var n int; return db.Raw("SELECT 1").Row().Scan(&n) }},
	{"Rows", func(db *gorm.DB) error { return closed(db.Model(&parent{}).Rows()) }},
	{"Raw and Rows", func(db *gorm.DB) error { return closed(db.Raw("SELECT 1").Rows()) }},
	{"Scan", func(db *gorm.DB) error { return db.Model(&parent{}).Scan(&[]parent{}).Error }},
	{"Raw and Scan", func(db *gorm.DB) error { var n int; return db.Raw("SELECT 1").Scan(&n).Error }},
	{"generic Rows", func(db *gorm.DB) error { return closed(gorm.G[parent](db).Select("*").Rows(db.Statement.Context)) }},
}

// closed reads and closes rows.
func closed(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	rows.Next()
	return rows.Err()
}

// transactions are the session's business.
var transactions = []finisher{
	{"Begin", func(db *gorm.DB) error { return db.Begin().Error }},
	{"Begin with options", func(db *gorm.DB) error { return db.Begin(&sql.TxOptions{ReadOnly: true}).Error }},
	{"Find after Begin", func(db *gorm.DB) error { tx := db.Begin(); defer tx.Rollback(); return tx.Find(&[]parent{}).Error }},
	{"Row after Begin", func(db *gorm.DB) error { var n int; return db.Begin().Raw("SELECT 1").Row().Scan(&n) }},
}

// prepared take past the session's slot what they send.
var prepared = []finisher{
	{"PrepareStmt, Find", func(db *gorm.DB) error { return preparing(db).Find(&[]parent{}).Error }},
	{"PrepareStmt, Create", func(db *gorm.DB) error { return preparing(db).Create(&parent{ID: 10}).Error }},
	{"PrepareStmt, Exec", func(db *gorm.DB) error { return preparing(db).Exec("DELETE FROM children").Error }},
	{"PrepareStmt, Row", func(db *gorm.DB) error { var n int; return preparing(db).Raw("SELECT 1").Row().Scan(&n) }},
	{"PrepareStmt, Rows", func(db *gorm.DB) error { return closed(preparing(db).Raw("SELECT 1").Rows()) }},
	{"PrepareStmt, Scan", func(db *gorm.DB) error { var n int; return preparing(db).Raw("SELECT 1").Scan(&n).Error }},
	{"ConnPool.PrepareContext", func(db *gorm.DB) error {
		_, err := db.Statement.ConnPool.PrepareContext(context.Background(), "SELECT 1")
		return err
	}},
	{"PrepareStmt, another context", func(db *gorm.DB) error {
		return preparing(db).WithContext(context.Background()).Find(&[]parent{}).Error
	}},
}

func preparing(db *gorm.DB) *gorm.DB {
	db = db.Session(&gorm.Session{})
	const never = 10 * 365 * 24 * time.Hour
	db.PrepareStmtTTL = never // with any other, GORM starts a goroutine that does not end
	return db.Session(&gorm.Session{PrepareStmt: true})
}

// connections go to the pool itself.
var connections = []finisher{
	{"DB", func(db *gorm.DB) error { _, err := db.DB(); return err }},
	{"Connection", func(db *gorm.DB) error {
		return db.Connection(func(tx *gorm.DB) error { return tx.Find(&[]parent{}).Error })
	}},
	{"a plugin's pool", func(db *gorm.DB) error {
		tx := db.Where("id = 1")
		tx.Statement.ConnPool = &sql.DB{} // as dbresolver does
		return tx.Find(&[]parent{}).Error
	}},
}

// raw go past GORM.
var raw = []finisher{
	{"ConnPool.ExecContext", func(db *gorm.DB) error {
		_, err := db.Statement.ConnPool.ExecContext(context.Background(), "DELETE FROM children")
		return err
	}},
	{"ConnPool.QueryContext", func(db *gorm.DB) error {
		return closed(db.Statement.ConnPool.QueryContext(context.Background(), "SELECT 1"))
	}},
	{"ConnPool.QueryRowContext", func(db *gorm.DB) error {
		var n int
		return db.Statement.ConnPool.QueryRowContext(context.Background(), "SELECT 1").Scan(&n)
	}},
}

// migrations: some of Migrator's answers can't tell of an error. What changes the schema does.
var migrations = []finisher{
	{"AutoMigrate", func(db *gorm.DB) error { return db.AutoMigrate(&parent{}) }},
	{"Migrator.CreateTable", func(db *gorm.DB) error { return db.Migrator().CreateTable(&struct{ ID int }{}) }},
	{"Migrator.ColumnTypes", func(db *gorm.DB) error { _, err := db.Migrator().ColumnTypes(&parent{}); return err }},
}

// attempt runs a finisher in an operation of its own that is not committed, on what within makes of the context.
func (b *Bank) attempt(kind string, f finisher, within func(ctx context.Context, call func(*gorm.DB) error) error) (result error) {
	b.tb.Helper()
	errUndo := errors.New("undo")
	called := false
	b.Step("try", func(ctx context.Context) (int, error) {
		called = true
		result = within(ctx, f.call)
		return 0, errUndo
	})
	if a := b.Send(kind + ` { run(step: "try") { value } }`); !called || len(a.Errors) != 1 || a.Errors[0].Message != errUndo.Error() {
		b.tb.Errorf("%s: %s: got %s", kind, f.name, a.Raw)
	}
	return result
}

func finishers(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.family()
	shared := func(ctx context.Context, call func(*gorm.DB) error) error { return call(session.DB(ctx)) }
	for _, kind := range kinds {
		write := session.ErrReadOnly
		if kind == "mutation" {
			write = nil
		}
		for _, group := range []struct {
			finishers []finisher
			want      error
		}{
			{reads, nil},
			{writes, write},
			{openResults, session.ErrRows},
			{transactions, session.ErrTransaction},
			{[]finisher{{"Transaction", func(db *gorm.DB) error { return db.Transaction(func(*gorm.DB) error { return nil }) }}}, session.ErrTransaction},
			{prepared, session.ErrPrepareStmt},
			{connections, session.ErrConnection},
			{raw, session.ErrConnection},
			{[]finisher{
				{"Commit", func(db *gorm.DB) error { return db.Commit().Error }},
				{"Rollback", func(db *gorm.DB) error { return db.Rollback().Error }},
				{"Commit after Begin", func(db *gorm.DB) error { return db.Begin().Commit().Error }},
			}, gorm.ErrInvalidTransaction},
		} {
			for _, f := range group.finishers {
				if err := b.attempt(kind, f, shared); !errors.Is(err, group.want) {
					t.Errorf("%s: %s: want %v, got %v", kind, f.name, group.want, err)
				}
			}
		}
		for _, f := range migrations {
			if err := b.attempt(kind, f, shared); err == nil {
				t.Errorf("%s: %s: want an error", kind, f.name)
			}
		}
	}
	b.WantIdle()
	var p []parent
	if err := b.DB.Preload("Children").Find(&p).Error; err != nil || len(p) != 3 || len(p[0].Children) != 2 || p[0].Name != "a" {
		t.Errorf("the finishers that were taken back have left %v, %v", p, err)
	}
}

func finishersInDo(t *testing.T, backend Backend) {
	b := NewBank(t, backend, Setup{})
	b.family()
	transaction := []finisher{{"Transaction", func(db *gorm.DB) error {
		return db.Transaction(func(tx *gorm.DB) error { return rows(tx.Delete(&parent{}, 3), 1) })
	}}}
	for _, kind := range kinds {
		write := session.ErrReadOnly
		if kind == "mutation" {
			write = nil
		}
		for _, group := range []struct {
			finishers []finisher
			want      error
		}{
			{reads, nil},
			{openResults[:1], nil},
			{openResults[2:], nil},
			{writes, write},
			{transaction, write},
			{transactions, session.ErrTransaction},
			{prepared, session.ErrPrepareStmt},
			{connections, session.ErrConnection},
			{raw, session.ErrConnection},
			{[]finisher{
				{"Commit", func(db *gorm.DB) error { return db.Commit().Error }},
				{"Rollback", func(db *gorm.DB) error { return db.Rollback().Error }},
				{"COMMIT", func(db *gorm.DB) error { return db.Exec("COMMIT").Error }},
				{"ROLLBACK", func(db *gorm.DB) error { return db.Exec("ROLLBACK").Error }},
			}, session.ErrTransaction},
		} {
			for _, f := range group.finishers {
				if err := b.attempt(kind, f, session.Do); !errors.Is(err, group.want) {
					t.Errorf("%s: %s in Do: want %v, got %v", kind, f.name, group.want, err)
				}
			}
		}
	}
	b.WantIdle()
}
