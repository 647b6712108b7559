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
	createTable = regexp.MustCompile(`^CREATE TABLE (?:IF NOT EXISTS )?(\w+) ?\(`)
	uniqueIndex = regexp.MustCompile(`^CREATE UNIQUE INDEX (?:IF NOT EXISTS )?\w+ ON (\w+) `)
	index       = regexp.MustCompile(`^CREATE INDEX (?:IF NOT EXISTS )?\w+ ON \w+ `)
	alterTable  = regexp.MustCompile(`^ALTER TABLE (\w+) (.+)$`)
	// A column has a type, and then nothing but what is listed here: so nothing that an older program's rows may lack.
	addColumn = regexp.MustCompile(`^ADD COLUMN (?:IF NOT EXISTS )?(\w+) \w+(?: ?\([\d, ]+\))?(?: (?:UNSIGNED|NULL|COLLATE (?:\w+|"C")|CHARACTER SET \w+|` + aDefault + `|NOT NULL ` + aDefault + `))*$`)
	addIndex  = regexp.MustCompile(`^ADD (?:INDEX|KEY) \w+ \([\w, ()]+\)$`)
	inserted  = regexp.MustCompile(`^INSERT (?:IGNORE )?INTO (\w+) `)
	update    = regexp.MustCompile(`^UPDATE (\w+) SET (.+?)(?: WHERE .+)?$`)
	assigned  = regexp.MustCompile(`^(\w+) = `)
	reference = regexp.MustCompile(`\bREFERENCES\b`)
	refers    = regexp.MustCompile(`REFERENCES (\w+) ?\([^)]*\)( ON DELETE (?:CASCADE|SET NULL))?`)
	prepared  = regexp.MustCompile(`^SET @\w+ = IF\(.+, '((?:[^']|'')+)', 'DO 0'\)$`) // as ARCHITECTURE.md has it for MySQL
	ofAnother = regexp.MustCompile(`^(?:PREPARE|EXECUTE|DEALLOCATE PREPARE) `)
)

// aDefault is a default that is not NULL.
const aDefault = `DEFAULT (?:-?\d+(?:\.\d+)?|'[^']*'|TRUE|FALSE|CURRENT_TIMESTAMP(?:\(\d\))?)`

// expands returns what of a migration an older program may stumble over, which does not know of it and writes and deletes rows as before, or what
// would change rows that it reads.
func expands(migration string) error {
	up, _, _ := strings.Cut(migration, "-- +goose Down")
	tables, columns := map[string]bool{}, map[string]bool{} // that it adds
	for statement := range strings.SplitSeq(comment.ReplaceAllString(up, ""), ";") {
		statement = strings.Join(strings.Fields(statement), " ")
		if inner := prepared.FindStringSubmatch(statement); inner != nil {
			statement = inner[1]
		}
		if statement == "" || ofAnother.MatchString(statement) {
			continue
		}
		if err := expandsBy(statement, tables, columns); err != nil {
			return err
		}
	}
	return nil
}

// expandsBy is expands for one statement. It notes the tables that are added, and the columns as "table.column".
func expandsBy(statement string, tables, columns map[string]bool) error {
	if table := createTable.FindStringSubmatch(statement); table != nil {
		tables[table[1]] = true
		all := refers.FindAllStringSubmatch(statement, -1)
		if len(all) != len(reference.FindAllString(statement, -1)) {
			return fmt.Errorf("it is not clear what is referred to: %s", statement)
		}
		for _, to := range all {
			if !tables[to[1]] && to[2] == "" {
				return fmt.Errorf("rows of %s could not be deleted any more: %s", to[1], statement)
			}
		}
		return nil
	}
	if table := uniqueIndex.FindStringSubmatch(statement); table != nil && tables[table[1]] || index.MatchString(statement) {
		return nil
	}
	if table := inserted.FindStringSubmatch(statement); table != nil && tables[table[1]] {
		return nil
	}
	if of := update.FindStringSubmatch(statement); of != nil {
		for _, one := range items(of[2]) {
			if column := assigned.FindStringSubmatch(one); column == nil || !tables[of[1]] && !columns[of[1]+"."+column[1]] {
				return fmt.Errorf("it changes what is stored: %s", statement)
			}
		}
		return nil
	}
	altered := alterTable.FindStringSubmatch(statement)
	if altered == nil {
		return fmt.Errorf("it does not only add: %s", statement)
	}
	for _, item := range items(altered[2]) {
		column := addColumn.FindStringSubmatch(item)
		if column == nil && !addIndex.MatchString(item) {
			return fmt.Errorf("it does not only add, or rows without that could not be written any more: %s", item)
		}
		if column != nil {
			columns[altered[1]+"."+column[1]] = true
		}
	}
	return nil
}

// items cuts a list at the commas that are in no parentheses and no quotes.
func items(list string) (all []string) {
	depth, quoted, from := 0, false, 0
	for i, c := range list {
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			all, from = append(all, strings.TrimSpace(list[from:i])), i+1
		}
	}
	return append(all, strings.TrimSpace(list[from:]))
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
		"ALTER TABLE users ADD COLUMN shoe_size int; UPDATE users SET shoe_size = 42 WHERE id > 7":  true,
		"UPDATE users SET phone = NULL":                                                             false,
		"ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 1, phone = NULL":                  false,
		"INSERT INTO users (name) VALUES ('Zaphod')":                                                false,
		"ALTER TABLE users ADD COLUMN a int,DROP COLUMN phone":                                      false,
		"ALTER TABLE users ADD COLUMN a int, CONVERT TO CHARACTER SET ascii":                        false,
		"ALTER TABLE users ADD COLUMN a int, ENGINE = MEMORY":                                       false,
		"ALTER TABLE users ADD INDEX a (name), FORCE, ALGORITHM=COPY, DISABLE KEYS":                 false,
		"ALTER TABLE users ADD COLUMN a int NOT NULL DEFAULT NULL":                                  false,
		"ALTER TABLE users ADD COLUMN a int NOT NULL COMMENT 'no DEFAULT'":                          false,
		"ALTER TABLE users ADD COLUMN a varchar(9) NOT NULL DEFAULT 'a, b'":                         true,
		"CREATE TABLE pets (user_id bigint REFERENCES users)":                                       false,
		`CREATE TABLE pets (user_id bigint REFERENCES "users" (id))`:                                false,
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
