package transfer

import (
	"cmp"
	"context"

	"rollcall/directory"
	"rollcall/model"
	"rollcall/session"
)

// trial is what a dry run knows of the records so far, since the database does not. What two records lead to together, such as a circle of managers
// from two chunks, it does not find.
type trial struct {
	*seen
	waiting []trialWaiting
	active  int64           // users who would be made
	status  map[uint64]bool // whether a user who is there already would be active, by what the user is found by, where the file says it
}

func newTrial(s *seen) *trial { return &trial{seen: s, status: map[uint64]bool{}} }

// trialWaiting is what a record refers to.
type trialWaiting struct {
	kind Kind
	key  uint64
	why  Refusal // where it is not there
}

// note notes what would become of a chunk, and what of it refers to other records.
func (t *trial) note(chunk []Record, o *outcome) {
	for _, record := range chunk {
		became := o.became[record.Line].Outcome
		status := text(record.Values, "status")
		switch {
		case became == directory.ImportRefused:
			t.refused(record)
		case record.Kind != Users:
		case became == directory.ImportCreated && status != string(model.StatusDeactivated):
			t.active++
		case status != "":
			for _, key := range record.keys() {
				t.status[t.hash(key.key)] = status == string(model.StatusActive)
			}
		}
	}
	for _, one := range o.waiting {
		for _, field := range fields[one.kind] { // those that are missing are told in this order
			if key, refers := referring[field]; refers && text(one.record, field) != "" {
				to := text(one.record, field)
				t.waiting = append(t.waiting, trialWaiting{one.kind, t.hash(key(to)), Refusal{one.line, directory.MissingReference(field, to)}})
			}
		}
	}
}

// unresolved are the records that refer to what is neither in the database nor in the file. A membership that has waited would be new.
func (t *trial) unresolved() *outcome {
	o := &outcome{}
	var line int64 // is bad
	for i, one := range t.waiting {
		if !t.stored(one.key) {
			o.refusals = append(o.refusals, one.why)
			line = one.why.Line
		}
		if last := i == len(t.waiting)-1 || t.waiting[i+1].why.Line != one.why.Line; !last {
			continue
		}
		switch {
		case line == one.why.Line:
			o.Refused++
		case one.kind == Memberships:
			o.Created++
		}
	}
	return o
}

// presence counts users as run.presence does.
func (t *trial) presence(ctx context.Context, r *run) (p presence, err error) {
	p.Active = t.active
	for after := int64(0); ; {
		var users []*model.User
		err := session.Run(ctx, r.Pools, session.Read, "who is missing", func(ctx context.Context) error {
			return session.DB(ctx).Raw("SELECT id, email, external_id, status FROM users WHERE id > ? ORDER BY id LIMIT 5000", after).Find(&users).Error
		})
		if err != nil || len(users) == 0 {
			return p, err
		}
		for _, u := range users {
			after = u.ID
			key := emailKey(u.Email)
			if r.Options.ByExternalID {
				key = externalKey(*cmp.Or(u.ExternalID, new(string)))
			}
			has, active := t.has(key), u.Status == model.StatusActive
			if told, is := t.status[t.hash(key)]; is {
				active = told
			}
			switch {
			case active && !has:
				p.Active++
				p.Missing++
			case active:
				p.Active++
			case has:
				p.Inactive++
			}
		}
	}
}
