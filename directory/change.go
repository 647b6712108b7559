package directory

import (
	"context"
	"fmt"

	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/keyset"
	"rollcall/model"
)

// declareChange declares what subscriptions lead to.
func (d *Directory) declareChange() {
	d.schema.Sized("Subscription", "userChanged", "ids")
	d.schema.AddFields(
		batch.Relation("UserChange", "user", d.users.ByID(), batch.Key(func(c *model.UserChange) (int64, bool) {
			return c.UserID, c.Kind != model.Deleted
		})),
		batch.Unplanned("UserChange", "kind", "userId"),
	)
	d.declareChanges()
}

// UserChanges returns the changes of the users with some global ids, or of all where ids is nil, until ctx ends: see event.Broker. The
// error is BAD_USER_INPUT.
func (d *Directory) UserChanges(ctx context.Context, ids []string) (<-chan *model.UserChange, error) {
	switch {
	case ids != nil && len(ids) == 0:
		return nil, apierror.BadInput("ids", "ids: name a user, or leave it out for all users")
	case len(ids) > d.MaxPage:
		return nil, keyset.TooLong("ids", len(ids), d.MaxPage)
	}
	users := make([]int64, len(ids))
	for i, id := range ids {
		var err error
		if users[i], err = d.users.ParseID(fmt.Sprintf("ids.%d", i), id); err != nil {
			return nil, err
		}
	}
	return d.Events.Subscribe(ctx, users)
}
