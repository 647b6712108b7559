// Package graphtest holds what attacks the API, for tests of it.
package graphtest

import (
	"fmt"
	"strings"

	"rollcall/limit"
)

// Attack is a document and the code of the error that is to refuse it.
type Attack struct{ Query, Code string }

// Attacks returns documents that cost a server far more than their bytes, by what they are.
func Attacks() map[string]Attack {
	doubling := "{ node(id: 1) { ...F0 } }"
	for i := range 24 {
		doubling += fmt.Sprintf(" fragment F%d on User { ...F%d ...F%d }", i, i+1, i+1)
	}
	return map[string]Attack{
		"fields without end":         {strings.Repeat("{a", 400_000), limit.CodeNesting},
		"a deep list":                {"{nodes(ids:" + strings.Repeat("[", 1_000_000), limit.CodeLists},
		"a deep object":              {"mutation{createUser(input:" + strings.Repeat("{a:", 300_000), limit.CodeNesting},
		"deep inline fragments":      {"{" + strings.Repeat("...{", 200_000), limit.CodeNesting},
		"doubling fragments":         {doubling + " fragment F24 on User { id }", limit.CodeSelections},
		"a circle of fragments":      {"{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", "GRAPHQL_VALIDATION_FAILED"},
		"10,000 aliases":             {"{" + Numbered(10_000, " a%d: __typename") + "}", limit.CodeTokens},
		"repeated fields":            {"{" + strings.Repeat(" __typename", 4_900) + "}", limit.CodeRepetitions},
		"many directives":            {"{ __typename" + strings.Repeat(" @skip(if: false)", 101) + "}", limit.CodeDirectives},
		"managers of managers":       {`{ user(id: "User:1") {` + strings.Repeat("manager {", 14) + "name" + strings.Repeat("}", 16), limit.CodeDepth},
		"unknown fields":             {"{" + Numbered(4_900, " f%d") + "}", limit.CodeErrors},
		"pages of pages of pages":    {"{ users(first: 100) { nodes { teams(first: 100) { nodes { members(first: 100) { nodes { name } } } } } } }", limit.CodeCost},
		"many aliases of great cost": {"{" + Numbered(550, " a%d: users(first: 100) { nodes { manager { name } } }") + "}", limit.CodeCost},
		"many values of each item":   {"{ users(first: 100) { nodes { teams(first: 100) { nodes {" + Numbered(1_000, " a%d: name") + "} } } } }", limit.CodeCost},
		"descriptions of the schema": {"{ __schema {" + Numbered(30, " a%d: types { ...F }") + "} } fragment F on __Type { fields {" + Numbered(140, " a%d: description") + "} }", limit.CodeCost},
		"a long alias in many items": {"{ users(first: 100) { nodes { teams(first: 100) { nodes { " + strings.Repeat("a", 200_000) + ": name } } } } }", limit.CodeCost},
	}
}

// Numbered returns a text for each number from 0 to n - 1, one after the other.
func Numbered(n int, format string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}
