package database

import (
	"context"
	"sync/atomic"
)

// cluster is whether a database is one node of a cluster of Galera.
type cluster struct{ asked, node atomic.Bool }

// CatchUp waits until the database has what is committed at the other nodes of its cluster, if it is one node of Galera.
func (d *Database) CatchUp(ctx context.Context) error {
	if d.product.catchUp == "" {
		return nil
	}
	if !d.cluster.asked.Load() {
		cluster, err := mysqlClusterOf(ctx, d.pools.read)
		if err != nil {
			return err
		}
		d.cluster.node.Store(cluster == galera)
		d.cluster.asked.Store(true)
	}
	if !d.cluster.node.Load() {
		return nil
	}
	var one int
	return d.pools.read.QueryRowContext(ctx, d.product.catchUp).Scan(&one)
}
