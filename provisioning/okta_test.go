package provisioning_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"rollcall/scim"
)

// The requests of "Okta and SCIM Version 2.0", in the order in which Okta sends them.
func TestOktaProvisionsUsersAndGroups(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		const user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},
			"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7",
			"groups":[],"password":"1mz050nq","active":true}`
		find := "/Users?filter=" + url.QueryEscape(`userName eq "test.user@okta.local"`) + "&startIndex=1&count=100"
		got := s.must(t, 200, http.MethodGet, find, "")
		if got["totalResults"] != 0.0 || len(got["Resources"].([]any)) != 0 {
			t.Errorf("before the user is created %v is found", got)
		}
		got = s.must(t, 201, http.MethodPost, "/Users", user)
		id := got["id"].(string)
		if got["active"] != true || got["userName"] != "test.user@okta.local" || got["name"].(scim.Resource)["familyName"] != "User" || got["externalId"] != "00ujl29u0le5T6Aj10h7" {
			t.Errorf("created is %v", got)
		}
		s.refused(t, 409, scim.Uniqueness, http.MethodPost, "/Users", user)
		if got = s.must(t, 200, http.MethodGet, find, ""); got["totalResults"] != 1.0 || got["startIndex"] != 1.0 || got["Resources"].([]any)[0].(scim.Resource)["id"] != id {
			t.Errorf("found is %v", got)
		}
		if got = s.must(t, 200, http.MethodGet, "/Users?startIndex=1&count=100", ""); got["totalResults"] != 1.0 {
			t.Errorf("all users are %v", got)
		}
		// Okta reads a user, changes what it has read, and sends all of it.
		s.must(t, 200, http.MethodGet, "/Users/"+id, "")
		got = s.must(t, 200, http.MethodPut, "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"`+id+`","userName":"test.user@okta.local",
			"name":{"givenName":"Another","middleName":"Excited","familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.local","type":"work","display":"test.user@okta.local"}],
			"active":true,"groups":[],"meta":{"resourceType":"User"}}`)
		if got["displayName"] != "Another User" || got["meta"].(scim.Resource)["version"] != `W/"2"` {
			t.Errorf("after PUT the user is %v", got)
		}
		got = s.must(t, 200, http.MethodPatch, "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`)
		if got["active"] != false {
			t.Errorf("deactivated is %v", got)
		}
		got = s.must(t, 200, http.MethodPut, "/Users/"+id, user)
		if got["active"] != true {
			t.Errorf("reactivated is %v", got)
		}

		group := s.must(t, 201, http.MethodPost, "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Test SCIMv2","members":[]}`)["id"].(string)
		if got = s.must(t, 200, http.MethodGet, "/Groups?startIndex=1&count=100", ""); got["totalResults"] != 1.0 || got["Resources"].([]any)[0].(scim.Resource)["displayName"] != "Test SCIMv2" {
			t.Errorf("all groups are %v", got)
		}
		if found := s.found(t, "/Groups", `displayName eq "Test SCIMv2"`, "id"); !slices.Equal(found, []string{group}) {
			t.Errorf("found is %v", found)
		}
		change := func(operations string) { s.must(t, 204, http.MethodPatch, "/Groups/"+group, patch(operations)) }
		change(`{"op":"replace","value":{"id":"` + group + `","displayName":"Renamed SCIMv2"}}`)
		change(`{"op":"add","path":"members","value":[{"value":"` + id + `","display":"test.user@okta.local"}]}`)
		s.wantMembers(t, group, id)
		other := s.user(t, "other.user@okta.local", "")
		change(`{"op":"remove","path":"members[value eq \"` + id + `\"]"},{"op":"add","path":"members","value":[{"value":"` + other + `","display":"other.user@okta.local"}]}`)
		s.wantMembers(t, group, other)
		change(`{"op":"replace","path":"members","value":[{"value":"` + id + `","display":"test.user@okta.local"},{"value":"` + other + `","display":"other.user@okta.local"}]}`)
		s.wantMembers(t, group, id, other)
		got = s.must(t, 200, http.MethodPut, "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":"`+group+`","displayName":"Test SCIMv2",
			"members":[{"value":"`+id+`","display":"test.user@okta.local"}]}`)
		if list := got["members"].([]any); len(list) != 1 || list[0].(scim.Resource)["value"] != id || got["displayName"] != "Test SCIMv2" {
			t.Errorf("after PUT the group is %v", got)
		}
		s.must(t, 204, http.MethodDelete, "/Groups/"+group, "")
		s.refused(t, 404, "", http.MethodGet, "/Groups/"+group, "")
	})
}
