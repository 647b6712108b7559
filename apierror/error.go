// Package apierror is the catalogue of the errors that clients see: their codes, and the sentences that several packages use.
package apierror

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says for machines what went wrong; it is the `extensions.code` of a GraphQL error.
type Code string

// The codes. Those of requests, documents and costs that are refused before they run are with what refuses them, in
// packages transport, document, limit and idempotency.
const (
	CodeBadRequest     Code = "BAD_REQUEST" // it is not a well-formed GraphQL request
	CodeBadUserInput   Code = "BAD_USER_INPUT"
	CodeNotFound       Code = "NOT_FOUND"
	CodeConflict       Code = "CONFLICT"
	CodeCancelled      Code = "CANCELLED"
	CodeTimeout        Code = "TIMEOUT"
	CodeOutcomeUnknown Code = "OUTCOME_UNKNOWN"
	CodeUnavailable    Code = "DATABASE_UNAVAILABLE"
	CodeInternal       Code = "INTERNAL_SERVER_ERROR"
	CodeSlowSubscriber Code = "SLOW_SUBSCRIBER"
	CodeTooManyErrors  Code = "TOO_MANY_ERRORS"

	CodeUnauthenticated Code = "UNAUTHENTICATED" // nobody knows who asks
	CodeForbidden       Code = "FORBIDDEN"       // who asks may not do it
)

// Error is a failure that its reader can act upon. Every other error is internal:
// it is logged with its cause and shown without it.
type Error struct {
	Code    Code
	Message string // for people; names nothing internal
	Field   string // the path of the argument or the input field at fault, such as input.users.3.email, or ""
	Err     error  // the cause, or nil; never shown

	CurrentVersion int64  // of the object of which another version was expected; 0: this is about no version
	Cursor         string // after which to subscribe again; "": this has not ended a subscription that can go on
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Errors is all that is wrong with an input, an error each.
type Errors []*Error

func (l Errors) Error() string {
	messages := make([]string, len(l))
	for i, e := range l {
		messages[i] = e.Error()
	}
	return strings.Join(messages, "; ")
}

// Err returns the errors as one: nil where there are none, and the only one as itself.
func (l Errors) Err() error {
	switch len(l) {
	case 0:
		return nil
	case 1:
		return l[0]
	default:
		return l
	}
}

// Unwrap returns the errors.
func (l Errors) Unwrap() []error {
	all := make([]error, len(l))
	for i, e := range l {
		all[i] = e
	}
	return all
}

// ErrorsOf returns what a client may see of an error about an input, which may be several; ok reports whether it may see all of it.
func ErrorsOf(err error) (list Errors, ok bool) {
	if list, ok = errors.AsType[Errors](err); ok {
		return list, true
	}
	one, ok := errors.AsType[*Error](err)
	if !ok {
		return nil, false
	}
	return Errors{one}, true
}

// Within returns an error about a part of an input as one about the whole: the paths of its fields, such as email, begin with
// that of the part then, such as users.3. An error that no client may see is returned as it is.
func Within(part string, err error) error {
	list, ok := ErrorsOf(err)
	if !ok {
		return err
	}
	whole := make(Errors, len(list))
	for i, e := range list {
		within := *e
		within.Field = strings.TrimSuffix(part+"."+e.Field, ".")
		whole[i] = &within
	}
	return whole.Err()
}

// BadInput returns a BAD_USER_INPUT error about one input field.
func BadInput(field, format string, args ...any) *Error {
	return &Error{Code: CodeBadUserInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// NotFound returns a NOT_FOUND error.
func NotFound(format string, args ...any) *Error {
	return &Error{Code: CodeNotFound, Message: fmt.Sprintf(format, args...)}
}

// Conflict returns a CONFLICT error.
func Conflict(format string, args ...any) *Error {
	return &Error{Code: CodeConflict, Message: fmt.Sprintf(format, args...)}
}

// Unauthenticated returns an UNAUTHENTICATED error.
func Unauthenticated(format string, args ...any) *Error {
	return &Error{Code: CodeUnauthenticated, Message: fmt.Sprintf(format, args...)}
}

// Forbidden returns a FORBIDDEN error about a field of an input, or about all that was asked for.
func Forbidden(field, format string, args ...any) *Error {
	return &Error{Code: CodeForbidden, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Internal returns an INTERNAL_SERVER_ERROR, which discloses nothing.
func Internal() *Error { return &Error{Code: CodeInternal, Message: "internal server error"} }

// Cancelled returns the CANCELLED error of an operation whose client has gone, or whose server is about to.
func Cancelled() *Error { return &Error{Code: CodeCancelled, Message: "the request was cancelled"} }

// TookTooLong returns the TIMEOUT error of an operation that has passed its deadline.
func TookTooLong(deadline time.Duration) *Error {
	return &Error{Code: CodeTimeout, Message: fmt.Sprintf("the operation took longer than %s", deadline)}
}

// MoreErrors returns the TOO_MANY_ERRORS error that stands for some more.
func MoreErrors(n int) *Error {
	return &Error{Code: CodeTooManyErrors, Message: fmt.Sprintf("there are %d more errors", n)}
}

// OutcomeUnknown returns the OUTCOME_UNKNOWN error of a mutation.
func OutcomeUnknown() *Error {
	return &Error{Code: CodeOutcomeUnknown, Message: "the database has not confirmed the commit: it is not known whether the mutation was stored"}
}

// CodeOf returns the code of the first Error in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Clip bounds what an error message repeats of its input.
func Clip(s string) string {
	const maxBytes = 64
	if len(s) <= maxBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxBytes], "") + "…"
}
