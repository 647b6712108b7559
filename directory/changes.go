package directory

import (
	"strconv"

	"rollcall/batch"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/scalar"
)

// declareChanges declares what the log of changes has.
func (d *Directory) declareChanges() {
	const change, field = "Change", "FieldChange"
	type c = *model.Change
	type f = *model.FieldChange
	objectOf(d.schema, d.users, model.UserType)
	objectOf(d.schema, d.teams, model.TeamType)
	objectOf(d.schema, d.memberships, model.MembershipType)
	d.schema.AddFields(
		batch.Value(change, "cursor", func(b []byte, c c) []byte { return scalar.AppendString(b, c.Cursor) }).As("String"),
		batch.Value(change, "at", func(b []byte, c c) []byte { return scalar.AppendTime(b, c.At) }).As("Time"),
		batch.Value(change, "kind", func(b []byte, c c) []byte { return scalar.AppendString(b, string(c.Kind)) }).As("String"),
		batch.Value(change, "type", func(b []byte, c c) []byte { return scalar.AppendString(b, string(c.Type)) }).As("String"),
		batch.Value(change, "objectId", func(b []byte, c c) []byte { return scalar.AppendString(b, c.GlobalID()) }).As("ID"),
		batch.Value(change, "version", func(b []byte, c c) []byte { return strconv.AppendInt(b, c.Version, 10) }).As("Int"),
		batch.Paths(change, "fields", c.FieldChanges),
		batch.Value(change, "erased", func(b []byte, c c) []byte { return strconv.AppendBool(b, c.Erased) }).As("Boolean"),
		batch.Value(change, "operationId", func(b []byte, c c) []byte { return scalar.AppendString(b, c.OperationID) }).As("ID"),
		batch.Value(change, "endsOperation", func(b []byte, c c) []byte { return strconv.AppendBool(b, c.EndsOperation) }).As("Boolean"),
		batch.Value(change, "actor", func(b []byte, c c) []byte { return scalar.AppendOptional(b, c.Actor) }).As("String"),
		batch.Value(field, "name", func(b []byte, f f) []byte { return scalar.AppendString(b, f.Name) }).As("String"),
		batch.Value(field, "before", func(b []byte, f f) []byte { return scalar.AppendOptional(b, f.Before) }).As("String"),
		batch.Value(field, "after", func(b []byte, f f) []byte { return scalar.AppendOptional(b, f.After) }).As("String"),
	)
}

// objectOf declares the objects of a type that changes are of.
func objectOf[T any](s *entity.Schema, o *entity.Object[T], typ model.ChangeType) {
	s.AddFields(batch.Relation("Change", "object", o.ByID(), batch.Key(func(c *model.Change) (int64, bool) {
		return c.ObjectID, c.Type == typ && c.Kind != model.Deleted && c.Kind != model.Erased
	})))
}
