package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// Bounds of a mutation.
const (
	MaxBulk    = 1000   // entries of a bulk
	maxChanged = 10_000 // objects that one mutation changes
)

// entries are what one mutation is to do, one thing or those of a bulk. All of it is checked before any is done.
type entries struct {
	bulk   bool
	dryRun bool              // all is taken back at the end
	each   bool              // what can be done is done, whatever is wrong with the others
	field  string            // the input field of a bulk that has them
	leaf   string            // the field of an entry that is the entry itself; "": there is none
	wrong  []apierror.Errors // by entry
}

// single is a mutation that does one thing.
func single() *entries { return &entries{wrong: make([]apierror.Errors, 1)} }

// newEntries returns the entries of a bulk, which an input has in a field. The error is BAD_USER_INPUT.
func newEntries(input entity.Input, field string) (*entries, []entity.Input, error) {
	inputs, err := input.List(field)
	switch n := len(inputs); {
	case err != nil:
		return nil, nil, err
	case n == 0:
		return nil, nil, apierror.BadInput(field, "%s must have an entry", field)
	case n > MaxBulk:
		return nil, nil, apierror.BadInput(field, "%s must have at most %d entries, not %d: send the others with another request", field, MaxBulk, n)
	}
	mode, err := entity.Choice(input, "mode", model.AllOrNothing, model.Each)
	if err != nil {
		return nil, nil, err
	}
	dryRun, err := input.Bool("dryRun")
	return &entries{bulk: true, dryRun: dryRun, each: mode == model.Each, field: field, wrong: make([]apierror.Errors, len(inputs))}, inputs, err
}

// open reports whether an entry has not been refused.
func (e *entries) open(i int) bool { return len(e.wrong[i]) == 0 }

// look reports whether an entry is to be checked: a refused one too, as long as all that is wrong is told.
func (e *entries) look(i int) bool { return e.open(i) || !e.each }

// refuse refuses an entry if there are errors besides nil. One that no client may see is returned instead.
func (e *entries) refuse(i int, errs ...error) error {
	for _, err := range errs {
		if err == nil {
			continue
		}
		if e.bulk {
			err = apierror.Within(fmt.Sprintf("%s.%d", e.field, i), err)
		}
		list, shown := apierror.ErrorsOf(err)
		if !shown {
			return err
		}
		if e.leaf != "" {
			for _, one := range list {
				one.Field = strings.TrimSuffix(one.Field, "."+e.leaf)
			}
		}
		e.wrong[i] = append(e.wrong[i], list...)
	}
	return nil
}

// refusals is how many entries are refused.
func (e *entries) refusals() (n int) {
	for i := range e.wrong {
		if !e.open(i) {
			n++
		}
	}
	return n
}

// refused returns all that is wrong, unless the entries stand for themselves.
func (e *entries) refused() error {
	if e.each {
		return nil
	}
	return slices.Concat(e.wrong...).Err()
}

// failed returns the error of a mutation whose write has failed. The entries of a bulk have been checked: so what a constraint refuses was
// written meanwhile, and the operation is run again to see which entry that is about.
func (e *entries) failed(ctx context.Context, err error) error {
	if err == nil || !e.bulk {
		return err
	}
	again := dialect.Is(err, dialect.Unique|dialect.ForeignKey)
	if err = apierror.Within(e.field, err); again {
		return session.Again(ctx, err)
	}
	return err
}

// tooMany is the error of a mutation that would change more objects than one may. inParts says which other mutation does it in parts.
func (e *entries) tooMany(inParts string) error {
	err := apierror.BadInput("id", "this would change more than %d objects, and one mutation changes no more: %s", maxChanged, inParts)
	if e.bulk {
		err.Field, err.Message = "", err.Message+", or send fewer entries"
	}
	return err
}

// results returns what became of each entry: what made makes of it, or of why it was refused.
func results[R any](e *entries, made func(i int) *R, refused func(*model.EntryError) *R) []*R {
	all := make([]*R, len(e.wrong))
	for i := range all {
		if e.open(i) {
			all[i] = made(i)
			continue
		}
		first := e.wrong[i][0]
		why := &model.EntryError{Code: string(first.Code), Field: "input." + first.Field, Message: first.Message}
		if v := first.CurrentVersion; v != 0 {
			why.CurrentVersion = &v
		}
		all[i] = refused(why)
	}
	return all
}

func refusedResult[T any](err *model.EntryError) *model.Result[T] {
	return &model.Result[T]{Error: err}
}

// removalResults is results for entries that remove objects, by the global ids that these had.
func removalResults(e *entries, had func(i int) string) []*model.RemovalResult {
	return results(e, func(i int) *model.RemovalResult {
		id := had(i)
		return &model.RemovalResult{ID: &id}
	}, func(err *model.EntryError) *model.RemovalResult { return &model.RemovalResult{Error: err} })
}

// twice refuses the entries about an object that an entry before them is about. key tells which one an entry is about.
func twice[K comparable](e *entries, field string, name func(K) string, key func(i int) K) {
	first := map[K]int{}
	for i := range e.wrong {
		if !e.open(i) {
			continue
		}
		k := key(i)
		if other, again := first[k]; again {
			_ = e.refuse(i, apierror.BadInput(field, "%s is in entry %d already: no object may be in a bulk twice", name(k), other))
		} else {
			first[k] = i
		}
	}
}

// expect returns the CONFLICT error about an object that has another version than is expected; nil: it has that, or none is.
func expect(name string, now int64, expected *int64) error {
	if expected == nil || *expected == now {
		return nil
	}
	return &apierror.Error{
		Code: apierror.CodeConflict, Field: "expectedVersion", CurrentVersion: now,
		Message: fmt.Sprintf("%s has the version %d, and %d was expected: read it again, and decide anew", name, now, *expected),
	}
}
