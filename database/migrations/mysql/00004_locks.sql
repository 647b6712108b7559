-- One row for each invariant that no constraint can hold. Whoever checks it changes the row first, so that any two such
-- transactions conflict: on one server by the row's lock, and in a cluster, where locks are each node's own, by the write.

-- +goose Up
CREATE TABLE IF NOT EXISTS directory_locks (
    name    VARCHAR(64) NOT NULL,
    changes BIGINT      NOT NULL,
    CONSTRAINT directory_locks_pkey PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin ROW_FORMAT = DYNAMIC;

-- +goose Down
DROP TABLE IF EXISTS directory_locks;
