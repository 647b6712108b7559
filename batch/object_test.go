package batch

import (
	"strings"
	"testing"
)

type book struct{ title string }

func (b *book) Title() string { return b.title }

type titled interface{ Title() string }

func TestTheObjectOfAFieldIsFoundHoweverGqlgenHoldsIt(t *testing.T) {
	pointer := &book{"a"}
	object := titled(pointer)
	for what, parent := range map[string]any{
		"a pointer": pointer, "an element of a list": &pointer, "an element of an abstract type": &object, "a struct": *pointer,
	} {
		if got := ObjectOf[*book](parent); got.title != "a" {
			t.Errorf("%s: got %v", what, got)
		}
		if got := ObjectOf[titled](parent); got.Title() != "a" {
			t.Errorf("%s, as an interface: got %v", what, got)
		}
	}
	var none titled
	for what, parent := range map[string]any{"nothing": nil, "a nil": &none, "another type": &struct{}{}} {
		func() {
			defer func() {
				if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), "*batch.book is what the field is declared for") {
					t.Errorf("%s: got %v", what, err)
				}
			}()
			ObjectOf[*book](parent)
		}()
	}
}
