package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/keyset"
)

// ChangeKind is what became of an object.
type ChangeKind string

// The kinds of changes.
const (
	Created ChangeKind = "CREATED"
	Updated ChangeKind = "UPDATED"
	Deleted ChangeKind = "DELETED"
	Erased  ChangeKind = "ERASED"  // the values of all earlier changes of the object are gone
	Revoked ChangeKind = "REVOKED" // of an API token: it opens nothing any more
)

// ChangeType is the type of an object that changes.
type ChangeType string

// The types of objects that change.
const (
	UserType       ChangeType = "USER"
	TeamType       ChangeType = "TEAM"
	MembershipType ChangeType = "MEMBERSHIP"
	APITokenType   ChangeType = "API_TOKEN"
)

// ChangeTypeOf returns the type of objects that the schema calls so.
func ChangeTypeOf(name string) ChangeType {
	if name == APITokenType.Named() {
		return APITokenType
	}
	return ChangeType(strings.ToUpper(name))
}

// Named returns the name of the type in the schema.
func (t ChangeType) Named() string {
	switch t {
	case UserType:
		return "User"
	case TeamType:
		return "Team"
	case APITokenType:
		return "ApiToken"
	default:
		return "Membership"
	}
}

// Change is a change of one object: a row of the table changes.
type Change struct {
	ID            int64
	Cursor        string // in the log, where it was read from that
	Position      int64  // in the order of the log, from 1, without gaps; 0: it has none yet
	At            time.Time
	Kind          ChangeKind
	Type          ChangeType
	ObjectID      int64
	Version       int64   // of the object, once changed; where it was deleted, the last one
	UserID        *int64  // the user that the object is, or whose membership or API token it is
	TeamID        *int64  // the team that the object is, or a membership of which it is
	Actor         *string // who made the change; nil: not known
	OperationID   string
	EndsOperation bool // it is the last one of its operation, whose changes follow each other
	Erased        bool // the values were erased
	// Fields are the changed fields as JSON, such as [{"name":"title","before":null,"after":"Engineer"}]. Values have the form that the API
	// gives them; the field of a relation is named as the input that has the global id. It has neither the version nor
	// updatedAt of an object, which are the change's Version and At.
	Fields []byte
	Hidden []string // the names of fields that whoever reads the change may not see
}

// Removed reports whether there is no object any more.
func (c *Change) Removed() bool { return c.Kind == Deleted || c.Kind == Erased }

// GlobalID returns the object's id in the form that the API shows.
func (c *Change) GlobalID() string { return keyset.ID(c.Type.Named(), c.ObjectID) }

// FieldChange is a change of one field of an object.
type FieldChange struct {
	Name          string
	Before, After *string // as JSON, in the form that the API gives the field; nil: null, or no value
}

// FieldChanges returns the changed fields that may be seen. It panics where Fields is something else.
func (c *Change) FieldChanges() []*FieldChange {
	var fields []struct {
		Name          string
		Before, After json.RawMessage
	}
	if err := json.Unmarshal(c.Fields, &fields); err != nil {
		panic(fmt.Errorf("model: the fields of the change %d of %s: %w", c.Position, c.GlobalID(), err))
	}
	changes := make([]*FieldChange, 0, len(fields))
	for _, f := range fields {
		if !slices.Contains(c.Hidden, f.Name) {
			changes = append(changes, &FieldChange{f.Name, jsonText(f.Before), jsonText(f.After)})
		}
	}
	return changes
}

// jsonText returns a value as a text, unless it is null or there is none.
func jsonText(value json.RawMessage) *string {
	if len(value) == 0 || string(value) == "null" {
		return nil
	}
	text := string(value)
	return &text
}

// ChangeConnection is a page of the log of changes.
type ChangeConnection struct {
	Nodes    []*Change
	Until    string // the cursor up to which the log was read
	UpToDate bool   // there was no more
}

// ChangeEdge is a change in such a page.
type ChangeEdge struct{ Node *Change }

// Cursor returns the change's place in the log.
func (e *ChangeEdge) Cursor() string { return e.Node.Cursor }

// Edges returns the page's changes, each with its cursor.
func (c *ChangeConnection) Edges() []*ChangeEdge {
	edges := make([]*ChangeEdge, len(c.Nodes))
	for i, node := range c.Nodes {
		edges[i] = &ChangeEdge{node}
	}
	return edges
}

// PageInfo returns where the page stands in the log.
func (c *ChangeConnection) PageInfo() *keyset.PageInfo {
	info := &keyset.PageInfo{HasNextPage: !c.UpToDate, EndCursor: &c.Until}
	if len(c.Nodes) > 0 {
		info.StartCursor = &c.Nodes[0].Cursor
	}
	return info
}

// HistoryEdge is a change in an object's history.
type HistoryEdge = keyset.Edge[Change]

// HistoryConnection is a page of an object's history.
type HistoryConnection = keyset.Connection[HistoryEdge, Change]

// ChangeEvent is an event of a subscription of the log.
type ChangeEvent struct {
	Cursor string
	Change *Change // nil: it only says how far the log has been read
}
