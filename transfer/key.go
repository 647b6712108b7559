package transfer

import (
	"strings"

	"rollcall/model"
)

func emailKey(email string) string { return "email " + model.NormalEmail(email) }
func externalKey(id string) string { return "external " + id }
func teamKey(name string) string   { return "team " + strings.TrimSpace(name) }

// text is what a record has in a field; "": nothing.
func text(values input, field string) string {
	s, _ := values[field].(string)
	return s
}

// keys are what no other record of a chunk may have: what an object is found by, and what no two may share.
func (r Record) keys() (keys []string) {
	add := func(field string, key func(string) string) {
		if s := text(r.Values, field); s != "" {
			keys = append(keys, key(s))
		}
	}
	switch r.Kind {
	case Users:
		add("email", emailKey)
		add("externalId", externalKey)
	case Teams:
		add("name", teamKey)
	case Memberships:
		user := emailKey(text(r.Values, "userEmail"))
		if id := text(r.Values, "userExternalId"); id != "" {
			user = externalKey(id)
		}
		keys = append(keys, teamKey(text(r.Values, "teamName"))+" "+user)
	}
	return keys
}

// match is what the user is found by that a record is about; "": nobody knows whom it is about.
func (r Record) match(by model.UpsertKey) string {
	if by == model.ByExternalID {
		return text(r.Values, "externalId")
	}
	return model.NormalEmail(text(r.Values, "email"))
}

// referring are the fields by which records refer to others, with the keys that these have.
var referring = map[string]func(string) string{
	"managerEmail": emailKey, "managerExternalId": externalKey, "userEmail": emailKey, "userExternalId": externalKey, "parentName": teamKey, "teamName": teamKey,
}
