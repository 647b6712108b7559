package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"

	driverMySQL "github.com/go-sql-driver/mysql"

	"rollcall/dialect"
)

// eachHost returns a URL for each of the hosts that rawURL lists. One that lists none for sure is returned as it is.
func eachHost(rawURL string) []string {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || !unambiguous(rest) {
		return []string{rawURL}
	}
	user, hosts, path := atHosts(rest)
	var all []string
	for one := range strings.SplitSeq(hosts, ",") {
		all = append(all, scheme+"://"+user+one+path)
	}
	return all
}

// atHosts cuts what is behind a URL's scheme before its hosts and behind them.
func atHosts(rest string) (user, hosts, path string) {
	authority := rest[:strings.IndexAny(rest+"/", "/?#")]
	at := strings.LastIndex(authority, "@") + 1
	return authority[:at], authority[at:], rest[len(authority):]
}

// hostless reports whether one of eachHost's URLs has no host, or but a port.
func hostless(one string) bool {
	_, rest, _ := strings.Cut(one, "://")
	_, host, _ := atHosts(rest)
	return host == "" || strings.HasPrefix(host, ":")
}

// mysqlHosts watches the hosts of a URL, unless it is one. It has connections to them be of these.
func mysqlHosts(nodes []mysqlNode, opt Options, r *renewal) *hosts {
	if len(nodes) == 1 {
		return nil
	}
	h := &hosts{}
	all := make([]*host, len(nodes))
	for i, node := range nodes {
		all[i] = &host{addr: node.cfg.Addr, pool: sql.OpenDB(node.base), probe: mysqlWell}
	}
	for i := range nodes {
		cfg := nodes[i].cfg.Clone()
		cfg.DialFunc = h.dialing(i, new(net.Dialer).DialContext)
		nodes[i].base, _ = driverMySQL.NewConnector(cfg) // cfg has been a connector's already
	}
	h.watchAll(all, opt, r)
	return h
}

// mysqlWell returns nil if a host takes writes, and in a cluster all of them.
func mysqlWell(ctx context.Context, pool *sql.DB) (rank int64, err error) {
	cluster, err := mysqlClusterOf(ctx, pool)
	if err == nil && cluster == galera {
		err = galeraWell(ctx, pool)
	}
	if err != nil {
		return 0, err
	}
	var perhaps, certainly bool
	err = pool.QueryRowContext(ctx, mysqlProduct.readOnly).Scan(&perhaps, &certainly)
	switch {
	case dialect.Is(err, dialect.Misplaced):
		return 0, errHostOutside
	case err != nil:
		return 0, err
	case perhaps || certainly:
		return 0, errHostReadOnly
	case cluster == group:
		return 0, groupWell(ctx, pool)
	}
	return 0, nil
}

// mysqlCluster is what a server of MySQL's or MariaDB's belongs to.
type mysqlCluster string

// The clusters, by the variable that says so.
const (
	noCluster mysqlCluster = ""
	galera    mysqlCluster = "wsrep_provider"
	group     mysqlCluster = "group_replication_group_name"
)

type mysqlSetting struct{ name, value string }

// mysqlSettings returns what a SHOW says, by the names.
func mysqlSettings(ctx context.Context, pool querier, show string) (map[string]string, error) {
	rows, err := collect(ctx, pool, func(s *mysqlSetting) []any { return []any{&s.name, &s.value} }, show)
	settings := make(map[string]string, len(rows))
	for _, s := range rows {
		settings[s.name] = s.value
	}
	return settings, err
}

// mysqlClusterOf asks by SHOW, which a node of Galera's answers in any state.
func mysqlClusterOf(ctx context.Context, pool querier) (mysqlCluster, error) {
	settings, err := mysqlSettings(ctx, pool, fmt.Sprintf("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('%s', '%s')", galera, group))
	for _, cluster := range []mysqlCluster{galera, group} {
		if value := settings[string(cluster)]; value != "" && value != "none" {
			return cluster, err
		}
	}
	return noCluster, err
}

// galeraWell has the reads that follow on the connection wait for what other nodes have written. A node that is cut off does not know of that for some
// seconds: but such a read ends in time only if the cluster goes on.
func galeraWell(ctx context.Context, pool *sql.DB) error {
	status, err := mysqlSettings(ctx, pool, "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_ready', 'wsrep_local_state')")
	switch {
	case err != nil:
		return err
	case status["wsrep_cluster_status"] != "Primary", status["wsrep_ready"] != "ON":
		return errHostOutside
	case status["wsrep_local_state"] != "4": // it joins, or gives a joining node its data, or was taken out by its operator
		return errHostUnsynced
	}
	_, err = pool.ExecContext(ctx, "SET SESSION wsrep_sync_wait = 1")
	return err
}

// groupWell returns nil if a member of a group takes its writes, and most of the group are there.
func groupWell(ctx context.Context, pool *sql.DB) error {
	var state string
	var most bool
	err := pool.QueryRowContext(ctx, `SELECT COALESCE(MAX(IF(member_id = @@server_uuid, CONCAT(member_state, ' ', member_role), '')), ''),
		COALESCE(2 * SUM(member_state <> 'UNREACHABLE') > COUNT(*), 0) FROM performance_schema.replication_group_members`).Scan(&state, &most)
	switch {
	case err != nil:
		return err
	case state == "ONLINE SECONDARY":
		return errHostReadOnly
	case state != "ONLINE PRIMARY", !most:
		return errHostOutside
	}
	return nil
}

// galeraMeans tells that a node is outside the primary component: there a statement that is to wait for what other nodes have written ends as one that has
// waited for a lock, however often it is run.
func galeraMeans(ctx context.Context, conn driverConn, err error) error {
	if !dialect.Is(err, dialect.Waited) {
		return err
	}
	rows, failed := conn.QueryContext(ctx, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'", nil)
	if failed != nil {
		return err
	}
	row := make([]driver.Value, 2)
	failed = errors.Join(rows.Next(row), rows.Close())
	if failed == nil && strings.EqualFold(fmt.Sprintf("%s", row[1]), "non-Primary") {
		return dialect.ErrOutsideCluster
	}
	return err
}
