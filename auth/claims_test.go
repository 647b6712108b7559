package auth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestRolesAreFoundAtAPath(t *testing.T) {
	var all map[string]any
	if err := json.Unmarshal([]byte(`{
		"roles": ["admin", "staff member"],
		"role": "staff member",
		"groups": "a b",
		"scope": "read  write",
		"scp": ["read", "write all"],
		"https://example.com/roles": ["url"],
		"https://example.com/access": {"roles": ["within url"]},
		"realm_access": {"roles": ["realm"], "x.y": {"roles": ["dotted"]}},
		"resource_access": {"my.client": {"roles": ["client"]}, "my": {"roles": "other"}},
		"a.b": ["whole name"], "a": {"b": ["path"]},
		"mixed": ["one", 2, null, "", ["three"], {"four": 4}],
		"number": 1, "nothing": null, "empty": "", "object": {"admin": true}
	}`), &all); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"":                                 nil,
		"roles":                            {"admin", "staff member"},
		"Roles":                            nil,
		"role":                             {"staff member"},
		"groups":                           {"a b"},
		"scope":                            {"read", "write"},
		"scp":                              {"read", "write all"},
		"https://example.com/roles":        {"url"},
		"https://example.com/access.roles": {"within url"},
		"realm_access.roles":               {"realm"},
		"realm_access.x.y.roles":           {"dotted"},
		"resource_access.my.client.roles":  {"client"},
		"resource_access.my.roles":         {"other"},
		"a.b":                              {"whole name"},
		"mixed":                            {"one"},
		"number":                           nil,
		"nothing":                          nil,
		"empty":                            nil,
		"object":                           nil,
		"missing":                          nil,
		"realm_access":                     nil,
		"realm_access.":                    nil,
		".roles":                           nil,
		"roles.admin":                      nil,
	} {
		if got := (claims{all: all}).roles(path); !slices.Equal(got, want) {
			t.Errorf("%s: %q instead of %q", path, got, want)
		}
	}
}

func TestWhatATokenSaysIsCutShortInALog(t *testing.T) {
	err := refuse("a reason", "short", strings.Repeat("\x00é", 5000))
	if len(err.Detail) > 210 || !strings.HasPrefix(err.Detail, `["short" "\x00é`) || !strings.HasSuffix(err.Detail, "…") || err.Reason != "a reason" {
		t.Errorf("%q, %d bytes", err.Detail, len(err.Detail))
	}
	if err := refuse("a reason"); err.Error() != "a reason" {
		t.Errorf("without a detail: %v", err)
	}
}
