package identity

import (
	"context"
	"net/http"
	"strings"

	"rollcall/auth"
)

type requestKey struct{} // of the request with which it all began

// Later returns the context of a request that opens a WebSocket: who sends it is decided when its first message is there, by SocketContext.
func (*Authenticator) Later(r *http.Request) context.Context {
	return context.WithValue(r.Context(), requestKey{}, r)
}

// SocketContext returns ctx, which comes from Later, with the viewer of a socket in it. The payload of the first message may have credentials, as
// {"Authorization": "Bearer …"}, in any case as a header's name is, or {"token": "…"}; if it has none, those of the request count that has opened the socket.
func (a *Authenticator) SocketContext(ctx context.Context, payload map[string]any) (context.Context, *RefusedError) {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	if r == nil {
		return nil, noCredentials()
	}
	token, given, err := credentials(payload)
	if err != nil {
		refusal := notBearer(err)
		a.log(r, refusal)
		return nil, refusal
	}
	var refusal *RefusedError
	if given {
		ctx, refusal = a.viewer(ctx, r, token)
	} else {
		ctx, refusal = a.Context(r.WithContext(ctx))
	}
	if refusal != nil {
		a.log(r, refusal)
	}
	return ctx, refusal
}

// credentials returns the token in the payload of a first message. given: it says that it has one, which may be empty.
func credentials(payload map[string]any) (token string, given bool, err error) {
	for name, value := range payload {
		if !strings.EqualFold(name, "Authorization") || value == nil {
			continue
		}
		if given {
			return "", true, auth.ErrSeveralCredentials
		}
		text, _ := value.(string)
		token, err = auth.ParseBearer(text)
		given = true
	}
	if given {
		return token, true, err
	}
	value, given := payload["token"]
	if !given || value == nil {
		return "", false, nil
	}
	text, _ := value.(string)
	token, err = auth.ParseBearer("Bearer " + text)
	return token, true, err
}
