// Package directory is the directory itself: its types, each declared once, and what can be done with them. Whoever changes
// something, by GraphQL or not, goes by its functions, in a unit of work of package session.
package directory

import (
	"context"
	"database/sql"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/changelog"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// Config is what a directory needs.
type Config struct {
	MaxPage int            // max items of a page
	Proof   *session.Proof // nil: what became of a mutation cannot be told
	Log     *changelog.Log // has what is changed; nil: nobody numbers it
	Policy  access.Policy  // of what viewers may do whatever the object is; nil: access.Roles
}

// Directory is the declarations of the directory's types, and their rules. It holds no data.
type Directory struct {
	Config
	Plan *batch.Plan // how all of it is read

	schema      *entity.Schema
	users       *entity.Object[model.User]
	teams       *entity.Object[model.Team]
	memberships *entity.Object[model.Membership]
	tokens      *entity.Object[model.APIToken]

	tree struct {
		users *tree[model.User]
		teams *tree[model.Team]
	}
}

// New returns a directory.
func New(cfg Config) *Directory {
	if cfg.Log == nil {
		cfg.Log = &changelog.Log{}
	}
	d := &Directory{Config: cfg, schema: entity.NewSchema(cfg.MaxPage)}
	if cfg.Policy != nil {
		d.schema.Decide(cfg.Policy)
	}
	d.users = entity.Define(d.schema, "User", "users", func(u *model.User) *int64 { return &u.ID })
	d.teams = entity.Define(d.schema, "Team", "teams", func(t *model.Team) *int64 { return &t.ID })
	d.memberships = entity.Define(d.schema, "Membership", "memberships", func(m *model.Membership) *int64 { return &m.ID })
	d.tokens = entity.Define(d.schema, "ApiToken", "api_tokens", func(t *model.APIToken) *int64 { return &t.ID })
	d.tree.users, d.tree.teams = d.userTree(), d.teamTree()
	d.declareUser()
	d.declareTeam()
	d.declareMembership()
	d.declareToken()
	d.declareMutations()
	d.declareChange()
	d.declareAccess()
	entity.Nodes[model.Node](d.schema, "node", "nodes")
	d.schema.AddFields(
		batch.Inert("access", "fresh", "idempotent", "snapshot"), // the declarations and package operation heed them
		batch.Unplanned("Query", "mutationOutcome", "webhooks"),
		batch.Unplanned("Webhook", "name", "endpoint", "position", "lag", "oldestUndelivered", "lastAttemptAt", "lastStatus", "lastError", "failingSince", "disabledAt"),
	)
	d.Plan = d.schema.Plan()
	return d
}

// Bind returns ctx with the loaders of some operations, which share them. It is for operation.Extension.
func (d *Directory) Bind(ctx context.Context, operations []*graphql.OperationContext) context.Context {
	ctx, _ = batch.NewSet(ctx, d.Plan, operations...)
	return ctx
}

// Access is the gqlgen extension that refuses what viewers may not do, before anything runs.
func (d *Directory) Access() entity.Access { return entity.Access{Schema: d.schema} }

// Check returns an error that names what is declared and not in the database.
func (d *Directory) Check(ctx context.Context, db *sql.DB) error { return d.schema.Check(ctx, db) }

// Sizes returns the arguments that tell how many items a field has, for limit.Cost.
func (d *Directory) Sizes(field *ast.Field) []string { return d.schema.Sizes(field) }

// Inputs returns the arguments whose values cost something, for limit.Cost.
func (d *Directory) Inputs(field *ast.Field) []string { return d.schema.Inputs(field) }

// Searches returns the argument with a text to search for, and what counts the words of one, for limit.Cost.
func (d *Directory) Searches(field *ast.Field) (argument string, words func(text string) int) {
	return d.schema.Searches(field)
}

// Counts returns the argument that says how many rows a field counts, for limit.Cost.
func (d *Directory) Counts(field *ast.Field) string { return d.schema.Counts(field) }

// MutationOutcome tells what became of a mutation that was answered with OUTCOME_UNKNOWN, by its id. The error is BAD_USER_INPUT.
func (d *Directory) MutationOutcome(ctx context.Context, id string) (model.MutationOutcome, error) {
	if d.Proof == nil {
		return model.OutcomeUnknown, nil
	}
	outcome, err := d.Proof.Outcome(ctx, id)
	if errors.Is(err, session.ErrNoOperation) {
		return "", apierror.BadInput("operationId", "%q is not the id of an operation", apierror.Clip(id))
	}
	switch outcome {
	case session.Committed:
		return model.OutcomeCommitted, nil
	case session.Aborted:
		return model.OutcomeAborted, nil
	case session.Expired:
		return model.OutcomeExpired, nil
	default:
		return model.OutcomeUnknown, nil
	}
}
