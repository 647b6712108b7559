package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inFolder writes files, and returns the folder.
func inFolder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	folder := tb.TempDir()
	for name, text := range files {
		write(tb, filepath.Join(folder, name), []byte(text))
	}
	return folder
}

// configured returns the file of --config with a text.
func configured(tb testing.TB, text string) string {
	tb.Helper()
	return filepath.Join(inFolder(tb, map[string]string{"rollcall.yaml": text}), "rollcall.yaml")
}

// originOf is where the value of a flag is said to come from.
func originOf(cfg config, flag string) string {
	return cfg.settings[slices.IndexFunc(cfg.settings, func(s setting) bool { return s.flag == flag })].origin
}

func TestAFlagBeatsItsVariableBeatsASecretsFileBeatsACredentialBeatsTheFile(t *testing.T) {
	for name, flag := range flags {
		if name == "config" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			variable, with := variableOf(name), strings.Fields(flag.with)
			wants := func(value, origin string, args ...string) {
				t.Helper()
				cfg := parsed(t, append(slices.Clone(with), args...)...)
				if got := fmt.Sprint(flag.value(cfg)); got != value || originOf(cfg, name) != origin {
					t.Errorf("the value is %s from %s, want %s from %s", got, originOf(cfg, name), value, origin)
				}
			}
			file := configured(t, fmt.Sprintf("%s: %q\n", name, flag.one))
			t.Setenv("ROLLCALL_CONFIG", file)
			wants(flag.one, file)
			credentials := inFolder(t, map[string]string{"rollcall." + name: flag.other + "\n", "tls.key": "of others"})
			t.Setenv("CREDENTIALS_DIRECTORY", credentials)
			if slices.Contains([]string{"documents", "tls-cert", "tls-key"}, name) { // whose value is a file's name
				wants(filepath.Join(credentials, "rollcall."+name), "credential rollcall."+name)
			} else {
				wants(flag.other, "credential rollcall."+name)
				t.Setenv(variable+"_FILE", filepath.Join(inFolder(t, map[string]string{"it": flag.one + "\r\n"}), "it"))
				wants(flag.one, variable+"_FILE")
				t.Setenv(variable+"_FILE", "")
			}
			t.Setenv(variable, flag.one)
			wants(flag.one, variable)
			wants(flag.other, "flag", "--"+name+"="+flag.other)
		})
	}
}

func TestTheFileOfSettingsMayBeACredential(t *testing.T) {
	folder := inFolder(t, map[string]string{"rollcall.config": "pool-size: 7\n"})
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	if cfg := parsed(t); cfg.PoolSize != 7 || cfg.Config != filepath.Join(folder, "rollcall.config") {
		t.Errorf("%+v", cfg)
	}
	if cfg := parsed(t, "--config=testdata/other.yaml"); cfg.PoolSize != 8 {
		t.Errorf("%+v", cfg)
	}
}

func TestAFlagThatMayBeGivenAgainIsAListInTheFile(t *testing.T) {
	cfg := parsed(t, "--config", configured(t, `# as an operator writes it
pool-size: 20
log-level: warn
production: yes
documents:
replica:
  - mysql://a/x
  - mysql://b/x
cors-origin: [https://a.example, "http://b:1"]
`))
	if cfg.PoolSize != 20 || cfg.LogLevel != "warn" || len(cfg.Replicas) != 2 || !cfg.Production || cfg.Documents != "" || strings.Join(cfg.CORSOrigin, " ") != "https://a.example http://b:1" {
		t.Errorf("%+v", cfg)
	}
	for _, text := range []string{"", "---\n", "# nothing\n", "null\n"} {
		if cfg := parsed(t, "--config", configured(t, text)); cfg.PoolSize != 16 {
			t.Errorf("%q: %+v", text, cfg)
		}
	}
}

// TestTheFormOfTheLogIsKnownWhateverIsWrongWithTheSettings: also where these cannot be understood.
func TestTheFormOfTheLogIsKnownWhateverIsWrongWithTheSettings(t *testing.T) {
	folder := inFolder(t, map[string]string{"format": "json\n", credentialPrefix + "log-format": "json"})
	const asked = "log-format: json\n"
	for name, try := range map[string]struct{ variable, value, file, flag string }{
		"a flag that is none, and the file":       {file: asked, flag: "--bogus"},
		"a name in the file that is none":         {file: asked + "bogus: 1\n"},
		"a value in the file that is none":        {file: asked + "pool-size: 0\n"},
		"a flag that is none, and a variable":     {variable: "ROLLCALL_LOG_FORMAT", value: "json", flag: "--bogus"},
		"a flag that is none, and another's file": {variable: "ROLLCALL_LOG_FORMAT_FILE", value: filepath.Join(folder, "format"), flag: "--bogus"},
		"a flag that is none, and a credential":   {variable: "CREDENTIALS_DIRECTORY", value: folder, flag: "--bogus"},
		"a flag beats the file":                   {file: "log-format: text\nbogus: 1\n", flag: "--log-format=json"},
	} {
		t.Run(name, func(t *testing.T) {
			if try.variable != "" {
				t.Setenv(try.variable, try.value)
			}
			args := []string{"--config", configured(t, try.file)}
			if try.flag != "" {
				args = append(args, try.flag)
			}
			var log bytes.Buffer
			cfg, err := parse(args, io.Discard, &log)
			if err == nil {
				t.Fatal("it is understood")
			}
			if cfg.fail(err); !strings.HasPrefix(log.String(), "{") {
				t.Errorf("this is not JSON: %s", &log)
			}
		})
	}
}

func TestWhatIsWrongInTheFileIsToldWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"pool-sise: 20\nlog-lvl: info\n":    "rollcall.yaml, line 1: there is no flag pool-sise: did you mean pool-size?; {file}, line 2: there is no flag log-lvl: did you mean log-level?",
		"nothing-like-that: 1\n":            "line 1: there is no flag nothing-like-that: rollcall --help lists them",
		"config: other.yaml\n":              "line 1: there is no flag config",
		"pool_size: 20\n":                   "did you mean pool-size?",
		"pool-size: 1\n\npool-size: 2\n":    "line 3: pool-size is there twice",
		"pool-size: 1\n---\npool-size: 2\n": "{file}: there is a second document, after ---",
		"pool-size: {a: 1}\n":               "line 1: pool-size takes a value or a list of them",
		"pool-size: [1, 2]\n":               "--pool-size: {file} has a list, and it takes one value",
		"pool-size: ten\n":                  `--pool-size: "ten" is not a whole number: write one such as 100 (the value is from {file})`,
		"pool-size: 0\n":                    "--pool-size: 0 is too small: at least 1 (the value is from {file})",
		"log-level: loud\n":                 `--log-level must be one of "debug","info","warn","error" but got "loud"`,
		"production: perhaps\n":             "--production",
		"- pool-size\n":                     "it is not a list of NAME: VALUE",
		"text":                              "it is not a list of NAME: VALUE",
		"database: s3cret: s3cret\n":        "yaml: ",
		"\tdatabase: s3cret\n":              "yaml: ",
	} {
		file := configured(t, text)
		_, err := parse([]string{"--config", file}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(want, "{file}", file)) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := parse([]string{"--config", "missing.yaml"}, io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--config: open missing.yaml: ") {
		t.Error(err)
	}
}

func TestWhatFilesOfSecretsHoldIsInNoError(t *testing.T) {
	const secret = "s3cret of mine"
	for _, name := range []string{"database", "pool-size", "deadline", "metrics", "log-level", "cors-origin", "webhook", "webhook-secret", "oidc-parameter", "trust-proxy", "role-name", "oidc-link-email"} {
		from := []string{"variable", "credential"}
		if name == "database" || strings.HasPrefix(name, "webhook") { // others may be quoted from there
			from = append(from, "file")
		}
		for _, by := range from {
			t.Run(name+" by "+by, func(t *testing.T) {
				switch by {
				case "variable":
					t.Setenv(variableOf(name)+"_FILE", filepath.Join(inFolder(t, map[string]string{"it": secret}), "it"))
				case "credential":
					t.Setenv("CREDENTIALS_DIRECTORY", inFolder(t, map[string]string{"rollcall." + name: secret}))
				case "file":
					t.Setenv("ROLLCALL_CONFIG", configured(t, name+": "+secret))
				}
				if _, err := execution(t, "migrate"); err == nil && name != "webhook" && name != "webhook-secret" || err != nil && strings.Contains(err.Error(), "s3cret") {
					t.Error(err)
				}
			})
		}
	}
}

func TestASecretsFileThatIsNotThereOrOfNoUseIsRefused(t *testing.T) {
	folder := inFolder(t, map[string]string{"empty": "\n", "it": "sqlite:one.db"})
	for _, c := range []struct{ name, value, want string }{
		{"ROLLCALL_DATABASE_FILE", filepath.Join(folder, "missing"), "ROLLCALL_DATABASE_FILE: open "},
		{"ROLLCALL_DATABASE_FILE", filepath.Join(folder, "empty"), "ROLLCALL_DATABASE_FILE: the file " + filepath.Join(folder, "empty") + " is empty"},
		{"ROLLCALL_TLS_KEY_FILE", filepath.Join(folder, "it"), "ROLLCALL_TLS_KEY_FILE: there is no such variable: did you mean "},
		{"ROLLCALL_CONFIG_FILE", filepath.Join(folder, "it"), "ROLLCALL_CONFIG_FILE: there is no such variable"},
		{"ROLLCALL_DATABASES_FILE", filepath.Join(folder, "it"), "did you mean ROLLCALL_DATABASE_FILE?"},
		{"CREDENTIALS_DIRECTORY", inFolder(t, map[string]string{"rollcall.databse": "x"}), "the credential rollcall.databse: there is no flag databse: did you mean database?"},
	} {
		t.Run(c.name+" "+filepath.Base(c.value), func(t *testing.T) {
			t.Setenv(c.name, c.value)
			if _, err := parse(nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Setenv("ROLLCALL_DATABASE", "sqlite:other.db")
	t.Setenv("ROLLCALL_DATABASE_FILE", filepath.Join(folder, "it"))
	if _, err := parse(nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "ROLLCALL_DATABASE and ROLLCALL_DATABASE_FILE are both given: leave one out") {
		t.Error(err)
	}
	_ = os.Unsetenv("ROLLCALL_DATABASE")
	if cfg := parsed(t); cfg.Database != "sqlite:one.db" {
		t.Error(cfg.Database)
	}
}
