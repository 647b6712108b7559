package transport

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Close codes of graphql-transport-ws. The older protocol has none; they serve it as well.
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

// parseSocketMessage decodes a message. Where it is none, problem says why, without a word of it.
func parseSocketMessage(text []byte) (m socketMessage, problem string) {
	var fields map[string]json.RawMessage // unlike a struct, strict about the case of names
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		return m, "Invalid message: it is not a JSON object"
	}
	if !socketString(fields["type"], &m.kind) {
		return m, "Invalid message: type must be a string"
	}
	if payload := fields["payload"]; object(payload) {
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

// socketObject decodes a JSON object, or none.
func socketObject(text json.RawMessage) (decoded map[string]any) {
	if text != nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		_ = decoder.Decode(&decoded) // it is one
	}
	return decoded
}

// socketReply is a message to a client.
type socketReply struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// socketResponse is a graphql.Response that says nothing of data where it has none.
type socketResponse struct {
	Errors     gqlerror.List   `json:"errors,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Label      string          `json:"label,omitempty"`
	Path       ast.Path        `json:"path,omitempty"`
	HasNext    *bool           `json:"hasNext,omitempty"`
	Extensions map[string]any  `json:"extensions,omitempty"`
}

// result is one answer of an operation, or a part of it.
func (s *socket) result(id string, response *graphql.Response) socketReply {
	kind := "next"
	if s.legacy {
		kind = "data"
	}
	return socketReply{id, kind, (*socketResponse)(response)}
}

// failure tells an operation's errors, and that there is no more to come.
func (s *socket) failure(id string, errs gqlerror.List) socketReply {
	if s.legacy { // which wants one error; clients know the list too
		return socketReply{id, "error", map[string]any{"message": errs.Error(), "errors": errs}}
	}
	return socketReply{id, "error", errs}
}

// closeReason is text that fits into a close frame.
func closeReason(text string) string {
	const most = 123
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
