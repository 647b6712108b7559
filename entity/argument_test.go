package entity

import (
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func TestTheArgumentsOfListsAreThoseThatAreDeclared(t *testing.T) {
	type row struct{ ID int64 }
	for _, c := range []struct {
		what, arguments string
		want            []string // nil: nothing is wrong
	}{
		{"both have it", "first: Int, after: String, open: Boolean", nil},
		{"one that is not declared", "open: Boolean, size: Int", []string{"Query.rows(size:)", `entity.ListArgument(schema, "size", func(value int64, key *entity.Key) error { … })`}},
		{"one of another type", "open: String", []string{"Query.rows(open:) is a String", "takes a Boolean"}},
		{"one that no list has", "first: Int", []string{"ListArgument declares open", "add it to one"}},
	} {
		schema, err := gqlparser.LoadSchema(&ast.Source{Input: "type Query { rows(" + c.arguments + "): ID }"})
		if err != nil {
			t.Fatal(err)
		}
		s := NewSchema(10)
		All(s, "rows", Define(s, "Row", "rows", func(r *row) *int64 { return &r.ID }))
		ListArgument(s, "open", func(bool, *Key) error { return nil })
		err = s.checkArguments(schema)
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", c.what, want, err)
			}
		}
	}
}

func TestAnArgumentChangesTheKeyUnlessItsValueIsWrong(t *testing.T) {
	s := NewSchema(10)
	ListArgument(s, "newest", func(newest bool, key *Key) error {
		key.Order.Descending = newest
		return nil
	})
	for _, value := range []any{true, false, nil} {
		key, err := s.listKey(map[string]any{"newest": value}, &list{})
		if err != nil || key.Order.Descending != (value == true) {
			t.Errorf("%v: %t, %v", value, key.Order.Descending, err)
		}
	}
	if _, err := s.listKey(map[string]any{"newest": "yes"}, &list{}); err == nil {
		t.Error("a string is taken for true or false")
	}
}

func TestDatabasesHaveSeveralWordsForTrueAndFalse(t *testing.T) {
	for _, c := range []struct {
		value any
		want  bool
	}{{true, true}, {int64(1), true}, {[]byte("1"), true}, {false, false}, {int64(0), false}, {[]byte("0"), false}} {
		got := !c.want
		if err := (boolField{&got}).Scan(c.value); err != nil || got != c.want {
			t.Errorf("%T %v: %t, %v", c.value, c.value, got, err)
		}
	}
	for _, value := range []any{"yes", []byte("perhaps"), nil} {
		if err := (boolField{new(bool)}).Scan(value); err == nil {
			t.Errorf("%T %v is taken", value, value)
		}
	}
}
