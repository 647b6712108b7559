package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
)

// NewEngineHandler returns the API as gqlgen's engine alone answers it, from resolvers.
func NewEngineHandler(cfg Config) *API {
	return newHandler(cfg, func(_ *batch.Plan, es graphql.ExecutableSchema) graphql.ExecutableSchema { return es })
}
