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
	response.HasNext = new(!ended || len(p.ready) > 0)
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
			p.comma()
			p.path = append(p.path, ast.PathIndex(i))
			p.value(set)
			p.path = p.path[:len(p.path)-1]
		}
		p.token()
		p.out.WriteByte(']')
	case json.Delim('{'):
		p.object(set)
	default: // null, or something that only a marshaller knows
		p.write(token)
	}
}

// object copies the members of an object.
func (p *pruner) object(set ast.SelectionSet) {
	fields := p.fields(set)
	var members []entry
	typ := ""
	p.out.WriteByte('{')
	for p.err == nil && p.in.More() {
		key, _ := p.token().(string)
		i := slices.IndexFunc(fields, isField(key))
		before := p.out.Len()
		p.comma()
		p.write(key)
		p.out.WriteByte(':')
		start := p.out.Len()
		if i < 0 {
			p.raw()
			continue
		}
		f := fields[i]
		p.path = append(p.path, ast.PathName(key))
		p.value(f.Selections)
		p.path = p.path[:len(p.path)-1]
		if len(p.path) == p.top { // all of it is what was deferred
			p.arrived[memberKey(p.path, key)] = true
			continue
		}
		text := p.out.Bytes()[start:]
		m := entry{name: key, text: text, nonNull: f.Definition.Type.NonNull, null: f.IsDeferred() && string(text) == "null"}
		members = append(members, m)
		if f.Name == "__typename" {
			_ = json.Unmarshal(text, &typ)
		}
		if m.null && (len(f.Selections) > 0 || m.nonNull) {
			p.out.Truncate(before)
		}
	}
	p.token()
	p.out.WriteByte('}')
	if p.err == nil && len(p.path) != p.top {
		p.fragments(set, members, typ)
	}
}

// fragments notes the deferred fragments of an object.
func (p *pruner) fragments(set ast.SelectionSet, members []entry, typ string) {
	for i, selection := range set {
		fragment := p.fragment(selection)
		if fragment == nil {
			continue
		}
		fields := p.fields(set[i : i+1])
		if len(fields) == 0 || !applies(fragment.SelectionSet, fields, members, typ) { // or it is not included
			continue
		}
		if d := fragment.Directives.ForName("defer"); d != nil && p.active(d) {
			p.deferred(d, fields, members)
		}
		p.fragments(fragment.SelectionSet, members, typ)
	}
}

// fragment returns a fragment as if it stood inline, or nil for a field.
func (p *pruner) fragment(s ast.Selection) *ast.InlineFragment {
	switch s := s.(type) {
	case *ast.InlineFragment:
		return s
	case *ast.FragmentSpread:
		f := p.oc.Doc.Fragments.ForName(s.Name) // s.Definition is not the one that labelDeferred has edited
		return &ast.InlineFragment{TypeCondition: f.TypeCondition, Directives: s.Directives, SelectionSet: f.SelectionSet}
	}
	return nil
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
		if slices.ContainsFunc(fields, isField(f.Alias)) && !slices.ContainsFunc(members, isNamed(f.Alias)) {
			return false
		}
	}
	return true
}

func isNamed(name string) func(entry) bool { return func(m entry) bool { return m.name == name } }

func isField(alias string) func(graphql.CollectedField) bool {
	return func(f graphql.CollectedField) bool { return f.Alias == alias }
}

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
	fields := p.fields(set)
	if i := slices.IndexFunc(fields, isField(name)); i >= 0 {
		return fields[i].Selections
	}
	return nil
}

// fields returns the fields of a selection, those of every fragment among them.
func (p *pruner) fields(set ast.SelectionSet) []graphql.CollectedField {
	return graphql.CollectFields(p.oc, set, p.conditions(set, nil))
}

// conditions are the types that the fragments in a selection are for: with all of them every field is found.
func (p *pruner) conditions(set ast.SelectionSet, types []string) []string {
	for _, selection := range set {
		if f := p.fragment(selection); f != nil {
			types = p.conditions(f.SelectionSet, append(types, f.TypeCondition))
		}
	}
	return types
}

// comma writes one, except before the first member or item.
func (p *pruner) comma() {
	if text := p.out.Bytes(); text[len(text)-1] != '{' && text[len(text)-1] != '[' {
		p.out.WriteByte(',')
	}
}

func (p *pruner) write(v any) {
	text, err := json.Marshal(v)
	p.fail(err)
	p.out.Write(text)
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
