package model

import "time"

// Team is a row of the table teams.
type Team struct {
	ID        int64
	Name      string // unique
	CreatedAt time.Time
	UpdatedAt time.Time
}

// IsNode marks Team as a GraphQL Node.
func (*Team) IsNode() {}

// GlobalID returns the team's id in the form that the API shows.
func (t *Team) GlobalID() string { return TeamID(t.ID) }

// Role is what a user is in a team.
type Role string

// The roles.
const (
	RoleMember Role = "MEMBER"
	RoleOwner  Role = "OWNER"
)

// Membership is a row of the table memberships.
type Membership struct {
	TeamID    int64 `gorm:"primaryKey"`
	UserID    int64 `gorm:"primaryKey"`
	Role      Role
	CreatedAt time.Time
}
