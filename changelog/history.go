package changelog

import (
	"context"
	"database/sql"
	"strings"

	"rollcall/keyset"
	"rollcall/model"
)

// History is the list of the changes of each object of a type, whose number is its parent's, by their positions. Its rows have Columns.
func History(typ model.ChangeType) keyset.List {
	return keyset.List{
		From: "changes t", Parent: "t.object_id", ID: "t.position", Where: "t.type = '" + string(typ) + "' AND t.position IS NOT NULL",
	}
}

// Columns are those of the rows of a History.
func Columns() []string {
	all := strings.Split(columns, ", ")
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
			var object int64
			if err := rows.Scan(append(c.targets(), &object)...); err != nil {
				return err
			}
			changes, objects = append(changes, c.change()), append(objects, object)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return changes, objects, nil
}
