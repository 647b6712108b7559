package model

import (
	"time"

	"rollcall/keyset"
)

// User is a row of the table users.
type User struct {
	ID        int64
	Name      string
	ManagerID *int64 // nil: the user has no manager
	CreatedAt time.Time
}

// IsNode marks User as a GraphQL Node.
func (*User) IsNode() {}

// GlobalID returns the user's id in the form that the API shows.
func (u *User) GlobalID() string { return keyset.ID("User", u.ID) }

// UserEdge is a user's place in a list of users.
type UserEdge = keyset.Edge[User]

// UserConnection is a page of users.
type UserConnection = keyset.Connection[UserEdge, User]

// UserPayload is what createUser and updateUser return.
type UserPayload struct {
	User *User
}
