package batch

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Plan is how the fields of a schema lead from objects to others. It is made once, for one server.
type Plan struct {
	declared []Field
	columns  map[string][]dependency // by type, in the order in which they were declared
	inert    map[string]bool         // directives that do nothing when an operation runs

	// Event is told of each event of a subscription, before that is answered; nil: nobody is.
	Event func(ctx context.Context, event any)

	// Answered is told whether the plan answers an operation of the schema that Answers has returned, or why the resolvers do; nil: nothing is told.
	Answered func(ctx context.Context, planned bool, why string)
	// Traces reports whether TraceOf is to tell what is read for an operation, and for a group that it is in; nil: of none.
	Traces func(*graphql.OperationContext) bool
	// Within returns the context of a batch of an operation that is traced, by its index in Trace.Batches; nil: the same.
	Within func(ctx context.Context, batch int) context.Context

	suggest      func(of *ast.Definition, field *ast.FieldDefinition) string // nil: not every field has to be declared
	check        func(*ast.Schema) error
	dependencies int                      // how many columns are declared
	answered     graphql.ExecutableSchema // that Answers was given, or nil
	refused      error                    // what is wrong with the declarations by themselves

	fallbacks, resolved atomic.Int64

	hiders map[string]map[string]hider // by type and field: see Hide

	// What Validate makes of it with the schema.
	schema     *ast.Schema
	operations map[string]ast.Operation                         // by the name of the type that is the root of one
	fields     map[string]map[string][]Field                    // by type and field name; several: for the objects of an abstract type
	within     map[string]map[reflect.Type]string               // the types of an abstract type's objects, by the Go types bound to them
	satisfied  map[string][]string                              // the type conditions of fragments that objects of a type meet
	covers     map[*ast.FieldDefinition]*cover                  // fields that are answered from the plan
	firsts     map[*ast.FieldDefinition][]func(context.Context) // see First: what enqueues their values
}

// cover is what the plan needs to answer a field.
type cover struct {
	needs []int              // its dependencies, by index
	valid []func(Args) error // what is wrong with its arguments; nil where it has none
}

// Field is the declaration of one field, made by Relation, Relations, Path, Paths, Value, First or Column.
type Field struct {
	typ, name string
	parent    reflect.Type
	kind      kind
	of        reflect.Type                                                  // what a relation or path has: of a list, an element
	list      bool                                                          // the field has a list
	load      func(ctx context.Context, objects []any, args Args) request   // in a relation; nil where args are not valid
	valid     func(args Args) error                                         // in a relation: what is wrong with them
	resolve   func(ctx context.Context, parent any, args Args) (any, error) // in a relation without a resolver, for gqlgen
	listed    func(objects []any) any                                       // in Relations
	first     func(ctx context.Context)                                     // in First: enqueues the value
	write     func(b []byte, value any) []byte                              // in First: appends it as JSON
	follow    func(below *results, object any)                              // in a path
	value     func(b []byte, object any) []byte                             // in a value
	scalar    string                                                        // in a value or First: what it is written as, or ""
	columns   []string                                                      // that it needs
	from      bool                                                          // it says which
	inert     []string                                                      // directives
	unplanned []string                                                      // fields of the type
	again     bool                                                          // it is not the first of its field
	err       error                                                         // of the declaration itself
}

// kind is which function has made a declaration.
type kind string

const (
	relation  kind = "Relation"
	relations kind = "Relations"
	path      kind = "Path"
	paths     kind = "Paths"
	scalar    kind = "Value"
)

// Args are the arguments of a field, by name: literals and variables as gqlparser gives them, for
// functions such as graphql.UnmarshalInt. An argument that was left out is missing.
type Args map[string]any

// Root is the parent of the fields of Query.
type Root struct{}

// NewPlan returns the plan of a schema's relations, values and columns. What is wrong in them the server refuses at its start.
func NewPlan(fields ...Field) *Plan {
	p := &Plan{columns: map[string][]dependency{}, inert: maps.Clone(inert), declared: slices.Clone(fields)}
	for _, f := range fields {
		if f.err != nil && p.refused == nil {
			p.refused = f.err
		}
		for _, name := range f.inert {
			p.inert[name] = true
		}
		for _, column := range f.columns {
			p.columns[f.typ] = append(p.columns[f.typ], dependency{f.name, column, p.dependencies})
			p.dependencies++
		}
	}
	return p
}

// Relation declares that the field name of the type typ, which is bound to P, is what source has under a key. key is given the
// field's arguments, once for all objects, and returns a function of an object: its key, or false where the field is null. Where
// the arguments are not valid it returns the error that the field then has. The field needs no resolver: where gqlgen runs the
// resolvers, the plan itself resolves it, by the very key (see WithResolver).
//
// A field of an interface or a union may have a declaration for each source that may have its object.
func Relation[P any, K comparable, V any](
	typ, name string, source *Source[K, V], key func(Args) (func(parent P) (K, bool), error),
) Field {
	f := Field{typ: typ, name: name, kind: relation, parent: reflect.TypeFor[P](), of: element(reflect.TypeFor[V]()), list: isList[V]()}
	f.check(source != nil && key != nil)
	f.valid = func(args Args) error {
		_, err := key(args)
		return err
	}
	f.load = func(ctx context.Context, objects []any, args Args) request {
		of, err := key(args)
		if err != nil {
			return nil
		}
		r := newRequest(source.Loader(ctx), len(objects))
		for _, object := range objects {
			if object == nil {
				r.enqueue(*new(K), false)
				continue
			}
			r.enqueue(of(object.(P)))
		}
		return r
	}
	f.resolve = func(ctx context.Context, parent any, args Args) (any, error) {
		of, err := key(args)
		if err != nil {
			return nil, err
		}
		k, ok := of(ObjectOf[P](parent))
		return source.value(ctx, k, ok)
	}
	return f
}

// Relations is Relation for a field that is a list with a key for each of its elements. list makes the value that gqlgen takes of
// the objects, in which nil stands for none.
func Relations[P any, K comparable, V any](
	typ, name string, source *Source[K, V], keys func(Args) (func(parent P) iter.Seq2[K, bool], error), list func(objects []any) any,
) Field {
	f := Field{typ: typ, name: name, kind: relations, parent: reflect.TypeFor[P](), of: reflect.TypeFor[V](), list: true, listed: list}
	f.check(source != nil && keys != nil && list != nil)
	f.valid = func(args Args) error {
		_, err := keys(args)
		return err
	}
	f.load = func(ctx context.Context, objects []any, args Args) request {
		of, err := keys(args)
		if err != nil {
			return nil
		}
		r := newRequest(source.Loader(ctx), len(objects))
		for _, object := range objects {
			r.spans.begin(object != nil, len(r.slots))
			if object == nil {
				continue
			}
			for k, ok := range of(object.(P)) {
				r.enqueue(k, ok)
			}
			r.spans.end(len(r.slots))
		}
		return r
	}
	f.resolve = func(ctx context.Context, parent any, args Args) (any, error) {
		of, err := keys(args)
		if err != nil {
			return nil, err
		}
		all := []any{}
		for k, ok := range of(ObjectOf[P](parent)) {
			v, err := source.value(ctx, k, ok)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
	return f
}

// WithResolver leaves a Relation, or Relations, to the resolver of its field, which loads by the same keys.
func (f Field) WithResolver() Field {
	f.resolve = nil
	return f
}

// Key is for a relation without arguments.
func Key[P any, K comparable](key func(parent P) (K, bool)) func(Args) (func(P) (K, bool), error) {
	return func(Args) (func(P) (K, bool), error) { return key, nil }
}

// Path declares that the field name of the type typ, which is bound to P, has an object that needs no loader. The plan goes on
// below it.
func Path[P, V any](typ, name string, follow func(parent P) V) Field {
	f := Field{typ: typ, name: name, kind: path, parent: reflect.TypeFor[P](), of: reflect.TypeFor[V]()}
	f.check(follow != nil)
	f.follow = func(below *results, object any) { below.add(follow(object.(P))) }
	return f
}

// Paths is Path for a field that is a list.
func Paths[P, V any](typ, name string, follow func(parent P) []V) Field {
	f := Field{typ: typ, name: name, kind: paths, parent: reflect.TypeFor[P](), of: reflect.TypeFor[V](), list: true}
	f.check(follow != nil)
	f.follow = func(below *results, object any) {
		list := follow(object.(P))
		below.spans.begin(list != nil, len(below.values))
		below.values = slices.Grow(below.values, len(list))
		for _, v := range list {
			below.add(v)
		}
		below.spans.end(len(below.values))
	}
	return f
}

// Value declares a field of scalars or enum values, name of the type typ, which is bound to P: appendTo appends it to an
// answer as JSON, or returns nil to leave the answer to the resolvers.
func Value[P any](typ, name string, appendTo func(b []byte, parent P) []byte) Field {
	f := Field{typ: typ, name: name, kind: scalar, parent: reflect.TypeFor[P]()}
	f.check(appendTo != nil)
	f.value = func(b []byte, object any) []byte { return appendTo(b, object.(P)) }
	return f
}

// From names the columns of the type's row that the declaration or the resolver reads, besides those that every reader of the
// type needs. Once a column of a type is declared, each declaration of its fields has to have a From.
func (f Field) From(columns ...string) Field {
	if f.from {
		f.err = fmt.Errorf("batch: %s.%s has From twice: give all its columns to one, as in From(\"a\", \"b\")", f.typ, f.name)
	}
	f.columns, f.from = columns, true
	return f
}

// Inert declares that directives of the schema do nothing when an operation runs, such as those with skip_runtime in
// gqlgen.yml. A field with any other directive is left to the resolvers. The directives of GraphQL's specification, and those
// that gqlgen itself reads, such as @goField, are inert already.
func Inert(directives ...string) Field {
	f := Field{inert: []string{}}
	for _, name := range directives {
		f.inert = append(f.inert, strings.TrimPrefix(name, "@"))
	}
	return f
}

// Unplanned declares that gqlgen alone answers fields of a type, from its Go struct or by their resolvers: nothing is read ahead
// for them, nor below them.
func Unplanned(typ string, fields ...string) Field {
	return Field{typ: typ, unplanned: fields}
}

// Complete has Validate refuse a schema in which a field below Query, Mutation or Subscription has no declaration, or would need
// a resolver that there is none for. suggest returns the line that would declare a field, and check what else is wrong.
func (p *Plan) Complete(suggest func(of *ast.Definition, field *ast.FieldDefinition) string, check func(*ast.Schema) error) *Plan {
	p.suggest, p.check = suggest, check
	return p
}

// As says which scalar a Value or First is written as: Validate refuses it for a field of another type. A String is an enum's value too.
func (f Field) As(scalar string) Field {
	f.scalar = scalar
	return f
}

// check makes a nil function the declaration's error.
func (f *Field) check(complete bool) {
	if !complete {
		f.err = fmt.Errorf("batch: the %s %s.%s has a nil function", f.kind, f.typ, f.name)
	}
}
