-- SQLite ignores the length of a VARCHAR, so a check holds it. DATETIME, without a precision, is
-- what the driver recognises as a time.

-- +goose Up
CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       VARCHAR(255) NOT NULL CONSTRAINT users_name_check CHECK (length(name) <= 255),
    email      VARCHAR(320) NOT NULL CONSTRAINT users_email_check CHECK (length(email) <= 320),
    manager_id INTEGER NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_manager_id_fkey FOREIGN KEY (manager_id) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX users_manager_id_id_idx ON users (manager_id, id);

CREATE TABLE teams (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       VARCHAR(255) NOT NULL CONSTRAINT teams_name_check CHECK (length(name) <= 255),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    CONSTRAINT teams_name_key UNIQUE (name)
);

CREATE TABLE memberships (
    team_id    INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    role       VARCHAR(16) NOT NULL,
    created_at DATETIME NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (team_id, user_id),
    CONSTRAINT memberships_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_role_check CHECK (role IN ('MEMBER', 'OWNER'))
);
CREATE INDEX memberships_user_id_team_id_idx ON memberships (user_id, team_id);

-- +goose Down
DROP TABLE memberships;
DROP TABLE teams;
DROP TABLE users;
