// Package model holds the directory's types, their validation and their error codes. It does no I/O.
package model

import "time"

// User is a row of the table users.
type User struct {
	ID        int64
	Name      string
	Email     string // lower-case, unique
	ManagerID *int64 // nil: nobody manages this user
	CreatedAt time.Time
	UpdatedAt time.Time
}

// IsNode marks User as a GraphQL Node.
func (*User) IsNode() {}

// GlobalID returns the user's id in the form that the API shows.
func (u *User) GlobalID() string { return UserID(u.ID) }
