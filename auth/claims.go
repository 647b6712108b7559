package auth

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // compares names exactly and refuses those that come twice
	"github.com/go-jose/go-jose/v4/jwt"
)

// algorithms are those of public keys: with others, who knows a key could sign with it, or nobody would have to.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// refuse returns the error of a token, with what it says instead of what it should.
func refuse(reason string, instead ...string) *InvalidTokenError {
	const enough = 200 // bytes
	detail := ""
	if len(instead) > 0 {
		detail = fmt.Sprintf("%.*q", enough, instead)
	}
	if len(detail) > enough {
		detail = strings.ToValidUTF8(detail[:enough], "") + "…"
	}
	return &InvalidTokenError{Reason: reason, Detail: detail}
}

// parsedToken is a token of which nothing is verified.
type parsedToken struct {
	*jose.JSONWebSignature

	algorithm string
	kid       string // "" if there is none
	typ       string // of the header, in lower case and without "application/"
	issuer    string
}

// parseToken reads a JWT. Nothing that it says may be believed yet.
func parseToken(text string) (*parsedToken, error) {
	malformed := refuse("the token is not a signed JWT")
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") || strings.ContainsFunc(text, outsideJWT) {
		return nil, malformed
	}
	var header map[string]any
	if !utf8.Valid(decoded(parts[0])) || json.Unmarshal(decoded(parts[0]), &header) != nil {
		return nil, malformed
	}
	for _, name := range []string{"crit", "b64"} { // what has to be understood (RFC 7515, section 4.1.11), of which this is nothing
		if _, has := header[name]; has {
			return nil, refuse("the token's header asks for what is not supported", name)
		}
	}
	algorithm, _ := header["alg"].(string)
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(algorithm)) {
		return nil, refuse("the token is not signed by an algorithm of public keys", algorithm)
	}
	typ, isText := header["typ"].(string)
	if _, has := header["typ"]; has && !isText {
		return nil, malformed
	}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return nil, malformed
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims) != nil {
		return nil, malformed
	}
	return &parsedToken{
		JSONWebSignature: jws,
		algorithm:        algorithm,
		kid:              jws.Signatures[0].Header.KeyID,
		typ:              strings.TrimPrefix(strings.ToLower(typ), "application/"),
		issuer:           claims.Issuer,
	}, nil
}

// decoded returns the bytes of a part of a token, or nothing.
func decoded(part string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil
	}
	return b
}

// outsideJWT reports whether a character is none of a JWT in compact form. Decoders of Base64 overlook some.
func outsideJWT(c rune) bool {
	return !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
}

// claims are those of a token whose signature is good.
type claims struct {
	jwt.Claims
	all map[string]any
}

func readClaims(payload []byte) (claims, error) {
	var c claims
	if !utf8.Valid(payload) || json.Unmarshal(payload, &c.all) != nil || json.Unmarshal(payload, &c.Claims) != nil {
		return claims{}, refuse("the token's claims are malformed")
	}
	return c, nil
}

func (c claims) text(name string) string {
	text, _ := c.all[name].(string)
	return text
}

func (c claims) has(name string) bool {
	_, has := c.all[name]
	return has
}

func (c claims) name() string {
	if name := c.text("name"); name != "" {
		return name
	}
	return c.text("preferred_username")
}

// checkAccessToken refuses what the issuer has signed for another purpose than to be sent here: an ID token, above all, says who has
// logged in at a client, and everybody to whom that client shows it could use it here. typ is that of the header.
//
// Refused is a token
//
//   - whose header's typ is another than JWT or at+jwt (RFC 9068), if it has one: a logout token, a security event;
//   - that says of itself what it is, by Keycloak's claim typ or Cognito's token_use, and says neither Bearer nor access: Keycloak's ID,
//     refresh, offline and logout tokens;
//   - with at_hash, c_hash or s_hash, which only ID tokens have, or with nonce, unless its claim typ is Bearer: Keycloak's access
//     tokens had a nonce until version 25;
//   - with events: a logout token, or another of RFC 8417;
//   - with cnf: it is bound to a key (RFC 7800) whose possession is not asked for here, so that who has stolen it could use it.
//
// Of what is left, a token is accepted by one of these signs, which an ID token lacks:
//
//   - the header's typ at+jwt;
//   - the claim typ Bearer (Keycloak), or token_use access (Cognito);
//   - a claim scope (RFC 9068, Auth0, Keycloak) or scp (Okta, Entra), which says what the client may do;
//   - azpacr or appidacr, which say how the client has proved to Entra who it is: an application's own tokens have no scp;
//   - azp, client_id, cid (Okta) or appid (Entra), if none of them is in the audience: the client that got the token and the one that
//     shall receive it are two. In an ID token they are one.
//
// Roles are no sign, since Entra's ID tokens have them too.
func checkAccessToken(typ string, c claims) error {
	if typ != "" && typ != "jwt" && typ != "at+jwt" {
		return refuse("the token's type is not that of access tokens", typ)
	}
	kind := c.all["typ"]
	if c.has("typ") && kind != "Bearer" || c.has("token_use") && c.all["token_use"] != "access" {
		return refuse("the token says that it is no access token", c.text("typ"), c.text("token_use"))
	}
	for _, name := range []string{"at_hash", "c_hash", "s_hash", "events", "cnf", "nonce"} {
		if c.has(name) && (name != "nonce" || kind != "Bearer") {
			return refuse("the token is no access token that whoever bears it may use: it has the claim " + name)
		}
	}
	if typ == "at+jwt" || kind == "Bearer" || c.has("token_use") {
		return nil
	}
	if slices.ContainsFunc([]string{"scope", "scp", "azpacr", "appidacr"}, c.has) {
		return nil
	}
	others := 0
	for _, name := range []string{"azp", "client_id", "cid", "appid"} {
		client := c.text(name)
		if c.has(name) && (client == "" || c.Audience.Contains(client)) {
			return refuse("the token is for the client that got it, as an ID token is")
		}
		if client != "" {
			others++
		}
	}
	if others == 0 {
		return refuse("the token has nothing by which an access token differs from an ID token")
	}
	return nil
}

// roles are what the token has at a path.
func (c claims) roles(path string) []string {
	if path == "" {
		return nil
	}
	switch value := at(c.all, path).(type) {
	case string:
		if path == "scope" || path == "scp" {
			return strings.Fields(value)
		}
		if value == "" {
			return nil
		}
		return []string{value}
	case []any:
		var roles []string
		for _, v := range value {
			if role, isText := v.(string); isText && role != "" {
				roles = append(roles, role)
			}
		}
		return roles
	default:
		return nil
	}
}

// at returns what stands at a path of names joined by dots, in which a name may have dots itself, or nil.
func at(object map[string]any, path string) any {
	if value, has := object[path]; has {
		return value
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, isObject := object[path[:i]].(map[string]any); isObject {
			if value := at(inner, path[i+1:]); value != nil {
				return value
			}
		}
	}
	return nil
}
