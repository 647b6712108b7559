package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/model"
)

// variables is the gqlgen extension that refuses variables which do not fit their types. gqlparser, which checks them
// next, would let a number pass in quotes, and names the types of Go. It is to be installed after the extensions that
// find a document by its id.
type variables struct {
	documents graphql.Cache[*ast.QueryDocument] // the server's
	schema    *ast.Schema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = &variables{}

// ExtensionName names the extension in gqlgen's statistics.
func (*variables) ExtensionName() string { return "StrictVariables" }

// Validate takes note of the schema.
func (v *variables) Validate(es graphql.ExecutableSchema) error {
	if v.documents == nil {
		return errors.New("graph: variables.documents is nil: set it to the server's query cache")
	}
	v.schema = es.Schema()
	return nil
}

// MutateOperationParameters checks the variables of an operation. What is wrong with its document is for others to say.
func (v *variables) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if !strings.Contains(params.Query, "$") {
		return nil
	}
	doc, known := v.documents.Get(ctx, params.Query)
	if !known {
		var err error
		if doc, err = parser.ParseQuery(&ast.Source{Input: params.Query}); err != nil {
			return nil //nolint:nilerr // see above
		}
	}
	operation := doc.Operations.ForName(params.OperationName)
	if operation == nil {
		return nil
	}
	wrong := v.wrong(operation, params.Variables)
	if wrong != nil && !known && len(validator.ValidateWithRules(v.schema, doc, validation())) > 0 {
		return nil
	}
	return wrong
}

// wrong returns what is wrong with the variables of an operation, or nil.
func (v *variables) wrong(operation *ast.OperationDefinition, values map[string]any) *gqlerror.Error {
	for _, def := range operation.VariableDefinitions {
		value, given := values[def.Variable]
		var wrong *mismatch
		switch {
		case given:
			wrong = v.check(def.Type, value)
		case def.Type.NonNull && def.DefaultValue == nil:
			wrong = missing(def.Type)
		}
		if wrong != nil {
			return wrong.error(def)
		}
	}
	return nil
}

// mismatch is a value that does not fit its type.
type mismatch struct {
	path   []string // to the value, from the inside out
	field  string   // the input field that the value is in, or ""
	reason string
}

func (m *mismatch) in(path string) *mismatch {
	m.path = append(m.path, path)
	return m
}

func (m *mismatch) error(def *ast.VariableDefinition) *gqlerror.Error {
	slices.Reverse(m.path)
	e := gqlerror.ErrorPosf(def.Position, "$%s%s: %s", def.Variable, strings.Join(m.path, ""), m.reason)
	set(e, "code", model.CodeBadUserInput)
	if m.field != "" {
		set(e, "field", m.field)
	}
	return e
}

func missing(typ *ast.Type) *mismatch {
	return &mismatch{reason: "expected " + typ.String() + ", got nothing"}
}

func unexpected(typ *ast.Type, v any) *mismatch {
	return &mismatch{reason: fmt.Sprintf("expected %s, got %s", typ, model.Describe(v))}
}

// check returns what is wrong with a value, or nil. The value is as encoding/json makes it, with json.Number.
func (v *variables) check(typ *ast.Type, value any) *mismatch {
	if value == nil {
		if typ.NonNull {
			return unexpected(typ, nil)
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
				return wrong.in(fmt.Sprintf("[%d]", i))
			}
		}
		return nil
	}
	def := v.schema.Types[typ.NamedType]
	switch {
	case def == nil: // the document is wrong
	case def.Kind == ast.Scalar:
		if err := scalar(def.Name, value); err != nil {
			return &mismatch{reason: err.Error()}
		}
	case def.Kind == ast.Enum:
		if name, ok := value.(string); !ok || def.EnumValues.ForName(name) == nil {
			return unexpected(typ, value)
		}
	case def.Kind == ast.InputObject:
		return v.object(def, typ, value)
	}
	return nil
}

func (v *variables) object(def *ast.Definition, typ *ast.Type, value any) *mismatch {
	object, ok := value.(map[string]any)
	if !ok {
		return unexpected(typ, value)
	}
	for name := range object {
		if def.Fields.ForName(name) == nil {
			return &mismatch{reason: fmt.Sprintf("%s has no field %q", def.Name, model.Clip(name))}
		}
	}
	for _, field := range def.Fields {
		value, given := object[field.Name]
		var wrong *mismatch
		switch {
		case given:
			wrong = v.check(field.Type, value)
		case field.Type.NonNull && field.DefaultValue == nil:
			wrong = missing(field.Type)
		}
		if wrong != nil {
			if wrong.field == "" {
				wrong.field = field.Name
			}
			return wrong.in("." + field.Name)
		}
	}
	return nil
}

// scalar checks a value of a scalar. Any but the built-in ones check theirs themselves.
func scalar(name string, value any) (err error) {
	switch name {
	case "Int":
		_, err = model.UnmarshalInt(value)
	case "String":
		_, err = model.UnmarshalString(value)
	case "Boolean":
		_, err = model.UnmarshalBoolean(value)
	case "ID":
		_, err = model.UnmarshalID(value)
	}
	return err
}

// rulesOf returns the rules for documents of a server.
func rulesOf(production bool) func() *rules.Rules {
	if production {
		return withoutIntrospection
	}
	return validation
}

// withoutIntrospection returns the rules for documents where the schema is nobody's business.
func withoutIntrospection() *rules.Rules {
	all := validation()
	all.AddRule("NoIntrospection", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnField(func(_ *core.Walker, field *ast.Field) {
			if field.Name == "__schema" || field.Name == "__type" {
				addError(core.Message("there is no introspection here"), core.At(field.Position))
			}
		})
	})
	return all
}

// validation returns the rules for documents: those of the specification, and what gqlparser forgets of them.
func validation() *rules.Rules {
	all := rules.NewDefaultRules()
	all.AddRule("StrictLiterals", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnValue(func(_ *core.Walker, value *ast.Value) {
			def := value.Definition
			switch {
			case def == nil || def.Kind == ast.InputObject:
				return
			case value.Kind == ast.IntValue && def.Name == "Int": // of 64 bits
			case value.Kind == ast.ObjectValue && len(value.Children) == 0:
			default:
				return
			}
			if v, err := value.Value(nil); err == nil {
				if err := scalar(def.Name, v); err != nil {
					addError(core.Message("%s", err), core.At(value.Position))
				}
			}
		})
	})
	return all
}
