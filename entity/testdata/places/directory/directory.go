// Package directory is the directory itself: its types, each declared once, and what can be done with them.
package directory

import (
	"context"
	"database/sql"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/batch"
	"rollcall/entity"
	"rollcall/model"
)

// Directory is the declarations of the directory's types, and their rules. It holds no data.
type Directory struct {
	Plan *batch.Plan // how all of it is read

	schema *entity.Schema
	users  *entity.Object[model.User]
	teams  *entity.Object[model.Team]
}

// New returns a directory whose pages hold at most maxPage items.
func New(maxPage int) *Directory {
	d := &Directory{schema: entity.NewSchema(maxPage)}
	d.users = entity.Define(d.schema, "User", "users", func(u *model.User) *int64 { return &u.ID })
	d.teams = entity.Define(d.schema, "Team", "teams", func(t *model.Team) *int64 { return &t.ID })
	entity.AsOf(d.schema, func(context.Context) (string, error) { return "here", nil }) // it keeps no log
	d.declareUser()
	d.declareTeam()
	d.declareChange()
	entity.Nodes[model.Node](d.schema, "node", "nodes")
	d.Plan = d.schema.Plan()
	return d
}

// Bind returns ctx with the loaders of some operations, which share them.
func (d *Directory) Bind(ctx context.Context, operations []*graphql.OperationContext) context.Context {
	ctx, _ = batch.NewSet(ctx, d.Plan, operations...)
	return ctx
}

// Check returns an error that names what is declared and not in the database.
func (d *Directory) Check(ctx context.Context, db *sql.DB) error { return d.schema.Check(ctx, db) }
