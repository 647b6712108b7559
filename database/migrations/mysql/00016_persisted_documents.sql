-- The documents that clients have registered by their hashes, for package persisted.

-- +goose Up
CREATE TABLE IF NOT EXISTS persisted_documents (
    hash      VARCHAR(64) NOT NULL, -- SHA-256 of the text, in hexadecimal
    text      MEDIUMBLOB  NOT NULL,
    bytes     BIGINT      NOT NULL, -- of the text
    stored_at BIGINT      NOT NULL, -- in milliseconds of Unix time, as used_at
    used_at   BIGINT      NOT NULL, -- when a use was last noted; 0: never
    days      SMALLINT    NOT NULL, -- on how many it was used; 2: on more than one
    CONSTRAINT persisted_documents_pkey PRIMARY KEY (hash),
    KEY persisted_documents_order_idx (days, used_at, stored_at, hash, bytes)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS persisted_documents;
