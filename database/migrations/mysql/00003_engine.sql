-- Databases that were migrated before these tables named their engine have them in the server's default: MyISAM or Aria keep what a
-- transaction has rolled back, and lose what it was told to keep.

-- +goose Up
ALTER TABLE goose_db_version ENGINE = InnoDB ROW_FORMAT = DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE session_operations ENGINE = InnoDB ROW_FORMAT = DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY created_at datetime(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6));

-- +goose Down
