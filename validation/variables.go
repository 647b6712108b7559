package validation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/scalar"
)

// Request checks what a request asks for of a valid document: that there is such an operation, and that its variables fit
// their types. gqlparser, which checks them next, would let a number pass in quotes, and names the types of Go.
//
// It returns nil, or an error with the code GRAPHQL_VALIDATION_FAILED (operation) or BAD_USER_INPUT (variables), where
// extensions.field is the path from the argument in which the variable is used first to what is at fault: input.users.3.email.
func Request(schema *ast.Schema, doc *ast.QueryDocument, params *graphql.RawParams) *gqlerror.Error {
	operation := doc.Operations.ForName(params.OperationName)
	switch {
	case operation != nil:
	case params.OperationName == "": // an empty name is none
		return unknownOperation("the document has %d operations: say which one to run in operationName", len(doc.Operations))
	default:
		return unknownOperation("the document has no operation named %q", apierror.Clip(params.OperationName))
	}
	null := false
	for _, def := range operation.VariableDefinitions {
		value, given := params.Variables[def.Variable]
		if wrong := (variables{schema}).optional(def.Type, def.DefaultValue, value, given); wrong != nil {
			return badInput(def.Position, firstUse(doc, operation, def.Variable)+wrong.field, "$%s%s: %s", def.Variable, wrong.path, wrong.reason)
		}
		null = null || given && value == nil
	}
	if !null {
		return nil
	}
	n := nulls{fragments{doc, map[string]bool{}}, params.Variables}
	if wrong := n.amongDirectives(operation.Directives); wrong != nil {
		return wrong
	}
	return n.in(operation.SelectionSet)
}

func unknownOperation(format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

func badInput(at *ast.Position, field, format string, args ...any) *gqlerror.Error {
	err := gqlerror.ErrorPosf(at, format, args...)
	err.Extensions = map[string]any{"code": apierror.CodeBadUserInput, "field": field}
	return err
}

// variables checks the values of variables. They are as encoding/json makes them, with json.Number.
type variables struct{ schema *ast.Schema }

// mismatch is a value that does not fit its type.
type mismatch struct {
	path   string // from the variable to the value, such as .roles[1]
	field  string // the same as extensions.field has it: .roles.1
	reason string
}

func unexpected(typ *ast.Type, got string) *mismatch {
	return &mismatch{reason: fmt.Sprintf("expected %s, got %s", typ, got)}
}

// optional checks the value of a variable or an input field, if one is given.
func (v variables) optional(typ *ast.Type, fallback *ast.Value, value any, given bool) *mismatch {
	if given {
		return v.check(typ, value)
	}
	if typ.NonNull && fallback == nil {
		return unexpected(typ, "nothing")
	}
	return nil
}

// check returns what is wrong with a value, or nil.
func (v variables) check(typ *ast.Type, value any) *mismatch {
	if value == nil {
		if typ.NonNull {
			return unexpected(typ, "null")
		}
		return nil
	}
	if typ.Elem != nil {
		list, ok := value.([]any)
		if !ok {
			return v.check(typ.Elem, value) // GraphQL takes one value for a list of one
		}
		for i, element := range list {
			if wrong := v.check(typ.Elem, element); wrong != nil {
				wrong.path, wrong.field = fmt.Sprintf("[%d]%s", i, wrong.path), fmt.Sprintf(".%d%s", i, wrong.field)
				return wrong
			}
		}
		return nil
	}
	def := v.schema.Types[typ.NamedType]
	switch {
	case def == nil: // the document is wrong
	case def.Kind == ast.Scalar:
		if err := scalar.Check(def.Name, value); err != nil {
			return &mismatch{reason: err.Error()}
		}
	case def.Kind == ast.Enum:
		if name, ok := value.(string); !ok || def.EnumValues.ForName(name) == nil {
			return unexpected(typ, scalar.Describe(value))
		}
	case def.Kind == ast.InputObject:
		return v.object(def, typ, value)
	}
	return nil
}

func (v variables) object(def *ast.Definition, typ *ast.Type, value any) *mismatch {
	object, ok := value.(map[string]any)
	if !ok {
		return unexpected(typ, scalar.Describe(value))
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if def.Fields.ForName(name) == nil {
			return &mismatch{field: "." + apierror.Clip(name), reason: fmt.Sprintf("%s has no field %q", def.Name, apierror.Clip(name))}
		}
	}
	for _, field := range def.Fields {
		value, given := object[field.Name]
		if wrong := v.optional(field.Type, field.DefaultValue, value, given); wrong != nil {
			wrong.path, wrong.field = "."+field.Name+wrong.path, "."+field.Name+wrong.field
			return wrong
		}
	}
	return nil
}

// firstUse returns the path from an argument to where an operation uses a variable first: input, input.email or ids.1. The rules refuse a
// document with a variable that is not used.
func firstUse(doc *ast.QueryDocument, operation *ast.OperationDefinition, variable string) string {
	path, ok := useAmongDirectives(operation.Directives, variable)
	if !ok {
		path, _ = fragments{doc, map[string]bool{}}.use(operation.SelectionSet, variable)
	}
	return path
}

// use is firstUse for selections. ok reports whether they use the variable.
func (f fragments) use(selections ast.SelectionSet, variable string) (path string, ok bool) {
	for _, selection := range selections {
		field, directives, below := f.parts(selection)
		if field != nil {
			below = field.SelectionSet
			if path, ok = useAmong(field.Arguments, variable); ok {
				return path, true
			}
		}
		if path, ok = useAmongDirectives(directives, variable); ok {
			return path, true
		}
		if path, ok = f.use(below, variable); ok {
			return path, true
		}
	}
	return "", false
}

func useAmongDirectives(directives ast.DirectiveList, variable string) (path string, ok bool) {
	for _, directive := range directives {
		if path, ok = useAmong(directive.Arguments, variable); ok {
			return path, true
		}
	}
	return "", false
}

func useAmong(arguments ast.ArgumentList, variable string) (path string, ok bool) {
	for _, argument := range arguments {
		if path, ok = useWithin(argument.Value, variable); ok {
			return argument.Name + path, true
		}
	}
	return "", false
}

// useWithin is use for a literal: the path begins at this.
func useWithin(value *ast.Value, variable string) (path string, ok bool) {
	if value.Kind == ast.Variable {
		return "", value.Raw == variable
	}
	for i, child := range value.Children {
		if path, ok = useWithin(child.Value, variable); ok {
			return "." + cmp.Or(child.Name, strconv.Itoa(i)) + path, true
		}
	}
	return "", false
}

// nulls finds arguments that must not be null and are, because a variable is: a default, the variable's or the argument's, lets the
// variable be used there, and an explicit null overrides both. gqlgen panics at such an argument of a directive, and takes such
// a list or input of a field for an empty one; a field whose argument is such a scalar it refuses by itself.
type nulls struct {
	fragments
	values map[string]any // of the variables
}

func (n nulls) in(selections ast.SelectionSet) *gqlerror.Error {
	for _, selection := range selections {
		field, directives, below := n.parts(selection)
		if field != nil {
			below = field.SelectionSet
			if wrong := n.among(field.Arguments, field.Name, false); wrong != nil {
				return wrong
			}
		}
		if wrong := n.amongDirectives(directives); wrong != nil {
			return wrong
		}
		if wrong := n.in(below); wrong != nil {
			return wrong
		}
	}
	return nil
}

func (n nulls) amongDirectives(directives ast.DirectiveList) *gqlerror.Error {
	for _, directive := range directives {
		if wrong := n.among(directive.Arguments, "@"+directive.Name, true); wrong != nil {
			return wrong
		}
	}
	return nil
}

// among refuses such arguments of a field or a directive, and unless scalars count, only lists and inputs.
func (n nulls) among(arguments ast.ArgumentList, of string, scalars bool) *gqlerror.Error {
	for _, argument := range arguments {
		expected := argument.Value.ExpectedType
		if argument.Value.Kind != ast.Variable || !expected.NonNull {
			continue
		}
		composite := expected.Elem != nil || argument.Value.Definition.Kind == ast.InputObject
		if value, given := n.values[argument.Value.Raw]; given && value == nil && (composite || scalars) {
			return badInput(argument.Value.Position, argument.Name, "$%s: %s(%s:) expects %s, got null",
				argument.Value.Raw, of, argument.Name, expected)
		}
	}
	return nil
}
