-- The logins of users at OpenID providers and proxies, for package identity. Times are in microseconds since 1970, UTC.

-- +goose Up
-- What is bytes is compared as it is: of texts, those that differ by spaces at the end would be the same.
CREATE TABLE IF NOT EXISTS identities (
    id        BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY, -- never used again, since open streams know it
    issuer    VARBINARY(255) NOT NULL,
    subject   VARBINARY(255) NOT NULL, -- unique for the issuer
    user_id   BIGINT         NOT NULL,
    linked_at BIGINT         NOT NULL,
    CONSTRAINT identities_subject_key UNIQUE (issuer, subject),
    CONSTRAINT identities_user_id_key UNIQUE (user_id, issuer),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS identities;
