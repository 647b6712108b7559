package entity

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/apierror"
	"rollcall/keyset"
	"rollcall/scalar"
)

// A list that may be sorted has the argument orderBy: {field, direction}. The enum of field has ID, the fields of the list's objects and
// edges that are declared with Order, as NAME or CREATED_AT, and what is declared with Object.Order.
const (
	orderArgument = "orderBy"
	byID          = "ID"
	descending    = "DESC"
)

// orderName returns the name that a field has in the enum of an order.
func orderName(field string) string { return strings.ToUpper(snake(field)) }

// fieldName returns the name of the field that has a name in the enum of an order.
func fieldName(order string) string {
	words := strings.Split(strings.ToLower(order), "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// Order declares an order of lists of the objects that no field has: it is in the key of a list whose enum has its name.
func (o *objectBase) Order(by *keyset.Sort) { o.orders = append(o.orders, by) }

// sorts returns the fields that lists may be sorted by, where a statement has their table by a name.
func (o *objectBase) sorts(table string) (all []*keyset.Sort) {
	if o == nil {
		return nil
	}
	for _, f := range o.fields {
		if by := f.sort(table); by != nil {
			all = append(all, by)
		}
	}
	return all
}

// indexed returns the columns of lists of the objects that are for keyset.List's Indexed.
func (o *objectBase) indexed() (all []string) {
	for _, f := range o.fields {
		if column := f.indexed(); column != "" {
			all = append(all, "t."+column)
		}
	}
	return all
}

// setOrder takes note of what the list may be sorted by, when all is declared.
func (l *list) setOrder() {
	columns, others := l.sorts()
	l.order = map[string]*keyset.Sort{byID: nil}
	for _, by := range slices.Concat(columns, others) {
		l.order[by.Name] = by
	}
}

// parseOrder returns the order that an argument asks for. The error is BAD_USER_INPUT.
func (l *list) parseOrder(value any) (order keyset.Order, err error) {
	if value == nil {
		return keyset.Order{By: l.depth, Descending: l.newest}, nil
	}
	input, _ := value.(map[string]any)
	name, err := scalar.UnmarshalString(input["field"])
	if err != nil {
		return order, err
	}
	by, known := l.order[name]
	if !known {
		return order, apierror.BadInput(orderArgument, "this list cannot be sorted by %s", apierror.Clip(name))
	}
	return keyset.Order{By: by, Descending: input["direction"] == descending}, nil
}

// checkOrders compares the orders that the lists of a schema have with those that are declared.
func (s *Schema) checkOrders(schema *ast.Schema) error {
	var wrong []error
	taken, declared := map[string]bool{}, []string{} // as "User.NAME"
	for _, l := range s.lists {
		columns, others := l.sorts()
		for _, by := range slices.Concat(columns, others) {
			declared = append(declared, l.of+"."+by.Name)
		}
		argument := l.definition(schema).Arguments.ForName(orderArgument)
		if argument == nil {
			continue
		}
		field := schema.Types[argument.Type.Name()].Fields.ForName("field")
		if field == nil {
			wrong = append(wrong, fmt.Errorf("entity: %s(%s:) is a %s, which has no field: make it an input with field, an enum, and direction", l.Name, orderArgument, argument.Type.Name()))
			continue
		}
		enum := schema.Types[field.Type.Name()]
		for _, value := range enum.EnumValues {
			taken[l.of+"."+value.Name] = true
			if _, known := l.order[value.Name]; !known {
				wrong = append(wrong, fmt.Errorf("entity: the schema has %s.%s, and %s cannot be sorted by it: add .Order() behind the declaration of %s, or take the value out",
					enum.Name, value.Name, l.Name, fieldName(value.Name)))
			}
		}
		for _, by := range columns {
			if enum.EnumValues.ForName(by.Name) == nil {
				wrong = append(wrong, fmt.Errorf("entity: %s can be sorted by %s, and %s does not have it: add %[2]s there, or take .Order() out behind the declaration of %s",
					l.Name, by.Name, enum.Name, fieldName(by.Name)))
			}
			taken[l.of+"."+by.Name] = true
		}
	}
	slices.Sort(declared)
	for _, order := range slices.Compact(declared) {
		if !taken[order] {
			wrong = append(wrong, fmt.Errorf("entity: %s is declared with Order, and no list has it: add it to the enum of the argument %s of one, or leave Order out", order, orderArgument))
		}
	}
	return errors.Join(wrong...)
}
