// Package model holds the directory's types and the forms of their values. It does no I/O.
package model

import (
	"time"

	"rollcall/keyset"
)

// User is a row of the table users.
type User struct {
	ID        int64
	Name      string
	Email     string // lower-case, unique
	ManagerID *int64 // nil: the user has no manager
	CreatedAt time.Time
	UpdatedAt time.Time
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
	Role     Role
	JoinedAt time.Time
}

// UserTeamConnection is a page of the teams that a user is in.
type UserTeamConnection = keyset.Connection[UserTeamEdge, Team]
