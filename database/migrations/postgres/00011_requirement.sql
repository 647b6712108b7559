-- The lowest version of the schema that a program must know to use the database, in one row. A migration that older programs cannot
-- work beside raises it, by its first statement: UPDATE schema_requirement SET lowest_version = 99 WHERE lowest_version < 99.
-- Programs that do not know version 10 would write no log of their changes.

-- +goose Up
CREATE TABLE schema_requirement (
    id             BIGINT NOT NULL,
    lowest_version BIGINT NOT NULL,
    CONSTRAINT schema_requirement_pkey PRIMARY KEY (id),
    CONSTRAINT schema_requirement_id_check CHECK (id = 1)
);
INSERT INTO schema_requirement (id, lowest_version) VALUES (1, 10);

-- +goose Down
DROP TABLE schema_requirement;
