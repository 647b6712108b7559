-- The imports of files, for package transfer, and what one has left to be done. Times are in microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE IF NOT EXISTS imports (
    name        VARCHAR(200) NOT NULL PRIMARY KEY,
    options     LONGTEXT     NOT NULL, -- in JSON
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
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- What is to be done once the whole file was read.
CREATE TABLE IF NOT EXISTS import_waiting (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    import_name VARCHAR(200) NOT NULL,
    line        BIGINT       NOT NULL,
    kind        VARCHAR(16)  NOT NULL,
    record      LONGTEXT     NOT NULL, -- in JSON
    KEY import_waiting_import_name_idx (import_name, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- The users that a file has had, where those that it has not are to be deactivated.
CREATE TABLE IF NOT EXISTS import_users (
    import_name VARCHAR(200) NOT NULL,
    user_id     BIGINT       NOT NULL,
    PRIMARY KEY (import_name, user_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS import_users;
DROP TABLE IF EXISTS import_waiting;
DROP TABLE IF EXISTS imports;
