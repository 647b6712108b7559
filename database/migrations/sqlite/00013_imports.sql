-- The imports of files, for package transfer, and what one has left to be done. Times are in microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE imports (
    name        VARCHAR(200) NOT NULL PRIMARY KEY,
    options     TEXT         NOT NULL, -- in JSON
    read_bytes  BIGINT       NOT NULL, -- of the file, uncompressed, that are imported
    read_lines  BIGINT       NOT NULL,
    digest      VARCHAR(64)  NOT NULL, -- SHA-256 of these bytes
    created     BIGINT       NOT NULL, -- records, and so on
    updated     BIGINT       NOT NULL,
    unchanged   BIGINT       NOT NULL,
    refused     BIGINT       NOT NULL,
    unreadable  BIGINT       NOT NULL, -- of those refused, which nobody knows what they are about
    deactivated BIGINT       NOT NULL, -- users
    error_bytes BIGINT       NOT NULL, -- of the file of errors
    began_at    BIGINT       NOT NULL,
    changed_at  BIGINT       NOT NULL,
    claim       BIGINT       NOT NULL  -- of the process that is at it
);

-- What is to be done once the whole file was read.
CREATE TABLE import_waiting (
    id          INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    import_name VARCHAR(200) NOT NULL,
    line        BIGINT       NOT NULL,
    kind        VARCHAR(16)  NOT NULL,
    record      TEXT         NOT NULL -- in JSON
);
CREATE INDEX import_waiting_import_name_idx ON import_waiting (import_name, id);

-- The users that a file has had, where those that it has not are to be deactivated.
CREATE TABLE import_users (
    import_name VARCHAR(200) NOT NULL,
    user_id     BIGINT       NOT NULL,
    PRIMARY KEY (import_name, user_id)
);

-- +goose Down
DROP TABLE import_users;
DROP TABLE import_waiting;
DROP TABLE imports;
