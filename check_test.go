package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/auth/authtest"
	"rollcall/database/databasetest"
)

// checked runs rollcall check, and returns what it prints with one space between words.
func checked(tb testing.TB, args ...string) (text string, err error) {
	tb.Helper()
	text, err = execution(tb, append([]string{"check"}, args...)...)
	if strings.Contains(text, "s3cret") || strings.Contains(text, "whsec_") || err != nil && strings.Contains(err.Error(), "s3cret") {
		tb.Errorf("it shows a secret: %s %v", text, err)
	}
	return regexp.MustCompile(` +`).ReplaceAllString(text, " "), err
}

func TestCheckTellsWhatServeWouldHaveAndFromWhere(t *testing.T) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		url := databasetest.With(t, kind, databasetest.Nothing)
		cert, key, _ := certificate(t)
		provider := authtest.New(t)
		documents := filepath.Join(inFolder(t, map[string]string{"list.json": `{"one": "{ users { totalCount } }"}`}), "list.json")
		file := configured(t, "documents: "+documents+"\ntls-cert: "+cert+"\ntls-key: "+key+"\nwebhook: crm=https://u:s3cret@example.com/s3cret?a=s3cret\n")
		t.Setenv("ROLLCALL_MAX_PAGE", "50")
		t.Setenv("ROLLCALL_DEADLINE", "20s")
		t.Setenv("ROLLCALL_WEBHOOK_SECRET_FILE", filepath.Join(inFolder(t, map[string]string{"it": "crm=" + webhookSecret + "\n"}), "it"))
		t.Setenv("CREDENTIALS_DIRECTORY", inFolder(t, map[string]string{"rollcall.oidc-audience": "s3cret"}))
		text, err := checked(t, "--config", file, "--database", url, "--oidc-issuer", provider.URL)
		if err != nil || !contains(text,
			"FLAG VALUE FROM\n--config "+file+" flag\n--database ", "--max-page 50 ROLLCALL_MAX_PAGE\n", "--documents "+documents+" "+file+"\n", "--max-cost 100000 default\n", "--shutdown-timeout 25s default\n",
			"--webhook crm=https://example.com "+file+"\n", "--webhook-secret crm=(secret) ROLLCALL_WEBHOOK_SECRET_FILE\n", "--oidc-audience (secret) credential rollcall.oidc-audience\n",
			"\nok --tls-cert: the certificate is good until ", "\nok --documents: 1 documents\n", "\nok --webhook: 1 receivers\n",
			"\nok --database: it answers, and its schema has version ", "\nok --oidc-issuer: "+provider.URL+" has told its keys\n") || strings.Contains(text, "problem") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

func TestCheckTellsOfAllProblemsAtOnce(t *testing.T) {
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		u := parseURL(t, databasetest.URL(t, kind))
		empty, replica := u.String(), *u
		replica.Host = freeAddress(t)
		text, err := checked(t, "--config", configured(t, "max-page: 0\n"), "--database", empty, "--replica", replica.String(), "--rate-burst=30", "--documents=missing.json",
			"--tls-cert=missing.pem", "--tls-key=missing.pem", "--webhook=crm=https://example.com", "--oidc-issuer=http://127.0.0.1:1", "--oidc-audience=rollcall", "--trust-proxy=0.0.0.0/0")
		if err == nil || err.Error() != "check: there are 9 problems" || strings.Count(text, "\nproblem ") != 9 || !contains(text,
			"\nproblem --max-page: 0 is too small", "\nproblem --rate-burst: there is no rate", "\nproblem --trust-proxy: 0.0.0.0/0 is every address",
			"\nproblem --tls-cert and --tls-key: open missing.pem", "\nproblem --documents: open missing.json", "\nproblem --webhook: crm has no secret",
			"\nproblem --database: the database's schema has version 0", "\nproblem --replica: cannot reach", "\nproblem --oidc-issuer: ") {
			t.Errorf("%v\n%s", err, text)
		}
		if text, err := checked(t, "--database", empty, "--migrate"); err != nil || !strings.Contains(text, "\nwarning --database: the schema has version 0, and is brought to version ") {
			t.Errorf("%v\n%s", err, text)
		}
		if text, err := checked(t, "--database", replica.String()); err == nil || err.Error() != "check: there is a problem" || !strings.Contains(text, "\nproblem --database: cannot reach") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

func TestCheckShowsNoSecretThatLacksItsName(t *testing.T) {
	t.Parallel()
	text, err := checked(t, "--database", databasetest.URL(t, "sqlite"), "--webhook=https://hooks.example.com/s3cret", "--webhook-secret=whsec_s3cret")
	if err == nil || !strings.Contains(text, withheld) {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestCheckShowsNoSecretOfAURLThatIsNone: what is not understood may have one anywhere.
func TestCheckShowsNoSecretOfAURLThatIsNone(t *testing.T) {
	for _, args := range [][]string{
		{"--database=host=127.0.0.1 password=s3cret"},
		{"--database=mysql//root:s3cret@127.0.0.1/x"},
		{"--oidc-issuer=http://user:s3cret@127.0.0.1:1", "--oidc-audience=a"},
		{"--oidc-issuer=http://127.0.0.1:1?client_secret=s3cret", "--oidc-audience=a"},
	} {
		if text, err := checked(t, args...); err == nil || !strings.Contains(text, withheld) { // checked looks for the secret
			t.Errorf("%q: %v\n%s", args, err, text)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://u:s3cret@127.0.0.1:1")
	if text, err := checked(t, "--database", databasetest.URL(t, "sqlite")); err == nil || !strings.Contains(text, "\nproblem OTEL_EXPORTER_OTLP_ENDPOINT: ") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestCheckTellsWhatIsWrongWithTheVariablesOfOpenTelemetry(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for variable, value := range map[string]string{
		"OTEL_RESOURCE_ATTRIBUTES": "team", "OTEL_EXPORTER_OTLP_HEADERS": "good=1,bad", "OTEL_EXPORTER_OTLP_TIMEOUT": "zz", "OTEL_TRACES_SAMPLER": "garbage",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if text, err := checked(t, "--database", databasetest.URL(t, "sqlite")); err != nil || !contains(text, "\nwarning OTEL_*: ", "\nok OTEL_*: operations are traced") {
				t.Errorf("%v\n%s", err, text)
			}
			s := start(t, "--database", databasetest.URL(t, "sqlite"), "--migrate", "--log-format=json")
			s.answer("{ users { totalCount } }")
			if !strings.Contains(s.log.String(), `"level":"WARN"`) {
				t.Errorf("nothing warns of %s:\n%s", variable, s.log.String())
			}
			for line := range strings.Lines(s.log.String()) {
				if !strings.HasPrefix(line, "{") {
					t.Errorf("this is not JSON: %s", line)
				}
			}
		})
	}
	if text, err := checked(t, "--database", databasetest.URL(t, "sqlite")); err != nil || strings.Contains(text, "warning OTEL") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestCheckMakesNoFileOfSQLite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text, err := checked(t, "--database=sqlite:"+filepath.Join(folder, "new.db"))
	if made, _ := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(made) > 0 || !strings.Contains(text, "warning --database: the file is not there, and is made at the start") {
		t.Errorf("%v %q\n%s", err, made, text)
	}
}
