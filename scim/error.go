package scim

import (
	"fmt"
	"net/http"
	"strconv"
)

// ErrorSchema is the URN of the body of an error (RFC 7644, section 3.12).
const ErrorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"

// ErrorType says what is wrong with a request (RFC 7644, table 9, and RFC 9865, section 2.1).
type ErrorType string

// The types.
const (
	InvalidFilter ErrorType = "invalidFilter"
	TooMany       ErrorType = "tooMany"
	Uniqueness    ErrorType = "uniqueness"
	Mutability    ErrorType = "mutability"
	InvalidSyntax ErrorType = "invalidSyntax"
	InvalidPath   ErrorType = "invalidPath"
	NoTarget      ErrorType = "noTarget"
	InvalidValue  ErrorType = "invalidValue"
	InvalidCursor ErrorType = "invalidCursor"
)

// Error is a failure that a client is told of.
type Error struct {
	Status int
	Type   ErrorType // "": none of them
	Detail string    // for people; names nothing internal
}

func (e *Error) Error() string { return e.Detail }

// Refuse returns an error with the status 400.
func Refuse(typ ErrorType, format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, typ, fmt.Sprintf(format, args...)}
}

// Failed returns an error that has a status and no type.
func Failed(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// NotFound returns the error about a resource that is not there.
func NotFound(id string) *Error {
	return Failed(http.StatusNotFound, "there is no resource %q", clip(id))
}

// Stale returns the error about a resource that has another version than a request expects (RFC 7644, section 3.14).
func Stale(id string) *Error {
	return Failed(http.StatusPreconditionFailed, "%s has another version by now: get it, and try again", clip(id))
}

// body is the error as an answer has it: its status is a string.
func (e *Error) body() Resource {
	body := Resource{"schemas": []any{ErrorSchema}, "status": strconv.Itoa(e.Status), "detail": e.Detail}
	if e.Type != "" {
		body["scimType"] = string(e.Type)
	}
	return body
}

// clip bounds what a message repeats of a request.
func clip(s string) string {
	const maxRunes = 64
	runes := []rune(s)
	if len(runes) <= maxRunes {
		return s
	}
	return string(runes[:maxRunes]) + "…"
}
