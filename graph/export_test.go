package graph

// NewEngineHandler returns the API as gqlgen's engine alone answers it, from resolvers.
func NewEngineHandler(cfg Config) *API { return newHandler(cfg, false) }

// Logged reports whether an answer with a field of Query can have an ETag.
func Logged(field string) bool { return logged[field] }
