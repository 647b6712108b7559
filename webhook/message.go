package webhook

import (
	"encoding/json"
	"time"

	"rollcall/changelog"
	"rollcall/keyset"
	"rollcall/model"
)

// message is the body of a request. What it has of a person is an id.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of the last change
	Data      data      `json:"data"`
}

type data struct {
	Changes []change `json:"changes"`
}

// change has what Change has in the API, under the same names.
type change struct {
	Cursor      string           `json:"cursor"`
	At          time.Time        `json:"at"`
	Kind        model.ChangeKind `json:"kind"`
	Type        model.ChangeType `json:"type"`
	ObjectID    string           `json:"objectId"`
	Version     int64            `json:"version"`
	UserID      string           `json:"userId,omitempty"` // of a membership
	TeamID      string           `json:"teamId,omitempty"` // likewise
	OperationID string           `json:"operationId"`
}

// messageOf returns the message about some changes, of which there is one at least.
func messageOf(changes []*model.Change) []byte {
	m := message{Type: "directory.changed", Timestamp: changes[len(changes)-1].At}
	for _, c := range changes {
		one := change{
			Cursor: changelog.CursorOf(c).String(), At: c.At, Kind: c.Kind, Type: c.Type, ObjectID: c.GlobalID(), Version: c.Version, OperationID: c.OperationID,
		}
		if c.Type == model.MembershipType && c.UserID != nil && c.TeamID != nil {
			one.UserID, one.TeamID = model.UserID(*c.UserID), keyset.ID("Team", *c.TeamID)
		}
		m.Data.Changes = append(m.Data.Changes, one)
	}
	body, _ := json.Marshal(m) // of texts, numbers and times it never fails
	return body
}
