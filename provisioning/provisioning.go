package provisioning

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"rollcall/directory"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/scim"
	"rollcall/session"
)

// Base is the path that the service is served at.
const Base = "/scim/v2"

// maxBody is how many bytes a request's body may have.
const maxBody = 1 << 20

// maxRelated is how many members all groups of an answer have, and how many groups all users of one.
const maxRelated = 10_000

// Config is what the service needs.
type Config struct {
	Directory *directory.Directory
	Pools     session.Pools // installed
	MaxPage   int           // resources of a page
	BasePath  string        // what stands before Base
	// Admit waits until a request may run: see scim.Service.
	Admit  func(ctx context.Context) (leave func(), err error)
	Logger *slog.Logger
}

// New returns the service.
func New(cfg Config) *scim.Service {
	d := cfg.Directory
	users, groups := &userStore{}, &groupStore{}
	users.store = store[model.User]{
		Config: cfg, noun: "user", filters: userFilters(), read: d.ReadUser, count: d.CountUsers, find: d.FindUsers,
		id: func(u *model.User) int64 { return u.ID }, describe: users.describeAll,
	}
	groups.store = store[model.Team]{
		Config: cfg, noun: "group", filters: groupFilters(), count: d.CountTeams, find: d.FindTeams,
		read: func(ctx context.Context, id string) (*model.Team, error) { return d.ReadTeam(ctx, id, false) },
		id:   func(t *model.Team) int64 { return t.ID }, describe: groups.describeAll,
	}
	users.typ = &scim.ResourceType{
		Name: "User", Endpoint: "/Users", Description: "A user of the directory.", Schema: userSchema(), Extensions: []*scim.Schema{enterpriseSchema()}, Store: users,
	}
	team := &scim.ResourceType{Name: "Group", Endpoint: "/Groups", Description: "A team of the directory.", Schema: groupSchema(), Store: groups}
	return &scim.Service{
		Base: cfg.BasePath + Base, Types: []*scim.ResourceType{users.typ, team}, MaxPage: cfg.MaxPage, MaxBody: maxBody, Security: []any{bearer},
		Admit: cfg.Admit, Translate: translate(cfg.Pools.Deadline), Logger: cfg.Logger,
	}
}

// bearer is how clients say who they are (RFC 7643, section 5).
var bearer = scim.Resource{
	"type": "oauthbearertoken", "name": "Bearer token", "description": "An API token, or an access token of an OpenID provider.",
	"specUri": "https://www.rfc-editor.org/info/rfc6750",
}

// Work is what a request has asked of the database, for whoever serves it.
type Work struct {
	session.Unit           // whoever serves may give it the id under which changes are stored, and a trace
	Began        time.Time // when it ran; zero: it has not
}

type contextKey struct{}

// WithWork returns ctx for one request, whose work w will tell of.
func WithWork(ctx context.Context, w *Work) context.Context {
	return context.WithValue(ctx, contextKey{}, w)
}

func workOf(ctx context.Context) *Work {
	w, _ := ctx.Value(contextKey{}).(*Work)
	return w
}

// Actor returns who the operation that ctx belongs to acts for, for changelog.Log, where it has no viewer: scim, if it is the service's.
func Actor(ctx context.Context) string {
	if ctx.Value(contextKey{}) != nil {
		return "scim"
	}
	return ""
}

// number returns the number in the global id of a type; ok reports whether it is one.
func number(typ, id string) (n int64, ok bool) {
	is, n, ok := keyset.ParseID(strings.TrimSpace(id))
	return n, ok && is == typ
}

// after reads the key of a page, and keyOf makes it: the number of the last object.
func after(key string) (int64, error) {
	if key == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil || n <= 0 {
		return 0, scim.Refuse(scim.InvalidCursor, "that is no cursor: begin with an empty one")
	}
	return n, nil
}

func keyOf(n int64) string { return strconv.FormatInt(n, 10) }

// optional is a text, or nil where there is none.
func optional(value any) *string {
	text, _ := value.(string)
	if text == "" {
		return nil
	}
	return &text
}

// is reports whether two optional texts are the same.
func is(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
