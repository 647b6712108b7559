package scim

import (
	"context"
	"slices"
	"strings"
)

// Store keeps the resources of one type. Resources have an id, and meta with version and, if they are known, created and lastModified; the rest of
// meta, and schemas, are the Service's. An error that is no *Error is told by Service.Translate.
type Store interface {
	// Get returns a resource. Errors: 404, tooMany.
	Get(ctx context.Context, id string, s Selection) (Resource, error)
	// List returns some resources. Errors: invalidFilter, invalidCursor, tooMany.
	List(ctx context.Context, q Query) (Page, error)
	// Create adds a resource. Errors: invalidValue, uniqueness, tooMany.
	Create(ctx context.Context, r Resource, s Selection) (Resource, error)
	// Replace gives a resource other values. Errors: those of Create, 404, 412.
	Replace(ctx context.Context, id string, m Match, r Resource, s Selection) (Resource, error)
	// Patch changes a resource. If what it returns has no more than meta, the answer has no body. Errors: those of Replace, noTarget, mutability.
	Patch(ctx context.Context, id string, m Match, all []Operation, s Selection) (Resource, error)
	// Delete removes a resource. Errors: 404, 409, 412.
	Delete(ctx context.Context, id string, m Match) error
}

// Match is the versions that a request expects, as If-Match has them (RFC 7644, section 3.14); nil: any.
type Match []string

// matchOf reads If-Match.
func matchOf(header string) Match {
	if header == "" || strings.TrimSpace(header) == "*" {
		return nil
	}
	m := Match{}
	for one := range strings.SplitSeq(header, ",") {
		m = append(m, opaque(one))
	}
	return m
}

// opaque is an entity tag without what says that it is weak.
func opaque(tag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
}

// Has reports whether a version, such as W/"3", is among those that are expected.
func (m Match) Has(version string) bool {
	return m == nil || slices.Contains(m, opaque(version))
}
