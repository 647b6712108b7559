package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Directive is the name of the directive that has rules in a schema:
//
//	directive @access(read: [Access!], write: [Access!]) on OBJECT | FIELD_DEFINITION
//
// The values of its enum are roles, and relations that the viewer may have to an object.
const Directive = "access"

// Action is what a rule is about.
type Action string

// The actions.
const (
	Read  Action = "read"
	Write Action = "write"
)

// Rule is who may do something. The zero Rule is none: it leaves the matter to others.
type Rule struct {
	Of        string   // what it stands at in the schema, such as User or User.phone
	Action    Action   // what it allows
	Roles     []string // one of these is enough
	Relations []string // so is one of these to the object
}

// Given reports whether there is a rule.
func (r Rule) Given() bool { return r.Of != "" }

// String says whom the rule allows it, as text for people.
func (r Rule) String() string { return strings.Join(slices.Concat(r.Relations, r.Roles), ", ") }

// Needs says what the rule asks for, as the end of a sentence about what was refused. A greater role does too.
func (r Rule) Needs() string {
	var text []string
	for _, of := range []struct {
		what  string
		names []string
	}{{"role", r.Roles}, {"relation", r.Relations}} {
		if len(of.names) > 0 {
			text = append(text, "the "+of.what+" "+strings.Join(of.names, " or "))
		}
	}
	return strings.Join(text, ", or ")
}

// RuleOf returns the rule about an action that directives have at a place of the schema.
func RuleOf(directives ast.DirectiveList, of string, action Action) (Rule, error) {
	d := directives.ForName(Directive)
	if d == nil {
		return Rule{}, nil
	}
	if len(d.Arguments) == 0 {
		return Rule{}, fmt.Errorf("access: the rule of %s says nothing: say by read or write who may do that, or take it out", of)
	}
	argument := d.Arguments.ForName(string(action))
	if argument == nil || argument.Value.Kind == ast.NullValue {
		return Rule{}, nil
	}
	names := []string{argument.Value.Raw} // GraphQL takes one value for a list of one
	if argument.Value.Kind == ast.ListValue {
		names = nil
		for _, child := range argument.Value.Children {
			names = append(names, child.Value.Raw)
		}
	}
	r := Rule{Of: of, Action: action}
	for _, name := range names {
		if slices.Contains(roles, name) {
			r.Roles = append(r.Roles, name)
		} else {
			r.Relations = append(r.Relations, name)
		}
	}
	if len(names) == 0 {
		return r, fmt.Errorf("access: the rule about %s of %s names nobody: name a role or a relation, or leave %[1]s out", action, of)
	}
	return r, nil
}

// Describe says in a sentence or two what the rules at a place of a schema are; "": there are none.
func Describe(directives ast.DirectiveList) string {
	var text []string
	for _, of := range []struct {
		action Action
		said   string
	}{{Read, "Read by "}, {Write, "Written by "}} {
		if rule, err := RuleOf(directives, "", of.action); err == nil && len(rule.Roles)+len(rule.Relations) > 0 {
			text = append(text, of.said+rule.String()+" alone.")
		}
	}
	return strings.Join(text, " ")
}

// Relations are what a viewer is to an object, as far as that was read: a bit for each of them, in the order of their declarations.
type Relations uint8

// Policy decides what a viewer may do whatever the object is, by role or otherwise: relations to the object may allow more. It is asked often.
type Policy interface {
	Allows(ctx context.Context, viewer *Viewer, rule Rule) bool
}

// Roles is the policy of roles: a viewer may do what a rule allows to the viewer's role, or to a lesser one.
type Roles struct{}

// Allows implements Policy.
func (Roles) Allows(_ context.Context, viewer *Viewer, rule Rule) bool {
	return slices.ContainsFunc(rule.Roles, func(least string) bool { return HasRole(viewer.Role, least) })
}

// EditorWrites is the rule about writing what no other rule is about.
func EditorWrites(of string) Rule {
	return Rule{Of: of, Action: Write, Roles: []string{RoleEditor}}
}
