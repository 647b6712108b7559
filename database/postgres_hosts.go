package database

import (
	"context"
	"database/sql"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"rollcall/dialect"
)

// postgresNodes returns a configuration for each of the hosts in cfg, which pgx has as fallbacks, as it has the ways to encrypt.
func postgresNodes(cfg *pgx.ConnConfig) (nodes []*pgx.ConnConfig) {
	ways := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	for _, way := range ways {
		if n := len(nodes); n > 0 && nodes[n-1].Host == way.Host && nodes[n-1].Port == way.Port {
			nodes[n-1].Fallbacks = append(nodes[n-1].Fallbacks, way)
			continue
		}
		node := cfg.Copy()
		node.Host, node.Port, node.TLSConfig, node.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		nodes = append(nodes, node)
	}
	return nodes
}

// postgresHosts watches the hosts of a URL, unless it is one. It has connections to them be of these. What the URL says of target_session_attrs
// they all do: the writer is a primary that takes writes.
func postgresHosts(nodes []*pgx.ConnConfig, rawURL string, opt Options, r *renewal) (*hosts, error) {
	if len(nodes) == 1 {
		return nil, nil //nolint:nilnil // one host is watched by nobody
	}
	_, rawQuery, _ := strings.Cut(rawURL, "?")
	query, err := url.ParseQuery(rawQuery)
	if attrs := query.Get("target_session_attrs"); err != nil || attrs == "standby" || attrs == "read-only" {
		return nil, openErrorf("target_session_attrs is %q in the PostgreSQL URL: of several hosts the one that takes writes is used", attrs)
	}
	h := &hosts{}
	all := make([]*host, len(nodes))
	for i, node := range nodes {
		node.ValidateConnect = nil
		probing := node.Copy()
		probing.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // as every pooler takes it
		probing.RuntimeParams["datestyle"] = "ISO, YMD"                // selectBorn is to be the same text at every host
		all[i] = &host{addr: postgresAddr(node), pool: sql.OpenDB(stdlib.GetConnector(*probing)), probe: postgresWell}
		node.DialFunc = h.dialing(i, node.DialFunc)
	}
	h.watchAll(all, opt, r)
	return h, nil
}

// postgresWell returns nil if a host takes writes, and its timeline: that of a former primary is lower than that of the standby which has been
// promoted.
func postgresWell(ctx context.Context, pool *sql.DB) (timeline int64, err error) {
	var perhaps, readOnly bool
	err = pool.QueryRowContext(ctx, postgresProduct.readOnly).Scan(&perhaps, &readOnly)
	if err == nil && readOnly {
		return 0, errHostReadOnly
	}
	if err != nil {
		return 0, err
	}
	var segment string // begins with the timeline
	if err = pool.QueryRowContext(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())").Scan(&segment); err != nil {
		if dialect.Is(err, dialect.NoRight) {
			return 0, nil
		}
		return 0, err
	}
	return strconv.ParseInt(segment[:min(8, len(segment))], 16, 64)
}

// postgresListen connects to the writer until another host is.
func postgresListen(ctx context.Context, hosts *hosts, nodes []*pgx.ConnConfig) (*pgx.Conn, func(), error) {
	conn, tenure, err := connectTo(ctx, hosts, func(ctx context.Context, i int) (*pgx.Conn, error) {
		return pgx.ConnectConfig(ctx, nodes[i].Copy())
	})
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(tenure, func() { _ = conn.PgConn().Conn().Close() })
	return conn, func() {
		stop()
		_ = conn.Close(context.WithoutCancel(ctx))
	}, nil
}
