package batch

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strconv"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// answer is the data of a query that the plan has followed: the tree of its selections, each with all its objects.
type answer struct {
	roots    selection
	complete bool   // the plan covers everything that is selected, and nothing has failed
	why      string // it is not
}

// lacks makes the answer, if there is one, incomplete.
func (a *answer) lacks(why string) {
	if a != nil && a.complete {
		a.complete, a.why = false, why
	}
}

// lacks makes the selection's answer incomplete for one of its fields.
func (s *selection) lacks(field, why string) {
	if s.answer != nil {
		s.answer.lacks(s.typ + "." + field + " " + why)
	}
}

// Resolved returns how many queries of the schema that Answers returned were answered by resolvers, since something in them is
// not declared, was deferred, or has failed.
func (p *Plan) Resolved() int64 { return p.resolved.Load() }

// Answers returns a schema whose queries are answered from the plan where that covers them: from the objects that it has
// read, in one pass, without resolvers and without field interceptors. es answers everything else, and each query with an
// error or with a directive that is not Inert; so the answers are the same. Its resolvers find what was read in the loaders,
// unless that lacks columns (see Columns).
func (p *Plan) Answers(es graphql.ExecutableSchema) graphql.ExecutableSchema {
	if p.answered != nil && p.refused == nil {
		p.refused = errors.New("batch: Answers is called twice: make a plan for each server")
	}
	p.answered = es
	return schema{es, p}
}

type schema struct {
	graphql.ExecutableSchema
	plan *Plan
}

// Exec answers an operation.
func (s schema) Exec(ctx context.Context) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	switch {
	case s.plan.schema == nil:
		return graphql.OneShot(graphql.ErrorResponse(ctx, "batch: the server does not use the plan whose Answers made its schema: call Use(plan)"))
	case op.Operation.Operation != ast.Query:
		s.plan.tellAnswered(ctx, false, "")
		return s.ExecutableSchema.Exec(ctx)
	}
	var engine graphql.ResponseHandler
	return func(ctx context.Context) *graphql.Response {
		if engine != nil {
			return engine(ctx)
		}
		why := "a directive of the operation leaves it to the resolvers"
		if set, _ := s.plan.set(ctx); set != nil && !s.plan.operationGuarded(op) { // the engine reports the error of set
			var data []byte
			if data, why = set.answer(ctx); data != nil {
				s.plan.tellAnswered(ctx, true, "")
				engine = func(context.Context) *graphql.Response { return nil }
				return &graphql.Response{Data: data}
			}
			set.forgetForbidden(op)
			set.widen(ctx)
		}
		s.plan.tellAnswered(ctx, false, why)
		s.plan.resolved.Add(1)
		engine = s.ExecutableSchema.Exec(ctx)
		return engine(ctx)
	}
}

func (p *Plan) tellAnswered(ctx context.Context, planned bool, why string) {
	if p.Answered != nil {
		p.Answered(ctx, planned, why)
	}
}

// answer returns the data of the query of ctx, or nil and why where the resolvers are to answer it.
func (s *Set) answer(ctx context.Context) (data []byte, why string) {
	s.followRoots(ctx, true)
	op := graphql.GetOperationContext(ctx)
	a := &s.query(op).answer
	switch {
	case ctx.Err() != nil: // the run for its group may not have ended
		return nil, "the operation has ended before"
	case !a.complete:
		return nil, a.why
	}
	defer func() {
		if v := recover(); v != nil {
			_ = op.RecoverFunc(ctx, v) // it is logged; the resolvers make the error
			data, why = nil, "a value could not be written"
		}
	}()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	if written := a.roots.appendTo((*buffer)[:0], 0); written != nil {
		data = bytes.Clone(written)
		if cap(written) <= maxKept {
			*buffer = written
		}
	}
	if data == nil {
		why = "a value is an error, or null where it must not be"
	}
	return data, why
}

// buffers are reused to write answers. Those above maxKept bytes are not.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const maxKept = 1 << 20

// appendTo appends one object, or returns nil where that would be an error.
func (s *selection) appendTo(b []byte, i int) []byte {
	b = append(b, '{')
	for n := range s.fields {
		f := &s.fields[n]
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, f.Alias...)
		b = append(b, '"', ':')
		switch {
		case f.value != nil && f.visible != nil && f.visible[i] == nil:
			b = appendNull(b, f.Definition.Type)
		case f.value != nil:
			from := len(b)
			b = f.value(b, s.objects[i])
			if f.Definition.Type.NonNull && b != nil && string(b[from:]) == "null" {
				return nil
			}
		case f.list:
			b = f.appendList(b, f.spans[i])
		default:
			b = f.appendOne(b, i, f.Definition.Type)
		}
		if b == nil {
			return nil
		}
	}
	return append(b, '}')
}

func (f *field) appendList(b []byte, s span) []byte {
	if s.from < 0 {
		if f.path && f.Definition.Type.NonNull {
			return append(b, "[]"...) // as gqlgen does
		}
		return appendNull(b, f.Definition.Type)
	}
	b = append(b, '[')
	for i := s.from; i < s.to && b != nil; i++ {
		if i > s.from {
			b = append(b, ',')
		}
		b = f.appendOne(b, int(i), f.Definition.Type.Elem)
	}
	if b == nil {
		return nil
	}
	return append(b, ']')
}

// appendOne appends one of the field's values.
func (f *field) appendOne(b []byte, i int, typ *ast.Type) []byte {
	for n := range f.below {
		if f.below[n].objects[i] != nil {
			return f.below[n].appendTo(b, i)
		}
	}
	value := f.values[i]
	if value != nil && f.write != nil {
		return f.write(b, value)
	}
	switch v := value.(type) {
	case nil:
		return appendNull(b, typ)
	case int:
		if v < math.MinInt32 || v > math.MaxInt32 { // which is an error
			return nil
		}
		return strconv.AppendInt(b, int64(v), 10)
	case bool:
		return strconv.AppendBool(b, v)
	default:
		return nil
	}
}

// appendNull appends null where the type allows it.
func appendNull(b []byte, typ *ast.Type) []byte {
	if typ.NonNull {
		return nil
	}
	return append(b, "null"...)
}

func (s *selection) appendType(b []byte, _ any) []byte {
	b = append(b, '"')
	b = append(b, s.typ...)
	return append(b, '"')
}
