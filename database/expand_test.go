package database_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// expandsAfter is the last version of the schema that a migration could reach by changing what was there.
const expandsAfter = 11

// TestMigrationsOnlyAdd guards the promise that an older program's servers run beside those of a newer one, and may come back.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := filepath.Glob("migrations/*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version <= expandsAfter {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := expands(string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		seen++
	}
	if seen < 15 {
		t.Errorf("looked at %d migrations", seen)
	}
}

var (
	comment     = regexp.MustCompile(`--.*`)
	createTable = regexp.MustCompile(`^CREATE TABLE (?:IF NOT EXISTS )?(\w+) `)
	uniqueIndex = regexp.MustCompile(`^CREATE UNIQUE INDEX (?:IF NOT EXISTS )?\w+ ON (\w+) `)
	index       = regexp.MustCompile(`^CREATE INDEX (?:IF NOT EXISTS )?\w+ ON \w+ `)
	alterTable  = regexp.MustCompile(`^ALTER TABLE \w+ (.+)$`)
	addColumn   = regexp.MustCompile(`^ADD COLUMN (?:IF NOT EXISTS )?\w+ `)
	addIndex    = regexp.MustCompile(`^ADD (?:INDEX|KEY) `)
	rows        = regexp.MustCompile(`^(?:INSERT (?:IGNORE )?INTO|UPDATE) (\w+) `)
	strict      = regexp.MustCompile(`\b(?:UNIQUE|REFERENCES|CHECK|PRIMARY|CONSTRAINT)\b`)
	required    = regexp.MustCompile(`\bNOT NULL\b`)
	byDefault   = regexp.MustCompile(`\b(?:DEFAULT|GENERATED|AS)\b`)
	refers      = regexp.MustCompile(`REFERENCES (\w+) ?\([^)]*\)( ON DELETE (?:CASCADE|SET NULL))?`)
	prepared    = regexp.MustCompile(`^SET @\w+ = IF\(.+, '((?:[^']|'')+)', 'DO 0'\)$`) // as ARCHITECTURE.md has it for MySQL
	ofPrepared  = regexp.MustCompile(`^(?:PREPARE|EXECUTE|DEALLOCATE PREPARE) `)
	itemOfList  = regexp.MustCompile(`, (?:ADD|DROP|MODIFY|CHANGE|RENAME|ALTER) `)
)

// expands returns what of a migration an older program may stumble over, which does not know of it and writes and deletes rows as before.
func expands(migration string) error {
	up, _, _ := strings.Cut(migration, "-- +goose Down")
	own := map[string]bool{} // the tables that it creates
	for statement := range strings.SplitSeq(comment.ReplaceAllString(up, ""), ";") {
		statement = strings.Join(strings.Fields(statement), " ")
		if inner := prepared.FindStringSubmatch(statement); inner != nil {
			statement = inner[1]
		}
		if statement == "" || ofPrepared.MatchString(statement) {
			continue
		}
		if table := createTable.FindStringSubmatch(statement); table != nil {
			own[table[1]] = true
			for _, to := range refers.FindAllStringSubmatch(statement, -1) {
				if !own[to[1]] && to[2] == "" {
					return fmt.Errorf("rows of %s could not be deleted any more: %s", to[1], statement)
				}
			}
			continue
		}
		if table := uniqueIndex.FindStringSubmatch(statement); table != nil && own[table[1]] || index.MatchString(statement) {
			continue
		}
		if table := rows.FindStringSubmatch(statement); table != nil && table[1] != "schema_requirement" {
			continue
		}
		if err := expandsTable(statement); err != nil {
			return err
		}
	}
	return nil
}

func expandsTable(statement string) error {
	altered := alterTable.FindStringSubmatch(statement)
	if altered == nil {
		return fmt.Errorf("it does not only add: %s", statement)
	}
	text := altered[1]
	for text != "" {
		item, rest := text, ""
		if at := itemOfList.FindStringIndex(text); at != nil {
			item, rest = text[:at[0]], text[at[0]+2:]
		}
		switch {
		case addIndex.MatchString(item):
		case !addColumn.MatchString(item):
			return fmt.Errorf("it does not only add: %s", item)
		case strict.MatchString(item) || required.MatchString(item) && !byDefault.MatchString(item):
			return fmt.Errorf("rows without that could not be written any more: %s", item)
		}
		text = rest
	}
	return nil
}

func TestWhatAnOlderProgramWouldStumbleOverIsFoundInAMigration(t *testing.T) {
	for statement, good := range map[string]bool{
		"CREATE TABLE pets (id bigint NOT NULL PRIMARY KEY, name text NOT NULL UNIQUE)":             true,
		"CREATE TABLE pets (id bigint); CREATE UNIQUE INDEX pets_id ON pets (id)":                   true,
		"CREATE TABLE pets (user_id bigint REFERENCES users (id) ON DELETE CASCADE)":                true,
		"CREATE TABLE pets (user_id bigint REFERENCES users (id))":                                  false,
		"CREATE TABLE pets (id bigint); CREATE TABLE toys (pet_id bigint REFERENCES pets (id))":     true,
		"CREATE INDEX users_phone ON users (phone)":                                                 true,
		"CREATE UNIQUE INDEX users_phone ON users (phone)":                                          false,
		"ALTER TABLE users ADD COLUMN shoe_size int":                                                true,
		"ALTER TABLE users ADD COLUMN shoe_size int NOT NULL DEFAULT 42, ADD COLUMN hat varchar(9)": true,
		"ALTER TABLE users ADD COLUMN shoe_size int, ADD INDEX users_shoe (shoe_size)":              true,
		"ALTER TABLE users ADD COLUMN shoe_size int NOT NULL":                                       false,
		"ALTER TABLE users ADD COLUMN shoe_size int UNIQUE":                                         false,
		"ALTER TABLE users ADD COLUMN shoe_size int, DROP COLUMN phone":                             false,
		"ALTER TABLE users ADD CONSTRAINT long CHECK (length(name) > 3)":                            false,
		"ALTER TABLE users MODIFY phone varchar(9)":                                                 false,
		"ALTER TABLE users ALTER COLUMN phone SET NOT NULL":                                         false,
		"ALTER TABLE users RENAME COLUMN phone TO telephone":                                        false,
		"ALTER TABLE users RENAME TO people":                                                        false,
		"DROP TABLE users":                                                                          false,
		"DROP INDEX users_phone":                                                                    false,
		"CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.name = ''":                    false,
		"UPDATE users SET shoe_size = 42":                                                           true,
		"UPDATE schema_requirement SET lowest_version = 17 WHERE lowest_version < 17":               false,
		"SET @s = IF((SELECT COUNT(*) FROM t) = 0, 'ALTER TABLE teams ADD COLUMN motto text', 'DO 0'); PREPARE s FROM @s; EXECUTE s; DEALLOCATE PREPARE s": true,
		"SET @s = IF((SELECT COUNT(*) FROM t) = 0, 'ALTER TABLE teams DROP COLUMN motto', 'DO 0'); PREPARE s FROM @s; EXECUTE s; DEALLOCATE PREPARE s":     false,
		"DELETE FROM users": false,
		"-- DROP TABLE users;\nCREATE TABLE IF NOT EXISTS pets (id int);\n-- +goose Down\nDROP TABLE pets": true,
	} {
		if err := expands("-- +goose Up\n" + statement + ";"); (err == nil) != good {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
