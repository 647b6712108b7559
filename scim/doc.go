// Package scim speaks SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865): schemas, filters, PATCH, lists, errors and their HTTP. What the resources
// are, and where they are kept, a Store says for each type of them.
//
//	service := &scim.Service{Base: "/scim/v2", Types: []*scim.ResourceType{{Name: "User", Endpoint: "/Users", Schema: scim.User(), Store: users}}}
//
// Names of attributes have the case of their schema within a Resource, however a client writes them.
package scim
