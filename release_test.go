package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// copied returns a folder with the files of this checkout, committed or not.
func copied(tb testing.TB) (folder string) {
	tb.Helper()
	folder = tb.TempDir()
	runIn(tb, ".", `git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory="$1"`, folder)
	return folder
}

// runIn has a shell run a script in a folder, and returns what it prints.
func runIn(tb testing.TB, folder, script string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "bash", append([]string{"-euo", "pipefail", "-c", script, "bash"}, args...)...)
	cmd.Dir = folder
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s%s", script, err, out, &log)
	}
	return string(out)
}

func TestAReleaseIsTheSameWhereverItIsBuiltAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	tools, err := filepath.Abs("bin")
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	folders := []string{copied(t), copied(t)}
	for _, folder := range folders {
		runIn(t, folder, `mkdir -p "$1"; ln -s "$1" bin
			make release PLATFORMS="$(go env GOOS)/$(go env GOARCH)" RELEASE_COMMIT=0123456789ab RELEASE_DATE=2026-01-02T03:04:05Z
			cd dist; sha256sum --check --strict SHA256SUMS`, tools)
		text, err := os.ReadFile(filepath.Join(folder, "dist", "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(text))
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 3 { // the license, too
		t.Errorf("one build has\n%sand the next\n%s", sums[0], sums[1])
	}
	dist := filepath.Join(folders[0], "dist")
	if text := runIn(t, dist, "./rollcall-*[!n] version"); !strings.HasPrefix(text, "rollcall "+release+" (0123456789ab 2026-01-02T03:04:05Z) go1.") {
		t.Errorf("its version is %s", text)
	}
	var bill struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal([]byte(runIn(t, dist, "cat *.cdx.json")), &bill); err != nil || bill.BOMFormat != "CycloneDX" {
		t.Fatalf("%+v, %v", bill, err)
	}
	listed := map[string]bool{}
	for _, c := range bill.Components {
		listed[c.Name+" "+c.Version] = strings.HasPrefix(c.PURL, "pkg:golang/")
	}
	modules := regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(runIn(t, dist, "go version -m rollcall-*[!n]"), -1)
	for _, module := range modules {
		if !listed[module[1]+" "+module[2]] {
			t.Errorf("%s is not on the bill of materials", module[0])
		}
	}
	if len(modules) < 20 {
		t.Errorf("it is made of %d modules", len(modules))
	}
}

func TestTheModuleCanBeGivenAnotherPath(t *testing.T) {
	t.Parallel()
	folder := copied(t)
	runIn(t, folder, `make module MODULE=example.com/you/rollcall; CGO_ENABLED=0 go build -trimpath -o rollcall .`)
	const names = "example.com/you/rollcall\nexample.com/you/rollcall/bench\n"
	if text := runIn(t, folder, "go list -m; cd bench; go list -m"); text != names {
		t.Errorf("got %s", text)
	}
	runIn(t, folder, "./rollcall version")
	for path := range strings.FieldsSeq(runIn(t, folder, "go list -test -deps ./...")) { // which fails at an import of what there is not
		if strings.HasPrefix(path, "rollcall") {
			t.Errorf("there is still %s", path)
		}
	}
	if left := runIn(t, folder, `git grep --no-index --line-number --extended-regexp '(^|[^[:alnum:]_./-])rollcall/(access|model|session|bench)\b' || true`); left != "" {
		t.Errorf("the old path is left in\n%s", left)
	}
}
