-- The ids of the mutations that were committed, for session.Proof.

-- +goose Up
CREATE TABLE IF NOT EXISTS session_operations (
    id varchar(64) NOT NULL PRIMARY KEY,
    state smallint NOT NULL,
    created_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

-- +goose Down
DROP TABLE session_operations;
