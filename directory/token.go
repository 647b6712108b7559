package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// declareToken declares API tokens. They are no nodes: when one was last used is not in the log of changes, from which the ETags of nodes come.
func (d *Directory) declareToken() {
	t := d.tokens
	t.NoNode()
	entity.All(d.schema, "apiTokens", t)
	entity.Text(t, "name", func(t *model.APIToken) *string { return &t.Name }).Writable(model.CheckName)
	entity.Text(t, "role", func(t *model.APIToken) *string { return &t.Role }).Writable(checkTokenRole)
	entity.Texts(t, "scopes", func(t *model.APIToken) *model.Scopes { return &t.Scopes }).Writable(checkScopes)
	entity.One(t, "owner", d.users, func(t *model.APIToken) **int64 { return &t.OwnerID }).Writable(nil)
	entity.Time(t, "createdAt", func(t *model.APIToken) *time.Time { return &t.CreatedAt })
	entity.OptionalTime(t, "expiresAt", func(t *model.APIToken) **time.Time { return &t.ExpiresAt }).Writable(nil)
	entity.OptionalTime(t, "lastUsedAt", func(t *model.APIToken) **time.Time { return &t.LastUsedAt })
	entity.OptionalTime(t, "revokedAt", func(t *model.APIToken) **time.Time { return &t.RevokedAt })
	t.Accept("neverExpires", "Boolean")
	d.schema.AddFields(
		batch.Unplanned("CreateApiTokenPayload", "token"),
		batch.Path("CreateApiTokenPayload", "apiToken", func(p *model.CreateAPITokenPayload) *model.APIToken { return p.APIToken }),
		batch.Path("RevokeApiTokenPayload", "apiToken", func(p *model.RevokeAPITokenPayload) *model.APIToken { return p.APIToken }),
	)
}

// checkTokenRole returns the least role where none is given.
func checkTokenRole(role string) (string, error) {
	if role == "" {
		return access.RoleViewer, nil
	}
	if !access.HasRole(role, access.RoleViewer) {
		return "", apierror.BadInput("role", "role must be VIEWER, EDITOR or ADMIN, not %q", apierror.Clip(role))
	}
	return role, nil
}

// Scopes are all that a token may have, in the form that the API shows and in the order in which they are stored.
func Scopes() model.Scopes {
	all := model.Scopes{access.ScopeRead, access.ScopeWrite, access.ScopeSCIM, access.ScopeMetrics}
	for i, scope := range all {
		all[i] = strings.ToUpper(scope)
	}
	return all
}

// checkScopes returns scopes in order, each once.
func checkScopes(given model.Scopes) (checked model.Scopes, err error) {
	all := Scopes()
	for i, scope := range given {
		if !slices.Contains(all, scope) {
			return nil, apierror.BadInput(fmt.Sprintf("scopes.%d", i), "a scope must be one of %s, not %q", strings.Join(all, ", "), apierror.Clip(scope))
		}
	}
	return slices.DeleteFunc(all, func(scope string) bool { return !slices.Contains(given, scope) }), nil
}

// NewAPIToken returns the token that an input describes, checked, without what makes it a secret. Its scopes and the time at which it expires are those
// that the input gives. The error is BAD_USER_INPUT, for each field one.
func (d *Directory) NewAPIToken(input entity.Input) (*model.APIToken, error) {
	return d.tokens.New(input)
}

// AddAPIToken stores a new token. The error is BAD_USER_INPUT where its owner is not there, or is deactivated.
func (d *Directory) AddAPIToken(ctx context.Context, token *model.APIToken) error {
	if id := token.OwnerID; id != nil {
		users, err := d.users.Read(ctx, []int64{*id}, "")
		if err != nil {
			return err
		}
		if users[*id] == nil {
			return apierror.BadInput("ownerId", "%s", d.users.Missing(*id).Message)
		}
		if users[*id].Status != model.StatusActive {
			return apierror.BadInput("ownerId", "%s is deactivated, and tokens of those who are open nothing", model.UserID(*id))
		}
	}
	err := insert(ctx, d, d.tokens, []*model.APIToken{token})
	if dialect.Is(err, dialect.ForeignKey) { // nothing else is referred to
		return &apierror.Error{Code: apierror.CodeBadUserInput, Field: "ownerId", Err: err, Message: "the owner has been deleted"}
	}
	return err
}

// RevokeAPIToken revokes a token, unless that was done before, and returns it. The error is NOT_FOUND.
func (d *Directory) RevokeAPIToken(ctx context.Context, id int64) (*model.APIToken, error) {
	there, err := d.tokens.Read(ctx, []int64{id}, dialect.OfDB(session.DB(ctx)).ForNoKeyUpdate())
	if err != nil {
		return nil, err
	}
	before := there[id]
	if before == nil {
		return nil, blamed("id", apierror.NotFound("there is no API token %s", model.APITokenID(id)))
	}
	if before.RevokedAt != nil {
		return before, nil
	}
	row := *before
	if err := updateAs(ctx, d, d.tokens, []edit[model.APIToken]{{before: before, row: &row}}, model.Revoked); err != nil {
		return nil, err
	}
	return &row, nil
}

// APITokens reads all tokens, by their numbers.
func (d *Directory) APITokens(ctx context.Context) ([]*model.APIToken, error) {
	return d.tokens.Where(ctx, "1 = 1 ORDER BY id")
}

// removeTokensOf removes the tokens of users, in a mutation that changes some objects beside, and returns how many it changes with these. The error is
// BAD_USER_INPUT where that is more than one may.
func (d *Directory) removeTokensOf(ctx context.Context, e *entries, changed int, users []int64) (int, error) {
	return removeBelongings[model.APIToken](ctx, d, d.tokens, e, changed, "owner_id", users, "delete users who have API tokens in parts")
}
