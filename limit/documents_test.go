package limit_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/limit"
)

const sdl = `
	type Query {
		self: Query!
		name(is: String, in: In, list: [[[Int]]]): String!
		names: [String!]!
		items: [Query!]!
		page(first: Int, last: Int, query: String, filter: In): Page!
		small(first: Int = 3): Page!
		nodes(ids: [ID!], first: Int): [Query!]!
		thing: Thing!
	}
	type Page { nodes: [Query!]! edges: [Edge!]! total: Int! upTo(limit: Int!): Int! }
	type Edge { cursor: String! node: Query! }
	interface Thing { id: ID! }
	type Cat implements Thing { id: ID! cat: Cat! }
	type Dog implements Thing { id: ID! dog: Dog! }
	input In { in: In list: [In] ids: [ID] }
	directive @at(n: Int) repeatable on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT | QUERY
`

// schema is one that cannot be executed.
type schema struct {
	graphql.ExecutableSchema
	ast *ast.Schema
}

func (s schema) Schema() *ast.Schema { return s.ast }

func newSchema() schema {
	return schema{ast: gqlparser.MustLoadSchema(&ast.Source{Name: "test.graphqls", Input: sdl})}
}

// server is gqlgen's executor with the limits, and what became of its documents.
type server struct {
	*executor.Executor
	cache     *limit.Cache[*ast.QueryDocument]
	validated int         // how often documents were
	price     *limit.Cost // where there is one
}

func newServer(tb testing.TB, documents limit.Documents) *server {
	tb.Helper()
	s := &server{Executor: executor.New(newSchema()), cache: limit.NewCache(64<<20, limit.Bytes)}
	rule := func() *rules.Rules {
		s.validated++
		return rules.NewDefaultRules()
	}
	s.SetQueryCache(s.cache)
	s.SetDefaultRulesFn(rule)
	documents.Cache, documents.Rules = s.cache, rule
	s.use(tb, &documents)
	return s
}

func (s *server) use(tb testing.TB, extension graphql.HandlerExtension) {
	tb.Helper()
	if err := extension.Validate(newSchema()); err != nil {
		tb.Fatal(err)
	}
	s.Use(extension)
}

// ask prepares an operation as for its execution.
func (s *server) ask(params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	return s.CreateOperationContext(graphql.StartOperationTrace(context.Background()), params)
}

// code is that of the first error that a document gets, or "".
func (s *server) code(query string) any {
	_, errs := s.ask(&graphql.RawParams{Query: query})
	if len(errs) == 0 {
		return ""
	}
	return errs[0].Extensions["code"]
}

const (
	valid   = ""
	invalid = "GRAPHQL_VALIDATION_FAILED"
	broken  = "GRAPHQL_PARSE_FAILED"
)

// nest puts open n times before what is inside, and shut after it.
func nest(n int, open, inside, shut string) string {
	return strings.Repeat(open, n) + inside + strings.Repeat(shut, n)
}

// each joins n texts, with the number of each for #.
func each(n int, format string) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
	}
	return text.String()
}

func TestADocumentMayReachEachLimitAndNotExceedIt(t *testing.T) {
	for _, c := range []struct {
		limits  limit.Documents
		at      string
		over    string
		code    string
		message string
	}{
		{limit.Documents{Tokens: 10}, "{" + each(8, " name") + "}", "{" + each(9, " name") + "}", limit.CodeTokens, "the document has more than 10 tokens"},
		{limit.Documents{Tokens: 10}, "#\n#\n#\n#\n#\n#\n#\n{name}", "#\n#\n#\n#\n#\n#\n#\n#\n{name}", limit.CodeTokens, "the document has more than 10 tokens"},
		{limit.Documents{Tokens: 10}, strings.Repeat("\n", 10) + "{name}", strings.Repeat("\n", 11) + "{name}", limit.CodeTokens, "the document has more than 10 lines"},
		{limit.Documents{Nesting: 5}, "{self{self{self{self{name}}}}}", "{self{self{self{self{self{name}}}}}}", limit.CodeNesting, "the document has braces, brackets and parentheses that are nested more than 5 deep"},
		{limit.Documents{Nesting: 5}, "{name(in:{in:{in:{}}})}", "{name(in:{in:{in:{in:{}}}})}", limit.CodeNesting, ""},
		{limit.Documents{Nesting: 5}, "{name(list:[[[1]]])}", "{self{name(list:[[[1]]])}}", limit.CodeNesting, ""},
		{limit.Documents{Nesting: 5}, "{" + nest(4, "...{", "name", "}") + "}", "{" + nest(5, "...{", "name", "}") + "}", limit.CodeNesting, ""},
		{limit.Documents{Lists: 3}, "{name(list:[[[1],[2]],[[3]]])}", "{name(list:[[[[1]]]])}", limit.CodeLists, "the document has lists that are nested more than 3 deep"},
		{limit.Documents{Lists: 3}, "query($a:[[[Int]]]){name(list:$a)}", "query($a:[[[[Int]]]]){name(list:$a)}", limit.CodeLists, ""},
		{limit.Documents{Lists: 3}, "{name(in:{list:[{list:[{list:[]}]}]})}", "{name(in:{list:[{list:[{list:[{list:[]}]}]}]})}", limit.CodeLists, ""},
		{limit.Documents{Directives: 3}, "{name @at(n:1) @at @at}", "{name @at(n:1) @at @at @at}", limit.CodeDirectives, "the document has more than 3 directives"},
		{limit.Documents{Depth: 4}, "{self{self{self{name}}}}", "{self{self{self{self{name}}}}}", limit.CodeDepth, "the document is more than 4 fields deep"},
		{limit.Documents{Depth: 4}, "{self{...F}} fragment F on Query{...{self{...G}}} fragment G on Query{name}", "{self{...F}} fragment F on Query{...{self{...G}}} fragment G on Query{self{self{name}}}", limit.CodeDepth, ""},
		{limit.Documents{Selections: 8}, "{self{" + each(7, " a#:name") + "}}", "{self{" + each(8, " a#:name") + "}}", limit.CodeSelections, "the document has more than 8 fields, arguments and values, with its fragments spread out"},
		{limit.Documents{Selections: 8}, "{name(list:[[[1,2,3,4]]])}", "{name(list:[[[1,2,3,4,5]]])}", limit.CodeSelections, ""},
		{limit.Documents{Selections: 8}, "{" + each(4, " name @at") + "}", "{" + each(5, " name @at") + "}", limit.CodeSelections, ""},
		{limit.Documents{Selections: 8}, "{" + each(2, " name @at(n:1)") + "}", "{" + each(3, " name @at(n:1)") + "}", limit.CodeSelections, ""},
		{limit.Documents{Selections: 8}, "query($a:String=\"\"){" + each(3, " name(is:$a)") + "}", "query($a:String=\"\" @at){" + each(3, " name(is:$a)") + "}", limit.CodeSelections, ""},
		{limit.Documents{Selections: 10}, "{" + each(2, " ...F") + "} fragment F on Query{name}", "{" + each(3, " ...F") + "} fragment F on Query{name}", limit.CodeSelections, ""},
		{limit.Documents{Repetitions: 380}, "{" + each(20, " name") + "}", "{" + each(21, " name") + "}", limit.CodeRepetitions, "fields or fragments are repeated too often: to see whether they can be merged takes more than 380 steps"},
		{limit.Documents{Errors: 5}, "", "{" + each(6, " a#") + "}", limit.CodeErrors, "the document has more than 5 errors, or they are longer than 131072 bytes"},
		{limit.Documents{}, "", "{" + strings.Repeat("a", 131072) + "}", limit.CodeErrors, ""},
	} {
		s := newServer(t, c.limits)
		if got := s.code(c.at); c.at != "" && got != valid && got != invalid {
			t.Errorf("%.100s: got %v", c.at, got)
		}
		_, errs := s.ask(&graphql.RawParams{Query: c.over})
		if len(errs) != 1 || errs[0].Extensions["code"] != c.code || c.message != "" && errs[0].Message != c.message {
			t.Errorf("%.100s: got %v", c.over, errs)
		}
	}
}

func TestADocumentWithAsManyErrorsAsAreAllowedGetsAll(t *testing.T) {
	s := newServer(t, limit.Documents{Errors: 5})
	_, errs := s.ask(&graphql.RawParams{Query: "{" + each(5, " nam#") + "}"})
	if len(errs) != 5 || !strings.Contains(errs[0].Message, "Did you mean") {
		t.Errorf("got %v", errs)
	}
}

func TestAValidDocumentIsValidatedOnceAndThenNeverAgain(t *testing.T) {
	s := newServer(t, limit.Documents{})
	for range 3 {
		if code := s.code("{ self { name } }"); code != valid {
			t.Fatalf("got %v", code)
		}
		if s.validated != 1 {
			t.Fatalf("validated %d times", s.validated)
		}
	}
	for range 2 {
		if code := s.code("{ nothing }"); code != invalid {
			t.Errorf("got %v", code)
		}
	}
}

func TestARequestIsCheckedIfItsDocumentIsValidWhetherThatIsKnownOrNot(t *testing.T) {
	checked := 0
	s := newServer(t, limit.Documents{Check: func(schema *ast.Schema, doc *ast.QueryDocument, params *graphql.RawParams) *gqlerror.Error {
		checked++
		if schema.Query == nil || doc.Operations[0].SelectionSet[0].(*ast.Field).Definition == nil || params.Query == "" {
			t.Errorf("got %v, %v, %v", schema, doc, params)
		}
		return &gqlerror.Error{Message: "no", Extensions: map[string]any{"code": "CHECKED"}}
	}})
	for range 2 {
		for query, code := range map[string]string{`{ names }`: "CHECKED", `{ nobody }`: invalid, `{`: broken, `fragment F on Query { names }`: invalid} {
			if got := s.code(query); got != code {
				t.Errorf("%s: want %s, got %v", query, code, got)
			}
		}
	}
	if checked != 2 {
		t.Errorf("want 2 checks, got %d", checked)
	}
}

func TestWhatIsNoDocumentIsLeftToTheServer(t *testing.T) {
	s := newServer(t, limit.Documents{})
	for query, code := range map[string]any{
		"":                                   invalid,
		"{":                                  broken,
		"}}}}{{{{":                           broken,
		"{ name(is: \"\n\") }":               broken,
		"fragment F on Query { name }":       invalid,
		"{ ...Missing }":                     invalid,
		"type A { b: Int }":                  broken,
		"query A { name } query A { name }":  invalid,
		"{ ...F } fragment F on Missing {a}": invalid,
	} {
		if got := s.code(query); got != code {
			t.Errorf("%s: want %v, got %v", query, code, got)
		}
	}
}

func TestTheLimitsAreChecked(t *testing.T) {
	if err := (&limit.Documents{}).Validate(newSchema()); err == nil || !strings.Contains(err.Error(), "Cache is nil") {
		t.Errorf("got %v", err)
	}
	if err := (&limit.Cost{}).Validate(newSchema()); err == nil || !strings.Contains(err.Error(), "Page is not set") {
		t.Errorf("got %v", err)
	}
}

// attacks are documents that cost a server far more than their bytes, each with its refusal.
func attacks() map[string]struct{ query, code string } {
	tree, double, chain := "name", "{...F0}", "{...F0}"
	for i := range 100 {
		double += fmt.Sprintf(" fragment F%d on Query{...F%d ...F%[2]d}", i, i+1)
	}
	for range 10 {
		tree = "self{" + tree + "} self{" + tree + "}"
	}
	for i := range 700 {
		chain += fmt.Sprintf(" fragment F%d on Query{name ...F%d}", i, i+1)
	}
	return map[string]struct{ query, code string }{
		"fields without end":              {strings.Repeat("{a", 1<<20), limit.CodeNesting},
		"a deep list":                     {"{name(list:" + strings.Repeat("[", 1<<20), limit.CodeLists},
		"a deep list type":                {"query($a:" + strings.Repeat("[", 1<<20), limit.CodeLists},
		"a deep object":                   {"{name(in:" + strings.Repeat("{in:", 1<<18), limit.CodeNesting},
		"deep inline fragments":           {"{" + strings.Repeat("...{", 1<<18), limit.CodeNesting},
		"deep inline fragments on a type": {"{" + nest(60, "...on Query{", "name", "}") + "}", limit.CodeNesting},
		"doubling fragments":              {double + " fragment F100 on Query{name}", limit.CodeSelections},
		"a circle of fragments":           {"{...F0}" + each(300, " fragment F# on Query{name ...G#}") + each(300, " fragment G# on Query{...F1}"), invalid},
		"a fragment within itself":        {"{...F} fragment F on Query{self{...F ...F}}", invalid},
		"a circle in an unused fragment":  {"{name} fragment F on Query{...G} fragment G on Query{self{...F}}", invalid},
		"10,000 aliases":                  {"{" + each(10_000, " a#:name") + "}", limit.CodeTokens},
		"repeated fields":                 {"{" + strings.Repeat(" name", 4_900) + "}", limit.CodeRepetitions},
		"different fields of one alias":   {"{" + strings.Repeat(" a:name a:names", 1_000) + "}", limit.CodeRepetitions},
		"repeated fields in two fields":   {"{" + strings.Repeat(" self{"+strings.Repeat(" name", 200)+"}", 10) + "}", limit.CodeRepetitions},
		"repeated fields by fragments":    {"{" + strings.Repeat(" ...F", 900) + "} fragment F on Query{name}", limit.CodeRepetitions},
		"repeated fields in a tree":       {"{" + tree + "}", limit.CodeRepetitions},
		"repeats in inline fragments":     {"{" + nest(45, "...{", strings.Repeat(" name", 100), "}") + "}", limit.CodeRepetitions},
		"many fragments side by side":     {"{" + each(700, " ...F#") + "}" + each(700, " fragment F# on Query{name}"), limit.CodeRepetitions},
		"one fragment in many operations": {each(600, " query Q#{...F}") + " fragment F on Query{" + each(100, " a#:name") + "}", limit.CodeSelections},
		"two fragments of one name":       {each(600, " query Q#{...F}") + " fragment F on Query{" + each(100, " a#:name") + "} fragment F on Query{name}", limit.CodeSelections},
		"one argument in many operations": {each(600, " query Q#{...F}") + " fragment F on Query{name(list:[[[" + strings.Repeat("1 ", 2_000) + "]]])}", limit.CodeSelections},
		"a chain of fragments":            {chain + " fragment F700 on Query{name}", limit.CodeSelections},
		"many directives":                 {"{name" + strings.Repeat(" @at", 3_000) + "}", limit.CodeDirectives},
		"directives with arguments":       {"{name" + strings.Repeat(" @at(n:1)", 1_500) + "}", limit.CodeDirectives},
		"directives on directives":        {"{name @at(n:1 @at(n:1 @at))}", broken},
		"wrong values":                    {"{" + each(1_100, " a#:name(is:#)") + "}", limit.CodeErrors},
		"unknown fields":                  {"{" + each(4_900, " f#") + "}", limit.CodeErrors},
		"a long name":                     {"{...on " + strings.Repeat("a", 1<<20) + "{name}}", limit.CodeErrors},
		"a long wrong value":              {`{name(in:"` + strings.Repeat("a", 1<<20) + `")}`, limit.CodeErrors},
		"a comment":                       {strings.Repeat("#", 1<<20), invalid},
		"many comments":                   {strings.Repeat("#\n", 1<<19), limit.CodeTokens},
		"a block string of lines":         {`{name(is:"""` + strings.Repeat("\n", 1<<20) + `""")}`, limit.CodeTokens},
		"a string without end":            {`{name(is:"` + strings.Repeat("a", 1<<20), broken},
		"commas":                          {strings.Repeat(",", 1<<20), invalid},
	}
}

// Bounds for what one document may take; the work is some tens of milliseconds, on a machine that has nothing else to do.
const (
	maxTime   = 20 * time.Second
	maxMemory = 64 << 20
)

func TestAttacksAreRefusedAtLittleCost(t *testing.T) {
	for what, attack := range attacks() {
		t.Run(what, func(t *testing.T) {
			s := newServer(t, limit.Documents{})
			start, before := time.Now(), allocated()
			_, errs := s.ask(&graphql.RawParams{Query: attack.query})
			took, memory := time.Since(start), allocated()-before
			if len(errs) == 0 || errs[0].Extensions["code"] != attack.code {
				t.Fatalf("want %s, got %.300s", attack.code, errs.Error())
			}
			if attack.code != invalid && attack.code != broken && len(errs[0].Message) > 150 {
				t.Errorf("the message is %d bytes long", len(errs[0].Message))
			}
			if took > maxTime || memory > maxMemory {
				t.Errorf("took %s and %d bytes", took, memory)
			}
			if attack.code != invalid && attack.code != broken && attack.code != limit.CodeErrors && s.validated > 0 {
				t.Error("it was validated")
			}
		})
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestWhatIsJustWithinTheLimitsIsValidatedAtLittleCost(t *testing.T) {
	for what, query := range map[string]string{
		"repeated fields":                 "{" + strings.Repeat(" name", 380) + "}",
		"repeated fields with a fragment": "{page{nodes{" + strings.Repeat(" self{...F}", 155) + "}}} fragment F on Query{name}",
		"repeated fields in repeated":     "{" + strings.Repeat(" self{"+strings.Repeat(" name", 18)+"}", 18) + "}",
		"wide repeated fields":            "{" + strings.Repeat(" self{"+each(38, " a#:name")+"}", 38) + "}",
		"fragments with many fields":      "{" + each(50, " ...F#") + "}" + strings.ReplaceAll(each(50, " fragment F# on Query{@}"), "@", each(20, " a#:name")),
		"inline fragments":                "{" + nest(45, "...{", strings.Repeat(" name", 55), "}") + "}",
		"conflicts":                       "{" + strings.Repeat(" a:name a:names", 22) + "}",
		"aliases":                         "{" + each(3_300, " a#:name") + "}",
		"variables":                       "query(" + each(1_200, " $v#:Int") + "){" + "name(list:[[[" + each(1_200, " $v#") + "]]])}",
		"operations":                      each(600, " query Q#{...F}") + " fragment F on Query{a:name b:name c:name d:name e:name}",
		"wrong values":                    "{" + each(900, " a#:name(is:#)") + "}",
	} {
		t.Run(what, func(t *testing.T) {
			s := newServer(t, limit.Documents{})
			start, before := time.Now(), allocated()
			_, errs := s.ask(&graphql.RawParams{Query: query})
			took, memory := time.Since(start), allocated()-before
			t.Logf("%s, %d bytes, %d errors", took, memory, len(errs))
			for _, e := range errs {
				if e.Extensions["code"] != invalid {
					t.Fatalf("got %v", e)
				}
			}
			if took > maxTime || memory > maxMemory {
				t.Errorf("took %s and %d bytes", took, memory)
			}
		})
	}
}

func TestIntrospectionAsToolsAskForItPasses(t *testing.T) {
	s := newServer(t, limit.Documents{})
	if _, errs := s.ask(&graphql.RawParams{Query: introspection}); errs != nil {
		t.Error(errs)
	}
	if code := newServer(t, limit.Documents{Depth: 15 - 1}).code(introspection); code != limit.CodeDepth {
		t.Logf("it would pass at %d too", 15-1)
	}
}

// introspection is the query of graphql-js 16.15 with all of its options.
const introspection = `query IntrospectionQuery {
	__schema {
		description
		queryType { name kind } mutationType { name kind } subscriptionType { name kind }
		types { ...FullType }
		directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
	}
}
fragment FullType on __Type {
	kind name description specifiedByURL isOneOf
	fields(includeDeprecated: true) {
		name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
	}
	inputFields(includeDeprecated: true) { ...InputValue }
	interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
	possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
	name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type {
	kind name
	ofType { name kind ofType { name kind ofType { name kind ofType { name kind ofType { name kind
		ofType { name kind ofType { name kind ofType { name kind ofType { name kind } } } } } } } } }
}`

// A rule of the server's may prepare what another is to see.
func TestRulesRunInTheOrderOfTheirNames(t *testing.T) {
	var ran []string
	ordered := rules.NewRules()
	for _, name := range []string{"C", "A", "E", "B", "D"} {
		ordered.AddRule(name, func(observers *core.Events, _ core.AddErrFunc) {
			observers.OnField(func(*core.Walker, *ast.Field) { ran = append(ran, name) })
		})
	}
	documents := limit.Documents{Cache: limit.NewCache(1<<20, limit.Bytes), Rules: func() *rules.Rules { return ordered }}
	if err := documents.Validate(newSchema()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		ran = nil
		params := &graphql.RawParams{Query: fmt.Sprintf("{ a%d: __typename }", i)}
		if err := documents.MutateOperationParameters(t.Context(), params); err != nil || !slices.Equal(ran, []string{"A", "B", "C", "D", "E"}) {
			t.Fatalf("%v ran, %v", ran, err)
		}
	}
}
