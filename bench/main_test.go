package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/bench/workload"
)

func TestAllServersAnswerAlikeWithAsManyStatements(t *testing.T) {
	old := program{"old", filepath.Join(t.TempDir(), "rollcall")}
	if err := build(t.Context(), old.file, "rollcall", "."); err != nil {
		t.Fatal(err)
	}
	cfg := config{Database: "sqlite:", Rounds: 1, Round: time.Millisecond, Connections: 2, Raw: true}
	b, err := begin(t.Context(), cfg, []program{old}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.end()
	for _, w := range workload.All() {
		c, err := b.compare(t.Context(), w, 1) // fails where the data differ
		if err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		want := c.raw().statements
		if w.Name == "mutation" { // Rollcall alone keeps a log of changes: on SQLite by the clock's UPDATE and an INSERT
			want += 2
		}
		if got := c.rollcall().statements; got != want {
			t.Errorf("%s: raw runs %v statements, Rollcall %v", w.Name, c.raw().statements, got)
		}
		if got := medians(c.rounds["old"]).statements; got != want {
			t.Errorf("%s: raw runs %v statements, the other build %v", w.Name, c.raw().statements, got)
		}
	}
}

func TestTwoBuildsAreComparedWithoutTheServerWrittenByHand(t *testing.T) {
	old := program{"old", filepath.Join(t.TempDir(), "rollcall")}
	if err := build(t.Context(), old.file, "rollcall", "."); err != nil {
		t.Fatal(err)
	}
	b, err := begin(t.Context(), config{Database: "sqlite:", Round: time.Millisecond, Connections: 2}, []program{old}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.end()
	c, err := b.compare(t.Context(), workload.Nested(10), 9)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.rounds) != 2 || len(c.rounds["old"]) != 9 || len(c.rounds[rollcall]) != 9 {
		t.Errorf("want 9 rounds of old and rollcall, got %v", c.rounds)
	}
}

func TestWorseIsBeyondTheMarginAndTheSpread(t *testing.T) {
	for _, c := range []struct {
		what        string
		before, now []float64
		want        bool
	}{
		{"better", []float64{100, 101, 102}, []float64{90, 91, 92}, false},
		{"the same", []float64{1, 1, 1}, []float64{1, 1, 1}, false},
		{"nothing both times", []float64{0, 0, 0}, []float64{0, 0, 0}, false},
		{"within the margin", []float64{100, 100, 100}, []float64{102, 103, 120}, false},
		{"beyond the margin, within the spread", []float64{90, 100, 130}, []float64{110, 120, 200}, false},
		{"beyond both", []float64{90, 100, 110}, []float64{90, 111, 200}, true},
		{"something in place of nothing", []float64{0, 0, 0}, []float64{1, 1, 1}, true},
	} {
		if got := worse(c.before, c.now); got != c.want {
			t.Errorf("%s: got %t", c.what, got)
		}
	}
}

func TestAReportOfTwoBuildsSaysWhatIsWorse(t *testing.T) {
	same := cost{cpu: 200, statements: 1, p50: time.Millisecond, p99: 20 * time.Millisecond, resident: 64 << 20}
	slower := same
	slower.cpu = 250
	all := []comparison{
		{workload.Nested(10), map[string][]cost{"old": {same, same, same}, rollcall: {slower, same, slower}}},
		{workload.Workload{Name: "point"}, map[string][]cost{"old": {same, slower, same}, rollcall: {slower, slower, slower}}},
	}
	var report strings.Builder
	printBuild(&report, "a machine", "old", all)
	for _, want := range []string{
		"| nested | CPU, µs | 200 | 250 | 1.250 | 200 to 200 | **worse** |\n",
		"| nested | p99, ms | 20.0 | 20.0 | 1.000 | 20.0 to 20.0 |  |\n",
		"| nested | allocations | 0 | 0 | – | 0 to 0 |  |\n",
		"| point | CPU, µs | 200 | 250 | 1.250 | 200 to 250 |  |\n",
		"| point | memory, MiB | 64.0 | 64.0 | 1.000 | 64.0 to 64.0 |  |\n",
		"\nWorse: nested (CPU, µs).\n",
	} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("want %q in\n%s", want, &report)
		}
	}
	report.Reset()
	printBuild(&report, "a machine", "old", all[1:])
	if want := "\nNothing is worse.\n"; !strings.HasSuffix(report.String(), want) {
		t.Errorf("want %q, got\n%s", want, &report)
	}
}

func TestFlagsThatContradictEachOtherAreRefusedBeforeAnythingIsMeasured(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	builds, err := config{Rounds: 9, Against: []string{"old=" + self, self}}.check()
	if want := []program{{"old", self}, {filepath.Base(self), self}}; err != nil || !slices.Equal(builds, want) {
		t.Errorf("want %v, got %v and %v", want, builds, err)
	}
	for want, cfg := range map[string]config{
		"--rounds must be 1 or more":          {Raw: true},
		"--no-raw leaves nothing to compare":  {Rounds: 1},
		"--plots draws the server written":    {Rounds: 1, Plots: "plots", Against: []string{self}},
		"rollcall is another server":          {Rounds: 1, Against: []string{"rollcall=" + self}},
		"old is another server":               {Rounds: 1, Against: []string{"old=" + self, "old=" + self}},
		"a name has letters":                  {Rounds: 1, Against: []string{"a b=" + self}},
		"/nowhere: no such file or directory": {Rounds: 1, Against: []string{"old=/nowhere"}},
	} {
		if _, err := cfg.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestFiguresAreDrawnAndStored(t *testing.T) {
	var all []comparison
	for i := range sizes {
		all = append(all, comparison{workload.Nested(sizes[i]), map[string][]cost{
			raw: {{cpu: 100 * float64(i+1)}}, rollcall: {{cpu: 150 * float64(i+1)}},
		}})
	}
	folder := t.TempDir()
	if err := draw(folder, "a <machine>", all, all); err != nil {
		t.Fatal(err)
	}
	if err := store(folder, "a <machine>", all, all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"comparison.svg", "growth.svg", "figures.json"} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || len(text) < 1000 {
			t.Errorf("%s: %v, %d bytes", name, err, len(text))
		}
	}
}

func TestManyWritersAreMeasuredAndFollowed(t *testing.T) {
	measured := throughput{Database: []string{"sqlite:"}, Servers: 1, Writers: 4, Rounds: 1, Mix: "mixed", Follow: true, Rate: 200, Audience: 8, Of: "one", Quick: true}
	if err := measured.run(t.Context()); err != nil {
		t.Error(err)
	}
}
