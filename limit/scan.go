package limit

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"
)

// scan refuses a document whose tokens exceed a limit. Unlike the parser it does not recurse, so that no nesting exhausts the
// stack. It ends where the text ceases to be GraphQL, as the parser will.
func (d *Documents) scan(text string) *gqlerror.Error {
	if strings.Count(text, "\n") > d.Tokens { // the lexer splits a block string into lines
		return refuse(CodeTokens, "the document has more than %d lines", d.Tokens)
	}
	tokens := lexer.New(&ast.Source{Input: text})
	count, nesting, lists, directives := 0, 0, 0, 0
	for {
		token, err := tokens.ReadToken()
		if err != nil || token.Kind == lexer.EOF {
			return nil //nolint:nilerr // the parser reports it
		}
		count++
		switch token.Kind {
		case lexer.BraceL, lexer.ParenL:
			nesting++
		case lexer.BracketL:
			nesting++
			lists++
		case lexer.BraceR, lexer.ParenR:
			nesting--
		case lexer.BracketR:
			nesting--
			lists--
		case lexer.At:
			directives++
		}
		switch {
		case count > d.Tokens:
			return refuse(CodeTokens, "the document has more than %d tokens", d.Tokens)
		case lists > d.Lists:
			return refuse(CodeLists, "the document has lists that are nested more than %d deep", d.Lists)
		case nesting > d.Nesting:
			return refuse(CodeNesting, "the document has braces, brackets and parentheses that are nested more than %d deep", d.Nesting)
		case directives > d.Directives:
			return refuse(CodeDirectives, "the document has more than %d directives", d.Directives)
		}
	}
}
