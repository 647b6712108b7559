package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ThisMachineAlone returns nil if a program of this machine has sent the request to this machine by its own name, and else why that is
// not certain. Three others could look like one: somebody behind a proxy of this machine, a page that has given this machine a name of
// its own (DNS rebinding), and a page of another site that a browser of this machine shows.
//
// So both ends of the connection have loopback addresses, there is no header as proxies add them, and the Host, and the Origin if there
// is one, is localhost or below it, or a loopback address, with any port. Of what a page only shows or follows, such as an image or a link, browsers tell no
// Origin, but by Sec-Fetch-Site that the page is of another site.
func ThisMachineAlone(r *http.Request) error {
	if !peer(r).IsLoopback() {
		return errors.New("the request comes from another machine")
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !addrOf(local.String()).IsLoopback() {
		return errors.New("the request came by an address of this machine that others reach too")
	}
	for name := range r.Header {
		if ofProxies(name) {
			return fmt.Errorf("the request comes by way of a proxy: it has the header %s", name)
		}
	}
	if !isLocalHost(r.Host) {
		return errors.New("the request is for another host than localhost or a loopback address")
	}
	origins := r.Header["Origin"]
	if len(origins) > 1 {
		return errors.New("the request has several origins")
	}
	otherPage := errors.New("the request comes from a page of another host than localhost or a loopback address")
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isLocalHost(u.Host) {
			return otherPage
		}
	}
	if len(origins) == 0 && slices.Contains(r.Header["Sec-Fetch-Site"], "cross-site") {
		return otherPage
	}
	return nil
}

// ofProxies reports whether only proxies add a header. The name is canonical.
func ofProxies(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Envoy-External-Address", "True-Client-Ip", "Cf-Connecting-Ip":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded") || strings.HasPrefix(name, "X-Auth-Request-")
}

// isLocalHost reports whether a host, with or without a port, is this machine under its own name.
func isLocalHost(hostPort string) bool {
	host := hostPort
	if name, port, err := net.SplitHostPort(hostPort); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		host = name
		if strings.Contains(name, ":") != strings.HasPrefix(hostPort, "[") { // brackets are for IPv6, and IPv6 needs them
			return false
		}
	} else if inner, bracketed := strings.CutPrefix(hostPort, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		if !closed || !strings.Contains(inner, ":") {
			return false
		}
		host = inner
	} else if strings.Contains(hostPort, ":") {
		return false
	}
	return isLoopback(host)
}

// isLoopback reports whether a name, or an address without brackets, is this machine's own for every browser (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") && host != ".localhost" || isLoopbackAddr(host)
}

func isLoopbackAddr(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// peer returns the address from which the connection comes, or an invalid one.
func peer(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

// addrOf returns the address in an address with a port, or an invalid one. IPv4 is IPv4, however it is written, and zones are left out.
func addrOf(text string) netip.Addr {
	addrPort, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort.Addr().WithZone("").Unmap()
}
