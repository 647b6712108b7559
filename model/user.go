// Package model holds the directory's types and the forms of their values. It does no I/O.
package model

import (
	"strings"
	"time"

	"rollcall/access"
	"rollcall/fold"
	"rollcall/keyset"
)

// Status is whether a user takes part.
type Status string

// The statuses.
const (
	StatusActive      Status = "ACTIVE"
	StatusDeactivated Status = "DEACTIVATED"
)

// User is a row of the table users. What is nil is not known.
type User struct {
	ID         int64
	Name       string
	Email      string // lower-case, unique
	ManagerID  *int64 // nil: the user has no manager
	Title      *string
	Department *string
	Phone      *string
	Location   *string
	TimeZone   *string
	PhotoURL   *string
	ExternalID *string // unique
	Status     Status  `gorm:"default:ACTIVE"`
	Version    int64   `gorm:"default:1"`
	CreatedAt  time.Time
	UpdatedAt  time.Time

	// What Fold sets.
	NameFolded       string
	TitleFolded      *string
	DepartmentFolded *string
	LocationFolded   *string

	Relations access.Relations `gorm:"-"` // what the viewer is to the user, as far as that was read
}

// Fold sets what the user is found and ordered by, from what it is made of. It is due before each write.
func (u *User) Fold() {
	u.NameFolded = fold.Text(u.Name)
	u.TitleFolded, u.DepartmentFolded, u.LocationFolded = folded(u.Title), folded(u.Department), folded(u.Location)
}

func folded(text *string) *string {
	if text == nil {
		return nil
	}
	s := fold.Text(*text)
	return &s
}

// Advance makes the user the next version of itself, as of a time, and returns the columns that this sets.
func (u *User) Advance(now time.Time) (columns []string) {
	u.Version++
	u.UpdatedAt = now
	return []string{"version", "updated_at"}
}

// Key returns what no two users share besides their ids.
func (u *User) Key() string { return u.Email }

// Logged returns what the log of changes has of the user besides the fields.
func (u *User) Logged() (version int64, user, team *int64) { return u.Version, &u.ID, nil }

// Words returns the words by which the user is searched: those of the name, of the title and of the email before its @.
func (u *User) Words() []string {
	text, _, _ := strings.Cut(u.Email, "@")
	if u.Title != nil {
		text += " " + *u.Title
	}
	return fold.Words(text + " " + u.Name)
}

// GlobalID returns the user's id in the form that the API shows.
func (u *User) GlobalID() string { return UserID(u.ID) }

// UserID returns the global id of a user, such as "User:42".
func UserID(id int64) string { return keyset.ID("User", id) }

// UserEdge is a user's place in a list of users.
type UserEdge = keyset.Edge[User]

// UserConnection is a page of users.
type UserConnection = keyset.Connection[UserEdge, User]

// UserTeamEdge is a team that a user is in.
type UserTeamEdge struct {
	keyset.Edge[Team]
	Role              Role
	JoinedAt          time.Time
	MembershipID      int64
	MembershipVersion int64
}

// GlobalMembershipID returns the membership's id in the form that the API shows.
func (e *UserTeamEdge) GlobalMembershipID() string { return keyset.ID("Membership", e.MembershipID) }

// UserTeamConnection is a page of the teams that a user is in.
type UserTeamConnection = keyset.Connection[UserTeamEdge, Team]

// AllReportsEdge is a user below another.
type AllReportsEdge struct {
	keyset.Edge[User]
	Depth int64
}

// AllReportsConnection is a page of all users below another.
type AllReportsConnection = keyset.Connection[AllReportsEdge, User]
