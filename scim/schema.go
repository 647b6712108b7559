package scim

import (
	"strings"
)

// Resource is a resource, or a part of it, as JSON has it.
type Resource = map[string]any

// Type is the data type of an attribute (RFC 7643, section 2.3).
type Type string

// The types.
const (
	String    Type = "string"
	Boolean   Type = "boolean"
	DateTime  Type = "dateTime"
	Reference Type = "reference"
	Complex   Type = "complex"
)

// Attribute is an attribute of a schema (RFC 7643, section 7).
type Attribute struct {
	Name        string
	Type        Type // "": String
	Description string
	Multi       bool
	Required    bool // of a sub-attribute: each element has it
	CaseExact   bool
	ReadOnly    bool
	Always      bool // is returned whatever a request asks for
	Unique      bool
	Values      []string // that it may have; of the type of an element: of elements with others nothing is kept, and one without a type has the first
	Refers      []string // the types that a reference is to
	Sub         []*Attribute
	// Ignored says that RFC 7643 has the attribute, and that it is not kept: it is no part of what Schemas tells, requests may have it, and no
	// resource has a value.
	Ignored bool
}

// typ is the attribute's type.
func (a *Attribute) typ() Type {
	if a.Type == "" {
		return String
	}
	return a.Type
}

// sub returns a sub-attribute, or nil.
func (a *Attribute) sub(name string) *Attribute { return named(a.Sub, name) }

// named returns the attribute that has a name, in any case (RFC 7643, section 2.1), or nil.
func named(all []*Attribute, name string) *Attribute {
	for _, a := range all {
		if strings.EqualFold(a.Name, name) {
			return a
		}
	}
	return nil
}

// json is the attribute as Schemas tells it.
func (a *Attribute) json() Resource {
	is := Resource{
		"name": a.Name, "type": string(a.typ()), "multiValued": a.Multi, "description": a.Description, "required": a.Required,
		"mutability": "readWrite", "returned": "default",
	}
	if a.ReadOnly {
		is["mutability"] = "readOnly"
	}
	if a.Always {
		is["returned"] = "always"
	}
	switch a.typ() {
	case Complex:
		is["subAttributes"] = attributesJSON(a.Sub)
	case Boolean, DateTime:
	default:
		is["caseExact"], is["uniqueness"] = a.CaseExact, "none"
		if a.Unique {
			is["uniqueness"] = "server"
		}
	}
	if len(a.Values) > 0 {
		is["canonicalValues"] = anys(a.Values)
	}
	if len(a.Refers) > 0 {
		is["referenceTypes"] = anys(a.Refers)
	}
	return is
}

func attributesJSON(all []*Attribute) []any {
	list := []any{}
	for _, a := range all {
		if !a.Ignored {
			list = append(list, a.json())
		}
	}
	return list
}

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}

// Schema is a schema (RFC 7643, section 7).
type Schema struct {
	URN, Name, Description string
	Attributes             []*Attribute
}

// attribute returns an attribute of the schema, or nil.
func (s *Schema) attribute(name string) *Attribute { return named(s.Attributes, name) }

// json is the schema as Schemas tells it.
func (s *Schema) json(base string) Resource {
	return Resource{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": s.URN, "name": s.Name, "description": s.Description,
		"attributes": attributesJSON(s.Attributes),
		"meta":       Resource{"resourceType": "Schema", "location": base + "/Schemas/" + s.URN},
	}
}

// common are the attributes that every resource has (RFC 7643, section 3.1), and no schema tells.
func common() []*Attribute {
	return []*Attribute{
		{Name: "schemas", Multi: true, Type: Reference, CaseExact: true, Always: true, ReadOnly: true},
		{Name: "id", CaseExact: true, ReadOnly: true, Always: true, Unique: true},
		{Name: "meta", Type: Complex, ReadOnly: true, Sub: []*Attribute{
			{Name: "resourceType", CaseExact: true, ReadOnly: true},
			{Name: "created", Type: DateTime, ReadOnly: true},
			{Name: "lastModified", Type: DateTime, ReadOnly: true},
			{Name: "location", Type: Reference, CaseExact: true, ReadOnly: true},
			{Name: "version", CaseExact: true, ReadOnly: true},
		}},
	}
}

// ResourceType is a type of resources (RFC 7643, section 6).
type ResourceType struct {
	Name, Endpoint, Description string // Endpoint such as /Users
	Schema                      *Schema
	Extensions                  []*Schema
	Store                       Store
}

// json is the type as ResourceTypes tells it.
func (t *ResourceType) json(base string) Resource {
	is := Resource{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": t.Name, "name": t.Name, "endpoint": t.Endpoint,
		"description": t.Description, "schema": t.Schema.URN,
		"meta": Resource{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + t.Name},
	}
	var extensions []any
	for _, e := range t.Extensions {
		extensions = append(extensions, Resource{"schema": e.URN, "required": false})
	}
	if extensions != nil {
		is["schemaExtensions"] = extensions
	}
	return is
}

// Path leads to an attribute, or to a sub-attribute of it (RFC 7644, section 3.10).
type Path struct {
	URN       string // of the extension whose attribute it is; "": it is one of the type's own schema or a common one
	Attribute *Attribute
	Sub       *Attribute // nil: none is named
}

// String returns the path with the names in the case of the schema, such as name.givenName, or with the URN of an extension before it.
func (p Path) String() string {
	text := p.Attribute.Name
	if p.Sub != nil {
		text += "." + p.Sub.Name
	}
	if p.URN != "" {
		text = p.URN + ":" + text
	}
	return text
}

// leaf is the attribute that the path ends at.
func (p Path) leaf() *Attribute {
	if p.Sub != nil {
		return p.Sub
	}
	return p.Attribute
}

// ignored reports whether no resource has a value there.
func (p Path) ignored() bool { return p.Attribute.Ignored || p.leaf().Ignored }

// readOnly reports whether clients cannot write there.
func (p Path) readOnly() bool { return p.Attribute.ReadOnly || p.leaf().ReadOnly }

// extension returns the extension that has a URN, in any case, or nil.
func (t *ResourceType) extension(urn string) *Schema {
	for _, e := range t.Extensions {
		if strings.EqualFold(e.URN, urn) {
			return e
		}
	}
	return nil
}

// attribute returns an attribute of the type's own schema or a common one, or nil.
func (t *ResourceType) attribute(name string) *Attribute {
	if a := t.Schema.attribute(name); a != nil {
		return a
	}
	return named(common(), name)
}

// path reads a path without a value filter; ok reports whether there is such an attribute.
func (t *ResourceType) path(text string) (p Path, ok bool) {
	find := t.attribute
	for _, s := range append([]*Schema{t.Schema}, t.Extensions...) {
		if rest, is := cutFold(text, s.URN+":"); is {
			text = rest
			if s != t.Schema {
				p.URN, find = s.URN, s.attribute
			}
			break
		}
	}
	name, sub, isSub := strings.Cut(text, ".")
	if p.Attribute = find(name); p.Attribute == nil {
		return p, false
	}
	if isSub {
		if p.Sub = p.Attribute.sub(sub); p.Sub == nil {
			return p, false
		}
	}
	return p, true
}

// cutFold is strings.CutPrefix in any case.
func cutFold(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}
