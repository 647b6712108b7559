package document

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// literals are strings as the elements of a list, and what they mean: nil where they are a syntax error. The values are
// those of graphql-js 16.15, but for leading zeros, of which it takes 8 digits and the specification any number.
var literals = []struct {
	list   string
	values []string
}{
	{`"plain é 😀"`, []string{`plain é 😀`}},
	{`"\u0041\u00e9"`, []string{`Aé`}},
	{`"\ud83d\ude00"`, []string{`😀`}},
	{`"\uD83D\uDE00\uD83D\uDE00"`, []string{`😀😀`}},
	{`"\u{1F600}"`, []string{`😀`}},
	{`"\u{1f600}"`, []string{`😀`}},
	{`"\u{41}"`, []string{`A`}},
	{`"\u{0041}"`, []string{`A`}},
	{`"\u{00000000000000000000041}"`, []string{`A`}},
	{`"\u{10FFFF}"`, []string{"\U0010ffff"}},
	{`"\u{22}\u{5C}\u{2F}"`, []string{`"\/`}},
	{`"\u{A}\u{D}\u{9}\u{0}"`, []string{"\n\r\t\x00"}},
	{`"\\u{41} \\ud83d"`, []string{`\u{41} \ud83d`}},
	{`"\"\\\/\b\f\n\r\t"`, []string{"\"\\/\x08\x0c\n\r\t"}},
	{"\"\x07\x7f\"", []string{"\x07\x7f"}},
	{`"# no comment"`, []string{`# no comment`}},
	{"\"\\u{41}\" # \\ud83d \"\x07\n \"b\"", []string{`A`, `b`}},
	{`"\ud83d"`, nil},
	{`"\ude00"`, nil},
	{`"\ude00\ud83d"`, nil},
	{`"\ud83dx"`, nil},
	{`"\ud83d\u0041"`, nil},
	{`"\ud83d\ud83d\ude00"`, nil},
	{`"\ud83d\u{de00}"`, nil},
	{`"\u{d83d}\u{de00}"`, nil},
	{`"\u{D800}"`, nil},
	{`"\u{110000}"`, nil},
	{`"\u{FFFFFFFFFFFFFFFFFF}"`, nil},
	{`"\u{}"`, nil},
	{`"\u{41"`, nil},
	{`"\u{4 1}"`, nil},
	{`"\u{G}"`, nil},
	{`"\u{-1}"`, nil},
	{`"\u{+41}"`, nil},
	{`"\u004"`, nil},
	{`"\u00g0"`, nil},
	{`"\x"`, nil},
	{`"\u{41}\q"`, nil},
	{`"\u{41}`, nil},
	{"\"\\u{41}\n\"", nil},
	{"\"a\rb\"", nil},

	{`""""""`, []string{``}},
	{`"""a"""`, []string{`a`}},
	{`"""  a  """`, []string{`  a  `}},
	{"\"\"\"a\n    b\"\"\"", []string{"a\nb"}},
	{"\"\"\"\n    a\n      b\n    c\n  \"\"\"", []string{"a\n  b\nc"}},
	{"\"\"\"a\n  b\n    c\"\"\"", []string{"a\nb\n  c"}},
	{"\"\"\"\n\n\n  \n\ta\n\t b\n \n\n\"\"\"", []string{"a\n b"}},
	{"\"\"\"a\r\n  b\r    c\n  d\"\"\"", []string{"a\nb\n  c\nd"}},
	{"\"\"\" \n \t\n\"\"\"", []string{``}},
	{"\"\"\"a\n\n   \n      \n   b\"\"\"", []string{"a\n\n\n   \nb"}},
	{"\"\"\"a\n b\n\t c\"\"\"", []string{"a\nb\n c"}},
	{"\"\"\"\\u{41} \\ud83d \\n \\ \\\"\"\"\n  \"q\" \\\\ \"\"\"", []string{"\\u{41} \\ud83d \\n \\ \"\"\"\n\"q\" \\\\ "}},
	{`"""""a"""`, []string{`""a`}},
	{`"""a\""""""`, []string{`a"""`}},
	{"\"\"\"\n  \\\"\"\"\n\"\"\"", []string{`"""`}},
	{"\"\"\"a\x07\n b\"\"\"", []string{"a\x07\nb"}},
	{"\"\"\"a\x07b\"\"\"", []string{"a\x07b"}},
	{"\"\"\"# \n  # a\"\"\"", []string{"# \n# a"}},
	{"\"\"\"😀\n  é\n  e\"\"\"", []string{"😀\né\ne"}},
	{`"""a""""`, nil},
	{`"""""""`, nil},
	{`"""a`, nil},
	{"\"\"\"a\n b", nil},
	{`"""a\"""`, nil},
	{`"""\""""`, nil},

	{`"""a"""""`, []string{`a`, ``}},
	{`"""a""""b"`, []string{`a`, `b`}},
	{"\"\"\"a\"\"\" \"\"\"\n b\n\"\"\"", []string{`a`, `b`}},
	{`"a""""b"""`, []string{`a`, `b`}},
	{`"a""\u{41}"`, []string{`a`, `A`}},
	{"\"\"\"a\"\"\"\"\"\"\nb\"\"\"", []string{`a`, `b`}},
	{`"\u{1F600}" "x"`, []string{`😀`, `x`}},
}

// parsed is what gqlparser makes of a document, once its strings are normalized.
func parsed(document string) (*ast.QueryDocument, error) {
	normal, wrong := normalize(document)
	if wrong != nil {
		return nil, wrong
	}
	return parser.ParseQuery(&ast.Source{Input: normal})
}

func TestAStringMeansWhatTheSpecificationSays(t *testing.T) {
	for _, c := range literals {
		doc, err := parsed(`{ f(a: [` + c.list + `]) }`)
		if err != nil {
			if wrong, ok := errors.AsType[*gqlerror.Error](err); c.values != nil || !ok || wrong.Extensions["code"] != nil && wrong.Extensions["code"] != "GRAPHQL_PARSE_FAILED" {
				t.Errorf("%s: %v", c.list, err)
			}
			continue
		}
		var values []string
		for _, child := range doc.Operations[0].SelectionSet[0].(*ast.Field).Arguments[0].Value.Children {
			values = append(values, child.Value.Raw)
		}
		if !slices.Equal(values, c.values) {
			t.Errorf("%s: want %q, got %q", c.list, c.values, values)
		}
	}
}

func TestWhatFollowsAStringStaysWhereItIs(t *testing.T) {
	for _, c := range literals {
		if c.values == nil || strings.Contains(c.list, "\x07") || strings.Contains(c.list, `\u{0}`) { // which nothing shorter stands for
			continue
		}
		for _, end := range []string{"\n", "\r\n", "\r", "\t, \ufeff"} {
			before := "{" + end + "f(a: [" + c.list + "])"
			doc, err := parsed(before + " g }")
			if err != nil {
				t.Errorf("%s: %v", c.list, err)
				continue
			}
			lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(before), "\n")
			line, column := len(lines), len([]rune(lines[len(lines)-1]))+2
			if at := doc.Operations[0].SelectionSet[1].GetPosition(); at.Line != line || at.Column != column {
				t.Errorf("%q: want %d:%d, got %d:%d", before, line, column, at.Line, at.Column)
			}
		}
	}
}

func TestAWrongStringIsRefusedWhereItIsWrong(t *testing.T) {
	for _, c := range []struct {
		document, message string
		line, column      int
	}{
		{"{ f(a: \"é\\ud83d!\") }", `Invalid Unicode escape sequence: \ud83d.`, 1, 10},
		{"{\r\n  f(a: \"\\u{1F600}\\u{D800}\") }", `Invalid Unicode escape sequence: \u{D800}.`, 2, 18},
		{"{ f(a: \"\"\"a\n  b\"\"\", b: \"\\u{41}\\q\") }", `Invalid character escape sequence: \q.`, 2, 19},
		{"{ f(a: \"\\u{41}\n\") }", "Unterminated string.", 1, 15},
		{"{ f(a: \"\"\"\n  a\"\") }", "Unterminated string.", 2, 9},
		{"{ f(a: \"\"\"a\"\"\"\") }", "Unterminated string.", 1, 19},
		{"{ f(a: \"\"\"a\n\"\"\") ] }", "Expected Name, found ]", 2, 6},
	} {
		_, err := parsed(c.document)
		wrong, ok := errors.AsType[*gqlerror.Error](err)
		if !ok || wrong.Message != c.message || len(wrong.Locations) != 1 || wrong.Locations[0].Line != c.line || wrong.Locations[0].Column != c.column {
			t.Errorf("%q: want %s at %d:%d, got %v", c.document, c.message, c.line, c.column, err)
		}
	}
}

func TestADocumentWithoutSuchStringsIsNotTouched(t *testing.T) {
	const usual = `query Q($a: String = "é \" \\ \n 😀") { user(id: "User:42") { name # and more` + "\n } }"
	if allocations := testing.AllocsPerRun(100, func() {
		if document, err := normalize(usual); err != nil || document != usual {
			t.Fatal(document, err)
		}
	}); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// FuzzNormalize wants a document that gqlparser takes to stay the same, and what is normal not to change.
func FuzzNormalize(f *testing.F) {
	for _, c := range literals {
		f.Add(`{ f(a: [` + c.list + `]) }`)
	}
	f.Fuzz(func(t *testing.T, document string) {
		normal, wrong := normalize(document)
		if wrong != nil {
			if len(wrong.Locations) != 1 || wrong.Message == "" {
				t.Errorf("%q: %v", document, wrong)
			}
			return
		}
		if again, wrong := normalize(normal); wrong != nil || again != normal {
			t.Errorf("%q: %q becomes %q, %v", document, normal, again, wrong)
		}
		if len(normal) > 6*len(document) {
			t.Errorf("%q: %d bytes of %d", document, len(normal), len(document))
		}
	})
}
