package model

import (
	"fmt"
	"time"

	"rollcall/access"
	"rollcall/fold"
	"rollcall/keyset"
)

// Team is a row of the table teams.
type Team struct {
	ID          int64
	Name        string // unique
	Description *string
	ParentID    *int64 // nil: the team is in no other
	Version     int64  `gorm:"default:1"`
	CreatedAt   time.Time
	UpdatedAt   time.Time

	NameFolded string // Fold sets it

	Relations access.Relations `gorm:"-"` // what the viewer is to the team, as far as that was read
}

// Fold sets what the team is found and ordered by, from what it is made of. It is due before each write.
func (t *Team) Fold() { t.NameFolded = fold.Text(t.Name) }

// Key returns what no two teams share besides their ids.
func (t *Team) Key() string { return t.Name }

// Advance makes the team the next version of itself, as of a time, and returns the columns that this sets.
func (t *Team) Advance(now time.Time) (columns []string) {
	t.Version++
	t.UpdatedAt = now
	return []string{"version", "updated_at"}
}

// Logged returns what the log of changes has of the team besides its fields.
func (t *Team) Logged() (version int64, user, team *int64) { return t.Version, nil, &t.ID }

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
	ID        int64
	TeamID    int64
	UserID    int64
	Role      Role
	Version   int64 `gorm:"default:1"`
	CreatedAt time.Time

	Relations access.Relations `gorm:"-"` // what the viewer is to the membership, as far as that was read
}

// Logged returns what the log of changes has of the membership besides its fields.
func (m *Membership) Logged() (version int64, user, team *int64) {
	return m.Version, &m.UserID, &m.TeamID
}

// GlobalID returns the membership's id in the form that the API shows, such as "Membership:12".
func (m *Membership) GlobalID() string { return keyset.ID("Membership", m.ID) }

// Fold does nothing: memberships are found by their users and teams.
func (*Membership) Fold() {}

// Key returns what no two memberships share besides their ids.
func (m *Membership) Key() string { return fmt.Sprintf("%020d %020d", m.TeamID, m.UserID) }

// Advance makes the membership the next version of itself, and returns the column that this sets.
func (m *Membership) Advance(time.Time) (columns []string) {
	m.Version++
	return []string{"version"}
}

// TeamEdge is a team's place in the list of teams.
type TeamEdge = keyset.Edge[Team]

// TeamConnection is a page of teams.
type TeamConnection = keyset.Connection[TeamEdge, Team]

// TeamMemberEdge is a member of a team.
type TeamMemberEdge struct {
	keyset.Edge[User]
	TeamID            *int64
	Role              Role
	JoinedAt          time.Time
	MembershipID      int64
	MembershipVersion int64
}

// GlobalMembershipID returns the membership's id in the form that the API shows.
func (e *TeamMemberEdge) GlobalMembershipID() string { return keyset.ID("Membership", e.MembershipID) }

// TeamMemberConnection is a page of a team's members.
type TeamMemberConnection = keyset.Connection[TeamMemberEdge, User]
