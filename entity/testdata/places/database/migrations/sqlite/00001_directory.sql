CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    name       VARCHAR(255) NOT NULL,
    manager_id INTEGER REFERENCES users (id),
    created_at DATETIME NOT NULL
);
CREATE TABLE teams (
    id         INTEGER PRIMARY KEY,
    name       VARCHAR(255) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL
);
INSERT INTO users VALUES (1, 'Ada', NULL, '2026-01-31 09:30:00'), (2, 'Ben', 1, '2026-02-01 09:30:00'), (3, 'Cleo', 1, '2026-02-02 09:30:00');
INSERT INTO teams VALUES (1, 'Red', '2026-02-03 09:30:00'), (2, 'Blue', '2026-02-04 09:30:00');
