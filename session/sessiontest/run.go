package sessiontest

import "testing"

// promise is one of the session's promises. A dialect on which its failure cannot exist is named in absent, with
// the reason.
type promise struct {
	name   string
	test   func(t *testing.T, backend Backend)
	absent map[string]string
	// graphql says why the promise has no meaning without GraphQL: it is not tried by session.Run then.
	graphql string
	only    way // "": both
}

// Why promises have no meaning without GraphQL.
const (
	answers      = "session.Run returns once, and writes no answer"
	streams      = "session.Run has no events: each is a unit of work of its own"
	inParts      = "session.Run returns once, and nothing of it in parts"
	groups       = "units of work that run at once share nothing: one function does what a group does"
	interceptors = "there are no interceptors around session.Run but its caller"
)

// Run tries every promise on a database, by each way into a unit of work.
func Run(t *testing.T, backend Backend) {
	var all []promise
	for _, group := range [][]promise{opening, closing, committing, discarding, proving, keeping, querying, sharing, grouping, isolating, running, retrying, surviving} {
		all = append(all, group...)
	}
	for _, p := range all {
		if why, ok := p.absent[backend.Dialect]; ok {
			t.Logf("%s: does not exist on %s: %s", p.name, backend.Dialect, why)
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for _, backend.way = range []way{overHTTP, byRun} {
				if backend.way == byRun && p.graphql != "" {
					t.Logf("has no meaning %s: %s", backend.way, p.graphql)
					continue
				}
				if p.only != "" && p.only != backend.way {
					continue
				}
				t.Run(string(backend.way), func(t *testing.T) { p.test(t, backend) })
			}
		})
	}
}
