package batch_test

import (
	"context"
	"testing"

	"rollcall/batch"
	"rollcall/schematest"
)

// scalars are loaders of scalars, by the fields that have them.
type scalars struct {
	ints    *batch.Loader[string, int]
	lists   *batch.Loader[string, []int]
	bools   *batch.Loader[string, bool]
	floats  *batch.Loader[string, float64]
	strings *batch.Loader[string, string]
	dates   *batch.Loader[string, schematest.Date]
}

func newScalars(set *batch.Set) scalars {
	return scalars{
		ints:    scalar(set, map[string]int{"int": 7, "big": 1 << 40, "id": 5}),
		lists:   scalar(set, map[string][]int{"ints": {1, -2}, "keys": {3, 4}}),
		bools:   scalar(set, map[string]bool{"boolean": true}),
		floats:  scalar(set, map[string]float64{"float": 0.5}),
		strings: scalar(set, map[string]string{"string": "\u2028<", "grade": "B"}),
		dates:   scalar(set, map[string]schematest.Date{"date": 9}),
	}
}

func scalar[V any](set *batch.Set, values map[string]V) *batch.Loader[string, V] {
	return batch.NewLoader(set, func(context.Context, []string, batch.Columns) (map[string]V, error) { return values, nil })
}

// of declares a field of Numbers.
func of[V any](field string, loader func(scalars) *batch.Loader[string, V]) batch.Field {
	return batch.Relation("Numbers", field, func(ctx context.Context) *batch.Loader[string, V] { return loader(from(ctx).scalars) },
		batch.Key(func(*schematest.Numbers) (string, bool) { return field, true }))
}

func ints(s scalars) *batch.Loader[string, int]              { return s.ints }
func lists(s scalars) *batch.Loader[string, []int]           { return s.lists }
func bools(s scalars) *batch.Loader[string, bool]            { return s.bools }
func floats(s scalars) *batch.Loader[string, float64]        { return s.floats }
func texts(s scalars) *batch.Loader[string, string]          { return s.strings }
func dates(s scalars) *batch.Loader[string, schematest.Date] { return s.dates }

func (queryResolver) Numbers(context.Context) (*schematest.Numbers, error) {
	return &schematest.Numbers{}, nil
}

func load[V any](ctx context.Context, field string, loader func(scalars) *batch.Loader[string, V]) (V, error) {
	return loader(from(ctx).scalars).Load(ctx, field)
}

func (numbersResolver) Int(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return load(ctx, "int", ints)
}

func (numbersResolver) Big(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return load(ctx, "big", ints)
}

func (numbersResolver) ID(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return load(ctx, "id", ints)
}

func (numbersResolver) Maybe(ctx context.Context, _ *schematest.Numbers) (*int, error) {
	n, err := load(ctx, "maybe", ints)
	if n == 0 {
		return nil, err
	}
	return &n, err
}

func (numbersResolver) Ints(ctx context.Context, _ *schematest.Numbers) ([]int, error) {
	return load(ctx, "ints", lists)
}

func (numbersResolver) Keys(ctx context.Context, _ *schematest.Numbers) ([]int, error) {
	return load(ctx, "keys", lists)
}

func (numbersResolver) Boolean(ctx context.Context, _ *schematest.Numbers) (bool, error) {
	return load(ctx, "boolean", bools)
}

func (numbersResolver) Float(ctx context.Context, _ *schematest.Numbers) (float64, error) {
	return load(ctx, "float", floats)
}

func (numbersResolver) String(ctx context.Context, _ *schematest.Numbers) (string, error) {
	return load(ctx, "string", texts)
}

func (numbersResolver) Grade(ctx context.Context, _ *schematest.Numbers) (string, error) {
	return load(ctx, "grade", texts)
}

func (numbersResolver) Date(ctx context.Context, _ *schematest.Numbers) (schematest.Date, error) {
	return load(ctx, "date", dates)
}

// numbers are the declarations of Numbers.
var numbers = []batch.Field{
	batch.Path("Query", "numbers", func(batch.Root) *schematest.Numbers { return &schematest.Numbers{} }),
	of("int", ints), of("big", ints), of("id", ints), of("maybe", ints), of("ints", lists), of("keys", lists),
	of("boolean", bools), of("float", floats), of("string", texts), of("grade", texts), of("date", dates),
	batch.Value("Numbers", "matrix", func(b []byte, _ *schematest.Numbers) []byte { return append(b, "null"...) }),
	batch.Paths("Numbers", "none", func(n *schematest.Numbers) []*schematest.Author { return n.None }),
	batch.Paths("Numbers", "books", func(n *schematest.Numbers) []*schematest.Book { return n.Books }),
}

func TestAScalarIsWrittenAsGqlgenWritesItOrLeftToItsResolver(t *testing.T) {
	for _, c := range []struct {
		field, value string
		resolved     bool
	}{
		{"int", "7", false},
		{"ints", "[1,-2]", false},
		{"boolean", "true", false},
		{"matrix", "null", false},
		{"none { id }", "null", false},
		{"books { id }", "null", false},
		{"big", "1099511627776", true}, // more than an Int has
		{"maybe", "null", true},        // what its resolver makes of 0
		{"id", `"5"`, true},
		{"keys", `["3","4"]`, true},
		{"float", "0.5", true},
		{"string", `"\u2028<"`, true},
		{"grade", `"B"`, true},
		{"date", `"2026, day 9"`, true},
	} {
		var answers []string
		for way, serve := range ways {
			l := serve(t, numbers...)
			a := l.ask(t, `{ numbers { x: `+c.field+` } }`)
			answers = append(answers, string(a.Data))
			if want := `{"numbers":{"x":` + c.value + `}}`; c.field != "string" && string(a.Data) != want || len(a.Errors) > 0 {
				t.Errorf("%s, %s: want %s, got %s and %v", way, c.field, want, a.Data, a.Errors)
			}
			if resolved := l.plan.Resolved() > 0; l.answers && resolved != c.resolved {
				t.Errorf("%s: was it resolved? %t", c.field, resolved)
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: got %q", c.field, answers)
		}
	}
}
