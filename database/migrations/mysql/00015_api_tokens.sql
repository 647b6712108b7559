-- The API tokens of services, for package apitoken. Programs that do not know them leave it to the foreign key to take a user's tokens away with the
-- user, which the log of changes then does not tell.

-- +goose Up
CREATE TABLE IF NOT EXISTS api_tokens (
    id           BIGINT       NOT NULL AUTO_INCREMENT,
    name         VARCHAR(255) NOT NULL,
    sha256       VARCHAR(64)  NOT NULL, -- of the token's text, in hexadecimal
    role         VARCHAR(16)  NOT NULL,
    scopes       VARCHAR(255) NOT NULL, -- with spaces between
    owner_id     BIGINT       NULL,
    created_at   DATETIME(6)  NOT NULL,
    expires_at   DATETIME(6)  NULL,
    last_used_at DATETIME(6)  NULL,
    revoked_at   DATETIME(6)  NULL,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_sha256_key UNIQUE (sha256),
    KEY api_tokens_owner_id_idx (owner_id),
    CONSTRAINT api_tokens_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS api_tokens;
