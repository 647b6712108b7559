package scim

import (
	"maps"
	"slices"
	"strings"
)

// member returns the value that a message has under a name, in any case.
func member(message Resource, name string) any {
	value, _ := lookup(message, name)
	return value
}

// lookup is member, and reports whether there is one.
func lookup(message Resource, name string) (value any, ok bool) {
	if value, ok = message[name]; ok {
		return value, true
	}
	for key, value := range message {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return nil, false
}

// unambiguous refuses a message that has a name twice, in different cases, at any level: names have no case (RFC 7643, section 2.1).
func unambiguous(message any) error {
	switch message := message.(type) {
	case []any:
		for _, one := range message {
			if err := unambiguous(one); err != nil {
				return err
			}
		}
	case Resource:
		seen := map[string]bool{}
		for key, value := range message {
			folded := strings.ToLower(strings.ToUpper(key)) // as strings.EqualFold compares
			if seen[folded] {
				return Refuse(InvalidSyntax, "%s is there twice, in different cases", clip(folded))
			}
			seen[folded] = true
			if err := unambiguous(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasSchema reports whether a message says that it has a schema (RFC 7643, section 3).
func hasSchema(message Resource, urn string) bool {
	list, _ := member(message, "schemas").([]any)
	return slices.ContainsFunc(list, func(one any) bool {
		text, _ := one.(string)
		return strings.EqualFold(text, urn)
	})
}

// read returns a resource as a client describes it: with the names of the schemas, values of their types, and without what clients cannot
// write, what is not kept, and what no schema has (RFC 7644, section 3.3).
func (t *ResourceType) read(body Resource) (Resource, error) {
	if !hasSchema(body, t.Schema.URN) {
		return nil, Refuse(InvalidSyntax, "schemas must name %s", t.Schema.URN)
	}
	r := Resource{}
	for _, key := range slices.Sorted(maps.Keys(body)) {
		given := body[key]
		if e := t.extension(key); e != nil {
			object, ok := given.(Resource)
			if !ok && given != nil {
				return nil, Refuse(InvalidValue, "%s must be an object", e.URN)
			}
			for _, name := range slices.Sorted(maps.Keys(object)) {
				if err := t.put(r, e.URN+":"+name, object[name]); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := t.put(r, key, given); err != nil {
			return nil, err
		}
	}
	for _, a := range t.Schema.Attributes {
		if a.Required && isEmpty(r[a.Name]) {
			return nil, Refuse(InvalidValue, "%s must be given", a.Name)
		}
	}
	return r, nil
}

// put sets a value of a resource, if there is such an attribute and clients can write it.
func (t *ResourceType) put(r Resource, name string, given any) error {
	path, ok := t.path(name)
	if !ok || path.ignored() || path.readOnly() {
		return nil
	}
	value, err := path.leaf().value(path.String(), given)
	if err != nil || value == nil {
		return err
	}
	if object, ok := value.(Resource); ok {
		value = merged(nil, object)
	}
	set(r, path, value)
	return nil
}

// set sets a value at a path.
func set(r Resource, path Path, value any) {
	in := within(r, path, true)
	if path.Sub == nil {
		in[path.Attribute.Name] = value
		return
	}
	object, _ := in[path.Attribute.Name].(Resource)
	if object == nil {
		object = Resource{}
	}
	object[path.Sub.Name] = value
	in[path.Attribute.Name] = object
}

// within returns the part of a resource that has a path's attribute: the resource itself, or that of an extension, which is made if that is asked for.
func within(r Resource, path Path, create bool) Resource {
	if path.URN == "" {
		return r
	}
	part, _ := r[path.URN].(Resource)
	if part == nil {
		part = Resource{}
		if create {
			r[path.URN] = part
		}
	}
	return part
}

func isEmpty(value any) bool { return value == nil || value == "" }

// merged returns a resource with the values of another one besides, or in place of its own. What is nil there it has no more.
func merged(r, with Resource) Resource {
	all := Resource{}
	maps.Copy(all, r)
	maps.Copy(all, with)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// value returns a value as the attribute's type has it; nil: none is given (RFC 7643, section 2.5), which an empty list is not. The error is
// invalidValue.
func (a *Attribute) value(path string, given any) (any, error) {
	if given == nil {
		return nil, nil
	}
	if !a.Multi {
		return a.one(path, given)
	}
	list, ok := given.([]any)
	if !ok {
		list = []any{given}
	}
	all := []any{}
	for _, one := range list {
		v, err := a.one(path, one)
		if err != nil {
			return nil, err
		}
		if object, ok := v.(Resource); ok {
			object = merged(nil, object)
			if err := a.complete(path, object); err != nil {
				return nil, err
			}
			if v = object; len(object) == 0 {
				continue
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// complete refuses an element that lacks what every one has.
func (a *Attribute) complete(path string, element Resource) error {
	for _, sub := range a.Sub {
		if sub.Required && isEmpty(element[sub.Name]) {
			return Refuse(InvalidValue, "%s.%s must be given", path, sub.Name)
		}
	}
	return nil
}

// one is value for one of several values. Of a complex one it has nil for each sub-attribute that is given as null.
func (a *Attribute) one(path string, given any) (any, error) {
	switch a.typ() {
	case Complex:
		object, ok := given.(Resource)
		if text, is := given.(string); is && a.sub("value") != nil { // as Entra sends managers
			object, ok = Resource{"value": text}, true
		}
		if !ok {
			return nil, Refuse(InvalidValue, "%s must be an object", path)
		}
		r := Resource{}
		for name, v := range object {
			sub := a.sub(name)
			if sub == nil || sub.Ignored || sub.ReadOnly {
				continue
			}
			v, err := sub.value(path+"."+sub.Name, v)
			if err != nil {
				return nil, err
			}
			r[sub.Name] = v
		}
		return r, nil
	case Boolean:
		is, ok := truth(given)
		if !ok {
			return nil, Refuse(InvalidValue, "%s must be true or false", path)
		}
		return is, nil
	}
	if _, ok := given.(string); !ok {
		return nil, Refuse(InvalidValue, "%s must be a text", path)
	}
	return given, nil
}
