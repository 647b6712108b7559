package entity_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-sql-driver/mysql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/sqlite"
)

const shopSchema = `
scalar Time
interface Node { id: ID! }
type Shop implements Node { id: ID! name: String! floors: Int! opened: Time! owner: Person staff(first: Int, after: String, orderBy: StaffOrder): ShopStaffConnection! }
type Person implements Node { id: ID! name: String! }
type ShopStaffConnection { edges: [ShopStaffEdge!]! nodes: [Person!]! pageInfo: PageInfo! totalCount: Int! totalCountUpTo(limit: Int!): Int! }
type ShopStaffEdge { cursor: String! node: Person! since: Time! }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type Query { shop(id: ID!): Shop node(id: ID!): Node nodes(ids: [ID!]!): [Node]! }
type Mutation { createShop(input: CreateShopInput!): ShopPayload! }
type Subscription { shopOpened: ShopEvent! }
enum Direction { ASC DESC }
enum StaffOrderField { ID NAME SINCE NEARNESS }
input StaffOrder { field: StaffOrderField! direction: Direction }
input CreateShopInput { name: String! ownerId: ID }
type ShopPayload { shop: Shop! }
type ShopEvent { shop: Shop }
`

type shop struct {
	ID, Floors int64
	Name       string
	OwnerID    *int64
	ManagerID  int64
	Opened     time.Time
	Relations  access.Relations
}

type person struct {
	ID        int64
	Name      string
	Relations access.Relations
}

type staffEdge struct {
	keyset.Edge[person]
	Since time.Time
}

type (
	payload struct{ Shop *shop }
	event   struct{ Shop int64 }
	anyNode any
)

// declarations declares the shop's schema, but for what mistake leaves out or adds.
type declarations struct {
	*entity.Schema
	shops  *entity.Object[shop]
	people *entity.Object[person]
	staff  *entity.Object[staffEdge]
	left   string // a declaration that is left out, by its field
}

func (d *declarations) unless(name string, declare func()) {
	if d.left != name {
		declare()
	}
}

func declare(left string, more func(d *declarations)) *batch.Plan {
	return declared(left, more).Plan()
}

func declared(left string, more func(d *declarations)) *declarations {
	d := &declarations{Schema: entity.NewSchema(50), left: left}
	d.shops = entity.Define(d.Schema, "Shop", "shops", func(s *shop) *int64 { return &s.ID })
	d.people = entity.Define(d.Schema, "Person", "people", func(p *person) *int64 { return &p.ID })
	d.staff = entity.Link[staffEdge](d.Schema, "ShopStaff", "employments")
	d.unless("Shop.name", func() {
		entity.Text(d.shops, "name", func(s *shop) *string { return &s.Name }).Writable(nil)
	})
	d.unless("Shop.floors", func() { entity.Int(d.shops, "floors", func(s *shop) *int64 { return &s.Floors }) })
	d.unless("Shop.opened", func() { entity.Time(d.shops, "opened", func(s *shop) *time.Time { return &s.Opened }) })
	d.unless("Shop.owner", func() {
		entity.One(d.shops, "owner", d.people, func(s *shop) **int64 { return &s.OwnerID }).Writable(nil)
	})
	d.people.Order(&keyset.Sort{Name: "NEARNESS", Column: "1"})
	name := entity.Text(d.people, "name", func(p *person) *string { return &p.Name })
	d.unless("the order NAME", func() { name.Order() })
	d.unless("ShopStaffEdge.since", func() {
		entity.Time(d.staff, "since", func(e *staffEdge) *time.Time { return &e.Since }).Order()
	})
	d.unless("Shop.staff", func() { entity.Through(d.shops, "staff", d.staff, "shop_id", "person_id", d.people, false) })
	d.unless("Query.shop", func() { entity.Find(d.Schema, "shop", d.shops) })
	entity.Nodes[anyNode](d.Schema, "node", "nodes")
	d.unless("ShopPayload.shop", func() {
		d.AddFields(batch.Path("ShopPayload", "shop", func(p *payload) *shop { return p.Shop }))
	})
	d.unless("ShopEvent.shop", func() {
		d.AddFields(batch.Relation("ShopEvent", "shop", d.shops.ByID(), func(batch.Args) (func(*event) (int64, bool), error) {
			return func(e *event) (int64, bool) { return e.Shop, true }, nil
		}))
	})
	if more != nil {
		more(d)
	}
	return d
}

// executable is a schema as gqlgen makes it: its resolvers are those that gqlgen found no field or method for.
type executable[R any] struct {
	Resolvers R
	schema    *ast.Schema
}

func (e executable[R]) Schema() *ast.Schema { return e.schema }

func (executable[R]) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (executable[R]) Exec(context.Context) graphql.ResponseHandler { return nil }

type shopResolver interface {
	Owner(context.Context, *shop) (*person, error)
	Staff(context.Context, *shop, *int, *string, map[string]any) (*keyset.Connection[staffEdge, person], error)
}

type others interface {
	ShopEvent() interface {
		Shop(context.Context, *event) (*shop, error)
	}
	ShopStaffConnection() interface {
		TotalCount(context.Context, *keyset.Connection[staffEdge, person]) (int, error)
		TotalCountUpTo(context.Context, *keyset.Connection[staffEdge, person], int) (int, error)
	}
}

type resolvers interface {
	others
	Shop() shopResolver
}

func validate[R any](t *testing.T, plan *batch.Plan, text string) error {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: text})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Validate(executable[R]{schema: schema})
}

const people = `
type PersonConnection { edges: [PersonEdge!]! nodes: [Person!]! pageInfo: PageInfo! totalCount: Int! totalCountUpTo(limit: Int!): Int! }
type PersonEdge { cursor: String! node: Person! }
`

func searched(d *declarations) {
	entity.All(d.Schema, "people", d.people)
	d.people.Search("person_words", "name", func(p *person) []string { return []string{p.Name} }, func(query string) (string, []string, error) {
		return query, []string{query}, nil
	})
}

func TestADeclaredSchemaIsAccepted(t *testing.T) {
	if err := validate[resolvers](t, declare("", nil), shopSchema); err != nil {
		t.Error(err)
	}
}

func TestStartUpNamesWhatTheSchemaAndTheDeclarationsDoNotBothSay(t *testing.T) {
	type fewer interface {
		others
		Shop() interface {
			Staff(context.Context, *shop, *int, *string, map[string]any) (*keyset.Connection[staffEdge, person], error)
		}
	}
	type more interface {
		others
		Shop() interface {
			shopResolver
			Name(context.Context, *shop) (string, error)
		}
	}
	for _, c := range []struct {
		what, left string
		from, to   string // in the schema's text
		more       func(*declarations)
		validate   func(*testing.T, *batch.Plan, string) error
		want       []string
	}{
		{what: "a text without a declaration", left: "Shop.name", want: []string{"Shop.name", "not declared", `entity.Text(shops, "name", func(o *Shop) *string { return &o.Name })`}},
		{what: "a number without one", left: "Shop.floors", want: []string{"Shop.floors", `entity.Int(shops, "floors", func(o *Shop) *int64 { return &o.Floors })`}},
		{what: "a time without one", left: "Shop.opened", want: []string{"Shop.opened", `entity.Time(shops, "opened"`}},
		{what: "a relation without one", left: "Shop.owner", want: []string{"Shop.owner", `entity.One(shops, "owner", persons, func(o *Shop) **int64 { return &o.OwnerID })`}},
		{what: "a list without one", left: "Shop.staff", want: []string{"Shop.staff", `entity.Many(shops, "staff", …, "shop_id"), or entity.Through`}},
		{what: "an edge's field without one", left: "ShopStaffEdge.since", want: []string{"ShopStaffEdge.since", "entity.Time("}},
		{what: "a field of Query without one", left: "Query.shop", want: []string{"Query.shop", "entity.Find"}},
		{what: "a field below Mutation without one", left: "ShopPayload.shop", want: []string{"ShopPayload.shop", `batch.Path("ShopPayload", "shop", …)`, `batch.Unplanned("ShopPayload", "shop")`}},
		{what: "a field below Subscription without one", left: "ShopEvent.shop", want: []string{"ShopEvent.shop", "add "}},
		{what: "two declarations for one field of the struct", more: func(d *declarations) {
			entity.Text(d.people, "nick", func(p *person) *string { return &p.Name })
		}, from: "type Person implements Node { id: ID! name: String!", to: "type Person implements Node { id: ID! name: String! nick: String!", want: []string{"Person.name and Person.nick", "same field"}},
		{what: "two at once", left: "Shop.name", from: "floors: Int!", to: "floors: Int! doors: Int!", want: []string{"Shop.name", "Shop.doors"}},
		{what: "a declaration without a field", from: "floors: Int!", to: "", want: []string{"the schema has no field Shop.floors"}},
		{what: "a declaration of a type that is not there", more: func(d *declarations) {
			entity.Define(d.Schema, "Store", "stores", func(s *shop) *int64 { return &s.ID })
		}, want: []string{"the schema has no type Store"}},
		{what: "an unplanned field that is not there", more: func(d *declarations) { d.AddFields(batch.Unplanned("Shop", "doors")) }, want: []string{"the schema has no field Shop.doors"}},
		{what: "a scalar that does not fit", from: "floors: Int!", to: "floors: String!", want: []string{"Shop.floors", "declared as Int", "has String"}},
		{what: "a relation that leads to another type", from: "owner: Person", to: "owner: Shop", want: []string{"Shop.owner", "let both be the type"}},
		{what: "a scalar in the place of a relation", from: "owner: Person", to: "owner: String", want: []string{"Shop.owner"}},
		{what: "an input's field that nothing writes", from: "input CreateShopInput {", to: "input CreateShopInput { floors: Int", want: []string{"CreateShopInput.floors", ".Writable("}},
		{what: "an input's field of another type", from: "input CreateShopInput { name: String!", to: "input CreateShopInput { name: Int!", want: []string{"CreateShopInput.name", "takes a String"}},
		{what: "a writable field without an input", from: "ownerId: ID", to: "", want: []string{"ownerId", "CreateShopInput"}},
		{what: "a field that gqlgen finds nothing for", validate: validate[more], want: []string{"Shop.name", "gqlgen finds nothing of that name", "field or a method"}},
		{what: "a relation that gqlgen takes from the struct", validate: validate[fewer], want: []string{"Shop.owner", "gqlgen takes it from", "resolver: true"}},
		{what: "a loader that is not there", more: func(d *declarations) {
			d.AddFields(batch.Relation("Query", "shop", (*batch.Source[int64, *shop])(nil), func(batch.Args) (func(batch.Root) (int64, bool), error) { return nil, nil }))
		}, left: "Query.shop", want: []string{"Query.shop", "nil function"}},
		{what: "an order of a field that is not declared with it", left: "the order NAME", want: []string{"StaffOrderField.NAME", "Shop.staff cannot be sorted by it", "add .Order() behind the declaration of name"}},
		{what: "an order that the enum lacks", from: " SINCE", to: "", want: []string{"Shop.staff can be sorted by SINCE, and StaffOrderField does not have it", "add SINCE there"}},
		{what: "an order of no column that no enum has", from: " NEARNESS", to: "", want: []string{"Person.NEARNESS is declared with Order, and no list has it"}},
		{what: "orders of a list without the argument", from: ", orderBy: StaffOrder", to: "", want: []string{"Person.NAME is declared with Order", "Person.SINCE", "orderBy"}},
		{what: "an order that is no input", from: "orderBy: StaffOrder", to: "orderBy: String", want: []string{"Shop.staff(orderBy:) is a String"}},
		{what: "a search of a list that is not of all objects", from: "staff(first: Int", to: "staff(query: String, first: Int", want: []string{"Shop.staff(query:)", "only a list of all objects can be searched"}},
		{what: "a search of what declares no words", more: func(d *declarations) { entity.All(d.Schema, "people", d.people) }, from: "type Query {", to: people + "type Query { people(query: String): PersonConnection! ", want: []string{"Query.people(query:)", "Person declares no words to be found by", ".Search("}},
		{what: "words that no list is searched by", more: searched, from: "type Query {", to: people + "type Query { people: PersonConnection! ", want: []string{"Person declares words to be found by", "add query: String"}},
		{what: "a search by a number", more: searched, from: "type Query {", to: people + "type Query { people(query: Int): PersonConnection! ", want: []string{"Query.people(query:) is a Int: let it be a String"}},
		{what: "a time of lists that nothing tells", from: "type ShopStaffConnection {", to: "type ShopStaffConnection { asOf: String!", want: []string{"ShopStaffConnection.asOf", "entity.AsOf(schema, …)"}},
		{what: "pages that do not tell it", from: "type Query {", to: "type Query { asOf: String!", more: func(d *declarations) {
			entity.AsOf(d.Schema, func(context.Context) (string, error) { return "", nil })
		}, want: []string{"the schema has no field ShopStaffConnection.asOf"}},
		{what: "a directive that the plan would go past", from: "owner: Person", to: "owner: Person @auth", want: []string{"Shop.owner", "directive", "Inert"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			text := "directive @auth on FIELD_DEFINITION\n" + shopSchema
			if c.from != "" {
				text = strings.Replace(text, c.from, c.to, 1)
			}
			if c.validate == nil {
				c.validate = validate[resolvers]
			}
			err := c.validate(t, declare(c.left, c.more), text)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
		})
	}
}

func TestStartUpNamesTheColumnsThatNoMigrationHas(t *testing.T) {
	db := sql.OpenDB(sqlite.Connector{Path: filepath.Join(t.TempDir(), "shop.db")})
	defer func() { _ = db.Close() }()
	for _, table := range []string{
		"CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT, floors INTEGER, opened TEXT)",
		"CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)",
		"CREATE TABLE employments (shop_id INTEGER, person_id INTEGER, began TEXT)",
	} {
		if _, err := db.ExecContext(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	d := declared("", nil)
	d.Plan()
	err := d.Check(t.Context(), db)
	for _, want := range []string{"Shop", "shops.owner_id", "ALTER TABLE shops ADD COLUMN owner_id", "ShopStaffEdge", "employments.since"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	for _, mended := range []string{"ALTER TABLE shops ADD COLUMN owner_id INTEGER", "ALTER TABLE employments ADD COLUMN since TEXT"} {
		if _, err := db.ExecContext(t.Context(), mended); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Check(t.Context(), db); err != nil {
		t.Error(err)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TABLE people"); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(t.Context(), db); err == nil || !strings.Contains(err.Error(), "people of Person") {
		t.Errorf("without the table: %v", err)
	}
}

// refusal is a database that refuses everything with one error.
type refusal struct{ error }

func (r refusal) Connect(context.Context) (driver.Conn, error) { return nil, r.error }

func (refusal) Driver() driver.Driver { return nil }

func TestAMissingRightDoesNotKeepAServerFromItsStart(t *testing.T) {
	d := declared("", nil)
	d.Plan()
	for number, want := range map[uint16]bool{1142: true, 1143: true, 1049: false} { // on a table, on a column; no database
		db := sql.OpenDB(refusal{&mysql.MySQLError{Number: number}})
		if err := d.Check(t.Context(), db); (err == nil) != want {
			t.Errorf("%d: %v", number, err)
		}
		_ = db.Close()
	}
}
