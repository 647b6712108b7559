package provisioning

import (
	"strings"

	"rollcall/scim"
)

// enterpriseURN is the schema that has the department and the manager (RFC 7643, section 4.3).
const enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// What Schemas tells is what is kept. The attributes of RFC 7643 that are not are Ignored: clients may send them.

// ignored are texts of RFC 7643 that are not kept.
func ignored(names string) (all []*scim.Attribute) {
	for name := range strings.FieldsSeq(names) {
		all = append(all, &scim.Attribute{Name: name, Ignored: true})
	}
	return all
}

// plural is an attribute of which one element is kept, of one type (RFC 7643, section 2.4).
func plural(name, description, typ, value, of string, kind scim.Type, others string) *scim.Attribute {
	return &scim.Attribute{
		Name: name, Type: scim.Complex, Multi: true, Description: description,
		Sub: append([]*scim.Attribute{
			{Name: value, Type: kind, CaseExact: true, Description: of},
			{Name: "type", Description: "What it is for: " + typ + ". Elements of other types are not kept.", Values: []string{typ}},
			{Name: "primary", Type: scim.Boolean, Description: "True, since there is no other."},
		}, ignored(others)...),
	}
}

// values are attributes of RFC 7643 with several values, which are not kept.
func values(names string) (all []*scim.Attribute) {
	for name := range strings.FieldsSeq(names) {
		all = append(all, &scim.Attribute{Name: name, Type: scim.Complex, Multi: true, Ignored: true, Sub: append(
			ignored("value display type"), &scim.Attribute{Name: "primary", Type: scim.Boolean, Ignored: true})})
	}
	return all
}

// userSchema is what is kept of RFC 7643, section 4.1.
func userSchema() *scim.Schema {
	emails := plural("emails", "The email address, which is userName.", "work", "value", "The email address.", scim.String, "display")
	emails.Sub[0].CaseExact = false
	all := []*scim.Attribute{
		{Name: "userName", Required: true, Unique: true, Description: "The email address."},
		{Name: "externalId", CaseExact: true, Unique: true, Description: "The id that the client has for the user."},
		{Name: "name", Type: scim.Complex, Description: "The parts of displayName.", Sub: append([]*scim.Attribute{
			{Name: "formatted", Description: "The same as displayName."},
			{Name: "givenName", Description: "What is before the last space of displayName."},
			{Name: "familyName", Description: "What is behind the last space of displayName."},
		}, ignored("middleName honorificPrefix honorificSuffix")...)},
		{Name: "displayName", Description: "The name. Where it is not given it is name.formatted, or else name.givenName and name.familyName, or else userName."},
		{Name: "title", Description: "The title."},
		{Name: "timezone", CaseExact: true, Description: "The time zone, such as Europe/Zurich."},
		{Name: "active", Type: scim.Boolean, Description: "Whether the user takes part. DELETE makes it false."},
		emails,
		plural("phoneNumbers", "The telephone number.", "work", "value", "The number, as it was written.", scim.String, "display"),
		plural("photos", "The picture.", "photo", "value", "Where it is.", scim.Reference, "display"),
		plural("addresses", "Where the user works.", "work", "formatted", "The place.", scim.String, "streetAddress locality region postalCode country"),
		{Name: "groups", Type: scim.Complex, Multi: true, ReadOnly: true, Description: "The groups that the user is in.", Sub: []*scim.Attribute{
			{Name: "value", CaseExact: true, ReadOnly: true, Description: "The id of the group."},
			{Name: "$ref", Type: scim.Reference, CaseExact: true, ReadOnly: true, Refers: []string{"Group"}, Description: "Where the group is."},
			{Name: "display", ReadOnly: true, Description: "The displayName of the group."},
			{Name: "type", ReadOnly: true, Values: []string{"direct"}, Description: "How the user is in it: direct."},
		}},
	}
	all = append(all, ignored("nickName profileUrl userType preferredLanguage locale password")...)
	return &scim.Schema{
		URN: "urn:ietf:params:scim:schemas:core:2.0:User", Name: "User", Description: "A user.",
		Attributes: append(all, values("ims entitlements roles x509Certificates")...),
	}
}

// enterpriseSchema is what is kept of RFC 7643, section 4.3.
func enterpriseSchema() *scim.Schema {
	return &scim.Schema{URN: enterpriseURN, Name: "EnterpriseUser", Description: "A user in a company.", Attributes: append([]*scim.Attribute{
		{Name: "department", Description: "The department."},
		{Name: "manager", Type: scim.Complex, Description: "The manager.", Sub: []*scim.Attribute{
			{Name: "value", CaseExact: true, Description: "The id of the manager."},
			{Name: "$ref", Type: scim.Reference, CaseExact: true, ReadOnly: true, Refers: []string{"User"}, Description: "Where the manager is."},
			{Name: "displayName", ReadOnly: true, Description: "The displayName of the manager."},
		}},
	}, ignored("employeeNumber costCenter organization division")...)}
}

// groupSchema is what is kept of RFC 7643, section 4.2.
func groupSchema() *scim.Schema {
	return &scim.Schema{URN: "urn:ietf:params:scim:schemas:core:2.0:Group", Name: "Group", Description: "A group.", Attributes: append([]*scim.Attribute{
		{Name: "displayName", Required: true, Unique: true, Description: "The name."},
		{Name: "members", Type: scim.Complex, Multi: true, Description: "The users that are in it.", Sub: []*scim.Attribute{
			{Name: "value", Required: true, CaseExact: true, Description: "The id of the user."},
			{Name: "$ref", Type: scim.Reference, CaseExact: true, ReadOnly: true, Refers: []string{"User"}, Description: "Where the user is."},
			{Name: "display", ReadOnly: true, Description: "The displayName of the user."},
			{Name: "type", Values: []string{"User"}, Description: "User: no group is in another one."},
		}},
	}, ignored("externalId")...)}
}
