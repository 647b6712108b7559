package transport

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/document"
)

// protocol is a WebSocket subprotocol, as far as the subprotocols differ. All sockets share it.
type protocol struct {
	handlers map[string]func(*socket, socketMessage) // of a client's messages, by their types, but connection_init

	initBlocks bool   // no message is read until Init has returned
	replaces   bool   // an operation takes the place of another one of its id, instead of closing the socket
	parts      bool   // answers may come in parts
	result     string // the type of a message with a result of an operation
	forbidden  []byte // the message to a client that Init refuses, or nil
	keepAlive  []byte // the message after the acknowledgement and with each ping, or nil

	failure func(gqlerror.List) any // returns the payload of the message that ends an operation with errors
}

// graphqlTransportWS is https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.
var graphqlTransportWS = &protocol{
	handlers: map[string]func(*socket, socketMessage){
		"subscribe": (*socket).subscribe,
		"complete":  func(s *socket, m socketMessage) { s.complete(m.id) },
		"ping": func(s *socket, m socketMessage) {
			pong := socketReply{Type: "pong"}
			if m.payload != nil {
				pong.Payload = m.payload
			}
			s.write(nil, pong.encode())
		},
		"pong": func(*socket, socketMessage) {},
	},
	parts:   true,
	result:  "next",
	failure: func(errs gqlerror.List) any { return errs },
}

// graphqlWS is the older https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md, whose clients
// send operations without waiting for the acknowledgement.
var graphqlWS = &protocol{
	handlers: map[string]func(*socket, socketMessage){
		"start": (*socket).subscribe,
		"stop": func(s *socket, m socketMessage) {
			if s.complete(m.id) {
				s.write(nil, socketReply{ID: m.id, Type: "complete"}.encode())
			}
		},
		"connection_terminate": func(s *socket, _ socketMessage) { s.close(websocket.StatusNormalClosure, "") },
	},
	initBlocks: true,
	replaces:   true,
	result:     "data",
	forbidden:  socketReply{Type: "connection_error", Payload: &gqlerror.Error{Message: "Forbidden"}}.encode(),
	keepAlive:  socketReply{Type: "ka"}.encode(),
	failure: func(errs gqlerror.List) any { // one error is all that the protocol has; clients take the list from there too
		return map[string]any{"message": errs[0].Message, "errors": errs}
	},
}

// protocols are the subprotocols by their names in Sec-WebSocket-Protocol.
var protocols = map[string]*protocol{"graphql-transport-ws": graphqlTransportWS, "graphql-ws": graphqlWS}

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
