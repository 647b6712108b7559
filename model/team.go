package model

import (
	"time"

	"rollcall/keyset"
)

// Team is a row of the table teams.
type Team struct {
	ID        int64
	Name      string // unique
	CreatedAt time.Time
	UpdatedAt time.Time
}

// GlobalID returns the team's id in the form that the API shows, such as "Team:7".
func (t *Team) GlobalID() string { return keyset.ID("Team", t.ID) }

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

// TeamEdge is a team's place in the list of teams.
type TeamEdge = keyset.Edge[Team]

// TeamConnection is a page of teams.
type TeamConnection = keyset.Connection[TeamEdge, Team]

// TeamMemberEdge is a member of a team.
type TeamMemberEdge struct {
	keyset.Edge[User]
	Role     Role
	JoinedAt time.Time
}

// TeamMemberConnection is a page of a team's members.
type TeamMemberConnection = keyset.Connection[TeamMemberEdge, User]
