package main

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// tableRow is a row of a table in README.md.
type tableRow struct {
	line  int
	cells []string
}

var betweenCells = regexp.MustCompile(` \| ?`)

// tableRows returns the rows below a heading of README.md.
func tableRows(tb testing.TB, section string) (rows []tableRow) {
	tb.Helper()
	at := ""
	for i, line := range readLines(tb) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			at = heading
		}
		if at == section && strings.HasPrefix(line, "| ") {
			rows = append(rows, tableRow{i + 1, betweenCells.Split(strings.Trim(line, "|"), -1)})
		}
	}
	if len(rows) == 0 {
		tb.Fatalf("README.md: no table below the heading %s", section)
	}
	return rows
}

func TestTheFlagsInTheREADMEAreThoseOfTheHelp(t *testing.T) {
	t.Setenv("COLUMNS", "1000") // so that the help has a line for each flag
	want := map[string]string{}
	for _, flag := range regexp.MustCompile(`(?m)^ +--([a-z-]+)(=\S+)? +(\S.*)$`).FindAllStringSubmatch(helpOf(t, "--help"), -1) {
		meaning, byDefault, given := strings.Cut(strings.TrimSuffix(flag[3], "."), " Default: ")
		if !given && flag[2] != "" {
			byDefault = "none"
		} else if !given {
			byDefault = "off"
		}
		meaning = strings.TrimSuffix(meaning, ".") + "."
		want[flag[1]] = strings.Join([]string{"--" + flag[1] + flag[2], variableOf(flag[1]), byDefault, meaning}, " | ")
	}
	for _, row := range tableRows(t, "Configuration") {
		got := strings.NewReplacer("`", "", `\|`, "|").Replace(strings.TrimSpace(strings.Join(row.cells, " | ")))
		name := regexp.MustCompile(`^--([a-z-]+)`).FindStringSubmatch(got)
		if name == nil {
			continue // the heading, and --help
		}
		if got != want[name[1]] {
			t.Errorf("README.md:%d: the row differs from the help:\n got %s\nwant %s", row.line, got, want[name[1]])
		}
		delete(want, name[1])
	}
	for _, row := range want {
		t.Errorf("README.md: the flags lack the row\n| %s |", row)
	}
}

func TestFlagsAndVariablesThatTheREADMENamesExist(t *testing.T) {
	others := []string{"help", "version", "against", "no-raw", "stop-timeout", "rounds", "users", "build", "detach", "no-deps"} // of make bench and Docker
	for _, own := range ownFlags {
		others = append(others, own...)
	}
	variables := []string{"ROLLCALL_TEST_", "ROLLCALL_E2E_", "ROLLCALL_DATABASE_FILE"}
	for name := range flags {
		variables = append(variables, variableOf(name))
	}
	for i, line := range readLines(t) {
		for _, flag := range regexp.MustCompile(`(?:^|[\x60 '"])--([a-z][a-z-]*)`).FindAllStringSubmatch(line, -1) {
			ofClient := regexp.MustCompile(`^(curl|docker|mariadb-dump|pg_dump|pg_restore) `).MatchString(line)
			if _, known := flags[flag[1]]; !known && !ofClient && !slices.Contains(others, flag[1]) {
				t.Errorf("README.md:%d: there is no flag --%s", i+1, flag[1])
			}
		}
		for _, name := range regexp.MustCompile(`ROLLCALL_\w+`).FindAllString(line, -1) {
			if !slices.ContainsFunc(variables, func(known string) bool {
				return name == known || strings.HasSuffix(known, "_") && strings.HasPrefix(name, known)
			}) {
				t.Errorf("README.md:%d: there is no variable %s", i+1, name)
			}
		}
	}
}

func TestTheMetricsInTheREADMEAreThoseThatAreServed(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--metrics", "127.0.0.1:0", "--webhook=crm=http://127.0.0.1:1", "--webhook-secret=crm="+webhookSecret, "--documents", listedNames(t))
	s.answer("{ users { totalCount } }")
	s.post(`{"documentId":"names"}`)
	s.answer(`mutation { updateUser(input: {id: "User:42", name: "A new name"}) { user { id } } }`)
	served := map[string]bool{}
	for sample := range s.metrics() {
		sample = regexp.MustCompile(`le="[^"]*",?|="[^"]*"`).ReplaceAllString(sample, "")
		name, labels, _ := strings.Cut(sample, "{")
		served[withLabels(regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, ""), labels)] = true
	}
	for _, row := range tableRows(t, "Health and metrics") {
		for _, code := range codeInLine.FindAllStringSubmatch(row.cells[0], -1) {
			name, labels, _ := strings.Cut(code[1], "{")
			pattern := withLabels(name, labels)
			matches := func(metric string) bool { ok, err := path.Match(pattern, metric); return ok && err == nil }
			found := slices.DeleteFunc(slices.Collect(maps.Keys(served)), func(metric string) bool { return !matches(metric) })
			if len(found) == 0 && !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "Rollcall") { // which are alerts
				t.Errorf("README.md:%d: no metric %s is served", row.line, pattern)
			}
			maps.DeleteFunc(served, func(metric string, _ bool) bool { return metric == pattern })
		}
	}
	for metric := range served {
		if strings.HasPrefix(metric, "rollcall_") {
			t.Errorf("README.md: the metrics lack %s", metric)
		}
	}
}

// withLabels returns a metric's name with the names of its labels, sorted, in braces.
func withLabels(name, labels string) string {
	if labels = strings.Trim(labels, "},"); labels == "" {
		return name
	}
	names := strings.Split(labels, ",")
	slices.Sort(names)
	return name + "{" + strings.Join(names, ",") + "}"
}

func TestTheErrorCodesInTheREADMEAreThoseOfTheProgram(t *testing.T) {
	declared := map[string]bool{}
	constant := regexp.MustCompile(`(?m)^(?:\t|const )Code\w+ +(?:Code |apierror\.Code )?= "([A-Z_]+)"`)
	for _, folder := range []string{"apierror", "changelog", "document", "idempotency", "identity", "limit", "transport"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no code in %s: %v", folder, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range constant.FindAllStringSubmatch(string(text), -1) {
				declared[found[1]] = true
			}
		}
	}
	counted := codes()
	for code := range declared {
		if !slices.Contains(counted, code) {
			t.Errorf("codes lacks %s", code)
		}
	}
	for _, row := range tableRows(t, "Error codes") {
		for _, code := range codeInLine.FindAllStringSubmatch(row.cells[0], -1) {
			if !declared[code[1]] && !strings.HasPrefix(code[1], "GRAPHQL_") { // which are gqlgen's
				t.Errorf("README.md:%d: no error has the code %s", row.line, code[1])
			}
			delete(declared, code[1])
		}
	}
	for code := range declared {
		t.Errorf("README.md: the code %s is missing among the error codes", code)
	}
}

func TestTheDatabasesInTheREADMEAreURLsThatAreUnderstood(t *testing.T) {
	folder := t.TempDir()
	for _, row := range tableRows(t, "Databases") {
		for _, code := range codeInLine.FindAllStringSubmatch(strings.Join(row.cells, " "), -1) {
			scheme, rest, _ := strings.Cut(code[1], ":")
			switch scheme {
			case "sqlite":
				output(t, "migrate", "--database", "sqlite:"+filepath.Join(folder, filepath.Base(rest)))
			case "mariadb", "mysql", "postgres":
				u := parseURL(t, code[1])
				u.Host = "127.0.0.1:1" // where there is none: it is not reached, but not misunderstood either
				if _, err := execution(t, "migrate", "--database", u.String()); err == nil || !strings.Contains(err.Error(), "cannot reach") {
					t.Errorf("README.md:%d: %s: %v", row.line, code[1], err)
				}
			}
		}
	}
}

func TestTheREADMEListsItsHeadingsAndLinksToWhatIsThere(t *testing.T) {
	lines := readLines(t)
	anchors := map[string]string{} // headings
	for _, line := range lines {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			anchors["#"+strings.ReplaceAll(strings.ToLower(heading), " ", "-")] = heading
		}
	}
	listed := map[string]bool{"#first-query": true, "#contents": true}
	for i, line := range lines {
		for _, link := range regexp.MustCompile(`\[([^\]]*)\]\(([^)]+)\)|src(?:set)?="([^"]+)"`).FindAllStringSubmatch(line, -1) {
			name, target := link[1], link[2]+link[3]
			listed[target] = listed[target] || name == anchors[target]
			if anchors[target] != "" || strings.HasPrefix(target, "https://") {
				continue
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("README.md:%d: a link leads nowhere: %s", i+1, target)
			}
		}
	}
	for anchor, heading := range anchors {
		if !listed[anchor] {
			t.Errorf("README.md: the contents lack [%s](%s)", heading, anchor)
		}
	}
}
