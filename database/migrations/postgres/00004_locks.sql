-- One row for each invariant that no constraint can hold. Whoever checks it changes the row first, so that any two such
-- transactions conflict.

-- +goose Up
CREATE TABLE directory_locks (
    name    VARCHAR(64) COLLATE "C" NOT NULL,
    changes BIGINT NOT NULL,
    CONSTRAINT directory_locks_pkey PRIMARY KEY (name)
);

-- +goose Down
DROP TABLE directory_locks;
