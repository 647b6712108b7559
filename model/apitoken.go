package model

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"rollcall/apierror"
	"rollcall/keyset"
)

// APIToken is a row of the table api_tokens. The token's text is nowhere.
type APIToken struct {
	ID         int64
	Name       string
	SHA256     string // of the text, in hexadecimal, unique; "": it was not read
	Role       string // one of package access
	Scopes     Scopes
	OwnerID    *int64 // nil: it is nobody's
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // about; nil: never
	RevokedAt  *time.Time // nil: it is not
}

// Fold does nothing: tokens are neither searched nor sorted by what people write.
func (t *APIToken) Fold() {}

// Advance revokes the token as of a time, which is all that ever becomes of one, and returns the columns that this sets.
func (t *APIToken) Advance(now time.Time) (columns []string) {
	t.RevokedAt = &now
	return []string{"revoked_at"}
}

// Key returns what no two tokens share besides their ids.
func (t *APIToken) Key() string { return t.SHA256 }

// Logged returns what the log of changes has of the token besides the fields.
func (t *APIToken) Logged() (version int64, user, team *int64) {
	version = 1
	if t.RevokedAt != nil {
		version = 2
	}
	return version, t.OwnerID, nil
}

// GlobalID returns the token's id in the form that the API shows.
func (t *APIToken) GlobalID() string { return APITokenID(t.ID) }

// ScopeList returns the scopes as the API's list.
func (t *APIToken) ScopeList() []string { return t.Scopes }

// APITokenID returns the global id of a token, such as "ApiToken:7".
func APITokenID(id int64) string { return keyset.ID("ApiToken", id) }

// Scopes are the scopes of a token in the form that the API shows, such as READ.
type Scopes []string

// Value implements driver.Valuer: the scopes are one text, with spaces between.
func (s Scopes) Value() (driver.Value, error) { return strings.Join(s, " "), nil }

// Scan implements sql.Scanner.
func (s *Scopes) Scan(value any) error {
	switch text := value.(type) {
	case string:
		*s = strings.Fields(text)
	case []byte:
		*s = strings.Fields(string(text))
	default:
		return fmt.Errorf("model: %T is no text of scopes", value)
	}
	return nil
}

// APITokenEdge is a token's place in the list of tokens.
type APITokenEdge = keyset.Edge[APIToken]

// APITokenConnection is a page of tokens.
type APITokenConnection = keyset.Connection[APITokenEdge, APIToken]

// CreateAPITokenPayload is what createApiToken returns.
type CreateAPITokenPayload struct {
	Token    string // the text, which is nowhere else
	APIToken *APIToken
}

// RevokeAPITokenPayload is what revokeApiToken returns.
type RevokeAPITokenPayload struct{ APIToken *APIToken }

// ParseAPITokenID returns the number in the global id of a token. The error is BAD_USER_INPUT, and blames an input field.
func ParseAPITokenID(field, id string) (int64, error) {
	if typ, number, ok := keyset.ParseID(id); ok && typ == "ApiToken" {
		return number, nil
	}
	return 0, apierror.BadInput(field, "%q is not the id of an API token: expected a form like \"ApiToken:7\"", apierror.Clip(id))
}
