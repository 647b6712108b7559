package sessiontest

import "testing"

// promise is one of the session's promises. A dialect on which its failure cannot exist is named in absent, with
// the reason.
type promise struct {
	name   string
	test   func(t *testing.T, backend Backend)
	absent map[string]string
}

// Run tries every promise on a database.
func Run(t *testing.T, backend Backend) {
	var all []promise
	for _, group := range [][]promise{opening, closing, committing, proving, querying, sharing, grouping, isolating, surviving} {
		all = append(all, group...)
	}
	for _, p := range all {
		if why, ok := p.absent[backend.Dialect]; ok {
			t.Logf("%s: does not exist on %s: %s", p.name, backend.Dialect, why)
			continue
		}
		t.Run(p.name, func(t *testing.T) { p.test(t, backend) })
	}
}
