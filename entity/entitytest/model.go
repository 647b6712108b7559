package entitytest

import (
	"rollcall/access"
	"rollcall/keyset"
)

// Node is an object with a global id.
type Node interface {
	IsNode()
	GlobalID() string
}

// Person is a row of the table persons.
type Person struct {
	ID        int64
	Name      string
	Badge     *string
	Phone     *string
	Review    *string
	BossID    *int64
	Relations access.Relations // what the viewer is to the person
}

// IsNode marks a Node.
func (*Person) IsNode() {}

// GlobalID returns the person's id, such as Person:7.
func (p *Person) GlobalID() string { return keyset.ID("Person", p.ID) }

// Club is a row of the table clubs.
type Club struct {
	ID        int64
	Name      string
	FounderID *int64
	ParentID  *int64
}

// IsNode marks a Node.
func (*Club) IsNode() {}

// GlobalID returns the club's id, such as Club:1.
func (c *Club) GlobalID() string { return keyset.ID("Club", c.ID) }

type (
	// PersonEdge is a person in a page.
	PersonEdge = keyset.Edge[Person]
	// PersonConnection is a page of persons.
	PersonConnection = keyset.Connection[PersonEdge, Person]

	// BelowEdge is a person below another, in a page.
	BelowEdge struct {
		keyset.Edge[Person]
		Depth int64
	}
	// BelowConnection is a page of persons below another.
	BelowConnection = keyset.Connection[BelowEdge, Person]

	// ClubEdge is a club in a page.
	ClubEdge = keyset.Edge[Club]
	// ClubConnection is a page of clubs.
	ClubConnection = keyset.Connection[ClubEdge, Club]

	// PersonClubEdge is a club that a person is in, in a page.
	PersonClubEdge struct {
		keyset.Edge[Club]
		Joined string
	}
	// PersonClubConnection is a page of the clubs that a person is in.
	PersonClubConnection = keyset.Connection[PersonClubEdge, Club]

	// MemberEdge is a member of a club in a page.
	MemberEdge struct {
		keyset.Edge[Person]
		Joined string
	}
	// MemberConnection is a page of a club's members.
	MemberConnection = keyset.Connection[MemberEdge, Person]
)
