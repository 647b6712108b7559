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
	// PersonConnection is such a page.
	PersonConnection = keyset.Connection[PersonEdge, Person]

	BelowEdge struct {
		keyset.Edge[Person]
		Depth int64
	}
	BelowConnection = keyset.Connection[BelowEdge, Person]

	ClubEdge       = keyset.Edge[Club]
	ClubConnection = keyset.Connection[ClubEdge, Club]

	PersonClubEdge struct {
		keyset.Edge[Club]
		Joined string
	}
	PersonClubConnection = keyset.Connection[PersonClubEdge, Club]

	MemberEdge struct {
		keyset.Edge[Person]
		Joined string
	}
	MemberConnection = keyset.Connection[MemberEdge, Person]
)
