package identity

import (
	"errors"
	"net/http"

	"rollcall/access"
	"rollcall/auth"
)

// Handler serves next with requests whose contexts have viewers. allow refuses viewers; nil: it refuses none. refuse answers what was refused, with
// the headers set that belong to that.
func (a *Authenticator) Handler(next http.Handler, allow func(*access.Viewer) *RefusedError, refuse func(http.ResponseWriter, *http.Request, *RefusedError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, refusal := a.Context(r)
		if refusal == nil && allow != nil {
			refusal = allow(access.ViewerOf(ctx))
		}
		if refusal == nil {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		a.log(r, refusal)
		refusal.SetHeader(w.Header())
		refuse(w, r, refusal)
	})
}

// log logs that a request was refused.
func (a *Authenticator) log(r *http.Request, refusal *RefusedError) {
	attempt := Attempt{Code: refusal.Err.Code, Reason: refusal.Err.Message, Client: a.address(r), Nobody: refusal.nobody}
	if refusal.Viewer != nil {
		attempt.Subject = refusal.Viewer.Subject
	}
	if invalid, ok := errors.AsType[*auth.InvalidTokenError](refusal.Err); ok {
		attempt.Detail = invalid.Detail
	} else if refusal.Err.Err != nil {
		attempt.Detail = refusal.Err.Err.Error()
	}
	a.Refusals.Add(r.Context(), attempt)
}
