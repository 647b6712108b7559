package limit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Cost is the gqlgen extension that refuses operations that may cost too much to run. Each object that the answer may
// have costs 1, and each other value a tenth, a description of the schema one for each 16 bytes that descriptions have on
// average. A list costs one of its items, with what is selected below it, as often as it has items. A name in the answer that is longer
// than 64 bytes costs a tenth for each 64. The selections of fragments on several types are added up. In introspection each list counts as long as the longest of its name in the schema, or, below all of
// the schema's types, as long as those of its name are on average.
//
// A list has as many items as an argument of its field says or, for the lists that are direct fields of a page, an argument of
// the page: see Sizes. It has Page items if none is given.
//
// A client that sends the extension {"cost": true} finds the cost of its operation in the answer's extensions.cost.
type Cost struct {
	Max int // cost of an operation; 0: 100,000

	// Sizes returns the names of the arguments that say how many items a field has, which its definition need not have:
	// a number says so itself, as first does, and a list by its length, as ids does. The largest counts. A list within an input,
	// as input.users, has a bound of its own. nil: there are none.
	Sizes func(field *ast.Field) []string
	// Inputs returns the names of the arguments of a field that cost 1 for each object in their value, and a tenth for each other value,
	// as often as the field is read. nil: there are none.
	Inputs func(field *ast.Field) []string
	// Searches returns the argument of a field with a text to search for, and what counts the words of one, each of which costs 1 as often
	// as the field is read; "": there is none.
	Searches func(field *ast.Field) (argument string, words func(text string) int)
	// Counts returns the argument of a field that says how many rows are counted for it, of which each ten cost a tenth; "": none are.
	Counts   func(field *ast.Field) string
	MaxCount int // rows that a field may count: more cost nothing more; 0: any number
	Page     int // items of a list that no argument gives a size
	MaxPage  int // items that a list may have: longer ones cost nothing more; 0: any number
	// TooLong returns the error that refuses a list that an argument gives more than MaxPage items; nil: it is not refused.
	TooLong func(argument string, items int) error

	longest, mean map[string]int // how long the lists of each name in introspection are
	description   int            // the price of a description
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
	graphql.ResponseInterceptor
} = &Cost{}

// Costs is the cost of an operation, and the limit.
type Costs struct {
	Requested int `json:"requested"`
	Limit     int `json:"limit"`
}

// of returns the cost of a valid operation, and the error that refuses the first list that is too long, or nil.
func (c *Cost) of(oc *graphql.OperationContext) (costs Costs, tooLong *gqlerror.Error) {
	p := pricing{Cost: c, variables: oc.Variables}
	return Costs{(p.whole(oc.Operation.SelectionSet) + tenths - 1) / tenths, c.Max}, p.tooLong
}

// check refuses operations of this cost if it exceeds the limit.
func (c Costs) check() *gqlerror.Error {
	if c.Requested <= c.Limit {
		return nil
	}
	e := refuse(CodeCost, "it costs %d, and at most %d is allowed: ask for fewer or smaller pages", c.Requested, c.Limit)
	e.Extensions["cost"] = c
	return e
}

// ExtensionName names the extension in gqlgen's statistics.
func (*Cost) ExtensionName() string { return "Cost" }

// Validate checks that the extension is set up.
func (c *Cost) Validate(es graphql.ExecutableSchema) error {
	if c.Page <= 0 {
		return errors.New("limit: Cost.Page is not set: it is how many items a list has that no argument gives a size")
	}
	c.Max = cmp.Or(c.Max, 100_000)
	c.longest, c.mean = lengths(es.Schema())
	c.description = describing(es.Schema())
	return nil
}

// lengths returns how long the lists of each name in introspection are: the longest one, and those of a type, or of a type's field, on
// average.
func lengths(schema *ast.Schema) (longest, mean map[string]int) {
	longest = map[string]int{"types": len(schema.Types), "directives": len(schema.Directives)}
	sum, lists := map[string]int{}, map[string]int{}
	note := func(list string, length int) {
		longest[list] = max(longest[list], length)
		sum[list] += length
		lists[list]++
	}
	for _, def := range schema.Types {
		fields, inputFields := def.Fields, ast.FieldList(nil)
		if def.Kind == ast.InputObject {
			fields, inputFields = inputFields, fields
		}
		note("fields", len(fields))
		note("inputFields", len(inputFields))
		note("interfaces", len(def.Interfaces))
		note("possibleTypes", len(schema.PossibleTypes[def.Name]))
		note("enumValues", len(def.EnumValues))
		for _, field := range fields {
			note("args", len(field.Arguments))
		}
	}
	mean = map[string]int{}
	for list, n := range lists {
		mean[list] = (sum[list] + n - 1) / n
	}
	for _, directive := range schema.Directives {
		longest["args"] = max(longest["args"], len(directive.Arguments))
		longest["locations"] = max(longest["locations"], len(directive.Locations))
	}
	return longest, mean
}

// describing returns the price of a description.
func describing(schema *ast.Schema) int {
	bytes, texts := 0, 0
	note := func(text string) { bytes, texts = bytes+len(text), texts+1 }
	for _, def := range schema.Types {
		note(def.Description)
		for _, field := range def.Fields {
			note(field.Description)
			for _, argument := range field.Arguments {
				note(argument.Description)
			}
		}
	}
	return 1 + bytes/texts/paidText
}

// MutateOperationContext refuses an operation that costs too much, or has too long a list.
func (c *Cost) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	costs, tooLong := c.of(oc)
	if oc.Extensions["cost"] == true {
		oc.Stats.SetExtension(c.ExtensionName(), costs)
	}
	if tooLong != nil {
		return tooLong
	}
	return costs.check()
}

// CheckBatch refuses valid operations that cost more together than one of them may.
func (c *Cost) CheckBatch(operations []*graphql.OperationContext) *gqlerror.Error {
	return Costs{c.Sum(operations), c.Max}.check()
}

// Sum returns what valid operations cost together.
func (c *Cost) Sum(operations []*graphql.OperationContext) (sum int) {
	for _, oc := range operations {
		one, _ := c.of(oc)
		sum = plus(sum, one.Requested)
	}
	return sum
}

// InterceptResponse puts the cost of an operation into its answer, for a client that asks for it.
func (c *Cost) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if costs, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(c.ExtensionName()).(Costs); ok {
			graphql.RegisterExtension(ctx, "cost", costs)
		}
	}
	return next(ctx)
}

const (
	tenths      = 10      // the unit of prices is a tenth of a cost
	paidName    = 64      // bytes of a name in the answer that cost a tenth
	paidText    = 16      // bytes of a description that cost a tenth
	countedRows = 10      // rows that are counted for a tenth
	maxPrice    = 1 << 50 // which every higher price becomes: far above any limit, and exact in JSON
)

// price is the price of selections in tenths: once, and for each item of the lists among them that have no size of their own.
// So a fragment has one price, whatever the size of the page in which it is spread.
type price struct{ once, each int }

// pricing finds the price of one operation. It looks at each fragment once.
type pricing struct {
	*Cost
	variables map[string]any
	fragments map[spread]price
	allTypes  bool            // the selections are of all of the schema's types, one after the other
	tooLong   *gqlerror.Error // the error that refuses the first list that is too long, or nil
}

// spread is a fragment, by its name, where its price is one.
type spread struct {
	fragment string
	allTypes bool
}

// whole is the price of selections whose lists have their own size or the default one.
func (p *pricing) whole(selections ast.SelectionSet) int {
	sum := p.set(selections)
	return plus(sum.once, times(p.Page, sum.each))
}

func (p *pricing) set(selections ast.SelectionSet) (sum price) {
	for _, selection := range selections {
		var one price
		switch s := selection.(type) {
		case *ast.Field:
			if p.included(s.Directives) {
				one = p.field(s)
			}
		case *ast.InlineFragment:
			if p.included(s.Directives) {
				one = p.set(s.SelectionSet)
			}
		case *ast.FragmentSpread:
			if p.included(s.Directives) {
				one = p.fragment(s.Definition)
			}
		}
		sum = price{plus(sum.once, one.once), plus(sum.each, one.each)}
	}
	return sum
}

func (p *pricing) fragment(fragment *ast.FragmentDefinition) price {
	here := spread{fragment.Name, p.allTypes}
	known, ok := p.fragments[here]
	if !ok {
		known = p.set(fragment.SelectionSet)
		if p.fragments == nil {
			p.fragments = map[spread]price{}
		}
		p.fragments[here] = known
	}
	return known
}

func (p *pricing) field(field *ast.Field) price {
	own, leaf := tenths, len(field.SelectionSet) == 0
	if leaf {
		own = 1
	}
	if field.Name == "description" && strings.HasPrefix(field.ObjectDefinition.Name, "__") {
		own = p.description
	}
	own += len(field.Alias) / paidName
	list := field.Definition.Type.Elem != nil
	switch {
	case !list && leaf:
		return price{once: plus(own, p.counted(field))}
	case strings.HasPrefix(field.ObjectDefinition.Name, "__"):
		return price{once: p.introspection(field, own)}
	}
	size, given := p.size(field)
	if !list {
		if p.Inputs != nil {
			for _, name := range p.Inputs(field) {
				own = plus(own, worth(p.value(field, field.Definition.Arguments.ForName(name))))
			}
		}
		own = plus(own, p.searched(field))
		below := p.set(field.SelectionSet)
		return price{once: plus(own, plus(below.once, times(size, below.each)))}
	}
	item := plus(own, p.whole(field.SelectionSet))
	if given {
		return price{once: times(size, item)}
	}
	return price{each: item}
}

// introspection returns the price of a field of introspection, of which own is that of the field alone.
func (p *pricing) introspection(field *ast.Field, own int) int {
	length, allTypes := 1, p.allTypes
	switch list := field.Definition.Type.Elem != nil; {
	case list && allTypes:
		length = p.mean[field.Name]
	case list:
		length = p.longest[field.Name]
	}
	switch field.Definition.Type.Name() {
	case "__Type": // a field's type is one of any, and no longer each in turn
		p.allTypes = field.Name == "types"
	case "__Directive":
		p.allTypes = false
	}
	one := plus(own, p.set(field.SelectionSet).once)
	p.allTypes = allTypes
	return times(length, one)
}

// size returns how many items a field has, or a list directly below it, and whether an argument says so.
func (p *pricing) size(field *ast.Field) (n int, given bool) {
	if p.Sizes == nil {
		return p.Page, false
	}
	for _, name := range p.Sizes(field) {
		name, within, nested := strings.Cut(name, ".")
		definition := field.Definition.Arguments.ForName(name)
		value := p.value(field, definition)
		if nested {
			if input, ok := value.(map[string]any); ok {
				n, given = max(n, min(length(input[within]), maxPrice)), true
			}
			continue
		}
		if value == nil {
			continue
		}
		items := number(value)
		if definition.Type.Elem != nil {
			items = length(value)
		}
		if p.MaxPage > 0 && items > p.MaxPage && p.TooLong != nil && p.tooLong == nil {
			p.tooLong = gqlerror.WrapIfUnwrapped(p.TooLong(name, items))
			p.tooLong.Locations = []gqlerror.Location{{Line: field.Position.Line, Column: field.Position.Column}}
		}
		n, given = max(n, min(items, cmp.Or(p.MaxPage, items))), true
	}
	if !given {
		return p.Page, false
	}
	return n, true
}

// counted is the price of the rows that are counted for a field.
func (p *pricing) counted(field *ast.Field) int {
	if p.Counts == nil {
		return 0
	}
	name := p.Counts(field)
	if name == "" {
		return 0
	}
	rows := number(p.value(field, field.Definition.Arguments.ForName(name)))
	return (min(rows, cmp.Or(p.MaxCount, rows)) + countedRows - 1) / countedRows
}

// searched is the price of the text that a field is searched for.
func (p *pricing) searched(field *ast.Field) int {
	if p.Searches == nil {
		return 0
	}
	name, words := p.Searches(field)
	if name == "" {
		return 0
	}
	text, _ := p.value(field, field.Definition.Arguments.ForName(name)).(string)
	return times(tenths, words(text))
}

// worth is the price of what is in the value of an argument.
func worth(value any) (sum int) {
	switch v := value.(type) {
	case nil:
		return 0
	case map[string]any:
		sum = tenths
		for _, in := range v {
			sum = plus(sum, worth(in))
		}
	default:
		list := reflect.ValueOf(value) // of whatever type: one value in a variable, where a list is due, becomes a list of its own type
		if list.Kind() != reflect.Slice {
			return 1
		}
		for i := range list.Len() {
			sum = plus(sum, worth(list.Index(i).Interface()))
		}
	}
	return sum
}

// value returns the value of an argument, or nil.
func (p *pricing) value(field *ast.Field, definition *ast.ArgumentDefinition) any {
	if definition == nil {
		return nil
	}
	literal := definition.DefaultValue
	if argument := field.Arguments.ForName(definition.Name); argument != nil {
		if argument.Value.Kind != ast.Variable {
			literal = argument.Value
		} else if value, given := p.variables[argument.Value.Raw]; given {
			return value
		}
	}
	value, err := literal.Value(p.variables)
	if err != nil {
		return nil
	}
	return value
}

// included reports whether a selection remains after @skip and @include.
func (p *pricing) included(directives ast.DirectiveList) bool {
	for _, directive := range directives {
		include := directive.Name == "include"
		if !include && directive.Name != "skip" {
			continue
		}
		if argument := directive.Arguments.ForName("if"); argument != nil {
			if value, err := argument.Value.Value(p.variables); err == nil && value == !include {
				return false
			}
		}
	}
	return true
}

// number returns the number of items that a value says. A value that is no whole number counts as the longest list.
func number(value any) int {
	switch n := value.(type) {
	case int64:
		return int(max(0, min(n, maxPrice)))
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return int(max(0, min(i, maxPrice)))
		}
	}
	return maxPrice
}

// length returns the length of a list. Any other value stands for a list of one.
func length(value any) int {
	if list := reflect.ValueOf(value); list.Kind() == reflect.Slice {
		return list.Len()
	}
	return 1
}

// plus and times end at maxPrice.
func plus(a, b int) int { return min(a+b, maxPrice) }

func times(a, b int) int {
	if a > 0 && b > maxPrice/a {
		return maxPrice
	}
	return a * b
}
