package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/changelog"
	"rollcall/keyset"
)

// randomOperation is a query that was made at random.
type randomOperation struct {
	Query     string         `json:"query"`
	Name      string         `json:"operationName,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`

	asIs bool // nothing in it is for the resolvers, unless it has an error
}

func (o randomOperation) String() string {
	text, _ := json.Marshal(o.Variables)
	return o.Query + "\nvariables: " + string(text)
}

// generator makes one operation on a schema. What it makes is mostly valid.
type generator struct {
	*rand.Rand
	schema    *ast.Schema
	snapshot  bool // it may be one on a snapshot
	special   bool // it has what only resolvers answer
	fields    int  // that may still be selected
	meanings  map[string]string
	fragments []fragment
	declared  []string
	values    map[string]any
}

// fragment is a fragment whose text is complete.
type fragment struct {
	name, text string
	on         *ast.Definition
	depth      int
	size       int // how many objects it was made for
}

// generate makes the operation of a seed.
func generate(schema *ast.Schema, seed uint64, snapshot bool) randomOperation {
	g := &generator{
		Rand: rand.New(rand.NewPCG(seed, 7)), schema: schema, snapshot: snapshot,
		fields: 40, meanings: map[string]string{}, values: map[string]any{},
	}
	g.fields = 3 + g.IntN(g.fields)
	set := g.selection(schema.Query, 2+g.IntN(6), 1)
	op := randomOperation{Query: set, Variables: g.values, asIs: !g.special}
	if len(g.declared) > 0 || g.one(2) {
		op.Name = "Q"
		op.Query = "query Q"
		if len(g.declared) > 0 {
			op.Query += "(" + strings.Join(g.declared, ", ") + ")"
		}
		if g.snapshot && g.one(6) {
			op.Query += " @snapshot"
		}
		op.Query += " " + set
	}
	for _, f := range g.fragments {
		op.Query += "\n" + f.text
	}
	return op
}

// one is true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// selection is what is selected of size objects.
func (g *generator) selection(typ *ast.Definition, depth, size int) string {
	var parts []string
	var again []func() string // fields selected once more, with whatever below them
	for n := 1 + g.IntN(6); n > 0; n-- {
		switch {
		case g.fields <= 0:
			n = 0
		case len(again) > 0 && g.one(6):
			parts = append(parts, pick(g, again...)())
		case g.one(10):
			parts = append(parts, g.alias("__typename", pick(g, "", "", "name", "t"))+g.directives())
		case depth > 0 && g.one(6):
			parts = append(parts, g.inline(typ, depth, size))
		case depth > 0 && g.one(7):
			parts = append(parts, g.spread(typ, depth, size))
		case typ == g.schema.Query && g.one(25):
			parts = append(parts, g.introspection())
		default:
			if field := g.field(typ, depth, size); field != nil {
				parts = append(parts, field())
				again = append(again, field)
			}
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "__typename")
	}
	return "{ " + strings.Join(parts, " ") + " }"
}

// onlyResolved reports whether only resolvers answer a field.
func onlyResolved(f *ast.FieldDefinition) bool {
	return f.Name == "mutationOutcome" || f.Name == "webhooks"
}

// field chooses a field and returns what selects it.
func (g *generator) field(typ *ast.Definition, depth, size int) func() string {
	g.fields--
	var fields ast.FieldList
	for _, f := range typ.Fields {
		leaf := !g.schema.Types[f.Type.Name()].IsCompositeType()
		if !strings.HasPrefix(f.Name, "__") && (leaf || depth > 0) && (!onlyResolved(f) || g.one(12)) {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	f := pick(g, fields...)
	g.special = g.special || onlyResolved(f)
	arguments, items := g.arguments(typ, f, size)
	alias := g.alias(f.Name+arguments, pick(g, "", "", "", "a", "b", "name", "id", "nodes", "_0"))
	below := g.schema.Types[f.Type.Name()]
	return func() string {
		text := alias + g.directives()
		if below.IsCompositeType() {
			text += " " + g.selection(below, depth-1, size*items)
		}
		return text
	}
}

// alias gives a field a name in the answer that it has wherever it has these arguments, and that no other has, so that fields
// can be merged.
func (g *generator) alias(field, wish string) string {
	name, _, _ := strings.Cut(field, "(")
	if wish == "" {
		wish = name
	}
	for i := 0; g.meanings[wish] != "" && g.meanings[wish] != field; i++ {
		wish = fmt.Sprintf("%s%d", name, i)
	}
	g.meanings[wish] = field
	if wish == name {
		return field
	}
	return wish + ": " + field
}

// inline is an inline fragment.
func (g *generator) inline(typ *ast.Definition, depth, size int) string {
	if g.one(3) {
		return "..." + g.deferring() + g.directives() + " " + g.selection(typ, depth, size)
	}
	on := g.condition(typ)
	return "... on " + on.Name + g.deferring() + g.directives() + " " + g.selection(on, depth, size)
}

// condition is a type that objects of typ may have, or could have beyond an interface.
func (g *generator) condition(typ *ast.Definition) *ast.Definition {
	all := []*ast.Definition{typ}
	if typ.IsAbstractType() {
		all = append(all, g.schema.GetPossibleTypes(typ)...)
	} else {
		all = append(all, g.schema.GetImplements(typ)...)
	}
	return pick(g, all...)
}

// spread spreads a fragment, mostly one that there is.
func (g *generator) spread(typ *ast.Definition, depth, size int) string {
	on := g.condition(typ)
	for _, f := range g.fragments {
		if f.on == on && f.depth <= depth && size <= 3*f.size && !g.one(4) {
			return "..." + f.name + g.deferring() + g.directives()
		}
	}
	f := fragment{on: on, depth: depth, size: size}
	set := g.selection(on, depth, size)
	f.name = fmt.Sprintf("F%d", len(g.fragments))
	f.text = "fragment " + f.name + " on " + on.Name + " " + set
	g.fragments = append(g.fragments, f)
	return "..." + f.name + g.directives()
}

func (g *generator) introspection() string {
	g.special = true
	return pick(g, `__schema { queryType { name } }`, `__type(name: "User") { name kind fields { name } }`, `none: __type(name: "Nothing") { name }`)
}

func (g *generator) deferring() string {
	if !g.one(12) {
		return ""
	}
	return pick(g, " @defer", " @defer(if: false)")
}

func (g *generator) directives() string {
	if !g.one(9) {
		return ""
	}
	condition := func(mostly bool) string {
		value := mostly != g.one(4)
		if g.one(2) {
			return fmt.Sprint(value)
		}
		return g.variable("Boolean!", value)
	}
	switch g.IntN(3) {
	case 0:
		return " @skip(if: " + condition(false) + ")"
	case 1:
		return " @include(if: " + condition(true) + ")"
	default:
		return " @skip(if: " + condition(false) + ") @include(if: " + condition(true) + ")"
	}
}

// arguments are a field's, of which there will be size. It says how many items its page has, about.
func (g *generator) arguments(typ *ast.Definition, f *ast.FieldDefinition, size int) (text string, items int) {
	var all []string
	items = 1
	var key keyset.Key // of a list
	switch f.Name {
	case "allReports":
		key.Order.By = &keyset.Sort{Name: "DEPTH", Number: true}
	case "history":
		key.Order.Descending = true
	case "changes":
		return g.logArguments(f, size)
	}
	filtered := false
	window := "first"
	if g.one(3) {
		window = "last"
	}
	for _, a := range slices.Backward(f.Arguments) { // the order before the cursors, which are of it
		var value any
		switch a.Name {
		case "orderBy":
			value, key.Order = g.order(a)
		case "filter":
			if value = any(omitted{}); g.one(3) {
				value, filtered = g.filterArgument(a.Type.Name()), true
			}
		case "query":
			if value = any(omitted{}); g.one(3) {
				value, filtered = pick[any](g, "a", "AN", "ŁUC", 7, "me", "mo ad", "Zoë", "o'", "ada moreau", "1", "-", "", "\"'\\;é\u2028", nil, strings.Repeat("x", 256)), true
			}
		case "membership":
			if value = any(omitted{}); g.one(2) {
				value, filtered = pick[any](g, written("ALL"), written("DIRECT"), nil), true
			}
		case "after", "before":
			if value = any(omitted{}); !filtered || g.one(30) { // what is filtered has cursors of its own
				value = g.cursor(typ.Name+"."+f.Name, key, a.Name)
			}
		case "first", "last":
			value = omitted{}
			if a.Name == window || g.one(100) {
				value = g.pageSize(size)
			}
		default:
			value = g.argument(f, a)
		}
		_, left := value.(omitted)
		if a.Name == window {
			if n, _ := value.(int); n > 0 && n <= 100 {
				items = n
			} else if left || value == nil {
				items = keyset.DefaultSize
			}
		}
		if !left {
			all = append(all, a.Name+": "+g.value(a.Type, value))
		}
	}
	if typ == g.schema.Query && strings.HasSuffix(f.Name, "odes") {
		items = 3
	}
	if len(all) == 0 {
		return "", items
	}
	return "(" + strings.Join(all, ", ") + ")", items
}

// logArguments are those of the log of changes.
func (g *generator) logArguments(f *ast.FieldDefinition, size int) (text string, items int) {
	var all []string
	items = keyset.DefaultSize
	for _, a := range f.Arguments {
		var value any = omitted{}
		switch {
		case a.Name == "first":
			value = g.pageSize(size)
			if n, _ := value.(int); n >= 0 && n <= 100 && value != nil {
				items = n
			}
		case g.one(100):
			value = pick[any](g, "nonsense", []any{}, nil)
		case !g.one(3):
		case a.Name == "after": // the beginning, and one that never was
			value = pick[any](g, changelog.Cursor{}.String(), changelog.Cursor{}.String(), changelog.Cursor{}.String(), changelog.At(1, "another log's").String())
		case a.Name == "kinds":
			value = []any{enum("CREATED"), enum(pick(g, "CREATED", "UPDATED", "DELETED", "ERASED", "REVOKED"))}
		case a.Name == "types":
			value = []any{enum(pick(g, "USER", "TEAM", "MEMBERSHIP", "API_TOKEN"))}
		default:
			value = g.argument(f, a)
		}
		if _, left := value.(omitted); !left {
			all = append(all, a.Name+": "+g.value(a.Type, value))
		}
	}
	if len(all) == 0 {
		return "", items
	}
	return "(" + strings.Join(all, ", ") + ")", items
}

// omitted is the value of an argument that is left out.
type omitted struct{}

// enum is the value of an enum.
type enum string

// order chooses the order of a list.
func (g *generator) order(a *ast.ArgumentDefinition) (any, keyset.Order) {
	if g.one(2) {
		return pick[any](g, omitted{}, omitted{}, nil), keyset.Order{}
	}
	fields := g.schema.Types[g.schema.Types[a.Type.Name()].Fields.ForName("field").Type.Name()].EnumValues
	name := pick(g, fields...).Name
	if name == keyset.Relevance.Name && !g.one(10) { // which is refused without a query
		name = "NAME"
	}
	value, order := map[string]any{"field": enum(name)}, keyset.Order{}
	if name != "ID" {
		order.By = &keyset.Sort{Name: name}
	}
	switch g.IntN(4) {
	case 0, 1:
		value["direction"], order.Descending = enum("DESC"), true
	case 2:
		value["direction"] = pick[any](g, enum("ASC"), enum("ASC"), nil)
	}
	if g.one(60) {
		value["field"] = pick[any](g, enum("NOTHING"), nil, "NAME", 1)
	}
	return value, order
}

// filterArgument writes a filter: as a variable, as a literal, or as one that has variables in it.
func (g *generator) filterArgument(typ string) any {
	switch {
	case g.one(20):
		return nil
	case g.one(3):
		return written(g.variable(typ, g.filter(g.schema.Types[typ], 1, false)))
	}
	return written(literal(g.filter(g.schema.Types[typ], 1, g.one(2))))
}

// filter chooses what stands in a filter, or in a part of one, mostly something that is right.
func (g *generator) filter(def *ast.Definition, depth int, variables bool) any {
	all := map[string]any{}
	for n := g.IntN(3); n >= 0; n-- {
		f := pick(g, def.Fields...)
		typ := g.schema.Types[f.Type.Name()]
		one := func() any {
			if typ.Kind == ast.InputObject {
				if typ == def && depth > 2 && !g.one(100) {
					return map[string]any{}
				}
				return g.filter(typ, depth+1, variables)
			}
			return g.operand(typ, f.Name, def)
		}
		value := any(nil)
		switch {
		case g.one(100):
		case f.Type.Elem == nil || g.one(20): // one for a list of one
			value = one()
		default:
			list := make([]any, g.IntN(4))
			for i := range list {
				list[i] = one()
			}
			value = list
		}
		if variables && typ.Kind != ast.InputObject && g.one(3) {
			value = written(g.variable(f.Type.String(), value))
		}
		all[f.Name] = value
	}
	for _, f := range def.Fields { // what there has to be
		if _, given := all[f.Name]; f.Type.NonNull && !given {
			all[f.Name] = g.operand(g.schema.Types[f.Type.Name()], f.Name, def)
		}
	}
	return all
}

// operand chooses what is compared with.
func (g *generator) operand(typ *ast.Definition, field string, of *ast.Definition) any {
	switch {
	case typ.Kind == ast.Enum:
		return enum(pick(g, typ.EnumValues...).Name)
	case typ.Name == "Boolean":
		return g.one(2)
	case typ.Name == "ID":
		if of.Name == "InTeamFilter" || g.one(10) {
			return pick[any](g, "Team:1", "Team:2", "Team:50", "Team:51", "Team:999")
		}
		return pick[any](g, "User:1", "User:2", "User:11", "User:1003", "User:1009", "User:99999")
	case typ.Name == "Time":
		if g.one(100) {
			return "yesterday"
		}
		return pick[any](g, "2024-01-01T09:00:00Z", "2024-01-20T12:30:00+02:00", "2024-05-06T07:08:09.123456Z", "2024-05-06T07:08:09.1234567Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
	case field == "eq" || field == "in":
		return pick[any](g, "Ada Moreau", "ada.moreau.1@example.com", "Platform", "last", "nobody", "\u0000")
	}
	return pick[any](g, "", "a", "A", "mo", "ada", "z", "@example.com", "1@EXAMPLE.com", "%", "_", "\\", "'", "\ufffd", "\U0001f98a", "\U0010ffff", "\u0000", "ü")
}

// cursor chooses the cursor in an argument of a list.
func (g *generator) cursor(list string, key keyset.Key, argument string) any {
	switch {
	case g.one(60):
		return pick[any](g, "nonsense", "", "VXNlcjox", 7, keyset.Cursor("Nothing.nowhere", key, 1, ""))
	case argument == "before" && !g.one(4), g.one(3):
		return pick[any](g, omitted{}, omitted{}, omitted{}, nil)
	case g.one(50): // of another order, or, by chance, of this one
		key.Order.Descending = !key.Order.Descending
	}
	id, sorted := pick[int64](g, 1, 2, 3, 4, 5, 6, 40, 45, 500, 995, 996, 1003), ""
	if key.Order.By != nil {
		switch key.Order.By.Name {
		case "ROLE":
			sorted = pick(g, "MEMBER", "OWNER")
		case "DEPTH":
			sorted = pick(g, "1", "2", "3", "4", "0", "-1", "x")
		case "NAME", "EMAIL":
			sorted = pick(g, "", "Ada Moreau", "K", "kwame.mensah.2@example.com", "m", "Platform", "~", "\u0142")
		default:
			sorted = pick(g, "2019-03-04 05:06:07", "2021-01-01 00:00:00+00", "2023-06-30 12:00:00.5+00:00", "2024-05-06 07:08:09.123456", "2030-01-01 00:00:00")
			if g.one(60) {
				sorted = pick(g, "yesterday", "2021-02-30 00:00:00", "infinity")
			}
		}
	}
	return keyset.Cursor(list, key, id, sorted)
}

// pageSize chooses how many items a page has of each of size lists.
func (g *generator) pageSize(size int) any {
	switch {
	case g.one(40):
		return pick[any](g, 101, -1, 1<<31-1, 1<<40)
	case size <= 2 && g.one(8):
		return pick[any](g, 20, 30, 100, omitted{}, nil)
	case size < 10 && g.one(6):
		return pick[any](g, omitted{}, nil, 8)
	case size > 60:
		return pick[any](g, 0, 1)
	}
	return g.IntN(4)
}

// argument chooses a value for an argument, good or bad.
func (g *generator) argument(f *ast.FieldDefinition, a *ast.ArgumentDefinition) any {
	users := []any{"User:1", "User:2", "User:11", "User:500", "User:1000", "User:1001", "User:1002", "User:1004", "User:1005", "User:1009", "User:1011", "User:99999"}
	teams := []any{"Team:1", "Team:7", "Team:50", "Team:51", "Team:52", "Team:53", "Team:999"}
	bad := []any{"User:0", "User:01", "Team:-1", "Role:1", "nonsense", "", 42, "User:99999999999999999999", "Us\"er\u2028:1"}
	switch a.Name {
	case "id":
		switch {
		case g.one(30):
			return pick(g, bad...)
		case f.Name == "team" && !g.one(20):
			return pick(g, teams...)
		case f.Name == "user" && !g.one(20):
			return pick(g, users...)
		}
		return pick(g, append(users, teams...)...)
	case "ids":
		ids := make([]any, g.IntN(6))
		for i := range ids {
			ids[i] = pick(g, append(users, teams...)...)
			if g.one(50) {
				ids[i] = pick(g, bad...)
			}
		}
		if g.one(60) {
			return pick(g, append(users, teams...)...) // one for a list of one
		}
		return ids
	case "email":
		return pick[any](g, "ada.moreau.1@example.com", " ADA.Moreau.1@example.COM", "kwame.mensah.2@example.com", "hostile1@example.com", "nobody@example.com", "", "\"'\\;é\u2028")
	case "externalId":
		return pick[any](g, "E-10000", "E-10001", "e-10001", "hostile é1", "HOSTILE é1", "E-99999", "", 7, "\"'\\;é\u2028")
	case "limit":
		return pick[any](g, 0, 1, 3, 20, 1000, 10_000, 10_001, -1, "7")
	case "maxDepth":
		return pick[any](g, 1, 2, 3, 500, omitted{}, omitted{}, nil, 0, 501)
	case "operationId":
		return pick[any](g, "nonsense", "0197f3a0-0000-7000-8000-000000000000", 7)
	default:
		panic("say what values the argument " + a.Name + " takes")
	}
}

// value writes a value as a literal or as a variable.
func (g *generator) value(typ *ast.Type, value any) string {
	list, isList := value.([]any)
	text, isWritten := value.(written)
	switch {
	case isWritten:
		return string(text)
	case g.one(3):
		return g.variable(typ.String(), value)
	case isList:
		var elements []string
		for _, v := range list {
			elements = append(elements, g.value(typ.Elem, v))
		}
		return "[" + strings.Join(elements, " ") + "]"
	}
	if input, ok := value.(map[string]any); ok && g.one(4) && input["direction"] != nil {
		input = maps.Clone(input)
		input["direction"] = written(g.variable("OrderDirection", input["direction"]))
		return literal(input)
	}
	return literal(value)
}

// written is a value that is written as it is.
type written string

func literal(value any) string {
	switch v := value.(type) {
	case enum:
		return string(v)
	case written:
		return string(v)
	case []any:
		elements := make([]string, len(v))
		for i, element := range v {
			elements[i] = literal(element)
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case map[string]any:
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, name+": "+literal(v[name]))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// variable declares a variable with a value, given or by default.
func (g *generator) variable(typ string, value any) string {
	name := fmt.Sprintf("v%d", len(g.declared))
	nullable := strings.TrimSuffix(typ, "!")
	switch g.IntN(4) {
	case 0: // the default is meant
		g.declared = append(g.declared, "$"+name+": "+nullable+" = "+literal(value))
		if g.one(20) {
			g.values[name], g.special = nil, true
		}
	case 1: // the default is not meant
		other := map[string]string{
			"Int": "1", "String": `"x"`, "ID": `"User:3"`, "Boolean": "true", "[ID!]": `["Team:2"]`, "OrderDirection": "ASC",
			"Time": `"2020-01-01T00:00:00Z"`, "Role": "OWNER", "[String!]": "[]", "[ChangeKind!]": "[UPDATED]", "[ChangeType!]": "TEAM", "ChangeKind": "UPDATED", "ChangeType": "TEAM", "UserFilter": "{}", "TeamFilter": "{}",
		}[nullable]
		if strings.HasSuffix(nullable, "Order") {
			other = "{field: ID}"
		}
		g.declared = append(g.declared, "$"+name+": "+nullable+" = "+other)
		g.values[name] = value
	default:
		g.declared = append(g.declared, "$"+name+": "+typ)
		if value != nil || !g.one(2) {
			g.values[name] = value
		}
	}
	return "$" + name
}
