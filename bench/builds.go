package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// check returns the other builds that are to be measured, or what is wrong with the flags.
func (cfg config) check() (builds []program, err error) {
	switch {
	case cfg.Rounds < 1:
		return nil, errors.New("--rounds must be 1 or more")
	case !cfg.Raw && cfg.Plots != "":
		return nil, errors.New("--plots draws the server written by hand: leave out --no-raw")
	case !cfg.Raw && len(cfg.Against) == 0:
		return nil, errors.New("--no-raw leaves nothing to compare with: add --against")
	}
	taken := []string{raw, rollcall}
	for _, against := range cfg.Against {
		name, file, ok := strings.Cut(against, "=")
		if !ok {
			name, file = filepath.Base(against), against
		}
		if !regexp.MustCompile(`^[\w.-]+$`).MatchString(name) {
			return nil, fmt.Errorf("--against=%s: a name has letters, digits, dots, dashes and underscores", against)
		}
		if slices.Contains(taken, name) {
			return nil, fmt.Errorf("--against=%s: %s is another server: write --against NAME=BINARY", against, name)
		}
		if file, err = exec.LookPath(file); err == nil {
			file, err = filepath.Abs(file)
		}
		if err != nil {
			return nil, fmt.Errorf("--against: %w", err)
		}
		taken, builds = append(taken, name), append(builds, program{name, file})
	}
	return builds, nil
}

// measures are what the builds are compared by; of all of them less is better.
var measures = []struct {
	name string
	of   func(cost) float64
}{
	{"CPU, µs", func(c cost) float64 { return c.cpu }},
	{"p50, ms", func(c cost) float64 { return 1e3 * c.p50.Seconds() }},
	{"p99, ms", func(c cost) float64 { return 1e3 * c.p99.Seconds() }},
	{"p50 alone, ms", func(c cost) float64 { return 1e3 * c.alone.Seconds() }},
	{"allocations", func(c cost) float64 { return c.allocations }},
	{"collections in 1,000", func(c cost) float64 { return 1e3 * c.collections }},
	{"statements", func(c cost) float64 { return c.statements }},
	{"bytes", func(c cost) float64 { return float64(c.bytes) }},
	{"memory, MiB", func(c cost) float64 { return float64(c.resident) / (1 << 20) }},
}

// margin is by how much a figure may be above that of another build.
const margin = 1.03

// worse reports whether the median of a build's rounds is above that of an older one's by more than the margin, and also
// above each of the older one's rounds: a difference that is smaller the older build has with itself.
func worse(before, now []float64) bool {
	return median(now) > margin*median(before) && median(now) > slices.Max(before)
}

// printBuild prints all figures of this build beside those of another, as Markdown, and what is worse.
func printBuild(to io.Writer, about, old string, all []comparison) {
	_, _ = fmt.Fprintf(to, "\nThis build beside %s (%s): medians of the rounds. Worse is what is above %s's median by more than %.0f %% "+
		"and above each of its rounds, whose least and greatest are its spread.\n\n", old, about, old, 100*(margin-1))
	_, _ = fmt.Fprintf(to, "| Workload | Measure | %s | This build | Ratio | Spread of %s | |\n|---|---|---|---|---|---|---|\n", old, old)
	var found []string
	for _, c := range all {
		for _, m := range measures {
			before, now := each(c.rounds[old], m.of), each(c.rounds[rollcall], m.of)
			mark, ratio := "", "–"
			if worse(before, now) {
				mark, found = "**worse**", append(found, c.Name+" ("+m.name+")")
			}
			if median(before) > 0 {
				ratio = fmt.Sprintf("%.3f", median(now)/median(before))
			}
			_, _ = fmt.Fprintf(to, "| %s | %s | %s | %s | %s | %s to %s | %s |\n", c.Name, m.name,
				digits(median(before)), digits(median(now)), ratio, digits(slices.Min(before)), digits(slices.Max(before)), mark)
		}
	}
	if len(found) == 0 {
		_, _ = fmt.Fprintln(to, "\nNothing is worse.")
		return
	}
	_, _ = fmt.Fprintf(to, "\nWorse: %s.\n", strings.Join(found, ", "))
}

// digits writes a number with three digits or more.
func digits(n float64) string {
	for decimals, least := range []float64{100, 10, 1} {
		if n >= least || n == 0 {
			return fmt.Sprintf("%.*f", decimals, n)
		}
	}
	return fmt.Sprintf("%.3f", n)
}
