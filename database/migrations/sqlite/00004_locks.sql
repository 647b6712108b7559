-- One row for each invariant that no constraint can hold. Whoever checks it changes the row first, so that any two such
-- transactions conflict. Here they do in any case, as one transaction writes at a time; the code is the same everywhere.

-- +goose Up
CREATE TABLE directory_locks (
    name    VARCHAR(64) NOT NULL,
    changes INTEGER NOT NULL,
    CONSTRAINT directory_locks_pkey PRIMARY KEY (name)
);

-- +goose Down
DROP TABLE directory_locks;
