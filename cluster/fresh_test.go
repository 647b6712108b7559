package cluster_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

const renamed = `mutation($id: ID!, $name: String!) { updateUser(input: {id: $id, name: $name}) { user { id } } }`

// old writes through one server and reads through another, and returns how often what it read was old. Headers come with the reading, made of the answer.
func old(t *testing.T, c *clustertest.Cluster, query string, headers func(written clustertest.Answer) []string) (n int) {
	t.Helper()
	a, _ := pair(t, c)
	id := created(t, a)
	c.Do(t, "settle")
	writers := c.Writers()
	tries := number(t, "ROLLCALL_TEST_CLUSTER_READS", 300)
	for i := range tries {
		name := email()
		from, to := clustertest.Client{Base: writers[i%len(writers)]}, clustertest.Client{Base: c.Servers[(i+1)%len(c.Servers)]}
		written := from.Send(t.Context(), renamed, object{"id": id, "name": name})
		if written.Code() != "" {
			t.Fatal(written)
		}
		read := to.Send(t.Context(), query, object{"id": id}, headers(written)...)
		if read.Code() != "" {
			t.Fatal(read)
		}
		if read.Text("user", "name") != name {
			n++
		}
	}
	t.Logf("%d of %d reads were old", n, tries)
	return n
}

// apart has servers read where their own writes, or those of others, may come later, until the test ends: on Galera each has another node first, and
// elsewhere what does not take writes is a replica.
func apart(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	settings := []string{"CLUSTER_HOSTS=own"}
	if c.Kind != "galera" {
		var replicas []string
		for n := range c.Nodes {
			switch at := c.Port + n + 1; {
			case c.Kind == "group":
				replicas = append(replicas, fmt.Sprintf("--replica=mysql://root@127.0.0.1:%d/rollcall", at))
			case strconv.Itoa(n+1) != c.Do(t, "primary"):
				replicas = append(replicas, fmt.Sprintf("--replica=postgres://postgres@127.0.0.1:%d/rollcall?sslmode=disable", at))
			}
		}
		settings = []string{"CLUSTER_FLAGS=" + strings.Join(replicas, " ")}
	}
	c.Restart(t, settings...)
	t.Cleanup(func() { c.Restart(t) })
}

func TestAViewerReadsItsOwnWritesAtEveryServer(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		apart(t, c)
		n := old(t, c, `query($id: ID!) { user(id: $id) { name } }`, func(written clustertest.Answer) []string {
			after := written.Header.Get("Rollcall-After")
			if after == "" {
				t.Fatal("a mutation is answered without Rollcall-After")
			}
			return []string{"Rollcall-After", after}
		})
		if n > 0 {
			t.Errorf("%d reads were old", n)
		}
	}, "galera", "group", "postgres")
}

func TestAFreshQueryReadsTheNewestCommitAtEveryServer(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		apart(t, c)
		if n := old(t, c, `query($id: ID!) @fresh { user(id: $id) { name } }`, func(clustertest.Answer) []string { return nil }); n > 0 {
			t.Errorf("%d reads were old", n)
		}
	}, "galera", "group", "postgres")
}

// TestAPersistedQueryThatOneServerKnowsAllKnow registers one at a server.
func TestAPersistedQueryThatOneServerKnowsAllKnow(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		query := `{ users(first: 1) { nodes { id } } } # ` + email()
		if a := (clustertest.Client{Base: c.Writers()[0]}).Persisted(t.Context(), query, true); a.Code() != "" {
			t.Fatal(a)
		}
		for _, server := range c.Servers {
			began := time.Now()
			eventually(t, "a server knows the query", func() bool {
				a := clustertest.Client{Base: server}.Persisted(t.Context(), query, false)
				if code := a.Code(); code != "" && code != "PERSISTED_QUERY_NOT_FOUND" {
					t.Fatal(a)
				}
				return a.Code() == "" || time.Since(began) > 5*time.Second
			})
			if a := (clustertest.Client{Base: server}).Persisted(t.Context(), query, false); a.Code() != "" {
				t.Errorf("%s: %s", server, a)
			}
		}
	})
}
