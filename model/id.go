package model

import (
	"encoding/base64"
	"strconv"
	"strings"

	"rollcall/apierror"
)

// The type names that ids begin with.
const (
	TypeUser = "User"
	TypeTeam = "Team"
)

// UserID returns the global id of a user, such as "User:42".
func UserID(id int64) string { return TypeUser + ":" + strconv.FormatInt(id, 10) }

// TeamID returns the global id of a team, such as "Team:7".
func TeamID(id int64) string { return TypeTeam + ":" + strconv.FormatInt(id, 10) }

// ParseID splits a global id into its type and its number. The form is strict, so that every
// object has one id only: no sign, no leading zero, no space.
func ParseID(s string) (typ string, id int64, err error) {
	typ, digits, ok := strings.Cut(s, ":")
	id, parseErr := strconv.ParseInt(digits, 10, 64)
	if !ok || parseErr != nil || id < 1 || strconv.FormatInt(id, 10) != digits ||
		(typ != TypeUser && typ != TypeTeam) {
		return "", 0, apierror.BadInput("id", "%q is not an id: expected a form like \"User:42\" or \"Team:7\"", apierror.Clip(s))
	}
	return typ, id, nil
}

// ParseIDOf is ParseID for a place that takes one type only; field is the input field to blame.
func ParseIDOf(typ, field, s string) (int64, error) {
	got, id, err := ParseID(s)
	if err != nil || got != typ {
		return 0, apierror.BadInput(field, "%q is not the id of a %s: expected a form like \"%s:42\"", apierror.Clip(s), strings.ToLower(typ), typ)
	}
	return id, nil
}

// EncodeCursor returns the opaque cursor of the row with this id in a list of this type.
func EncodeCursor(typ string, id int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(typ + ":" + strconv.FormatInt(id, 10)))
}

// DecodeCursor returns the id within a cursor of a list of this type.
func DecodeCursor(typ, cursor string) (int64, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		got, id, err := ParseID(string(raw))
		if err == nil && got == typ {
			return id, nil
		}
	}
	return 0, apierror.BadInput("after", "%q is not a cursor of this list", apierror.Clip(cursor))
}
