// Package transfer moves a directory out of files and into files: it reads and writes records in CSV and JSON Lines, imports them in
// chunks whose progress is stored with them, and exports all there is.
package transfer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/apierror"
	"rollcall/entity"
)

// Kind is what a record describes.
type Kind string

// The kinds.
const (
	Users       Kind = "user"
	Teams       Kind = "team"
	Memberships Kind = "membership"
)

// kinds are all, in the order in which they can refer to each other.
var kinds = []Kind{Users, Teams, Memberships}

// fields are those of the records of a kind. They have the names that they have in the API; what a record refers to is named by what people
// know it by, since ids are those of one database.
var fields = map[Kind][]string{
	Users: {
		"name", "email", "title", "department", "phone", "location", "timeZone", "photoUrl", "externalId", "status", "managerEmail", "managerExternalId",
	},
	Teams:       {"name", "description", "parentName"},
	Memberships: {"teamName", "userEmail", "userExternalId", "role"},
}

// ParseKind returns the kind that has a name, in the singular or in the plural.
func ParseKind(text string) (Kind, error) {
	for _, kind := range kinds {
		if singular := strings.TrimSuffix(strings.ToLower(text), "s"); singular == string(kind) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("%q is no kind of record: write users, teams or memberships", text)
}

// Record is one object in a file.
type Record struct {
	Line   int64           // where it begins, from 1
	Kind   Kind            // "": it is not known
	Values entity.Input    // by the names of fields: texts, and nil for null
	Wrong  apierror.Errors // why it cannot be read

	late bool // it was stored before, without what it refers to
}

// mayBeUser reports whether the record may be about a user who is not known by another record.
func (r Record) mayBeUser() bool { return r.Kind != Teams && r.Kind != Memberships && !r.late }

// wrong returns the record with an error about a field, or with one about all of it where field is "".
func (r Record) wrong(field, format string, args ...any) Record {
	r.Wrong = append(r.Wrong, apierror.BadInput(field, format, args...))
	return r
}

// checked returns the record with an error for each field that records of its kind do not have, or that the lossy encoding of the file has nothing for.
func (r Record) checked(lossy string) Record {
	for _, field := range sortedKeys(r.Values) {
		if value := text(r.Values, field); lossy != "" && strings.ContainsRune(value, utf8.RuneError) {
			r = r.wrong(field, "character %d is none in %s: is the file in another encoding?", utf8.RuneCountInString(value[:strings.IndexRune(value, utf8.RuneError)])+1, lossy)
		}
		if !slices.Contains(fields[r.Kind], field) {
			r = r.wrong(field, "a %s has no field %q: the fields are %s", r.Kind, apierror.Clip(field), strings.Join(fields[r.Kind], ", "))
		}
	}
	return r
}
