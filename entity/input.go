package entity

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"rollcall/apierror"
	"rollcall/keyset"
	"rollcall/scalar"
)

// Input is an input object of the API: values by the names of its fields. A value may be behind a pointer, which is nil for null.
type Input map[string]any

// value returns what an input has for a field.
func (in Input) value(field string) (value any, given bool) {
	if field == "" {
		return nil, false
	}
	value, given = in[field]
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, given
		}
		value = v.Elem().Interface()
	}
	return value, given
}

// Int returns the whole number that an input has in a field; nil: none is given, or null. The error is BAD_USER_INPUT.
func (in Input) Int(field string) (*int64, error) {
	given, _ := in.value(field)
	if given == nil {
		return nil, nil
	}
	n, err := scalar.UnmarshalInt64(given)
	return &n, about(field, err)
}

// Bool returns what an input has in a field that is true or false: false where none is given, or null. The error is BAD_USER_INPUT.
func (in Input) Bool(field string) (bool, error) {
	given, _ := in.value(field)
	if given == nil {
		return false, nil
	}
	is, err := scalar.UnmarshalBoolean(given)
	return is, about(field, err)
}

// Choice returns which of some words an input has in a field: the first of them where none is given, or null. The error is BAD_USER_INPUT.
func Choice[S ~string](in Input, field string, words ...S) (S, error) {
	given, _ := in.value(field)
	if given == nil {
		return words[0], nil
	}
	word, err := textKind[S]().parse(given)
	if err == nil && !slices.Contains(words, word) {
		err = apierror.BadInput(field, "%s must be one of %v, not %q", field, words, apierror.Clip(string(word)))
	}
	return word, about(field, err)
}

// List returns the inputs that an input has in a field; null is none. The error is BAD_USER_INPUT.
func (in Input) List(field string) ([]Input, error) {
	given, _ := in.value(field)
	if given == nil {
		return nil, nil
	}
	list := reflect.ValueOf(given)
	if list.Kind() != reflect.Slice {
		return nil, apierror.BadInput(field, "%s must be a list of inputs", field)
	}
	all := make([]Input, list.Len())
	for i := range all {
		switch one := list.Index(i).Interface().(type) {
		case map[string]any:
			all[i] = one
		case Input:
			all[i] = one
		default:
			return nil, apierror.BadInput(fmt.Sprintf("%s.%d", field, i), "%s must be a list of inputs", field)
		}
	}
	return all, nil
}

// Strings returns the strings that an input has in a field; null is none. The error is BAD_USER_INPUT.
func (in Input) Strings(field string) ([]string, error) {
	given, _ := in.value(field)
	switch list := given.(type) {
	case nil:
		return nil, nil
	case []string:
		return list, nil
	case []any:
		all := make([]string, len(list))
		for i, one := range list {
			var err error
			if all[i], err = scalar.UnmarshalID(one); err != nil {
				return nil, about(fmt.Sprintf("%s.%d", field, i), err)
			}
		}
		return all, nil
	}
	return nil, apierror.BadInput(field, "%s must be a list of strings", field)
}

// about has an error about a value blame an input's field, unless it blames one.
func about(field string, err error) error {
	if e, ok := errors.AsType[*apierror.Error](err); ok && e.Field == "" {
		return apierror.Within(field, err)
	}
	return err
}

// ParseID returns the number in a global id of the type. The error is BAD_USER_INPUT, and blames an input field.
func (o *objectBase) ParseID(field, id string) (int64, error) {
	if typ, number, ok := keyset.ParseID(id); ok && typ == o.name {
		return number, nil
	}
	return 0, apierror.BadInput(field, "%q is not the id of a %s: expected a form like \"%s:42\"", apierror.Clip(id), strings.ToLower(o.name), o.name)
}

// parseID is ParseID for an input's value.
func (o *objectBase) parseID(field string, value any) (int64, error) {
	id, err := scalar.UnmarshalID(value)
	if err != nil {
		return 0, err
	}
	return o.ParseID(field, id)
}

// InputID returns the number in the global id that an input has. The error is BAD_USER_INPUT.
func (o *objectBase) InputID(input Input) (int64, error) { return o.RequiredID(input, "id") }

// RequiredID returns the number in the global id that an input has in a field. The error is BAD_USER_INPUT.
func (o *objectBase) RequiredID(input Input, field string) (int64, error) {
	id, err := o.OptionalID(input, field)
	if err == nil && id == nil {
		err = apierror.BadInput(field, "%s must be the id of a %s", field, strings.ToLower(o.name))
	}
	if err != nil {
		return 0, err
	}
	return *id, nil
}

// OptionalID returns the number in the global id that an input has in a field; nil: none is given, or null. The error is BAD_USER_INPUT.
func (o *objectBase) OptionalID(input Input, field string) (*int64, error) {
	given, _ := input.value(field)
	if given == nil {
		return nil, nil
	}
	id, err := o.parseID(field, given)
	return &id, about(field, err)
}

// faults are what is wrong with an input, in the order in which it was found.
type faults struct {
	list  apierror.Errors
	other error // the first that no client may see
}

// note notes an error about a field, or nil.
func (f *faults) note(field string, err error) {
	if err == nil {
		return
	}
	list, ok := apierror.ErrorsOf(about(field, err))
	if !ok {
		f.other = cmp.Or(f.other, err)
	}
	f.list = append(f.list, list...)
}

// err returns all that was noted.
func (f *faults) err() error {
	return cmp.Or(f.other, f.list.Err())
}
