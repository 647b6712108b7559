package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/access"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/entity"
	"rollcall/identity"
	"rollcall/model"
	"rollcall/session"
)

// verified are the claims of somebody with a verified email address.
func verified(email string) map[string]any {
	return map[string]any{"email": email, "email_verified": true, "name": "Ann Example"}
}

// linking lets the first issuer link users by email.
func linking(w *world) func(*identity.Config) {
	return func(cfg *identity.Config) { cfg.LinkEmail = map[string]bool{w.one.URL: true} }
}

func TestALoginIsLinkedOnceByAVerifiedEmailOfAnIssuerThatMay(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		ann := w.user("ann@example.com")
		a := w.authenticator(linking(w))
		for _, test := range []struct {
			what   string
			token  string
			linked bool
		}{
			{"no email", w.one.Token(t, "1", nil), false},
			{"an email that is not verified", w.one.Token(t, "2", map[string]any{"email": "ann@example.com"}), false},
			{"an email that is not verified, explicitly", w.one.Token(t, "3", map[string]any{"email": "ann@example.com", "email_verified": false}), false},
			{"an issuer that may not", w.other.Token(t, "4", verified("ann@example.com")), false},
			{"an email that nobody has", w.one.Token(t, "5", verified("ben@example.com")), false},
			{"a verified email, in another spelling", w.one.Token(t, "6", verified("Ann@EXAMPLE.com")), true},
			{"the same again, without an email", w.one.Token(t, "6", nil), true},
			{"another subject with the email", w.one.Token(t, "7", verified("ann@example.com")), false},
			{"a subject that differs by a space", w.one.Token(t, "6 ", nil), false},
			{"the subject at another issuer", w.other.Token(t, "6", verified("ann@example.com")), false},
		} {
			got := viewer(t, a, request(test.token))
			if linked := got.UserID != 0; linked != test.linked || linked && (model.UserID(got.UserID) != ann || got.Subject != "user:1") {
				t.Errorf("%s: got %+v", test.what, got)
			}
		}
		if n := w.count("SELECT COUNT(*) FROM identities"); n != 1 {
			t.Errorf("there are %d links", n)
		}
		if viewer(t, w.authenticator(nil), request(w.one.Token(t, "6", nil))).UserID != 1 {
			t.Error("a link counts only where links are made")
		}
	})
}

func TestSubjectsThatDifferInCaseOrSpacesAreOtherLogins(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		a := w.authenticator(linking(w))
		seen := map[int64]string{}
		for i, subject := range []string{"ann", "Ann", "ann ", " ann", "änn", "a\u0308nn", "ann\t"} {
			w.user(fmt.Sprintf("ann%d@example.com", i))
			got := viewer(t, a, request(w.one.Token(t, subject, verified(fmt.Sprintf("ann%d@example.com", i)))))
			if before, taken := seen[got.UserID]; taken || got.UserID == 0 {
				t.Errorf("%q is the user %d, as %q", subject, got.UserID, before)
			}
			seen[got.UserID] = subject
		}
	})
}

func TestADeactivatedUserIsRefusedHoweverTheLoginIsFound(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		ann, ben := w.user("ann@example.com"), w.user("ben@example.com")
		a := w.authenticator(linking(w))
		token := w.one.Token(t, "ann", verified("ann@example.com"))
		viewer(t, a, request(token))
		w.setStatus(ann, model.StatusDeactivated)
		w.setStatus(ben, model.StatusDeactivated)
		a.Pass(time.Second) // the longest that anything is kept
		for what, r := range map[string]*http.Request{
			"linked before": request(token), "linked now": request(w.one.Token(t, "ben", verified("ben@example.com"))),
		} {
			if got := refused(t, a, r); got.Status != http.StatusUnauthorized || got.Viewer == nil || !strings.HasPrefix(got.Viewer.Subject, "user:") {
				t.Errorf("%s: %d %v of %+v", what, got.Status, got.Err, got.Viewer)
			}
		}
		w.setStatus(ann, model.StatusActive)
		a.Pass(time.Second)
		viewer(t, a, request(token))
	})
}

// TestNothingIsLeftOfTheLoginsOfAUserWhoHasGone tries it by each way in which users go.
func TestNothingIsLeftOfTheLoginsOfAUserWhoHasGone(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		a := w.authenticator(linking(w))
		for name, remove := range map[string]func(ctx context.Context, id string) error{
			"deleteUser": func(ctx context.Context, id string) error {
				_, err := w.directory.DeleteUser(ctx, entity.Input{"id": id})
				return err
			},
			"deleteUsers": func(ctx context.Context, id string) error {
				_, err := w.directory.DeleteUsers(ctx, entity.Input{"users": []any{map[string]any{"id": id}}})
				return err
			},
			"eraseUser": func(ctx context.Context, id string) error {
				_, err := w.directory.EraseUser(ctx, entity.Input{"id": id})
				return err
			},
		} {
			id := w.user(name + "@example.com")
			token := w.one.Token(t, name, verified(name+"@example.com"))
			if viewer(t, a, request(token)).UserID == 0 {
				t.Fatalf("%s: not linked", name)
			}
			w.write(func(ctx context.Context) error { return remove(ctx, id) })
			if n := w.count("SELECT COUNT(*) FROM identities"); n != 0 {
				t.Errorf("%s leaves %d logins", name, n)
			}
			a.Pass(time.Second)
			if got := viewer(t, a, request(token)); got.UserID != 0 {
				t.Errorf("%s: still %+v", name, got)
			}
		}
	})
}

func TestAUserIsCreatedOfWhoeverIsKnownByEmailAndName(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		w.user("ann@example.com")
		a := w.authenticator(func(cfg *identity.Config) { cfg.CreateUsers = true })
		for what, claims := range map[string]map[string]any{
			"no name":                       {"email": "ben@example.com", "email_verified": true},
			"no email":                      {"name": "Ben"},
			"an email that is not verified": {"email": "ben@example.com", "name": "Ben"},
			"an email that is none":         verified("not an address"),
			"the email of another user":     verified("ann@example.com"),
		} {
			if got := viewer(t, a, request(w.one.Token(t, what, claims))); got.UserID != 0 {
				t.Errorf("%s: %+v", what, got)
			}
		}
		if n := w.count("SELECT COUNT(*) FROM users"); n != 1 {
			t.Fatalf("there are %d users", n)
		}
		got := viewer(t, a, request(w.one.Token(t, "ben", verified("ben@example.com"))))
		if got.UserID == 0 || w.count("SELECT COUNT(*) FROM users WHERE email = 'ben@example.com' AND name = 'Ann Example'") != 1 {
			t.Fatalf("got %+v", got)
		}
		// By the directory's own way: with the words of the search, and in the log.
		if w.count(fmt.Sprintf("SELECT COUNT(*) FROM user_words WHERE user_id = %d", got.UserID)) == 0 ||
			w.count(fmt.Sprintf("SELECT COUNT(*) FROM changes WHERE kind = 'CREATED' AND object_id = %d AND actor = 'login'", got.UserID)) != 1 {
			t.Error("the user has no words, or is not in the log")
		}
	})
}

// TestTwoFirstRequestsOfOneLoginMakeOneUser has them come at several servers at once.
func TestTwoFirstRequestsOfOneLoginMakeOneUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		for round := range 5 {
			subject := fmt.Sprint("ann", round)
			token := w.one.Token(t, subject, verified(subject+"@example.com"))
			users := w.atOnce(8, func(int) string { return token }, func(cfg *identity.Config) { cfg.CreateUsers = true })
			for _, id := range users {
				if id == 0 || id != users[0] {
					t.Errorf("round %d: the users %v", round, users)
				}
			}
		}
		if n, links := w.count("SELECT COUNT(*) FROM users"), w.count("SELECT COUNT(*) FROM identities"); n != 5 || links != 5 {
			t.Errorf("there are %d users and %d links", n, links)
		}
	})
}

func TestOfTwoLoginsWithOneEmailOneIsLinked(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.Database) {
		w := newWorld(t, db)
		for round := range 5 {
			email := fmt.Sprintf("ann%d@example.com", round)
			w.user(email)
			users := w.atOnce(8, func(i int) string { return w.one.Token(t, fmt.Sprint(round, ".", i), verified(email)) }, linking(w))
			linked := 0
			for _, id := range users {
				if id != 0 {
					linked++
				}
			}
			if linked != 1 {
				t.Errorf("round %d: the users %v", round, users)
			}
		}
	})
}

// atOnce has servers of one database asked at once, each with a token, and returns the users that they take the senders for.
func (w *world) atOnce(n int, token func(i int) string, change func(*identity.Config)) []int64 {
	users := make([]int64, n)
	var all sync.WaitGroup
	for i := range n {
		a, r := w.authenticator(change), request(token(i))
		all.Go(func() {
			for range 3 { // the database may have too much to do at once
				ctx, refusal := a.Context(r)
				if refusal == nil {
					users[i] = access.ViewerOf(ctx).UserID
					return
				}
				w.tb.Logf("refused with %d: %v", refusal.Status, refusal.Err)
			}
		})
	}
	all.Wait()
	return users
}

func TestADatabaseIsAskedOnceASecondForEachLogin(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(nil)
	token := w.one.Token(t, "ann", nil)
	n := len(w.statements.During(func() {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, refusal := a.Context(request(token)); refusal != nil {
					t.Error(refusal.Err)
				}
			})
		}
		all.Wait()
	}))
	if n < 1 || n > 2 { // one that comes in the moment between may ask once more
		t.Errorf("20 requests at once take %d statements", n)
	}
	if n := len(w.statements.During(func() { viewer(t, a, request(token)) })); n != 0 {
		t.Errorf("another one takes %d", n)
	}
	a.Pass(time.Second)
	if n := len(w.statements.During(func() { viewer(t, a, request(token)) })); n != 1 {
		t.Errorf("a second later it takes %d", n)
	}
}

func TestWhileTheDatabaseIsAwayNobodyIsTakenForSomebody(t *testing.T) {
	w := sqlite(t)
	a := w.authenticator(func(cfg *identity.Config) { cfg.Anonymous = true })
	token := w.one.Token(t, "ann", nil)
	viewer(t, a, request(token))
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	a.Pass(time.Second)
	if got := refused(t, a, request(token)); got.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", got.Status, got.Err)
	}
}

func TestAUserOfAProxyIsLinkedByEmailWhereThatIsAskedFor(t *testing.T) {
	w := sqlite(t)
	w.user("ann@example.com")
	headers := []string{"X-Forwarded-User", "ann", "X-Forwarded-Email", "ann@example.com"}
	without := w.authenticator(func(cfg *identity.Config) { cfg.Proxies = proxies(t, "203.0.113.7") })
	if got := viewer(t, without, request("", headers...)); got.UserID != 0 || got.Subject != "proxy:ann" {
		t.Errorf("got %+v", got)
	}
	with := w.authenticator(func(cfg *identity.Config) {
		cfg.Proxies, cfg.LinkEmail = proxies(t, "203.0.113.7"), map[string]bool{identity.Proxy: true}
	})
	if got := viewer(t, with, request("", headers...)); got.UserID != 1 || got.Subject != "user:1" {
		t.Errorf("got %+v", got)
	}
}

// TestAnExportHasTheLoginsOfAUser since they are held about the user.
func TestAnExportHasTheLoginsOfAUser(t *testing.T) {
	w := sqlite(t)
	id := w.user("ann@example.com")
	viewer(t, w.authenticator(linking(w)), request(w.one.Token(t, "ann", verified("ann@example.com"))))
	err := session.Run(t.Context(), w.pools, session.Snapshot, "a test", func(ctx context.Context) error {
		export, err := w.directory.ExportUser(ctx, id)
		if err == nil && (len(export.Identities) != 1 || export.Identities[0].Issuer != w.one.URL || export.Identities[0].Subject != "ann" ||
			time.Since(export.Identities[0].LinkedAt) > time.Hour) {
			t.Errorf("got %+v", export.Identities)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
