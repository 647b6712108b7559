package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

const maxProxyUser = 255 // bytes of a user's name or address

// Proxies are those that log people in, or that forward requests, and are believed what they say of them. From anybody else, their
// headers are ignored.
type Proxies struct {
	Trusted []netip.Prefix

	// Each is one header, not several of which the first counts: a proxy drops the header that it sets from the requests that it gets,
	// and nobody would drop the others.
	UserHeader  string // "": proxies log nobody in
	EmailHeader string // "": there is none
	RolesHeader string // a list separated by commas; "": there is none
}

// XForwardedHeaders are those of oauth2-proxy as a reverse proxy, and of what calls them like it. The proxies that are trusted
// are yet to be named.
func XForwardedHeaders() Proxies {
	return Proxies{UserHeader: "X-Forwarded-User", EmailHeader: "X-Forwarded-Email", RolesHeader: "X-Forwarded-Groups"}
}

// XAuthRequestHeaders are those of oauth2-proxy where nginx or Traefik asks it (auth_request, forwardAuth).
func XAuthRequestHeaders() Proxies {
	return Proxies{UserHeader: "X-Auth-Request-User", EmailHeader: "X-Auth-Request-Email", RolesHeader: "X-Auth-Request-Groups"}
}

// ProxyUser is whom a trusted proxy has logged in.
type ProxyUser struct {
	Name  string
	Email string // "" if there is none
	Roles []string
}

// ParsePrefix reads what is trusted: a prefix such as 10.0.0.0/8, or one address. IPv4 is IPv4, however it is written.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a range of addresses such as 10.0.0.0/8, nor an address", text)
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q is more than all addresses of IPv4", text)
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// Validate returns an error if a header's name is none, or stands for two things.
func (p *Proxies) Validate() error {
	seen := map[string]bool{}
	for _, name := range []string{p.UserHeader, p.EmailHeader, p.RolesHeader} {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case name == "":
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("%q is not the name of a header", name)
		case seen[canonical]:
			return fmt.Errorf("the header %s cannot stand for two things", name)
		}
		seen[canonical] = true
	}
	if p.UserHeader == "" && (p.EmailHeader != "" || p.RolesHeader != "") {
		return errors.New("a header for users' addresses or roles needs one for users")
	}
	return nil
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p.Trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// User returns whom a trusted proxy has logged in, or nil if the request comes from elsewhere or nobody is logged in. It is an error
// if there are several of a header, of which the sender may have made one, or if a value is not one.
func (p *Proxies) User(r *http.Request) (*ProxyUser, error) {
	if p.UserHeader == "" || !p.trusts(peer(r)) {
		return nil, nil
	}
	var user ProxyUser
	var roles string
	for _, field := range []struct {
		header string
		value  *string
		max    int
	}{{p.UserHeader, &user.Name, maxProxyUser}, {p.EmailHeader, &user.Email, maxProxyUser}, {p.RolesHeader, &roles, maxToken}} {
		if field.header == "" {
			continue
		}
		values := r.Header.Values(field.header)
		if len(values) > 1 {
			return nil, fmt.Errorf("the header %s came %d times", field.header, len(values))
		}
		for _, value := range values {
			if len(value) > field.max || !utf8.ValidString(value) || !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("the value of the header %s is too long or malformed", field.header)
			}
			*field.value = strings.TrimSpace(value)
		}
	}
	if user.Name == "" {
		return nil, nil
	}
	for role := range strings.SplitSeq(roles, ",") {
		if role = strings.TrimSpace(role); role != "" {
			user.Roles = append(user.Roles, role)
		}
	}
	return &user, nil
}

// Nobody says, for a log, why User finds nobody in a request although proxies log people in; "": they do not.
func (p *Proxies) Nobody(r *http.Request) string {
	switch from := peer(r); {
	case p.UserHeader == "" || len(p.Trusted) == 0:
		return ""
	case p.trusts(from):
		return "the proxy has sent no " + p.UserHeader
	case r.Header.Get(p.UserHeader) != "":
		return fmt.Sprintf("%s is no trusted proxy, so its %s is ignored", from, p.UserHeader)
	}
	return ""
}

// Client returns the address from which the request was sent: that of the peer, or, if that is a trusted proxy, the one that it names in
// X-Forwarded-For, and so on from the right while that is a trusted one's too. What stands to the left of an address that is not trusted
// may be invented. An entry that is no address ends the way, at the proxy that has written it. The address is invalid if the peer has
// none: then it is no connection over IP.
func (p *Proxies) Client(r *http.Request) netip.Addr {
	client := peer(r)
	for _, rest := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for more := true; more; {
			if !p.trusts(client) {
				return client
			}
			entry := rest
			comma := strings.LastIndexByte(rest, ',')
			if more = comma >= 0; more {
				rest, entry = rest[:comma], rest[comma+1:]
			}
			addr := forwarded(strings.Trim(entry, " \t"))
			if !addr.IsValid() {
				return client
			}
			client = addr
		}
	}
	return client
}

// Scheme serves requests whose URL has the scheme https if, and only if, that is how the client has sent them: to this server, or to a trusted proxy, which says so
// in X-Forwarded-Proto. Of several words the first counts, the client's own proxy's; who invents one changes but the answers to themself.
func (p *Proxies) Scheme(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
		r.URL.Scheme = "" // a request's target may have a scheme, which is the client's word alone
		if r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https") && p.trusts(peer(r)) {
			r.URL.Scheme = "https"
		}
		next.ServeHTTP(w, r)
	})
}

// forwarded reads an entry of X-Forwarded-For: an address, to which some proxies add the port. An IPv6 one may have brackets.
func forwarded(entry string) netip.Addr {
	if addr, err := netip.ParseAddr(entry); err == nil {
		return addr.WithZone("").Unmap()
	}
	if inner, bracketed := strings.CutPrefix(entry, "["); bracketed {
		if inner, closed := strings.CutSuffix(inner, "]"); closed {
			addr, err := netip.ParseAddr(inner)
			if err != nil || !addr.Is6() {
				return netip.Addr{}
			}
			return addr.WithZone("").Unmap()
		}
	}
	return addrOf(entry)
}
