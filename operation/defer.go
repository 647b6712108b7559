package operation

import (
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// inlineDeferred lets an operation answer as if it deferred nothing.
func inlineDeferred(oc *graphql.OperationContext) {
	editDirectives(oc, func(directives ast.DirectiveList) ast.DirectiveList {
		return slices.DeleteFunc(slices.Clone(directives), isDefer)
	})
}

// labelDeferred gives each @defer of an operation a label of its own, its index in what is returned: the
// label that the client gave it. A field that is deferred twice under one label has gqlgen wait for it twice, so for ever.
func labelDeferred(oc *graphql.OperationContext) (labels []string) {
	editDirectives(oc, func(directives ast.DirectiveList) ast.DirectiveList {
		i := slices.IndexFunc(directives, isDefer)
		if i < 0 {
			return directives
		}
		own := *directives[i]
		label, _ := own.ArgumentMap(oc.Variables)["label"].(string)
		own.Arguments = append(slices.DeleteFunc(slices.Clone(own.Arguments), func(a *ast.Argument) bool { return a.Name == "label" }),
			&ast.Argument{Name: "label", Value: &ast.Value{Kind: ast.StringValue, Raw: strconv.Itoa(len(labels))}})
		labels = append(labels, label)
		directives = slices.Clone(directives)
		directives[i] = &own
		return directives
	})
	return labels
}

func isDefer(d *ast.Directive) bool { return d.Name == "defer" }

// editDirectives edits the directives of an operation's fragments. The document is shared with other
// operations, so that what has to change in it is copied.
func editDirectives(oc *graphql.OperationContext, edit func(ast.DirectiveList) ast.DirectiveList) {
	if !strings.Contains(oc.RawQuery, "defer") { // it may stand as "@ defer"
		return
	}
	doc := *oc.Doc
	doc.Fragments = nil
	for _, f := range oc.Doc.Fragments {
		fragment := *f
		fragment.SelectionSet = edited(f.SelectionSet, edit)
		doc.Fragments = append(doc.Fragments, &fragment)
	}
	operation := *oc.Operation
	operation.SelectionSet = edited(oc.Operation.SelectionSet, edit)
	oc.Doc, oc.Operation = &doc, &operation
}

// edited returns a copy of a selection set, with the directives of its fragments edited.
func edited(set ast.SelectionSet, edit func(ast.DirectiveList) ast.DirectiveList) ast.SelectionSet {
	copied := make(ast.SelectionSet, len(set))
	for i, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			field := *s
			field.SelectionSet = edited(s.SelectionSet, edit)
			copied[i] = &field
		case *ast.InlineFragment:
			fragment := *s
			fragment.SelectionSet, fragment.Directives = edited(s.SelectionSet, edit), edit(s.Directives)
			copied[i] = &fragment
		case *ast.FragmentSpread:
			spread := *s
			spread.Directives = edit(s.Directives)
			copied[i] = &spread
		}
	}
	return copied
}
