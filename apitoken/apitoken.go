package apitoken

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/auth"
	"rollcall/dialect"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/scalar"
	"rollcall/session"
)

const (
	usualLife = 90 * 24 * time.Hour
	// MaxLife is how long a token may live that does not live for ever: 10 years.
	MaxLife = 3653 * 24 * time.Hour
)

// Tokens are the API tokens at one database. They are safe for concurrent use.
type Tokens struct {
	// Directory has the tokens, for Create, List, Find and Revoke, which run in a session.
	Directory *directory.Directory

	// Reads is the pool by which Viewer and Valid look for tokens, and Writes the one by which is stored when they were last used, which may be nil: then it
	// is not. In a database in which one connection writes at a time, that one is Writes.
	Reads, Writes Pool
	Dialect       dialect.Dialect // of the pools
	Logger        *slog.Logger    // hears why a use was not stored; slog.Default() where it is nil

	Now func() time.Time // nil: time.Now

	uses uses
}

// Pool runs statements, as a *sql.DB does.
type Pool interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// now is to the microsecond, as times are stored.
func (t *Tokens) now() time.Time {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// Create makes a token, as an input of createApiToken says, in the session of ctx. Its text is in what it returns, and nowhere else. Errors: FORBIDDEN
// where whoever ctx belongs to is no administrator, or gives more than they have, such as a token that is to outlive the one that makes it;
// BAD_USER_INPUT, for each field one.
func (t *Tokens) Create(ctx context.Context, input entity.Input) (auth.APIToken, *model.APIToken, error) {
	viewer := access.ViewerOf(ctx)
	if err := administers(viewer); err != nil {
		return auth.APIToken{}, nil, err
	}
	row, err := t.Directory.NewAPIToken(input)
	never, invalid := input.Bool("neverExpires")
	if given, ok := input["scopes"].([]any); ok && len(given) == 0 { // it would be all of them
		err = join(err, apierror.BadInput("scopes", "scopes is empty: name at least one, or leave it out for all that you have"))
	}
	if err := join(err, invalid, t.expire(row, never, ends(viewer))); err != nil {
		return auth.APIToken{}, nil, err
	}
	if err := within(viewer, row); err != nil {
		return auth.APIToken{}, nil, err
	}
	token := auth.NewAPIToken()
	sum := token.SHA256()
	row.SHA256 = hex.EncodeToString(sum[:])
	if err := t.Directory.AddAPIToken(ctx, row); err != nil {
		return auth.APIToken{}, nil, err
	}
	return token, row, nil
}

// administers returns an error unless a viewer may look after tokens. nil is the program itself.
func administers(viewer *access.Viewer) error {
	if viewer != nil && !access.HasRole(viewer.Role, access.RoleAdmin) {
		return apierror.Forbidden("", "API tokens are for those who have the role %s", access.RoleAdmin)
	}
	return nil
}

// within returns an error if a token has a scope that whoever makes it has not. Without scopes it gets those of its maker, of which the metrics are for
// administrators alone: to others they would give what their role does not. No role is greater than an administrator's.
func within(maker *access.Viewer, row *model.APIToken) error {
	may := func(scope string) bool { return maker == nil || maker.Within(strings.ToLower(scope)) }
	if len(row.Scopes) == 0 {
		admin := access.HasRole(row.Role, access.RoleAdmin)
		row.Scopes = slices.DeleteFunc(directory.Scopes(), func(scope string) bool {
			return !may(scope) || strings.EqualFold(scope, access.ScopeMetrics) && !admin
		})
	}
	for _, scope := range row.Scopes {
		if !may(scope) {
			return apierror.Forbidden("scopes", "a token has no scope that whoever makes it has not, such as %s", scope)
		}
	}
	return nil
}

// ends returns when the token expires with which another one is made; nil: it is made otherwise, or that one never does. A login is no token: it is
// short since somebody logs in again, who may make a token that lasts.
func ends(maker *access.Viewer) *time.Time {
	if maker == nil || maker.Expires.IsZero() || !strings.HasPrefix(maker.Subject, access.TokenSubject) {
		return nil
	}
	return &maker.Expires
}

// expire sets when a token expires: after the usual time, unless it says when, or that it never does. It does not outlive the one that makes it, which
// ends at a time; nil: none does.
func (t *Tokens) expire(row *model.APIToken, never bool, ends *time.Time) error {
	now := t.now()
	if ends != nil {
		switch at := row.ExpiresAt; {
		case never && at == nil:
			return apierror.Forbidden("neverExpires", "a token does not outlive the one that makes it, which expires at %s", ends.Format(time.RFC3339))
		case at != nil && at.After(*ends):
			return apierror.Forbidden("expiresAt", "a token does not outlive the one that makes it, which expires at %s", ends.Format(time.RFC3339))
		case at == nil && ends.Before(now.Add(usualLife)):
			row.ExpiresAt = ends
		}
	}
	switch at := row.ExpiresAt; {
	case never && at != nil:
		return apierror.BadInput("neverExpires", "neverExpires and expiresAt cannot be given together")
	case never:
	case at == nil:
		usual := now.Add(usualLife)
		row.ExpiresAt = &usual
	case !at.After(now):
		return apierror.BadInput("expiresAt", "expiresAt must be in the future")
	case at.After(now.Add(MaxLife)):
		return apierror.BadInput("expiresAt", "expiresAt must be at most 10 years from now: say neverExpires if for ever is meant")
	default:
		exact := at.UTC().Truncate(time.Microsecond)
		row.ExpiresAt = &exact
	}
	return nil
}

// join returns all that is wrong with an input, or the first error that no client may see.
func join(errs ...error) error {
	var all apierror.Errors
	for _, err := range errs {
		if err == nil {
			continue
		}
		list, ok := apierror.ErrorsOf(err)
		if !ok {
			return err
		}
		all = append(all, list...)
	}
	return all.Err()
}

// List returns all tokens by their numbers, with what is stored of their texts, in the session of ctx. The error is FORBIDDEN where whoever ctx belongs
// to is no administrator.
func (t *Tokens) List(ctx context.Context) ([]*model.APIToken, error) {
	if err := administers(access.ViewerOf(ctx)); err != nil {
		return nil, err
	}
	tokens, err := t.Directory.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	sums := map[int64]string{}
	err = session.Query(ctx, "SELECT id, sha256 FROM api_tokens", nil, func(rows *sql.Rows) error {
		var id int64
		var sum string
		err := rows.Scan(&id, &sum)
		sums[id] = sum
		return err
	})
	for _, one := range tokens {
		one.SHA256 = sums[one.ID]
	}
	return tokens, err
}

// Revoke revokes a token for good, in the session of ctx, and returns it. One that is revoked already stays as it is. Errors: FORBIDDEN where whoever ctx
// belongs to is no administrator; NOT_FOUND.
func (t *Tokens) Revoke(ctx context.Context, id int64) (*model.APIToken, error) {
	if err := administers(access.ViewerOf(ctx)); err != nil {
		return nil, err
	}
	return t.Directory.RevokeAPIToken(ctx, id)
}

// RevokeInput is Revoke for an input of revokeApiToken. The error is BAD_USER_INPUT too, about the id.
func (t *Tokens) RevokeInput(ctx context.Context, input entity.Input) (*model.APIToken, error) {
	text, err := scalar.UnmarshalID(input["id"])
	if err != nil {
		return nil, err
	}
	id, err := model.ParseAPITokenID("id", text)
	if err != nil {
		return nil, err
	}
	return t.Revoke(ctx, id)
}

// MinPrefix is how many digits of a SHA-256 name a token at least.
const MinPrefix = 8

// Find returns the number of the token that a reference is to, in the session of ctx: its id or number, its text, or how the SHA-256 of its text begins,
// in hexadecimal. The error says what is wrong with the reference.
func (t *Tokens) Find(ctx context.Context, reference string) (id int64, err error) {
	if id, err := model.ParseAPITokenID("", reference); err == nil {
		return id, nil
	}
	if id, err := strconv.ParseInt(reference, 10, 64); err == nil && id > 0 {
		return id, nil
	}
	prefix := strings.ToLower(reference)
	if auth.IsAPIToken(reference) {
		token, err := auth.ParseAPIToken(reference)
		if err != nil {
			return 0, err
		}
		sum := token.SHA256()
		reference, prefix = "of this text", hex.EncodeToString(sum[:])
	}
	if len(prefix) < MinPrefix || strings.Trim(prefix, "0123456789abcdef") != "" {
		return 0, fmt.Errorf("%q is no API token: give an id such as ApiToken:7, the token itself, or at least %d digits of its SHA-256", apierror.Clip(reference), MinPrefix)
	}
	found, err := entity.Numbers(ctx, "SELECT id FROM api_tokens WHERE sha256 LIKE ? ORDER BY id", prefix+"%")
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("there is no API token %s", reference)
	case len(found) > 1:
		return 0, fmt.Errorf("%d API tokens have a SHA-256 that begins with %s: give more of it", len(found), reference)
	}
	return found[0], nil
}
