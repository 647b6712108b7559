package scalar

import (
	"encoding/json"
	"io"
)

// Object is an input object that gqlgen leaves as it is given, once it is validated: whoever takes the argument reads what is in it.
type Object map[string]any

// UnmarshalGQL implements graphql.Unmarshaler.
func (o *Object) UnmarshalGQL(v any) error {
	given, ok := v.(map[string]any)
	if !ok {
		return unexpected("an object", v)
	}
	*o = given
	return nil
}

// MarshalGQL implements graphql.Marshaler, which gqlgen asks for too.
func (o Object) MarshalGQL(w io.Writer) { _ = json.NewEncoder(w).Encode(o) }
