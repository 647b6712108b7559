package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rollcall/directory"
	"rollcall/transfer"
)

// importCommand is the flags of the import.
type importCommand struct {
	File              string   `arg:"" help:"The file: .csv, .tsv or .jsonl, which may be compressed with gzip or zstd; - is standard input."`
	Kind              string   `placeholder:"KIND" env:"-" help:"What the rows of a CSV file are: users, teams or memberships. Default: users."`
	Map               []string `sep:"none" placeholder:"COLUMN=FIELD" env:"-" help:"Which field a column of a CSV file is, where they have different names; again for each. First+Last=name joins two, COLUMN= leaves one out."`
	Delimiter         string   `placeholder:"CHARACTER" env:"-" help:"What is between the cells of a CSV file, such as ; or tab. Default: what its first row has."`
	Encoding          string   `placeholder:"NAME" env:"-" enum:"utf-8,latin-1,windows-1252,utf-16,auto" default:"auto" help:"What the file is in: utf-8, latin-1, windows-1252 or utf-16. Default: utf-8."`
	Mode              string   `placeholder:"MODE" env:"-" enum:"create,upsert" default:"create" help:"What is there already is refused (create) or changed (upsert). Default: ${default}."`
	Match             string   `placeholder:"KEY" env:"-" enum:"email,external-id" default:"email" help:"What users are found by who are there already: email or external-id. Default: ${default}."`
	OnError           string   `name:"on-error" placeholder:"WHAT" env:"-" enum:"stop,skip" default:"stop" help:"Whether a bad line ends the import (stop), or is told in --errors (skip). Default: ${default}."`
	Errors            string   `placeholder:"FILE" env:"-" help:"Where bad lines are told, as CSV. Default: the file's name and .errors.csv."`
	DeactivateMissing bool     `env:"-" help:"With --mode=upsert: deactivate the users whom the file does not have, unless these are more than 1 of 20."`
	Activate          bool     `env:"-" help:"With --mode=upsert: activate the users whom the file has, unless it says another status."`
	Force             bool     `env:"-" help:"However many these are."`
	DryRun            bool     `env:"-" help:"Say what would be done, and store nothing."`
	Name              string   `placeholder:"NAME" env:"-" help:"By which an import that was cut short is found again. Default: the file's path; standard input has none."`
	Restart           bool     `env:"-" help:"Begin anew, even if an import of the name was cut short."`
}

// options are those of an import with these flags.
func (c importCommand) options() (source transfer.SourceOptions, o transfer.Options, err error) {
	source = transfer.SourceOptions{Name: c.File, Map: c.Map, Encoding: c.Encoding, Delimiter: c.Delimiter}
	if c.Kind != "" {
		if source.Kind, err = transfer.ParseKind(c.Kind); err != nil {
			return source, o, fmt.Errorf("--kind: %w", err)
		}
	}
	if c.Mode != "upsert" && (c.DeactivateMissing || c.Activate) {
		return source, o, errors.New("--deactivate-missing and --activate are about users who are there already: they need --mode=upsert")
	}
	o = transfer.Options{
		Upsert: c.Mode == "upsert", ByExternalID: c.Match == "external-id", DeactivateMissing: c.DeactivateMissing, Activate: c.Activate, Force: c.Force,
		DryRun: c.DryRun, Restart: c.Restart,
		Reading: fmt.Sprintf("%q", []any{source.Kind, c.Map, c.Encoding, c.Delimiter, c.OnError}),
	}
	switch o.Name = c.Name; {
	case o.Name != "":
	case c.File == "-":
		o.Name, o.Once = "standard input "+rand.Text()[:8], true
	default:
		if o.Name, err = filepath.Abs(c.File); err != nil {
			return source, o, err
		}
	}
	const maxName = 200
	if len(o.Name) > maxName {
		return source, o, fmt.Errorf("--name must have at most %d bytes: give the import one, if the file's path is longer", maxName)
	}
	return source, o, nil
}

// importFile imports a file, or goes on with an import of it that was cut short.
func (s *service) importFile(ctx context.Context) (err error) {
	c := s.Import
	sourceOptions, options, err := c.options()
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if _, err := s.current(ctx, s.DoMigrate); err != nil {
		return err
	}
	file, size := io.Reader(os.Stdin), int64(-1)
	if c.File != "-" {
		opened, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer func() { _ = opened.Close() }()
		if info, err := opened.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		file = opened
	}
	shown := s.newMeter(size)
	source, err := transfer.NewSource(io.TeeReader(file, shown), sourceOptions)
	if err != nil {
		return fmt.Errorf("import: %s: %w", c.File, err)
	}
	defer source.Close()
	pools, err := s.proven(0)
	if err != nil {
		return err
	}
	s.changes.Actor = func(context.Context) string { return "import:" + options.Name }
	im := &transfer.Import{
		Directory: directory.New(directory.Config{Log: s.changes}), Pools: pools, Source: source, Options: options, Report: shown.report,
	}
	place := cmp.Or(c.Errors, c.File+".errors.csv")
	if place == "-.errors.csv" {
		place = "import.errors.csv"
	}
	if c.OnError == "skip" {
		if isFile(place, file) {
			return fmt.Errorf("--errors: %s is the file that is imported: give another one", place)
		}
		if err := s.db.Reserved(place); err != nil {
			return fmt.Errorf("--errors: %w", err)
		}
		if im.Refusals, err = transfer.OpenRefusals(place); err != nil {
			return fmt.Errorf("--errors: %w", err)
		}
	}
	p, err := im.Run(ctx)
	if im.Refusals != nil {
		err = errors.Join(err, im.Refusals.Close(p.Refused > 0 || err != nil))
	}
	shown.end()
	_ = s.changes.Settle(context.WithoutCancel(ctx))
	if p.Lines > 0 || err == nil {
		s.sumUp(p, place)
	}
	return s.explain(err, p, options)
}

// isFile reports whether a path is that of an open file.
func isFile(path string, file io.Reader) bool {
	opened, ok := file.(*os.File)
	if !ok {
		return false
	}
	one, err := opened.Stat()
	other, errOther := os.Stat(path)
	return err == nil && errOther == nil && os.SameFile(one, other)
}

// sumUp prints what an import has done.
func (s *service) sumUp(p transfer.Progress, place string) {
	words := "created %d, updated %d, unchanged %d, refused %d"
	if s.Import.DryRun {
		words = "would be created %d, updated %d, unchanged %d, refused %d"
	}
	text := fmt.Sprintf("Up to line %d: "+words, p.Lines, p.Created, p.Updated, p.Unchanged, p.Refused)
	if s.Import.DeactivateMissing {
		text += fmt.Sprintf(", deactivated %d", p.Deactivated)
		if p.Inactive > 0 {
			text += fmt.Sprintf("; %d of the file are deactivated and stay so without --activate", p.Inactive)
		}
	}
	if p.Refused > 0 && s.Import.OnError == "skip" {
		text += "; why is in " + place
	}
	_, _ = fmt.Fprintln(s.out, text+".")
}

// explain says what to do after an import's error.
func (s *service) explain(err error, p transfer.Progress, options transfer.Options) error {
	var stopped *transfer.StoppedError
	var missing *transfer.MissingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stopped):
		_, _ = fmt.Fprintln(s.err, stopped)
		if options.DryRun && !stopped.AtEnd {
			return errors.New("import: these lines would be refused, and what comes after them was not looked at")
		}
		again := "run the same command again"
		switch {
		case options.DryRun:
			return errors.New("import: these lines would be refused at the end, for what they refer to")
		case options.Once:
			again = "import it again with --mode=upsert, since it has no --name to go on with"
		case p.Lines > 0:
			again += ", which goes on from there"
		}
		switch {
		case stopped.AtEnd:
			return errors.New("import: all lines are imported, but for what these refer to: add that to the directory and run the same command again, " +
				"or mend the file and run it with --restart --mode=upsert; with --on-error=skip besides it is left out")
		case !options.Upsert && stopped.AllThere():
			return fmt.Errorf("import: %s: what the lines above say is there already: --mode=upsert changes it, if that is wanted; else mend them and %s", kept(p), again)
		}
		return fmt.Errorf("import: %s: mend the lines above and %s", kept(p), again)
	case errors.As(err, &missing):
		return fmt.Errorf("import: all lines are imported, but %w; the same command with --force does it all the same", missing)
	case errors.Is(err, context.Canceled):
		again := "run the same command again, which goes on from there"
		if options.Once {
			again = "it cannot be gone on with, for it has no --name"
		}
		return fmt.Errorf("import: %s: %s", kept(p), again)
	}
	return fmt.Errorf("import: %w", err)
}

// kept says how far an import has come that has ended early.
func kept(p transfer.Progress) string {
	if p.Lines == 0 {
		return "nothing is stored"
	}
	return fmt.Sprintf("the lines up to %d are stored", p.Lines)
}
