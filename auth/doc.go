// Package auth finds out who sends an HTTP request: the bearer of an access token of an OpenID provider (Issuers) or of an API token
// (APIToken), somebody whom a trusted proxy has logged in (Proxies), or a program of this machine (ThisMachineAlone). What they may
// do, and what is stored of them, is decided elsewhere.
//
//	token, err := auth.Bearer(r)                // "": nobody claims to be anybody
//	identity, err := issuers.Verify(ctx, token) // or auth.ParseAPIToken, where auth.IsAPIToken says so
//	auth.Challenge{Realm: "…", Error: "invalid_token"}.Set(w.Header())
//
// No error of this package holds a credential or a part of one.
package auth
