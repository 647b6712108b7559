// Package validation checks what clients send as strictly as the GraphQL specification asks, where gqlparser does not:
// documents by [Rules], and by [Request] what is to be run of them.
package validation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/scalar"
)

// Rules returns the rules for documents: those of the specification, with what gqlparser forgets of them.
func Rules() *rules.Rules {
	all := rules.NewDefaultRules()
	all.ReplaceRule(rules.SingleFieldSubscriptionsRule.Name, oneField)
	all.AddRule("StrictLiterals", strictLiterals)
	return all
}

// WithoutIntrospection returns [Rules], and one by which no document may ask for the schema.
func WithoutIntrospection() *rules.Rules {
	all := Rules()
	all.AddRule("NoIntrospection", func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnField(func(_ *core.Walker, field *ast.Field) {
			if field.Name == "__schema" || field.Name == "__type" {
				addError(core.Message("there is no introspection here"), core.At(field.Position))
			}
		})
	})
	return all
}

// strictLiterals is the rule that literals fit their types where gqlparser does not look: an Int has 32 bits, and {} is no scalar.
func strictLiterals(observers *core.Events, addError core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Kind == ast.ListValue || value.Kind == ast.ObjectValue {
			// By this alone gqlparser decides whether two fields have the same argument, and may become one.
			value.Raw = canonical(value)
		}
		def := value.Definition
		switch {
		case def == nil || def.Kind == ast.InputObject:
			return
		case value.Kind == ast.IntValue && def.Name == "ID":
			if _, err := strconv.ParseInt(value.Raw, 10, 64); err != nil { // gqlparser has no other integers
				value.Kind = ast.StringValue // which is the same ID
			}
			return
		case value.Kind == ast.IntValue && def.Name == "Int", value.Kind == ast.ObjectValue && len(value.Children) == 0:
		default:
			return
		}
		if v, err := value.Value(nil); err == nil {
			if err := scalar.Check(def.Name, v); err != nil {
				addError(core.Message("%s", err), core.At(value.Position))
			}
		}
	})
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
		if operation.Operation == ast.Subscription {
			(&root{fragments: fragments{walker.Document, map[string]bool{}}, addError: addError}).collect(operation.SelectionSet)
		}
	})
}

// root is what a subscription selects.
type root struct {
	fragments
	key      string // the first response key
	addError core.AddErrFunc
}

func (r *root) collect(selections ast.SelectionSet) {
	for _, selection := range selections {
		field, directives, below := r.parts(selection)
		switch {
		case field == nil:
		case strings.HasPrefix(field.Name, "__"):
			r.refuse(field.Position, "a subscription must not select %s at its root", field.Name)
		case r.key == "":
			r.key = field.Alias
		case r.key != field.Alias:
			r.refuse(field.Position, "a subscription must select one field at its root, and not %q beside %q", field.Alias, r.key)
		}
		r.collect(below)
		for _, directive := range directives {
			if directive.Name == "skip" || directive.Name == "include" {
				r.refuse(directive.Position, "a subscription must not have @%s at its root", directive.Name)
			}
		}
	}
}

func (r *root) refuse(at *ast.Position, format string, args ...any) {
	r.addError(core.Message(format, args...), core.At(at))
}

// fragments spreads those of a document, each once.
type fragments struct {
	doc    *ast.QueryDocument
	spread map[string]bool // by name
}

// parts returns a selection's directives and, unless it is the field that it returns, what the fragment selects.
func (f fragments) parts(selection ast.Selection) (field *ast.Field, directives ast.DirectiveList, selected ast.SelectionSet) {
	switch s := selection.(type) {
	case *ast.Field:
		return s, s.Directives, nil
	case *ast.InlineFragment:
		return nil, s.Directives, s.SelectionSet
	case *ast.FragmentSpread:
		directives = s.Directives
		if fragment := f.doc.Fragments.ForName(s.Name); fragment != nil && !f.spread[s.Name] {
			f.spread[s.Name] = true
			selected = fragment.SelectionSet
		}
	}
	return nil, directives, selected
}
