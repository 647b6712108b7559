package scim

import (
	"slices"
	"strings"
)

// Selection says which attributes an answer has (RFC 7644, section 3.9). The zero value is all.
type Selection struct {
	only, without []string // in lower case
	limited       bool     // only is in force
}

// Only reports whether a request has named the attributes that it asks for.
func (s Selection) Only() bool { return s.limited }

// Has reports whether an answer has an attribute, such as members, or a part of it.
func (s Selection) Has(attribute string) bool {
	attribute = strings.ToLower(attribute)
	if slices.Contains(s.without, attribute) {
		return false
	}
	if !s.limited {
		return true
	}
	for _, path := range s.only {
		if path == attribute || strings.HasPrefix(path, attribute+".") || strings.HasPrefix(attribute, path+":") {
			return true
		}
	}
	return false
}

// selection reads the parameters attributes and excludedAttributes. Names that no schema has select nothing.
func (t *ResourceType) selection(only, without []string) (s Selection, err error) {
	if len(only) > 0 && len(without) > 0 {
		return s, Refuse(InvalidValue, "attributes and excludedAttributes cannot be given together")
	}
	s.limited = len(only) > 0
	s.only, s.without = t.paths(only), t.paths(without)
	return s, nil
}

// paths are names of attributes in one form.
func (t *ResourceType) paths(names []string) (all []string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		if path, ok := t.path(name); ok {
			all = append(all, strings.ToLower(path.String()))
		} else if t.extension(name) != nil {
			all = append(all, strings.ToLower(name))
		}
	}
	return all
}

// project leaves out of a resource what is not selected.
func (t *ResourceType) project(r Resource, s Selection) Resource {
	answer := s.part(r, "", t.attribute)
	for _, e := range t.Extensions {
		part, ok := r[e.URN].(Resource)
		if !ok {
			continue
		}
		if part = s.part(part, e.URN+":", e.attribute); len(part) > 0 && (s.limited || s.Has(e.URN)) {
			answer[e.URN] = part
		}
	}
	return answer
}

// part projects the attributes of one schema, whose names have a prefix in paths.
func (s Selection) part(r Resource, prefix string, find func(string) *Attribute) Resource {
	answer := Resource{}
	for name, value := range r {
		a := find(name)
		if a == nil {
			continue
		}
		path := prefix + a.Name
		switch {
		case a.Always:
			answer[name] = value
		case s.Has(path):
			if value := s.subs(path, value); value != nil {
				answer[name] = value
			}
		}
	}
	return answer
}

// subs projects the sub-attributes of a value.
func (s Selection) subs(path string, value any) any {
	switch value := value.(type) {
	case Resource:
		answer := Resource{}
		for name, v := range value {
			if s.hasSub(strings.ToLower(path), strings.ToLower(name)) {
				answer[name] = v
			}
		}
		if len(answer) == 0 {
			return nil
		}
		return answer
	case []any:
		answer := make([]any, 0, len(value))
		for _, one := range value {
			if one = s.subs(path, one); one != nil {
				answer = append(answer, one)
			}
		}
		return answer
	}
	return value
}

func (s Selection) hasSub(attribute, sub string) bool {
	if slices.Contains(s.without, attribute+"."+sub) {
		return false
	}
	if !s.limited {
		return true
	}
	for _, path := range s.only {
		if path == attribute || path == attribute+"."+sub || strings.HasPrefix(attribute, path+":") {
			return true
		}
	}
	return false
}
