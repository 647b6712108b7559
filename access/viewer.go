// Package access says who may do what. A Viewer is who sends a request; a Rule, which the schema has in its directive @access, says
// which roles and relations to an object let somebody read or write. A Policy decides on roles: Roles is the usual one, and a policy of
// another system takes its place.
//
// What may be seen of objects is decided where they are read, by package entity; who somebody is, by whoever puts a Viewer into the
// context.
package access

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The roles, each of which may do what those before it may.
const (
	RoleViewer = "VIEWER"
	RoleEditor = "EDITOR"
	RoleAdmin  = "ADMIN"
)

// roles are all of them, from the least to the greatest.
var roles = []string{RoleViewer, RoleEditor, RoleAdmin}

// The scopes that a viewer may be bounded to, whatever its role.
const (
	ScopeRead    = "read"    // queries and subscriptions
	ScopeWrite   = "write"   // mutations
	ScopeSCIM    = "scim"    // provisioning
	ScopeMetrics = "metrics" // the metrics
)

// The subjects of viewers without credentials, who may be anybody.
const (
	Anonymous = "anonymous"
	Local     = "local" // a program of the server's own machine
)

// TokenSubject is what the subject of an API token's viewer begins with; the token's number follows.
const TokenSubject = "token:"

// Viewer is who sends a request.
type Viewer struct {
	// Subject names the viewer for logs, limits and the log of changes, such as "user:42", "token:7", "proxy:ada" or "anonymous". Two viewers
	// never share one.
	Subject string
	UserID  int64     // the number of the user who this is; 0: none
	Role    string    // "": none, so that only relations allow anything
	Scopes  []string  // what the viewer is bounded to; nil: nothing
	Expires time.Time // from then on it is not the viewer any more; zero: never
}

// Named reports whether the viewer has said who it is.
func (v *Viewer) Named() bool { return v.Subject != Anonymous && v.Subject != Local }

// Within reports whether the viewer's scopes allow one.
func (v *Viewer) Within(scope string) bool {
	return v.Scopes == nil || slices.Contains(v.Scopes, scope)
}

// Identity is a text that two viewers share if and only if they may see and do the same: for what is kept for a viewer. Until when they may
// is not in it.
func (v *Viewer) Identity() string {
	text := fmt.Sprintf("%q %d %q", v.Subject, v.UserID, v.Role)
	if v.Scopes != nil {
		text += fmt.Sprintf(" %q", slices.Compact(slices.Sorted(slices.Values(v.Scopes))))
	}
	return text
}

// HasRole reports whether a role is another one, or more.
func HasRole(role, atLeast string) bool {
	least := slices.Index(roles, atLeast)
	return least >= 0 && slices.Index(roles, role) >= least
}

// GreatestRole returns the greatest of some names that is a role; "": none is.
func GreatestRole(names []string) (greatest string) {
	for _, role := range roles {
		if slices.Contains(names, role) {
			greatest = role
		}
	}
	return greatest
}

type viewerKey struct{}

// WithViewer returns a context whose requests are a viewer's.
func WithViewer(ctx context.Context, v *Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// ViewerOf returns whose request a context belongs to. nil: it is the program's own work, which may do everything.
func ViewerOf(ctx context.Context) *Viewer {
	v, _ := ctx.Value(viewerKey{}).(*Viewer)
	return v
}

// IdentityOf returns the Identity of a context's viewer; "": there is none.
func IdentityOf(ctx context.Context) string {
	if v := ViewerOf(ctx); v != nil {
		return v.Identity()
	}
	return ""
}
