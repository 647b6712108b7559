package identity

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/dialect"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

const (
	maxKept    = 10_000          // logins whose users are kept
	keptFor    = time.Second     // so that a deactivation counts after that
	findWithin = 5 * time.Second // longest that a request waits for the database to tell who sends it
	maxText    = 255             // bytes of an issuer and of a subject
)

// key is what the table identities finds a user by.
type key struct{ issuer, subject string }

// found is what a login has led to. It is not changed.
type found struct {
	link        int64 // the row of the table; 0: the login is no user's
	deactivated bool
	viewer      *access.Viewer
	user        user
	roles       []string // that the viewer's role was made of
	until       time.Time
}

// user is what the table says of a login.
type user struct {
	link, id int64
	status   model.Status
}

// links finds the users of logins.
type links struct {
	*Config
	kept  *lru.Cache[key, *found]
	asked singleflight.Group
	now   func() time.Time
}

func newLinks(cfg *Config) *links {
	kept, err := lru.New[key, *found](maxKept)
	if err != nil {
		panic(err) // for a size of 0 alone
	}
	cfg.Pools.Deadline = min(findWithin, cmp.Or(cfg.Pools.Deadline, findWithin))
	return &links{Config: cfg, kept: kept, now: time.Now}
}

// find returns what a login leads to, as it was a second ago at most. The first time it may link or create a user.
func (s *links) find(ctx context.Context, l login) (*found, error) {
	k := key{l.issuer, l.subject}
	now := s.now()
	known, ok := s.kept.Get(k)
	switch {
	case ok && now.Before(known.until) && same(known.roles, l.roles) && known.viewer.Expires.Equal(l.expires):
		return known, nil
	case ok && now.Before(known.until): // the same person, with another token
		return s.keep(k, l, known.user, known.until), nil
	}
	answers := s.asked.DoChan(l.issuer+"\x00"+l.subject, func() (any, error) {
		ctx := context.WithoutCancel(ctx) // others wait for the answer too
		began := s.now()
		u, err := s.look(ctx, l)
		if err != nil {
			return nil, err
		}
		return s.keep(k, l, u, began.Add(keptFor)), nil
	})
	select {
	case answer := <-answers:
		if answer.Err != nil {
			return nil, answer.Err
		}
		f := answer.Val.(*found)
		if !same(f.roles, l.roles) || !f.viewer.Expires.Equal(l.expires) {
			f = s.keep(k, l, f.user, f.until)
		}
		return f, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// same reports whether two lists are one: those of a token are.
func same(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// keep keeps what a login leads to.
func (s *links) keep(k key, l login, u user, until time.Time) *found {
	v := &access.Viewer{UserID: u.id, Role: s.Roles.greatest(l.roles), Expires: l.expires}
	switch {
	case u.id != 0:
		v.Subject = fmt.Sprint("user:", u.id)
	case l.known != "":
		v.Subject = l.known
	default: // an issuer's URL has no #
		v.Subject = bounded("oidc:"+l.issuer+"#", l.subject)
	}
	f := &found{link: u.link, deactivated: u.status == model.StatusDeactivated, viewer: v, user: u, roles: l.roles, until: until}
	s.kept.Add(k, f)
	return f
}

// look asks the database which user a login is, and makes one of it if it may.
func (s *links) look(ctx context.Context, l login) (user, error) {
	if len(l.issuer) > maxText || len(l.subject) > maxText || strings.ContainsRune(l.subject, 0) {
		return user{}, nil // nothing that the table has
	}
	u, may, err := s.read(ctx, l)
	if err != nil || !may {
		return u, err
	}
	err = session.Run(context.WithValue(ctx, actorKey{}, "login"), s.Pools, session.Write, "(links a login to a user)", func(ctx context.Context) error {
		return s.link(ctx, l)
	})
	switch {
	case err == nil, dialect.Is(err, dialect.Unique|dialect.ForeignKey), apierror.CodeOf(err) == apierror.CodeConflict: // another one was faster
		u, _, err = s.read(ctx, l)
	case len(refusedInput(err)) > 0:
		s.Logger.WarnContext(ctx, "no user can be created of a login", "issuer", l.issuer, "reason", refusedInput(err).Error())
		return user{}, nil
	}
	return u, err
}

// refusedInput returns what the directory does not take of what an issuer says.
func refusedInput(err error) apierror.Errors {
	list, _ := apierror.ErrorsOf(err)
	return list
}

// read reads the user of a login. may says that there is none yet, and that link will find or create one.
func (s *links) read(ctx context.Context, l login) (u user, may bool, err error) {
	err = session.Run(ctx, s.Pools, session.Read, "(finds out who sends a request)", func(ctx context.Context) error {
		may = false
		if u, err = linkedTo(ctx, l); err != nil || u.link != 0 {
			return err
		}
		id, taken, err := s.byEmail(ctx, l)
		if err == nil && taken { // perhaps by this very login, in between
			u, err = linkedTo(ctx, l)
			return err
		}
		may = id != 0 && s.LinkEmail[l.issuer] || id == 0 && s.creates(l)
		return err
	})
	return u, may, err
}

// linkedTo reads the user whose link has a login.
func linkedTo(ctx context.Context, l login) (u user, err error) {
	err = session.Query(ctx, "SELECT i.id, i.user_id, u.status FROM identities i JOIN users u ON u.id = i.user_id WHERE i.issuer = ? AND i.subject = ?",
		[]any{l.issuer, l.subject}, func(rows *sql.Rows) error { return rows.Scan(&u.link, &u.id, &u.status) })
	return u, err
}

// byEmail returns the user who has the email address of a login; 0: there is none. taken says that the user has another login at the same
// issuer.
func (s *links) byEmail(ctx context.Context, l login) (id int64, taken bool, err error) {
	email := model.NormalEmail(l.email)
	if email == "" || !model.StorableEmail(email) || !s.LinkEmail[l.issuer] && !s.CreateUsers {
		return 0, false, nil
	}
	var logins int64
	err = session.Query(ctx, "SELECT u.id, (SELECT COUNT(*) FROM identities i WHERE i.user_id = u.id AND i.issuer = ?) FROM users u WHERE u.email = ?",
		[]any{l.issuer, email}, func(rows *sql.Rows) error { return rows.Scan(&id, &logins) })
	return id, logins > 0, err
}

// creates reports whether a user is to be created of a login that is nobody's.
func (s *links) creates(l login) bool {
	return s.CreateUsers && l.issuer != Proxy && l.email != "" && l.name != ""
}

// link stores whose a login is: of the user with its email address, or of a new one.
func (s *links) link(ctx context.Context, l login) error {
	id, taken, err := s.byEmail(ctx, l)
	switch {
	case err != nil:
		return err
	case id == 0 && s.creates(l):
		u, err := s.Directory.CreateUser(ctx, entity.Input{"email": l.email, "name": l.name})
		if err != nil {
			return err
		}
		id = u.ID
	case id == 0, taken, !s.LinkEmail[l.issuer]: // it has changed since
		session.Discard(ctx)
		return nil
	}
	return session.DB(ctx).Exec("INSERT INTO identities (issuer, subject, user_id, linked_at) VALUES (?, ?, ?, ?)",
		l.issuer, l.subject, id, time.Now().UnixMicro()).Error
}
