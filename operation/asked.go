package operation

import (
	"context"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/apierror"
	"rollcall/idempotency"
)

// asked is what a mutation asks for besides its fields.
type asked struct {
	key    string // its idempotency key; "": none
	dryRun bool   // its answer, and nothing of it stored
}

// askedOf returns what an operation asks for, as MutateOperationContext has noted it.
func askedOf(oc *graphql.OperationContext) asked {
	a, _ := oc.Stats.GetExtension(extensionName).(asked)
	return a
}

// Validate notes which mutations can be asked for a dry run. It accepts every schema.
func (i *interceptor) Validate(es graphql.ExecutableSchema) error {
	i.schema = es.Schema()
	i.dryRuns = map[string]bool{}
	if i.schema.Mutation == nil {
		return nil
	}
	for _, field := range i.schema.Mutation.Fields {
		name, below, _ := strings.Cut(i.DryRun, ".")
		argument := field.Arguments.ForName(name)
		i.dryRuns[field.Name] = argument != nil && i.has(argument.Type, below)
	}
	return nil
}

// has reports whether there is a path of input fields below a type.
func (i *interceptor) has(of *ast.Type, path string) bool {
	if path == "" {
		return true
	}
	name, below, _ := strings.Cut(path, ".")
	field := i.schema.Types[of.Name()].Fields.ForName(name)
	return field != nil && of.Elem == nil && i.has(field.Type, below)
}

// MutateOperationContext notes what a mutation asks for, or refuses it.
func (i *interceptor) MutateOperationContext(ctx context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	if oc.Operation.Operation != ast.Mutation {
		return nil
	}
	var a asked
	var err error
	if a.key, err = i.keyOf(ctx, oc); err == nil && a.key != "" {
		err = i.refuseUnkept(oc)
	}
	if err == nil {
		a.dryRun, err = i.isDryRun(oc)
	}
	if err != nil {
		return public(err)
	}
	if a != (asked{}) {
		oc.Stats.SetExtension(extensionName, a)
	}
	return nil
}

// keyOf returns a mutation's idempotency key, by the directive or the request's header; "": it has none.
func (i *interceptor) keyOf(ctx context.Context, oc *graphql.OperationContext) (key string, err error) {
	var header []string
	if r := fromContext(ctx); r != nil {
		header = r.keys
	}
	directive := oc.Operation.Directives.ForName("idempotent")
	switch {
	case i.Keys == nil && directive != nil:
		return "", apierror.BadInput("", "the server keeps no idempotency keys: leave @idempotent out, and expect a mutation that is sent again to run again")
	case i.Keys == nil, directive == nil && len(header) == 0:
		return "", nil
	case directive != nil:
		key, _ = directive.ArgumentMap(oc.Variables)["key"].(string)
		if err := idempotency.Check(key); err != nil || len(header) == 0 {
			return key, err
		}
	}
	sent, err := idempotency.Parse(header)
	if err == nil && directive != nil && sent != key {
		err = apierror.BadInput("", "the header %s and @idempotent have two keys: send one", idempotency.Header)
	}
	return sent, err
}

// refuseUnkept refuses a mutation with a key whose answer must not be kept.
func (i *interceptor) refuseUnkept(oc *graphql.OperationContext) error {
	if len(i.Unkept) == 0 {
		return nil
	}
	for _, field := range graphql.CollectFields(oc, oc.Operation.SelectionSet, []string{i.schema.Mutation.Name}) {
		if slices.Contains(i.Unkept, field.Name) {
			return apierror.BadInput("", "%s takes no idempotency key: its answer has a secret, and is not kept. Send it without one; if the answer is lost, undo what it has done", field.Name)
		}
	}
	return nil
}

// isDryRun reports whether a mutation asks for a dry run. Either each of its fields does, or none.
func (i *interceptor) isDryRun(oc *graphql.OperationContext) (bool, error) {
	if i.DryRun == "" {
		return false, nil
	}
	var dry, other string
	for _, field := range graphql.CollectFields(oc, oc.Operation.SelectionSet, []string{i.schema.Mutation.Name}) {
		switch {
		case strings.HasPrefix(field.Name, "__"):
		case i.asksDryRun(field.Field, oc.Variables):
			dry = field.Alias
		default:
			other = field.Alias
		}
	}
	if dry != "" && other != "" {
		return false, apierror.BadInput(i.DryRun, "a dry run is one of the whole mutation: %s has %s: true and %s has not, so send them apart",
			apierror.Clip(dry), i.DryRun, apierror.Clip(other))
	}
	return dry != "", nil
}

// asksDryRun reads an argument as the engine does, with variables and defaults.
func (i *interceptor) asksDryRun(field *ast.Field, variables map[string]any) bool {
	if !i.dryRuns[field.Name] {
		return false
	}
	argument, path, _ := strings.Cut(i.DryRun, ".")
	value := field.ArgumentMap(variables)[argument]
	within := field.Definition.Arguments.ForName(argument).Type
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		def := i.schema.Types[within.Name()].Fields.ForName(name)
		object, _ := value.(map[string]any)
		if given, ok := object[name]; ok || object == nil || def.DefaultValue == nil {
			value = given
		} else {
			value, _ = def.DefaultValue.Value(nil) // which the schema's validation has read
		}
		within = def.Type
	}
	return value == true
}
