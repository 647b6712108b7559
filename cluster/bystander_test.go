package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/cluster/clustertest"
)

// locking locks a user's row for some seconds, in one transaction.
var locking = map[string]string{
	"galera":   `BEGIN; SELECT id FROM rollcall.users WHERE id = %s FOR UPDATE; SELECT SLEEP(12); ROLLBACK`,
	"group":    `BEGIN; SELECT id FROM rollcall.users WHERE id = %s FOR UPDATE; SELECT SLEEP(12); ROLLBACK`,
	"postgres": `BEGIN; SELECT id FROM users WHERE id = %s FOR UPDATE; SELECT pg_sleep(12); ROLLBACK`,
}

const waitsForRow = `SELECT COUNT(*) FROM information_schema.processlist
	WHERE info LIKE 'SELECT%FOR UPDATE' AND info LIKE '%users%' AND id <> CONNECTION_ID() AND time >= 3`

// waiting counts the statements that have waited for that row for some seconds.
var waiting = map[string]string{
	"galera":   waitsForRow,
	"group":    waitsForRow,
	"postgres": `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND now() - query_start > interval '3 s'`,
}

// TestACancellationEndsNothingOfAnotherServer has clients of one server go away from mutations that wait for a locked row, behind haproxy, which
// leads each connection to some node, or behind PgBouncer, which leads each transaction to some connection. Mutations of the other servers all
// succeed, and no statement goes on waiting.
func TestACancellationEndsNothingOfAnotherServer(t *testing.T) {
	each(t, func(t *testing.T, c *clustertest.Cluster) {
		if c.Kind == "galera" {
			c.Restart(t, "CLUSTER_HOSTS=balanced")
			defer c.Restart(t)
		}
		a, _ := pair(t, c)
		id := created(t, a)
		c.Do(t, "settle")
		var locks, cancelling sync.WaitGroup
		at := []int{writer(t, c)}
		if c.Kind == "galera" {
			at = []int{1, 2, 3}
		}
		for _, node := range at {
			locks.Go(func() {
				_, err := c.SQL(node, fmt.Sprintf(locking[c.Kind], strings.TrimPrefix(id, "User:")))
				if err != nil && !strings.Contains(err.Error(), "1213") { // another node's write may win
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		load := clustertest.Begin(t, 8, c.Writers()[1:]...)
		cancelled := number(t, "ROLLCALL_TEST_CLUSTER_CANCELLATIONS", 150)
		for range 3 {
			cancelling.Go(func() {
				for range cancelled / 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
					a.Send(ctx, updateUser, object{"input": object{"id": id, "name": "Late"}})
					cancel()
				}
			})
		}
		cancelling.Wait()
		for _, node := range at {
			if n, err := c.SQL(node, waiting[c.Kind]); err != nil || n != "0" {
				t.Errorf("%s statements wait at node %d, %v", n, node, err)
			}
		}
		load.End()
		locks.Wait()
		load.Verify(t, c.Writers()).Faultless(t)
		t.Logf("%d cancellations", cancelled)
	}, "galera", "postgres")
}
