package session_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/session"
	"rollcall/sqlite"
)

// In one gorm.Config GORM keeps one pool's plugins: the sessions of either pool would run on the other one's connections.
func TestPoolsWithOneConfigurationAreRefused(t *testing.T) {
	shared := &gorm.Config{SkipDefaultTransaction: true}
	open := func(config *gorm.Config) *gorm.DB {
		pool := sql.OpenDB(sqlite.Connector{Path: filepath.Join(t.TempDir(), "x.db")})
		t.Cleanup(func() { _ = pool.Close() })
		db, err := gorm.Open(sqlite.Dialector{Pool: pool}, config)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	err := session.Pools{Write: open(shared), Read: open(shared)}.Install()
	if err == nil || !strings.Contains(err.Error(), "a Config of its own") {
		t.Errorf("got %v", err)
	}
	own := session.Pools{Write: open(&gorm.Config{SkipDefaultTransaction: true}), Read: open(&gorm.Config{SkipDefaultTransaction: true})}
	for range 2 { // it may be called again
		if err := own.Install(); err != nil {
			t.Error(err)
		}
	}
}
