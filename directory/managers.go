package directory

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/apierror"
	"rollcall/model"
	"rollcall/session"
)

// lockManagers makes the mutation wait for every other one that gives a user a manager, and these for it, until it ends.
// It does so by changing one row: a lock alone would be known to one node of a cluster, while of two transactions that have
// written the same row on two nodes one fails, and runs again. The mutation is READ COMMITTED, so what it reads
// from then on is what the one before has left. The row is made where it is missing, so that no mutation passes without it.
func lockManagers(ctx context.Context) error {
	return session.DB(ctx).Table("directory_locks").Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "name"}},
		DoUpdates: clause.Assignments(map[string]any{"changes": gorm.Expr("directory_locks.changes + 1")}),
	}).Create(map[string]any{"name": "managers", "changes": 1}).Error
}

// managersUp reads a user and the next users up the chain of managers, in order. It takes few enough levels at a time for the
// limits on recursion that MariaDB and MySQL have by default, 1,000: beyond its own MariaDB leaves rows out in silence, and
// MySQL, which is told not to heed another limit, fails.
const managersUp = `WITH RECURSIVE above (id, manager_id, level) AS (
	SELECT id, manager_id, 1 FROM users WHERE id = ?
	UNION ALL
	SELECT u.id, u.manager_id, a.level + 1 FROM above a JOIN users u ON u.id = a.manager_id WHERE a.level < 500
) SELECT /*+ SET_VAR(cte_max_recursion_depth = 1000) */ id, manager_id FROM above ORDER BY level`

// managersAbove returns the ids of a user, the user's manager, the manager's manager and so on, read 500 at a time. After a user
// whom nobody manages it ends; after one whose manager is not there it yields a NOT_FOUND error. In a circle it never ends.
func (d *Directory) managersAbove(ctx context.Context, user int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for next := &user; next != nil; {
			users, err := d.users.Select(ctx, []string{"id", "manager_id"}, managersUp, *next)
			if err == nil && len(users) == 0 {
				err = apierror.NotFound("there is no user %s", model.UserID(*next))
			}
			if err != nil {
				yield(0, err)
				return
			}
			for _, u := range users {
				if !yield(u.ID, nil) {
					return
				}
				next = u.ManagerID
			}
		}
	}
}

// checkManager refuses a manager who is the user, or whom the user manages directly or through others. lockManagers
// comes first: else two changes could each not see the other, and together close a circle.
func (d *Directory) checkManager(ctx context.Context, user, manager int64) error {
	var chain []int64
	places := map[int64]int{}
	for id, err := range d.managersAbove(ctx, manager) {
		if err != nil {
			return asManager(err)
		}
		if id == user {
			return apierror.BadInput("managerId", "%s cannot have the manager %s: nobody manages themself, directly or through others",
				model.UserID(user), model.UserID(manager))
		}
		if first, again := places[id]; again {
			return inCircle(manager, chain[first:])
		}
		places[id] = len(chain)
		chain = append(chain, id)
	}
	return nil
}

// inCircle refuses a manager who is in or below a circle, which only a write past this server can have made.
func inCircle(manager int64, circle []int64) error {
	const shown = 10
	names := make([]string, 0, shown+1)
	for _, id := range circle[:min(shown, len(circle))] {
		names = append(names, model.UserID(id))
	}
	if more := len(circle) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return &apierror.Error{
		Code: apierror.CodeConflict, Field: "managerId",
		Message: fmt.Sprintf("%s cannot be a manager: the managers above are a circle (%s): give one of these another manager, or none, first",
			model.UserID(manager), strings.Join(names, ", ")),
	}
}
