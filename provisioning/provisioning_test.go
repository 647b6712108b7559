package provisioning_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/changelog"
	"rollcall/database"
	"rollcall/database/databasetest"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/provisioning"
	"rollcall/scim"
	"rollcall/session"
)

func TestMain(m *testing.M) { databasetest.Templates{M: m}.Run() }

const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// server is the service on a database.
type server struct {
	*scim.Service
	directory  *directory.Directory
	pools      session.Pools
	log        *changelog.Log
	statements *databasetest.Statements
}

func onEveryDatabase(t *testing.T, test func(t *testing.T, s *server)) {
	databasetest.EachKind(t, func(t *testing.T, kind string) {
		r := &databasetest.Statements{}
		db := databasetest.New(t, kind, database.Options{PoolSize: 8, Logger: r})
		s := &server{statements: r, log: &changelog.Log{DB: db.Side, Dialect: db.Dialect(), Actor: provisioning.Actor}}
		s.pools = session.Pools{Write: db.Write, Read: db.Read, Side: db.Side, Deadline: 30 * time.Second}
		if err := s.pools.Install(); err != nil {
			t.Fatal(err)
		}
		s.directory = directory.New(directory.Config{MaxPage: 100, Log: s.log})
		s.Service = provisioning.New(provisioning.Config{Directory: s.directory, Pools: s.pools, MaxPage: 100})
		test(t, s)
	})
}

// answer is what a request gets.
type answer struct {
	status int
	header http.Header
	body   scim.Resource
}

// send sends a request, whose headers are in pairs.
func (s *server) send(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/scim/v2"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%s %s is answered with %q", method, path, w.Body)
		}
	}
	return a
}

// must is send for a request that is to have an answer with a status, which it returns the body of.
func (s *server) must(t *testing.T, status int, method, path, body string, headers ...string) scim.Resource {
	t.Helper()
	a := s.send(t, method, path, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s %s is answered with %d %v, want %d", method, path, body, a.status, a.body, status)
	}
	return a.body
}

// refused is must for an error of a type.
func (s *server) refused(t *testing.T, status int, typ scim.ErrorType, method, path, body string, headers ...string) {
	t.Helper()
	got := s.must(t, status, method, path, body, headers...)
	if is, _ := got["scimType"].(string); is != string(typ) || got["detail"] == "" {
		t.Errorf("%s %s %s is refused with %v, want %s", method, path, body, got, typ)
	}
}

// wantDetail fails unless a request is refused with a message.
func (s *server) wantDetail(t *testing.T, want, method, path, body string) {
	t.Helper()
	if a := s.send(t, method, path, body); a.status < 400 || a.body["detail"] != want {
		t.Errorf("%s %s is answered with %d %v, want %s", method, path, a.status, a.body, want)
	}
}

// wantStatements fails unless fn runs so many statements, besides the one that writes the log, and on SQLite the one of its clock.
func (s *server) wantStatements(t *testing.T, what string, n int, fn func()) {
	t.Helper()
	got := slices.DeleteFunc(s.statements.During(fn), func(text string) bool {
		return strings.HasPrefix(text, "INSERT INTO changes ") || strings.HasPrefix(text, "UPDATE changes_clock ")
	})
	if len(got) != n {
		t.Errorf("%s runs %d statements, want %d:\n%s", what, len(got), n, strings.Join(got, "\n"))
	}
}

// user creates a user and returns the id.
func (s *server) user(t *testing.T, email, more string) string {
	t.Helper()
	return s.must(t, 201, http.MethodPost, "/Users", `{"schemas":["`+userURN+`"],"userName":"`+email+`"`+more+`}`)["id"].(string)
}

// group creates a group with members and returns the id.
func (s *server) group(t *testing.T, name string, members ...string) string {
	t.Helper()
	var list []string
	for _, m := range members {
		list = append(list, `{"value":"`+m+`"}`)
	}
	return s.must(t, 201, http.MethodPost, "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"`+name+`","members":[`+strings.Join(list, ",")+`]}`)["id"].(string)
}

func patch(operations string) string {
	return `{"schemas":["` + scim.PatchSchema + `"],"Operations":[` + operations + `]}`
}

// found returns an attribute of those that a filter finds.
func (s *server) found(t *testing.T, path, filter, attribute string) []string {
	t.Helper()
	got := s.must(t, 200, http.MethodGet, path+"?filter="+url.QueryEscape(filter), "")
	names := []string{}
	for _, one := range got["Resources"].([]any) {
		names = append(names, one.(scim.Resource)[attribute].(string))
	}
	if got["totalResults"] != float64(len(names)) {
		t.Errorf("%s finds %v, and tells of %v", filter, names, got["totalResults"])
	}
	return names
}

// members returns the ids of a group's members, sorted.
func (s *server) members(t *testing.T, group string) []string {
	t.Helper()
	list, _ := s.must(t, 200, http.MethodGet, "/Groups/"+group, "")["members"].([]any)
	ids := []string{}
	for _, one := range list {
		ids = append(ids, one.(scim.Resource)["value"].(string))
	}
	slices.Sort(ids)
	return ids
}

func (s *server) wantMembers(t *testing.T, group string, want ...string) {
	t.Helper()
	if got := s.members(t, group); !slices.Equal(got, want) {
		t.Errorf("the members are %v, want %v", got, want)
	}
}

func TestUsersHaveTheAttributesOfTheDirectory(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		boss := s.user(t, "boss@example.com", `,"displayName":"The Boss"`)
		id := s.user(t, "Ada@Example.com", `,"externalId":"E1","name":{"givenName":"Ada","familyName":"Lovelace"},"title":"Analyst","timezone":"Europe/London","active":false,
			"emails":[{"value":"ada@example.com","type":"work","primary":true},{"value":"ada@home.example","type":"home"}],
			"phoneNumbers":[{"value":"+44 1","type":"mobile"},{"value":"+44 2","type":"work"}],"photos":[{"value":"https://example.com/a.png","type":"photo"}],
			"addresses":[{"type":"work","formatted":"London","locality":"x"}],"nickName":"n","roles":[{"value":"x","primary":"True"}],"password":"secret",
			"`+enterpriseURN+`":{"department":"Engines","employeeNumber":"7","manager":{"value":"`+boss+`"}}`)
		team := s.group(t, "Analysts", id)
		got := s.must(t, 200, http.MethodGet, "/Users/"+id, "")
		meta := got["meta"].(scim.Resource)
		delete(meta, "created")
		delete(meta, "lastModified")
		want := `{"active":false,"addresses":[{"formatted":"London","primary":true,"type":"work"}],"displayName":"Ada Lovelace",` +
			`"emails":[{"primary":true,"type":"work","value":"ada@example.com"}],"externalId":"E1",` +
			`"groups":[{"$ref":"../Groups/` + team + `","display":"Analysts","type":"direct","value":"` + team + `"}],"id":"` + id + `",` +
			`"meta":{"location":"http://localhost/scim/v2/Users/` + id + `","resourceType":"User","version":"W/\"1\""},` +
			`"name":{"familyName":"Lovelace","formatted":"Ada Lovelace","givenName":"Ada"},"phoneNumbers":[{"primary":true,"type":"work","value":"+44 2"}],` +
			`"photos":[{"primary":true,"type":"photo","value":"https://example.com/a.png"}],"schemas":["` + userURN + `","` + enterpriseURN + `"],` +
			`"timezone":"Europe/London","title":"Analyst",` +
			`"` + enterpriseURN + `":{"department":"Engines","manager":{"$ref":"../Users/` + boss + `","displayName":"The Boss","value":"` + boss + `"}},` +
			`"userName":"ada@example.com"}`
		if text, _ := json.Marshal(got); string(text) != want {
			t.Errorf("the user is\n%s, want\n%s", text, want)
		}
		// What a client has read it can write: nothing changes.
		text, _ := json.Marshal(got)
		if a := s.send(t, http.MethodPut, "/Users/"+id, string(text), "If-Match", `W/"1"`); a.status != 200 || a.header.Get("ETag") != `W/"1"` {
			t.Errorf("PUT of what was read is answered with %d %s %v", a.status, a.header, a.body)
		}
		// What a client leaves out is cleared, but for the name and for whether the user takes part.
		got = s.must(t, 200, http.MethodPut, "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"ada@example.com"}`)
		for _, name := range []string{"title", "timezone", "addresses", "phoneNumbers", "photos", "externalId", enterpriseURN} {
			if got[name] != nil {
				t.Errorf("after PUT %s is %v", name, got[name])
			}
		}
		if got["displayName"] != "Ada Lovelace" || got["active"] != false {
			t.Errorf("after PUT the user is %v", got)
		}
	})
}

func TestTheNameIsWhatAClientHasChangedOfIt(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		for i, test := range []struct{ given, operations, want string }{
			{``, `{"op":"add","path":"title","value":"x"}`, "n0@example.com"},
			{`,"name":{"familyName":"B"}`, `{"op":"add","path":"name.familyName","value":"C"}`, "B C"},
			{`,"displayName":"A B C"`, `{"op":"replace","path":"name.familyName","value":"D"}`, "A B D"},
			{`,"displayName":"A B","name":{"formatted":"no"}`, `{"op":"replace","path":"name.givenName","value":"C D"}`, "C D B"},
			{`,"name":{"formatted":"A B","givenName":"no"}`, `{"op":"replace","path":"name","value":{"formatted":"E"}}`, "E"},
			{`,"displayName":"A B"`, `{"op":"replace","value":{"displayName":"F G","name":{"givenName":"no"}}}`, "F G"},
			{`,"displayName":"A B"`, `{"op":"remove","path":"displayName"}`, "A B"},
		} {
			id := s.user(t, fmt.Sprintf("n%d@example.com", i), test.given)
			if got := s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(test.operations)); got["displayName"] != test.want {
				t.Errorf("%s and %s make %v, want %s", test.given, test.operations, got["displayName"], test.want)
			}
		}
	})
}

func TestTheSamePUTAgainChangesNothing(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		const all, parts = `,"displayName":"Shown","name":{"formatted":"Formatted","givenName":"Given","familyName":"Family"}`, `,"name":{"givenName":"Given","familyName":"Family"}`
		id := s.user(t, "a@example.com", all)
		for i, test := range []struct{ given, want string }{
			{all, "Shown"},
			{`,"displayName":"","name":{"formatted":"Formatted","givenName":"Given"}`, "Formatted"},
			{parts, "Given Family"},
			{`,"name":{"familyName":" Family"}`, "Family"},
			{`,"displayName":"  Two   spaces "` + strings.TrimPrefix(all, `,"displayName":"Shown"`), "Two   spaces"},
			{``, "Two   spaces"},
			{all + `,"emails":[{"value":"A@example.com"},{"value":"b@example.com","type":"home"}],"phoneNumbers":[{"value":"1"},{"value":"2","primary":true},{"value":"3","type":"fax"}],
				"photos":[{"value":"https://example.com/a.png","type":"thumbnail"},{"value":"https://example.com/b.png"}],"addresses":[{"formatted":"Rome"},{"formatted":"Bern","type":"WORK"}]`, "Shown"},
		} {
			body := `{"schemas":["` + userURN + `"],"userName":"A@Example.com"` + test.given + `}`
			first := s.send(t, http.MethodPut, "/Users/"+id, body)
			for range 3 {
				again := s.send(t, http.MethodPut, "/Users/"+id, body)
				if again.status != 200 || again.body["displayName"] != test.want || again.header.Get("ETag") != first.header.Get("ETag") {
					t.Errorf("PUT %d has made %v, and again %v", i, first.body, again.body)
				}
			}
		}
	})
}

func TestWhatIsAddedTakesThePlaceOfWhatIsKept(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		id, n := s.user(t, "a0@example.com", `,"phoneNumbers":[{"value":"0"}],"addresses":[{"formatted":"0"}],"photos":[{"value":"https://example.com/0"}]`), 0
		for _, of := range []struct{ path, sub, typ, value string }{
			{"emails", "value", "work", "a%d@example.com"},
			{"phoneNumbers", "value", "work", "%d"},
			{"addresses", "formatted", "work", "%d"},
			{"photos", "value", "photo", "https://example.com/%d"},
		} {
			for _, more := range []string{``, `,"primary":true`, `,"type":"` + of.typ + `"`, `,"type":"` + strings.ToUpper(of.typ) + `","primary":true`} {
				n++
				want := fmt.Sprintf(of.value, n)
				got := s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"add","path":"`+of.path+`","value":[{"`+of.sub+`":"`+want+`"`+more+`}]}`))
				if list, _ := got[of.path].([]any); len(list) != 1 || list[0].(scim.Resource)[of.sub] != want {
					t.Errorf("after %s%s was added, %s are %v", want, more, of.path, list)
				}
				got = s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"add","path":"`+of.path+`","value":[{"`+of.sub+`":"x","type":"other"},{"type":"`+of.typ+`"}]}`))
				if list, _ := got[of.path].([]any); len(list) != 1 || list[0].(scim.Resource)[of.sub] != want {
					t.Errorf("after one of another type was added, %s are %v", of.path, list)
				}
			}
		}
	})
}

func TestWhatOtherResourcesHaveChangedIsReadWithAnOldETag(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		boss := s.user(t, "boss@example.com", `,"displayName":"Boss"`)
		id := s.user(t, "a@example.com", `,"displayName":"Anna","`+enterpriseURN+`":{"manager":{"value":"`+boss+`"}}`)
		team, other := s.group(t, "Team", id), s.group(t, "Other")
		tags := map[string]string{}
		for _, path := range []string{"/Users/" + id, "/Groups/" + team} {
			tags[path] = s.send(t, http.MethodGet, path, "").header.Get("ETag")
		}
		s.must(t, 200, http.MethodPatch, "/Users/"+boss, patch(`{"op":"replace","path":"displayName","value":"Other Boss"}`))
		s.must(t, 204, http.MethodPatch, "/Groups/"+other, patch(`{"op":"add","path":"members","value":[{"value":"`+id+`"}]}`))
		got := s.must(t, 200, http.MethodGet, "/Users/"+id, "", "If-None-Match", tags["/Users/"+id])
		if manager := got[enterpriseURN].(scim.Resource)["manager"].(scim.Resource); manager["displayName"] != "Other Boss" || len(got["groups"].([]any)) != 2 {
			t.Errorf("the user is %v", got)
		}
		s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"displayName","value":"Bodo"}`))
		got = s.must(t, 200, http.MethodGet, "/Groups/"+team, "", "If-None-Match", tags["/Groups/"+team])
		if got["members"].([]any)[0].(scim.Resource)["display"] != "Bodo" {
			t.Errorf("the group is %v", got)
		}
	})
}

func TestAListWithoutValuesTakesNothingAway(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		boss := s.user(t, "boss@example.com", "")
		id := s.user(t, "a@example.com", `,"phoneNumbers":[{"value":"1"}],"addresses":[{"formatted":"Rome"}],"photos":[{"value":"https://example.com/a.png"}],
			"`+enterpriseURN+`":{"manager":{"value":"`+boss+`"}}`)
		for _, path := range []string{"emails", "phoneNumbers", "addresses", "photos"} {
			for _, value := range []string{`[]`, `[{"display":"x"}]`, `[{"value":null}]`, `{}`} {
				for _, op := range []string{"add", "remove"} {
					got := s.send(t, http.MethodPatch, "/Users/"+id, patch(`{"op":"`+op+`","path":"`+path+`","value":`+value+`}`))
					if got.status != 200 || got.header.Get("ETag") != `W/"1"` {
						t.Fatalf("%s of %s %s is answered with %d %s %v", op, path, value, got.status, got.header, got.body)
					}
				}
			}
		}
		got := s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"`+enterpriseURN+`:manager","value":{"displayName":"x"}}`))
		if got[enterpriseURN] == nil {
			t.Error("a manager of whom only the name is given is nobody's any more")
		}
		got = s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"`+enterpriseURN+`:manager","value":{"value":null}},{"op":"remove","path":"photos"},
			{"op":"replace","path":"phoneNumbers","value":[]}`))
		if got[enterpriseURN] != nil || got["photos"] != nil || got["phoneNumbers"] != nil || got["addresses"] == nil {
			t.Errorf("the user is %v", got)
		}
	})
}

func TestUsersAreFoundByFilters(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		boss := s.user(t, "a@example.com", `,"displayName":"Anna Boss","title":"Chief","externalId":"E1"`)
		second := s.user(t, "b@example.org", `,"displayName":"Bodo Ört","active":"False","phoneNumbers":[{"value":"12","type":"work"}],
			"`+enterpriseURN+`":{"department":"Sales","manager":"`+boss+`"}`)
		s.user(t, "c@example.com", `,"displayName":"Carl","externalId":"e1","addresses":[{"formatted":"Rome","type":"work"}],"timezone":"Europe/Rome"`)
		team := s.group(t, "T", boss, second)
		for filter, want := range map[string]string{
			`userName eq "A@EXAMPLE.com"`: "a", `userName ne "a@example.com"`: "bc", `userName sw "b"`: "b", `userName ew ".COM"`: "ac", `userName co "example"`: "abc",
			`userName gt "a@example.com"`: "bc", `userName ge "b@example.org"`: "bc", `userName lt "b@example.org"`: "a", `userName le "b@example.org"`: "ab", `userName pr`: "abc",
			`userName eq "nobody@example.com"`: "", `userName eq "not an address"`: "",
			`displayName eq "bodo ort"`: "b", `name.formatted sw "CARL"`: "c", `displayName ge "b"`: "bc",
			`externalId eq "E1"`: "a", `externalId pr`: "ac", `not (externalId pr)`: "b", `externalId eq null`: "b", `externalId ne null`: "ac", `externalId ne "E1"`: "bc",
			`active eq true`: "ac", `active eq "False"`: "b", `active ne true`: "b", `active pr`: "abc",
			`title pr and userName sw "a"`: "a", `title pr or userName sw "c"`: "ac", `not (title pr or userName sw "c")`: "b",
			`emails eq "a@example.com"`: "a", `emails.value sw "c"`: "c", `emails[type eq "work" and value ew "org"]`: "b", `emails[type eq "home"]`: "", `emails.primary eq true`: "abc",
			`emails[type eq "work"].value eq "c@example.com"`: "c", `emails pr`: "abc", `emails[not (type eq "home")]`: "abc",
			`phoneNumbers pr`: "b", `phoneNumbers[type eq "work"]`: "b", `phoneNumbers.type eq "work"`: "b", `phoneNumbers[type ne "home"]`: "b", `phoneNumbers[type eq "mobile"]`: "",
			`phoneNumbers.value eq "12"`: "b", `addresses.formatted co "om"`: "c", `timezone sw "Europe/"`: "c",
			enterpriseURN + `:department eq "SALES"`: "b", enterpriseURN + `:manager eq "` + boss + `"`: "b", enterpriseURN + `:manager.value pr`: "b",
			enterpriseURN + `:manager.value ne "` + boss + `"`: "ac", `id eq "` + boss + `"`: "a", `id ne "` + boss + `"`: "bc", `id eq "x"`: "", `id ne "Team:1"`: "abc",
			`id eq "` + second + `" and ` + enterpriseURN + `:manager eq "` + boss + `"`: "b",
			`groups.value eq "` + team + `"`:                                             "ab", `groups[value eq "` + team + `" or value eq "Team:99"]`: "ab", `not (groups eq "` + team + `")`: "c", `groups eq "x"`: "",
			`meta.created gt "2011-05-13T04:42:34Z"`: "abc", `meta.lastModified lt "2011-05-13T04:42:34Z"`: "", `meta.created ne "2011-05-13T04:42:34+02:00"`: "abc",
			`meta.resourceType eq "User"`: "abc", `meta.resourceType eq "Group"`: "", `nickName pr`: "", `not (nickName pr)`: "abc", `ims.value eq "x"`: "", `nickName ne "x"`: "abc",
		} {
			got := ""
			for _, name := range s.found(t, "/Users", filter, "userName") {
				got += name[:1]
			}
			if got != want {
				t.Errorf("%s finds %q, want %q", filter, got, want)
			}
		}
		for _, filter := range []string{
			`photos.value eq "x"`, `name.givenName eq "x"`, `groups pr`, `id sw "User"`, `meta.version eq "x"`, `groups[value eq "Team:1" and value eq "Team:2"]`, `unknown pr`,
			strings.Repeat(`title pr and (title pr or (`, 9) + "title pr" + strings.Repeat("))", 9), "title pr" + strings.Repeat(" or title pr", 100),
		} {
			s.refused(t, 400, scim.InvalidFilter, http.MethodGet, "/Users?filter="+url.QueryEscape(filter), "")
		}
		s.wantStatements(t, "a list", 4, func() { s.must(t, 200, http.MethodGet, "/Users?filter=externalId+pr+or+active+eq+false", "") })
		s.wantStatements(t, "a list without managers and groups", 2, func() { s.must(t, 200, http.MethodGet, "/Users?attributes=userName,active", "") })
		s.wantStatements(t, "a count", 1, func() { s.must(t, 200, http.MethodGet, "/Users?count=0&filter=active+eq+true", "") })
		s.wantStatements(t, "a user with a manager", 3, func() { s.must(t, 200, http.MethodGet, "/Users/"+second, "") })
	})
}

func TestListsAreReadPageByPage(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		var want []string
		for i := range 7 {
			want = append(want, s.user(t, fmt.Sprintf("u%d@example.com", i), `,"active":`+fmt.Sprint(i != 3)))
		}
		active := slices.Delete(slices.Clone(want), 3, 4)
		for filter, want := range map[string][]string{"": want, "&filter=active+eq+true": active} {
			var byIndex, byCursor []string
			ids := func(got scim.Resource) (all []string) {
				for _, one := range got["Resources"].([]any) {
					all = append(all, one.(scim.Resource)["id"].(string))
				}
				if got["totalResults"] != float64(len(want)) || got["itemsPerPage"] != float64(len(all)) {
					t.Errorf("a page is %v", got)
				}
				return all
			}
			for len(byIndex) < len(want) {
				some := ids(s.must(t, 200, http.MethodGet, fmt.Sprintf("/Users?startIndex=%d&count=2%s", len(byIndex)+1, filter), ""))
				if len(some) == 0 {
					break
				}
				byIndex = append(byIndex, some...)
			}
			for cursor, more := "", true; more; {
				got := s.must(t, 200, http.MethodGet, "/Users?cursor="+cursor+"&count=2"+filter, "")
				byCursor = append(byCursor, ids(got)...)
				cursor, more = got["nextCursor"].(string)
			}
			if !slices.Equal(byIndex, want) || !slices.Equal(byCursor, want) {
				t.Errorf("by index %v, by cursor %v, want %v", byIndex, byCursor, want)
			}
		}
		if got := s.must(t, 200, http.MethodGet, "/Users?startIndex=100", ""); got["totalResults"] != 7.0 || len(got["Resources"].([]any)) != 0 {
			t.Errorf("behind the end is %v", got)
		}
	})
}

func TestTheRulesOfTheDirectoryAreTold(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		s.user(t, "taken@example.com", `,"externalId":"T"`)
		id, team := s.user(t, "a@example.com", ""), s.group(t, "Team A")
		s.group(t, "Team B")
		user := func(more string) string {
			return `{"schemas":["` + userURN + `"],"userName":"b@example.com"` + more + `}`
		}
		s.refused(t, 409, scim.Uniqueness, http.MethodPost, "/Users", `{"schemas":["`+userURN+`"],"userName":"TAKEN@example.com"}`)
		s.refused(t, 409, scim.Uniqueness, http.MethodPost, "/Users", user(`,"externalId":"T"`))
		s.refused(t, 409, scim.Uniqueness, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"userName","value":"taken@example.com"}`))
		s.refused(t, 409, scim.Uniqueness, http.MethodPost, "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"Team A"}`)
		s.refused(t, 409, scim.Uniqueness, http.MethodPatch, "/Groups/"+team, patch(`{"op":"replace","path":"displayName","value":"Team B"}`))
		for _, more := range []string{
			`,"emails":[{"value":"other@example.com","type":"work"}]`, `,"emails":[{"value":"other@example.com","primary":true}]`, `,"timezone":"Nowhere/Here"`,
			`,"photos":[{"value":"x","type":"photo"}]`, `,"` + enterpriseURN + `":{"manager":{"value":"User:999999"}}`, `,"` + enterpriseURN + `":{"manager":{"value":"boss"}}`,
			`,"displayName":"a\u0000b"`,
		} {
			s.refused(t, 400, scim.InvalidValue, http.MethodPost, "/Users", user(more))
		}
		s.refused(t, 400, scim.InvalidValue, http.MethodPost, "/Users", `{"schemas":["`+userURN+`"],"userName":"no address"}`)
		s.refused(t, 400, scim.InvalidValue, http.MethodPatch, "/Users/"+id, patch(`{"op":"add","path":"`+enterpriseURN+`:manager","value":"`+id+`"}`))
		s.refused(t, 400, scim.InvalidValue, http.MethodPatch, "/Groups/"+team, patch(`{"op":"add","path":"members","value":[{"value":"User:999999"}]}`))
		s.refused(t, 400, scim.InvalidValue, http.MethodPatch, "/Groups/"+team, patch(`{"op":"add","path":"members","value":[{"value":"`+team+`"}]}`))
		s.refused(t, 400, scim.Mutability, http.MethodPatch, "/Groups/"+team, patch(`{"op":"replace","path":"members[value eq \"`+id+`\"].value","value":"x"}`))
		for _, path := range []string{"/Users/User:999999", "/Users/Team:1", "/Users/x", "/Groups/Team:999999", "/Groups/" + id} {
			s.refused(t, 404, "", http.MethodGet, path, "")
			s.refused(t, 404, "", http.MethodDelete, path, "")
			s.refused(t, 404, "", http.MethodPatch, path, patch(`{"op":"replace","path":"displayName","value":"x"}`))
		}
		err := session.Run(t.Context(), s.pools, session.Write, "a team within another", func(ctx context.Context) error {
			_, err := s.directory.CreateTeam(ctx, entity.Input{"name": "within", "parentId": team})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.refused(t, 409, "", http.MethodDelete, "/Groups/"+team, "")
		s.wantDetail(t, "teams are within the team: delete or move them first", http.MethodDelete, "/Groups/"+team, "")
		s.must(t, 204, http.MethodDelete, "/Users/"+id, "")
		if got := s.must(t, 200, http.MethodGet, "/Users/"+id, ""); got["active"] != false {
			t.Errorf("a deleted user is %v", got)
		}
		s.refused(t, 409, scim.Uniqueness, http.MethodPost, "/Users", `{"schemas":["`+userURN+`"],"userName":"a@example.com"}`)
	})
}

func TestOfTwoWhoExpectTheSameVersionOneIsToldOfTheOther(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		id, other := s.user(t, "a@example.com", ""), s.user(t, "b@example.com", "")
		team := s.group(t, "T")
		for path, operations := range map[string][2]string{
			"/Users/" + id: {`{"op":"replace","path":"title","value":"one"}`, `{"op":"replace","path":"title","value":"two"}`},
			"/Groups/" + team: {
				`{"op":"add","path":"members","value":[{"value":"` + id + `"}]}`, `{"op":"add","path":"members","value":[{"value":"` + other + `"}]}`,
			},
		} {
			tag := s.send(t, http.MethodGet, path, "").header.Get("ETag")
			var statuses [2]int
			var both sync.WaitGroup
			for i, operation := range operations {
				both.Go(func() { statuses[i] = s.send(t, http.MethodPatch, path, patch(operation), "If-Match", tag).status })
			}
			both.Wait()
			slices.Sort(statuses[:])
			if statuses[0]/100 != 2 || statuses[1] != http.StatusPreconditionFailed {
				t.Errorf("two with %s are answered with %v", tag, statuses)
			}
			if now := s.send(t, http.MethodGet, path, "").header.Get("ETag"); now == tag {
				t.Errorf("%s has the version %s still", path, now)
			}
			s.refused(t, 412, "", http.MethodDelete, path, "", "If-Match", tag)
		}
		// Who expects no version is not in the way of others.
		statuses := make([]int, 8)
		var all sync.WaitGroup
		for i := range statuses {
			all.Go(func() {
				statuses[i] = s.send(t, http.MethodPatch, "/Users/"+id, patch(fmt.Sprintf(`{"op":"replace","path":"title","value":"%d"}`, i))).status
			})
		}
		all.Wait()
		if slices.ContainsFunc(statuses, func(status int) bool { return status != 200 }) {
			t.Errorf("without If-Match: %v", statuses)
		}
	})
}

func TestMembersOfGroupsComeAndGo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		a, b, c := s.user(t, "a@example.com", `,"displayName":"Anna"`), s.user(t, "b@example.com", `,"displayName":"Bodo"`), s.user(t, "c@example.com", `,"displayName":"Carl"`)
		team := s.group(t, "T", a)
		err := session.Run(t.Context(), s.pools, session.Write, "an owner", func(ctx context.Context) error {
			_, err := s.directory.AddTeamMembers(ctx, entity.Input{"teamId": team, "members": []entity.Input{{"userId": b, "role": model.RoleOwner}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		change := func(operations string) { s.must(t, 204, http.MethodPatch, "/Groups/"+team, patch(operations)) }
		s.wantStatements(t, "adding a member, and who is one", 8, func() {
			change(`{"op":"add","path":"members","value":[{"value":"` + b + `"},{"value":"` + c + `"}]}`)
		})
		s.wantMembers(t, team, a, b, c)
		s.wantStatements(t, "adding who is there", 3, func() { change(`{"op":"add","path":"members","value":[{"value":"` + b + `"}]}`) })
		change(`{"op":"remove","path":"members[value eq \"` + a + `\"]"}`)
		s.wantMembers(t, team, b, c)
		change(`{"op":"remove","path":"members[display sw \"c\" and type eq \"User\"]"}`)
		s.wantMembers(t, team, b)
		change(`{"op":"replace","path":"members","value":[{"value":"` + a + `"},{"value":"` + b + `"}]}`)
		s.wantMembers(t, team, a, b)
		change(`{"op":"remove","path":"members[value eq \"` + c + `\" or value eq \"` + a + `\" or value eq \"x\"]"}`)
		s.wantMembers(t, team, b)
		var owners int64
		if err := s.pools.Write.WithContext(t.Context()).Model(&model.Membership{}).Where("role = ?", model.RoleOwner).Count(&owners).Error; err != nil || owners != 1 {
			t.Errorf("the owners are %d: %v", owners, err)
		}
		change(`{"op":"add","path":"members","value":[{"value":"` + c + `"}]},{"op":"remove","path":"members","value":[{"value":"` + b + `"}]},{"op":"replace","value":{"displayName":"U"}}`)
		s.wantMembers(t, team, c)
		s.must(t, 200, http.MethodPut, "/Groups/"+team, `{"schemas":["`+groupURN+`"],"displayName":"V","members":[{"value":"`+a+`"}]}`)
		s.wantMembers(t, team, a)
		if got := s.found(t, "/Groups", `displayName eq "v" and members eq "`+a+`"`, "displayName"); !slices.Equal(got, []string{"V"}) {
			t.Errorf("found is %v", got)
		}
		for filter, want := range map[string]int{`members.value eq "` + b + `"`: 0, `members[value eq "` + a + `"]`: 1, `not (members eq "` + b + `")`: 1, `externalId eq "x"`: 0} {
			if got := s.found(t, "/Groups", filter, "displayName"); len(got) != want {
				t.Errorf("%s finds %v", filter, got)
			}
		}
		change(`{"op":"remove","path":"members","value":[]}`)
		for _, value := range []string{`[{"display":"Anna"}]`, `[{"$ref":"../Users/` + a + `"}]`, `[{"value":null}]`, `[{"value":""}]`, `{}`, `[{"value":"` + b + `"},{}]`} {
			for _, op := range []string{"add", "replace", "remove"} {
				s.refused(t, 400, scim.InvalidValue, http.MethodPatch, "/Groups/"+team, patch(`{"op":"`+op+`","path":"members","value":`+value+`}`))
			}
			s.refused(t, 400, scim.InvalidValue, http.MethodPatch, "/Groups/"+team, patch(`{"op":"add","value":{"members":`+value+`}}`))
			s.refused(t, 400, scim.InvalidValue, http.MethodPut, "/Groups/"+team, `{"schemas":["`+groupURN+`"],"displayName":"V","members":`+value+`}`)
			s.refused(t, 400, scim.InvalidValue, http.MethodPost, "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"W","members":`+value+`}`)
		}
		s.wantMembers(t, team, a)
		change(`{"op":"replace","path":"members","value":[]}`)
		s.wantMembers(t, team)
		change(`{"op":"add","path":"members","value":[{"value":"` + a + `"}]},{"op":"remove","path":"members"}`)
		s.wantMembers(t, team)
		s.wantStatements(t, "a list of groups", 3, func() { s.must(t, 200, http.MethodGet, "/Groups?excludedAttributes=members", "") })
		s.must(t, 204, http.MethodDelete, "/Groups/"+team, "")
		s.refused(t, 404, "", http.MethodGet, "/Groups/"+team, "")
	})
}

func TestOfALargeGroupIsToldWhatCanBeDone(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		const members = 10_001
		team := s.group(t, "Everybody")
		err := session.Run(t.Context(), s.pools, session.Write, "many members", func(ctx context.Context) error {
			users, seats := make([]*model.User, members), make([]*model.Membership, members)
			for i := range members {
				users[i] = &model.User{Name: "n", Email: fmt.Sprintf("u%d@example.com", i), Status: model.StatusActive, Version: 1}
				seats[i] = &model.Membership{TeamID: 1, UserID: int64(i + 1), Role: model.RoleMember, Version: 1}
			}
			return errors.Join(session.DB(ctx).CreateInBatches(users, 500).Error, session.DB(ctx).CreateInBatches(seats, 500).Error)
		})
		if err != nil {
			t.Fatal(err)
		}
		path, ids := "/Groups/"+team, make([]string, members)
		for i := range ids {
			ids[i] = fmt.Sprintf(`{"value":"User:%d"}`, i+1)
		}
		few, most, all := strings.Join(ids[:1], ","), strings.Join(ids[1:], ","), strings.Join(ids, ",")
		for _, test := range []struct{ method, path, body, want string }{
			{http.MethodGet, "/Groups?count=1", "", "there are more than 10000 members: ask with excludedAttributes=members"},
			{http.MethodGet, path, "", "there are more than 10000 members: ask with excludedAttributes=members"},
			{http.MethodPut, path, `{"schemas":["` + groupURN + `"],"displayName":"x","members":[]}`, "there are more than 10000 members: add and remove some of them by PATCH"},
			{http.MethodPatch, path, patch(`{"op":"remove","path":"members[display eq \"n\"]"}`), "there are more than 10000 members: choose them by value eq"},
			{http.MethodPatch, path, patch(`{"op":"remove","path":"members","value":[` + all + `]}`), "a request adds or removes at most 10000 members: send several PATCHes"},
			{http.MethodPost, "/Groups", `{"schemas":["` + groupURN + `"],"displayName":"x","members":[` + all + `]}`, "a request adds or removes at most 10000 members: send several PATCHes"},
			{http.MethodDelete, path, "", `the group has 10000 members or more: remove them in several PATCHes first, and find them by /Users?filter=groups.value eq "Team:1"`},
		} {
			s.refused(t, 400, scim.TooMany, test.method, test.path, test.body)
			s.wantDetail(t, test.want, test.method, test.path, test.body)
		}
		s.must(t, 200, http.MethodGet, "/Groups?count=1&excludedAttributes=members", "")
		if got := s.must(t, 200, http.MethodGet, "/Users?count=1&filter="+url.QueryEscape(`groups.value eq "`+team+`"`), ""); got["totalResults"] != float64(members) {
			t.Errorf("the members that are found are %v", got["totalResults"])
		}
		for _, some := range []string{few, most} {
			s.must(t, 204, http.MethodPatch, path, patch(`{"op":"remove","path":"members","value":[`+some+`]}`))
		}
		s.must(t, 204, http.MethodDelete, path, "")
	})
}

func TestWhoAsksForTooManyMembersIsToldWhatToDo(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		teams, users := make([]entity.Input, 100), make([]entity.Input, 101)
		for i := range teams {
			teams[i] = entity.Input{"name": fmt.Sprintf("T%d", i)}
		}
		for i := range users {
			users[i] = entity.Input{"name": "U", "email": fmt.Sprintf("u%d@example.com", i)}
		}
		bulk := func(fn func(ctx context.Context) error) {
			t.Helper()
			if err := session.Run(t.Context(), s.pools, session.Write, "a bulk", fn); err != nil {
				t.Fatal(err)
			}
		}
		bulk(func(ctx context.Context) error {
			_, err := s.directory.CreateTeams(ctx, entity.Input{"teams": teams})
			return err
		})
		bulk(func(ctx context.Context) error {
			_, err := s.directory.CreateUsers(ctx, entity.Input{"users": users})
			return err
		})
		// All but the last one are in all teams, which are as many members as an answer may have.
		insert := `INSERT INTO memberships (team_id, user_id, role, created_at) SELECT t.id, u.id, 'MEMBER', '2026-01-01' FROM teams t CROSS JOIN users u WHERE u.id <= 100`
		if err := s.pools.Write.WithContext(t.Context()).Exec(insert).Error; err != nil {
			t.Fatal(err)
		}
		s.must(t, 200, http.MethodGet, "/Groups", "")
		s.must(t, 200, http.MethodGet, "/Users", "")
		s.must(t, 204, http.MethodPatch, "/Groups/Team:1", patch(`{"op":"add","path":"members","value":[{"value":"User:101"}]}`))
		if a := s.send(t, http.MethodGet, "/Groups", ""); a.status != 400 || a.body["scimType"] != string(scim.TooMany) {
			t.Errorf("10,001 members are answered with %d %v", a.status, a.body["detail"])
		}
		s.must(t, 200, http.MethodGet, "/Groups?excludedAttributes=members", "")
		s.must(t, 200, http.MethodGet, "/Groups?count=99", "")
	})
}

func TestWhatTakesTooLongIsUnavailable(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		pools := s.pools
		pools.Deadline = time.Nanosecond
		s.Service = provisioning.New(provisioning.Config{Directory: s.directory, Pools: pools, MaxPage: 100})
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			s.refused(t, 503, "", method, "/Users", `{"schemas":["`+userURN+`"],"userName":"a@example.com"}`)
		}
	})
}

func TestTheLogHasWhatSCIMChangesWithItsActor(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		id := s.user(t, "a@example.com", "")
		s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`))
		s.wantStatements(t, "a change of nothing", 2, func() {
			s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`))
		})
		s.wantStatements(t, "a change of a title", 5, func() {
			s.must(t, 200, http.MethodPatch, "/Users/"+id+"?attributes=title", patch(`{"op":"replace","path":"title","value":"x"},{"op":"replace","path":"active","value":true}`))
		})
		inactive := s.user(t, "b@example.com", `,"active":false`)
		if err := s.log.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := s.log.Read(t.Context(), changelog.Query{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range page.Changes {
			actor := ""
			if c.Actor != nil {
				actor = *c.Actor
			}
			got = append(got, actor+" "+string(c.Kind)+" "+c.GlobalID())
		}
		if want := []string{"scim CREATED " + id, "scim UPDATED " + id, "scim UPDATED " + id, "scim CREATED " + inactive}; !slices.Equal(got, want) {
			t.Errorf("the log has %q, want %q", got, want)
		}
	})
}

func TestSchemasTellWhatIsAcceptedAndReturned(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		boss := s.user(t, "boss@example.com", "")
		values := map[string]string{
			"userName": "a@example.com", "name.formatted": "A B", "name.givenName": "A", "name.familyName": "B", "displayName": "A B", "emails.value": "a@example.com",
			"timezone": "Europe/Zurich", "photos.value": "https://example.com/a.png", "phoneNumbers.value": "+41 1", "manager.value": boss, "members.value": boss,
		}
		for _, typ := range []struct {
			path    string
			schemas []string
		}{{"/Users", []string{userURN, enterpriseURN}}, {"/Groups", []string{groupURN}}} {
			sent, writable, all := scim.Resource{"schemas": []any{typ.schemas[0]}}, map[string]bool{}, map[string]bool{}
			for _, urn := range typ.schemas {
				part, prefix := sent, ""
				if urn == enterpriseURN {
					part, prefix = scim.Resource{}, urn+":"
					sent[urn] = part
				}
				for _, one := range s.must(t, 200, http.MethodGet, "/Schemas/"+urn, "")["attributes"].([]any) {
					describe(one.(scim.Resource), prefix, "", values, part, writable, all)
				}
			}
			text, _ := json.Marshal(sent)
			created := s.must(t, 201, http.MethodPost, typ.path, string(text))
			if typ.path == "/Users" {
				s.group(t, "G", created["id"].(string))
				s.must(t, 200, http.MethodPut, "/Users/"+created["id"].(string), string(text))
			}
			got := map[string]bool{}
			paths(s.must(t, 200, http.MethodGet, typ.path+"/"+created["id"].(string), ""), "", got)
			maps.DeleteFunc(got, func(path string, _ bool) bool {
				return path == "id" || path == "schemas" || strings.HasPrefix(path, "meta.")
			})
			if !maps.Equal(got, all) {
				t.Errorf("%s has %v, and the schemas tell %v", typ.path, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(all)))
			}
			if len(writable) == len(all) {
				t.Errorf("the schemas of %s tell of nothing that is read-only", typ.path)
			}
		}
	})
}

// describe fills a resource with values for what a schema tells of an attribute.
func describe(a scim.Resource, prefix, above string, values map[string]string, to scim.Resource, writable, all map[string]bool) {
	name := a["name"].(string)
	path := above + name
	if subs, ok := a["subAttributes"].([]any); ok {
		inner := scim.Resource{}
		for _, sub := range subs {
			describe(sub.(scim.Resource), prefix, path+".", values, inner, writable, all)
		}
		if a["mutability"] != "readOnly" {
			if to[name] = any(inner); a["multiValued"] == true {
				to[name] = []any{inner}
			}
		}
		return
	}
	all[prefix+path] = true
	if a["mutability"] == "readOnly" {
		return
	}
	writable[prefix+path] = true
	switch canonical, _ := a["canonicalValues"].([]any); {
	case a["type"] == "boolean":
		to[name] = true
	case len(canonical) > 0:
		to[name] = canonical[0]
	case values[path] != "":
		to[name] = values[path]
	default:
		to[name] = "x"
	}
}

// paths lists the paths of the simple attributes of a resource.
func paths(value any, path string, to map[string]bool) {
	switch value := value.(type) {
	case scim.Resource:
		for name, v := range value {
			switch {
			case path == "":
				paths(v, name, to)
			case path == enterpriseURN:
				paths(v, path+":"+name, to)
			default:
				paths(v, path+"."+name, to)
			}
		}
	case []any:
		for _, v := range value {
			paths(v, path, to)
		}
	default:
		to[path] = true
	}
}
