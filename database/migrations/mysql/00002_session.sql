-- The ids of the mutations that were committed, for session.Proof.

-- +goose Up
CREATE TABLE IF NOT EXISTS session_operations (
    id varchar(64) NOT NULL PRIMARY KEY,
    state smallint NOT NULL,
    created_at datetime(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS session_operations;
