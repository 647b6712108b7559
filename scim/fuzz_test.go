package scim_test

import (
	"net/http"
	"testing"

	"rollcall/scim"
)

func FuzzFilters(f *testing.F) {
	for _, seed := range []string{`userName eq "x"`, `emails[type eq "work" and not (value pr)].value sw "a" or title pr`, `not (active eq True)`, `meta.created gt "2011-05-13T04:42:34Z"`, `((`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := persons(nil).ParseFilter(text)
		if (filter == nil) == (err == nil) {
			t.Errorf("%q is read as %v, %v", text, filter, err)
		}
		if filter != nil {
			show(filter)
		}
	})
}

func FuzzPatches(f *testing.F) {
	for _, seed := range []string{
		`{"op":"replace","path":"emails[type eq \"work\"].value","value":"x"}`, `{"op":"Add","value":{"name":{"givenName":"x"},"emails":["y"]}}`, `{"op":"remove","path":"emails","value":[{"value":"h@x"}]}`,
		`{"op":"add","path":"emails","value":{"type":5}}`, `{"op":"add","path":"emails.value","value":null}`, `{"op":"add","path":"name","value":null}`, `{"op":"add","path":"` + extension + `","value":{}}`,
		`{"op":"add","path":"emails[type eq \"home\"]","value":null}`, `{"op":"replace","path":"emails[value pr]","value":{"type":"home"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, operation string) {
		m, s := serve()
		m.put("1", scim.Resource{"userName": "u", "emails": []any{scim.Resource{"type": "work", "value": "w@x"}, scim.Resource{"value": "h@x"}}}, 1)
		r, got := send(t, s, http.MethodPatch, "/Persons/1", `{"schemas":["`+scim.PatchSchema+`"],"Operations":[`+operation+`]}`)
		if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s is answered with %d %v", operation, r.StatusCode, got)
		}
	})
}
