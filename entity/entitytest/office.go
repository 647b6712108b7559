// Package entitytest is an office, a small directory with rules of who may see what, that tests of package entity serve on every database: its
// schema, its tables and their rows, and its declarations. It has nothing of Rollcall's directory.
package entitytest

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/session"
)

// Office is the declarations of the office's types.
type Office struct {
	*entity.Schema
	Plan   *batch.Plan
	People *entity.Object[Person]
	Clubs  *entity.Object[Club]
}

// New returns an office whose pages hold at most maxPage items.
func New(maxPage int) *Office {
	s := entity.NewSchema(maxPage)
	o := &Office{
		Schema: s,
		People: entity.Define(s, "Person", "persons", func(p *Person) *int64 { return &p.ID }),
		Clubs:  entity.Define(s, "Club", "clubs", func(c *Club) *int64 { return &c.ID }),
	}
	o.declarePeople()
	o.declareClubs()
	entity.Nodes[Node](s, "node", "nodes")
	s.AddFields(
		batch.Inert(access.Directive),
		batch.Relation("Query", "office", o.Clubs.ByID(), func(args batch.Args) (func(batch.Root) (int64, bool), error) {
			id, err := o.Clubs.ParseID("id", args["id"].(string))
			return func(batch.Root) (int64, bool) { return id, true }, err
		}),
	)
	o.Plan = s.Plan()
	return o
}

func (o *Office) declarePeople() {
	p := o.People
	entity.Find(o.Schema, "person", p)
	entity.All(o.Schema, "people", p)
	name := entity.Text(p, "name", func(p *Person) *string { return &p.Name }).Order().Filter()
	badge := entity.OptionalText(p, "badge", func(p *Person) **string { return &p.Badge }).Unique("another person has this badge")
	entity.OptionalText(p, "phone", func(p *Person) **string { return &p.Phone }).Filter()
	entity.OptionalText(p, "review", func(p *Person) **string { return &p.Review })
	entity.One(p, "boss", p, func(p *Person) **int64 { return &p.BossID }).Filter()
	entity.FindBy(o.Schema, "personByBadge", p, badge, func(badge string) (string, bool) { return badge, true })
	entity.FindBy(o.Schema, "personByName", p, name, func(name string) (string, bool) { return name, true })
	entity.Above(p, "bosses", "boss_id")
	entity.Many(p, "reports", p, "boss_id")
	below := entity.Link[BelowEdge](o.Schema, "Below", "")
	entity.Below(p, "below", below, "boss_id", func(e *BelowEdge) *int64 { return &e.Depth })
	p.Counted()
	p.Search("person_words", "name", func(p *Person) []string { return []string{p.Name, "staff"} }, func(query string) (string, []string, error) {
		return query, strings.Fields(query), nil
	})
	entity.FilterBy(p, "founded", func(id entity.ID) (keyset.Condition, error) {
		club, err := o.Clubs.ParseID("", string(id))
		return keyset.Among("t.id", "SELECT c.founder_id FROM clubs c WHERE c.founder_id IS NOT NULL AND c.id = ?", club), err
	}, o.Clubs)

	p.Related(func(p *Person) *access.Relations { return &p.Relations })
	p.Self("SELF")
	p.RelateAbove("BOSS", "boss_id")
	entity.ViewerCan(p, "viewerCanUpdate", "viewerCanDelete")
}

func (o *Office) declareClubs() {
	c := o.Clubs
	entity.Find(o.Schema, "club", c)
	entity.All(o.Schema, "clubs", c)
	entity.Text(c, "name", func(c *Club) *string { return &c.Name })
	entity.One(c, "founder", o.People, func(c *Club) **int64 { return &c.FounderID }).Filter()
	entity.One(c, "parent", c, func(c *Club) **int64 { return &c.ParentID }).Filter()
	member := entity.Link[MemberEdge](o.Schema, "Member", "club_members")
	entity.Text(member, "joined", func(e *MemberEdge) *string { return &e.Joined }).Order()
	entity.Through(c, "members", member, "club_id", "person_id", o.People, false).Nested("of", "parent_id")
	club := entity.Link[PersonClubEdge](o.Schema, "PersonClub", "club_members")
	entity.Text(club, "joined", func(e *PersonClubEdge) *string { return &e.Joined })
	entity.Through(o.People, "clubs", club, "person_id", "club_id", c, true)
	entity.FilterBy(c, "hasMember", func(id entity.ID) (keyset.Condition, error) {
		person, err := o.People.ParseID("", string(id))
		return keyset.Among("t.id", "SELECT m.club_id FROM club_members m WHERE m.person_id = ?", person), err
	}, o.People)
}

// Bind returns ctx with the loaders of some operations, which share them.
func (o *Office) Bind(ctx context.Context, operations []*graphql.OperationContext) context.Context {
	ctx, _ = batch.NewSet(ctx, o.Plan, operations...)
	return ctx
}

// Dismiss removes a person.
func (o *Office) Dismiss(ctx context.Context, id string) (*Person, error) {
	person, err := o.stored(ctx, id)
	if err == nil {
		err = o.People.Writable(ctx, person, "")
	}
	if err != nil {
		return nil, err
	}
	return person, session.DB(ctx).Exec("DELETE FROM persons WHERE id = ?", person.ID).Error
}

// Rename gives a person another name.
func (o *Office) Rename(ctx context.Context, id, name string) (*Person, error) {
	person, err := o.stored(ctx, id)
	if err == nil {
		err = o.People.Writable(ctx, person, "name")
	}
	if err != nil {
		return nil, err
	}
	batch.Clear(ctx)
	person.Name = name
	return person, session.DB(ctx).Exec("UPDATE persons SET name = ? WHERE id = ?", name, person.ID).Error
}

// stored returns a person that there is for the viewer. The error is NOT_FOUND.
func (o *Office) stored(ctx context.Context, id string) (*Person, error) {
	number, err := o.People.ParseID("id", id)
	if err != nil {
		return nil, err
	}
	people, err := o.People.Read(ctx, []int64{number}, "")
	if err == nil && people[number] == nil {
		err = o.People.Missing(number)
	}
	return people[number], err
}
