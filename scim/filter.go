package scim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Filter is what a resource has to meet (RFC 7644, section 3.4.2.2): a Compare, a Within, an And, an Or or a Not.
type Filter interface{ isFilter() }

// Operator compares.
type Operator string

// The operators. Present takes no value.
const (
	Equal          Operator = "eq"
	NotEqual       Operator = "ne"
	Contains       Operator = "co"
	StartsWith     Operator = "sw"
	EndsWith       Operator = "ew"
	Present        Operator = "pr"
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "ge"
	Less           Operator = "lt"
	LessOrEqual    Operator = "le"
)

type (
	// Compare compares an attribute. Of a complex one it is the sub-attribute value, unless it is asked whether it is present.
	Compare struct {
		Path     Path
		Operator Operator
		Value    any // a string, a bool, or a time.Time, as the attribute's type is; nil: null
	}
	// Within asks for an element of a multi-valued attribute that meets a filter alone. Its comparisons have whole paths.
	Within struct {
		Path   Path
		Filter Filter
	}
	// And asks for all of some filters.
	And []Filter
	// Or asks for one of some filters.
	Or []Filter
	// Not asks for the opposite of a filter.
	Not struct{ Filter Filter }
)

func (Compare) isFilter() {}
func (Within) isFilter()  {}
func (And) isFilter()     {}
func (Or) isFilter()      {}
func (Not) isFilter()     {}

const (
	maxFilter  = 16 << 10 // bytes of a filter
	maxNesting = 20       // levels of parentheses and brackets
)

// ParseFilter reads a filter about resources of a type. The error is invalidFilter.
//
// Besides the grammar of RFC 7644 it takes what Entra sends: an attribute behind the brackets, as in emails[type eq "work"].value eq "x".
func (t *ResourceType) ParseFilter(text string) (Filter, error) {
	if len(text) > maxFilter {
		return nil, Refuse(InvalidFilter, "a filter has at most %d bytes", maxFilter)
	}
	p := &filterParser{t: t, rest: text}
	f, err := p.or()
	if err == nil && p.peek() != "" {
		err = p.refuse("%q is not expected there", clip(p.rest))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// filterParser reads a filter from left to right.
type filterParser struct {
	t      *ResourceType
	rest   string
	within *Path // the multi-valued attribute in whose brackets the filter is; nil: none
	depth  int
}

func (p *filterParser) refuse(format string, args ...any) error {
	e := Refuse(InvalidFilter, format, args...)
	e.Detail = "the filter is not understood: " + e.Detail
	return e
}

// peek returns the next token without taking it: a parenthesis, a bracket, a string with its quotes, or a word; "": there is none.
func (p *filterParser) peek() string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		return ""
	}
	if strings.ContainsRune("()[]", rune(p.rest[0])) {
		return p.rest[:1]
	}
	if p.rest[0] == '"' {
		for i := 1; i < len(p.rest); i++ {
			switch p.rest[i] {
			case '\\':
				i++
			case '"':
				return p.rest[:i+1]
			}
		}
		return p.rest
	}
	if end := strings.IndexAny(p.rest, " \t\r\n()[]\""); end >= 0 {
		return p.rest[:end]
	}
	return p.rest
}

// next takes the next token.
func (p *filterParser) next() string {
	token := p.peek()
	p.rest = p.rest[len(token):]
	return token
}

// take takes the next token if it is a word or sign, in any case.
func (p *filterParser) take(word string) bool {
	if !strings.EqualFold(p.peek(), word) {
		return false
	}
	p.next()
	return true
}

func (p *filterParser) or() (Filter, error) {
	return p.joined("or", p.and, func(all []Filter) Filter { return Or(all) })
}

func (p *filterParser) and() (Filter, error) {
	return p.joined("and", p.term, func(all []Filter) Filter { return And(all) })
}

// joined reads operands with a word between them; one alone is the filter itself.
func (p *filterParser) joined(word string, operand func() (Filter, error), join func([]Filter) Filter) (Filter, error) {
	first, err := operand()
	if err != nil || !p.take(word) {
		return first, err
	}
	for all := []Filter{first}; ; {
		f, err := operand()
		if err != nil {
			return nil, err
		}
		if all = append(all, f); !p.take(word) {
			return join(all), nil
		}
	}
}

func (p *filterParser) term() (Filter, error) {
	if p.take("not") {
		if p.peek() != "(" {
			return nil, p.refuse("not is to be followed by a filter in parentheses")
		}
		f, err := p.term()
		return Not{f}, err
	}
	if p.take("(") {
		return p.enclosed(")")
	}
	return p.comparison()
}

// enclosed reads a filter up to what closes it.
func (p *filterParser) enclosed(end string) (Filter, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.refuse("it has more than %d levels", maxNesting)
	}
	defer func() { p.depth-- }()
	f, err := p.or()
	if err == nil && !p.take(end) {
		err = p.refuse("%s is missing", end)
	}
	return f, err
}

func (p *filterParser) comparison() (Filter, error) {
	name := p.next()
	if name == "" {
		return nil, p.refuse("it ends where an attribute is expected")
	}
	path, ok := p.path(name)
	if !ok {
		return nil, Refuse(InvalidFilter, "a %s has no attribute %q", p.t.Name, clip(name))
	}
	if p.within == nil && strings.HasPrefix(p.rest, "[") {
		return p.element(path)
	}
	return p.compare(path)
}

// path resolves a name, within brackets as that of a sub-attribute.
func (p *filterParser) path(name string) (Path, bool) {
	if p.within == nil {
		return p.t.path(name)
	}
	path := *p.within
	path.Sub = path.Attribute.sub(name)
	return path, path.Sub != nil
}

// element reads a filter in brackets.
func (p *filterParser) element(path Path) (Filter, error) {
	if path.Attribute.typ() != Complex || path.Sub != nil {
		return nil, p.refuse("%s has no elements to filter", path)
	}
	p.next()
	inner := *p
	inner.within = &path
	f, err := inner.enclosed("]")
	p.rest = inner.rest
	if err != nil {
		return nil, err
	}
	if behind, ok := strings.CutPrefix(p.rest, "."); ok {
		p.rest = behind
		inner := *p
		inner.within = &path
		more, err := inner.comparison()
		p.rest = inner.rest
		if err != nil {
			return nil, err
		}
		f = And{f, more}
	}
	return Within{path, f}, nil
}

// compare reads an operator and its value.
func (p *filterParser) compare(path Path) (Filter, error) {
	operator := Operator(strings.ToLower(p.next()))
	if operator == Present {
		return Compare{Path: path, Operator: Present}, nil
	}
	if !slices.Contains([]Operator{Equal, NotEqual, Contains, StartsWith, EndsWith, Greater, GreaterOrEqual, Less, LessOrEqual}, operator) {
		return nil, p.refuse("%q is no operator", clip(string(operator)))
	}
	if path.Sub == nil && path.Attribute.typ() == Complex { // RFC 7643, section 2.4: value is the one that counts
		if path.Sub = path.Attribute.sub("value"); path.Sub == nil {
			return nil, p.refuse("%s is compared by one of its sub-attributes", path)
		}
	}
	token := p.next()
	if token == "" {
		return nil, p.refuse("%s %s is to be followed by a value", path, operator)
	}
	var given any
	if err := json.Unmarshal([]byte(token), &given); err != nil {
		if given = strings.ToLower(token); given != "true" && given != "false" {
			return nil, p.refuse("%q is no value: a text has quotes around it", clip(token))
		}
	}
	value, err := path.leaf().comparable(path, operator, given)
	return Compare{path, operator, value}, err
}

// comparable returns a value in a filter as the attribute's type has it.
func (a *Attribute) comparable(path Path, operator Operator, given any) (any, error) {
	if given == nil {
		if operator == Equal || operator == NotEqual {
			return nil, nil
		}
		return nil, Refuse(InvalidFilter, "null is compared by eq and ne, not by %s", operator)
	}
	ordered := slices.Contains([]Operator{Greater, GreaterOrEqual, Less, LessOrEqual}, operator)
	switch a.typ() {
	case Boolean: // RFC 7644, section 3.4.2.2: to order them fails
		if operator != Equal && operator != NotEqual {
			return nil, Refuse(InvalidFilter, "%s is compared by eq and ne, not by %s", path, operator)
		}
		if is, ok := truth(given); ok {
			return is, nil
		}
		return nil, Refuse(InvalidFilter, "%s is compared with true or false", path)
	case DateTime:
		if operator != Equal && operator != NotEqual && !ordered {
			return nil, Refuse(InvalidFilter, "%s is a time, and is not compared by %s", path, operator)
		}
		text, _ := given.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, Refuse(InvalidFilter, "%s is compared with a time such as \"2011-05-13T04:42:34Z\"", path)
		}
		return at, nil
	}
	text, ok := given.(string)
	if !ok {
		return nil, Refuse(InvalidFilter, "%s is compared with a text in quotes", path)
	}
	return text, nil
}

// truth reads true or false, also as a text, which Entra sends.
func truth(given any) (is, ok bool) {
	switch v := given.(type) {
	case bool:
		return v, true
	case string:
		return strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	}
	return false, false
}

// Matches reports whether one element of a multi-valued attribute, or a complex one, meets a filter about it.
func Matches(f Filter, element any) bool {
	switch f := f.(type) {
	case And:
		return !slices.ContainsFunc(f, func(one Filter) bool { return !Matches(one, element) })
	case Or:
		return slices.ContainsFunc(f, func(one Filter) bool { return Matches(one, element) })
	case Not:
		return !Matches(f.Filter, element)
	case Compare:
		complexValue, _ := element.(Resource)
		return f.Holds(complexValue[f.Path.leaf().Name])
	}
	return false
}

// Holds reports whether a value of an element meets the comparison.
func (c Compare) Holds(value any) bool {
	present := value != nil && value != ""
	switch {
	case c.Operator == Present:
		return present
	case c.Value == nil:
		return present == (c.Operator == NotEqual)
	case !present:
		return c.Operator == NotEqual
	}
	if want, ok := c.Value.(bool); ok {
		is, _ := value.(bool)
		return (is == want) == (c.Operator == Equal)
	}
	want, _ := c.Value.(string)
	text, _ := value.(string)
	if !c.Path.leaf().CaseExact {
		want, text = strings.ToLower(want), strings.ToLower(text)
	}
	switch c.Operator {
	case Equal:
		return text == want
	case NotEqual:
		return text != want
	case Contains:
		return strings.Contains(text, want)
	case StartsWith:
		return strings.HasPrefix(text, want)
	case EndsWith:
		return strings.HasSuffix(text, want)
	case Greater:
		return text > want
	case GreaterOrEqual:
		return text >= want
	case Less:
		return text < want
	}
	return text <= want
}
