package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/bench/workload"
)

func TestBothServersAnswerAlikeWithAsManyStatements(t *testing.T) {
	cfg := config{Database: "sqlite:", Rounds: 1, Round: time.Millisecond, Connections: 2}
	b, err := begin(t.Context(), cfg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.end()
	for _, w := range workload.All() {
		c, err := b.compare(t.Context(), w, 1) // fails where the data differ
		if err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		want := c.raw.statements
		if w.Name == "mutation" {
			want++ // the user is read and locked before
		}
		if c.rollcall.statements != want {
			t.Errorf("%s: raw runs %v statements, Rollcall %v", w.Name, c.raw.statements, c.rollcall.statements)
		}
	}
}

func TestFiguresAreDrawnAndStored(t *testing.T) {
	var all []comparison
	for i := range sizes {
		all = append(all, comparison{workload.Nested(sizes[i]), cost{cpu: 100 * float64(i+1)}, cost{cpu: 150 * float64(i+1)}})
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
