-- The idempotency keys of mutations, with their answers, for idempotency.Keys.

-- +goose Up
CREATE TABLE IF NOT EXISTS idempotency_keys (
    id varchar(64) NOT NULL PRIMARY KEY,
    fingerprint varchar(64) NOT NULL,
    operation_id varchar(64) NOT NULL,
    stored_at bigint NOT NULL,
    answer mediumblob,
    INDEX idempotency_keys_stored_at (stored_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS idempotency_keys;
