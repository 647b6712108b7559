package identity_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/auth"
	"rollcall/auth/authtest"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/entity"
	"rollcall/identity"
	"rollcall/model"
)

// open returns what tells of the end of a stream of somebody who is let in.
func open(t *testing.T, a *identity.Authenticator, token string) <-chan error {
	t.Helper()
	ctx, refusal := a.Context(request(token))
	if refusal != nil {
		t.Fatal(refusal)
	}
	ended, release := a.Until(ctx)
	t.Cleanup(release)
	return ended
}

// over reports whether a stream is ended, with the error that its client is to see.
func over(t *testing.T, ended <-chan error) bool {
	t.Helper()
	select {
	case err := <-ended:
		if apierror.CodeOf(err) != apierror.CodeUnauthenticated {
			t.Errorf("ended with %v", err)
		}
		return true
	default:
		return false
	}
}

func TestStreamsOfUsersWhoAreNoneAnyMoreEndAndNoOthers(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		a := w.authenticator(linking(w))
		streams, users := map[string]<-chan error{}, map[string]string{}
		for _, name := range []string{"deactivated", "deleted", "unlinked", "renamed", "untouched"} {
			users[name] = w.user(name + "@example.com")
			streams[name] = open(t, a, w.one.Token(t, name, verified(name+"@example.com")))
		}
		streams["nobody"] = open(t, a, w.one.Token(t, "nobody", nil))
		look := func() {
			t.Helper()
			if err := a.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		look()
		for name, ended := range streams {
			if over(t, ended) {
				t.Errorf("%s: ended at once", name)
			}
		}
		w.setStatus(users["deactivated"], model.StatusDeactivated)
		w.write(func(ctx context.Context) error {
			_, err := w.directory.DeleteUser(ctx, entity.Input{"id": users["deleted"]})
			return err
		})
		w.write(func(ctx context.Context) error {
			_, err := w.directory.UpdateUser(ctx, entity.Input{"id": users["renamed"], "name": "Other", "email": "other@example.com"})
			return err
		})
		if err := db.Write.Exec("DELETE FROM identities WHERE subject = 'unlinked'").Error; err != nil {
			t.Fatal(err)
		}
		look()
		for name, want := range map[string]bool{"deactivated": true, "deleted": true, "unlinked": true, "renamed": false, "untouched": false, "nobody": false} {
			if got := over(t, streams[name]); got != want {
				t.Errorf("%s: ended is %t", name, got)
			}
		}
	})
}

func TestALookAtAllStreamsIsOneStatementHoweverManyThereAre(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		api := &tokens{viewers: map[[sha256.Size]byte]*access.Viewer{}}
		a := w.authenticator(func(cfg *identity.Config) {
			linking(w)(cfg)
			cfg.Tokens = api
		})
		if n := len(w.statements.During(func() { _ = a.Look(t.Context()) })); n != 0 {
			t.Errorf("without a stream it is %d statements", n)
		}
		const people = 30
		for i := range people {
			email := fmt.Sprintf("a%d@example.com", i)
			w.user(email)
			token := w.one.Token(t, email, verified(email))
			open(t, a, token)
			open(t, a, token)
			secret := auth.NewAPIToken()
			api.viewers[secret.SHA256()] = &access.Viewer{Subject: fmt.Sprint("token:", i)}
			open(t, a, secret.Text())
		}
		statements := w.statements.During(func() {
			if err := a.Look(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if len(statements) != 1 || len(api.asked) != 1 || len(strings.Fields(api.asked[0])) != people {
			t.Errorf("%d statements, and of tokens %q", len(statements), api.asked)
		}
	})
}

func TestStreamsOfAWithdrawnTokenEnd(t *testing.T) {
	w := sqlite(t)
	kept, withdrawn := auth.NewAPIToken(), auth.NewAPIToken()
	api := &tokens{viewers: map[[sha256.Size]byte]*access.Viewer{kept.SHA256(): {Subject: "token:1"}, withdrawn.SHA256(): {Subject: "token:2"}}}
	a := w.authenticator(func(cfg *identity.Config) { cfg.Tokens = api })
	one, other := open(t, a, kept.Text()), open(t, a, withdrawn.Text())
	delete(api.viewers, withdrawn.SHA256())
	api.err = errors.New("away")
	if err := a.Look(t.Context()); err == nil || over(t, one) || over(t, other) {
		t.Errorf("while the database is away: %v", err)
	}
	api.err = nil
	if err := a.Look(t.Context()); err != nil || over(t, one) || !over(t, other) {
		t.Errorf("the wrong one has ended, or %v", err)
	}
}

// TestAStreamEndsWhenItsTokenExpires has one that has expired already, and is accepted for what is left of the leeway.
func TestAStreamEndsWhenItsTokenExpires(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(nil)
	now := time.Now()
	soon := open(t, a, w.one.Token(t, "ann", map[string]any{"exp": now.Add(2*time.Second - auth.Leeway).Unix()}))
	later := open(t, a, w.one.Token(t, "ann", map[string]any{"exp": now.Add(time.Minute).Unix()}))
	if err := <-soon; err == nil || err.Error() != "the token has expired" || over(t, later) {
		t.Errorf("ended with %v", err)
	}
}

func TestReleasedStreamsAreNotLookedAt(t *testing.T) {
	w := sqlite(t)
	w.user("ann@example.com")
	a := w.authenticator(linking(w))
	ctx, refusal := a.Context(request(w.one.Token(t, "ann", verified("ann@example.com"))))
	if refusal != nil {
		t.Fatal(refusal)
	}
	_, release := a.Until(ctx)
	release()
	if n := len(w.statements.During(func() { _ = a.Look(t.Context()) })); n != 0 {
		t.Errorf("it is %d statements", n)
	}
}

func TestRunLooksByItself(t *testing.T) {
	w := sqlite(t)
	id := w.user("ann@example.com")
	a := w.authenticator(linking(w))
	ended := open(t, a, w.one.Token(t, "ann", verified("ann@example.com")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	w.setStatus(id, model.StatusDeactivated)
	if err := <-ended; err == nil {
		t.Error("it ended without a reason")
	}
	cancel()
	<-done
}

func TestAFloodOfRefusalsDoesNotFloodTheLog(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(nil)
	const attempts = 5000
	began := time.Now()
	for i := range attempts {
		a.Refusals.Add(t.Context(), identity.Attempt{Code: apierror.CodeUnauthenticated, Reason: "no credentials", Client: "203.0.113.7"})
		a.Refusals.Add(t.Context(), identity.Attempt{Code: apierror.CodeForbidden, Reason: fmt.Sprint("invented ", i), Subject: "user:1", Operation: strings.Repeat("x", 5000)})
	}
	seconds := int(time.Since(began)/time.Second) + 1
	log := w.log.String()
	if n := strings.Count(log, "\n"); n > 25*seconds || len(log) > 25*400*seconds {
		t.Errorf("%d lines with %d bytes for %d attempts within %d s", n, len(log), 2*attempts, seconds)
	}
	if !strings.Contains(log, `level=WARN msg="an attempt was refused" code=UNAUTHENTICATED subject="" operation="" reason="no credentials" client=203.0.113.7`) {
		t.Errorf("the first one is missing:\n%.500s", log)
	}
	if a.Refusals.Count(apierror.CodeUnauthenticated) != attempts || a.Refusals.Count(apierror.CodeForbidden) != attempts {
		t.Error("not all are counted")
	}
	for !strings.Contains(w.log.String(), "more attempts were refused") { // none of them is forgotten
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWhoeverHasNoCredentialsIsNothingToWarnOf(t *testing.T) {
	for _, row := range []struct{ name, header, value, level string }{
		{"no credentials", "Accept", "text/html", "INFO"},
		{"a wrong token", "Authorization", "Bearer rc_wrong", "WARN"},
		{"a proxy that is not trusted", "X-Forwarded-User", "ann", "WARN"},
	} {
		w := sqlite(t)
		a := w.authenticator(func(cfg *identity.Config) {
			cfg.Proxies = auth.XForwardedHeaders()
			cfg.Proxies.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
		})
		refuse := func(http.ResponseWriter, *http.Request, *identity.RefusedError) {}
		for range 3 {
			r := httptest.NewRequest(http.MethodPost, "/query", nil)
			r.Header.Set(row.header, row.value)
			a.Handler(http.NotFoundHandler(), nil, refuse).ServeHTTP(httptest.NewRecorder(), r)
		}
		for !strings.Contains(w.log.String(), "more attempts were refused") {
			time.Sleep(10 * time.Millisecond)
		}
		for _, message := range []string{"an attempt was refused", "more attempts were refused"} {
			if log := w.log.String(); strings.Count(log, message) != 1 || !strings.Contains(log, "level="+row.level+` msg="`+message) {
				t.Errorf("%s:\n%s", row.name, log)
			}
		}
		if n := a.Refusals.Count(apierror.CodeUnauthenticated); n != 3 {
			t.Errorf("%s: %d are counted", row.name, n)
		}
	}
}

func TestTheLogHasNoPartOfACredential(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(nil)
	serve := func(r *http.Request) {
		refuse := func(w http.ResponseWriter, _ *http.Request, refusal *identity.RefusedError) {
			w.WriteHeader(refusal.Status)
		}
		a.Handler(http.NotFoundHandler(), nil, refuse).ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, token := range []string{authtest.New(t).Token(t, "ann", nil), w.one.Token(t, "ann", nil) + "x", auth.NewAPIToken().Text(), "secret~token"} {
		for range 2 {
			serve(request(token))
		}
		serve(withAuthorization(request(""), "Basic "+token))
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 5 && strings.Contains(w.log.String(), part) {
				t.Errorf("the log has a part of %s:\n%s", token, &w.log)
			}
		}
	}
	if n := strings.Count(w.log.String(), "refused"); n < 4 {
		t.Errorf("the log has %d lines", n)
	}
}
