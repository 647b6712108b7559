package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall/apierror"
	"rollcall/scalar"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
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

// MutateOperationParameters checks that there is such an operation, and its variables. What is wrong with its document is
// for others to say.
func (v *variables) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	doc, known := v.documents.Get(ctx, params.Query)
	if !known { // so it is wrong, but for one that was forgotten this very moment
		if !strings.Contains(params.Query, "$") {
			return nil
		}
		var err error
		if doc, err = parser.ParseQuery(&ast.Source{Input: params.Query}); err != nil {
			return nil //nolint:nilerr // see above
		}
	}
	wrong := v.refused(doc, params)
	if wrong != nil && !known && len(validator.ValidateWithRules(v.schema, doc, validation())) > 0 {
		return nil
	}
	return wrong
}

// refused returns what is wrong with what is to be run of a document, or nil.
func (v *variables) refused(doc *ast.QueryDocument, params *graphql.RawParams) *gqlerror.Error {
	operation := doc.Operations.ForName(params.OperationName)
	switch {
	case len(doc.Operations) == 0:
		return nil
	case operation == nil && params.OperationName == "": // an empty name is none
		return unknownOperation("the document has %d operations: say which one to run in operationName", len(doc.Operations))
	case operation == nil:
		return unknownOperation("the document has no operation named %q", apierror.Clip(params.OperationName))
	case len(operation.VariableDefinitions) == 0:
		return nil
	}
	if wrong := v.wrong(operation, params.Variables); wrong != nil {
		return wrong
	}
	for _, def := range operation.VariableDefinitions {
		if value, given := params.Variables[def.Variable]; given && value == nil {
			n := nulls{v.schema, doc, params.Variables, map[string]bool{}}
			return n.in(operation.SelectionSet)
		}
	}
	return nil
}

func unknownOperation(format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// nulls finds arguments that must not be null and are, since a variable is: its default, or the argument's, lets the variable be
// used there, and an explicit null overrides both. gqlgen panics at such a directive, and takes such a list or input of a field for
// an empty one; a field with such a scalar it refuses by itself.
type nulls struct {
	schema  *ast.Schema
	doc     *ast.QueryDocument
	values  map[string]any
	visited map[string]bool // fragments
}

func (n *nulls) in(selections ast.SelectionSet) *gqlerror.Error {
	for _, selection := range selections {
		var own ast.DirectiveList
		var below ast.SelectionSet
		switch s := selection.(type) {
		case *ast.Field:
			own, below = s.Directives, s.SelectionSet
			if s.Definition == nil { // the document is wrong
				break
			}
			if wrong := n.among(s.Arguments, s.Definition.Arguments, s.Name, n.composite); wrong != nil {
				return wrong
			}
		case *ast.InlineFragment:
			own, below = s.Directives, s.SelectionSet
		case *ast.FragmentSpread:
			own = s.Directives
			if fragment := n.doc.Fragments.ForName(s.Name); fragment != nil && !n.visited[s.Name] {
				n.visited[s.Name] = true
				below = fragment.SelectionSet
			}
		}
		for _, directive := range own {
			if def := n.schema.Directives[directive.Name]; def != nil {
				all := func(*ast.Type) bool { return true }
				if wrong := n.among(directive.Arguments, def.Arguments, "@"+directive.Name, all); wrong != nil {
					return wrong
				}
			}
		}
		if wrong := n.in(below); wrong != nil {
			return wrong
		}
	}
	return nil
}

// composite reports whether values of a type are lists or inputs.
func (n *nulls) composite(typ *ast.Type) bool {
	def := n.schema.Types[typ.NamedType]
	return typ.Elem != nil || def != nil && def.Kind == ast.InputObject
}

// among returns what is wrong with the arguments whose types count.
func (n *nulls) among(arguments ast.ArgumentList, defs ast.ArgumentDefinitionList, of string, counts func(*ast.Type) bool) *gqlerror.Error {
	for _, argument := range arguments {
		if argument.Value.Kind != ast.Variable {
			continue
		}
		value, given := n.values[argument.Value.Raw]
		expected := defs.ForName(argument.Name)
		if given && value == nil && expected != nil && expected.Type.NonNull && counts(expected.Type) {
			e := gqlerror.ErrorPosf(argument.Value.Position, "$%s: %s(%s:) expects %s, got null",
				argument.Value.Raw, of, argument.Name, expected.Type)
			set(e, "code", apierror.CodeBadUserInput)
			set(e, "field", argument.Name)
			return e
		}
	}
	return nil
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
	set(e, "code", apierror.CodeBadUserInput)
	if m.field != "" {
		set(e, "field", m.field)
	}
	return e
}

func missing(typ *ast.Type) *mismatch {
	return &mismatch{reason: "expected " + typ.String() + ", got nothing"}
}

func unexpected(typ *ast.Type, v any) *mismatch {
	return &mismatch{reason: fmt.Sprintf("expected %s, got %s", typ, scalar.Describe(v))}
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
		if err := checkScalar(def.Name, value); err != nil {
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
			return &mismatch{reason: fmt.Sprintf("%s has no field %q", def.Name, apierror.Clip(name))}
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

// checkScalar checks a value of a scalar. Any but the built-in ones check theirs themselves.
func checkScalar(name string, value any) (err error) {
	switch name {
	case "Int":
		_, err = scalar.UnmarshalInt(value)
	case "String":
		_, err = scalar.UnmarshalString(value)
	case "Boolean":
		_, err = scalar.UnmarshalBoolean(value)
	case "ID":
		_, err = scalar.UnmarshalID(value)
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
	all.ReplaceRule(rules.SingleFieldSubscriptionsRule.Name, oneField)
	all.AddRule("StrictLiterals", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnValue(func(_ *core.Walker, value *ast.Value) {
			if value.Kind == ast.ListValue || value.Kind == ast.ObjectValue {
				// By this alone gqlparser tells whether two fields have the same argument, and may become one.
				value.Raw = canonical(value)
			}
			def := value.Definition
			switch {
			case def == nil || def.Kind == ast.InputObject:
				return
			case value.Kind == ast.IntValue && def.Name == "Int": // of 64 bits
			case value.Kind == ast.IntValue && def.Name == "ID":
				if _, err := strconv.ParseInt(value.Raw, 10, 64); err != nil { // gqlparser has no other integers
					value.Kind = ast.StringValue // which is the same ID
				}
				return
			case value.Kind == ast.ObjectValue && len(value.Children) == 0:
			default:
				return
			}
			if v, err := value.Value(nil); err == nil {
				if err := checkScalar(def.Name, v); err != nil {
					addError(core.Message("%s", err), core.At(value.Position))
				}
			}
		})
	})
	return all
}

// canonical returns a text that is the same for two values if they are equal, in whatever order their fields stand.
func canonical(value *ast.Value) string {
	if value.Kind != ast.ListValue && value.Kind != ast.ObjectValue {
		return value.String()
	}
	parts := make([]string, len(value.Children))
	for i, child := range value.Children {
		parts[i] = child.Name + ":" + canonical(child.Value)
	}
	if value.Kind == ast.ObjectValue {
		slices.Sort(parts)
	}
	return fmt.Sprintf("%d(%s)", value.Kind, strings.Join(parts, ","))
}

// oneField is the rule that a subscription has one response key, whatever its variables are: no @skip and no @include
// (CollectSubscriptionFields in the specification, §5.2.4.1). gqlparser's own counts the names of fields.
func oneField(observers *core.Events, addError core.AddErrFunc) {
	observers.OnOperation(func(walker *core.Walker, operation *ast.OperationDefinition) {
		if operation.Operation != ast.Subscription {
			return
		}
		key, visited := "", map[string]bool{}
		var collect func(ast.SelectionSet)
		refuse := func(at *ast.Position, format string, args ...any) {
			addError(core.Message(format, args...), core.At(at))
		}
		collect = func(selections ast.SelectionSet) {
			for _, selection := range selections {
				var own ast.DirectiveList
				switch s := selection.(type) {
				case *ast.Field:
					own = s.Directives
					switch {
					case strings.HasPrefix(s.Name, "__"):
						refuse(s.Position, "a subscription must not select %s at its root", s.Name)
					case key == "":
						key = s.Alias
					case key != s.Alias:
						refuse(s.Position, "a subscription must select one field at its root, and not %q beside %q", s.Alias, key)
					}
				case *ast.InlineFragment:
					own = s.Directives
					collect(s.SelectionSet)
				case *ast.FragmentSpread:
					own = s.Directives
					if fragment := walker.Document.Fragments.ForName(s.Name); fragment != nil && !visited[s.Name] {
						visited[s.Name] = true
						collect(fragment.SelectionSet)
					}
				}
				for _, directive := range own {
					if directive.Name == "skip" || directive.Name == "include" {
						refuse(directive.Position, "a subscription must not have @%s at its root", directive.Name)
					}
				}
			}
		}
		collect(operation.SelectionSet)
	})
}
