package directory

import (
	"rollcall/batch"
	"rollcall/model"
)

// declareChange declares what mutations lead to.
func (d *Directory) declareChange() {
	d.schema.AddFields(
		batch.Path("CreateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
		batch.Path("UpdateUserPayload", "user", func(p *model.UserPayload) *model.User { return p.User }),
	)
}
