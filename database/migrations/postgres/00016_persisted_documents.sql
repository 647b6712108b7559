-- The documents that clients have registered by their hashes, for package persisted.

-- +goose Up
CREATE TABLE persisted_documents (
    hash      VARCHAR(64) COLLATE "C" NOT NULL, -- SHA-256 of the text, in hexadecimal
    text      BYTEA    NOT NULL,
    bytes     BIGINT   NOT NULL, -- of the text
    stored_at BIGINT   NOT NULL, -- in milliseconds of Unix time, as used_at
    used_at   BIGINT   NOT NULL, -- when a use was last noted; 0: never
    days      SMALLINT NOT NULL, -- on how many it was used; 2: on more than one
    CONSTRAINT persisted_documents_pkey PRIMARY KEY (hash)
);
CREATE INDEX persisted_documents_order_idx ON persisted_documents (days, used_at, stored_at, hash, bytes);

-- +goose Down
DROP TABLE persisted_documents;
