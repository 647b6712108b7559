package directory

import (
	"context"

	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// Records are objects as an import takes them, and the number of the last one.
type Records struct {
	All  []entity.Input
	Last int64
}

// recordsOf reads up to limit rows behind a number with one statement, and makes records of them.
func recordsOf[R any](ctx context.Context, query string, after int64, limit int, record func(*R) (int64, entity.Input)) (page Records, err error) {
	var rows []*R
	if err := session.DB(ctx).Raw(query, after, limit).Find(&rows).Error; err != nil {
		return page, err
	}
	for _, row := range rows {
		id, one := record(row)
		page.All, page.Last = append(page.All, one), id
	}
	return page, nil
}

// given is the value that a pointer leads to, and nil where it leads nowhere.
func given(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

// UserRecords returns the users behind a number, in the order of their numbers, as records: what ImportUsers takes.
func (d *Directory) UserRecords(ctx context.Context, after int64, limit int) (Records, error) {
	type row struct {
		model.User   `gorm:"embedded"`
		ManagerEmail *string
	}
	return recordsOf(ctx, "SELECT u.*, m.email AS manager_email FROM users u LEFT JOIN users m ON m.id = u.manager_id WHERE u.id > ? ORDER BY u.id LIMIT ?", after, limit,
		func(r *row) (int64, entity.Input) {
			return r.ID, entity.Input{
				"name": r.Name, "email": r.Email, "title": given(r.Title), "department": given(r.Department), "phone": given(r.Phone),
				"location": given(r.Location), "timeZone": given(r.TimeZone), "photoUrl": given(r.PhotoURL), "externalId": given(r.ExternalID),
				"status": string(r.Status), "managerEmail": given(r.ManagerEmail),
			}
		})
}

// TeamRecords is UserRecords for teams.
func (d *Directory) TeamRecords(ctx context.Context, after int64, limit int) (Records, error) {
	type row struct {
		model.Team `gorm:"embedded"`
		ParentName *string
	}
	return recordsOf(ctx, "SELECT t.*, p.name AS parent_name FROM teams t LEFT JOIN teams p ON p.id = t.parent_id WHERE t.id > ? ORDER BY t.id LIMIT ?", after, limit,
		func(r *row) (int64, entity.Input) {
			return r.ID, entity.Input{"name": r.Name, "description": given(r.Description), "parentName": given(r.ParentName)}
		})
}

// MembershipRecords is UserRecords for memberships.
func (d *Directory) MembershipRecords(ctx context.Context, after int64, limit int) (Records, error) {
	type row struct {
		ID              int64
		TeamName, Email string
		Role            model.Role
	}
	return recordsOf(ctx, `SELECT m.id, t.name AS team_name, u.email, m.role FROM memberships m JOIN teams t ON t.id = m.team_id JOIN users u ON u.id = m.user_id
		WHERE m.id > ? ORDER BY m.id LIMIT ?`, after, limit, func(r *row) (int64, entity.Input) {
		return r.ID, entity.Input{"teamName": r.TeamName, "userEmail": r.Email, "role": string(r.Role)}
	})
}
