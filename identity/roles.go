package identity

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/access"
)

// Roles says which names, of providers and proxies, stand for which roles. A role that has names here is given by these alone; another
// one by its own name.
type Roles map[string][]string

// ParseRoles reads mappings such as ADMIN=directory-admins. Each text may hold several, with ; between them.
func ParseRoles(texts []string) (Roles, error) {
	roles := Roles{}
	for text := range strings.SplitSeq(strings.Join(texts, ";"), ";") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		role, name, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%q is no role and a name: write one such as ADMIN=directory-admins", text)
		}
		if role = strings.TrimSpace(role); access.GreatestRole([]string{role}) == "" {
			return nil, fmt.Errorf("%q is no role: there are VIEWER, EDITOR and ADMIN", role)
		}
		if !slices.Contains(roles[role], name) {
			roles[role] = append(roles[role], name)
		}
	}
	return roles, nil
}

// greatest returns the greatest role that some names stand for, and VIEWER where none does: that is everybody's who has logged in.
func (r Roles) greatest(names []string) string {
	found := []string{access.RoleViewer}
	for _, role := range []string{access.RoleEditor, access.RoleAdmin} {
		own := r[role]
		if own == nil {
			own = []string{role}
		}
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(own, name) }) {
			found = append(found, role)
		}
	}
	return access.GreatestRole(found)
}
