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
}

// IsNode marks Team as a GraphQL Node.
func (*Team) IsNode() {}

// GlobalID returns the team's id in the form that the API shows, such as "Team:7".
func (t *Team) GlobalID() string { return keyset.ID("Team", t.ID) }

// TeamEdge is a team's place in the list of teams.
type TeamEdge = keyset.Edge[Team]

// TeamConnection is a page of teams.
type TeamConnection = keyset.Connection[TeamEdge, Team]
