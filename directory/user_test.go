package directory

import (
	"testing"

	"rollcall/apierror"
	"rollcall/entity"
	"rollcall/model"
)

func TestAnEmailThatAUserHasStays(t *testing.T) {
	directory := New(Config{MaxPage: 100})
	for _, c := range []struct {
		has, sent string
		want      string // "": refused
	}{
		{"a\u200bb@example.com", "a\u200bb@example.com", "a\u200bb@example.com"},
		{"zoe\u0308@example.com", "zoe\u0308@example.com", "zoe\u0308@example.com"},
		{"zoe\u0308@example.com", "ZO\u00cb@example.com", "zo\u00eb@example.com"},
		{"ada@example.com", "a\u200bb@example.com", ""},
	} {
		change, err := directory.users.Change(entity.Input{"id": "User:1", "email": c.sent})
		if err != nil {
			t.Fatal(err)
		}
		user := &model.User{ID: 1, Email: c.has}
		_, err = change.Apply(user)
		if c.want == "" && apierror.CodeOf(err) != apierror.CodeBadUserInput || c.want != "" && (err != nil || user.Email != c.want) {
			t.Errorf("%+q upon %+q: %+q, %v", c.sent, c.has, user.Email, err)
		}
	}
}
