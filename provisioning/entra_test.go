package provisioning_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"rollcall/scim"
)

// The requests of Microsoft's "Develop and plan provisioning for a SCIM endpoint in Microsoft Entra ID", in its order. There userName is no address; here
// it has to be, which the mapping of Entra says.
func TestEntraProvisionsUsersAndGroups(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, s *server) {
		const name = "test_user_ab6490ee-1e48-479e-a20b-2d77186b5dd1@testuser.com"
		find := func(filter string) string { return "/Users?filter=" + url.QueryEscape(filter) }
		// Whether there is a user, as it tests the connection too: with an id at random.
		for _, filter := range []string{`userName eq "` + name + `"`, `externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`, `emails[type eq "work"].value eq "` + name + `"`} {
			if got := s.must(t, 200, http.MethodGet, find(filter), ""); got["totalResults"] != 0.0 || got["itemsPerPage"] != 0.0 || got["startIndex"] != 1.0 || len(got["Resources"].([]any)) != 0 {
				t.Errorf("nobody is told as %v", got)
			}
		}
		s.refused(t, 404, "", http.MethodGet, "/Users/5171a35d82074e068ce2", "")
		got := s.must(t, 201, http.MethodPost, "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
			"externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef","userName":"`+name+`","active":true,
			"emails":[{"primary":true,"type":"work","value":"`+name+`"}],"meta":{"resourceType":"User"},
			"name":{"formatted":"givenName familyName","familyName":"familyName","givenName":"givenName"},"roles":[]}`)
		id := got["id"].(string)
		if got["externalId"] != "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef" || got["name"].(scim.Resource)["formatted"] != "givenName familyName" || got["userName"] != name {
			t.Errorf("created is %v", got)
		}
		s.must(t, 200, http.MethodGet, "/Users/"+id, "")
		if found := s.found(t, "/Users", `userName eq "`+name+`"`, "id"); !slices.Equal(found, []string{id}) {
			t.Errorf("found is %v", found)
		}
		if found := s.found(t, "/Users", `emails[type eq "work"].value eq "`+name+`"`, "id"); !slices.Equal(found, []string{id}) {
			t.Errorf("found is %v", found)
		}
		update := func(operations string) scim.Resource {
			return s.must(t, 200, http.MethodPatch, "/Users/"+id, patch(operations))
		}
		got = update(`{"op":"Replace","path":"emails[type eq \"work\"].value","value":"updatedEmail@microsoft.com"},{"op":"Replace","path":"name.familyName","value":"updatedFamilyName"}`)
		if got["userName"] != "updatedemail@microsoft.com" || got["displayName"] != "givenName updatedFamilyName" {
			t.Errorf("updated is %v", got)
		}
		got = update(`{"op":"Replace","path":"userName","value":"5b50642d-79fc-4410-9e90-4c077cdd1a59@testuser.com"}`)
		if got["userName"] != "5b50642d-79fc-4410-9e90-4c077cdd1a59@testuser.com" || got["emails"].([]any)[0].(scim.Resource)["value"] != got["userName"] {
			t.Errorf("updated is %v", got)
		}
		manager := s.user(t, "manager@testuser.com", "")
		const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
		got = update(`{"op":"Add","path":"` + enterprise + `:manager","value":"` + manager + `"},{"op":"Add","path":"` + enterprise + `:department","value":"Sales"},
			{"op":"Add","path":"phoneNumbers[type eq \"work\"].value","value":"+1 425"},{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 426"},
			{"op":"Replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 427"},{"op":"Add","path":"addresses[type eq \"work\"].formatted","value":"Redmond"},
			{"op":"Add","path":"addresses[type eq \"work\"].postalCode","value":"98052"},{"op":"Add","path":"roles[primary eq \"True\"].value","value":"x"},
			{"op":"Replace","path":"displayName","value":"New Name"},{"op":"Add","path":"title","value":"Boss"}`)
		part := got[enterprise].(scim.Resource)
		if part["department"] != "Sales" || part["manager"].(scim.Resource)["value"] != manager || got["displayName"] != "New Name" || len(got["phoneNumbers"].([]any)) != 1 {
			t.Errorf("updated is %v", got)
		}
		if found := s.found(t, "/Users", `id eq "`+id+`" and `+enterprise+`:manager eq "`+manager+`"`, "id"); !slices.Equal(found, []string{id}) {
			t.Errorf("found by the manager is %v", found)
		}
		got = update(`{"op":"Remove","path":"` + enterprise + `:manager"},{"op":"Replace","path":"active","value":"False"}`)
		if got["active"] != false || got[enterprise].(scim.Resource)["manager"] != nil {
			t.Errorf("disabled is %v", got)
		}
		if got = update(`{"op":"Replace","path":"active","value":"True"}`); got["active"] != true {
			t.Errorf("enabled is %v", got)
		}

		group := s.must(t, 201, http.MethodPost, "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
			"externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159","displayName":"displayName","meta":{"resourceType":"Group"}}`)["id"].(string)
		got = s.must(t, 200, http.MethodGet, "/Groups/"+group+"?excludedAttributes=members", "")
		if _, told := got["members"]; told || got["displayName"] != "displayName" {
			t.Errorf("without members the group is %v", got)
		}
		got = s.must(t, 200, http.MethodGet, "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`displayName eq "displayName"`), "")
		if got["totalResults"] != 1.0 || got["Resources"].([]any)[0].(scim.Resource)["id"] != group {
			t.Errorf("found is %v", got)
		}
		change := func(operations string) { s.must(t, 204, http.MethodPatch, "/Groups/"+group, patch(operations)) }
		change(`{"op":"Replace","path":"displayName","value":"1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName"}`)
		change(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"` + id + `"}]}`)
		s.wantMembers(t, group, id)
		if found := s.found(t, "/Groups", `id eq "`+group+`" and members eq "`+id+`"`, "id"); !slices.Equal(found, []string{group}) {
			t.Errorf("found by a member is %v", found)
		}
		change(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"` + id + `"}]}`)
		s.wantMembers(t, group)
		change(`{"op":"Add","path":"members","value":[{"value":"` + id + `"},{"value":"` + manager + `"}]}`)
		change(`{"op":"Remove","path":"members[value eq \"` + id + `\"]"}`)
		s.wantMembers(t, group, manager)
		s.must(t, 204, http.MethodDelete, "/Groups/"+group, "")
		s.must(t, 204, http.MethodDelete, "/Users/"+id, "")
	})
}
