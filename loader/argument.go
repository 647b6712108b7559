package loader

import (
	"iter"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/model"
	"rollcall/scalar"
)

// always is the key of a relation that every object has.
func always[P any](key func(P) int64) func(batch.Args) func(P) (int64, bool) {
	return batch.Key(func(p P) (int64, bool) { return key(p), true })
}

// root is the key of a relation of Query that has one.
func root[K any](key K) func(batch.Root) (K, bool) {
	return func(batch.Root) (K, bool) { return key, true }
}

// idArg is the key in the argument id, which has to be of a type.
func idArg(typ string) func(batch.Args) func(batch.Root) (int64, bool) {
	return func(args batch.Args) func(batch.Root) (int64, bool) {
		s, err := scalar.UnmarshalID(args["id"])
		if err != nil {
			return nil
		}
		id, err := model.ParseIDOf(typ, "id", s)
		if err != nil {
			return nil
		}
		return root(id)
	}
}

// nodeArg is the key in the argument id, if it is of a type.
func nodeArg(typ string) func(batch.Args) func(batch.Root) (int64, bool) {
	return func(args batch.Args) func(batch.Root) (int64, bool) {
		of, id, err := parseID(args["id"])
		if err != nil {
			return nil
		}
		return func(batch.Root) (int64, bool) { return id, of == typ }
	}
}

func parseID(arg any) (typ string, id int64, err error) {
	s, err := scalar.UnmarshalID(arg)
	if err != nil {
		return "", 0, err
	}
	return model.ParseID(s)
}

// nodesArg is the keys in the argument ids, each if it is of a type.
func nodesArg(typ string, most int) func(batch.Args) func(batch.Root) iter.Seq2[int64, bool] {
	return func(args batch.Args) func(batch.Root) iter.Seq2[int64, bool] {
		list := graphql.CoerceList(args["ids"]) // GraphQL takes one value for a list of one
		if len(list) > most {
			return nil
		}
		types, ids := make([]string, len(list)), make([]int64, len(list))
		for i, arg := range list {
			var err error
			if types[i], ids[i], err = parseID(arg); err != nil {
				return nil
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
		}
	}
}

func emailArg(args batch.Args) func(batch.Root) (string, bool) {
	s, err := scalar.UnmarshalString(args["email"])
	if err != nil {
		return nil
	}
	return root(model.NormalEmail(s))
}

// pageArg is the page in the arguments first and after.
func pageArg(typ string, most int, args batch.Args) (page model.Page, err error) {
	var in model.PageArgs
	if arg := args["first"]; arg != nil {
		first, err := scalar.UnmarshalInt(arg)
		if err != nil {
			return page, err
		}
		in.First = &first
	}
	if arg := args["after"]; arg != nil {
		after, err := scalar.UnmarshalString(arg)
		if err != nil {
			return page, err
		}
		in.After = &after
	}
	return in.Page(typ, most)
}

func pageOf(typ string, most int) func(batch.Args) func(batch.Root) (model.Page, bool) {
	return func(args batch.Args) func(batch.Root) (model.Page, bool) {
		page, err := pageArg(typ, most, args)
		if err != nil {
			return nil
		}
		return root(page)
	}
}

func listOf[P any](typ string, most int, id func(P) int64) func(batch.Args) func(P) (List, bool) {
	return func(args batch.Args) func(P) (List, bool) {
		page, err := pageArg(typ, most, args)
		if err != nil {
			return nil
		}
		return func(parent P) (List, bool) { return List{id(parent), page}, true }
	}
}
