package limit

import "github.com/99designs/gqlgen/graphql"

// Of returns the cost of a valid operation.
func (c *Cost) Of(oc *graphql.OperationContext) Costs {
	costs, _ := c.of(oc)
	return costs
}
