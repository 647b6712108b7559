package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/database/databasetest"
)

func read(tb testing.TB, file string) string {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// rewritten returns a file like another one, but for what is replaced.
func rewritten(tb testing.TB, file string, replace ...string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), filepath.Base(file))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(replace...).Replace(read(tb, file))), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestTheProgramAloneServesAsAnyUserOnAReadOnlyFileSystem is what a container has: the program, and a folder for SQLite's file.
func TestTheProgramAloneServesAsAnyUserOnAReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	root, data, container := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "container")
	runIn(t, root, `cp "$1" rollcall; chmod 755 rollcall; mkdir data`, built(t))
	isolated, as := "unshare --mount", "--userspec=65532:65532"
	if os.Getuid() == 0 {
		runIn(t, data, "chown 65532:65532 .")
	} else { // who is root there alone is somebody else outside, too
		isolated, as = "unshare --mount --user --map-root-user", ""
	}
	inside := fmt.Sprintf(`mount --bind %[1]s %[1]s; mount --bind %[2]s %[1]s/data
		mount -o remount,bind,ro %[1]s; exec chroot %[3]s %[1]s /rollcall "$@"`, root, data, as)
	script := fmt.Sprintf("#!/bin/sh\nexec %s -- sh -euc '%s' sh \"$@\"\n", isolated, inside)
	if err := os.WriteFile(container, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "sqlite:") {
			url = "sqlite:/data/rollcall.db"
		}
		s := launch(t, container, "--database", url)
		s.answer(`mutation { createUser(input: {name: "Ada", email: "ada@example.com"}) { user { id } } }`)
		if text := s.answer(`{ users { nodes { name } } }`); !strings.Contains(text, "Ada") {
			t.Errorf("got %s", text)
		}
		status := read(t, fmt.Sprintf("/proc/%d/status", s.pid))
		if regexp.MustCompile(`(?m)^Uid:\t0\t`).MatchString(status) || !strings.Contains(status, "Name:\trollcall\n") {
			t.Errorf("it runs as\n%s", status)
		}
		mounts := read(t, fmt.Sprintf("/proc/%d/mounts", s.pid))
		if root := regexp.MustCompile(`(?m)^\S+ / \S+ (\S+)`).FindStringSubmatch(mounts); root == nil || !strings.HasPrefix(root[1], "ro") {
			t.Errorf("it has the file systems\n%s", mounts)
		}
		s.stop()
	})
}

func TestTheUnitIsSoundAndConfined(t *testing.T) {
	t.Parallel()
	const file = "deploy/rollcall.service"
	unit := rewritten(t, file, "/usr/local/bin/rollcall", built(t)) // which has to be there
	if text := runIn(t, ".", `systemd-analyze verify --man=no "$1" 2>&1`, unit); text != "" {
		t.Errorf("got %s", text)
	}
	runIn(t, ".", `systemd-analyze security --no-pager --offline=true --threshold=15 "$1"`, unit) // of 100, which is not confined at all
	settings := map[string]string{}
	for line := range strings.SplitSeq(read(t, file), "\n") {
		name, value, _ := strings.Cut(line, "=")
		settings[name] = value
	}
	stop, err := time.ParseDuration(settings["TimeoutStopSec"] + "s")
	if end := parsed(t).shutdownTimeout(); err != nil || stop < end+sendFor+time.Second {
		t.Errorf("it is killed after %s, and may take %s to end: %v", stop, end, err)
	}
	if _, err := parse(strings.Fields(settings["ExecStart"])[1:], nil, nil); err != nil {
		t.Error(err)
	}
	checkVariablesOf(t, file)
}

// checkVariablesOf checks that a file names only variables of flags, some with _FILE behind them.
func checkVariablesOf(t *testing.T, file string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`ROLLCALL_\w+`).FindAllString(read(t, file), -1) {
		known := false
		for flag := range flags {
			known = known || strings.TrimSuffix(name, "_FILE") == variableOf(flag)
		}
		if !known {
			t.Errorf("%s: there is no variable %s", file, name)
		}
	}
}

// compose is what the test looks at of a file for Docker Compose.
type compose struct {
	Services map[string]struct {
		Image           string
		Build           any
		Command         []string
		Environment     map[string]string
		Secrets         []string
		Volumes         []string
		CapDrop         []string       `yaml:"cap_drop"`
		ReadOnly        bool           `yaml:"read_only"`
		StopGracePeriod string         `yaml:"stop_grace_period"`
		SecurityOpt     []string       `yaml:"security_opt"`
		DependsOn       any            `yaml:"depends_on"`
		Healthcheck     map[string]any `yaml:"healthcheck"`
		Restart         string
		Ports           []string
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

func TestWhatComposeStartsIsThereAndConfined(t *testing.T) {
	t.Parallel()
	const file = "compose.yaml"
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, file)), &c); err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`^[a-z]+:\d[\w.-]+$`)
	waits := regexp.MustCompile(`([a-z0-9-]+):map\[condition:(\w+)\]`)
	servers := 0
	for name, s := range c.Services {
		ours := s.Build != nil
		if want := map[string]string{"migrate": "on-failure"}[name]; s.Restart != cmp.Or(want, "unless-stopped") { // else a reboot leaves it down
			t.Errorf("%s: it is started again %q", name, s.Restart)
		}
		if !ours && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q is not pinned", name, s.Image)
		}
		for _, secret := range s.Secrets {
			if path := c.Secrets[secret].File; !strings.HasPrefix(path, "secrets/") {
				t.Errorf("%s: the secret %s is in %q", name, secret, path)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			_, named := c.Volumes[from]
			if _, err := os.Stat(from); err != nil && !named {
				t.Errorf("%s: there is no volume %s", name, from)
			}
		}
		for _, wait := range waits.FindAllStringSubmatch(fmt.Sprint(s.DependsOn), -1) {
			if on, ok := c.Services[wait[1]]; !ok || wait[2] == "service_healthy" && on.Healthcheck == nil {
				t.Errorf("%s: it waits for %s", name, wait[0])
			}
		}
		if !ours {
			continue
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not confined", name)
		}
		cfg, err := parse(s.Command, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if grace, err := time.ParseDuration(s.StopGracePeriod); err != nil || grace < cfg.shutdownTimeout()+sendFor+time.Second {
			t.Errorf("%s is killed after %s, and may take %s to end: %v", name, grace, cfg.shutdownTimeout()+sendFor, err)
		}
		if cfg.command == "serve" {
			servers++
		}
	}
	if servers != 2 {
		t.Errorf("there are %d servers", servers)
	}
	checkVariablesOf(t, file)
}

// instructions returns those of a Dockerfile, each with its arguments.
func instructions(tb testing.TB, file string) (all [][2]string) {
	tb.Helper()
	for line := range strings.SplitSeq(strings.ReplaceAll(read(tb, file), "\\\n", " "), "\n") {
		if name, arguments, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			all = append(all, [2]string{name, strings.TrimSpace(arguments)})
		}
	}
	return all
}

// TestTheDockerfileKeepsTheRulesOfItsLinters is about those of hadolint that concern it.
func TestTheDockerfileKeepsTheRulesOfItsLinters(t *testing.T) {
	t.Parallel()
	stages := map[string]bool{"scratch": true}
	modules, sources, user, entry := -1, -1, "", ""
	for i, instruction := range instructions(t, "Dockerfile") {
		switch name, arguments := instruction[0], instruction[1]; name {
		case "FROM":
			words := strings.Fields(regexp.MustCompile(`^--platform=\S+ `).ReplaceAllString(arguments, ""))
			if !stages[words[0]] && words[0] != "golang:"+goVersion(t)+"-bookworm" {
				t.Errorf("FROM %s: it is to be the Go of go.mod", arguments)
			}
			stages[words[len(words)-1]] = true
			user, entry = "", ""
		case "USER":
			user = arguments
		case "WORKDIR":
			if !strings.HasPrefix(arguments, "/") {
				t.Errorf("WORKDIR %s is not absolute", arguments)
			}
		case "COPY":
			if from := regexp.MustCompile(`--from=(\S+)`).FindStringSubmatch(arguments); from != nil && !stages[from[1]] {
				t.Errorf("COPY %s: there is no such stage", arguments)
			}
			switch {
			case strings.HasPrefix(arguments, "go.mod go.sum "):
				modules = i
			case arguments == ". .":
				sources = i
			}
		case "RUN", "ARG", "ENV", "EXPOSE":
		case "ENTRYPOINT":
			entry = arguments
		default:
			t.Errorf("%s %s: say in this test why that may be", name, arguments)
		}
	}
	if modules < 0 || sources < modules {
		t.Error("modules are downloaded anew whenever a source changes")
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %q: Kubernetes takes a number alone for one that is not root", user)
	}
	if entry != `["/rollcall"]` {
		t.Errorf("ENTRYPOINT %s: there is no shell", entry)
	}
	checkVariablesOf(t, "Dockerfile")
}

func goVersion(tb testing.TB) string {
	tb.Helper()
	return regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(tb, "go.mod"))[1]
}

// Git reads the patterns as Docker does, since they are anchored.
func TestAnImageIsMadeOfAllThatTheProgramNeedsAndOfNoSecret(t *testing.T) {
	t.Parallel()
	const own = `{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}} {{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}} {{end}}{{end}}{{end}}`
	needed := strings.Fields(runIn(t, ".", `go list -deps -f "$1" .`, own))
	folder, err := os.Getwd()
	if err != nil || len(needed) < 200 {
		t.Fatalf("%d files are needed, %v", len(needed), err)
	}
	for i := range needed {
		needed[i] = strings.TrimPrefix(needed[i], folder+"/")
	}
	needed = append(needed, "go.mod", "go.sum", "Makefile", "LICENSE")
	checkout := copied(t)
	runIn(t, checkout, `git init --quiet; mkdir -p secrets bin; touch secrets/database rollcall.db rollcall.db-wal rollcall bin/tool; git add --force .`)
	sent := strings.Fields(runIn(t, checkout, `git rm --quiet --cached $(git ls-files --cached --ignored --exclude-from=.dockerignore); git ls-files`))
	for _, file := range needed {
		if !slices.Contains(sent, file) {
			t.Errorf("%s is missing", file)
		}
	}
	for _, file := range sent {
		if !slices.Contains(needed, file) && regexp.MustCompile(`^(secrets|bin|dist|bench|e2e)/|^rollcall|_test\.go$`).MatchString(file) {
			t.Errorf("%s is not needed", file)
		}
	}
}

func TestHAProxyLeadsPastAServerThatHasEnded(t *testing.T) {
	t.Parallel()
	url, address := databasetest.With(t, "sqlite", databasetest.Nothing), freeAddress(t)
	servers := []*server{start(t, "--database", url, "--allow-anonymous"), start(t, "--database", url, "--allow-anonymous")}
	settings := rewritten(t, "deploy/haproxy.cfg", "bind :8080", "bind "+address,
		"rollcall-1:8080", strings.TrimPrefix(servers[0].base, "http://"), "rollcall-2:8080", strings.TrimPrefix(servers[1].base, "http://"))
	proxy := exec.Command("haproxy", "-db", "-f", settings)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
	})
	through := &server{tb: t, base: "http://" + address}
	eventually(t, "it leads to a server", func() bool {
		res, err := http.Get(through.base + "/readyz")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	servers[0].stop()
	for range 4 {
		through.answer(`{ users { totalCount } }`)
	}
}
