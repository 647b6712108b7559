package loader

import (
	"context"
	"slices"
	"strings"

	"rollcall/model"
	"rollcall/session"
)

// chunk is how many parents one statement serves: a UNION ALL of more arms is slower to plan than
// two statements.
const chunk = 100

// firstOfEach reads the first rows of several lists, one more of each than the page holds. one selects
// the rows of one list; its parameters are the parent, the id after which the page begins, and the limit.
func firstOfEach[R any](ctx context.Context, parents []int64, page model.Page, one string) ([]R, error) {
	var all []R
	for ids := range slices.Chunk(parents, chunk) {
		arms := make([]string, len(ids))
		args := make([]any, 0, 3*len(ids))
		for i, id := range ids {
			arms[i] = "SELECT * FROM (" + one + ") AS list" // SQLite takes no arms in parentheses
			args = append(args, id, page.After, page.First+1)
		}
		var rows []R
		if err := session.DB(ctx).Raw(strings.Join(arms, " UNION ALL "), args...).Find(&rows).Error; err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}
