package scim

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// PatchSchema is the URN of the body of PATCH (RFC 7644, section 3.5.2).
const PatchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

// maxOperations is how many operations one PATCH has.
const maxOperations = 1000

// Op is what an operation of PATCH does.
type Op string

// The operations.
const (
	Add     Op = "add"
	Remove  Op = "remove"
	Replace Op = "replace"
)

// Operation is one operation of PATCH at one path, which clients can write and which is kept.
type Operation struct {
	Op     Op
	Path   Path
	Filter Filter // which elements of a multi-valued attribute it is about; nil: the attribute as a whole
	Value  any    // as the type of what the path leads to has it; nil: none
}

// operations reads the body of PATCH. Operations without a path are taken apart, and those about what is not kept are left out.
func (t *ResourceType) operations(body Resource) (all []Operation, err error) {
	if !hasSchema(body, PatchSchema) {
		return nil, Refuse(InvalidSyntax, "schemas must name %s", PatchSchema)
	}
	list, _ := member(body, "Operations").([]any)
	if len(list) == 0 || len(list) > maxOperations {
		return nil, Refuse(InvalidSyntax, "Operations must be a list of 1 to %d operations", maxOperations)
	}
	for _, one := range list {
		operation, ok := one.(Resource)
		if !ok {
			return nil, Refuse(InvalidSyntax, "an operation must be an object")
		}
		some, err := t.operation(operation)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// operation reads one operation. Its op has any case, since Entra sends Add and Replace.
func (t *ResourceType) operation(given Resource) ([]Operation, error) {
	name, _ := member(given, "op").(string)
	op := Op(strings.ToLower(name))
	if op != Add && op != Remove && op != Replace {
		return nil, Refuse(InvalidSyntax, "op must be add, remove or replace, not %q", clip(name))
	}
	path := member(given, "path")
	value, hasValue := lookup(given, "value")
	text, isText := path.(string)
	switch {
	case path != nil && !isText:
		return nil, Refuse(InvalidPath, "path must be a text")
	case isText && t.extension(text) == nil:
		if op != Remove && !hasValue {
			return nil, Refuse(InvalidValue, "the operation %s needs a value", op)
		}
		o, kept, err := t.at(op, text, value, true)
		if err != nil || !kept {
			return nil, err
		}
		return []Operation{o}, nil
	case op == Remove && !isText:
		return nil, Refuse(NoTarget, "the operation remove needs a path")
	case op == Remove:
		return t.removal(t.extension(text)), nil
	}
	object, ok := value.(Resource)
	if !ok {
		return nil, Refuse(InvalidValue, "the value of an operation that names no attribute must be an object")
	}
	prefix := ""
	if isText {
		prefix = text + ":"
	}
	return t.pathless(op, prefix, object)
}

// removal removes all attributes of an extension.
func (t *ResourceType) removal(e *Schema) (all []Operation) {
	for _, a := range e.Attributes {
		if !a.Ignored && !a.ReadOnly {
			all = append(all, Operation{Op: Remove, Path: Path{URN: e.URN, Attribute: a}})
		}
	}
	return all
}

// pathless takes apart an operation whose value has the attributes by their names. What clients cannot write is ignored there: Okta sends the id.
func (t *ResourceType) pathless(op Op, prefix string, object Resource) (all []Operation, err error) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if e := t.extension(name); e != nil && prefix == "" {
			part, ok := object[name].(Resource)
			if !ok {
				return nil, Refuse(InvalidValue, "%s must be an object", e.URN)
			}
			some, err := t.pathless(op, e.URN+":", part)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
			continue
		}
		o, kept, err := t.at(op, prefix+name, object[name], false)
		if err != nil {
			return nil, err
		}
		if kept {
			all = append(all, o)
		}
	}
	return all, nil
}

// at returns an operation at a path; kept reports whether it is about something that is kept.
func (t *ResourceType) at(op Op, text string, value any, strict bool) (o Operation, kept bool, err error) {
	o.Op = op
	if o.Path, o.Filter, err = t.parsePath(text); err != nil {
		return o, false, err
	}
	switch {
	case o.Path.readOnly() && strict:
		return o, false, Refuse(Mutability, "%s cannot be written", o.Path)
	case o.Path.ignored() || o.Path.readOnly():
		return o, false, nil
	}
	target := o.Path.leaf()
	if o.Filter != nil && o.Path.Sub == nil { // one element is given, which Entra puts into a list
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		if value != nil {
			o.Value, err = target.one(o.Path.String(), value)
		}
	} else {
		o.Value, err = target.value(o.Path.String(), value)
	}
	if err == nil && target.Required && o.Filter == nil && (op == Remove || op == Replace && isEmpty(o.Value)) {
		err = Refuse(Mutability, "%s cannot be removed", o.Path)
	}
	return o, err == nil, err
}

// parsePath reads the path of an operation (RFC 7644, figure 7). The error is invalidPath.
func (t *ResourceType) parsePath(text string) (path Path, filter Filter, err error) {
	name, rest, bracket := strings.Cut(text, "[")
	path, ok := t.path(strings.TrimSpace(name))
	if !ok {
		return path, nil, Refuse(InvalidPath, "a %s has no attribute %q", t.Name, clip(text))
	}
	if !bracket {
		return path, nil, nil
	}
	if !path.Attribute.Multi || path.Attribute.typ() != Complex || path.Sub != nil {
		return path, nil, Refuse(InvalidPath, "%s has no elements to choose from", path)
	}
	p := &filterParser{t: t, rest: rest, within: &path}
	if filter, err = p.enclosed("]"); err != nil {
		return path, nil, err
	}
	inner := path
	if sub, ok := strings.CutPrefix(p.rest, "."); ok {
		if inner.Sub = path.Attribute.sub(strings.TrimSpace(sub)); inner.Sub == nil {
			return path, nil, Refuse(InvalidPath, "%s has no sub-attribute %q", path, clip(sub))
		}
	} else if strings.TrimSpace(p.rest) != "" {
		return path, nil, Refuse(InvalidPath, "%q is not expected behind the brackets", clip(p.rest))
	}
	return inner, filter, nil
}

// Apply carries out operations in a resource, one after the other.
func (t *ResourceType) Apply(r Resource, all []Operation) error {
	for _, o := range all {
		if err := o.apply(r); err != nil {
			return err
		}
	}
	return nil
}

func (o Operation) apply(r Resource) error {
	in, a := within(r, o.Path, o.Op != Remove), o.Path.Attribute
	if a.Multi && a.typ() == Complex {
		list, _ := in[a.Name].([]any)
		list, err := o.applyTo(list)
		if in[a.Name] = list; len(list) == 0 {
			delete(in, a.Name)
		}
		return err
	}
	switch object, _ := in[a.Name].(Resource); {
	case (o.Op == Remove || o.Value == nil) && o.Path.Sub != nil:
		delete(object, o.Path.Sub.Name)
	case o.Op == Remove || o.Value == nil:
		delete(in, a.Name)
	case o.Path.Sub != nil:
		set(r, o.Path, o.Value)
	case a.typ() == Complex: // sub-attributes that are not given stay (RFC 7644, section 3.5.2.3)
		if object = merged(object, o.Value.(Resource)); len(object) == 0 {
			delete(in, a.Name)
			break
		}
		in[a.Name] = object
	default:
		in[a.Name] = o.Value
	}
	return nil
}

// applyTo carries out the operation in the elements of its attribute, and returns them as they are then.
func (o Operation) applyTo(list []any) ([]any, error) {
	switch {
	case o.Filter != nil:
		return o.applyToSome(list)
	case o.Path.Sub != nil && len(list) == 0 && o.Op != Remove && o.Value != nil:
		return []any{Resource{o.Path.Sub.Name: o.Value}}, nil
	case o.Path.Sub != nil:
		for _, element := range list {
			o.change(element.(Resource))
		}
		return list, nil
	case o.Op == Remove && o.Value != nil: // the elements that Entra names
		return slices.DeleteFunc(slices.Clone(list), func(one any) bool {
			return slices.ContainsFunc(o.Value.([]any), func(gone any) bool { return same(one, gone) })
		}), nil
	case o.Op == Remove || o.Value == nil && o.Op == Replace:
		return nil, nil
	case o.Op == Replace:
		return o.Value.([]any), nil
	case o.Value == nil:
		return list, nil
	}
	given := slices.Clone(o.Value.([]any))
	slices.SortStableFunc(given, func(one, other any) int { return cmp.Compare(weight(one), weight(other)) })
	for _, element := range given {
		list = o.Path.Attribute.added(list, element.(Resource))
	}
	return list, nil
}

// weight orders elements that are added: of two for one type the one that says so comes last, and stays.
func weight(element any) int {
	switch element := element.(Resource); {
	case element["type"] != nil && element["type"] != "":
		return 2
	case element["primary"] == true:
		return 1
	}
	return 0
}

// added returns elements with another one, which goes into the one of its type, if there is one: more than one of a type is not kept.
func (a *Attribute) added(list []any, element Resource) []any {
	i := slices.IndexFunc(list, func(one any) bool {
		return same(one, element) || a.sub("type") != nil && strings.EqualFold(a.typeOf(one.(Resource)), a.typeOf(element))
	})
	if i < 0 {
		return append(list, element)
	}
	list = slices.Clone(list)
	list[i] = merged(list[i].(Resource), element)
	return list
}

// typeOf is the type of an element; of one that says none it is the first that is kept.
func (a *Attribute) typeOf(element Resource) string {
	typ, _ := element["type"].(string)
	if kept := a.sub("type").Values; typ == "" && len(kept) > 0 {
		return kept[0]
	}
	return typ
}

// same reports whether elements are the same one: they have the same value, or are equal.
func same(a, b any) bool {
	one, _ := a.(Resource)
	other, _ := b.(Resource)
	if one["value"] != nil && other["value"] != nil {
		typ, _ := one["type"].(string)
		of, _ := other["type"].(string)
		return one["value"] == other["value"] && (typ == "" || of == "" || strings.EqualFold(typ, of))
	}
	return reflect.DeepEqual(a, b)
}

// applyToSome carries out the operation in the elements that its filter chooses.
func (o Operation) applyToSome(list []any) ([]any, error) {
	chosen := func(one any) bool { return Matches(o.Filter, one) }
	if o.Op == Remove && o.Path.Sub == nil {
		return slices.DeleteFunc(slices.Clone(list), chosen), nil
	}
	found := false
	for i, element := range list {
		if !chosen(element) {
			continue
		}
		found = true
		switch value, _ := o.Value.(Resource); {
		case o.Path.Sub != nil:
			changed := maps.Clone(element.(Resource))
			o.change(changed)
			list[i] = changed
		case o.Op == Replace && value["type"] != nil:
			list[i] = merged(nil, value)
		default:
			list[i] = merged(element.(Resource), value)
		}
	}
	element := Resource{}
	switch {
	case found || o.Op == Remove:
		return list, nil
	case o.elsewhere():
		return list, nil
	case o.Op == Replace: // RFC 7644, section 3.5.2.3
		return nil, Refuse(NoTarget, "no element of %s is chosen: add it", o.Path.Attribute.Name)
	case !described(o.Filter, element):
		return nil, Refuse(NoTarget, "no element of %s is chosen, and none can be made of that filter", o.Path.Attribute.Name)
	}
	if o.Path.Sub != nil {
		o.change(element)
	} else if value, ok := o.Value.(Resource); ok {
		element = merged(element, value)
	}
	return append(list, element), nil
}

// change sets the sub-attribute of an element.
func (o Operation) change(element Resource) {
	if o.Op == Remove || o.Value == nil {
		delete(element, o.Path.Sub.Name)
		return
	}
	element[o.Path.Sub.Name] = o.Value
}

// described fills an element as a filter describes it; ok reports whether it says no more than what some sub-attributes are.
func described(f Filter, element Resource) (ok bool) {
	switch f := f.(type) {
	case And:
		return !slices.ContainsFunc(f, func(one Filter) bool { return !described(one, element) })
	case Compare:
		if f.Operator == Equal && f.Value != nil {
			element[f.Path.leaf().Name] = f.Value
			return true
		}
	}
	return false
}

// elsewhere reports whether the operation is about elements of a type of which none are kept, such as mobile phones.
func (o Operation) elsewhere() bool {
	element := Resource{}
	typ := o.Path.Attribute.sub("type")
	if typ == nil || !described(o.Filter, element) {
		return false
	}
	is, given := element["type"].(string)
	return given && !slices.ContainsFunc(typ.Values, func(kept string) bool { return strings.EqualFold(kept, is) })
}
