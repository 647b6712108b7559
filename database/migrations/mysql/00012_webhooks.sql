-- The webhooks of the servers' configurations, for package webhook. Times are in microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE IF NOT EXISTS webhooks (
    name            VARCHAR(64)  NOT NULL PRIMARY KEY,
    position        BIGINT       NOT NULL, -- the receiver has all changes up to here
    mark            BIGINT       NOT NULL, -- of the cursor at the position
    batch_until     BIGINT       NOT NULL, -- the position of the last change of the batch that is being sent; position: none is
    owner           VARCHAR(64)  NOT NULL, -- the lease of the server that delivers; '': none does
    renewed_at      BIGINT       NOT NULL, -- when the lease was renewed, by its owner's clock
    last_attempt_at BIGINT       NULL,
    last_status     INTEGER      NULL,
    last_error      VARCHAR(500) NULL,
    failing_since   BIGINT       NULL,
    disabled_at     BIGINT       NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS webhooks;
