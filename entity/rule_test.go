package entity_test

import (
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/entity"
	"rollcall/keyset"
)

const accessDirective = `
enum Access { SELF OWNER CLERK VIEWER EDITOR ADMIN }
directive @access(read: [Access!], write: [Access!]) on OBJECT | FIELD_DEFINITION
`

// related declares what users are to shops and people.
func related(d *declarations) {
	d.AddFields(batch.Inert("access"))
	d.shops.Related(func(s *shop) *access.Relations { return &s.Relations })
	d.shops.Relate("OWNER", func(user int64) keyset.Condition { return keyset.OneOf("t.owner_id", []int64{user}) })
	d.people.Related(func(p *person) *access.Relations { return &p.Relations })
	d.people.Self("SELF")
}

func TestASchemaWithRulesIsAccepted(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"owner: Person", "owner: Person @access(read: [OWNER, EDITOR], write: [ADMIN])"},
		{"name: String! floors", "name: String! @access(write: [OWNER]) floors"},
		{"type Person implements Node {", "type Person implements Node @access(read: [SELF, EDITOR], write: [SELF]) {"},
		{"shop(id: ID!): Shop", "shop(id: ID!): Shop @access(read: [OWNER, SELF, EDITOR])"},
		{"shopOpened: ShopEvent!", "shopOpened: ShopEvent! @access(read: [EDITOR])"},
		{"createShop(input: CreateShopInput!): ShopPayload!", "createShop(input: CreateShopInput!): ShopPayload! @access(write: [OWNER])"},
		{"type ShopEvent { shop: Shop }", "type ShopEvent { shop: Shop @access(read: [EDITOR]) }"},
	} {
		if !strings.Contains(shopSchema, c.from) {
			t.Fatalf("the schema has no %q", c.from)
		}
		if err := validate[resolvers](t, declare("", related), accessDirective+strings.Replace(shopSchema, c.from, c.to, 1)); err != nil {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

func TestStartUpRefusesRulesThatCannotBeKept(t *testing.T) {
	for _, c := range []struct {
		what     string
		from, to string // in the schema's text
		more     func(*declarations)
		want     []string
	}{
		{what: "about reading what is never null", from: "floors: Int!", to: "floors: Int! @access(read: [EDITOR])", want: []string{
			"Shop.floors has a rule about reading, and cannot be null: let it be Int, since it is null for whoever may not read it",
		}},
		{what: "about reading a field of Query that is never null", from: "nodes(ids: [ID!]!): [Node]!", to: "nodes(ids: [ID!]!): [Node]! @access(read: [EDITOR])", want: []string{
			"Query.nodes has a rule about reading, and cannot be null: let it be [Node]",
		}},
		{what: "with a relation that nobody has", from: "owner: Person", to: "owner: Person @access(read: [SELF, EDITOR])", want: []string{
			"the rule about read of Shop.owner names SELF, and nobody is that to a Shop: declare the relation with Relate, or take it out",
		}},
		{what: "with one about writing", from: "owner: Person", to: "owner: Person @access(write: [CLERK])", want: []string{"the rule about write of Shop.owner names CLERK, and nobody is that to a Shop"}},
		{what: "with one at a type", from: "type Person implements Node", to: "type Person implements Node @access(read: [OWNER])", want: []string{"the rule about read of Person names OWNER, and nobody is that to a Person"}},
		{what: "with one at a payload", from: "type ShopEvent { shop: Shop }", to: "type ShopEvent { shop: Shop @access(read: [OWNER]) }", want: []string{"the rule about read of ShopEvent.shop names OWNER, and nobody is that to a ShopEvent"}},
		{what: "with one that nobody has to anything", from: "shop(id: ID!): Shop", to: "shop(id: ID!): Shop @access(read: [CLERK, EDITOR])", want: []string{
			"the rule about read of Query.shop names CLERK, and nobody is that to anything: declare the relation with Relate, or take it out",
		}},
		{what: "with a role that is mistyped", from: "createShop(input: CreateShopInput!): ShopPayload!", to: "createShop(input: CreateShopInput!): ShopPayload! @access(write: [EDTIOR])", want: []string{
			"the rule about write of Mutation.createShop names EDTIOR, and nobody is that to anything",
		}},
		{what: "for nobody", from: "owner: Person", to: "owner: Person @access(read: [])", want: []string{"the rule about read of Shop.owner names nobody: name a role or a relation, or leave read out"}},
		{what: "about nothing", from: "owner: Person", to: "owner: Person @access", want: []string{"the rule of Shop.owner says nothing: say by read or write who may do that, or take it out"}},
		{what: "about reading a mutation", from: "createShop(input: CreateShopInput!): ShopPayload!", to: "createShop(input: CreateShopInput!): ShopPayload! @access(read: [EDITOR])", want: []string{
			"the rule at Mutation.createShop is about reading: a mutation has one about writing",
		}},
		{what: "about writing a field of Query", from: "shop(id: ID!): Shop", to: "shop(id: ID!): Shop @access(write: [EDITOR])", want: []string{"the rule at Query.shop is about writing, and nobody writes a Query: take it out"}},
		{what: "about writing one of Subscription", from: "shopOpened: ShopEvent!", to: "shopOpened: ShopEvent! @access(write: [EDITOR])", want: []string{"the rule at Subscription.shopOpened is about writing, and nobody writes a Subscription"}},
		{what: "about writing a payload", from: "type ShopEvent { shop: Shop }", to: "type ShopEvent { shop: Shop @access(write: [EDITOR]) }", want: []string{"the rule at ShopEvent.shop is about writing, and nobody writes a ShopEvent: take it out"}},
		{what: "about writing an edge", from: "since: Time!", to: "since: Time! @access(write: [EDITOR])", want: []string{"the rule at ShopStaffEdge.since is about writing, and nobody writes a ShopStaffEdge: take it out"}},
		{what: "at a type without a table", from: "type ShopPayload {", to: "type ShopPayload @access(read: [EDITOR]) {", want: []string{
			"a rule stands at the type ShopPayload, whose objects no table has: put one at the fields that lead to it",
		}},
		{what: "at Query", from: "type Query {", to: "type Query @access(read: [EDITOR]) {", want: []string{"a rule stands at the type Query, whose objects no table has"}},
		{what: "at the type of edges", from: "type ShopStaffEdge {", to: "type ShopStaffEdge @access(read: [EDITOR]) {", want: []string{"a rule stands at the type ShopStaffEdge, whose objects no table has"}},
		{what: "at a field of an interface", from: "interface Node { id: ID! }", to: "interface Node { id: ID! @access(read: [EDITOR]) }", want: []string{
			"a rule stands at Node.id, a field of an interface: put it at that field of each type that implements it",
		}},
		{what: "about objects that a relation always leads to", from: "owner: Person staff", to: "owner: Person manager: Person! staff", more: func(d *declarations) {
			related(d)
			entity.Required(d.shops, "manager", d.people, func(s *shop) *int64 { return &s.ManagerID })
		}, want: []string{"Shop.manager leads to a Person, of which a rule about reading hides some, and cannot be null: let it be Person, since it is null where one is hidden"}},
		{what: "about objects that an interface's relation always leads to", from: "owner: Person staff", to: "owner: Person keeper: Node! staff", more: func(d *declarations) {
			related(d)
			d.AddFields(batch.Unplanned("Shop", "keeper"))
		}, want: []string{"Shop.keeper leads to a Person, of which a rule about reading hides some, and cannot be null: let it be Node"}},
		{what: "whose relation is not kept", more: func(d *declarations) {
			d.AddFields(batch.Inert("access"))
			d.people.Self("SELF")
		}, want: []string{"Person declares SELF, and not where it is kept: add Related"}},
		{what: "whose relation does not begin with a column", more: func(d *declarations) {
			related(d)
			d.shops.Relate("CLERK", func(user int64) keyset.Condition {
				return keyset.Any(keyset.OneOf("t.id", []int64{user}), keyset.OneOf("t.owner_id", []int64{user}))
			})
		}, want: []string{`the relation CLERK of Shop is "(t.id = ? OR t.owner_id = ?)": let it begin with a column of t, such as t.id IN (…)`}},
		{what: "of too many relations", more: func(d *declarations) {
			related(d)
			for range 8 {
				d.people.Self("SELF")
			}
		}, want: []string{"Person declares 9 relations of users, and 8 are kept: take some out"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			text := accessDirective + shopSchema
			if !strings.Contains(text, c.from) {
				t.Fatalf("the schema has no %q", c.from)
			}
			text = strings.Replace(text, c.from, c.to, 1)
			if c.more == nil {
				c.more = related
			}
			if strings.Contains(c.what, "always leads to") {
				text = strings.Replace(text, "type Person implements Node", "type Person implements Node @access(read: [SELF, EDITOR])", 1)
			}
			err := validate[resolvers](t, declare("", c.more), text)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
		})
	}
}

func TestAccessIsRefusedWithoutThePlanThatTakesTheRulesOver(t *testing.T) {
	schema := func() graphql.ExecutableSchema {
		parsed, err := gqlparser.LoadSchema(&ast.Source{Input: accessDirective + shopSchema})
		if err != nil {
			t.Fatal(err)
		}
		return executable[resolvers]{schema: parsed}
	}
	d := declared("", related)
	plan, served := d.Plan(), schema()
	extension := entity.Access{Schema: d.Schema}
	const want = "nobody heeds the rules of the schema: use the plan before Access"
	if err := extension.Validate(served); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("before the plan: %v", err)
	}
	if err := plan.Validate(served); err != nil {
		t.Fatal(err)
	}
	if err := extension.Validate(served); err != nil {
		t.Errorf("after the plan: %v", err)
	}
	if err := extension.Validate(schema()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with another schema: %v", err)
	}
}
