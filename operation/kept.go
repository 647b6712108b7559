package operation

import (
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/idempotency"
)

// mutation returns what keeps the answer to a mutation with a key; nil: nothing does, as nothing of a dry run is kept.
func (r *run) mutation() *idempotency.Mutation {
	oc := r.operations[0]
	if r.asked.key == "" || r.asked.dryRun {
		return nil
	}
	variables, err := json.Marshal(oc.Variables)
	if err != nil { // a transport has put something there that is no JSON: no other mutation is taken for the same
		variables = []byte(r.Operation.ID)
	}
	return r.Keys.Mutation(r.parent, r.asked.key, oc.RawQuery, oc.Operation.Name, string(variables))
}

// kept is an answer as idempotency keys have it. A successful one has no other parts.
type kept struct {
	Data       json.RawMessage            `json:"data"`
	Extensions map[string]json.RawMessage `json:"extensions"`
}

// encode returns the text of a successful answer that is kept, and has the answer hold what that will be read as, so that this one and
// each that is replayed are written alike.
func encode(response *graphql.Response) []byte {
	text := append([]byte(`{"data":`), response.Data...)
	if len(response.Extensions) > 0 {
		extensions := make(map[string]any, len(response.Extensions))
		for name, value := range response.Extensions {
			raw, err := json.Marshal(value)
			if err != nil {
				raw = []byte("null")
			}
			extensions[name] = json.RawMessage(raw)
		}
		response.Extensions = extensions
		all, err := json.Marshal(extensions)
		if err != nil {
			all = []byte("null")
		}
		text = append(append(text, `,"extensions":`...), all...)
	}
	return append(text, '}')
}

// decode returns the answer that encode was given.
func decode(text []byte) (*graphql.Response, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	response := &graphql.Response{Data: k.Data}
	for name, value := range k.Extensions {
		if response.Extensions == nil {
			response.Extensions = map[string]any{}
		}
		response.Extensions[name] = value
	}
	return response, nil
}
