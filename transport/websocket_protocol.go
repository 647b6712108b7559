package transport

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/document"
)

// protocol is a WebSocket subprotocol, as far as the subprotocols differ. It has no state.
type protocol interface {
	// handle does what a message of a client asks for, unless that is connection_init. It reports false for a message of a
	// type that it does not know.
	handle(s *socket, m socketMessage) bool
	// begin calls init, which answers connection_init and may take a while.
	begin(s *socket, init func())
	// duplicate returns why an operation closes the socket if its id is in use, or nil if it replaces the other operation.
	duplicate(id string) error
	// parts reports whether answers may come in parts.
	parts() bool

	// result is the type of a message with a result of an operation.
	result() string
	// failure returns the payload of the message that ends an operation with errors.
	failure(errs gqlerror.List) any
	// forbidden returns the message before the socket of a client that Init refuses is closed, or nil.
	forbidden() []byte
	// keepAlive returns the message after the acknowledgement and with each ping, or nil.
	keepAlive() []byte
}

// protocols are the subprotocols by their names in Sec-WebSocket-Protocol.
var protocols = map[string]protocol{
	"graphql-transport-ws": graphqlTransportWS{},
	"graphql-ws":           graphqlWS{},
}

// preferred are their names, the preferred one first.
var preferred = []string{"graphql-transport-ws", "graphql-ws"}

// Close codes of graphql-transport-ws. The older protocol has none, and is served with the same.
const (
	socketBadRequest      websocket.StatusCode = 4400
	socketUnauthorized    websocket.StatusCode = 4401
	socketForbidden       websocket.StatusCode = 4403
	socketBadProtocol     websocket.StatusCode = 4406
	socketInitTimeout     websocket.StatusCode = 4408
	socketDuplicate       websocket.StatusCode = 4409
	socketTooManyInits    websocket.StatusCode = 4429
	socketInternalFailure websocket.StatusCode = 4500 // not in the text, but in its reference implementation
)

// socketMessage is a message of a client.
type socketMessage struct {
	kind    string
	id      string          // not empty where the kind has one
	payload json.RawMessage // an object, or nil
}

// parseSocketMessage decodes a message. If that fails, problem says why, without quoting it.
func parseSocketMessage(text []byte) (m socketMessage, problem string) {
	var fields map[string]json.RawMessage // unlike a struct, strict about the case of names
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		return m, "Invalid message: it is not a JSON object"
	}
	if document.HoldsLoneSurrogate(text) { // an id would come back as another
		return m, "Invalid message: " + document.LoneSurrogate
	}
	if !socketString(fields["type"], &m.kind) {
		return m, "Invalid message: type must be a string"
	}
	if payload := fields["payload"]; beginsWith('{', payload) {
		m.payload = payload
	} else if payload != nil && !bytes.Equal(payload, []byte("null")) {
		return m, "Invalid message: payload must be an object"
	}
	switch m.kind {
	case "subscribe", "complete", "start", "stop":
		if !socketString(fields["id"], &m.id) || m.id == "" {
			return m, "Invalid message: id must be a string that is not empty"
		}
	}
	return m, ""
}

// socketString decodes a JSON string. It reports false for anything else.
func socketString(text json.RawMessage, to *string) bool {
	return len(text) > 0 && text[0] == '"' && json.Unmarshal(text, to) == nil
}

// socketReply is a message to a client.
type socketReply struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// encode returns the message as JSON. It panics if that is impossible, as it may be for a payload that Init returns.
func (r socketReply) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Errorf("a message of type %s cannot be sent as JSON: %w", r.Type, err))
	}
	return text
}
