package transport

import (
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// graphqlWS is the older https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md.
type graphqlWS struct{}

func (graphqlWS) handle(s *socket, m socketMessage) bool {
	switch m.kind {
	case "start":
		s.subscribe(m)
	case "stop":
		if s.complete(m.id) {
			s.write(nil, socketReply{ID: m.id, Type: "complete"}.encode())
		}
	case "connection_terminate":
		s.close(websocket.StatusNormalClosure, "")
	default:
		return false
	}
	return true
}

// begin reads no message until init returns: clients send operations without waiting for the acknowledgement.
func (graphqlWS) begin(_ *socket, init func()) { init() }

func (graphqlWS) duplicate(string) error { return nil }

func (graphqlWS) parts() bool { return false }

func (graphqlWS) result() string { return "data" }

// failure returns one error, which is all that the protocol has, and the list, which clients take from there too.
func (graphqlWS) failure(errs gqlerror.List) any {
	return map[string]any{"message": errs[0].Message, "errors": errs}
}

func (graphqlWS) forbidden() []byte {
	return socketReply{Type: "connection_error", Payload: &gqlerror.Error{Message: "Forbidden"}}.encode()
}

func (graphqlWS) keepAlive() []byte { return socketReply{Type: "ka"}.encode() }
