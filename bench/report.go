package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// printTable prints what each workload costs, as Markdown.
func printTable(to io.Writer, about string, all []comparison) {
	_, _ = fmt.Fprintf(to, "CPU is that of the server's process, user and system, for one request (%s). Pairs are raw / Rollcall; collections of garbage are those in 1,000 requests.\n\n", about)
	_, _ = fmt.Fprintln(to, "| Workload | raw | Rollcall | Ratio | p50 | p99 | p50 alone | Allocations | Collections | Statements | Bytes | Memory |")
	_, _ = fmt.Fprintln(to, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range all {
		a, b := c.raw(), c.rollcall()
		_, _ = fmt.Fprintf(to, "| %s: %s | %.0f µs | %.0f µs | **%.2f** | %s / %s | %s / %s | %s / %s (%.2f) | %.0f / %.0f | %.1f / %.1f | %.0f / %.0f | %d | %d / %d MiB |\n",
			c.Name, c.What, a.cpu, b.cpu, c.ratio(), short(a.p50), short(b.p50), short(a.p99), short(b.p99),
			short(a.alone), short(b.alone), float64(b.alone)/float64(a.alone), a.allocations, b.allocations,
			1e3*a.collections, 1e3*b.collections, a.statements, b.statements, b.bytes, a.resident>>20, b.resident>>20)
	}
}

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
}

// printGrowth prints what a user costs in pages of several sizes.
func printGrowth(to io.Writer, all []comparison) {
	_, _ = fmt.Fprintln(to, "\n| Nested, `first` | raw, for each user | Rollcall, for each user | Ratio |")
	_, _ = fmt.Fprintln(to, "|---|---|---|---|")
	for i, c := range all {
		n := float64(sizes[i])
		_, _ = fmt.Fprintf(to, "| %d | %.1f µs | %.1f µs | %.2f |\n", sizes[i], c.raw().cpu/n, c.rollcall().cpu/n, c.ratio())
	}
}

// store writes all figures as JSON, for other drawings.
func store(folder, about string, all, growth []comparison) error {
	figures := func(c cost) map[string]any {
		return map[string]any{
			"cpuMicroseconds": c.cpu, "allocations": c.allocations, "collections": c.collections, "statements": c.statements,
			"bytes": c.bytes, "residentBytes": c.resident, "p50Milliseconds": c.p50.Seconds() * 1e3, "p99Milliseconds": c.p99.Seconds() * 1e3,
			"p50AloneMilliseconds": c.alone.Seconds() * 1e3,
		}
	}
	list := func(of []comparison) (list []map[string]any) {
		for _, c := range of {
			list = append(list, map[string]any{
				"workload": c.Name, "what": c.What, "cpuRatio": c.ratio(), "raw": figures(c.raw()), "rollcall": figures(c.rollcall()),
			})
		}
		return list
	}
	text, err := json.MarshalIndent(map[string]any{"about": about, "comparison": list(all), "growth": list(growth)}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "figures.json"), append(text, '\n'), 0o644)
}

//go:embed *.svg.tmpl
var templates embed.FS

// bar is one pair of the comparison; widths are of 100.
type bar struct {
	Name, What, Raw, Rollcall, Ratio string
	Y                                int
	RawWidth, RollcallWidth          float64
}

// point is one of a curve; X and Y are of the drawing.
type point struct {
	X, Y        float64
	Label, Size string
}

// draw writes the plots.
func draw(folder, about string, all, growth []comparison) error {
	var bars []bar
	for i, c := range all {
		highest := math.Max(c.raw().cpu, c.rollcall().cpu)
		bars = append(bars, bar{
			c.Name, html(c.What), fmt.Sprintf("%.0f µs", c.raw().cpu), fmt.Sprintf("%.0f µs", c.rollcall().cpu), fmt.Sprintf("%.2f ×", c.ratio()),
			70 + 52*i, 300 * c.raw().cpu / highest, 300 * c.rollcall().cpu / highest,
		})
	}
	if err := write(filepath.Join(folder, "comparison.svg"), map[string]any{"About": html(about), "Bars": bars, "Height": 80 + 52*len(bars)}); err != nil {
		return err
	}
	highest := 0.0
	for i, c := range growth {
		highest = math.Max(highest, math.Max(c.raw().cpu, c.rollcall().cpu)/float64(sizes[i]))
	}
	curve := func(of func(comparison) float64) (points []point) {
		for i, c := range growth {
			each := of(c) / float64(sizes[i])
			points = append(points, point{
				90 + 500*math.Log(float64(sizes[i])/float64(sizes[0]))/math.Log(float64(sizes[len(sizes)-1])/float64(sizes[0])),
				260 - 190*each/highest, fmt.Sprintf("%.0f", each), fmt.Sprint(sizes[i]),
			})
		}
		return points
	}
	return write(filepath.Join(folder, "growth.svg"), map[string]any{
		"About": html(about),
		"Raw":   curve(func(c comparison) float64 { return c.raw().cpu }), "Rollcall": curve(func(c comparison) float64 { return c.rollcall().cpu }),
	})
}

// html escapes a text: text/template, unlike html/template, knows no SVG but leaves the units as they are.
func html(text string) string { return template.HTMLEscapeString(text) }

// write fills the template that has a file's name.
func write(file string, data any) error {
	t, err := template.ParseFS(templates, filepath.Base(file)+".tmpl")
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}
