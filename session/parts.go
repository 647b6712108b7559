package session

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// withoutDeferred returns the first part of an answer without the fields that come in later ones. gqlgen writes them as
// null, which a client would take for their value. (It takes no notice of @defer on fields that need no resolver. Of those,
// a null scalar stays; an object that is null without a resolver is not told from one that comes later.)
func withoutDeferred(oc *graphql.OperationContext, data json.RawMessage) json.RawMessage {
	p := &pruner{oc: oc, in: json.NewDecoder(bytes.NewReader(data))}
	p.in.UseNumber()
	p.value(oc.Operation.SelectionSet)
	if p.err != nil { // no JSON: a marshaller's own
		return data
	}
	return p.out.Bytes()
}

// pruner copies JSON along a selection.
type pruner struct {
	oc  *graphql.OperationContext
	in  *json.Decoder
	out bytes.Buffer
	err error
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
		for first := true; p.err == nil && p.in.More(); first = false {
			if !first {
				p.out.WriteByte(',')
			}
			p.value(set)
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
		p.value(f.Selections)
		later := f.IsDeferred() && (len(f.Selections) > 0 || f.Definition.Type.NonNull)
		if later && string(p.out.Bytes()[start:]) == "null" {
			p.out.Truncate(before)
			continue
		}
		first = false
	}
	p.token()
	p.out.WriteByte('}')
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
