// Package foldtest holds the table of texts that are the same when folded, and of those that are not, for tests of all that folds.
package foldtest

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed pairs.txt
var table string

// Pair is a line of the table.
type Pair struct {
	Left, Right string
	Same        bool
}

// String is the line as the table has it.
func (p Pair) String() string {
	return fmt.Sprintf("%+q %s %+q", p.Left, map[bool]string{true: "=", false: "≠"}[p.Same], p.Right)
}

// Pairs returns the table. It panics if the table is not in its form.
func Pairs() (pairs []Pair) {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		left, right, same := strings.Cut(line, " = ")
		if !same {
			left, right, _ = strings.Cut(line, " ≠ ")
		}
		pairs = append(pairs, Pair{unescaped(left), unescaped(right), same})
	}
	return pairs
}

func unescaped(s string) string {
	text, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		panic(fmt.Sprintf("foldtest: %s: %v", s, err))
	}
	return text
}
