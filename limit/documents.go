package limit

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// maxErrorText is how many bytes the messages of a document's errors may have together: they quote it.
const maxErrorText = 128 << 10

// Documents is the gqlgen extension that refuses documents that would cost too much to parse, to validate or to follow. It
// parses and validates the others, and puts them into the server's cache, where the server finds them. It is to be
// installed after the extensions that find a document by its id, and before all others that read documents.
type Documents struct {
	Cache graphql.Cache[*ast.QueryDocument] // the server's
	Rules func() *rules.Rules               // the server's; nil: gqlparser's own
	// Check refuses what a request asks for of a valid document, such as its variables; nil: nothing is refused.
	Check func(*ast.Schema, *ast.QueryDocument, *graphql.RawParams) *gqlerror.Error

	// Limits. Within the defaults, to parse and validate a document takes some 100 ms and 50 MB at most.
	Tokens     int // names, values, punctuators and comments; 0: 10,000
	Nesting    int // of braces, brackets and parentheses; 0: 50
	Lists      int // nesting of brackets; 0: 8
	Directives int // uses of them; 0: 100
	Depth      int // of fields, through fragments; 0: 15
	Errors     int // of validation; 0: 1,000

	// Selections is how many fields, fragments, arguments and values there may be, those of a fragment as often as it is
	// spread; 0: 5,000. Each fragment counts by itself too, since it is validated by itself.
	Selections int
	// Repetitions is about how many steps it may take to check whether fields that share a name can be merged; 0: 150,000.
	// They grow with the square of the number of such fields, and of fragments that are spread side by side.
	Repetitions int

	schema *ast.Schema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = &Documents{}

// ExtensionName names the extension in gqlgen's statistics.
func (*Documents) ExtensionName() string { return "DocumentLimits" }

// Validate checks that the extension is set up.
func (d *Documents) Validate(es graphql.ExecutableSchema) error {
	if d.Cache == nil {
		return errors.New("limit: Documents.Cache is nil: set it to the server's query cache")
	}
	if d.Rules == nil {
		d.Rules = rules.NewDefaultRules
	}
	if d.Check == nil {
		d.Check = func(*ast.Schema, *ast.QueryDocument, *graphql.RawParams) *gqlerror.Error { return nil }
	}
	d.Tokens = cmp.Or(d.Tokens, 10_000)
	d.Nesting = cmp.Or(d.Nesting, 50)
	d.Lists = cmp.Or(d.Lists, 8)
	d.Directives = cmp.Or(d.Directives, 100)
	d.Depth = cmp.Or(d.Depth, 15)
	d.Errors = cmp.Or(d.Errors, 1_000)
	d.Selections = cmp.Or(d.Selections, 5_000)
	d.Repetitions = cmp.Or(d.Repetitions, 150_000)
	d.schema = es.Schema()
	return nil
}

// MutateOperationParameters refuses a document that exceeds a limit. Other errors are the server's to report, which parses and
// validates the document again then.
func (d *Documents) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if doc, known := d.Cache.Get(ctx, params.Query); known {
		return d.Check(d.schema, doc, params)
	}
	if refused := d.scan(params.Query); refused != nil {
		return refused
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: params.Query})
	if err != nil || len(doc.Operations) == 0 {
		return nil //nolint:nilerr // see above
	}
	if refused := d.measure(doc); refused != nil {
		return refused
	}
	valid, refused := d.validate(doc)
	if !valid {
		return refused
	}
	d.Cache.Add(ctx, params.Query, doc)
	return d.Check(d.schema, doc, params)
}

// tooMany is the panic by which validate stops gqlparser.
type tooMany struct{}

// validate reports whether a document is valid, or refuses it for the number of its errors.
func (d *Documents) validate(doc *ast.QueryDocument) (valid bool, refused *gqlerror.Error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case tooMany:
			refused = refuse(CodeErrors, "the document has more than %d errors, or they are longer than %d bytes", d.Errors, maxErrorText)
		default:
			panic(p)
		}
	}()
	found, text := 0, 0
	observers := &core.Events{}
	all := plain(d.Rules().GetInner())
	for _, name := range slices.Sorted(maps.Keys(all)) { // as gqlparser does: a rule may rely on another
		all[name](observers, func(options ...core.ErrorOption) {
			e := &gqlerror.Error{Rule: name}
			for _, option := range options {
				option(e)
			}
			found++
			text += len(e.Message)
			if found > d.Errors || text > maxErrorText {
				panic(tooMany{})
			}
		})
	}
	core.Walk(d.schema, doc, observers)
	return found == 0, nil
}

// plain replaces the rules that make suggestions, which are costly and not read here.
func plain(all map[string]core.RuleFunc) map[string]core.RuleFunc {
	for _, rule := range []core.Rule{
		rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRuleWithoutSuggestions,
		rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		delete(all, strings.TrimSuffix(rule.Name, "WithoutSuggestions"))
		all[rule.Name] = rule.RuleFunc
	}
	return all
}

// measure refuses a document whose syntax tree exceeds a limit.
func (d *Documents) measure(doc *ast.QueryDocument) *gqlerror.Error {
	m := newMeasure(doc.Fragments, d.Selections)
	switch whole := m.document(doc); {
	case m.circle != nil:
		err := gqlerror.ErrorPosf(m.circle.Position, "a fragment spreads itself, directly or through others")
		errcode.Set(err, errcode.ValidationFailed)
		return err
	case whole.depth > d.Depth:
		return refuse(CodeDepth, "the document is more than %d fields deep", d.Depth)
	case whole.selections > d.Selections:
		return refuse(CodeSelections, "the document has more than %d fields, arguments and values, with its fragments spread out", d.Selections)
	}
	r := repetitions{fragments: m.fragments}
	for _, operation := range doc.Operations {
		r.merge(operation.SelectionSet)
	}
	for _, fragment := range doc.Fragments {
		r.merge(fragment.SelectionSet)
	}
	if r.steps > d.Repetitions {
		return refuse(CodeRepetitions, "fields or fragments are repeated too often: to see whether they can be merged takes more than %d steps", d.Repetitions)
	}
	return nil
}

// extent is how far selections extend, with fragments spread out.
type extent struct{ depth, selections int }

// measure finds the extents of selections. It looks at each fragment once, and counts no further than one above max.
type measure struct {
	fragments map[string]*ast.FragmentDefinition
	known     map[*ast.FragmentDefinition]extent
	open      map[*ast.FragmentDefinition]bool
	circle    *ast.FragmentSpread // by which a fragment spreads itself, or nil
	max       int                 // selections
}

func newMeasure(fragments ast.FragmentDefinitionList, maxSelections int) *measure {
	m := &measure{
		fragments: make(map[string]*ast.FragmentDefinition, len(fragments)),
		known:     map[*ast.FragmentDefinition]extent{},
		open:      map[*ast.FragmentDefinition]bool{},
		max:       maxSelections,
	}
	for _, fragment := range slices.Backward(fragments) { // of two with one name the first counts
		m.fragments[fragment.Name] = fragment
	}
	return m
}

// beside is the extent of a and b in one set.
func (m *measure) beside(a, b extent) extent {
	return extent{max(a.depth, b.depth), min(a.selections+b.selections, m.max+1)}
}

func (m *measure) document(doc *ast.QueryDocument) (whole extent) {
	for _, operation := range doc.Operations {
		whole = m.beside(whole, m.operation(operation))
	}
	for _, fragment := range doc.Fragments {
		whole = m.beside(whole, m.fragment(fragment))
	}
	return whole
}

func (m *measure) operation(operation *ast.OperationDefinition) extent {
	whole := m.set(operation.SelectionSet)
	own := directives(operation.Directives)
	for _, variable := range operation.VariableDefinitions {
		own += 1 + values(variable.DefaultValue) + directives(variable.Directives)
	}
	return m.beside(whole, extent{selections: own})
}

func (m *measure) fragment(fragment *ast.FragmentDefinition) extent {
	if known, ok := m.known[fragment]; ok {
		return known
	}
	m.open[fragment] = true
	whole := m.beside(m.set(fragment.SelectionSet), extent{selections: 1 + directives(fragment.Directives)})
	delete(m.open, fragment)
	m.known[fragment] = whole
	return whole
}

func (m *measure) set(selections ast.SelectionSet) (whole extent) {
	for _, selection := range selections {
		var below extent
		own := 1
		switch s := selection.(type) {
		case *ast.Field:
			below = m.set(s.SelectionSet)
			below.depth++
			own += arguments(s.Arguments) + directives(s.Directives)
		case *ast.InlineFragment:
			below = m.set(s.SelectionSet)
			own += directives(s.Directives)
		case *ast.FragmentSpread:
			own += directives(s.Directives)
			switch fragment := m.fragments[s.Name]; {
			case fragment == nil: // an error, for validation to find
			case m.open[fragment]:
				m.circle = s
			default:
				below = m.fragment(fragment)
			}
		}
		whole = m.beside(whole, m.beside(below, extent{selections: own}))
	}
	return whole
}

func directives(list ast.DirectiveList) (n int) {
	for _, directive := range list {
		n += 1 + arguments(directive.Arguments)
	}
	return n
}

func arguments(list ast.ArgumentList) (n int) {
	for _, argument := range list {
		n += values(argument.Value)
	}
	return n
}

func values(value *ast.Value) (n int) {
	if value == nil {
		return 0
	}
	for _, child := range value.Children {
		n += values(child.Value)
	}
	return 1 + n
}
