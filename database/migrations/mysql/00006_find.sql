-- What people are found by. The folded columns and the words are made of what people have written (package fold, model's Fold and
-- Words), so that every database finds and orders the same: their bytes are compared. The number of a type's rows is the sum of its
-- deltas in directory_counts: so no two transactions change one row to keep it.
-- Each table is altered by one statement, unless that has been done. Migrate runs again what another node has overtaken.

-- +goose Up
SET @s = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'name_folded') = 0,
'ALTER TABLE users
    ADD COLUMN title             VARCHAR(255)    NULL,
    ADD COLUMN department        VARCHAR(255)    NULL,
    ADD COLUMN phone             VARCHAR(64)     NULL,
    ADD COLUMN location          VARCHAR(255)    NULL,
    ADD COLUMN time_zone         VARCHAR(64)     NULL,
    ADD COLUMN photo_url         VARCHAR(2048)   NULL,
    ADD COLUMN external_id       VARCHAR(255)    NULL,
    ADD COLUMN status            VARCHAR(16)     NOT NULL DEFAULT ''ACTIVE'',
    ADD COLUMN version           BIGINT          NOT NULL DEFAULT 1,
    ADD COLUMN name_folded       VARBINARY(3060) NOT NULL DEFAULT '''',
    ADD COLUMN title_folded      VARBINARY(3060) NULL,
    ADD COLUMN department_folded VARBINARY(3060) NULL,
    ADD COLUMN location_folded   VARBINARY(3060) NULL,
    ADD CONSTRAINT users_external_id_key UNIQUE (external_id),
    ADD KEY users_name_folded_id_idx (name_folded, id),
    ADD KEY users_created_at_id_idx (created_at, id),
    ADD KEY users_updated_at_id_idx (updated_at, id),
    ADD KEY users_title_folded_id_idx (title_folded, id),
    ADD KEY users_department_folded_id_idx (department_folded, id),
    ADD KEY users_location_folded_id_idx (location_folded, id),
    ADD CONSTRAINT users_status_check CHECK (status IN (''ACTIVE'', ''DEACTIVATED''))', 'DO 0');
PREPARE s FROM @s;
EXECUTE s;
DEALLOCATE PREPARE s;

SET @s = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'teams' AND column_name = 'name_folded') = 0,
'ALTER TABLE teams
    ADD COLUMN description VARCHAR(2000)   NULL,
    ADD COLUMN parent_id   BIGINT          NULL,
    ADD COLUMN version     BIGINT          NOT NULL DEFAULT 1,
    ADD COLUMN name_folded VARBINARY(3060) NOT NULL DEFAULT '''',
    ADD KEY teams_name_folded_id_idx (name_folded, id),
    ADD KEY teams_created_at_id_idx (created_at, id),
    ADD KEY teams_updated_at_id_idx (updated_at, id),
    ADD KEY teams_parent_id_id_idx (parent_id, id),
    ADD CONSTRAINT teams_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES teams (id) ON DELETE RESTRICT', 'DO 0');
PREPARE s FROM @s;
EXECUTE s;
DEALLOCATE PREPARE s;

SET @s = IF((SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'memberships' AND column_name = 'version') = 0,
'ALTER TABLE memberships
    ADD COLUMN id      BIGINT NOT NULL AUTO_INCREMENT,
    ADD COLUMN version BIGINT NOT NULL DEFAULT 1,
    ADD CONSTRAINT memberships_id_key UNIQUE (id)', 'DO 0');
PREPARE s FROM @s;
EXECUTE s;
DEALLOCATE PREPARE s;

CREATE TABLE IF NOT EXISTS user_words (
    word    VARBINARY(256) NOT NULL,
    user_id BIGINT         NOT NULL,
    CONSTRAINT user_words_pkey PRIMARY KEY (word, user_id),
    KEY user_words_user_id_word_idx (user_id, word),
    CONSTRAINT user_words_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS directory_counts (
    id    BIGINT      NOT NULL AUTO_INCREMENT,
    name  VARCHAR(64) NOT NULL,
    delta BIGINT      NOT NULL,
    CONSTRAINT directory_counts_pkey PRIMARY KEY (id),
    KEY directory_counts_name_id_idx (name, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS directory_counts;
DROP TABLE IF EXISTS user_words;
ALTER TABLE memberships DROP COLUMN id, DROP COLUMN version;
ALTER TABLE teams DROP FOREIGN KEY teams_parent_id_fkey;
ALTER TABLE teams DROP KEY teams_name_folded_id_idx, DROP KEY teams_created_at_id_idx, DROP KEY teams_updated_at_id_idx, DROP KEY teams_parent_id_id_idx,
    DROP COLUMN description, DROP COLUMN parent_id, DROP COLUMN version, DROP COLUMN name_folded;
ALTER TABLE users DROP CONSTRAINT users_status_check;
ALTER TABLE users DROP KEY users_external_id_key, DROP KEY users_name_folded_id_idx, DROP KEY users_created_at_id_idx, DROP KEY users_updated_at_id_idx,
    DROP KEY users_title_folded_id_idx, DROP KEY users_department_folded_id_idx, DROP KEY users_location_folded_id_idx,
    DROP COLUMN title, DROP COLUMN department, DROP COLUMN phone, DROP COLUMN location, DROP COLUMN time_zone, DROP COLUMN photo_url,
    DROP COLUMN external_id, DROP COLUMN status, DROP COLUMN version, DROP COLUMN name_folded, DROP COLUMN title_folded,
    DROP COLUMN department_folded, DROP COLUMN location_folded;
