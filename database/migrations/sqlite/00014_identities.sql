-- The logins of users at OpenID providers and proxies, for package identity. Times are in microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE identities (
    id        INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT, -- never used again, since open streams know it
    issuer    VARCHAR(255) NOT NULL CONSTRAINT identities_issuer_check CHECK (length(issuer) <= 255),
    subject   VARCHAR(255) NOT NULL CONSTRAINT identities_subject_check CHECK (length(subject) <= 255), -- unique for the issuer
    user_id   INTEGER      NOT NULL,
    linked_at BIGINT       NOT NULL,
    CONSTRAINT identities_subject_key UNIQUE (issuer, subject),
    CONSTRAINT identities_user_id_key UNIQUE (user_id, issuer),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE identities;
