package graph

// NewEngineHandler returns the API as gqlgen's engine alone answers it, from resolvers.
func NewEngineHandler(cfg Config) *API { return newHandler(cfg, false) }
