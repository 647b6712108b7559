-- The idempotency keys of mutations, with their answers, for idempotency.Keys.

-- +goose Up
CREATE TABLE idempotency_keys (
    id varchar(64) NOT NULL PRIMARY KEY,
    fingerprint varchar(64) NOT NULL,
    operation_id varchar(64) NOT NULL,
    stored_at bigint NOT NULL,
    answer blob
);
CREATE INDEX idempotency_keys_stored_at ON idempotency_keys (stored_at);

-- +goose Down
DROP TABLE idempotency_keys;
