package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"rollcall/database"
)

// backupCommand is what the command backup takes.
type backupCommand struct {
	File string `arg:"" help:"The file to write, which must not be there yet."`
}

// backup copies the directory's file, also while servers write to it. Whatever version its schema has: one backs up before one migrates.
func (s *service) backup(ctx context.Context) error {
	file := s.Backup.File
	err := s.db.Backup(ctx, file)
	switch failed, reserved := new(os.PathError), new(database.ReservedError); {
	case errors.As(err, &reserved):
		return fmt.Errorf("backup: %w", err)
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("backup: %s is there already: give another name", file)
	case errors.As(err, &failed):
		return fmt.Errorf("backup: %s: %w", file, failed.Err)
	case err != nil:
		return fmt.Errorf("backup: of %s: %w", redacted(s.Database), err)
	}
	_, err = fmt.Fprintf(s.out, "The backup is %s.\n", file)
	return err
}
