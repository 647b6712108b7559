package directory

import (
	"context"
	"strings"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/scalar"
)

// What a viewer who is a user may be to an object.
const (
	self    = "SELF"
	manager = "MANAGER"
	owner   = "OWNER"
)

// declareAccess declares what viewers are to objects, and what they are told of themselves.
func (d *Directory) declareAccess() {
	d.users.Related(func(u *model.User) *access.Relations { return &u.Relations })
	d.teams.Related(func(t *model.Team) *access.Relations { return &t.Relations })
	d.memberships.Related(func(m *model.Membership) *access.Relations { return &m.Relations })
	d.users.Self(self)
	d.users.RelateAbove(manager, "manager_id")
	const owned = "SELECT o.team_id FROM memberships o WHERE o.user_id = ? AND o.role = 'OWNER'"
	d.teams.Relate(owner, func(user int64) keyset.Condition { return keyset.Among("t.id", owned, user) })
	d.memberships.Relate(owner, func(user int64) keyset.Condition { return keyset.Among("t.team_id", owned, user) })
	entity.ViewerCan(d.users, "viewerCanUpdate", "viewerCanDelete")
	entity.ViewerCan(d.teams, "viewerCanUpdate", "viewerCanDelete")

	const viewer = "Viewer"
	type v = *model.Viewer
	d.schema.AddFields(
		batch.Relation("Query", "viewer", batch.NewSource(func(ctx context.Context, _ []struct{}, _ batch.Columns) (map[struct{}]*model.Viewer, error) {
			return map[struct{}]*model.Viewer{{}: viewerOf(ctx)}, nil
		}), batch.Key(func(batch.Root) (struct{}, bool) { return struct{}{}, true })),
		batch.Relation(viewer, "user", d.users.ByID(), batch.Key(func(v v) (int64, bool) {
			if v.UserID == nil {
				return 0, false
			}
			return *v.UserID, true
		})),
		batch.Value(viewer, "role", func(b []byte, v v) []byte { return scalar.AppendOptional(b, v.Role) }).As("String"),
		batch.Value(viewer, "scopes", appendScopes),
	)
}

// appendScopes appends what a viewer is bounded to.
func appendScopes(b []byte, v *model.Viewer) []byte {
	if v.Scopes == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, scope := range v.Scopes {
		if i > 0 {
			b = append(b, ',')
		}
		b = scalar.AppendString(b, strings.ToUpper(scope))
	}
	return append(b, ']')
}

// viewerOf returns whose request a context belongs to. Who serves without asking who sends a request serves everybody as one who may do everything.
func viewerOf(ctx context.Context) *model.Viewer {
	role := access.RoleAdmin
	v := access.ViewerOf(ctx)
	if v == nil {
		return &model.Viewer{Role: &role}
	}
	shown := &model.Viewer{Scopes: v.Scopes}
	if role = v.Role; role != "" {
		shown.Role = &role
	}
	if v.UserID != 0 {
		shown.UserID = &v.UserID
	}
	return shown
}
