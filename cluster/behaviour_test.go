package cluster_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/cluster/clustertest"
)

// alone are the tests of package graph that cannot be put through servers in turns, and why.
var alone = []struct{ test, reason string }{
	{"TestWhoFollowsTheLogMissesAndDoublesNothingAndGetsItInOrder", "has three servers of its own, behind proxies of one host"},
	{"TestWhoIsCutOffAgainAndAgainAndResumesHasACopyOfTheDatabase", "has three servers of its own, which it ends"},
	{"TestAnOperationMayReachEachLimitAndNotExceedItOnEveryTransport", "takes long and is of SQLite alone"},
	{"TestAttacksAreRefusedOnEveryTransport", "takes long and is of SQLite alone"},
	{"TestStatementsNeverVaryUnderLoad", "counts statements under load, after which a node may be left for another and operations run again"},
}

// minPassed is how many tests have to pass, so that a pattern that meets none is no success.
const minPassed = 150

func TestTheBehaviourSuitePassesThroughThreeServersInTurns(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		kind, url := "postgres", fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.Port+writer(t, c))
		if c.Kind == "galera" {
			kind, url = "mariadb", c.With(t, []string{"CLUSTER_HOSTS=all"}, "url", "1")
			if len(c.Writers()) > 0 { // CLUSTER_SERVERS may be 0
				t.Cleanup(func() { c.Restart(t) }) // their connections have the increments of when they began
			}
			numberPlainly(t, c)
		}
		for _, other := range []string{"MARIADB", "MYSQL", "POSTGRES"} {
			t.Setenv("ROLLCALL_TEST_"+other, "")
		}
		t.Setenv("ROLLCALL_TEST_"+strings.ToUpper(kind), url)
		t.Setenv("ROLLCALL_TEST_SERVERS", "3")
		var skipped []string
		there := command(t, filepath.Dir(clustertest.Folder()), "go", "test", "-list=.", "./graph")
		for _, a := range alone {
			if !strings.Contains(there, a.test+"\n") {
				t.Errorf("there is no %s, which %s", a.test, a.reason)
			}
			skipped = append(skipped, "^"+a.test+"$")
		}
		out := command(t, filepath.Dir(clustertest.Folder()), "go", "test", "-count=1", "-timeout=20m", "-v",
			"-run=.*/^"+kind+"$", "-skip="+strings.Join(skipped, "|"), "./graph")
		passed := 0
		for line := range strings.Lines(out) {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "    --- PASS: "), " ")
			if strings.HasSuffix(name, "/"+kind) {
				passed++
			}
		}
		if t.Logf("%d tests passed on %s", passed, kind); passed < minPassed {
			t.Errorf("only %d tests have passed", passed)
		}
	}, "galera", "postgres")
}

// numberPlainly has the nodes of a Galera cluster give the ids 1, 2 and 3 until the end of the test, as the tests expect, instead of one in three.
// That is safe while one node takes all writes.
func numberPlainly(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	for n := range c.Nodes {
		node := n + 1
		before, err := c.SQL(node, "SELECT @@GLOBAL.auto_increment_increment, @@GLOBAL.auto_increment_offset")
		if err != nil {
			t.Fatal(before, err)
		}
		was := strings.Fields(before)
		set := func(control, increment, offset string) error {
			_, err := c.SQL(node, "SET GLOBAL wsrep_auto_increment_control = "+control+
				", GLOBAL auto_increment_increment = "+increment+", GLOBAL auto_increment_offset = "+offset)
			return err
		}
		t.Cleanup(func() {
			if err := set("ON", was[0], was[1]); err != nil {
				t.Error(err)
			}
		})
		if err := set("OFF", "1", "1"); err != nil {
			t.Fatal(err)
		}
	}
}
