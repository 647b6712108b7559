package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"rollcall/dialect"
)

// Backup copies a SQLite database, as it is at one moment, to a file that is there once it is whole and on the disk. Others may write meanwhile.
// A file that is there already is not touched: then the error is os.ErrExist. What its owner alone may read stays so.
// Other databases have tools of their own, which the error names.
func (d *Database) Backup(ctx context.Context, file string) (err error) {
	switch d.Dialect() {
	case dialect.MySQL:
		return errors.New("this is for SQLite: back up MariaDB with mariadb-dump --single-transaction, and MySQL with mysqldump --single-transaction")
	case dialect.PostgreSQL:
		return errors.New("this is for SQLite: back up PostgreSQL with pg_dump --format=custom")
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return &os.PathError{Op: "backup", Path: file, Err: os.ErrExist}
	}
	if err := reservedName(file); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, temp.Close(), os.Remove(temp.Name()))
		_ = os.Remove(temp.Name() + "-journal") // which a failure leaves
	}()
	// It reads in one transaction, which holds up no writer, and leaves out free pages. It does not wait for the disk.
	if _, err := d.Side.ExecContext(ctx, "VACUUM INTO ?", temp.Name()); err != nil {
		return fmt.Errorf("the database cannot be copied: %w", err)
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), file); err != nil { // which, unlike a new name, puts it in nobody's place
		return fmt.Errorf("the copy cannot be given its name, for which the file system has to have hard links: make it on a local disk: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}

// ReservedError is about a file that is SQLite's own, or would be taken for that.
type ReservedError struct{ File, Database string }

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s is what SQLite keeps for %s, or would be taken for that: give another name", e.File, e.Database)
}

// besideSQLite are what the names of files end with that are beside a database's.
var besideSQLite = []string{"-journal", "-wal", "-shm", lockSuffix}

// Reserved returns a *ReservedError if a file must not be written, since it is the database's own, or one that SQLite has or makes beside that.
func (d *Database) Reserved(file string) error {
	if d.files == nil {
		return nil
	}
	own := []string{d.files.path}
	if target, err := filepath.EvalSymlinks(d.files.path); err == nil {
		own = append(own, target) // beside which SQLite's are
	}
	for _, path := range own {
		for _, suffix := range append([]string{""}, besideSQLite...) {
			if sameFile(path+suffix, file) {
				return &ReservedError{file, path}
			}
		}
	}
	return nil
}

// sameFile reports whether two names are of one file, or will be once there is one.
func sameFile(a, b string) bool {
	same := func(a, b string) bool {
		one, err := os.Stat(a)
		other, otherErr := os.Stat(b)
		return err == nil && otherErr == nil && os.SameFile(one, other)
	}
	return same(a, b) || filepath.Base(a) == filepath.Base(b) && same(filepath.Dir(a), filepath.Dir(b))
}

// reservedName returns a *ReservedError if a new file cannot be a database: for its name, or for what is there that would be taken for a part of it.
func reservedName(file string) error {
	for _, suffix := range besideSQLite {
		if database, is := strings.CutSuffix(file, suffix); is {
			return &ReservedError{file, database}
		}
		if _, err := os.Lstat(file + suffix); err == nil {
			return &ReservedError{file + suffix, file}
		}
	}
	return nil
}

// syncFolder has a folder's names on the disk. Windows does so by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
