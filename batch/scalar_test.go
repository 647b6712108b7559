package batch_test

import (
	"context"
	"testing"

	"rollcall/batch"
	"rollcall/schematest"
)

// Sources of scalars, by the fields that have them.
var (
	ints   = scalar(map[string]int{"int": 7, "big": 1 << 40, "id": 5})
	lists  = scalar(map[string][]int{"ints": {1, -2}, "keys": {3, 4}})
	bools  = scalar(map[string]bool{"boolean": true})
	floats = scalar(map[string]float64{"float": 0.5})
	texts  = scalar(map[string]string{"string": "\u2028<", "grade": "B"})
	dates  = scalar(map[string]schematest.Date{"date": 9})
)

func scalar[V any](values map[string]V) *batch.Source[string, V] {
	return batch.NewSource(func(context.Context, []string, batch.Columns) (map[string]V, error) { return values, nil })
}

// of declares a field of Numbers.
func of[V any](field string, source *batch.Source[string, V]) batch.Field {
	return relation("Numbers", field, source, batch.Key(func(*schematest.Numbers) (string, bool) { return field, true }))
}

func (queryResolver) Numbers(context.Context) (*schematest.Numbers, error) {
	return &schematest.Numbers{}, nil
}

func (numbersResolver) Int(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return ints.Load(ctx, "int")
}

func (numbersResolver) Big(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return ints.Load(ctx, "big")
}

func (numbersResolver) ID(ctx context.Context, _ *schematest.Numbers) (int, error) {
	return ints.Load(ctx, "id")
}

func (numbersResolver) Maybe(ctx context.Context, _ *schematest.Numbers) (*int, error) {
	n, err := ints.Load(ctx, "maybe")
	if n == 0 {
		return nil, err
	}
	return &n, err
}

func (numbersResolver) Ints(ctx context.Context, _ *schematest.Numbers) ([]int, error) {
	return lists.Load(ctx, "ints")
}

func (numbersResolver) Keys(ctx context.Context, _ *schematest.Numbers) ([]int, error) {
	return lists.Load(ctx, "keys")
}

func (numbersResolver) Boolean(ctx context.Context, _ *schematest.Numbers) (bool, error) {
	return bools.Load(ctx, "boolean")
}

func (numbersResolver) Float(ctx context.Context, _ *schematest.Numbers) (float64, error) {
	return floats.Load(ctx, "float")
}

func (numbersResolver) String(ctx context.Context, _ *schematest.Numbers) (string, error) {
	return texts.Load(ctx, "string")
}

func (numbersResolver) Grade(ctx context.Context, _ *schematest.Numbers) (string, error) {
	return texts.Load(ctx, "grade")
}

func (numbersResolver) Date(ctx context.Context, _ *schematest.Numbers) (schematest.Date, error) {
	return dates.Load(ctx, "date")
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
