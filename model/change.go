package model

// UserChangeKind is what became of a user.
type UserChangeKind string

// The kinds of changes.
const (
	UserCreated UserChangeKind = "CREATED"
	UserUpdated UserChangeKind = "UPDATED"
	UserDeleted UserChangeKind = "DELETED"
)

// UserChange is a change of a user that is stored.
type UserChange struct {
	Kind   UserChangeKind
	UserID int64
}

// GlobalID returns the user's id in the form that the API shows.
func (c *UserChange) GlobalID() string { return UserID(c.UserID) }
