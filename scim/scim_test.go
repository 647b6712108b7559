package scim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/scim"
)

const (
	core      = "urn:example:2.0:Person"
	extension = "urn:example:2.0:Job"
)

// persons returns a type of resources that has every kind of attribute.
func persons(store scim.Store) *scim.ResourceType {
	return &scim.ResourceType{
		Name: "Person", Endpoint: "/Persons", Store: store,
		Schema: &scim.Schema{URN: core, Name: "Person", Attributes: []*scim.Attribute{
			{Name: "userName", Required: true, Unique: true},
			{Name: "name", Type: scim.Complex, Sub: []*scim.Attribute{{Name: "givenName"}, {Name: "familyName"}, {Name: "middleName", Ignored: true}}},
			{Name: "title"},
			{Name: "code", CaseExact: true},
			{Name: "active", Type: scim.Boolean},
			{Name: "nickName", Ignored: true},
			{Name: "emails", Type: scim.Complex, Multi: true, Sub: []*scim.Attribute{
				{Name: "value"}, {Name: "type", Values: []string{"work", "home"}}, {Name: "primary", Type: scim.Boolean}, {Name: "display", ReadOnly: true},
			}},
			{Name: "groups", Type: scim.Complex, Multi: true, ReadOnly: true, Sub: []*scim.Attribute{{Name: "value", ReadOnly: true}}},
		}},
		Extensions: []*scim.Schema{{URN: extension, Name: "Job", Attributes: []*scim.Attribute{
			{Name: "department"}, {Name: "manager", Type: scim.Complex, Sub: []*scim.Attribute{{Name: "value"}, {Name: "displayName", ReadOnly: true}}},
		}}},
	}
}

// show writes a filter with all its parentheses.
func show(f scim.Filter) string {
	join := func(all []scim.Filter, word string) string {
		texts := make([]string, len(all))
		for i, one := range all {
			texts[i] = show(one)
		}
		return "(" + strings.Join(texts, word) + ")"
	}
	switch f := f.(type) {
	case scim.And:
		return join(f, " and ")
	case scim.Or:
		return join(f, " or ")
	case scim.Not:
		return "not " + show(f.Filter)
	case scim.Within:
		return f.Path.String() + "[" + show(f.Filter) + "]"
	case scim.Compare:
		if at, ok := f.Value.(time.Time); ok {
			return fmt.Sprintf("%s %s %s", f.Path, f.Operator, at.Format(time.RFC3339))
		}
		return strings.TrimSuffix(fmt.Sprintf("%s %s %#v", f.Path, f.Operator, f.Value), " <nil>")
	}
	return "?"
}

func TestFiltersAreReadByTheGrammarOfTheRFC(t *testing.T) {
	for filter, want := range map[string]string{
		`userName eq "bjensen"`:                                        `userName eq "bjensen"`,
		`USERNAME Eq "x"`:                                              `userName eq "x"`,
		`userName eq "a\"b\\c\u00e9 \/ )"`:                             `userName eq "a\"b\\cé / )"`,
		core + `:userName sw "J"`:                                      `userName sw "J"`,
		`title pr`:                                                     `title pr`,
		`title pr and active eq true or code co "x"`:                   `((title pr and active eq true) or code co "x")`,
		`title pr and (active eq true or code co "x")`:                 `(title pr and (active eq true or code co "x"))`,
		`not (title pr) and not(active eq "True")`:                     `(not title pr and not active eq true)`,
		`active eq True`:                                               `active eq true`,
		`title eq null`:                                                `title eq`,
		`name.familyName co "O'Malley"`:                                `name.familyName co "O'Malley"`,
		`emails co "example.com"`:                                      `emails.value co "example.com"`,
		`emails[type eq "work" and value ew "@x"]`:                     `emails[(emails.type eq "work" and emails.value ew "@x")]`,
		`emails[type eq "work"].value eq "x"`:                          `emails[(emails.type eq "work" and emails.value eq "x")]`,
		`emails[not (type eq "work")] and title pr`:                    `(emails[not emails.type eq "work"] and title pr)`,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`:                  `meta.lastModified gt 2011-05-13T04:42:34Z`,
		extension + `:manager eq "5"`:                                  extension + `:manager.value eq "5"`,
		strings.ToUpper(extension) + `:department ne "x"`:              extension + `:department ne "x"`,
		strings.Repeat("(", 20) + "title pr" + strings.Repeat(")", 20): `title pr`,
	} {
		f, err := persons(nil).ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		} else if got := show(f); got != want {
			t.Errorf("%s is read as %s, want %s", filter, got, want)
		}
	}
}

func TestWhatIsNoFilterIsRefusedAsInvalidFilter(t *testing.T) {
	for _, filter := range []string{
		"", " ", "userName", "userName eq", `userName eq bjensen`, `userName is "x"`, `unknown eq "x"`, `userName.x eq "x"`, `userName eq "x`, `userName eq "x" and`,
		`userName eq "x" title pr`, `(title pr`, `title pr)`, `not title pr`, `emails[type eq "work"`, `emails[unknown eq "x"]`, `title[x pr]`, `name eq "x"`,
		`active gt true`, `active eq "maybe"`, `userName eq 5`, `userName gt null`, `meta.created eq "yesterday"`, `meta.created co "2011"`,
		`emails[type eq "work"].unknown eq "x"`, `emails[emails[type pr]]`, `urn:other:User:userName eq "x"`,
		strings.Repeat("(", 21) + "title pr" + strings.Repeat(")", 21), `title eq "` + strings.Repeat("x", 1<<14) + `"`,
	} {
		_, err := persons(nil).ParseFilter(filter)
		if e, ok := errors.AsType[*scim.Error](err); !ok || e.Type != scim.InvalidFilter || e.Status != http.StatusBadRequest {
			t.Errorf("%q gets %v", filter, err)
		}
	}
}

// memory is a Store of some persons.
type memory struct {
	typ     *scim.ResourceType
	persons map[string]scim.Resource
	queries []scim.Query
	page    scim.Page
	fail    error
}

func (m *memory) Get(_ context.Context, id string, _ scim.Selection) (scim.Resource, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	p := m.persons[id]
	if p == nil {
		return nil, scim.NotFound(id)
	}
	return clone(p), nil
}

func (m *memory) List(_ context.Context, q scim.Query) (scim.Page, error) {
	m.queries = append(m.queries, q)
	return m.page, m.fail
}

func (m *memory) Create(_ context.Context, r scim.Resource, _ scim.Selection) (scim.Resource, error) {
	return m.put(strconv.Itoa(len(m.persons)+1), r, 1), nil
}

func (m *memory) put(id string, r scim.Resource, version int) scim.Resource {
	r["id"], r["meta"] = id, scim.Resource{"version": fmt.Sprintf(`W/"%d"`, version)}
	m.persons[id] = r
	return clone(r)
}

func (m *memory) change(id string, match scim.Match, to func(scim.Resource) (scim.Resource, error)) (scim.Resource, error) {
	p := m.persons[id]
	if p == nil {
		return nil, scim.NotFound(id)
	}
	tag := p["meta"].(scim.Resource)["version"].(string)
	if !match.Has(tag) {
		return nil, scim.Stale(id)
	}
	r, err := to(clone(p))
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.Trim(tag, `W/"`))
	return m.put(id, r, n+1), nil
}

func (m *memory) Replace(_ context.Context, id string, match scim.Match, r scim.Resource, _ scim.Selection) (scim.Resource, error) {
	return m.change(id, match, func(scim.Resource) (scim.Resource, error) { return r, nil })
}

func (m *memory) Patch(_ context.Context, id string, match scim.Match, all []scim.Operation, _ scim.Selection) (scim.Resource, error) {
	return m.change(id, match, func(r scim.Resource) (scim.Resource, error) { return r, m.typ.Apply(r, all) })
}

func (m *memory) Delete(_ context.Context, id string, match scim.Match) error {
	_, err := m.change(id, match, func(r scim.Resource) (scim.Resource, error) { return r, nil })
	delete(m.persons, id)
	return err
}

// clone is a resource that shares nothing with another one.
func clone(r scim.Resource) (other scim.Resource) {
	text, _ := json.Marshal(r)
	_ = json.Unmarshal(text, &other)
	return other
}

func serve() (*memory, *scim.Service) {
	m := &memory{persons: map[string]scim.Resource{}}
	m.typ = persons(m)
	return m, &scim.Service{Base: "/scim/v2", Types: []*scim.ResourceType{m.typ}, MaxPage: 100, MaxBody: 4096, Security: []any{}}
}

// send sends a request, whose headers are in pairs, and returns the answer and the object in it.
func send(t *testing.T, s *scim.Service, method, path, body string, headers ...string) (*http.Response, scim.Resource) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/scim/v2"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", scim.MediaType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	response := w.Result()
	_ = response.Body.Close()
	var got scim.Resource
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || response.Header.Get("Content-Type") != scim.MediaType {
			t.Fatalf("%s %s is answered with %s %q: %v", method, path, response.Header, w.Body, err)
		}
	}
	return response, got
}

// wantError fails unless an answer is an error as section 3.12 has it.
func wantError(t *testing.T, what string, r *http.Response, got scim.Resource, status int, typ scim.ErrorType) {
	t.Helper()
	var want any = string(typ)
	if typ == "" {
		want = nil
	}
	if r.StatusCode != status || got["status"] != strconv.Itoa(status) || got["scimType"] != want || got["detail"] == "" || !reflect.DeepEqual(got["schemas"], []any{scim.ErrorSchema}) {
		t.Errorf("%s is answered with %d %v, want %d %s", what, r.StatusCode, got, status, typ)
	}
}

func TestPatchChangesWhatItsPathsChoose(t *testing.T) {
	const work, home = `{"type":"work","value":"w@x","primary":true}`, `{"type":"home","value":"h@x"}`
	const before = `{"userName":"u","title":"T","name":{"givenName":"A","familyName":"B"},"emails":[` + work + `,` + home + `]}`
	for _, test := range []struct{ name, operations, want string }{
		{"replace of an attribute", `{"op":"replace","path":"title","value":"X"}`, `{"title":"X"}`},
		{"Replace of Entra, with a URN", `{"op":"Replace","path":"` + core + `:TITLE","value":"X"}`, `{"title":"X"}`},
		{"remove of an attribute", `{"op":"remove","path":"title"}`, `{"title":null}`},
		{"null removes", `{"op":"replace","path":"title","value":null}`, `{"title":null}`},
		{"add of an attribute that is there", `{"op":"Add","path":"title","value":"X"}`, `{"title":"X"}`},
		{"a sub-attribute", `{"op":"replace","path":"name.familyName","value":"C"}`, `{"name":{"givenName":"A","familyName":"C"}}`},
		{"a complex attribute keeps the others", `{"op":"replace","path":"name","value":{"familyName":"C"}}`, `{"name":{"givenName":"A","familyName":"C"}}`},
		{"remove of a sub-attribute", `{"op":"remove","path":"name.familyName"}`, `{"name":{"givenName":"A"}}`},
		{
			"no path", `{"op":"replace","value":{"title":"X","id":"7","name.givenName":"D","` + extension + `":{"department":"E"}}}`,
			`{"title":"X","name":{"givenName":"D","familyName":"B"},"` + extension + `":{"department":"E"}}`,
		},
		{
			"no path, with a URN in each name", `{"op":"Add","value":{"` + extension + `:department":"E","emails[type eq \"home\"].value":"n@x"}}`,
			`{"` + extension + `":{"department":"E"},"emails":[` + work + `,{"type":"home","value":"n@x"}]}`,
		},
		{"the path of an extension", `{"op":"add","path":"` + extension + `","value":{"department":"E"}}`, `{"` + extension + `":{"department":"E"}}`},
		{"a manager as a text", `{"op":"Add","path":"` + extension + `:manager","value":"5"}`, `{"` + extension + `":{"manager":{"value":"5"}}}`},
		{"a boolean as a text", `{"op":"Replace","path":"active","value":"False"}`, `{"active":false}`},
		{
			"an element by its type", `{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@x"}`,
			`{"emails":[{"type":"work","value":"n@x","primary":true},` + home + `]}`,
		},
		{"an element as a whole", `{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"n@x"}}`, `{"emails":[` + work + `,{"type":"home","value":"n@x"}]}`},
		{"removal of an element", `{"op":"remove","path":"emails[value eq \"H@X\"]"}`, `{"emails":[` + work + `]}`},
		{"removal of all elements", `{"op":"remove","path":"emails"}`, `{"emails":null}`},
		{"removal of named elements", `{"op":"Remove","path":"emails","value":[{"value":"h@x"}]}`, `{"emails":[` + work + `]}`},
		{"removal of no elements", `{"op":"remove","path":"emails","value":[]}`, `{}`},
		{"removal of what is no element", `{"op":"remove","path":"emails","value":[{"display":"w@x"},{"value":null},{}]}`, `{}`},
		{"removal of an empty object", `{"op":"remove","path":"emails","value":{}}`, `{}`},
		{"addition of no elements", `{"op":"add","path":"emails","value":[]}`, `{}`},
		{"replacement by no elements", `{"op":"replace","path":"emails","value":[]}`, `{"emails":null}`},
		{"a complex attribute of which nothing is given", `{"op":"add","path":"name","value":{}},{"op":"replace","path":"name","value":{"middleName":"N"}}`, `{}`},
		{"a complex attribute of which one is taken away", `{"op":"replace","path":"name","value":{"givenName":null}}`, `{"name":{"familyName":"B"}}`},
		{"a complex attribute of which all is taken away", `{"op":"replace","path":"name","value":{"givenName":null,"familyName":null}}`, `{"name":null}`},
		{"removal of other elements", `{"op":"remove","path":"emails[not (type eq \"work\") or value gt \"x\"]"}`, `{"emails":[` + work + `]}`},
		{"null in a sub-attribute", `{"op":"replace","path":"name.familyName","value":null},{"op":"add","path":"name.familyName","value":null}`, `{"name":{"givenName":"A"}}`},
		{"what an extension is given nothing of", `{"op":"add","path":"` + extension + `:manager","value":{}},{"op":"add","path":"` + extension + `:department","value":null}`, `{}`},
		{"removal of what an extension does not have", `{"op":"remove","path":"` + extension + `:department"}`, `{}`},
		{"replacement of all elements", `{"op":"replace","path":"emails","value":[` + home + `]}`, `{"emails":[` + home + `]}`},
		{"addition of an element that is there", `{"op":"add","path":"emails","value":[` + home + `]}`, `{}`},
		{"addition of an element of a type that is there", `{"op":"add","path":"emails","value":[{"type":"home","value":"n@x"}]}`, `{"emails":[` + work + `,{"type":"home","value":"n@x"}]}`},
		{"addition of an element of a type in another case", `{"op":"add","path":"emails","value":[{"type":"HOME","value":"n@x"}]}`, `{"emails":[` + work + `,{"type":"HOME","value":"n@x"}]}`},
		{"addition of an element without a type", `{"op":"add","path":"emails","value":[{"value":"n@x"}]}`, `{"emails":[{"type":"work","value":"n@x","primary":true},` + home + `]}`},
		{"addition of an element without a value", `{"op":"add","path":"emails","value":[{"type":"work"}]}`, `{}`},
		{
			"of the elements for one type that are added one stays", `{"op":"add","path":"emails","value":[{"type":"Work","value":"n@x"},{"value":"o@x","primary":true},{"value":"p@x"}]}`,
			`{"emails":[{"type":"Work","value":"n@x","primary":true},` + home + `]}`,
		},
		{"removal of an element of a type in another case", `{"op":"remove","path":"emails","value":[{"type":"HOME","value":"h@x"}]}`, `{"emails":[` + work + `]}`},
		{
			"add makes the element that it chooses", `{"op":"remove","path":"emails[type eq \"home\"]"},{"op":"Add","path":"emails[type eq \"home\"].value","value":"n@x"}`,
			`{"emails":[` + work + `,{"type":"home","value":"n@x"}]}`,
		},
		{"what is not kept is passed over", `{"op":"add","path":"nickName","value":"N"},{"op":"add","path":"name.middleName","value":"N"},{"op":"replace","path":"emails[type eq \"other\"].value","value":"o@x"}`, `{}`},
		{"operations follow each other", `{"op":"add","path":"title","value":"X"},{"op":"remove","path":"title"},{"op":"add","path":"code","value":"c"}`, `{"title":null,"code":"c"}`},
	} {
		m, s := serve()
		var person, want scim.Resource
		_ = json.Unmarshal([]byte(before), &person)
		m.put("1", person, 1)
		_ = json.Unmarshal([]byte(before), &want)
		var changed scim.Resource
		if err := json.Unmarshal([]byte(test.want), &changed); err != nil {
			t.Fatal(err)
		}
		for name, value := range changed {
			if want[name] = value; value == nil {
				delete(want, name)
			}
		}
		r, got := send(t, s, http.MethodPatch, "/Persons/1", `{"schemas":["`+scim.PatchSchema+`"],"Operations":[`+test.operations+`]}`)
		if schemas, _ := got["schemas"].([]any); (len(schemas) > 1) != (got[extension] != nil) {
			t.Errorf("%s: the schemas are %v", test.name, schemas)
		}
		for _, common := range []string{"id", "meta", "schemas"} {
			delete(got, common)
		}
		if r.StatusCode != http.StatusOK || r.Header.Get("ETag") != `W/"2"` || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %d %v, want %v", test.name, r.StatusCode, got, want)
		}
	}
}

func TestPatchIsRefusedWithTheTypeOfTheError(t *testing.T) {
	for operations, want := range map[string]scim.ErrorType{
		``:                                scim.InvalidSyntax,
		`5`:                               scim.InvalidSyntax,
		`{"op":"move","path":"title"}`:    scim.InvalidSyntax,
		`{"op":"replace","path":"title"}`: scim.InvalidValue,
		`{"op":"replace","path":"title","value":5}`:                              scim.InvalidValue,
		`{"op":"replace","path":"active","value":"maybe"}`:                       scim.InvalidValue,
		`{"op":"replace","value":"x"}`:                                           scim.InvalidValue,
		`{"op":"replace","value":{"unknown":"x"}}`:                               scim.InvalidPath,
		`{"op":"replace","path":"unknown","value":"x"}`:                          scim.InvalidPath,
		`{"op":"replace","path":5,"value":"x"}`:                                  scim.InvalidPath,
		`{"op":"replace","path":"title[value eq \"x\"]","value":"x"}`:            scim.InvalidPath,
		`{"op":"replace","path":"emails[type eq \"work\"].unknown","value":"x"}`: scim.InvalidPath,
		`{"op":"replace","path":"emails[type eq \"work\"] x","value":"x"}`:       scim.InvalidPath,
		`{"op":"replace","path":"emails[type is \"work\"].value","value":"x"}`:   scim.InvalidFilter,
		`{"op":"remove"}`: scim.NoTarget,
		`{"op":"replace","path":"emails[value eq \"no\"].value","value":"x"}`:   scim.NoTarget,
		`{"op":"add","path":"emails[value sw \"no\"].type","value":"work"}`:     scim.NoTarget,
		`{"op":"remove","path":"userName"}`:                                     scim.Mutability,
		`{"op":"replace","path":"id","value":"5"}`:                              scim.Mutability,
		`{"op":"add","path":"groups","value":[{"value":"5"}]}`:                  scim.Mutability,
		`{"op":"replace","path":"meta.created","value":"2011-05-13T04:42:34Z"}`: scim.Mutability,
	} {
		m, s := serve()
		m.put("1", scim.Resource{"userName": "u"}, 1)
		r, got := send(t, s, http.MethodPatch, "/Persons/1", `{"schemas":["`+scim.PatchSchema+`"],"Operations":[`+operations+`]}`)
		wantError(t, operations, r, got, http.StatusBadRequest, want)
		if tag := m.persons["1"]["meta"].(scim.Resource)["version"]; tag != `W/"1"` {
			t.Errorf("%s has made version %s", operations, tag)
		}
	}
}

func TestResourcesAreWrittenAndReadOverHTTP(t *testing.T) {
	m, s := serve()
	r, got := send(t, s, http.MethodPost, "/Persons", `{"SCHEMAS":["`+core+`"],"username":"u","Active":"True","nickName":"n","id":"99","groups":[{"value":"5"}],"unknown":1,
		"emails":{"value":"a@x","display":"D","unknown":1},"`+extension+`":{"department":"D","unknown":2}}`)
	want := scim.Resource{
		"schemas": []any{core, extension}, "id": "1", "userName": "u", "active": true, "emails": []any{scim.Resource{"value": "a@x"}},
		extension: scim.Resource{"department": "D"},
		"meta":    scim.Resource{"resourceType": "Person", "location": "http://localhost/scim/v2/Persons/1", "version": `W/"1"`},
	}
	if r.StatusCode != http.StatusCreated || r.Header.Get("Location") != "http://localhost/scim/v2/Persons/1" || !reflect.DeepEqual(got, want) {
		t.Fatalf("created is %d %s %v", r.StatusCode, r.Header, got)
	}
	if r, got = send(t, s, http.MethodGet, "/Persons/1", ""); r.StatusCode != http.StatusOK || r.Header.Get("ETag") != `W/"1"` || !reflect.DeepEqual(got, want) {
		t.Errorf("read is %d %v", r.StatusCode, got)
	}
	r, got = send(t, s, http.MethodPut, "/Persons/1", `{"schemas":["`+core+`"],"userName":"v"}`, "If-Match", `W/"9"`)
	wantError(t, "PUT of another version", r, got, http.StatusPreconditionFailed, "")
	if r, got = send(t, s, http.MethodPut, "/Persons/1", `{"schemas":["`+core+`"],"userName":"v"}`, "If-Match", `W/"9", W/"1"`); r.StatusCode != http.StatusOK || got["userName"] != "v" || got["active"] != nil {
		t.Errorf("replaced is %d %v", r.StatusCode, got)
	}
	if r, got = send(t, s, http.MethodDelete, "/Persons/1", ""); r.StatusCode != http.StatusNoContent || got != nil || len(m.persons) > 0 {
		t.Errorf("deleted is %d %v", r.StatusCode, got)
	}
	r, got = send(t, s, http.MethodGet, "/Persons/1", "")
	wantError(t, "GET of what is deleted", r, got, http.StatusNotFound, "")
}

func TestAnswersHaveTheAttributesThatAreAskedFor(t *testing.T) {
	m, s := serve()
	m.put("1", scim.Resource{
		"userName": "u", "name": scim.Resource{"givenName": "A", "familyName": "B"}, "emails": []any{scim.Resource{"type": "work", "value": "w"}},
		extension: scim.Resource{"department": "D", "manager": scim.Resource{"value": "5"}},
	}, 1)
	for query, want := range map[string][]string{
		"attributes=userName":                                         {"userName"},
		"attributes=USERNAME,name.familyname":                         {"userName", "name.familyName"},
		"attributes=emails.value":                                     {"emails.value"},
		"attributes=unknown":                                          {},
		"attributes=" + extension:                                     {extension + ":department", extension + ":manager.value"},
		"attributes=" + extension + ":department":                     {extension + ":department"},
		"attributes=meta.version":                                     {"meta.version"},
		"excludedAttributes=id,meta,name,emails,manager," + extension: {"userName"},
		"excludedAttributes=meta,name.givenName,emails.type," + extension + ":department": {"userName", "name.familyName", "emails.value", extension + ":manager.value"},
	} {
		_, got := send(t, s, http.MethodGet, "/Persons/1?"+query, "")
		if got["id"] != "1" || got["schemas"] == nil {
			t.Errorf("%s: what is always returned is missing in %v", query, got)
		}
		delete(got, "id")
		delete(got, "schemas")
		paths := map[string]bool{}
		list(got, "", paths)
		wanted := map[string]bool{}
		for _, path := range want {
			wanted[path] = true
		}
		if !reflect.DeepEqual(paths, wanted) {
			t.Errorf("%s has %v, want %v", query, paths, wanted)
		}
	}
	r, got := send(t, s, http.MethodGet, "/Persons/1?attributes=id&excludedAttributes=name", "")
	wantError(t, "both", r, got, http.StatusBadRequest, scim.InvalidValue)
}

// list lists the paths of the simple attributes.
func list(value any, path string, to map[string]bool) {
	switch value := value.(type) {
	case scim.Resource:
		for name, v := range value {
			switch {
			case path == "":
				list(v, name, to)
			case path == extension:
				list(v, path+":"+name, to)
			default:
				list(v, path+"."+name, to)
			}
		}
	case []any:
		for _, v := range value {
			list(v, path, to)
		}
	default:
		to[path] = true
	}
}

func TestListsArePagedByIndexAndByCursor(t *testing.T) {
	m, s := serve()
	for i := range 3 {
		m.page.Resources = append(m.page.Resources, scim.Resource{"id": strconv.Itoa(i), "userName": "u", "meta": scim.Resource{}})
	}
	m.page.Total, m.page.Last = 7, "key"
	_, got := send(t, s, http.MethodGet, "/Persons?startIndex=3&count=2&filter=title+pr&sortBy=userName", "")
	if q := m.queries[0]; q.Skip != 2 || q.Limit != 2 || show(q.Filter) != "title pr" || q.After != "" {
		t.Errorf("the store was asked for %+v", q)
	}
	if got["totalResults"] != 7.0 || got["startIndex"] != 3.0 || got["itemsPerPage"] != 3.0 || got["nextCursor"] != nil || len(got["Resources"].([]any)) != 3 {
		t.Errorf("a page by index is %v", got)
	}
	for query, want := range map[string][2]int{"": {0, 100}, "startIndex=-5&count=-1": {0, 0}, "startIndex=0&count=1000000": {0, 100}} {
		m.queries = nil
		if _, _ = send(t, s, http.MethodGet, "/Persons?"+query, ""); m.queries[0].Skip != want[0] || m.queries[0].Limit != want[1] {
			t.Errorf("%q has asked for %+v", query, m.queries[0])
		}
	}
	_, got = send(t, s, http.MethodGet, "/Persons?cursor&filter=title+pr", "")
	next, _ := got["nextCursor"].(string)
	if next == "" || got["startIndex"] != nil {
		t.Fatalf("a page by cursor is %v", got)
	}
	m.queries = nil
	m.page.Last = ""
	_, got = send(t, s, http.MethodPost, "/Persons/.search", `{"schemas":["`+scim.SearchSchema+`"],"filter":"title pr","cursor":"`+next+`","count":5,"attributes":["userName"]}`)
	if q := m.queries[0]; q.After != "key" || q.Limit != 5 || q.Has("name") || !q.Has("userName") || got["nextCursor"] != nil {
		t.Errorf("the next page has asked for %+v and is %v", q, got)
	}
	for query, typ := range map[string]scim.ErrorType{
		"cursor=" + next: scim.InvalidCursor, "cursor=x": scim.InvalidCursor, "cursor=" + next + "&startIndex=1&filter=title+pr": scim.InvalidValue,
		"count=x": scim.InvalidValue, "startIndex=1.5": scim.InvalidValue, "filter=x": scim.InvalidFilter,
	} {
		r, got := send(t, s, http.MethodGet, "/Persons?"+query, "")
		wantError(t, query, r, got, http.StatusBadRequest, typ)
	}
}

func TestAnAttributeThatIsNamedInTwoWaysHasTheSameValueEveryTime(t *testing.T) {
	for range 20 {
		_, s := serve()
		_, got := send(t, s, http.MethodPost, "/Persons", `{"schemas":["`+core+`"],"userName":"u","name.givenName":"B","name":{"givenName":"A","familyName":"C"},
			"title":"one","`+core+`:title":"two"}`)
		if want := (scim.Resource{"givenName": "B", "familyName": "C"}); !reflect.DeepEqual(got["name"], want) || got["title"] != "two" {
			t.Fatalf("created is %v", got)
		}
	}
}

func TestWhatIsWrongWithARequestIsTold(t *testing.T) {
	m, s := serve()
	person := `{"schemas":["` + core + `"],"userName":"u"}`
	for _, test := range []struct {
		method, path, body string
		status             int
		typ                scim.ErrorType
	}{
		{http.MethodPost, "/Persons", `{"schemas":["` + core + `"]}`, 400, scim.InvalidValue},
		{http.MethodPost, "/Persons", `{"userName":"u"}`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `[]`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `{`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `null`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `{"x":"` + strings.Repeat("x", 5000) + `"}`, 413, ""},
		{http.MethodPost, "/Persons", `{"schemas":["` + core + `"],"userName":"u","emails":["x",5]}`, 400, scim.InvalidValue},
		{http.MethodPost, "/Persons/.search", `{}`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `{"schemas":["` + core + `"],"userName":"u","USERNAME":"v"}`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons", `{"schemas":["` + core + `"],"userName":"u","nic\u212aName":"","nickName":""}`, 400, scim.InvalidSyntax},
		{http.MethodPut, "/Persons/1", `{"schemas":["` + core + `"],"userName":"u","emails":[{"value":"a"},{"value":"a","Value":"b"}]}`, 400, scim.InvalidSyntax},
		{http.MethodPut, "/Persons/1", `{"schemas":["` + core + `"],"userName":"u","` + extension + `":{},"` + strings.ToUpper(extension) + `":{}}`, 400, scim.InvalidSyntax},
		{http.MethodPatch, "/Persons/1", `{"schemas":["` + scim.PatchSchema + `"],"Operations":[{"op":"add","path":"title","value":"x","Value":"y"}]}`, 400, scim.InvalidSyntax},
		{http.MethodPatch, "/Persons/1", `{"schemas":["` + scim.PatchSchema + `"],"Operations":[{"op":"add","value":{"name":{"givenName":"x","givenname":"y"}}}]}`, 400, scim.InvalidSyntax},
		{http.MethodPost, "/Persons/.search", `{"schemas":["` + scim.SearchSchema + `"],"count":1,"COUNT":2}`, 400, scim.InvalidSyntax},
		{http.MethodGet, "/Persons/.search", "", 405, ""},
		{http.MethodDelete, "/Persons", "", 405, ""},
		{http.MethodPost, "/Persons/1", person, 405, ""},
		{http.MethodPut, "/Persons/1", person, 404, ""},
		{http.MethodDelete, "/Persons/1", "", 404, ""},
		{http.MethodGet, "/Persons/1/x", "", 404, ""},
		{http.MethodGet, "/Nothing", "", 404, ""},
		{http.MethodGet, "/Me", "", 501, ""},
		{http.MethodPost, "/Bulk", "{}", 501, ""},
		{http.MethodPost, "/.search", "{}", 501, ""},
		{http.MethodGet, "/Schemas?filter=x", "", 403, ""},
		{http.MethodGet, "/Schemas/urn:x", "", 404, ""},
		{http.MethodPost, "/ServiceProviderConfig", "{}", 405, ""},
	} {
		r, got := send(t, s, test.method, test.path, test.body)
		wantError(t, test.method+" "+test.path+" "+test.body[:min(60, len(test.body))], r, got, test.status, test.typ)
		if (r.StatusCode == http.StatusMethodNotAllowed) != (r.Header.Get("Allow") != "") {
			t.Errorf("%s %s allows %q", test.method, test.path, r.Header.Get("Allow"))
		}
	}
	for _, media := range []string{"text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"} {
		r, got := send(t, s, http.MethodPost, "/Persons", person, "Content-Type", media)
		wantError(t, media, r, got, http.StatusUnsupportedMediaType, "")
	}
	if r, _ := send(t, s, http.MethodPost, "/Persons", person, "Content-Type", "application/json; charset=UTF-8"); r.StatusCode != http.StatusCreated {
		t.Errorf("application/json gets %d", r.StatusCode)
	}
	m.fail = errors.New("a secret")
	r, got := send(t, s, http.MethodGet, "/Persons/1", "")
	wantError(t, "an error of the store", r, got, http.StatusInternalServerError, "")
	if strings.Contains(fmt.Sprint(got), "secret") {
		t.Errorf("the answer tells %v", got)
	}
	m.fail = nil
	running := 0
	s.Admit = func(context.Context) (func(), error) {
		running++
		return func() { running-- }, nil
	}
	if r, _ := send(t, s, http.MethodGet, "/Persons/1", ""); r.StatusCode != http.StatusOK || running != 0 {
		t.Errorf("an admitted request gets %d, and %d run still", r.StatusCode, running)
	}
	s.Admit = func(context.Context) (func(), error) { return nil, errors.New("full") }
	r, got = send(t, s, http.MethodGet, "/Persons/1", "")
	wantError(t, "too many", r, got, http.StatusServiceUnavailable, "")
}

func TestTheServiceTellsOfItself(t *testing.T) {
	_, s := serve()
	_, got := send(t, s, http.MethodGet, "/ServiceProviderConfig", "")
	for feature, supported := range map[string]bool{"patch": true, "bulk": false, "filter": true, "sort": false, "etag": true, "changePassword": false} {
		if got[feature].(scim.Resource)["supported"] != supported {
			t.Errorf("%s is told as %v", feature, got[feature])
		}
	}
	_, got = send(t, s, http.MethodGet, "/ResourceTypes/Person", "")
	if got["endpoint"] != "/Persons" || got["schema"] != core || got["schemaExtensions"].([]any)[0].(scim.Resource)["schema"] != extension {
		t.Errorf("the type is told as %v", got)
	}
	_, got = send(t, s, http.MethodGet, "/Schemas", "")
	if got["totalResults"] != 2.0 || strings.Contains(fmt.Sprint(got), "nickName") {
		t.Errorf("the schemas are told as %v", got)
	}
	if r, got := send(t, s, http.MethodGet, "/Schemas/"+core, ""); r.StatusCode != http.StatusOK || got["id"] != core {
		t.Errorf("the schema is %v", got)
	}
}
