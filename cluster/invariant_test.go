package cluster_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

// attempts is how often the tests here let servers race.
func attempts(t *testing.T) int {
	t.Helper()
	return number(t, "ROLLCALL_TEST_CLUSTER_ATTEMPTS", 20)
}

// managers returns those of some users, "" for none, as a server shows them.
func managers(t *testing.T, c clustertest.Client, ids ...string) map[string]string {
	t.Helper()
	a := c.Send(t.Context(), `query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { manager { id } } } }`, object{"ids": ids})
	all := map[string]string{}
	for i, id := range ids {
		all[id] = a.Text("nodes", string(rune('0'+i)), "manager", "id")
	}
	if a.Code() != "" {
		t.Errorf("managers: %s", a)
	}
	return all
}

// circle reports whether somebody is above themself.
func circle(managers map[string]string) bool {
	for id := range managers {
		above := managers[id]
		for range managers {
			if above == id {
				return true
			}
			above = managers[above]
		}
	}
	return false
}

func TestNoTwoServersMakeACircleOfManagers(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		a, b := pair(t, c)
		x, y, z := created(t, a), created(t, a), created(t, a)
		codes := map[string]int{}
		for i := range attempts(t) {
			for _, id := range []string{x, y, z} {
				updated(t, a, id, object{"managerId": nil})
			}
			second, want := y, map[string]string{x: "", y: "", z: ""}
			if i%2 == 1 { // by way of another: y is below z, then x goes below y while z goes below x
				second, want[y] = z, z
				updated(t, a, y, object{"managerId": z})
			}
			eventually(t, "both show the same", func() bool {
				return maps.Equal(managers(t, a, x, y, z), want) && maps.Equal(managers(t, b, x, y, z), want)
			})
			answers := atOnce(
				func() clustertest.Answer { return updated(t, a, x, object{"managerId": y}) },
				func() clustertest.Answer { return updated(t, b, second, object{"managerId": x}) },
			)
			for _, answer := range answers {
				if codes[answer.Code()]++; answer.Code() != "" && answer.Code() != "BAD_USER_INPUT" {
					t.Errorf("attempt %d: %s", i, answer)
				}
			}
			if answers[0].Code() == "" && answers[1].Code() == "" {
				t.Errorf("attempt %d: both were acknowledged", i)
			}
			c.Do(t, "settle")
			if got := managers(t, b, x, y, z); circle(got) {
				t.Errorf("attempt %d: a circle is stored: %v", i, got)
			}
		}
		t.Logf("%d attempts: %v", attempts(t), codes)
	})
}

// raced is what two or more answers must be: one success, and the others this code.
func raced(t *testing.T, i int, answers []clustertest.Answer, code string) {
	t.Helper()
	var got []string
	for _, a := range answers {
		got = append(got, a.Code())
	}
	slices.Sort(got)
	if want := append([]string{""}, slices.Repeat([]string{code}, len(answers)-1)...); !slices.Equal(got, want) {
		t.Errorf("attempt %d: %q, %v", i, got, answers)
	}
}

func TestAnEmailIsGivenOnceThroughAllServers(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		pair(t, c)
		for i := range attempts(t) {
			input := object{"input": object{"name": "N", "email": email()}}
			var all []func() clustertest.Answer
			for _, server := range c.Writers() {
				all = append(all, func() clustertest.Answer {
					return clustertest.Client{Base: server}.Send(t.Context(), createUser, input)
				})
			}
			raced(t, i, atOnce(all...), "CONFLICT")
		}
	})
}

func TestAVersionIsChangedOnceThroughTwoServers(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		a, b := pair(t, c)
		id := created(t, a)
		eventually(t, "both show it", func() bool { return version(t, a, id) == 1 && version(t, b, id) == 1 })
		for i := range attempts(t) {
			raced(t, i, atOnce(
				func() clustertest.Answer {
					return updated(t, a, id, object{"expectedVersion": i + 1, "title": email()})
				},
				func() clustertest.Answer {
					return updated(t, b, id, object{"expectedVersion": i + 1, "title": email()})
				},
			), "CONFLICT")
			eventually(t, "both show the next version", func() bool { return version(t, a, id) == i+2 && version(t, b, id) == i+2 })
		}
	})
}

func version(t *testing.T, c clustertest.Client, id string) int {
	t.Helper()
	n, _ := c.Send(t.Context(), `query($id: ID!) { user(id: $id) { version } }`, object{"id": id}).At("user", "version").(float64)
	return int(n)
}

func TestAKeyRunsOnceThroughAllServers(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		pair(t, c)
		for i := range attempts(t) {
			mutation := strings.Replace(createUser, ")", ", $key: String!) @idempotent(key: $key)", 1)
			variables := object{"key": email(), "input": object{"name": "N", "email": email()}}
			var all []func() clustertest.Answer
			for _, server := range c.Writers() {
				all = append(all, func() (answer clustertest.Answer) {
					for range 20 {
						answer = clustertest.Client{Base: server}.Send(t.Context(), mutation, variables)
						if answer.Code() != "IDEMPOTENCY_IN_PROGRESS" {
							break
						}
					}
					return answer
				})
			}
			answers := atOnce(all...)
			for _, answer := range answers {
				if id := answer.Text("createUser", "user", "id"); id == "" || id != answers[0].Text("createUser", "user", "id") {
					t.Errorf("attempt %d: %s beside %s", i, answer, answers[0])
				}
			}
		}
	})
}

func TestARevokedTokenOpensNothingAtOtherServersWithinFiveSeconds(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		a, _ := pair(t, c)
		made := a.Send(t.Context(), `mutation { createApiToken(input: {name: "T", role: VIEWER, scopes: [READ]}) { apiToken { id } token } }`, nil)
		token, id := made.Text("createApiToken", "token"), made.Text("createApiToken", "apiToken", "id")
		if token == "" {
			t.Fatal(made)
		}
		code := func(server string) string {
			return clustertest.Client{Base: server, Token: token}.Send(t.Context(), `{ users(first: 1) { nodes { id } } }`, nil).Code()
		}
		for _, server := range c.Writers() {
			eventually(t, "the token works", func() bool { return code(server) == "" })
		}
		if revoked := a.Send(t.Context(), `mutation($id: ID!) { revokeApiToken(input: {id: $id}) { apiToken { id } } }`, object{"id": id}); revoked.Code() != "" {
			t.Fatal(revoked)
		}
		began := time.Now()
		for _, server := range c.Writers() {
			eventually(t, "the token is refused", func() bool { return code(server) == "UNAUTHENTICATED" })
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
