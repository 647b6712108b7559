package operation

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A client that has asked for parts takes a deferred fragment for absent until a part with its label and its path has come. gqlgen
// defers only fields that have a resolver: it writes the others at once, and sends no part for a fragment that has nothing else.
// So this package adds these parts, with what was sent of them before. And gqlgen writes null for what it has deferred, which a client
// would take for the value, so that is left out.

// parts are the parts of one deferred answer.
type parts struct {
	oc      *graphql.OperationContext
	labels  []string // of the client, by gqlgen's: see labelDeferred
	arrived map[string]bool
	waiting []*deferred         // fragments for which a part may come
	ready   []*graphql.Response // parts that gqlgen does not send
}

// deferred is a deferred fragment of one object.
type deferred struct {
	path    ast.Path
	label   string
	members []entry // that are there
	nulls   []entry // that will be there, or stay null
}

// take gives a part of gqlgen's the client's label, and leaves out what comes later. It notes what is deferred in it.
func (p *parts) take(response *graphql.Response) {
	pruner := &pruner{parts: p, path: slices.Clone(response.Path), top: -1, in: json.NewDecoder(bytes.NewReader(response.Data))}
	pruner.in.UseNumber()
	if response.Label != "" {
		label, _ := strconv.Atoi(response.Label)
		response.Label = p.labels[label]
		p.arrived[partKey(response.Path, response.Label)] = true
		pruner.top = len(response.Path)
	}
	set := p.oc.Operation.SelectionSet
	for _, element := range response.Path {
		if name, ok := element.(ast.PathName); ok {
			set = pruner.below(set, string(name))
		}
	}
	pruner.value(set)
	if pruner.err == nil { // else it is no JSON: a marshaller's own
		response.Data = pruner.out.Bytes()
	}
}

// end makes parts for what is still waiting, once gqlgen has sent all of its own.
func (p *parts) end() {
	for _, d := range p.waiting {
		for _, m := range d.nulls {
			if !p.arrived[memberKey(d.path, m.name)] && !m.nonNull {
				m.text = []byte("null")
				d.members = append(d.members, m)
			}
		}
		p.add(d)
	}
	p.waiting = nil
}

// add makes a part for a fragment, unless there was one.
func (p *parts) add(d *deferred) {
	key := partKey(d.path, d.label)
	if p.arrived[key] {
		return
	}
	p.arrived[key] = true
	data := []byte{'{'}
	for i, m := range d.members {
		if i > 0 {
			data = append(data, ',')
		}
		name, _ := json.Marshal(m.name)
		data = append(append(append(data, name...), ':'), m.text...)
	}
	p.ready = append(p.ready, &graphql.Response{Data: append(data, '}'), Path: d.path, Label: d.label})
}

// next returns a part that gqlgen does not send, or nil. The last one says that it is, if gqlgen has sent all of its own.
func (p *parts) next(ended bool) *graphql.Response {
	if p == nil || len(p.ready) == 0 {
		return nil
	}
	response := p.ready[0]
	p.ready = p.ready[1:]
	hasNext := !ended || len(p.ready) > 0
	response.HasNext = &hasNext
	return response
}

func partKey(path ast.Path, label string) string  { return path.String() + "\x00" + label }
func memberKey(path ast.Path, name string) string { return path.String() + "\x01" + name }

// pruner copies JSON along a selection.
type pruner struct {
	*parts
	path ast.Path // of what it is at
	top  int      // the length of the path of what is deferred; -1 in the first part
	in   *json.Decoder
	out  bytes.Buffer
	err  error
}

// entry is a member of an object.
type entry struct {
	name    string
	text    []byte
	null    bool // it is null, and may come later
	nonNull bool // it can't stay so
}

// value copies a value of which set is selected.
func (p *pruner) value(set ast.SelectionSet) {
	if len(set) == 0 {
		p.raw()
		return
	}
	switch token := p.token(); token {
	case json.Delim('['):
		p.out.WriteByte('[')
		for i := 0; p.err == nil && p.in.More(); i++ {
			if i > 0 {
				p.out.WriteByte(',')
			}
			p.path = append(p.path, ast.PathIndex(i))
			p.value(set)
			p.path = p.path[:len(p.path)-1]
		}
		p.token()
		p.out.WriteByte(']')
	case json.Delim('{'):
		p.object(set)
	default: // null, or something that only a marshaller knows
		text, err := json.Marshal(token)
		p.fail(err)
		p.out.Write(text)
	}
}

// object copies the members of an object.
func (p *pruner) object(set ast.SelectionSet) {
	fields := graphql.CollectFields(p.oc, set, p.conditions(set, nil))
	fragments := slices.ContainsFunc(set, isFragment)
	var members []entry
	typ := ""
	p.out.WriteByte('{')
	for first := true; p.err == nil && p.in.More(); {
		key, _ := p.token().(string)
		i := slices.IndexFunc(fields, func(f graphql.CollectedField) bool { return f.Alias == key })
		before := p.out.Len()
		if !first {
			p.out.WriteByte(',')
		}
		text, err := json.Marshal(key)
		p.fail(err)
		p.out.Write(text)
		p.out.WriteByte(':')
		start := p.out.Len()
		if i < 0 {
			p.raw()
			first = false
			continue
		}
		f := fields[i]
		p.path = append(p.path, ast.PathName(key))
		p.value(f.Selections)
		p.path = p.path[:len(p.path)-1]
		if len(p.path) == p.top { // all of it is what was deferred
			p.arrived[memberKey(p.path, key)] = true
			first = false
			continue
		}
		m := entry{name: key, nonNull: f.Definition.Type.NonNull, null: f.IsDeferred() && string(p.out.Bytes()[start:]) == "null"}
		if fragments {
			m.text = bytes.Clone(p.out.Bytes()[start:])
			members = append(members, m)
		}
		if f.Name == "__typename" {
			_ = json.Unmarshal(p.out.Bytes()[start:], &typ)
		}
		if m.null && (len(f.Selections) > 0 || m.nonNull) {
			p.out.Truncate(before)
			continue
		}
		first = false
	}
	p.token()
	p.out.WriteByte('}')
	if p.err == nil && len(p.path) != p.top {
		p.fragments(set, members, typ)
	}
}

func isFragment(s ast.Selection) bool {
	_, field := s.(*ast.Field)
	return !field
}

// fragments notes the deferred fragments of an object.
func (p *pruner) fragments(set ast.SelectionSet, members []entry, typ string) {
	for i, selection := range set {
		var directives ast.DirectiveList
		var below ast.SelectionSet
		switch s := selection.(type) {
		case *ast.InlineFragment:
			directives, below = s.Directives, s.SelectionSet
		case *ast.FragmentSpread:
			directives = s.Directives
			if f := p.oc.Doc.Fragments.ForName(s.Name); f != nil {
				below = f.SelectionSet
			}
		default:
			continue
		}
		one := set[i : i+1]
		fields := graphql.CollectFields(p.oc, one, p.conditions(one, nil))
		if len(fields) == 0 || !applies(below, fields, members, typ) { // or it is not included
			continue
		}
		if d := directives.ForName("defer"); d != nil && p.active(d) {
			p.deferred(d, fields, members)
		}
		p.fragments(below, members, typ)
	}
}

// applies reports whether a fragment with some fields is for an object: that has all of them, and, if that is known, the
// fragment's type.
func applies(set ast.SelectionSet, fields []graphql.CollectedField, members []entry, typ string) bool {
	for _, selection := range set {
		f, ok := selection.(*ast.Field)
		if !ok {
			continue
		}
		if of := f.ObjectDefinition; of != nil && of.Kind == ast.Object && typ != "" && typ != of.Name {
			return false
		}
		if slices.ContainsFunc(fields, func(c graphql.CollectedField) bool { return c.Alias == f.Alias }) && !slices.ContainsFunc(members, isNamed(f.Alias)) {
			return false
		}
	}
	return true
}

func isNamed(name string) func(entry) bool { return func(m entry) bool { return m.name == name } }

// active reports whether a @defer takes effect.
func (p *pruner) active(d *ast.Directive) bool {
	arg := d.Arguments.ForName("if")
	if arg == nil {
		return true
	}
	on, _ := arg.Value.Value(p.oc.Variables)
	return on == true
}

// deferred notes a deferred fragment with some fields of an object.
func (p *pruner) deferred(d *ast.Directive, fields []graphql.CollectedField, members []entry) {
	n, _ := strconv.Atoi(d.Arguments.ForName("label").Value.Raw)
	fragment := &deferred{path: slices.Clone(p.path), label: p.labels[n]}
	if fragment.path == nil {
		fragment.path = ast.Path{}
	}
	for _, f := range fields {
		i := slices.IndexFunc(members, isNamed(f.Alias))
		switch {
		case i < 0: // another type's
		case members[i].null:
			fragment.nulls = append(fragment.nulls, members[i])
		default:
			fragment.members = append(fragment.members, members[i])
		}
	}
	if fragment.nulls == nil {
		p.add(fragment)
	} else {
		p.waiting = append(p.waiting, fragment)
	}
}

// below returns what is selected below a member of an object.
func (p *pruner) below(set ast.SelectionSet, name string) ast.SelectionSet {
	fields := graphql.CollectFields(p.oc, set, p.conditions(set, nil))
	i := slices.IndexFunc(fields, func(f graphql.CollectedField) bool { return f.Alias == name })
	if i < 0 {
		return nil
	}
	return fields[i].Selections
}

// conditions are the types that the fragments in a selection are for: with all of them every field is found.
func (p *pruner) conditions(set ast.SelectionSet, types []string) []string {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.InlineFragment:
			types = p.conditions(s.SelectionSet, append(types, s.TypeCondition))
		case *ast.FragmentSpread:
			if f := p.oc.Doc.Fragments.ForName(s.Name); f != nil {
				types = p.conditions(f.SelectionSet, append(types, f.TypeCondition))
			}
		}
	}
	return types
}

// raw copies a value as it is.
func (p *pruner) raw() {
	var text json.RawMessage
	if p.err == nil {
		p.fail(p.in.Decode(&text))
	}
	p.out.Write(text)
}

func (p *pruner) token() json.Token {
	if p.err != nil {
		return nil
	}
	token, err := p.in.Token()
	p.fail(err)
	return token
}

func (p *pruner) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
