package entity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/access"
	"rollcall/apierror"
)

// Access is the gqlgen extension that refuses, before anything of it runs, an operation with something that its viewer may not do: a mutation or a subscription, or
// to filter, sort or find by what is hidden, which would tell what that is. The error is FORBIDDEN.
type Access struct{ *Schema }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = Access{}

// ExtensionName names the extension in gqlgen's statistics.
func (Access) ExtensionName() string { return "Access" }

// Validate refuses a schema whose rules nobody has taken over: the plan does, which is validated before.
func (a Access) Validate(es graphql.ExecutableSchema) error {
	if a.ruled != es.Schema() {
		return errors.New("entity: nobody heeds the rules of the schema: use the plan before Access")
	}
	return nil
}

// MutateOperationContext refuses an operation.
func (a Access) MutateOperationContext(ctx context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	if access.ViewerOf(ctx) == nil {
		return nil
	}
	w := &accessWalk{Schema: a.Schema, ctx: ctx, oc: oc, fragments: map[string]bool{}}
	w.visit(oc.Operation.SelectionSet, nil)
	return w.refused
}

// accessWalk looks for what a viewer may not do in one operation. It visits each fragment once, wherever it is spread.
type accessWalk struct {
	*Schema
	ctx       context.Context
	oc        *graphql.OperationContext
	fragments map[string]bool
	refused   *gqlerror.Error // the first that was found
}

func (w *accessWalk) visit(set ast.SelectionSet, path ast.Path) {
	for _, selected := range set {
		switch s := selected.(type) {
		case *ast.Field:
			below := append(slices.Clip(path), ast.PathName(s.Alias))
			if err := w.check(s); err != nil && w.refused == nil {
				w.refused = &gqlerror.Error{
					Message: err.Message, Path: below, Locations: []gqlerror.Location{{Line: s.Position.Line, Column: s.Position.Column}},
					Extensions: map[string]any{"code": err.Code},
				}
				if err.Field != "" {
					w.refused.Extensions["field"] = err.Field
				}
			}
			w.visit(s.SelectionSet, below)
		case *ast.InlineFragment:
			w.visit(s.SelectionSet, path)
		case *ast.FragmentSpread:
			if !w.fragments[s.Name] {
				w.fragments[s.Name] = true
				w.visit(w.oc.Doc.Fragments.ForName(s.Name).SelectionSet, path)
			}
		}
	}
}

// check returns why a field is refused, or nil.
func (w *accessWalk) check(f *ast.Field) *apierror.Error {
	if strings.HasPrefix(f.Name, "__") { // it tells of the schema, whatever it stands beside
		return nil
	}
	of, name := f.ObjectDefinition.Name, f.ObjectDefinition.Name+"."+f.Name
	rule := w.roots[name]
	if w.oc.Operation.Operation == ast.Mutation && f.ObjectDefinition == w.ruled.Mutation && !rule.Given() {
		rule = access.EditorWrites(name)
	}
	if f.ObjectDefinition != w.ruled.Query && rule.Given() && !w.enters(w.ctx, rule) {
		return apierror.Forbidden("", "%s needs %s", f.Name, rule.Needs())
	}
	if len(f.Definition.Arguments) == 0 {
		return nil
	}
	args := f.ArgumentMap(w.oc.Variables)
	if list := w.listAt(of, f.Name); list != nil {
		return cmp.Or(w.checkSearch(list, args[queryArgument]), w.checkOrder(list, args[orderArgument]), w.checkFilter(list.of, filterArgument, args[filterArgument]))
	}
	for _, argument := range slices.Sorted(maps.Keys(args)) {
		if err := w.checkUse(f.Definition.Type.Name(), argument, argument, "find"); err != nil {
			return err
		}
	}
	return nil
}

// listAt returns the list that a field is; nil: it is none.
func (s *Schema) listAt(typ, field string) *list {
	if i := slices.IndexFunc(s.lists, func(l *list) bool { return l.typ == typ && l.field == field }); i >= 0 {
		return s.lists[i]
	}
	return nil
}

func (w *accessWalk) checkOrder(l *list, value any) *apierror.Error {
	input, _ := value.(map[string]any)
	name, _ := input["field"].(string)
	return cmp.Or(w.checkUse(l.of, fieldName(name), orderArgument, "sort"), w.checkUse(l.edge, fieldName(name), orderArgument, "sort"))
}

// checkSearch refuses to search what tells, by what begins with a query, the values of a field. What other words tell is for who declares them.
func (w *accessWalk) checkSearch(l *list, query any) *apierror.Error {
	of := w.objectOf(l.of)
	if query == nil || of == nil || l.Words == nil {
		return nil
	}
	for _, f := range of.fields {
		if slices.Contains(f.columns(), strings.TrimPrefix(l.Words.Name, "t.")) {
			return w.checkUse(l.of, f.name, queryArgument, "search")
		}
	}
	return nil
}

// checkFilter looks through a filter of objects of a type, and those within it. It takes values as filterReader does: else one that is read would be looked past.
func (w *accessWalk) checkFilter(typ, path string, value any) *apierror.Error {
	filter, _ := value.(map[string]any)
	for _, field := range slices.Sorted(maps.Keys(filter)) {
		at := path + "." + field
		var err *apierror.Error
		switch field {
		case "and", "or":
			for i, one := range graphql.CoerceList(filter[field]) {
				err = cmp.Or(err, w.checkFilter(typ, fmt.Sprintf("%s.%d", at, i), one))
			}
		case "not":
			err = w.checkFilter(typ, at, filter[field])
		default:
			err = cmp.Or(w.checkUse(typ, field, at, "filter"), w.checkAbout(typ, field, at))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkUse refuses to use a field of a type for what would tell its values.
func (w *accessWalk) checkUse(typ, field, at, use string) *apierror.Error {
	of := w.objectOf(typ)
	if of == nil {
		return nil
	}
	return w.checkRule(of, of.readRule(field), at, use, field)
}

// checkAbout refuses to filter by a relation to objects of which not all are there for the viewer: it would tell which there are.
func (w *accessWalk) checkAbout(typ, field, at string) *apierror.Error {
	for _, f := range w.filters[typ] {
		if f.name != field {
			continue
		}
		for _, about := range f.about {
			if of := w.objectOf(about); of != nil {
				if err := w.checkRule(of, of.readable, at, "filter", field); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *accessWalk) checkRule(of *objectBase, rule access.Rule, at, use, field string) *apierror.Error {
	switch {
	case of.allows(w.ctx, rule):
		return nil
	case len(rule.Roles) == 0:
		return apierror.Forbidden(at, "nobody may %s by %s: to read it needs %s", use, field, rule.Needs())
	}
	return apierror.Forbidden(at, "to %s by %s needs %s", use, field, access.Rule{Roles: rule.Roles}.Needs())
}
