-- The API tokens of services, for package apitoken. Programs that do not know them leave it to the foreign key to take a user's tokens away with the
-- user, which the log of changes then does not tell.

-- +goose Up
CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- none is given twice
    name         VARCHAR(255) NOT NULL,
    sha256       VARCHAR(64)  NOT NULL, -- of the token's text, in hexadecimal
    role         VARCHAR(16)  NOT NULL,
    scopes       VARCHAR(255) NOT NULL, -- with spaces between
    owner_id     BIGINT       NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   DATETIME     NOT NULL,
    expires_at   DATETIME     NULL,
    last_used_at DATETIME     NULL,
    revoked_at   DATETIME     NULL
);
CREATE UNIQUE INDEX api_tokens_sha256_key ON api_tokens (sha256);
CREATE INDEX api_tokens_owner_id_idx ON api_tokens (owner_id);

-- +goose Down
DROP TABLE api_tokens;
