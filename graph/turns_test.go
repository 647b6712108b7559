package graph_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"gorm.io/gorm/logger"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/graph"
)

// servers is how many servers each directory of a test has: requests go to one after the other, as behind a round-robin load balancer.
const servers = "ROLLCALL_TEST_SERVERS"

// server is what a server shares with no other but the database.
type server struct {
	db       *database.Database
	changes  *changelog.Log
	follower *changelog.Follower
}

func newServer(db *database.Database, log *slog.Logger) server {
	changes := &changelog.Log{DB: db.Side, Dialect: db.Dialect(), Logger: log}
	return server{db, changes, changelog.NewFollower(changes, changelog.FollowOptions{})}
}

// servers are all servers of the directory.
func (d *directory) servers() []*server { return append([]*server{&d.server}, d.others...) }

// logStatements has a logger hear of the statements of all servers.
func (d *directory) logStatements(to logger.Interface) {
	for _, s := range d.servers() {
		s.db.Read.Config.Logger, s.db.Write.Config.Logger = to, to
	}
}

// serve has the API answer at d.url, by a handler of each server.
func (d *directory) serve(configure func(s *server) graph.Config) {
	d.apis = nil
	for _, s := range d.servers() {
		d.apis = append(d.apis, graph.NewHandler(configure(s)))
	}
	d.api, d.handler = d.apis[0], inTurn(d.apis)
	started := httptest.NewServer(d.handler)
	d.tb.Cleanup(started.Close)
	d.url = started.URL
}

// inTurn gives each request to the next of the servers.
func inTurn(apis []*graph.API) http.Handler {
	var requests atomic.Uint64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		apis[(requests.Add(1)-1)%uint64(len(apis))].ServeHTTP(w, r)
	})
}

// settleAll waits until what any server has committed has its positions in the log.
func (d *directory) settleAll(ctx context.Context) (err error) {
	for _, s := range d.servers() {
		err = errors.Join(err, s.changes.Settle(ctx))
	}
	return err
}

// changedElsewhere has a change of the first user committed as another server does, which has not given it its position yet. That is never so in an embedded database.
func (d *directory) changedElsewhere(t *testing.T, version int) {
	t.Helper()
	d.exec(t, fmt.Sprintf(`INSERT INTO changes (at, kind, type, object_id, version, operation_id, ends_operation, fields)
		VALUES (1, 'UPDATED', 'USER', 1, %d, 'other%[1]d', TRUE, '[]')`, version))
}

// settle is settleAll in the time of the test.
func (d *directory) settle() {
	d.tb.Helper()
	if err := d.settleAll(d.tb.Context()); err != nil {
		d.tb.Fatal(err)
	}
}

// subscribers is how many subscriptions there are at all servers.
func (d *directory) subscribers() (n int) {
	for _, s := range d.servers() {
		n += s.follower.Subscribers()
	}
	return n
}

// sum adds up what each server's API has counted.
func (d *directory) sum(count func(*graph.API) int64) (n int64) {
	for _, api := range d.apis {
		n += count(api)
	}
	return n
}

// fallbacks is how many batches were not enqueued.
func (d *directory) fallbacks() int64 {
	return d.sum(func(api *graph.API) int64 { return api.Fallbacks() })
}
