// Package foldtest holds the table of texts that are the same when folded, and of those that are not, for tests of all that folds.
package foldtest

import (
	_ "embed"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

// Runes are the code points that have a meaning, and some of the many that have none, or a private one: they are all alike.
func Runes() iter.Seq[rune] {
	const some = 61
	return func(yield func(rune) bool) {
		for r := range rune(unicode.MaxRune + 1) {
			means := unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf)
			if utf8.ValidRune(r) && (means || r%some == 0) && !yield(r) {
				return
			}
		}
	}
}
