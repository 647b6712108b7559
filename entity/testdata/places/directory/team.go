package directory

import (
	"time"

	"rollcall/entity"
	"rollcall/model"
)

func (d *Directory) declareTeam() {
	t := d.teams
	entity.Find(d.schema, "team", t)
	entity.All(d.schema, "teams", t)
	entity.Text(t, "name", func(t *model.Team) *string { return &t.Name }).Unique("another team has this name")
	entity.Time(t, "createdAt", func(t *model.Team) *time.Time { return &t.CreatedAt })
}
