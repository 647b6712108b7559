package limit

import "github.com/vektah/gqlparser/v2/ast"

// repetitions estimates the steps of gqlparser's rule OverlappingFieldsCanBeMerged. The rule compares each two fields
// that have one name in one set, and then the sets below them. It does so with each fragment that is spread in a set, with
// each two of these, and for each inline fragment anew.
type repetitions struct {
	fragments map[string]*ast.FragmentDefinition // without circles
	steps     int
}

// merge counts the steps for selection sets that become one.
func (r *repetitions) merge(sets ...ast.SelectionSet) {
	m := merged{fragments: r.fragments, byName: map[string][]ast.SelectionSet{}}
	for _, set := range sets {
		m.collect(set, 0)
	}
	steps := (m.spreads + len(sets) - 1) * (m.fields + m.spreads)
	for _, below := range m.byName {
		steps += len(below) * (len(below) - 1)
	}
	r.steps += steps * (1 + m.inline)
	for _, below := range m.byName {
		r.merge(below...)
	}
}

// merged is several selection sets as one.
type merged struct {
	fragments map[string]*ast.FragmentDefinition
	byName    map[string][]ast.SelectionSet // of the fields with that name
	fields    int
	spreads   int // of fragments
	inline    int // how deep inline fragments are nested
}

func (m *merged) collect(set ast.SelectionSet, inline int) {
	m.inline = max(m.inline, inline)
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			m.fields++
			m.byName[s.Alias] = append(m.byName[s.Alias], s.SelectionSet)
		case *ast.InlineFragment:
			m.collect(s.SelectionSet, inline+1)
		case *ast.FragmentSpread:
			m.spreads++
			if fragment := m.fragments[s.Name]; fragment != nil {
				m.collect(fragment.SelectionSet, inline)
			}
		}
	}
}
