package transfer

import (
	"hash/maphash"

	"rollcall/apierror"
	"rollcall/model"
)

func emailKey(email string) string { return "email " + model.NormalEmail(email) }
func externalKey(id string) string { return "external " + id }
func teamKey(name string) string {
	if normal, err := model.CheckName(name); err == nil {
		name = normal
	}
	return "team " + name
}

// text is what a record has in a field; "": nothing.
func text(values input, field string) string {
	s, _ := values[field].(string)
	return s
}

// recordKey is what no other record of a chunk may have: what an object is found by, or what no two may share.
type recordKey struct{ field, key string }

func (r Record) keys() (keys []recordKey) {
	switch r.Kind {
	case Users:
		if email := email(r.Values); email != "" {
			keys = append(keys, recordKey{"email", emailKey(email)})
		}
		if id := externalID(r.Values); id != "" {
			keys = append(keys, recordKey{"externalId", externalKey(id)})
		}
	case Teams:
		if name := text(r.Values, "name"); name != "" {
			keys = append(keys, recordKey{"name", teamKey(name)})
		}
	case Memberships:
		user := emailKey(text(r.Values, "userEmail"))
		if id := text(r.Values, "userExternalId"); id != "" {
			user = externalKey(id)
		}
		keys = append(keys, recordKey{"", teamKey(text(r.Values, "teamName")) + " " + user})
	}
	return keys
}

// seen is where the keys of the records so far are: it has a hash of each, and a line, which is 16 bytes.
type seen struct {
	seed  maphash.Seed
	lines map[uint64]int64
}

func newSeen() *seen { return &seen{maphash.MakeSeed(), map[uint64]int64{}} }

func (s *seen) hash(key string) uint64 { return maphash.String(s.seed, key) }

func (s *seen) has(key string) bool {
	_, has := s.lines[s.hash(key)]
	return has
}

// refused notes that what a record describes is not there, although its keys were seen.
func (s *seen) refused(r Record) {
	for _, key := range r.keys() {
		if hash := s.hash(key.key); s.lines[hash] == r.Line {
			s.lines[hash] = -r.Line
		}
	}
}

// stored reports whether what has a key is there, or will be.
func (s *seen) stored(hash uint64) bool { return s.lines[hash] > 0 }

// add notes a record. Where an earlier one has what it is found by, or in a file of new objects anything that no two may share, it returns the record as
// one that is refused.
func (s *seen) add(r Record, upsert bool, by model.UpsertKey) Record {
	found := "email"
	if by == model.ByExternalID {
		found = "externalId"
	}
	for _, key := range r.keys() {
		hash := s.hash(key.key)
		line, there := s.lines[hash]
		switch {
		case !there:
			s.lines[hash] = r.Line
		case !upsert || key.field == found || key.field == "name" || key.field == "":
			err := apierror.Conflict("line %d of the file has this already", max(line, -line))
			err.Field = key.field
			r.Wrong = append(r.Wrong, err)
		}
	}
	return r
}

// match is what the user is found by that a record is about; "": nobody knows whom it is about.
func (r Record) match(by model.UpsertKey) string {
	if by == model.ByExternalID {
		return externalID(r.Values)
	}
	return email(r.Values)
}

// email is the address that a record gives a user; "": none that one may have.
func email(values input) string {
	given, err := model.CheckEmail(text(values, "email"))
	if err != nil {
		return ""
	}
	return model.NormalEmail(given)
}

// externalID is the external id that a record gives a user; "": none that one may have.
func externalID(values input) string {
	id, err := model.CheckExternalID(text(values, "externalId"))
	if err != nil {
		return ""
	}
	return id
}

// referring are the fields by which records refer to others, with the keys that these have.
var referring = map[string]func(string) string{
	"managerEmail": emailKey, "managerExternalId": externalKey, "userEmail": emailKey, "userExternalId": externalKey, "parentName": teamKey, "teamName": teamKey,
}
