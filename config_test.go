package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oidc are the flags that others need.
const oidc = "--oidc-issuer=https://a.example --oidc-audience=rollcall"

// flags has for each flag two values other than its default, how to read it, and a flag that it needs.
var flags = map[string]struct {
	one, other string
	value      func(config) any
	with       string
}{
	"database":       {"sqlite:one.db", "sqlite:other.db", func(c config) any { return c.Database }, ""},
	"replica":        {"mysql://a/x mysql://b/x", "mysql://c/x", func(c config) any { return strings.Join(c.Replicas, ",") }, ""},
	"config":         {"testdata/one.yaml", "testdata/other.yaml", func(c config) any { return c.Config }, ""},
	"wait":           {"1s", "0s", func(c config) any { return c.Wait }, ""},
	"drain-delay":    {"1s", "5s", func(c config) any { return c.DrainDelay }, ""},
	"max-lag":        {"1s", "1m0s", func(c config) any { return c.MaxLag }, ""},
	"pool-size":      {"3", "4", func(c config) any { return c.PoolSize }, ""},
	"log-format":     {"json", "text", func(c config) any { return c.LogFormat }, ""},
	"log-level":      {"debug", "error", func(c config) any { return c.LogLevel }, ""},
	"log-operations": {"all", "off", func(c config) any { return c.LogOperations }, ""},
	"slow":           {"1s", "0s", func(c config) any { return c.Slow }, ""},
	"log-values":     {"true", "false", func(c config) any { return c.LogValues }, ""},
	"echo":           {"true", "false", func(c config) any { return c.Echo }, ""},
	"listen":         {"127.0.0.1:1", "127.0.0.1:2", func(c config) any { return c.Listen }, ""},
	"base-path":      {"/one", "/an/other", func(c config) any { return c.BasePath }, ""},
	"deadline":       {"1s", "1m0s", func(c config) any { return c.Deadline }, ""},
	"max-page":       {"3", "4", func(c config) any { return c.MaxPage }, ""},
	"commit-proof":   {"off", "on", func(c config) any { return c.Proof }, ""},
	"migrate":        {"true", "false", func(c config) any { return c.DoMigrate }, ""},
	"demo":           {"true", "false", func(c config) any { return c.Demo }, ""},
	"max-depth":      {"3", "4", func(c config) any { return c.MaxDepth }, ""},
	"max-cost":       {"3", "4", func(c config) any { return c.MaxCost }, ""},
	"max-batch":      {"0", "4", func(c config) any { return c.MaxBatch }, ""},
	"documents":      {"one.json", "other.json", func(c config) any { return c.Documents }, ""},
	"documents-only": {"true", "false", func(c config) any { return c.OnlyThese }, "--documents=a.json"},
	"cors-origin":    {"https://a.example,http://b:1", "*", func(c config) any { return strings.Join(c.CORSOrigin, ",") }, ""},
	"tls-cert":       {"one.pem", "other.pem", func(c config) any { return c.TLSCert }, "--tls-key=key.pem"},
	"tls-key":        {"one.pem", "other.pem", func(c config) any { return c.TLSKey }, "--tls-cert=cert.pem"},
	"concurrency":    {"3", "4", func(c config) any { return c.Concurrency }, ""},

	"client-concurrency": {"3", "4", func(c config) any { return c.OfOneClient }, ""},

	"rate":             {"1000", "2000", func(c config) any { return c.Rate }, ""},
	"rate-burst":       {"30", "40", func(c config) any { return c.RateBurst }, "--rate=50"},
	"max-streams":      {"0", "4", func(c config) any { return c.MaxStreams }, ""},
	"production":       {"true", "false", func(c config) any { return c.Production }, ""},
	"metrics":          {"127.0.0.1:1", "127.0.0.1:2", func(c config) any { return c.Metrics }, ""},
	"keep-changes":     {"0s", "48h0m0s", func(c config) any { return c.KeepChanges }, ""},
	"events-poll":      {"1s", "1m0s", func(c config) any { return c.EventsPoll }, ""},
	"shutdown-timeout": {"1s", "1m0s", func(c config) any { return c.Shutdown }, ""},
	"webhook":          {"a=https://a.example/x b=http://b:1", "c=https://c.example", func(c config) any { return strings.Join(c.Webhooks, ",") }, ""},
	"webhook-secret":   {"a=whsec_x b=secret.txt", "c=whsec_y", func(c config) any { return strings.Join(c.Secrets, ",") }, ""},
	"allow-anonymous":  {"true", "false", func(c config) any { return c.Anonymous }, ""},
	"insecure-admin":   {"true", "false", func(c config) any { return c.LocalAdmin }, ""},

	"oidc-issuer":       {"https://a.example https://b.example", "http://127.0.0.1:1", func(c config) any { return strings.Join(c.Issuers, ",") }, "--oidc-audience=rollcall"},
	"oidc-audience":     {"one", "other", func(c config) any { return strings.Join(c.Audiences, ",") }, "--oidc-issuer=https://a.example"},
	"oidc-client-id":    {"one", "other", func(c config) any { return c.ClientID }, oidc},
	"oidc-scopes":       {"openid email", "openid profile", func(c config) any { return c.Scopes }, oidc + " --oidc-client-id=c"},
	"oidc-parameter":    {"audience=one resource=a", "audience=other", func(c config) any { return strings.Join(c.Parameters, ",") }, oidc + " --oidc-client-id=c"},
	"oidc-roles-claim":  {"roles", "realm_access.roles", func(c config) any { return c.RolesClaim }, oidc},
	"role-name":         {"ADMIN=a b;EDITOR=c", "ADMIN=d", func(c config) any { return strings.Join(c.Roles, ",") }, oidc},
	"oidc-link-email":   {"https://a.example", "https://a.example https://a.example", func(c config) any { return strings.Join(c.LinkEmail, ",") }, oidc},
	"oidc-create-users": {"true", "false", func(c config) any { return c.CreateUsers }, oidc},
	"trust-proxy":       {"10.0.0.0/8 192.0.2.1", "::1", func(c config) any { return strings.Join(c.TrustProxy, ",") }, ""},
	"proxy-login":       {"none", "x-auth-request", func(c config) any { return c.ProxyLogin }, "--trust-proxy=10.0.0.1"},
}

func TestABasePathIsAPath(t *testing.T) {
	for _, bad := range []string{"api", "/", "/api/", "/a//b", "/a/../b", "/{a}", "/a b", "/a?b", "/%2f", "https://a.example/api"} {
		if _, err := parse([]string{"--base-path", bad}, io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--base-path: ") && !strings.Contains(bad, "://") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestEveryFlagIsAVariableTooAndBeatsIt(t *testing.T) {
	for name, flag := range flags {
		variable := variableOf(name)
		t.Run(variable, func(t *testing.T) {
			var with []string
			if flag.with != "" {
				with = strings.Fields(flag.with)
			} else if got := fmt.Sprint(flag.value(parsed(t))); got == flag.one {
				t.Fatalf("%s is the default: take another value", got)
			}
			if got := fmt.Sprint(flag.value(parsed(t, append(with, "--"+name+"="+flag.one)...))); got != flag.one {
				t.Errorf("the flag %s gives %s", flag.one, got)
			}
			t.Setenv(variable, flag.one)
			if got := fmt.Sprint(flag.value(parsed(t, with...))); got != flag.one {
				t.Errorf("the variable %s gives %s", flag.one, got)
			}
			if got := fmt.Sprint(flag.value(parsed(t, append(with, "--"+name+"="+flag.other)...))); got != flag.other {
				t.Errorf("the flag %s and the variable %s give %s", flag.other, flag.one, got)
			}
		})
	}
}

func TestHelpTellsEveryFlagAndCommand(t *testing.T) {
	all := append(slices.Sorted(maps.Keys(flags)), "help")
	slices.Sort(all)
	for _, args := range []string{"--help", "-h", "help", "serve --help", "help serve", "check --help"} {
		if got := helpedFlags(t, args); !slices.Equal(got, all) {
			t.Errorf("%s tells of %q, want %q", args, got, all)
		}
	}
	for _, command := range []string{"serve", "check", "migrate", "import", "export", "webhook", "token", "version"} {
		if text := helpOf(t, "--help"); !regexp.MustCompile(`(?m)^ +` + command + ` +\S.*\.$`).MatchString(text) {
			t.Errorf("nothing about %s:\n%s", command, text)
		}
	}
}

func TestHelpHasFlagsInGroups(t *testing.T) {
	grouped := map[string]bool{}
	for _, group := range flagGroups {
		for _, flag := range group.flags {
			if _, known := flags[flag]; !known || grouped[flag] {
				t.Errorf("%s has %s, which is no flag, or in two groups", group.title, flag)
			}
			grouped[flag] = true
		}
	}
	text := helpOf(t, "--help")
	for _, part := range []string{
		`Flags:\n(  +\S.*\n)*? +--config=FILE `, `\nDatabase:\n +--database=URL `, `\nWhere and how to serve:\n +--listen=HOST:PORT `, `\nLimits:\n`,
		`\nWho may use it:\n`, `\nWebhooks:\n +--webhook=NAME=URL `,
	} {
		if !regexp.MustCompile(part).MatchString(text) {
			t.Errorf("nothing like %s in:\n%s", part, text)
		}
	}
	if text := helpOf(t, "token list --help"); strings.Contains(text, "Webhooks:") || !strings.Contains(text, "\nDatabase:\n") {
		t.Errorf("a group without flags, or none:\n%s", text)
	}
}

func TestHelpForACommandTellsOnlyTheFlagsThatMatterToIt(t *testing.T) {
	for args, want := range map[string][]string{
		"version --help": {"help"},
		"help version":   {"help"},
		"migrate --help": {"config", "database", "echo", "help", "log-format", "log-level", "wait"},
		"export --help":  {"config", "database", "echo", "help", "kind", "log-format", "log-level", "snapshot", "user", "wait"},
		"help migrate":   {"config", "database", "echo", "help", "log-format", "log-level", "wait"},

		"help webhook enable": {"config", "database", "from-now", "help", "log-format", "log-level", "wait"},
		"help token create":   {"config", "database", "echo", "expires", "help", "log-format", "log-level", "name", "owner", "role", "scope", "wait"},
		"help token list":     {"config", "database", "echo", "help", "log-format", "log-level", "wait"},
		"help token revoke":   {"config", "database", "echo", "help", "log-format", "log-level", "wait"},
	} {
		if got := helpedFlags(t, args); !slices.Equal(got, want) {
			t.Errorf("%s tells of %q, want %q", args, got, want)
		}
	}
	parsed(t, "migrate", "--pool-size=3") // what does not matter is not refused
}

// helpOf returns the help that is printed.
func helpOf(tb testing.TB, args string) string {
	tb.Helper()
	var out bytes.Buffer
	if _, err := parse(strings.Fields(args), &out, io.Discard); !errors.Is(err, errHelped) {
		tb.Fatalf("%s: %v", args, err)
	}
	return out.String()
}

// helpedFlags returns the names of the flags that the help tells of, sorted.
func helpedFlags(tb testing.TB, args string) (names []string) {
	tb.Helper()
	for _, line := range regexp.MustCompile(`(?m)^ +(?:-h, )?--([a-z-]+)(?:=\S+)?\n? {2,}\S.*`).FindAllStringSubmatch(helpOf(tb, args), -1) {
		names = append(names, line[1])
	}
	slices.Sort(names)
	return names
}

func TestWhatMakesNoSenseIsRefusedWithAReason(t *testing.T) {
	for args, want := range map[string]string{
		"import":           "<file>",
		"--user=1":         "unknown flag --user",
		"--bogus":          "unknown flag --bogus",
		"--databse=x":      `did you mean "--database"`,
		"frobnicate":       "unexpected argument frobnicate",
		"migrate now":      "unexpected argument now",
		"--pool-size=0":    "--pool-size: 0 is too small: at least 1",
		"--pool-size=many": `--pool-size: "many" is not a whole number: write one such as 100`,
		"--pool-size=1.5":  `--pool-size: "1.5" is not a whole number`,
		"--pool-size=":     "--pool-size: the value is missing",
		"--pool-size":      "--pool-size: the value is missing",
		"--max-page=-1":    "--max-page: -1 is too small: at least 1",
		"--deadline=0s":    "--deadline: 0s is too short",
		"--deadline=5":     `--deadline: "5" has no unit: write 5s if seconds are meant`,
		"--deadline=1.5":   `write 1.5s if seconds are meant`,
		"--deadline=soon":  `--deadline: "soon" is not a duration: write one such as 10s, 500ms or 2m`,
		"--deadline=1ns":   "--deadline: 1ns is too short: give a duration such as 10s",
		"--deadline=25h":   "--deadline: 25h0m0s is too long: at most 24h",

		"--keep-changes=30m":        "--keep-changes: 30m0s is too short: at least 1h0m0s, or 0 for ever",
		"--keep-changes=-1h":        "--keep-changes: -1h0m0s is too short",
		"--keep-changes=720":        "write 720s if seconds are meant",
		"--max-lag=0s":              "--max-lag: 0s is too short",
		"--slow=-1s":                "--slow: -1s is too short",
		"--slow=500":                "--slow: \"500\" has no unit",
		"--log-operations=some":     "--log-operations must be one of",
		"--shutdown-timeout=-1s":    "--shutdown-timeout: -1s is too short",
		"--shutdown-timeout=2540h":  "--shutdown-timeout: 2540h0m0s is too long",
		"--listen=":                 "--listen: the address is missing",
		"--listen":                  "--listen: the value is missing",
		"--listen=8080":             `--listen: "8080" is not HOST:PORT: write one such as 127.0.0.1:8080`,
		"--listen=9999":             "write one such as 127.0.0.1:9999",
		"--listen=localhost":        `--listen: "localhost" is not HOST:PORT: write one such as 127.0.0.1:8080`,
		"--listen=::1:80":           `--listen: "::1:80" is not HOST:PORT: write one such as [::1]:8080`,
		"--listen=:99999":           `--listen: "99999" is not a port: give a number from 0 to 65535`,
		"--listen=:nowhere":         `--listen: "nowhere" is not a port`,
		"--metrics=9090":            `--metrics: "9090" is not HOST:PORT: write one such as 127.0.0.1:9090`,
		"--metrics=:-1":             `--metrics: "-1" is not a port`,
		"--max-depth=0":             "--max-depth: 0 is too small: at least 1",
		"--max-cost=0":              "--max-cost: 0 is too small: at least 1",
		"--max-batch=-1":            "--max-batch: -1 is too small: at least 0",
		"--concurrency=0":           "--concurrency: 0 is too small: at least 1",
		"--client-concurrency=-1":   "--client-concurrency: -1 is too small: at least 0",
		"--max-streams=-1":          "--max-streams: -1 is too small: at least 0",
		"--rate=-1":                 "--rate: -1 is too small: at least 10",
		"--rate=9":                  "--rate: 9 is too small: at least 10",
		"--rate=100 --rate-burst=9": "--rate-burst: 9 is too small: at least 10",
		"--rate-burst=100":          "--rate-burst: there is no rate: give --rate=N",

		"--insecure-admin --listen=:80":                                "--insecure-admin: other machines may reach :80: listen on 127.0.0.1",
		"--insecure-admin --listen=a.b:80":                             "say who may come: --oidc-issuer, --trust-proxy, --allow-anonymous, or API tokens",
		"--insecure-admin --listen=[::]:80 " + oidc:                    "--insecure-admin: other machines may reach [::]:80",
		"--insecure-admin --allow-anonymous":                           "leave one out",
		"--demo --listen=:80":                                          "--demo: everybody would be ADMIN, and other machines may reach :80: listen on 127.0.0.1, or say who may come",
		"--demo --listen=:80 --trust-proxy=::1 --proxy-login=none":     "--demo: everybody would be ADMIN",
		"--oidc-issuer=https://a.example":                              "--oidc-issuer: what does https://a.example call this server? Give --oidc-audience=NAME",
		"--oidc-audience=a":                                            "--oidc-audience: there is no provider: give --oidc-issuer=URL",
		"--oidc-roles-claim=a":                                         "--oidc-roles-claim: there is no provider",
		"--oidc-create-users":                                          "--oidc-create-users: there is no provider",
		oidc + " --oidc-audience=b":                                    "--oidc-audience: it is given 2 times, and --oidc-issuer 1 times: give it once for all, or once for each",
		oidc + " --oidc-issuer=https://a.example":                      "--oidc-issuer: issuer https://a.example is given twice",
		oidc + " --oidc-issuer=http://a.example":                       "--oidc-issuer: issuer http://a.example: it has to be asked by https",
		"--oidc-audience=a --oidc-issuer=a.example":                    "is not the URL of an issuer, such as https://login.example.com/tenant",
		oidc + " --oidc-link-email=https://b.example":                  "--oidc-link-email: https://b.example is none of those that log people in: write one of https://a.example",
		"--oidc-link-email=https://b.example":                          "write one of --oidc-issuer, which is not given",
		"--oidc-link-email=proxy":                                      "--oidc-link-email: no proxy logs anybody in: give --trust-proxy=CIDR",
		"--oidc-link-email=proxy --trust-proxy=::1 --proxy-login=none": "leave out --proxy-login=none",
		"token create":                                                 "missing flags: --name=NAME (see rollcall token create --help)",
		"frobnicate x":                                                 "(see rollcall --help)",
		"serve --bogus":                                                "unknown flag --bogus (see rollcall --help)",
		"--trust-proxy=10.0.0.0/33":                                    `--trust-proxy: "10.0.0.0/33" is not a range of addresses such as 10.0.0.0/8`,
		"--trust-proxy=0.0.0.0/0":                                      "--trust-proxy: 0.0.0.0/0 is every address, so that everybody could be anybody",
		"--trust-proxy=::1 --cors-origin=*":                            "--cors-origin: with * the pages of everybody would open WebSockets",
		"--proxy-login=x":                                              `--proxy-login must be one of "x-forwarded","x-auth-request","none"`,
		"--role-name=ADMIN":                                            `--role-name: "ADMIN" is no role and a name: write one such as ADMIN=directory-admins`,
		"--role-name=ROOT=a":                                           `--role-name: "ROOT" is no role: there are VIEWER, EDITOR and ADMIN`,
		"--scim-anonymous":                                             "unknown flag --scim-anonymous",

		"--oidc-client-id=c":                                                   "--oidc-client-id: there is no provider: give --oidc-issuer=URL",
		oidc + " --oidc-parameter=audience=a":                                  "--oidc-parameter: nobody logs in from the Playground: give --oidc-client-id=CLIENT",
		"--role-name=ADMIN=a":                                                  "--role-name: nobody logs in by a provider or a proxy",
		"--proxy-login=none":                                                   "--proxy-login: there is no proxy",
		oidc + " --oidc-scopes=openid":                                         "--oidc-scopes: nobody logs in from the Playground",
		oidc + " --oidc-client-id=c --oidc-scopes=profile":                     `--oidc-scopes: "profile" has no openid`,
		oidc + " --oidc-client-id=c --oidc-parameter=audience":                 `--oidc-parameter: "audience" is no name and a value`,
		oidc + " --oidc-client-id=c --oidc-parameter==a":                       `--oidc-parameter: "=a" is no name and a value`,
		oidc + " --oidc-client-id=c --oidc-parameter=scope=a":                  "--oidc-parameter: scope is what the Playground itself says",
		oidc + " --oidc-client-id=c --oidc-parameter=a=b --oidc-parameter=a=c": "--oidc-parameter: a is given twice",

		"--metrics=127.0.0.1:80 --listen=127.0.0.1:80": "--metrics: the API is served at 127.0.0.1:80: give another port",
		"--concurrency=9223372036854775807":            "--concurrency: 9223372036854775807 is too large: at most 1073741824",
		"--max-page=99999999999999999999":              "--max-page: 9223372036854775807 is too large: at most 1073741824",
		"--max-cost=-9999999999999999999":              "--max-cost: -9223372036854775808 is too small: at least 1",

		"--replica=mysql://a/x --commit-proof=off": "--replica: --commit-proof=off leaves nothing",

		"--documents-only":                     "--documents-only: there is no list of documents",
		"--tls-key=a.pem":                      "--tls-cert and --tls-key: one is given without the other",
		"--cors-origin=a.b":                    `--cors-origin: "a.b" is not an origin`,
		"--cors-origin=https://a.example:443":  `write https://a.example`,
		"--cors-origin=https://bücher.example": `write https://xn--bcher-kva.example`,
		"--log-format=xml":                     `--log-format must be one of "text","json" but got "xml"`,
		"--log-level=loud":                     `--log-level must be one of "debug","info","warn","error" but got "loud"`,
		"--demo=perhaps":                       "--demo: bool value must be true",
		"--database":                           "--database: the value is missing",
		"ROLLCALL_DEMO=x":                      "ROLLCALL_DEMO",
		"ROLLCALL_LISTEN=80":                   "127.0.0.1:80",

		"ROLLCALL_LISTN=:80":               "ROLLCALL_LISTN: there is no such variable: did you mean ROLLCALL_LISTEN?",
		"ROLLCALL_DATABSE_=sqlite:x":       "ROLLCALL_DATABSE_: there is no such variable: did you mean ROLLCALL_DATABASE?",
		"ROLLCALL_POOLSIZE=3":              "did you mean ROLLCALL_POOL_SIZE?",
		"ROLLCALL_TLS_CRET=a":              "did you mean ROLLCALL_TLS_CERT?",
		"ROLLCALL_PORT=80":                 "ROLLCALL_PORT: there is no such variable: rollcall --help lists the flags",
		"ROLLCALL_DB=mysql://u:s3cret@h/x": "ROLLCALL_DB: there is no such variable",
		"ROLLCALL_DEADLINE=10":             `--deadline: "10" has no unit: write 10s if seconds are meant (from envar ROLLCALL_DEADLINE="10")`,

		"--pool-size=whsec_s3cret@":       "--pool-size: (a URL",
		"--pool-size=whsec_s3cret":        `--pool-size: "(a secret)"`,
		"whsec_s3cret":                    "unexpected argument (a secret)",
		"crm=whsec_s3cret":                "unexpected argument crm=(a secret)",
		"webhook":                         `expected "enable"`,
		"token":                           `expected one of "create", "list", "revoke" (see rollcall token --help)`,
		"token revoke":                    `expected "<token> ..."`,
		"token create --name=x --role=x":  "--role must be one of",
		"token create --name=x --scope=x": "--scope must be one of",
		"webhook enable":                  `expected "<name>"`,
		"--webhok=crm=https://s3cret@h/":  `did you mean "--webhook"?`,

		"mysql://u:s3cret@h/x":                        "unexpected argument (a URL",
		"--databse=mysql://u:s3cret@h/x":              "--database",
		"--database:mysql://u:s3cret@h/x":             "unknown flag (a URL",
		"--pool-size=mysql://u:s3cret@h/x":            "--pool-size",
		"--database=mysql://u:s3 cret@h/x":            "unexpected argument (a URL",
		"--database=mysql://u:s3 cret x@h":            "the command line is not understood from (a URL",
		"--database mysql://u:s3 cret x@h":            "the command line is not understood from (a URL",
		"serve mysql://u:s3 cret x@h":                 "unexpected argument (a URL",
		"host=h password=s3cret":                      "the command line is not understood from (a URL",
		"--database=mysql://u:p@h/x --pool-size many": `--pool-size: "many" is not a whole number`,
	} {
		t.Run(args, func(t *testing.T) {
			arguments := strings.Fields(args)
			if name, value, isVariable := strings.Cut(args, "="); isVariable && strings.HasPrefix(name, "ROLLCALL_") {
				t.Setenv(name, value)
				arguments = nil
			}
			_, err := parse(arguments, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, want)
			}
			if err != nil && (strings.Contains(err.Error(), "cret@") || strings.Contains(err.Error(), "whsec_s")) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

func TestWebhooksAreReadFromFlagsVariablesAndFiles(t *testing.T) {
	key := func(of string) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(of, 24)))
	}
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte(key("n")+"\n"+key("o")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROLLCALL_WEBHOOK_SECRET", "crm="+file+" audit="+key("a"))
	cfg := parsed(t, "--webhook=crm=https://u:p@crm.example/?a=b", "--webhook", "audit=http://127.0.0.1:1")
	got, err := cfg.receivers()
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d webhooks, %v", len(got), err)
	}
	for i, want := range []struct{ name, url, secrets string }{
		{"crm", "https://u:p@crm.example/?a=b", strings.Repeat("n", 24) + " " + strings.Repeat("o", 24)},
		{"audit", "http://127.0.0.1:1", strings.Repeat("a", 24)},
	} {
		var secrets []string
		for _, s := range got[i].Secrets {
			secrets = append(secrets, string(s))
		}
		if got[i].Name != want.name || got[i].URL.String() != want.url || strings.Join(secrets, " ") != want.secrets {
			t.Errorf("got %+v, want %v", got[i], want)
		}
	}
	for args, want := range map[string]string{
		"--webhook=https://s3cret@h/a=b":                                 "--webhook: the name is missing: write one such as crm=https://example.com/changes",
		"--webhook=crm":                                                  "--webhook: the URL of crm is missing",
		"--webhook=CRM=https://h":                                        `--webhook: "CRM" is not a name: use up to 64 of a-z, 0-9, - and _`,
		"--webhook=crm=h:1/s3cret":                                       "--webhook: crm: this is not a URL that changes can be sent to",
		"--webhook=crm=http://a --webhook=crm=http://b":                  "--webhook: there are two with the name crm",
		"--webhook=crm=http://a --webhook-secret=audit=x":                "--webhook-secret: there is no webhook of that name",
		"--webhook=crm=http://a --webhook-secret=s3cret":                 "--webhook-secret: there is no webhook of that name",
		"--webhook=crm=http://a --webhook-secret=crm=whsec_s3cret":       "--webhook-secret: crm: a secret is whsec_ and base64: make one with",
		"--webhook=crm=http://a --webhook-secret=crm=whsec_czNjcmV0":     "--webhook-secret: crm: a secret is 24 to 64 bytes in base64, and this one is 6",
		"--webhook=crm=http://a --webhook-secret=crm=s3cret":             "--webhook-secret: crm: this is neither whsec_ and base64 nor the name of a file that can be read: no such file or directory",
		"--webhook=crm=http://a":                                         "--webhook: crm has no secret: give --webhook-secret=crm=FILE",
		"--webhook=crm=http://a --webhook-secret=crm=" + os.DevNull:      "--webhook: crm has no secret",
		"--webhook=crm=ftp://s3cret.example --webhook-secret=crm=s3cret": "this is not a URL that changes can be sent to",
	} {
		t.Setenv("ROLLCALL_WEBHOOK_SECRET", "")
		_, err := parsed(t, strings.Fields(args)...).receivers()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestAnEmptyVariableIsUnset(t *testing.T) {
	for name, flag := range flags {
		t.Run(name, func(t *testing.T) {
			want := fmt.Sprint(flag.value(parsed(t)))
			t.Setenv(variableOf(name), "")
			if got := fmt.Sprint(flag.value(parsed(t))); got != want {
				t.Errorf("%q, want the default %q", got, want)
			}
		})
	}
	t.Setenv("ROLLCALL_OF_SOMETHING_ELSE", "")
	parsed(t)
}

func TestVariablesThatOthersSetDoNotDisturb(t *testing.T) {
	for name, value := range map[string]string{
		"ROLLCALL_TEST_POSTGRES": "postgres://h/x", "ROLLCALL_E2E_BINARY": "rollcall",
		// of Kubernetes, for services named rollcall and rollcall-metrics
		"ROLLCALL_SERVICE_HOST": "10.0.0.1", "ROLLCALL_SERVICE_PORT": "80", "ROLLCALL_SERVICE_PORT_HTTP": "80", "ROLLCALL_PORT": "tcp://10.0.0.1:80",
		"ROLLCALL_PORT_80_TCP": "tcp://10.0.0.1:80", "ROLLCALL_PORT_80_TCP_PROTO": "tcp", "ROLLCALL_PORT_80_TCP_PORT": "80", "ROLLCALL_PORT_80_TCP_ADDR": "10.0.0.1",
		"ROLLCALL_METRICS_SERVICE_HOST": "10.0.0.2", "ROLLCALL_METRICS_PORT": "tcp://10.0.0.2:90", "ROLLCALL_METRICS_PORT_90_TCP_ADDR": "10.0.0.2",
		"UNROLLCALL_LISTN": "x",
	} {
		t.Setenv(name, value)
	}
	parsed(t)
}

func TestHelpAndVersionAreFoundInTheUsualWays(t *testing.T) {
	for _, args := range []string{"help", "help migrate", "--help", "-h"} {
		if _, err := parse(strings.Fields(args), io.Discard, io.Discard); !errors.Is(err, errHelped) {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, arg := range []string{"version", "--version", "-v", "-V"} {
		if text := output(t, "version"); text != versionOf(t, arg) {
			t.Errorf("%s prints %q", arg, versionOf(t, arg))
		}
	}
}

func versionOf(tb testing.TB, arg string) string {
	tb.Helper()
	var out bytes.Buffer
	cfg, err := parse([]string{arg}, &out, io.Discard)
	if err == nil {
		err = run(tb.Context(), cfg)
	}
	if err != nil {
		tb.Error(err)
	}
	return out.String()
}

func TestTheLogHasTheFormatAndTheLevelThatTheFlagsSay(t *testing.T) {
	for i, least := range []string{"debug", "info", "warn", "error"} {
		for format, want := range map[string]string{"text": `level=ERROR msg="a b" n=1`, "json": `"level":"ERROR","msg":"a b","n":1}`} {
			var out, log bytes.Buffer
			cfg, err := parse([]string{"--log-level", least, "--log-format", format}, &out, &log)
			if err != nil {
				t.Fatal(err)
			}
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				cfg.logger(cfg.level()).Log(context.Background(), level, "a b", "n", 1)
			}
			if lines := strings.Count(log.String(), "\n"); lines != 4-i || !strings.Contains(log.String(), want) || out.Len() > 0 {
				t.Errorf("at %s: %q", least, &log)
			}
		}
	}
}

func TestVersionTellsTheReleaseAndTouchesNothing(t *testing.T) {
	if text := output(t, "version", "--database", "oracle:nowhere"); !strings.HasPrefix(text, "rollcall "+release+" ") || strings.Count(text, "\n") != 1 {
		t.Errorf("got %q", text)
	}
}

// parsed is a configuration that must be good.
func parsed(tb testing.TB, args ...string) config {
	tb.Helper()
	cfg, err := parse(args, io.Discard, io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// variableOf returns the variable of a flag.
func variableOf(flag string) string {
	return "ROLLCALL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
