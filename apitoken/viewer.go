package apitoken

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/access"
	"rollcall/auth"
	"rollcall/keyset"
	"rollcall/model"
)

func subjectOf(id int64) string { return access.TokenSubject + strconv.FormatInt(id, 10) }

// selectLookup reads what tells whether tokens open something, and what.
const selectLookup = "SELECT t.id, t.role, t.scopes, t.owner_id, t.expires_at, t.revoked_at, u.status FROM api_tokens t LEFT JOIN users u ON u.id = t.owner_id WHERE "

// lookup is a row of it.
type lookup struct {
	id               int64
	role             string
	scopes           model.Scopes
	owner            sql.NullInt64
	expires, revoked sql.NullTime
	status           sql.NullString
}

func (l *lookup) targets() []any {
	return []any{&l.id, &l.role, &l.scopes, &l.owner, &l.expires, &l.revoked, &l.status}
}

// dead says why the token opens nothing at a time; "": it does open something.
func (l *lookup) dead(now time.Time) string {
	switch {
	case l.revoked.Valid:
		return "the API token was revoked"
	case l.expires.Valid && !now.Before(l.expires.Time):
		return "the API token has expired"
	case l.owner.Valid && l.status.String != string(model.StatusActive):
		return "the owner of the API token is deactivated"
	}
	return ""
}

// Viewer returns who sends the token whose text has a SHA-256, and notes that it was used; nil: there is no such token. One that opens nothing, since it has
// expired, was revoked, or its owner is deactivated, is an *auth.InvalidTokenError, which tells that to whoever has the text. It is one statement on Reads.
func (t *Tokens) Viewer(ctx context.Context, sum [sha256.Size]byte) (*access.Viewer, error) {
	var l lookup
	err := t.Reads.QueryRowContext(ctx, t.Dialect.Rebind(selectLookup+"t.sha256 = ?"), hex.EncodeToString(sum[:])).Scan(l.targets()...)
	now := t.now()
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if why := l.dead(now); why != "" {
		return nil, &auth.InvalidTokenError{Reason: why, Detail: subjectOf(l.id), Expired: l.expires.Valid && !now.Before(l.expires.Time)}
	}
	t.used(l.id, now)
	scopes := make([]string, len(l.scopes))
	for i, scope := range l.scopes {
		scopes[i] = strings.ToLower(scope)
	}
	return &access.Viewer{Subject: subjectOf(l.id), UserID: l.owner.Int64, Role: l.role, Scopes: scopes, Expires: l.expires.Time.UTC()}, nil
}

// Valid returns which of some subjects are those of tokens that open something. It is one statement on Reads, however many there are.
func (t *Tokens) Valid(ctx context.Context, subjects []string) (map[string]bool, error) {
	valid, ids := map[string]bool{}, map[int64]string{}
	for _, one := range subjects {
		digits, ok := strings.CutPrefix(one, access.TokenSubject)
		if id, err := strconv.ParseInt(digits, 10, 64); ok && err == nil && one == subjectOf(id) {
			ids[id] = one
		}
	}
	if len(ids) == 0 {
		return valid, nil
	}
	condition, args := "t.revoked_at IS NULL", []any(nil)
	if len(ids) <= keyset.MaxKeys { // else it is all that are not revoked
		for marks, of := range keyset.In(slices.Collect(maps.Keys(ids))) {
			condition, args = "t.id IN ("+marks+")", of
		}
	}
	rows, err := t.Reads.QueryContext(ctx, t.Dialect.Rebind(selectLookup+condition), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	now := t.now()
	for rows.Next() {
		var l lookup
		if err := rows.Scan(l.targets()...); err != nil {
			return nil, err
		}
		if one, asked := ids[l.id]; asked && l.dead(now) == "" {
			valid[one] = true
		}
	}
	return valid, rows.Err()
}
