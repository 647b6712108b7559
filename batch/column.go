package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// dependency is a column that one field of a type needs.
type dependency struct {
	field string // "": needed whatever is selected
	name  string
	index int // among the plan's
}

// Column declares that the field name of the type typ needs columns, or, with an empty name, that every reader of the type
// does.
func Column(typ, name string, columns ...string) Field {
	return Field{typ: typ, name: name, columns: columns}
}

// Columns says which columns a fetch is to read.
type Columns struct {
	set     *Set
	planned bool // a plan has gathered the batch
}

// Of returns the columns of a type that a fetch is to read, in the order of their declarations, each once. They are all that
// are declared, unless the plan is to answer every query of the set: then they are those that the queries need anywhere, so
// that a row that was read for one selection serves any other. It panics for a type without columns. The slice is the caller's.
func (c Columns) Of(typ string) []string {
	s := c.set
	if s == nil {
		panic(errors.New("batch: these Columns belong to no batch: take those that the fetch is given"))
	}
	declared, ok := s.plan.columns[typ]
	if !ok {
		panic(fmt.Errorf("batch: no columns of %s are declared: add them with Column or From", typ))
	}
	// The plan alone is to answer what it has gathered.
	narrow := c.planned && s.answering && !slices.ContainsFunc(s.queries, func(q *query) bool { return !q.answer.complete })
	columns := make([]string, 0, len(declared)+2) // the fetch may append its own
	for _, d := range declared {
		switch {
		case narrow && d.field != "" && !s.needed[d.index]:
			s.narrowed.Store(true)
		case !slices.Contains(columns, d.name):
			columns = append(columns, d.name)
		}
	}
	return columns
}

// Selects reports whether a field of a type may be selected, of one that is declared with columns. Whoever has to read something only for such a
// field asks it.
func (c Columns) Selects(typ, field string) bool {
	s := c.set
	if !c.planned || !s.answering || slices.ContainsFunc(s.queries, func(q *query) bool { return !q.answer.complete }) {
		return true
	}
	declared := slices.IndexFunc(s.plan.columns[typ], func(d dependency) bool { return d.field == field })
	if declared < 0 || s.needed[s.plan.columns[typ][declared].index] {
		return true
	}
	s.narrowed.Store(true) // what is read only for it is missing
	return false
}

// widen forgets rows that lack columns before resolvers run, which has the query of ctx followed again: with the others that
// resolvers answer, or by itself where its answer only turned out to be wrong when it was written.
func (s *Set) widen(ctx context.Context) {
	if ctx.Err() != nil || !s.narrowed.Load() { // a load fails, or gets none of these rows
		return
	}
	s.following.Lock()
	defer s.following.Unlock()
	s.answering = false
	again := &pass{}
	for _, q := range s.queries {
		switch {
		case q.answer.complete:
			q.pass.Store(&pass{})
		case q.pass.Load() == &s.together:
			q.pass.Store(again)
		}
	}
	s.takeFailures(graphql.GetOperationContext(ctx)) // it is followed again
	s.Clear()
	s.narrowed.Store(false)
}

// note marks the dependencies of the included fields of a selection set and of those below it. It returns why the plan
// cannot answer all of them, as far as that is known before anything is read; "": it can. Where arguments are not valid, resolvers need whole
// rows, if there is an object that has the field. Each fragment is visited once, wherever it is spread.
func (s *Set) note(op *graphql.OperationContext, set ast.SelectionSet, fragments map[string]bool) (why string) {
	for _, selected := range set {
		directives, below := parts(op, selected)
		switch in, known := included(op, directives); {
		case s.plan.guarded(directives):
			return "a directive leaves a selection to the resolvers"
		case directives.ForName("defer") != nil:
			return "a part of it is deferred"
		case !known:
			return "it is not known whether a selection is included"
		case !in:
			continue
		}
		switch f := selected.(type) {
		case *ast.Field:
			if f.Name == "__typename" {
				continue
			}
			covered := s.plan.covers[f.Definition]
			if covered == nil {
				return f.ObjectDefinition.Name + "." + f.Name + " is resolved"
			}
			s.answering = s.answering && covered.takes(op, f)
			for _, i := range covered.needs {
				s.needed[i] = true
			}
		case *ast.FragmentSpread:
			if fragments[f.Name] {
				continue
			}
			fragments[f.Name] = true
		}
		if why := s.note(op, below, fragments); why != "" {
			return why
		}
	}
	return ""
}

// parts returns the directives at a selection, with those of the fragment that it spreads, and what is selected in it.
func parts(op *graphql.OperationContext, s ast.Selection) (ast.DirectiveList, ast.SelectionSet) {
	switch s := s.(type) {
	case *ast.Field:
		return s.Directives, s.SelectionSet
	case *ast.InlineFragment:
		return s.Directives, s.SelectionSet
	}
	spread := s.(*ast.FragmentSpread)
	f := op.Doc.Fragments.ForName(spread.Name)
	return slices.Concat(spread.Directives, f.Directives), f.SelectionSet
}

// takes reports whether the arguments of a field are valid. A panic is not reported here: following the field will panic too.
func (c *cover) takes(op *graphql.OperationContext, f *ast.Field) (valid bool) {
	if c.valid == nil {
		return true
	}
	defer func() { valid = recover() == nil && valid }()
	args := Args(f.ArgumentMap(op.Variables))
	return !slices.ContainsFunc(c.valid, func(valid func(Args) error) bool { return valid(args) != nil })
}

// included evaluates @skip and @include as gqlgen does, except that gqlgen panics where the condition is not known.
func included(op *graphql.OperationContext, directives ast.DirectiveList) (in, known bool) {
	in = true
	for _, d := range directives {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		on, _ := d.Arguments.ForName("if").Value.Value(op.Variables)
		if _, known := on.(bool); !known {
			return false, false
		}
		in = in && on == (d.Name == "include")
	}
	return in, true
}
