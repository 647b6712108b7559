package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

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
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close(), os.Remove(temp.Name())) }()
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
