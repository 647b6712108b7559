package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/database"
	"rollcall/session"
)

// tracks reports whether a query may be read where what its client has written is not there yet, so that it has to be told of that: at a replica,
// or at another host than that by way of which it was written.
func (s *service) tracks() bool { return len(s.config.replicas()) > 0 || s.db.Several() }

// findReplicas makes the replicas that queries are read at, if there are any. None is reached yet.
func (s *service) findReplicas() (err error) {
	if !s.tracks() {
		return nil
	}
	s.replicas, err = database.NewReplicas(s.db, s.config.replicas(), database.ReplicaOptions{
		Options: s.options(), MaxLag: s.MaxLag, AtMain: s.db.Several(), Observe: s.log,
		Opened: func(replica *database.Database) error {
			return session.Pools{Write: replica.Read, Side: replica.Side}.Install()
		},
	})
	if err != nil {
		return fmt.Errorf("--replica: %w", err)
	}
	return nil
}

// openReplicas opens them, and looks at them until ctx ends.
func (s *service) openReplicas(ctx context.Context) error {
	if s.replicas == nil {
		return nil
	}
	if err := s.replicas.Open(ctx); err != nil {
		return fmt.Errorf("--replica: %w", err)
	}
	return nil
}

// afterFor is for how long a browser has to bring the id of its last mutation: for longer than any replica that is read is behind. 0: it has not to.
func (s *service) afterFor() time.Duration {
	if !s.tracks() {
		return 0
	}
	return 2*s.MaxLag + 10*time.Second
}

// countReplicas has the metrics tell of the replicas.
func (s *service) countReplicas() {
	if s.replicas == nil {
		return
	}
	const reads = "Queries that were read at each replica, and, as main, at --database."
	s.counts.Counter("rollcall_replica_reads_total", reads, s.replicas.MainServed, "replica", "main")
	for _, r := range s.replicas.All() {
		s.counts.Counter("rollcall_replica_reads_total", reads, r.Served, "replica", r.Name())
		s.counts.Seconds("rollcall_replica_lag_seconds", "For how long --database has had what the replica has not.", r.Lag, "replica", r.Name())
		s.counts.Gauge("rollcall_replica_in", "1 if queries are read at the replica, else 0.", func() int {
			if r.In() {
				return 1
			}
			return 0
		}, "replica", r.Name())
	}
}
