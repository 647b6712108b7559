// Package identity makes an access.Viewer of each request, or refuses it. It asks package auth who sends the request, and the directory which
// user that is:
//
//	an API token ──────────────────▶ Tokens
//	another bearer token ──────────▶ auth.Issuers ──┐
//	the header of a trusted proxy ─▶ auth.Proxies ──┴─▶ the table identities ──▶ a user of the directory, or none
//	nothing, on this machine alone ▶ ADMIN, if that is allowed
//	nothing ───────────────────────▶ an anonymous VIEWER, if that is allowed
//
// The first of them that a request has decides. What it has and what is not valid refuses it: nothing falls back to what comes after.
//
// A viewer who has a stream open may cease to be one meanwhile. Until tells of that, and Run finds it out.
package identity
