package entity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/keyset"
	"rollcall/scalar"
	"rollcall/session"
)

// queryArgument is the argument of a list of all objects that may be searched. The list is sorted by keyset.Relevance then, unless
// orderBy says otherwise.
const queryArgument = "query"

// maxWords is how many words one statement inserts.
const maxWords = keyset.MaxKeys / 2

// searching is how the objects of a type are searched.
type searching struct {
	keyset.Words
	parse func(query string) (phrase string, words []string, err error)
}

// Search declares that objects are found by words, which a table has: in the column word, and in the one that is the type's name in
// lower case with _id behind it the object's number. Objects whose column named begin begins with a query come first. words returns
// the words of an object, each once and in order, and parse those of a query, or a BAD_USER_INPUT error: see keyset.NewSearch.
func (o *Object[T]) Search(table, begin string, words func(*T) []string, parse func(query string) (phrase string, words []string, err error)) {
	o.words = words
	o.searchBy(table, begin, parse)
}

// searchBy is Search, whatever an object's words are.
func (o *objectBase) searchBy(table, begin string, parse func(query string) (phrase string, words []string, err error)) {
	o.search = &searching{keyset.Words{Table: table, Node: snake(o.name)[1:] + "_id", Name: "t." + begin}, parse}
	o.Order(keyset.Relevance)
}

// setSearch takes note of the words by which the list may be searched, when all is declared.
func (l *list) setSearch() {
	if l.search != nil && l.search() != nil {
		l.Words = &l.search().Words
	}
}

// parseSearch sets the search that an argument asks for, and the order where no other is asked for. The error is BAD_USER_INPUT.
func (l *list) parseSearch(args map[string]any, key *keyset.Key) error {
	given := args[queryArgument]
	if given == nil {
		if key.Order.By == keyset.Relevance {
			return apierror.BadInput(orderArgument, "nothing is sorted by %s without a %s", keyset.Relevance.Name, queryArgument)
		}
		return nil
	}
	query, err := scalar.UnmarshalString(given)
	if err != nil {
		return err
	}
	phrase, words, err := l.search().parse(query)
	if err != nil {
		return err
	}
	if key.Search = keyset.NewSearch(phrase, words); args[orderArgument] == nil {
		key.Order.By = keyset.Relevance
	}
	return nil
}

// Searches returns the argument of a field with a text to search for, and what counts the words of one that is allowed, for limit.Cost;
// "": the field is not searched.
func (s *Schema) Searches(field *ast.Field) (argument string, words func(text string) int) {
	for _, l := range s.lists {
		if l.typ == field.ObjectDefinition.Name && l.field == field.Name && l.Words != nil {
			return queryArgument, func(text string) int {
				_, words, _ := l.search().parse(text)
				return len(words)
			}
		}
	}
	return "", nil
}

// Words returns the words that an object is found by.
func (o *Object[T]) Words(t *T) []string {
	if o.search == nil {
		return nil
	}
	return o.words(t)
}

// StoreWords stores the words of objects in place of those that they had, if they had any.
func (o *Object[T]) StoreWords(ctx context.Context, had bool, objects ...*T) error {
	if o.search == nil {
		return nil
	}
	var ids []int64
	var rows []any
	for _, t := range objects {
		ids = append(ids, o.ID(t))
		for _, word := range o.words(t) {
			rows = append(rows, word, o.ID(t))
		}
	}
	return o.search.store(ctx, had, ids, rows)
}

// store is StoreWords of objects with some numbers: rows are each a word and a number.
func (w *searching) store(ctx context.Context, had bool, ids []int64, rows []any) error {
	db := session.DB(ctx)
	if had {
		for marks, args := range keyset.In(ids) {
			if err := db.Exec("DELETE FROM "+w.Table+" WHERE "+w.Node+" IN ("+marks+")", args...).Error; err != nil {
				return err
			}
		}
	}
	for chunk := range slices.Chunk(rows, 2*maxWords) {
		values := strings.TrimSuffix(strings.Repeat("(?, ?), ", len(chunk)/2), ", ")
		if err := db.Exec("INSERT INTO "+w.Table+" (word, "+w.Node+") VALUES "+values, chunk...).Error; err != nil {
			return err
		}
	}
	return nil
}

// checkSearches compares the arguments of lists that are searched with what is declared.
func (s *Schema) checkSearches(schema *ast.Schema) error {
	var wrong []error
	for _, l := range s.lists {
		switch argument := l.definition(schema).Arguments.ForName(queryArgument); {
		case argument != nil && l.Words == nil && l.typ == "Query":
			wrong = append(wrong, fmt.Errorf("entity: the schema has %s(%s:), and %s declares no words to be found by: add %ss.Search(…) to its declaration, or take the argument out",
				l.Name, queryArgument, l.of, strings.ToLower(l.of)))
		case argument != nil && l.Words == nil:
			wrong = append(wrong, fmt.Errorf("entity: the schema has %s(%s:), and only a list of all objects can be searched: take the argument out", l.Name, queryArgument))
		case argument != nil && schema.Types[argument.Type.Name()].Name != "String":
			wrong = append(wrong, fmt.Errorf("entity: %s(%s:) is a %s: let it be a String", l.Name, queryArgument, argument.Type))
		case argument == nil && l.Words != nil:
			wrong = append(wrong, fmt.Errorf("entity: %s declares words to be found by, and %s has no argument for that: add %s: String to it, or take Search out of the declaration",
				l.of, l.Name, queryArgument))
		}
	}
	return errors.Join(wrong...)
}
