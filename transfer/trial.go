package transfer

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"rollcall/apierror"
	"rollcall/directory"
	"rollcall/model"
	"rollcall/session"
)

// trial is what a dry run knows of the records so far, since the database does not: a hash of each key, which is eight bytes. What two records
// lead to together, such as a circle of managers from two chunks, it does not find.
type trial struct {
	seed    maphash.Seed
	keys    map[uint64]struct{}
	waiting []trialWaiting
}

// trialWaiting is what a record refers to.
type trialWaiting struct {
	kind Kind
	key  uint64
	why  Refusal // where it is not there
}

func newTrial() *trial { return &trial{seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}} }

func (t *trial) hash(key string) uint64 { return maphash.String(t.seed, key) }

func (t *trial) has(key string) bool {
	_, has := t.keys[t.hash(key)]
	return has
}

// judge corrects what became of a chunk: a record with the key of an earlier one is not new.
func (t *trial) judge(chunk []Record, o *outcome, upsert bool) {
	for _, record := range chunk {
		if o.became[record.Line].Outcome != directory.ImportCreated || !slices.ContainsFunc(record.keys(), t.has) {
			continue
		}
		if o.Created--; upsert {
			o.Updated++
		} else {
			o.refuse(record.Line, apierror.Errors{apierror.Conflict("an earlier line has this already")})
		}
	}
}

// add notes a chunk, of which nothing is stored, and what of it refers to other records.
func (t *trial) add(chunk []Record, waits []waiting) {
	for _, record := range chunk {
		for _, key := range record.keys() {
			t.keys[t.hash(key)] = struct{}{}
		}
	}
	for _, one := range waits {
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
		if _, there := t.keys[one.key]; !there {
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

// missing counts the active users that the file does not have, and all active ones.
func (t *trial) missing(ctx context.Context, r *run) (missing, active int64, err error) {
	for after := int64(0); ; {
		var users []*model.User
		err := session.Run(ctx, r.Pools, session.Read, "who is missing", func(ctx context.Context) error {
			return session.DB(ctx).Raw("SELECT id, email, external_id, status FROM users WHERE id > ? ORDER BY id LIMIT 5000", after).Find(&users).Error
		})
		if err != nil || len(users) == 0 {
			return missing, active, err
		}
		for _, u := range users {
			after = u.ID
			if u.Status != model.StatusActive {
				continue
			}
			active++
			key := emailKey(u.Email)
			if r.Options.ByExternalID {
				key = externalKey(*cmp.Or(u.ExternalID, new(string)))
			}
			if !t.has(key) {
				missing++
			}
		}
	}
}
