package model

import (
	"math"
	"time"

	"rollcall/apierror"
)

// DefaultPage is how many items a page holds where its size is not given.
const DefaultPage = 20

// Page is what a list is asked for: the first First rows whose id is greater than After.
// It is comparable, so that loaders can group by it.
type Page struct {
	First int   // at least 0
	After int64 // 0: from the beginning
}

// PageArgs are the arguments of a list field as the client gave them.
type PageArgs struct {
	First *int
	After *string
}

// Page checks the arguments for a list whose nodes are of type typ. A page holds at most most items.
func (a PageArgs) Page(typ string, most int) (Page, error) {
	p := Page{First: min(DefaultPage, most)}
	if a.First != nil {
		p.First = *a.First
	}
	if p.First < 0 {
		return p, apierror.BadInput("first", "first must not be negative")
	}
	if p.First > most {
		return p, apierror.BadInput("first", "first: %d is more than a page holds (%d)", p.First, most)
	}
	if a.After != nil {
		after, err := DecodeCursor(typ, *a.After)
		if err != nil {
			return p, err
		}
		p.After = after
	}
	if p.First == math.MaxInt { // room for the one row more that tells whether the list goes on
		p.First--
	}
	return p, nil
}

// PageInfo tells where a page stands in its list.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Edge is a node's place in a list.
type Edge[N any] interface {
	Cursor() string
	Node() N
}

// Connection is one page of a list.
type Connection[E Edge[N], N any] struct {
	Edges       []E
	HasNextPage bool
}

// NewConnection makes a page of at most first edges of the rows read, which are one more than
// that where the list goes on.
func NewConnection[E Edge[N], N any](edges []E, first int) Connection[E, N] {
	if len(edges) > first {
		return Connection[E, N]{Edges: edges[:first], HasNextPage: true}
	}
	return Connection[E, N]{Edges: edges}
}

// Nodes returns the nodes of the page's edges.
func (c *Connection[E, N]) Nodes() []N {
	nodes := make([]N, len(c.Edges))
	for i, e := range c.Edges {
		nodes[i] = e.Node()
	}
	return nodes
}

// PageInfo returns where the page stands in its list.
func (c *Connection[E, N]) PageInfo() *PageInfo {
	info := &PageInfo{HasNextPage: c.HasNextPage}
	if len(c.Edges) > 0 {
		start, end := c.Edges[0].Cursor(), c.Edges[len(c.Edges)-1].Cursor()
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// UserConnection is a page of all users, or of those whom one user manages.
type UserConnection struct {
	Connection[*UserEdge, *User]
	ManagerID *int64 // whose reports; nil: all users
}

// CountKey tells which list of users totalCount counts: its manager's id, or 0 for all users.
func (c *UserConnection) CountKey() int64 {
	if c.ManagerID == nil {
		return 0
	}
	return *c.ManagerID
}

// UserEdge is a user's place in a list of users.
type UserEdge struct{ User *User }

// Cursor returns the user's place in the list.
func (e *UserEdge) Cursor() string { return EncodeCursor(TypeUser, e.User.ID) }

// Node returns the user.
func (e *UserEdge) Node() *User { return e.User }

// TeamConnection is a page of all teams.
type TeamConnection struct {
	Connection[*TeamEdge, *Team]
}

// CountKey tells which list totalCount counts: there is one of all teams, 0.
func (c *TeamConnection) CountKey() int64 { return 0 }

// TeamEdge is a team's place in the list of teams.
type TeamEdge struct{ Team *Team }

// Cursor returns the team's place in the list.
func (e *TeamEdge) Cursor() string { return EncodeCursor(TypeTeam, e.Team.ID) }

// Node returns the team.
func (e *TeamEdge) Node() *Team { return e.Team }

// UserTeamConnection is a page of the teams that one user is in.
type UserTeamConnection struct {
	Connection[*UserTeamEdge, *Team]
	UserID int64
}

// CountKey tells whose list totalCount counts: the user's id.
func (c *UserTeamConnection) CountKey() int64 { return c.UserID }

// UserTeamEdge is a team that a user is in.
type UserTeamEdge struct {
	Team     *Team
	Role     Role
	JoinedAt time.Time
}

// Cursor returns the team's place in the list.
func (e *UserTeamEdge) Cursor() string { return EncodeCursor(TypeTeam, e.Team.ID) }

// Node returns the team.
func (e *UserTeamEdge) Node() *Team { return e.Team }

// TeamMemberConnection is a page of one team's members.
type TeamMemberConnection struct {
	Connection[*TeamMemberEdge, *User]
	TeamID int64
}

// CountKey tells whose list totalCount counts: the team's id.
func (c *TeamMemberConnection) CountKey() int64 { return c.TeamID }

// TeamMemberEdge is a member of a team.
type TeamMemberEdge struct {
	User     *User
	Role     Role
	JoinedAt time.Time
}

// Cursor returns the user's place in the list.
func (e *TeamMemberEdge) Cursor() string { return EncodeCursor(TypeUser, e.User.ID) }

// Node returns the user.
func (e *TeamMemberEdge) Node() *User { return e.User }
