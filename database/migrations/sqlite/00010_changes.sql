-- The log of changes, for package changelog: one row for each object that a mutation has changed.

-- +goose Up
CREATE TABLE changes (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
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
    erased         BOOLEAN      NOT NULL DEFAULT 0,
    fields         TEXT         NOT NULL
);
CREATE UNIQUE INDEX changes_position_key ON changes (position);
CREATE INDEX changes_object_idx ON changes (object_id, type, id);
CREATE INDEX changes_user_id_idx ON changes (user_id);

-- One row. Of the changes up to the position expired no row may be left.
CREATE TABLE changes_clock (
    id                   INTEGER     NOT NULL PRIMARY KEY,
    position             BIGINT      NOT NULL,
    operation_id         VARCHAR(64) NOT NULL, -- of the change that has the position
    expired              BIGINT      NOT NULL,
    expired_operation_id VARCHAR(64) NOT NULL DEFAULT '' -- of the change that had that position
);
INSERT INTO changes_clock (id, position, operation_id, expired) VALUES (1, 0, '', 0);

-- +goose Down
DROP TABLE changes_clock;
DROP TABLE changes;
