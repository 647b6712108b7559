package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
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
	if holdsLoneSurrogate(text) { // an id would come back as another
		return m, "Invalid message: " + loneSurrogate
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

// encode is the message as JSON. Only what others have made can fail.
func (r socketReply) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Errorf("a message of type %s cannot be sent as JSON: %w", r.Type, err))
	}
	return text
}

// result is a response of an operation. Any but the first one of a query adds to it.
func (s *socket) result(id string, response *graphql.Response, first bool) []byte {
	kind := "next"
	if s.legacy {
		kind = "data"
	}
	text := append(appendMember([]byte{'{'}, "id", id), `,"type":"`+kind+`","payload":`...)
	if first {
		text = appendResponse(text, response)
	} else {
		text = appendIncrement(text, response)
	}
	return append(text, '}')
}

// failure tells an operation's errors, and that there is no more to come.
func (s *socket) failure(id string, errs gqlerror.List) []byte {
	if _, err := json.Marshal(errs); err != nil || len(errs) == 0 { // for what was put into them, or taken from them
		errs = gqlerror.List{internalError()}
	}
	reply := socketReply{id, "error", errs}
	if s.legacy { // which has one error; its clients take the list from there too
		reply.Payload = map[string]any{"message": errs[0].Message, "errors": errs}
	}
	return reply.encode()
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
