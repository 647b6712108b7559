package provisioning

import (
	"strings"
	"time"

	"rollcall/model"
	"rollcall/scim"
)

// kind is how a field of the directory's filters compares.
type kind int

const (
	text     kind = iota // a StringFilter
	instant              // a TimeFilter
	object               // an IDFilter
	status               // the status of a user, which active is
	joined               // a field that takes the id of an object beside the row
	constant             // no field: it has the same value in every resource, or in every element
	missing              // no field: it never has a value
)

// field is what an attribute is in the directory's filters.
type field struct {
	kind
	name  string // of the field of UserFilter or TeamFilter
	of    string // of an object, the type that its id begins with
	value any    // a constant
}

// filters compiles filters about one type into those of the directory's lists.
type filters map[string]field

const created, lastModified = "createdAt", "updatedAt"

// userFilters are the fields of users, by the paths of the attributes. A multi-valued attribute itself has the field that its element is made of.
func userFilters() filters {
	return filters{
		"id": {kind: object, name: "id", of: "User"}, "externalId": {name: "externalId"},
		"userName": {name: "email"}, "displayName": {name: "name"}, "name": {name: "name"}, "name.formatted": {name: "name"},
		"title": {name: "title"}, "timezone": {name: "timeZone"}, "active": {kind: status, name: "status"},
		"emails": {name: "email"}, "emails.value": {name: "email"}, "emails.type": {kind: constant, value: "work"}, "emails.primary": {kind: constant, value: true},
		"phoneNumbers": {name: "phone"}, "phoneNumbers.value": {name: "phone"}, "phoneNumbers.type": {kind: constant, value: "work"},
		"phoneNumbers.primary": {kind: constant, value: true},
		"addresses":            {name: "location"}, "addresses.formatted": {name: "location"}, "addresses.type": {kind: constant, value: "work"},
		"addresses.primary":           {kind: constant, value: true},
		"groups.value":                {kind: joined, name: "inTeam", of: "Team"},
		enterpriseURN + ":department": {name: "department"}, enterpriseURN + ":manager": {kind: object, name: "manager", of: "User"},
		enterpriseURN + ":manager.value": {kind: object, name: "manager", of: "User"},
		"meta.created":                   {kind: instant, name: created}, "meta.lastModified": {kind: instant, name: lastModified},
		"meta.resourceType": {kind: constant, value: "User"},
	}
}

// groupFilters are the fields of teams.
func groupFilters() filters {
	return filters{
		"id": {kind: object, name: "id", of: "Team"}, "displayName": {name: "name"},
		"members.value": {kind: joined, name: "hasMember", of: "User"},
		"meta.created":  {kind: instant, name: created}, "meta.lastModified": {kind: instant, name: lastModified},
		"meta.resourceType": {kind: constant, value: "Group"},
	}
}

type condition = map[string]any

// everything and nothing are the filters that all objects meet, and none.
func everything() condition { return condition{"id": condition{"notIn": []any{}}} }

func nothing() condition { return condition{"id": condition{"in": []any{}}} }

func all(is bool) condition {
	if is {
		return everything()
	}
	return nothing()
}

// list is a filter for a list of the directory; nil: all. The error is invalidFilter.
func (f filters) list(filter scim.Filter) (condition, error) {
	if filter == nil {
		return nil, nil
	}
	return f.compile(filter)
}

func (f filters) compile(filter scim.Filter) (condition, error) {
	switch filter := filter.(type) {
	case scim.And:
		return f.several("and", filter)
	case scim.Or:
		return f.several("or", filter)
	case scim.Not:
		c, err := f.compile(filter.Filter)
		return condition{"not": c}, err
	case scim.Within:
		if of, ok := f[filter.Path.String()+".value"]; ok && of.kind == joined {
			return f.among(filter, of)
		}
		c, err := f.compile(filter.Filter) // of the others a resource has one element at most
		if err != nil {
			return nil, err
		}
		return f.present(filter.Path, c)
	default:
		return f.compare(filter.(scim.Compare))
	}
}

func (f filters) several(operator string, filters []scim.Filter) (condition, error) {
	list := make([]any, len(filters))
	for i, one := range filters {
		c, err := f.compile(one)
		if err != nil {
			return nil, err
		}
		list[i] = c
	}
	return condition{operator: list}, nil
}

// among compiles what chooses elements by their values.
func (f filters) among(filter scim.Within, of field) (condition, error) {
	ids, ok := chosen(filter.Filter)
	if !ok {
		return nil, scim.Refuse(scim.InvalidFilter, "the elements of %s can be chosen by value eq alone here", filter.Path)
	}
	var list []any
	for _, id := range ids {
		c, err := byID(scim.Compare{Path: filter.Path, Operator: scim.Equal, Value: id}, of)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return condition{"or": list}, nil
}

// chosen returns the values of the elements that a filter chooses, if it says no more than that these are some. The type of all is the same.
func chosen(filter scim.Filter) (ids []string, ok bool) {
	switch filter := filter.(type) {
	case scim.Compare:
		id, isText := filter.Value.(string)
		return []string{id}, isText && filter.Operator == scim.Equal && filter.Path.Sub != nil && filter.Path.Sub.Name == "value"
	case scim.Or:
		for _, one := range filter {
			some, ok := chosen(one)
			if !ok {
				return nil, false
			}
			ids = append(ids, some...)
		}
		return ids, true
	}
	return nil, false
}

// present is the filter that an attribute has an element, and that this meets a filter besides.
func (f filters) present(path scim.Path, c condition) (condition, error) {
	path.Sub = nil
	of, ok := f[path.String()]
	if !ok || of.kind != text {
		return c, nil
	}
	return condition{"and": []any{condition{of.name: condition{"isNull": false}}, c}}, nil
}

func refused(c scim.Compare) error {
	return scim.Refuse(scim.InvalidFilter, "%s cannot be filtered by %s here", c.Path, c.Operator)
}

func (f filters) compare(c scim.Compare) (condition, error) {
	of, ok := f[c.Path.String()]
	switch {
	case !ok && (c.Path.Attribute.Ignored || c.Path.Sub != nil && c.Path.Sub.Ignored):
		of = field{kind: missing}
	case !ok:
		return nil, refused(c)
	}
	if c.Value == nil && c.Operator != scim.Present { // RFC 7644, section 3.4.2.2: null is what is not present
		filter, err := f.compare(scim.Compare{Path: c.Path, Operator: scim.Present})
		if c.Operator == scim.Equal {
			filter = condition{"not": filter}
		}
		return filter, err
	}
	switch of.kind {
	case missing:
		return all(c.Operator == scim.NotEqual), nil
	case constant:
		return f.constant(c, of.value)
	case status:
		return active(c, of.name), nil
	case object, joined:
		return byID(c, of)
	case instant:
		return byTime(c, of.name), nil
	default:
		return byText(c, of.name), nil
	}
}

// constant compares what is the same in every element that there is.
func (f filters) constant(c scim.Compare, value any) (condition, error) {
	holds := c.Holds(value)
	filter := all(holds)
	if !holds || c.Path.Sub == nil || !c.Path.Attribute.Multi {
		return filter, nil
	}
	return f.present(c.Path, filter)
}

// operators are what the directory calls them.
var operators = map[scim.Operator]string{
	scim.Equal: "eq", scim.NotEqual: "ne", scim.Contains: "contains", scim.StartsWith: "startsWith", scim.EndsWith: "endsWith",
	scim.Greater: "gt", scim.GreaterOrEqual: "gte", scim.Less: "lt", scim.LessOrEqual: "lte",
}

func byText(c scim.Compare, name string) condition {
	if c.Operator == scim.Present {
		return condition{name: condition{"isNull": false}}
	}
	return condition{name: condition{operators[c.Operator]: c.Value}}
}

func byTime(c scim.Compare, name string) condition {
	switch at, _ := c.Value.(time.Time); c.Operator {
	case scim.Present:
		return everything()
	case scim.NotEqual:
		return condition{"not": condition{name: condition{"eq": at}}}
	default:
		return condition{name: condition{operators[c.Operator]: at}}
	}
}

func active(c scim.Compare, name string) condition {
	if c.Operator == scim.Present {
		return everything()
	}
	is := model.StatusDeactivated
	if c.Value == (c.Operator == scim.Equal) {
		is = model.StatusActive
	}
	return condition{name: condition{"in": []any{string(is)}}}
}

// byID compares an id. What is no id of the type is that of no object.
func byID(c scim.Compare, of field) (condition, error) {
	if c.Operator == scim.Present && of.kind == object {
		if of.name == "id" {
			return everything(), nil
		}
		return condition{of.name: condition{"isNull": false}}, nil
	}
	if c.Operator != scim.Equal && c.Operator != scim.NotEqual {
		return nil, refused(c)
	}
	id := strings.TrimSpace(c.Value.(string))
	filter := nothing()
	if _, ok := number(of.of, id); ok {
		switch {
		case of.kind == object:
			filter = condition{of.name: condition{"in": []any{id}}}
		case of.of == "Team":
			filter = condition{of.name: condition{"id": id}}
		default:
			filter = condition{of.name: id}
		}
	}
	if c.Operator == scim.NotEqual {
		filter = condition{"not": filter}
	}
	return filter, nil
}
