package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/database"
	"rollcall/database/databasetest"
)

// numbers is a table of the numbers from 0 to 99,999, in n.
const numbers = `(SELECT d0.d + 10 * d1.d + 100 * d2.d + 1000 * d3.d + 10000 * d4.d AS n FROM ` +
	digits + ` d0, ` + digits + ` d1, ` + digits + ` d2, ` + digits + ` d3, ` + digits + ` d4) AS numbers`

const digits = `(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL ` +
	`SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)`

// crowd fills a database with so many users, 10 below each who manages some, and 5,000 teams, each with an owner and as many members as
// any other.
func crowd(t *testing.T, db *database.Database, users int) {
	t.Helper()
	letter := func(n string) string { return "SUBSTR('abcdefghijklmnopqrstuvwxyz', MOD(" + n + ", 26) + 1, 1)" }
	some := func(from, to int) string { return fmt.Sprintf(" WHERE n BETWEEN %d AND %d", from, to) }
	const at = "'2026-01-01 00:00:00'"
	var statements []string
	for from := 0; from < users; from += 10_000 { // for long ones connections do not wait
		statements = append(statements, `INSERT INTO users (id, name, name_folded, email, title, title_folded, external_id, manager_id, created_at, updated_at)
		SELECT n + 1, CONCAT(`+letter("n")+`, ' ', n), CONCAT(`+letter("n")+`, ' ', n), CONCAT(`+letter("n + 7")+`, n, '@example.com'),
		CONCAT('title ', MOD(n, 500)), CONCAT('title ', MOD(n, 500)), CONCAT('X', n), CASE WHEN n > 0 THEN FLOOR((n - 1) / 10) + 1 END, `+at+`, `+at+` FROM `+numbers+some(from, min(from+10_000, users)-1)+` ORDER BY n`)
	}
	statements = append(statements, `INSERT INTO teams (id, name, name_folded, created_at, updated_at)
		SELECT n + 1, CONCAT(`+letter("n")+`, ' ', n), CONCAT(`+letter("n")+`, ' ', n), `+at+`, `+at+` FROM `+numbers+some(0, 4_999))
	for from := 0; from < users; from += 50_000 {
		statements = append(statements, `INSERT INTO memberships (team_id, user_id, role, created_at)
		SELECT MOD(n * 7, 5000) + 1, n + 1, CASE WHEN n < 5000 THEN 'OWNER' ELSE 'MEMBER' END, `+at+` FROM `+numbers+some(from, min(from+50_000, users)-1))
	}
	for _, table := range []string{"users", "teams", "memberships"} {
		if db.Dialect().Name() == "postgres" {
			statements = append(statements, "VACUUM ANALYZE "+table)
		} else {
			statements = append(statements, "ANALYZE TABLE "+table)
		}
	}
	for _, s := range statements {
		if _, err := db.Side.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// postgresStep is a step of a plan that was carried out.
type postgresStep struct {
	Table   string         `json:"Relation Name"`
	Rows    float64        `json:"Actual Rows"`
	Removed float64        `json:"Rows Removed by Filter"`
	Loops   float64        `json:"Actual Loops"`
	Steps   []postgresStep `json:"Plans"`
}

// scans reports whether a step, or one below it, reads more rows than it may.
func (s postgresStep) scans(maxRead int) bool {
	return s.Table != "" && (s.Rows+s.Removed)*s.Loops > float64(maxRead) ||
		slices.ContainsFunc(s.Steps, func(below postgresStep) bool { return below.scans(maxRead) })
}

// scan returns the plan of a statement that may read all rows of a table, or more than so many; "" if it does not.
func scan(t *testing.T, db *database.Database, statement string, maxRead int) string {
	t.Helper()
	if db.Dialect().Name() == "postgres" {
		var text string
		if err := db.Side.QueryRowContext(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+statement).Scan(&text); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		var plans []struct{ Plan postgresStep }
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, `"Seq Scan"`) || plans[0].Plan.scans(maxRead) {
			return text
		}
		return ""
	}
	rows, err := db.Side.QueryContext(t.Context(), "EXPLAIN "+statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	wrong := false
	for rows.Next() {
		values, to := make([]*string, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		step := map[string]string{}
		for i, name := range names {
			if values[i] != nil {
				step[name] = *values[i]
			}
		}
		n, _ := strconv.Atoi(step["rows"])
		ofTable := step["table"] != "" && !strings.HasPrefix(step["table"], "<")
		wrong = wrong || ofTable && (step["type"] == "ALL" || n > maxRead)
		line, _ := json.Marshal(step)
		steps = append(steps, string(line))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if !wrong {
		return ""
	}
	return strings.Join(steps, "\n")
}

// TestNoFilterThatAnIndexServesScansATable has 10,000 users, or as many as ROLLCALL_TEST_PLANS says. A statement may read a tenth.
func TestNoFilterThatAnIndexServesScansATable(t *testing.T) {
	users := number(t, "ROLLCALL_TEST_PLANS", 10_000)
	if users < 10_000 || users > 100_000 {
		t.Fatalf("ROLLCALL_TEST_PLANS = %d, want a number from 10,000 to 100,000", users)
	}
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		db := databasetest.Open(t, databasetest.URL(t, kind)) // dropped, since to delete so many rows takes long
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		crowd(t, db, users)
		t.Logf("loaded in %s", time.Since(began))
		d := newDirectory(t, db)
		for _, c := range []struct {
			list, filter string
			some         bool   // whether there are any
			counted      string // the orders in which those that meet it are counted first: no index has both
		}{
			{"users", `{ name: { eq: "C 2" } }`, true, ""},
			{"users", `{ name: { eq: "nobody" } }`, false, ""},
			{"users", `{ name: { in: ["c 2", "z 25", "nobody"] } }`, true, "ID"},
			{"users", `{ name: { startsWith: "C 28" } }`, true, "ID"},
			{"users", `{ name: { startsWith: "c" } }`, true, "ID"},
			{"users", `{ name: { startsWith: "nobody" } }`, false, "ID"},
			{"users", `{ email: { eq: "h0@example.com" } }`, true, ""},
			{"users", `{ email: { startsWith: "h26" } }`, true, ""},
			{"users", `{ title: { eq: "Title 7" } }`, true, "NAME"},
			{"users", `{ title: { startsWith: "title 49" } }`, true, "ID NAME"},
			{"users", `{ externalId: { in: ["X3", "X4"] } }`, true, ""},
			{"users", `{ id: { in: ["User:7", "User:7000"] } }`, true, ""},
			{"users", `{ manager: { in: "User:77" } }`, true, ""},
			{"users", `{ managedBy: "User:77" }`, true, ""},
			{"users", `{ inTeam: { id: "Team:77" } }`, true, ""},
			{"users", `{ inTeam: { id: "Team:78", role: OWNER } }`, true, ""},
			{"users", `{ inTeam: { id: "Team:1" }, name: { startsWith: "a" } }`, true, "ID"},
			{"teams", `{ name: { startsWith: "c 2" } }`, true, "ID"},
			{"teams", `{ name: { in: ["c 2", "z 25"] } }`, true, "ID"},
		} {
			if strings.Contains(c.filter, "managedBy") && users < 100_000 && kind == "postgres" {
				continue // it takes the number for so large that of fewer users to read all is less work
			}
			for _, order := range []string{"ID", "NAME"} {
				query := fmt.Sprintf(`{ list: %s(filter: %s, orderBy: { field: %s }) { totalCount nodes { id name } } }`, c.list, c.filter, order)
				var a answer
				statements := d.sql.During(func() { a = d.must(query) })
				want := 2
				if slices.Contains(strings.Fields(c.counted), order) {
					want = 3
				}
				if some := len(a.at(t, "list.nodes").([]any)) > 0; some != c.some || len(statements) != want {
					t.Errorf("%s: %d statements, and got %.200s", query, len(statements), a.raw)
				}
				slices.Sort(statements)
				for _, s := range statements {
					if plan := scan(t, db, s, users/10); plan != "" {
						t.Errorf("%s\n%s\n%s", query, s, plan)
					}
				}
			}
		}
	})
}
