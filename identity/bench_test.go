package identity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"rollcall/access"
	"rollcall/database/databasetest"
	"rollcall/identity"
)

// BenchmarkATokenThatIsKnown is a request whose token was verified before, from its arrival to the handler that has its viewer.
func BenchmarkATokenThatIsKnown(b *testing.B) {
	w := newWorld(b, databasetest.New(b, "sqlite"))
	w.user("ann@example.com")
	a := w.authenticator(func(cfg *identity.Config) { cfg.LinkEmail = map[string]bool{w.one.URL: true} })
	groups := make([]string, 100)
	for i := range groups {
		groups[i] = fmt.Sprint("group-", i)
	}
	for name, roles := range map[string][]string{"few roles": {"EDITOR", "staff"}, "100 roles": groups} {
		b.Run(name, func(b *testing.B) {
			r := request(w.one.Token(b, "ann", map[string]any{"email": "ann@example.com", "email_verified": true, "roles": roles}))
			var seen *access.Viewer
			h := a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = access.ViewerOf(r.Context()) }), nil, nil)
			recorder := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(recorder, r)
			}
			if seen == nil || seen.UserID != 1 {
				b.Errorf("got %+v", seen)
			}
		})
	}
}
