package limit

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// DefaultCost is the most that an operation may cost where Cost does not say.
const DefaultCost = 100_000

// Cost is the gqlgen extension that refuses operations which may cost too much to run. Each object that the answer may
// have costs 1, and each other value a tenth: a field costs that and what is below it, a list as often as it is long. A name
// in the answer that is longer than 64 bytes costs a tenth for each 64. What fragments on several types select is added up.
// In introspection each list counts as long as the longest of its name in the schema.
//
// How long a list may be is told by an argument of it or, for the lists that are direct fields of a page, of the page: the
// number in one of Sizes, or the number of elements in one of Lists. It is Page where none is given.
//
// A client that sends the extension {"cost": true} finds what its operation costs in the answer's extensions.cost.
type Cost struct {
	Most int // that an operation may cost; 0: DefaultCost

	Sizes   []string // the names of arguments that hold a page's size, such as "first"
	Lists   []string // the names of arguments that hold a list, with an item for each of its elements
	Page    int      // the size of a page that no argument tells
	MaxPage int      // the most items that a page may hold: longer ones cost nothing more; 0: no limit
	// TooLong is the error that refuses a page or a list of more than MaxPage items; nil: somebody else refuses it.
	TooLong func(argument string, items int) error

	introspection map[string]int // the length of the longest list, by its name
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
	graphql.ResponseInterceptor
} = &Cost{}

// Costs is what an operation costs, and the most that it may.
type Costs struct {
	Requested int `json:"requested"`
	Limit     int `json:"limit"`
}

// Of returns what an operation costs, which must be valid.
func (c *Cost) Of(oc *graphql.OperationContext) Costs {
	costs, _ := c.of(oc)
	return costs
}

// of returns that, and the error that refuses the first list that is too long.
func (c *Cost) of(oc *graphql.OperationContext) (Costs, *gqlerror.Error) {
	p := pricing{Cost: c, variables: oc.Variables}
	return Costs{(p.whole(oc.Operation.SelectionSet) + tenths - 1) / tenths, c.Most}, p.tooLong
}

// refusal is the error that refuses what costs too much.
func (c Costs) refusal() *gqlerror.Error {
	e := refuse(CodeCost, "it costs %d, and at most %d is allowed: ask for fewer or smaller pages", c.Requested, c.Limit)
	e.Extensions["cost"] = c
	return e
}

// ExtensionName names the extension in gqlgen's statistics.
func (*Cost) ExtensionName() string { return "Cost" }

// Validate checks that the extension is set up.
func (c *Cost) Validate(es graphql.ExecutableSchema) error {
	if c.Page <= 0 {
		return errors.New("limit: Cost.Page is not set: it is the size of a page that no argument tells")
	}
	if c.Most == 0 {
		c.Most = DefaultCost
	}
	c.introspection = longest(es.Schema())
	return nil
}

// longest returns the lengths of the longest lists of introspection.
func longest(schema *ast.Schema) map[string]int {
	lengths := map[string]int{"types": len(schema.Types), "directives": len(schema.Directives)}
	note := func(list string, length int) { lengths[list] = max(lengths[list], length) }
	for _, def := range schema.Types {
		fields := "fields"
		if def.Kind == ast.InputObject {
			fields = "inputFields"
		}
		note(fields, len(def.Fields))
		note("interfaces", len(def.Interfaces))
		note("possibleTypes", len(schema.PossibleTypes[def.Name]))
		note("enumValues", len(def.EnumValues))
		for _, field := range def.Fields {
			note("args", len(field.Arguments))
		}
	}
	for _, directive := range schema.Directives {
		note("args", len(directive.Arguments))
		note("locations", len(directive.Locations))
	}
	return lengths
}

// MutateOperationContext refuses an operation that costs too much, or has too long a page.
func (c *Cost) MutateOperationContext(_ context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	costs, tooLong := c.of(oc)
	if oc.Extensions["cost"] == true {
		oc.Stats.SetExtension(c.ExtensionName(), costs)
	}
	if tooLong != nil {
		return tooLong
	}
	if costs.Requested > c.Most {
		return costs.refusal()
	}
	return nil
}

// Together refuses valid operations that cost more together than one of them may.
func (c *Cost) Together(operations []*graphql.OperationContext) *gqlerror.Error {
	all := Costs{Limit: c.Most}
	for _, oc := range operations {
		all.Requested = plus(all.Requested, c.Of(oc).Requested)
	}
	if all.Requested > all.Limit {
		return all.refusal()
	}
	return nil
}

// InterceptResponse tells what the operation costs to clients that ask.
func (c *Cost) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if costs, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(c.ExtensionName()).(Costs); ok {
			graphql.RegisterExtension(ctx, "cost", costs)
		}
	}
	return next(ctx)
}

// Prices are counted in tenths.
const tenths = 10

// paidName is how many bytes of a name in the answer cost a tenth.
const paidName = 64

// mostPrice is where prices end: far above what may be allowed, and exact in JSON.
const mostPrice = 1 << 50

// price is what selections cost: once for their object, and each time for an item of the lists among them that tell no size
// of their own. So a fragment has one price, whatever the size of the page that it is spread in.
type price struct{ once, each int }

// pricing finds the price of one operation, that of each fragment once.
type pricing struct {
	*Cost
	variables map[string]any
	fragments map[string]price
	tooLong   *gqlerror.Error // refuses the first list that is
}

// whole is the price of selections whose lists are all of the normal size or tell theirs.
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
	known, ok := p.fragments[fragment.Name]
	if !ok {
		known = p.set(fragment.SelectionSet)
		if p.fragments == nil {
			p.fragments = map[string]price{}
		}
		p.fragments[fragment.Name] = known
	}
	return known
}

func (p *pricing) field(field *ast.Field) price {
	own := tenths
	leaf := len(field.SelectionSet) == 0
	if leaf {
		own = 1
	}
	own += len(field.Alias) / paidName
	list := field.Definition.Type.Elem != nil
	switch {
	case !list && leaf:
		return price{once: own}
	case strings.HasPrefix(field.ObjectDefinition.Name, "__"):
		one := plus(own, p.set(field.SelectionSet).once)
		if list {
			one = times(p.introspection[field.Name], one)
		}
		return price{once: one}
	}
	size, told := p.size(field)
	if !list {
		below := p.set(field.SelectionSet)
		return price{once: plus(own, plus(below.once, times(size, below.each)))}
	}
	item := plus(own, p.whole(field.SelectionSet))
	if told {
		return price{once: times(size, item)}
	}
	return price{each: item}
}

// size tells how many items a field has or, where it is not told, a page by default.
func (p *pricing) size(field *ast.Field) (n int, told bool) {
	for _, definition := range field.Definition.Arguments {
		size, list := slices.Contains(p.Sizes, definition.Name), slices.Contains(p.Lists, definition.Name)
		if !size && !list {
			continue
		}
		value := p.value(field, definition)
		if value == nil {
			continue
		}
		given := number(value)
		if list {
			given = length(value)
		}
		if p.MaxPage > 0 && given > p.MaxPage && p.TooLong != nil && p.tooLong == nil {
			p.tooLong = gqlerror.WrapIfUnwrapped(p.TooLong(definition.Name, given))
			p.tooLong.Locations = []gqlerror.Location{{Line: field.Position.Line, Column: field.Position.Column}}
		}
		n, told = max(n, given), true
	}
	switch {
	case !told:
		return p.Page, false
	case p.MaxPage > 0:
		n = min(n, p.MaxPage)
	}
	return n, true
}

// value is that of an argument, or nil.
func (p *pricing) value(field *ast.Field, definition *ast.ArgumentDefinition) any {
	literal := definition.DefaultValue
	if argument := field.Arguments.ForName(definition.Name); argument != nil {
		if argument.Value.Kind != ast.Variable {
			literal = argument.Value
		} else if value, given := p.variables[argument.Value.Raw]; given {
			return value
		}
	}
	if literal == nil {
		return nil
	}
	value, err := literal.Value(p.variables)
	if err != nil {
		return nil
	}
	return value
}

// included reports whether @skip and @include leave a selection in.
func (p *pricing) included(directives ast.DirectiveList) bool {
	for _, directive := range directives {
		leave := directive.Name == "include"
		if !leave && directive.Name != "skip" {
			continue
		}
		if argument := directive.Arguments.ForName("if"); argument != nil {
			if value, err := argument.Value.Value(p.variables); err == nil && value == !leave {
				return false
			}
		}
	}
	return true
}

// number is a page's size. What is none counts as the longest page.
func number(value any) int {
	switch n := value.(type) {
	case int64:
		return int(max(0, min(n, mostPrice)))
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return int(max(0, min(i, mostPrice)))
		}
	}
	return mostPrice
}

// length is that of a list. One value stands for a list of one.
func length(value any) int {
	if list := reflect.ValueOf(value); list.Kind() == reflect.Slice {
		return list.Len()
	}
	return 1
}

// plus and times end at mostPrice.
func plus(a, b int) int { return min(a+b, mostPrice) }

func times(a, b int) int {
	if a > 0 && b > mostPrice/a {
		return mostPrice
	}
	return a * b
}
