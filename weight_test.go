package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A package with parts in C is compiled by whoever has a C compiler, for longer than all the rest, even if nothing in it is used.
func TestNothingThatTheServerIsMadeOfIsWrittenInC(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{len .CgoFiles}}{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(packages) < 50 {
		t.Errorf("it is made of only %d packages", len(packages))
	}
	for _, line := range packages {
		if path, files, _ := strings.Cut(line, " "); files != "0" {
			t.Errorf("%s has %s files in C: `go mod why` says what brings it", path, files)
		}
	}
}
