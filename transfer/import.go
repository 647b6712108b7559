package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/directory"
	"rollcall/model"
	"rollcall/session"
)

// Import brings the records of a source into a directory, in chunks of a transaction each. The transaction also stores how far the import is:
// so after a crash at any moment it goes on behind the last chunk, and no record is stored twice.
//
//	read ──▶ chunk: users, teams, memberships ──▶ … end of the file ──▶ what has waited for others ──▶ who is missing ──▶ done
//
// A file is read once and forward. What a record refers to may come later in it: then that waits in the database until the end.
type Import struct {
	Directory *directory.Directory
	Pools     session.Pools // installed
	Source    *Source
	Refusals  *Refusals // where bad records are told; nil: the first chunk that has one ends the import
	Options   Options
	Report    func(Progress) // is told after each chunk; nil: nobody is
}

// Options are what an import is begun with. One that is resumed has to have the same.
type Options struct {
	Name              string `json:"-"`            // by which it is found again; up to 200 bytes
	Upsert            bool   `json:"upsert"`       // what is there already is changed; else it is refused
	ByExternalID      bool   `json:"byExternalId"` // is how users are found who are there already; else by their email addresses
	DeactivateMissing bool   `json:"deactivateMissing"`
	Activate          bool   `json:"activate"` // users whose status the file does not say are active
	Reading           string `json:"reading"`  // how the file is read, as a text
	Force             bool   `json:"-"`        // deactivates however many there are
	DryRun            bool   `json:"-"`
	Restart           bool   `json:"-"` // forgets how far an earlier one was
	Once              bool   `json:"-"` // it is not gone on with when it has ended early
}

// match is what users are found by.
func (o Options) match() model.UpsertKey {
	if o.ByExternalID {
		return model.ByExternalID
	}
	return model.ByEmail
}

// Progress is how far an import is.
type Progress struct {
	Lines, Bytes                         int64 // that were read
	Created, Updated, Unchanged, Refused int64 // records
	Unreadable                           int64 // of those refused
	Deactivated                          int64 // users
	Inactive                             int64 // users of the file who are deactivated, and stay so; counted by DeactivateMissing
	Resumed                              bool  // an earlier run has begun it
}

// Refusal is why a record was refused.
type Refusal struct {
	Line  int64
	Error *apierror.Error
}

// text is the refusal in a line, with the columns that fields have.
func (r Refusal) text(columns map[string]string) string {
	switch column := columns[r.Error.Field]; {
	case r.Error.Field == "":
		return fmt.Sprintf("line %d: %s", r.Line, r.Error.Message)
	case column != "" && column != r.Error.Field:
		return fmt.Sprintf("line %d, column %s, %s: %s", r.Line, column, r.Error.Field, r.Error.Message)
	}
	return fmt.Sprintf("line %d, %s: %s", r.Line, r.Error.Field, r.Error.Message)
}

// StoppedError says that a chunk has bad records, and that nothing of it is stored.
type StoppedError struct {
	Refusals []Refusal
	AtEnd    bool              // they refer to what is not in the file
	Columns  map[string]string // of a table, by the fields' names
}

// AllThere reports whether all that is wrong with the records is that there are such objects already.
func (e *StoppedError) AllThere() bool {
	return !slices.ContainsFunc(e.Refusals, func(r Refusal) bool { return r.Error.Code != apierror.CodeConflict })
}

func (e *StoppedError) Error() string {
	const shown = 20
	lines := make([]string, 0, shown+2)
	for _, r := range e.Refusals[:min(shown, len(e.Refusals))] {
		lines = append(lines, r.text(e.Columns))
	}
	if more := len(e.Refusals) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// maxMissing is how many of the active users may be missing: one in so many.
const maxMissing = 20

// MissingError says that so many users are missing in the file that nobody is deactivated.
type MissingError struct {
	presence
	Unreadable int64 // lines, where these are why
}

// presence is how many users there are and are not in a file.
type presence struct {
	Missing  int64 // are active, and not in the file
	Active   int64 // in the file or not
	Inactive int64 // are in the file
}

func (e *MissingError) Error() string {
	if e.Unreadable > 0 {
		return fmt.Sprintf("nobody was deactivated: of %d bad lines it cannot be told whom they are about, and these would seem to be missing", e.Unreadable)
	}
	return fmt.Sprintf("nobody was deactivated: %d of %d active users are not in the file, which is more than one in %d", e.Missing, e.Active, maxMissing)
}

// Run imports what is left of the source. Among the errors are a *StoppedError and a *MissingError; with any error the chunks before it are
// stored, and the same import goes on behind them.
func (im *Import) Run(ctx context.Context) (Progress, error) {
	r := &run{Import: im, seen: newSeen()}
	if im.Options.DryRun {
		r.trial = newTrial(r.seen)
	}
	err := r.all(ctx)
	if err != nil && im.Options.Once {
		err = errors.Join(err, r.end(context.WithoutCancel(ctx)))
	}
	return r.Progress, err
}

// run is an import that runs.
type run struct {
	*Import
	Progress
	next  *Record // was read, and belongs to the next chunk
	until mark
	seen  *seen
	trial *trial // nil: it is no dry run
	claim int64  // by which the database knows this process

	analyzed int64 // how many records were created when the database was told to look at its tables
}

// mark is a place in a source.
type mark struct {
	line, offset int64
	digest       string
}

func (r *run) all(ctx context.Context) error {
	begin := r.begin
	if r.trial != nil {
		begin = r.beginTrial
	}
	if err := begin(ctx); err != nil {
		return err
	}
	for more := true; more; {
		var chunk []Record
		var err error
		if chunk, more, err = r.gather(); err != nil {
			return err
		}
		if err := r.storeChunk(ctx, chunk); err != nil {
			return err
		}
	}
	if err := r.storeWaiting(ctx); err != nil {
		return err
	}
	if r.Options.DeactivateMissing {
		err := r.deactivate(ctx)
		if missing := new(MissingError); err != nil && !errors.As(err, &missing) {
			return err
		} else if err != nil { // all else is done
			return errors.Join(err, r.end(ctx))
		}
	}
	return r.end(ctx)
}

// gather reads the records of a chunk: as many as one may have, and no two with the same key. So what becomes of a record does not depend on where
// chunks end, but for an address or an external id that one user of the file gives to another.
func (r *run) gather() (chunk []Record, more bool, err error) {
	keys := map[string]bool{}
	for len(chunk) < directory.MaxBulk {
		record := r.next
		if r.next = nil; record == nil {
			read, err := r.Source.Next()
			if errors.Is(err, io.EOF) {
				return chunk, false, nil
			}
			if err != nil {
				return nil, false, fmt.Errorf("line %d: %w", read.Line, err)
			}
			record = r.prepared(read)
		}
		own := record.keys()
		for _, key := range own {
			if keys[key.key] {
				r.next = record
				return chunk, true, nil
			}
		}
		for _, key := range own {
			keys[key.key] = true
		}
		chunk = append(chunk, *record)
		r.until = mark{record.Line, r.Source.Offset(), r.Source.Digest()}
	}
	return chunk, true, nil
}

// prepared is a record as it is to be stored.
func (r *run) prepared(record Record) *Record {
	if record.Wrong == nil {
		record = r.seen.add(record, r.Options.Upsert, r.Options.match())
	}
	for _, field := range []string{"status", "role"} { // whose values tables have in any case
		if value := text(record.Values, field); value != "" {
			record.Values[field] = strings.ToUpper(value)
		}
	}
	if r.Options.Activate && record.Kind == Users && record.Values["status"] == nil {
		record.Values["status"] = string(model.StatusActive)
	}
	return &record
}

// tell tells of the progress, and returns why the import is to end here.
func (r *run) tell(ctx context.Context) error {
	if r.Report != nil {
		r.Report(r.Progress)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// outcome is what one transaction of an import has done.
type outcome struct {
	Progress
	refusals []Refusal
	waiting  []waiting
	became   map[int64]directory.Imported // by line
}

// waiting is what is left of a record until the whole file is read.
type waiting struct {
	id     int64
	line   int64
	kind   Kind
	record input
}

// add adds what became of records.
func (o *outcome) add(records []Record, all []directory.Imported, by model.UpsertKey) {
	for i, one := range all {
		o.became[records[i].Line] = one
		switch one.Outcome {
		case directory.ImportRefused:
			o.refuse(records[i], one.Wrong, by)
		case directory.ImportCreated:
			o.Created++
		case directory.ImportUpdated:
			o.Updated++
		case directory.ImportUnchanged:
			o.Unchanged++
		}
		if one.Waits != nil {
			o.waiting = append(o.waiting, waiting{line: records[i].Line, kind: records[i].Kind, record: one.Waits})
		}
	}
}

func (o *outcome) refuse(record Record, wrong apierror.Errors, by model.UpsertKey) {
	o.Refused++
	if record.mayBeUser() && record.match(by) == "" {
		o.Unreadable++
	}
	for _, err := range wrong {
		o.refusals = append(o.refusals, Refusal{record.Line, err})
	}
}

// records stores some records within a session.
func (r *run) records(ctx context.Context, chunk []Record) (*outcome, error) {
	o := &outcome{became: map[int64]directory.Imported{}}
	byKind := map[Kind][]Record{}
	for _, record := range chunk {
		switch {
		case record.Wrong != nil:
			o.refuse(record, record.Wrong, r.Options.match())
		default:
			byKind[record.Kind] = append(byKind[record.Kind], record)
		}
	}
	options := directory.ImportOptions{Upsert: r.Options.Upsert, By: r.Options.match()}
	imports := map[Kind]func(context.Context, []input, directory.ImportOptions) ([]directory.Imported, error){
		Users: r.Directory.ImportUsers, Teams: r.Directory.ImportTeams, Memberships: r.Directory.ImportMemberships,
	}
	for _, kind := range kinds {
		records := byKind[kind]
		if len(records) == 0 {
			continue
		}
		inputs := make([]input, len(records))
		for i, record := range records {
			inputs[i] = record.Values
		}
		all, err := imports[kind](ctx, inputs, options)
		if err != nil {
			return nil, err
		}
		o.add(records, all, r.Options.match())
	}
	return o, nil
}

// storeChunk imports some records in one transaction.
func (r *run) storeChunk(ctx context.Context, chunk []Record) error {
	if len(chunk) == 0 {
		return nil
	}
	var o *outcome
	err := r.step(ctx, "import", func(ctx context.Context) (after Progress, err error) {
		if o, err = r.records(ctx, chunk); err != nil {
			return after, err
		}
		after = r.Progress.plus(o.Progress)
		after.Lines, after.Bytes = r.until.line, r.until.offset
		if err := r.refuse(o.refusals, false); err != nil || r.trial != nil {
			return after, err
		}
		if r.Options.DeactivateMissing {
			if err := r.noteUsers(ctx, chunk); err != nil {
				return after, err
			}
		}
		return after, r.keepWaiting(ctx, o.waiting)
	})
	if err != nil {
		return err
	}
	if r.trial != nil {
		r.trial.note(chunk, o)
	}
	r.analyze(ctx)
	return r.tell(ctx)
}

// step runs a part of the import in one transaction, with how far the import is then, which fn returns.
func (r *run) step(ctx context.Context, name string, fn func(ctx context.Context) (after Progress, err error)) error {
	var after Progress
	err := r.transaction(ctx, name, func(ctx context.Context) (err error) {
		if r.trial != nil {
			after, err = fn(ctx)
			return err
		}
		if err = r.lock(ctx); err != nil {
			return err
		}
		if after, err = fn(ctx); err != nil {
			return err
		}
		return r.save(ctx, after)
	})
	if err != nil {
		return err
	}
	r.Progress = after
	r.Refusals.advance()
	return nil
}

// analyze has the database look at its tables anew whenever they have twice as many records as before. That it does not is no failure.
func (r *run) analyze(ctx context.Context) {
	if r.trial != nil || r.Created < 2*r.analyzed || r.Created < directory.MaxBulk {
		return
	}
	r.analyzed = r.Created
	for _, table := range []string{"users", "teams", "memberships", "user_words"} {
		if due := dialect.OfDB(r.Pools.Write).Analyze(table); due != "" && r.Pools.Side != nil {
			_, _ = r.Pools.Side.ExecContext(ctx, due)
		}
	}
}

// plus is the progress with what a transaction has done.
func (p Progress) plus(o Progress) Progress {
	p.Created += o.Created
	p.Updated += o.Updated
	p.Unchanged += o.Unchanged
	p.Refused += o.Refused
	p.Unreadable += o.Unreadable
	p.Deactivated += o.Deactivated
	return p
}

// refuse tells of the bad records of a transaction: where there is no place for them, it takes it back.
func (r *run) refuse(refusals []Refusal, atEnd bool) error {
	switch {
	case len(refusals) == 0:
		return nil
	case r.Refusals == nil:
		slices.SortStableFunc(refusals, func(a, b Refusal) int { return cmp.Compare(a.Line, b.Line) })
		return &StoppedError{refusals, atEnd, r.Source.columns}
	}
	return r.Refusals.write(refusals)
}

// storeWaiting imports what has waited for other records, in transactions of its own.
func (r *run) storeWaiting(ctx context.Context) error {
	if r.trial != nil {
		o := r.trial.unresolved()
		r.Progress = r.Progress.plus(o.Progress)
		err := r.refuse(o.refusals, true)
		r.Refusals.advance()
		return err
	}
	for _, kind := range kinds {
		if err := r.storeWaitingOf(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) storeWaitingOf(ctx context.Context, kind Kind) error {
	for {
		some, err := r.waitingOf(ctx, kind)
		if err != nil || len(some) == 0 {
			return err
		}
		err = r.step(ctx, "import what waits", func(ctx context.Context) (after Progress, err error) {
			o, err := r.late(ctx, kind, some)
			if err != nil {
				return after, err
			}
			if err := r.refuse(o.refusals, true); err != nil {
				return after, err
			}
			return r.Progress.plus(o.Progress), r.dropWaiting(ctx, some)
		})
		if err == nil {
			err = r.tell(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// late stores what has waited. What it completes was counted when it was stored; if that cannot be, it is refused after all.
func (r *run) late(ctx context.Context, kind Kind, some []waiting) (*outcome, error) {
	inputs, records := make([]input, len(some)), make([]Record, len(some))
	for i, one := range some {
		inputs[i], records[i] = one.record, Record{Line: one.line, Kind: kind, late: true}
	}
	var all []directory.Imported
	var err error
	switch kind {
	case Users:
		all, err = r.Directory.ImportManagers(ctx, inputs)
	case Teams:
		all, err = r.Directory.ImportParents(ctx, inputs)
	case Memberships:
		all, err = r.Directory.ImportMemberships(ctx, inputs, directory.ImportOptions{Upsert: r.Options.Upsert, Last: true})
	}
	if err != nil {
		return nil, err
	}
	o := &outcome{became: map[int64]directory.Imported{}}
	o.add(records, all, r.Options.match())
	if kind != Memberships {
		o.Created, o.Updated, o.Unchanged = 0, 0, 0
	}
	return o, nil
}

// deactivate deactivates the users that the file does not have.
func (r *run) deactivate(ctx context.Context) error {
	users, err := r.presence(ctx)
	if err != nil {
		return err
	}
	r.Inactive = users.Inactive
	switch {
	case users.Missing == 0 || r.Options.Force:
	case r.Unreadable > 0:
		return &MissingError{Unreadable: r.Unreadable}
	case users.Missing*maxMissing > users.Active:
		return &MissingError{presence: users}
	}
	if r.trial != nil {
		r.Deactivated = users.Missing
		return nil
	}
	for {
		some, err := r.someMissing(ctx)
		if err != nil || len(some) == 0 {
			return err
		}
		err = r.step(ctx, "deactivate", func(ctx context.Context) (Progress, error) {
			n, err := r.Directory.DeactivateUsers(ctx, some)
			return r.Progress.plus(Progress{Deactivated: int64(n)}), err
		})
		if err == nil {
			err = r.tell(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// transaction runs fn as a unit of work; in a dry run nothing of it is stored. What runs is not cancelled: the import ends behind it.
func (r *run) transaction(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	return session.Run(context.WithoutCancel(ctx), r.Pools, session.Write, name, func(ctx context.Context) error {
		if r.trial != nil {
			session.Discard(ctx)
		}
		return fn(ctx)
	})
}
