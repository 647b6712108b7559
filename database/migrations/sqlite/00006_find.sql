-- What people are found by. The folded columns and the words are made of what people have written (package fold, model's Fold and
-- Words), so that every database finds and orders the same. The number of a type's rows is the sum of its deltas in
-- directory_counts: so no two transactions change one row to keep it.

-- +goose Up
ALTER TABLE users ADD COLUMN title VARCHAR(255) NULL CONSTRAINT users_title_check CHECK (length(title) <= 255);
ALTER TABLE users ADD COLUMN department VARCHAR(255) NULL CONSTRAINT users_department_check CHECK (length(department) <= 255);
ALTER TABLE users ADD COLUMN phone VARCHAR(64) NULL CONSTRAINT users_phone_check CHECK (length(phone) <= 64);
ALTER TABLE users ADD COLUMN location VARCHAR(255) NULL CONSTRAINT users_location_check CHECK (length(location) <= 255);
ALTER TABLE users ADD COLUMN time_zone VARCHAR(64) NULL CONSTRAINT users_time_zone_check CHECK (length(time_zone) <= 64);
ALTER TABLE users ADD COLUMN photo_url VARCHAR(2048) NULL CONSTRAINT users_photo_url_check CHECK (length(photo_url) <= 2048);
ALTER TABLE users ADD COLUMN external_id VARCHAR(255) NULL CONSTRAINT users_external_id_check CHECK (length(external_id) <= 255);
ALTER TABLE users ADD COLUMN status VARCHAR(16) NOT NULL DEFAULT 'ACTIVE' CONSTRAINT users_status_check CHECK (status IN ('ACTIVE', 'DEACTIVATED'));
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN name_folded VARCHAR(3060) NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN title_folded VARCHAR(3060) NULL;
ALTER TABLE users ADD COLUMN department_folded VARCHAR(3060) NULL;
ALTER TABLE users ADD COLUMN location_folded VARCHAR(3060) NULL;
CREATE UNIQUE INDEX users_external_id_key ON users (external_id);
CREATE INDEX users_name_folded_id_idx ON users (name_folded, id);
CREATE INDEX users_created_at_id_idx ON users (created_at, id);
CREATE INDEX users_updated_at_id_idx ON users (updated_at, id);
CREATE INDEX users_title_folded_id_idx ON users (title_folded, id);
CREATE INDEX users_department_folded_id_idx ON users (department_folded, id);
CREATE INDEX users_location_folded_id_idx ON users (location_folded, id);

ALTER TABLE teams ADD COLUMN description VARCHAR(2000) NULL CONSTRAINT teams_description_check CHECK (length(description) <= 2000);
ALTER TABLE teams ADD COLUMN parent_id INTEGER NULL CONSTRAINT teams_parent_id_fkey REFERENCES teams (id) ON DELETE RESTRICT;
ALTER TABLE teams ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE teams ADD COLUMN name_folded VARCHAR(3060) NOT NULL DEFAULT '';
CREATE INDEX teams_name_folded_id_idx ON teams (name_folded, id);
CREATE INDEX teams_created_at_id_idx ON teams (created_at, id);
CREATE INDEX teams_updated_at_id_idx ON teams (updated_at, id);
CREATE INDEX teams_parent_id_id_idx ON teams (parent_id, id);

-- Only a table that is made anew gets an id of its own.
CREATE TABLE new_memberships (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id    INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    role       VARCHAR(16) NOT NULL,
    created_at DATETIME NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT memberships_team_id_user_id_key UNIQUE (team_id, user_id),
    CONSTRAINT memberships_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_role_check CHECK (role IN ('MEMBER', 'OWNER'))
);
INSERT INTO new_memberships (team_id, user_id, role, created_at)
SELECT team_id, user_id, role, created_at FROM memberships ORDER BY team_id, user_id;
DROP TABLE memberships;
ALTER TABLE new_memberships RENAME TO memberships;
CREATE INDEX memberships_user_id_team_id_idx ON memberships (user_id, team_id);

CREATE TABLE user_words (
    word    VARCHAR(256) NOT NULL,
    user_id INTEGER NOT NULL,
    CONSTRAINT user_words_pkey PRIMARY KEY (word, user_id),
    CONSTRAINT user_words_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX user_words_user_id_word_idx ON user_words (user_id, word);

CREATE TABLE directory_counts (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  VARCHAR(64) NOT NULL,
    delta INTEGER NOT NULL
);
CREATE INDEX directory_counts_name_id_idx ON directory_counts (name, id);

-- +goose Down
DROP TABLE directory_counts;
DROP TABLE user_words;

CREATE TABLE old_memberships (
    team_id    INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    role       VARCHAR(16) NOT NULL,
    created_at DATETIME NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (team_id, user_id),
    CONSTRAINT memberships_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT memberships_role_check CHECK (role IN ('MEMBER', 'OWNER'))
);
INSERT INTO old_memberships (team_id, user_id, role, created_at) SELECT team_id, user_id, role, created_at FROM memberships;
DROP TABLE memberships;
ALTER TABLE old_memberships RENAME TO memberships;
CREATE INDEX memberships_user_id_team_id_idx ON memberships (user_id, team_id);

DROP INDEX teams_parent_id_id_idx;
DROP INDEX teams_updated_at_id_idx;
DROP INDEX teams_created_at_id_idx;
DROP INDEX teams_name_folded_id_idx;
ALTER TABLE teams DROP COLUMN name_folded;
ALTER TABLE teams DROP COLUMN version;
ALTER TABLE teams DROP COLUMN parent_id;
ALTER TABLE teams DROP COLUMN description;

DROP INDEX users_location_folded_id_idx;
DROP INDEX users_department_folded_id_idx;
DROP INDEX users_title_folded_id_idx;
DROP INDEX users_updated_at_id_idx;
DROP INDEX users_created_at_id_idx;
DROP INDEX users_name_folded_id_idx;
DROP INDEX users_external_id_key;
ALTER TABLE users DROP COLUMN location_folded;
ALTER TABLE users DROP COLUMN department_folded;
ALTER TABLE users DROP COLUMN title_folded;
ALTER TABLE users DROP COLUMN name_folded;
ALTER TABLE users DROP COLUMN version;
ALTER TABLE users DROP COLUMN status;
ALTER TABLE users DROP COLUMN external_id;
ALTER TABLE users DROP COLUMN photo_url;
ALTER TABLE users DROP COLUMN time_zone;
ALTER TABLE users DROP COLUMN location;
ALTER TABLE users DROP COLUMN phone;
ALTER TABLE users DROP COLUMN department;
ALTER TABLE users DROP COLUMN title;
