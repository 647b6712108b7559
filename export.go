package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rollcall/directory"
	"rollcall/session"
	"rollcall/transfer"
)

// exportCommand is the flags of the export.
type exportCommand struct {
	File     string  `arg:"" optional:"" default:"-" help:"The file: .jsonl, or .csv or .tsv for one --kind, with .gz or .zst behind it to compress it; - is standard output, the default."`
	Kind     string  `placeholder:"KIND" env:"-" help:"Only users, teams or memberships. Default: all."`
	Snapshot bool    `env:"-" help:"All of it as of one moment, in one transaction; else each page is."`
	User     *string `placeholder:"ID" env:"-" help:"Instead, everything that is held about one user, as JSON: an id such as User:5, also of one who was deleted, or an email address."`
}

// export writes the directory to a file, or what is held about one user.
func (s *service) export(ctx context.Context) error {
	if err := s.db.CheckSchema(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	pools, err := s.installed(0)
	if err != nil {
		return err
	}
	switch c := s.Export; {
	case c.User != nil && (c.File != "-" || c.Kind != "" || c.Snapshot):
		err = errors.New("--user is alone: it prints what is held about one user")
	case c.User != nil:
		err = s.exportUser(ctx, pools)
	default:
		err = s.exportFile(ctx, pools)
	}
	if err != nil {
		return fmt.Errorf("export: from %s: %w", redacted(s.Database), err)
	}
	return nil
}

// exportUser prints what is held about one user, as of one moment.
func (s *service) exportUser(ctx context.Context, pools session.Pools) error {
	var held *directory.UserExport
	err := session.Run(ctx, pools, session.Snapshot, "(exports a user)", func(ctx context.Context) (err error) {
		held, err = directory.New(directory.Config{}).ExportUser(ctx, *s.Export.User)
		return err
	})
	if err != nil {
		return err
	}
	out := json.NewEncoder(s.out)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(held)
}

// exportFile writes all records to a file, which is there once it is whole.
func (s *service) exportFile(ctx context.Context, pools session.Pools) (err error) {
	c := s.Export
	ex := &transfer.Export{Directory: directory.New(directory.Config{}), Pools: pools, Snapshot: c.Snapshot}
	var kind transfer.Kind
	if c.Kind != "" {
		if kind, err = transfer.ParseKind(c.Kind); err != nil {
			return fmt.Errorf("--kind: %w", err)
		}
		ex.Kinds = []transfer.Kind{kind}
	}
	if c.File == "-" {
		_, err := s.write(ctx, ex, s.out, c.File, kind)
		return err
	}
	path, special, err := target(c.File)
	if err != nil {
		return err
	}
	if err := s.db.Reserved(path); err != nil {
		return err
	}
	if special {
		return s.exportOnto(ctx, ex, path, kind)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if failed := new(os.PathError); errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", c.File, failed.Err)
	} else if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // of no effect once it has its name
	shown := s.newMeter(-1)
	ex.Report = shown.records
	n, err := s.write(ctx, ex, file, c.File, kind)
	shown.end()
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%d records are in %s.\n", n, c.File)
	return err
}

// target returns where a file is to be, which a link may lead to, and whether something special is there, such as a pipe.
func target(name string) (path string, special bool, err error) {
	path, err = filepath.EvalSymlinks(name)
	if errors.Is(err, os.ErrNotExist) {
		return name, false, nil
	}
	if err != nil {
		return "", false, err
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	return path, err == nil && !info.Mode().IsRegular(), err
}

// exportOnto writes to what is there and stays, such as a pipe.
func (s *service) exportOnto(ctx context.Context, ex *transfer.Export, path string, kind transfer.Kind) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = s.write(ctx, ex, file, s.Export.File, kind)
	return errors.Join(err, file.Close())
}

func (s *service) write(ctx context.Context, ex *transfer.Export, to io.Writer, name string, kind transfer.Kind) (n int64, err error) {
	writer, err := transfer.NewWriter(to, name, kind)
	if err != nil {
		return 0, err
	}
	if n, err = ex.Run(ctx, writer); err != nil {
		return n, err
	}
	return n, writer.Close()
}
