package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// promtool runs Prometheus's own check, which is in Debian's package prometheus.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// asked returns the expressions of the dashboard's panels, as Prometheus is sent them.
func asked(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile("monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if seen[panel.ID] || len(panel.Targets) == 0 {
			t.Errorf("the panel %q has the id of another one, or nothing to show", panel.Title)
		}
		seen[panel.ID] = true
		for _, target := range panel.Targets {
			expression := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			for _, variable := range dashboard.Templating.List {
				expression = strings.ReplaceAll(expression, "$"+variable.Name, ".*")
			}
			if strings.Contains(expression, "$") {
				t.Errorf("the panel %q has a variable that the dashboard lacks: %s", panel.Title, target.Expr)
			}
			expressions = append(expressions, expression)
		}
	}
	return expressions
}

func TestTheScrapeConfigurationOfTheREADMEIsValid(t *testing.T) {
	file := filepath.Join(inFolder(t, map[string]string{"prometheus.yml": blockOf(t, "yml")}), "prometheus.yml")
	promtool(t, "", "check", "config", "--syntax-only", file)
}

func TestTheAlertRulesAreThoseOfTheREADMEAndTellWhatTheyShould(t *testing.T) {
	promtool(t, "", "check", "rules", "monitoring/alerts.yml")
	promtool(t, "", "test", "rules", "monitoring/alerts_test.yml")
	rules, err := os.ReadFile("monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	readme := strings.Join(readLines(t), "\n")
	for _, name := range names {
		if !strings.Contains(readme, "| `"+name[1]+"` |") {
			t.Errorf("README.md lacks the alert %s", name[1])
		}
	}
	if len(names) != 5 {
		t.Errorf("%d rules", len(names))
	}
}

func TestTheDashboardAndTheAlertsAskForMetricsThatAreServed(t *testing.T) {
	expressions := asked(t)
	var rules strings.Builder // by which promtool parses the expressions
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expression := range expressions {
		fmt.Fprintf(&rules, "  - record: 'panel:%d'\n    expr: '%s'\n", i, expression)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
	alerts, err := os.ReadFile("monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\b(rollcall|go|process)_\w+`)
	wanted := name.FindAllString(strings.Join(append(expressions, string(alerts)), "\n"), -1)

	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		flags := []string{"--database", url, "--metrics", "127.0.0.1:0", "--webhook=crm=http://127.0.0.1:1", "--webhook-secret=crm=" + webhookSecret, "--documents", listedNames(t)}
		embedded := strings.HasPrefix(url, "sqlite:")
		if !embedded {
			flags = append(flags, "--replica", url)
		}
		s := start(t, flags...)
		s.post(`{"documentId":"names"}`)
		page := get(t, regexp.MustCompile(`Metrics are at (\S+)\n`).FindStringSubmatch(s.out.String())[1]).body
		promtool(t, page, "check", "metrics")
		for _, metric := range wanted {
			if !strings.Contains(page, "\n"+metric+"{") && !strings.Contains(page, "\n"+metric+" ") && !(embedded && strings.HasPrefix(metric, "rollcall_replica_")) {
				t.Errorf("no metric %s is served", metric)
			}
		}
	})
}

// listedNames is a manifest with one document.
func listedNames(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(file, []byte(`{"names": "query Names { users(first: 3) { nodes { name } } }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOperationsOfListedDocumentsAreCountedByTheirNamesAndNoOthers(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--metrics", "127.0.0.1:0", "--documents", listedNames(t))
	s.post(`{"documentId":"names"}`)
	s.post(`{"documentId":"names"}`)
	s.post(request("query Names { users(first: 3) { nodes { name } } }"))
	s.post(request("query Others { users(first: 3) { nodes { name } } }"))
	counted := map[string]float64{}
	for sample, value := range s.metrics() {
		if strings.HasPrefix(sample, "rollcall_listed_operations_total") {
			counted[sample] = value
		}
	}
	if len(counted) != 1 || counted[`rollcall_listed_operations_total{operation="Names",result="ok"}`] != 2 {
		t.Errorf("got %v", counted)
	}
	if s.metrics()[`rollcall_listed_operation_seconds_total{operation="Names"}`] <= 0 {
		t.Error("they took no time")
	}
}

func TestErrorsAreCountedByTheirCodes(t *testing.T) {
	t.Parallel()
	s := start(t, "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--metrics", "127.0.0.1:0", "--max-batch=1")
	errors := func(code string) float64 { return s.metrics()[fmt.Sprintf("rollcall_errors_total{code=%q}", code)] }
	for code, body := range map[string]string{
		"BAD_USER_INPUT":            request("{ users(first: 1000) { totalCount } }"),
		"NOT_FOUND":                 request(`mutation { deleteUser(input: {id: "User:9999"}) { deletedUserId } }`),
		"CONFLICT":                  request(`mutation { deleteUser(input: {id: "User:1"}) { deletedUserId } }`),
		"GRAPHQL_VALIDATION_FAILED": request("{ nothing }"),
		"GRAPHQL_PARSE_FAILED":      request("{"),
		"PERSISTED_QUERY_NOT_FOUND": `{"documentId":"nothing"}`,
		"BAD_REQUEST":               "{",
		"BATCH_TOO_LARGE":           "[" + request("{ asOf }") + "," + request("{ asOf }") + "]",
	} {
		before := errors(code)
		s.post(body)
		if n := errors(code) - before; n != 1 {
			t.Errorf("%s: %s was counted %.0f times", body, code, n)
		}
	}
	if n := errors(""); n != 0 {
		t.Errorf("%.0f errors without a code", n)
	}
}
