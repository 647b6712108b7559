-- The log of changes, for package changelog: one row for each object that a mutation has changed.

-- +goose Up
CREATE TABLE IF NOT EXISTS changes (
    id             BIGINT       NOT NULL AUTO_INCREMENT,
    position       BIGINT       NULL,
    at             BIGINT       NOT NULL, -- in microseconds since 1970, UTC
    kind           VARCHAR(16)  NOT NULL,
    type           VARCHAR(16)  NOT NULL,
    object_id      BIGINT       NOT NULL,
    version        BIGINT       NOT NULL,
    user_id        BIGINT       NULL,
    team_id        BIGINT       NULL,
    actor          VARCHAR(255) NULL,
    operation_id   VARCHAR(64)  NOT NULL,
    ends_operation BOOLEAN      NOT NULL,
    erased         BOOLEAN      NOT NULL DEFAULT FALSE,
    fields         MEDIUMTEXT   NOT NULL,
    CONSTRAINT changes_pkey PRIMARY KEY (id),
    CONSTRAINT changes_position_key UNIQUE (position),
    KEY changes_object_idx (object_id, type, id),
    KEY changes_user_id_idx (user_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row. Of the changes up to the position expired no row may be left.
CREATE TABLE IF NOT EXISTS changes_clock (
    id                   INTEGER     NOT NULL,
    position             BIGINT      NOT NULL,
    operation_id         VARCHAR(64) NOT NULL, -- of the change that has the position
    expired              BIGINT      NOT NULL,
    expired_operation_id VARCHAR(64) NOT NULL DEFAULT '', -- of the change that had that position
    CONSTRAINT changes_clock_pkey PRIMARY KEY (id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO changes_clock (id, position, operation_id, expired) SELECT 1, 0, '', 0 FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM changes_clock) ON DUPLICATE KEY UPDATE changes_clock.id = changes_clock.id;

-- +goose Down
DROP TABLE IF EXISTS changes_clock;
DROP TABLE IF EXISTS changes;
