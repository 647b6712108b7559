package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	stringadapter "github.com/casbin/casbin/v2/persist/string-adapter"

	"rollcall/access"
	"rollcall/database"
	"rollcall/directory/directorytest"
	"rollcall/graph"
)

// casbinModel asks whether a subject, or a group that it is in, may do something with a place of the schema, such as User.phone.
const casbinModel = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act
`

// casbinPolicy lets the help desk read telephone numbers, and write whatever users have.
const casbinPolicy = `
p, helpdesk, User.phone, read
p, helpdesk, User, write
p, helpdesk, User.*, write
p, helpdesk, Mutation.updateUser, write
g, user:7, helpdesk
`

// enforced is a policy of Casbin.
type enforced struct {
	*casbin.SyncedCachedEnforcer
	logger *slog.Logger
}

// Allows implements access.Policy. What Casbin cannot decide is refused.
func (e enforced) Allows(ctx context.Context, viewer *access.Viewer, rule access.Rule) bool {
	allowed, err := e.Enforce(viewer.Subject, rule.Of, string(rule.Action))
	if err != nil {
		e.logger.ErrorContext(ctx, "casbin cannot decide", "subject", viewer.Subject, "of", rule.Of, "action", rule.Action, "error", err)
	}
	return allowed && err == nil
}

// Casbin decides what viewers may do, in place of their roles. Relations to an object still allow what the schema says: user 8 sees the own telephone number.
func Example_casbin() {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	parsed, err := model.NewModelFromString(casbinModel)
	check(err)
	enforcer, err := casbin.NewSyncedCachedEnforcer(parsed, stringadapter.NewAdapter(strings.TrimSpace(casbinPolicy)))
	check(err)

	folder, err := os.MkdirTemp("", "casbin")
	check(err)
	defer func() { check(os.RemoveAll(folder)) }()
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(folder, "rollcall.db"), database.Options{PoolSize: 2})
	check(err)
	defer func() { check(db.Close()) }()
	_, err = db.Migrate(ctx)
	check(err)
	_, err = directorytest.LoadDemo(ctx, db)
	check(err)
	check(db.Write.Exec("UPDATE users SET phone = '+49 30 1234567' WHERE id = 8").Error)

	logger := slog.New(slog.DiscardHandler)
	api := graph.NewHandler(graph.Config{Database: db, MaxPage: 100, Logger: logger, Policy: enforced{enforcer, logger}})
	for _, viewer := range []*access.Viewer{{Subject: "user:7"}, {Subject: "user:8", UserID: 8}, {Subject: "token:1", Role: access.RoleAdmin}} {
		request := httptest.NewRequestWithContext(access.WithViewer(ctx, viewer), "POST", "/graphql",
			strings.NewReader(`{"query": "{ user(id: \"User:8\") { phone externalId viewerCanUpdate } }"}`))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		fmt.Println(viewer.Subject, answer.Body)
	}

	// Output:
	// user:7 {"data":{"user":{"phone":"+49 30 1234567","externalId":null,"viewerCanUpdate":true}},"extensions":{"forbidden":["user.externalId"]}}
	// user:8 {"data":{"user":{"phone":"+49 30 1234567","externalId":"E-10007","viewerCanUpdate":true}}}
	// token:1 {"data":{"user":{"phone":null,"externalId":null,"viewerCanUpdate":false}},"extensions":{"forbidden":["user.externalId","user.phone"]}}
}
