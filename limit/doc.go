// Package limit refuses GraphQL documents and operations that would cost too much, as early as that can be known:
// [Documents] before a document's text is parsed and validated, [Cost] before an operation runs. [Cache] is a cache of bounded
// memory.
//
// A refusal is an error with a code of its own. Its message names the limit and never quotes the document.
package limit

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Codes of refusals, in an error's extensions.code.
const (
	CodeTokens      = "TOKEN_LIMIT"
	CodeNesting     = "NESTING_LIMIT"
	CodeLists       = "LIST_NESTING_LIMIT"
	CodeDirectives  = "DIRECTIVE_LIMIT"
	CodeDepth       = "DEPTH_LIMIT"
	CodeSelections  = "SELECTION_LIMIT"
	CodeRepetitions = "REPETITION_LIMIT"
	CodeErrors      = "ERROR_LIMIT"
	CodeCost        = "COST_LIMIT"
)

func refuse(code, format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}
}
