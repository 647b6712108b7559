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

// unnumberedArm is one more arm of a statement's UNION ALL: a change without a position, if there is one. Each arm that keyset makes is a subselect.
var unnumberedArm = " UNION ALL SELECT * FROM (SELECT " + strings.Join(Columns(), ", ") + ", t.object_id AS list_parent FROM changes t WHERE t.position IS NULL LIMIT 1) AS list"

// Rows reads the changes of a History that statements of keyset select, each with the number of its object, and whether committed changes wait for their
// positions. ctx may belong to a session, in which they are run; else DB runs them.
func (l *Log) Rows(ctx context.Context, statements []keyset.Statement) (changes []*model.Change, objects []int64, unnumbered bool, err error) {
	for _, s := range statements {
		err := l.query(ctx, s.Text+unnumberedArm, s.Args, func(rows *sql.Rows) error {
			var c row
			var id, object int64
			if err := rows.Scan(append(append([]any{&id}, c.targets()...), &object)...); err != nil {
				return err
			}
			if !c.position.Valid {
				unnumbered = true
				return nil
			}
			change := c.change()
			change.ID = id
			changes, objects = append(changes, change), append(objects, object)
			return nil
		})
		if err != nil {
			return nil, nil, false, err
		}
	}
	return changes, objects, unnumbered, nil
}
