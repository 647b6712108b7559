package changelog

import (
	"context"
	"database/sql"
	"strings"

	"rollcall/keyset"
	"rollcall/model"
)

// History is the list of the changes of each object of a type, whose number is its parent's, by their numbers: these are in the order of its
// versions, for each change has seen those before. Its rows have Columns.
func History(typ model.ChangeType) keyset.List {
	return keyset.List{
		From: "changes t", Parent: "t.object_id", ID: "t.id", Where: "t.type = '" + string(typ) + "' AND t.position IS NOT NULL",
	}
}

// Columns are those of the rows of a History.
func Columns() []string {
	all := strings.Split("id, "+columns, ", ")
	for i, column := range all {
		all[i] = "t." + column
	}
	return all
}

// Rows reads the changes that statements of keyset select, each with the number of its object. ctx may belong to a session, in which they
// are run; else DB runs them.
func (l *Log) Rows(ctx context.Context, statements []keyset.Statement) (changes []*model.Change, objects []int64, err error) {
	for _, s := range statements {
		err := l.query(ctx, s.Text, s.Args, func(rows *sql.Rows) error {
			var c row
			var id, object int64
			if err := rows.Scan(append(append([]any{&id}, c.targets()...), &object)...); err != nil {
				return err
			}
			change := c.change()
			change.ID = id
			changes, objects = append(changes, change), append(objects, object)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return changes, objects, nil
}
