package access_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
)

const directive = `
enum Access { SELF MANAGER VIEWER EDITOR ADMIN }
directive @access(read: [Access!], write: [Access!]) on OBJECT | FIELD_DEFINITION
`

// ruleAt returns a rule at Query.a, which has a directive.
func ruleAt(t *testing.T, directives string, action access.Action) (access.Rule, error) {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: directive + "type Query { a: Int " + directives + " }"})
	if err != nil {
		t.Fatal(err)
	}
	return access.RuleOf(schema.Query.Fields.ForName("a").Directives, "Query.a", action)
}

func TestARuleIsReadFromTheSchema(t *testing.T) {
	for _, c := range []struct {
		directive        string
		action           access.Action
		roles, relations []string
	}{
		{`@access(read: [SELF, EDITOR, MANAGER])`, access.Read, []string{"EDITOR"}, []string{"SELF", "MANAGER"}},
		{`@access(read: [SELF], write: [ADMIN])`, access.Write, []string{"ADMIN"}, nil},
		{`@access(read: [VIEWER, EDITOR, ADMIN])`, access.Read, []string{"VIEWER", "EDITOR", "ADMIN"}, nil},
		{`@access(read: EDITOR)`, access.Read, []string{"EDITOR"}, nil},
		{`@access(write: SELF)`, access.Write, nil, []string{"SELF"}},
	} {
		rule, err := ruleAt(t, c.directive, c.action)
		if err != nil || !rule.Given() || rule.Of != "Query.a" || rule.Action != c.action || !slices.Equal(rule.Roles, c.roles) || !slices.Equal(rule.Relations, c.relations) {
			t.Errorf("%s: got %+v and %v", c.directive, rule, err)
		}
		if want := strings.Join(append(slices.Clone(c.relations), c.roles...), ", "); rule.String() != want {
			t.Errorf("%s: want %q, got %q", c.directive, want, rule)
		}
	}
}

func TestARuleSaysWhatItNeeds(t *testing.T) {
	for want, r := range map[string]access.Rule{
		"the role EDITOR": {Roles: []string{"EDITOR"}},
		"the role EDITOR, or the relation SELF or MANAGER": {Roles: []string{"EDITOR"}, Relations: []string{"SELF", "MANAGER"}},
		"the relation SELF": {Relations: []string{"SELF"}},
	} {
		if got := r.Needs(); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestWhatNoDirectiveSaysIsNoRule(t *testing.T) {
	for _, d := range []string{"", `@access(write: [EDITOR])`, `@access(read: null, write: [EDITOR])`, `@deprecated`} {
		if rule, err := ruleAt(t, d, access.Read); err != nil || rule.Given() {
			t.Errorf("%q: got %+v and %v", d, rule, err)
		}
	}
}

func TestARuleThatNamesNobodyIsRefused(t *testing.T) {
	for _, c := range []struct {
		directive string
		want      []string
	}{
		{`@access(read: [])`, []string{"read of Query.a", "names nobody", "name a role or a relation, or leave read out"}},
		{`@access`, []string{"Query.a", "says nothing", "by read or write", "take it out"}},
	} {
		_, err := ruleAt(t, c.directive, access.Read)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", c.directive, want, err)
			}
		}
	}
	if _, err := ruleAt(t, `@access(read: [], write: [EDITOR])`, access.Write); err != nil {
		t.Errorf("the rule about writing: %v", err)
	}
}

func TestARoleMayWhatLesserOnesMay(t *testing.T) {
	order := []string{access.RoleViewer, access.RoleEditor, access.RoleAdmin}
	for i, role := range order {
		for j, least := range order {
			if got := access.HasRole(role, least); got != (i >= j) {
				t.Errorf("%s as %s: %t", role, least, got)
			}
			rule := access.Rule{Of: "User.phone", Action: access.Read, Roles: []string{least}, Relations: []string{"SELF"}}
			if got := (access.Roles{}).Allows(t.Context(), &access.Viewer{Role: role}, rule); got != (i >= j) {
				t.Errorf("%s by a rule for %s: %t", role, least, got)
			}
		}
		for _, other := range []string{"", "viewer", "OWNER"} {
			if access.HasRole(other, role) || access.HasRole(role, other) || access.HasRole(other, other) {
				t.Errorf("%q is no role, and has something to do with %s", other, role)
			}
		}
	}
	several := access.Rule{Of: "User.phone", Action: access.Read, Roles: []string{access.RoleAdmin, access.RoleEditor}}
	if !(access.Roles{}).Allows(t.Context(), &access.Viewer{Role: access.RoleEditor}, several) {
		t.Error("one of several roles is not enough")
	}
	if (access.Roles{}).Allows(t.Context(), &access.Viewer{Role: access.RoleAdmin, UserID: 1}, access.Rule{Of: "User.phone", Relations: []string{"SELF"}}) {
		t.Error("a role allows what a rule allows to a relation alone")
	}
}

func TestTheGreatestOfSomeNamesThatIsARoleCounts(t *testing.T) {
	for want, names := range map[string][]string{
		"":       {"admin", "OWNER", ""},
		"VIEWER": {"staff", "VIEWER"},
		"EDITOR": {"EDITOR", "VIEWER", "EDITOR"},
		"ADMIN":  {"VIEWER", "ADMIN", "EDITOR", "ROOT"},
	} {
		if got := access.GreatestRole(names); got != want {
			t.Errorf("%q: want %q, got %q", names, want, got)
		}
	}
	if got := access.GreatestRole(nil); got != "" {
		t.Errorf("of no names: %q", got)
	}
}

func TestAViewerIsWithinItsScopes(t *testing.T) {
	for _, scope := range []string{access.ScopeRead, access.ScopeWrite, access.ScopeSCIM, access.ScopeMetrics} {
		for _, c := range []struct {
			scopes []string
			want   bool
		}{{nil, true}, {[]string{}, false}, {[]string{scope}, true}, {[]string{"other", scope}, true}, {[]string{"other", scope + "s"}, false}} {
			if got := (&access.Viewer{Scopes: c.scopes}).Within(scope); got != c.want {
				t.Errorf("%s within %#v: %t", scope, c.scopes, got)
			}
		}
	}
}

func TestAContextHasItsOwnViewerOrNone(t *testing.T) {
	if v := access.ViewerOf(t.Context()); v != nil {
		t.Errorf("without one: %+v", v)
	}
	ada, ben := &access.Viewer{Subject: "user:1"}, &access.Viewer{Subject: "user:2"}
	outer := access.WithViewer(t.Context(), ada)
	inner := access.WithViewer(outer, ben)
	if access.ViewerOf(outer) != ada || access.ViewerOf(inner) != ben || access.ViewerOf(context.WithoutCancel(inner)) != ben {
		t.Error("a context has another's viewer")
	}
}

// may is what of a viewer says what it may see and do.
func may(v *access.Viewer) string {
	scopes := slices.Compact(slices.Sorted(slices.Values(v.Scopes)))
	return fmt.Sprintf("%#v %d %#v %t %#v", v.Subject, v.UserID, v.Role, v.Scopes == nil, append([]string{}, scopes...))
}

func TestTwoViewersShareAnIdentityIfTheyMayTheSame(t *testing.T) {
	texts := []string{"", "a", "ADMIN", "a\x00ADMIN", "a\x00", "\x00", `a"`, `"a" 0 "ADMIN"`, `a" 0 "ADMIN`, `\`, `\x00`, "a b", "\xff", `\xff`, "\ufffd", "é", "e\u0301", "\n", `\n`}
	var viewers []*access.Viewer
	for _, subject := range texts {
		for _, role := range append(texts, access.RoleViewer) {
			for _, id := range []int64{0, 1, 11} {
				viewers = append(viewers, &access.Viewer{Subject: subject, Role: role, UserID: id})
			}
			viewers = append(viewers, &access.Viewer{Subject: subject, Role: role, Scopes: []string{}})
			for _, scope := range texts {
				viewers = append(viewers, &access.Viewer{Subject: subject, Role: role, Scopes: []string{scope}}, &access.Viewer{Subject: subject, Role: role, Scopes: []string{scope, "read"}})
			}
		}
	}
	owners := map[string]string{}
	for _, v := range viewers {
		identity := v.Identity()
		if other, taken := owners[identity]; taken && other != may(v) {
			t.Fatalf("%s and %s share %q", other, may(v), identity)
		}
		owners[identity] = may(v)
	}
	one := &access.Viewer{Subject: "token:7", Role: access.RoleEditor, Scopes: []string{"read", "write"}}
	same := &access.Viewer{Subject: "token:7", Role: access.RoleEditor, Scopes: []string{"write", "read", "write"}, Expires: time.Now()}
	if one.Identity() != same.Identity() {
		t.Errorf("%q and %q may see and do the same", one.Identity(), same.Identity())
	}
	if !slices.Equal(same.Scopes, []string{"write", "read", "write"}) {
		t.Errorf("its scopes were changed to %q", same.Scopes)
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add("a", int64(0), "ADMIN", "read,write", "a\x00ADMIN", int64(0), "", "read")
	f.Add("a", int64(1), "", "-", "a", int64(1), "", "")
	f.Fuzz(func(t *testing.T, subject string, id int64, role, scopes, otherSubject string, otherID int64, otherRole, otherScopes string) {
		one := &access.Viewer{Subject: subject, UserID: id, Role: role, Scopes: split(scopes)}
		other := &access.Viewer{Subject: otherSubject, UserID: otherID, Role: otherRole, Scopes: split(otherScopes)}
		if same := one.Identity() == other.Identity(); same != (may(one) == may(other)) {
			t.Errorf("%s and %s: %q and %q", may(one), may(other), one.Identity(), other.Identity())
		}
	})
}

// split returns scopes: nil for -, none for nothing.
func split(text string) []string {
	switch text {
	case "-":
		return nil
	case "":
		return []string{}
	}
	return strings.Split(text, ",")
}
