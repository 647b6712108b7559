package transport

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// graphqlTransportWS is https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.
type graphqlTransportWS struct{}

func (graphqlTransportWS) handle(s *socket, m socketMessage) bool {
	switch m.kind {
	case "subscribe":
		s.subscribe(m)
	case "complete":
		s.complete(m.id)
	case "ping":
		pong := socketReply{Type: "pong"}
		if m.payload != nil {
			pong.Payload = m.payload
		}
		s.write(nil, pong.encode())
	case "pong":
	default:
		return false
	}
	return true
}

func (graphqlTransportWS) begin(s *socket, init func()) { s.work.Go(init) }

func (graphqlTransportWS) duplicate(id string) error {
	return &socketCloseError{socketDuplicate, fmt.Sprintf("Subscriber for %s already exists", id)}
}

func (graphqlTransportWS) parts() bool { return true }

func (graphqlTransportWS) result() string { return "next" }

func (graphqlTransportWS) failure(errs gqlerror.List) any { return errs }

func (graphqlTransportWS) forbidden() []byte { return nil }

func (graphqlTransportWS) keepAlive() []byte { return nil }
