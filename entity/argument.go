package entity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/batch"
	"rollcall/keyset"
)

// Key is the key of a list, which the list's arguments change.
type Key = keyset.Key

// argument is one that lists may have.
type argument struct {
	name, scalar string
	apply        func(value any, key *Key) error
}

// ListArgument declares an argument that lists of the schema may have, besides those that say in which order and which window of the
// list is read: apply changes the key of a list by its value, before its cursors are read, and returns a BAD_USER_INPUT error for one
// that it does not take. It is not called where the argument is left out or null.
func ListArgument[V string | int64 | bool | time.Time](s *Schema, name string, apply func(value V, key *Key) error) {
	k := kindOf[V]()
	s.arguments = append(s.arguments, argument{name, k.scalar, func(given any, key *Key) error {
		value, err := k.parse(given)
		if err != nil {
			return err
		}
		return apply(value, key)
	}})
}

// ownArguments are those that listKey reads itself.
var ownArguments = []string{"first", "after", "last", "before", orderArgument, queryArgument}

// checkArguments compares the arguments that the lists of a schema have with those that are declared.
func (s *Schema) checkArguments(schema *ast.Schema) error {
	var wrong []error
	taken := map[string]bool{}
	for _, list := range s.lists {
		for _, of := range list.definition(schema).Arguments {
			typ := of.Type.Name()
			i := slices.IndexFunc(s.arguments, func(a argument) bool { return a.name == of.Name })
			taken[of.Name] = true
			switch name := fmt.Sprintf("%s(%s:)", list.Name, of.Name); {
			case slices.Contains(ownArguments, of.Name), list.depth != nil && of.Name == depthArgument, list.nested != nil && of.Name == list.nestedBy:
			case of.Name == filterArgument:
				if want := list.of + "Filter"; typ != want {
					wrong = append(wrong, fmt.Errorf("entity: %s is a %s: let it be a %s", name, typ, want))
				}
			case i < 0:
				wrong = append(wrong, fmt.Errorf("entity: the schema has the argument %s, which is not declared: add entity.ListArgument(schema, %q, func(value %s, key *entity.Key) error { … })",
					name, of.Name, cmp.Or(scalars[typ].typ, "string")))
			case !batch.FitsScalar(s.arguments[i].scalar, schema.Types[typ]):
				wrong = append(wrong, fmt.Errorf("entity: %s is a %s, and its ListArgument takes a %s: let both be the same", name, typ, s.arguments[i].scalar))
			}
		}
	}
	for _, a := range s.arguments {
		if !taken[a.name] {
			wrong = append(wrong, fmt.Errorf("entity: ListArgument declares %s, and no list of the schema has it: add it to one, or take the declaration out", a.name))
		}
	}
	return errors.Join(wrong...)
}
