package entity

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/scalar"
)

// Find declares the field of Query that has the object with the global id in the argument id, or null.
func Find[T any](s *Schema, name string, o *Object[T]) {
	s.add(func() batch.Field {
		return batch.Relation("Query", name, o.byID, func(args batch.Args) (func(batch.Root) (int64, bool), error) {
			id, err := o.parseID("id", args["id"])
			if err != nil {
				return nil, err
			}
			return root(id), nil
		})
	})
}

// root is the key of a field of Query that has one.
func root[K any](key K) func(batch.Root) (K, bool) {
	return func(batch.Root) (K, bool) { return key, true }
}

// FindBy declares the field of Query that finds an object by a field that no two objects share; its argument has that field's name. It
// is null where there is none. normal returns the form in which a value is stored, and false where it cannot be stored: nothing is
// read then.
func FindBy[T any, V string | *string](s *Schema, name string, o *Object[T], f *Field[T, V], normal func(string) (value string, storable bool)) {
	source := batch.NewSource(func(ctx context.Context, values []string, columns batch.Columns) (map[string]*T, error) {
		names := columns.Of(o.name)
		if !slices.Contains(names, f.column) {
			names = append(names, f.column)
		}
		asked := o.asked(ctx, selects(columns, o.name), false)
		begin, within, args := o.begin(ctx, names, asked)
		all, err := o.selected(ctx, names, asked, having(begin, f.column, values, within, args))
		byValue := make(map[string]*T, len(all))
		for _, t := range all {
			if value, is := textOf(f.at(t)); is {
				byValue[value] = t
			}
		}
		return byValue, err
	})
	s.add(func() batch.Field {
		return batch.Relation("Query", name, source, func(args batch.Args) (func(batch.Root) (string, bool), error) {
			value, err := scalar.UnmarshalString(args[f.name])
			if err != nil {
				return nil, err
			}
			value, storable := normal(value)
			return func(batch.Root) (string, bool) { return value, storable }, nil
		})
	})
}

func (o *Object[T]) node(field string, key func(batch.Args) (func(batch.Root) (int64, bool), error)) batch.Field {
	return batch.Relation("Query", field, o.byID, key)
}

func (o *Object[T]) nodes(
	field string, keys func(batch.Args) (func(batch.Root) iter.Seq2[int64, bool], error), list func([]any) any,
) batch.Field {
	return batch.Relations("Query", field, o.byID, keys, list)
}

// Nodes declares the fields of Query that have whatever object has a global id, or null: one by the argument id, and several, in the
// order of the argument ids, which has at most as many as a page holds. N is the Go type that Node is bound to. All types with ids
// are declared before.
func Nodes[N any](s *Schema, one, several string) {
	list := func(objects []any) any {
		all := make([]N, len(objects))
		for i, object := range objects {
			all[i], _ = object.(N)
		}
		return all
	}
	s.Sized("Query", several, "ids")
	for _, o := range s.objects {
		if !o.isNode {
			continue
		}
		s.add(func() batch.Field {
			return o.node(one, func(args batch.Args) (func(batch.Root) (int64, bool), error) {
				typ, id, err := s.ParseID("id", args["id"])
				if err != nil {
					return nil, err
				}
				return func(batch.Root) (int64, bool) { return id, typ == o.Name() }, nil
			})
		})
		s.add(func() batch.Field { return o.nodes(several, s.nodeKeys(o.Name()), list) })
	}
}

// nodeKeys returns the keys in the argument ids, each of which counts if it is of a type.
func (s *Schema) nodeKeys(typ string) func(batch.Args) (func(batch.Root) iter.Seq2[int64, bool], error) {
	return func(args batch.Args) (func(batch.Root) iter.Seq2[int64, bool], error) {
		list := graphql.CoerceList(args["ids"]) // GraphQL takes one value for a list of one
		if len(list) > s.maxSize {
			return nil, keyset.TooLong("ids", len(list), s.maxSize)
		}
		types, ids := make([]string, len(list)), make([]int64, len(list))
		for i, arg := range list {
			var err error
			if types[i], ids[i], err = s.ParseID(fmt.Sprintf("ids.%d", i), arg); err != nil {
				return nil, err
			}
		}
		return func(batch.Root) iter.Seq2[int64, bool] {
			return func(yield func(int64, bool) bool) {
				for i, id := range ids {
					if !yield(id, types[i] == typ) {
						return
					}
				}
			}
		}, nil
	}
}

// ParseID splits the global id in an argument into its type and its number. The error is BAD_USER_INPUT, and blames a field.
func (s *Schema) ParseID(field string, argument any) (typ string, number int64, err error) {
	id, err := scalar.UnmarshalID(argument)
	if err != nil {
		return "", 0, err
	}
	typ, number, ok := keyset.ParseID(id)
	if ok && slices.ContainsFunc(s.objects, func(o object) bool { return o.Name() == typ && o.isNode }) {
		return typ, number, nil
	}
	var forms []string
	for _, o := range s.objects {
		if o.isNode {
			forms = append(forms, fmt.Sprintf("\"%s:%d\"", o.Name(), []int{42, 7}[len(forms)%2]))
		}
	}
	return "", 0, apierror.BadInput(field, "%q is not an id: expected a form like %s", apierror.Clip(id), strings.Join(forms, " or "))
}
