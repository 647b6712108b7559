package ratelimit

import (
	"context"
	"net/http"
	"net/netip"
)

// Client is whom a limit is for: somebody who has a name, or else whoever has an address. The zero Client is all that have neither.
type Client struct {
	name string
	addr netip.Addr
}

// NewClient returns the client of a name or, if that is "", of an address. An address of IPv6 stands for all of its network of 64 bits, which is
// what one client has at least.
func NewClient(name string, addr netip.Addr) Client {
	if name != "" {
		return Client{name: name}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(64)
		addr = network.Addr()
	}
	return Client{addr: addr}
}

// named returns 1 for a client with a name, else 0.
func (c Client) named() int { return index(c.name != "") }

func index(named bool) int {
	if named {
		return 1
	}
	return 0
}

// Clients are a server's, with what each may ask for. A nil Clients takes all for one, which may ask for anything.
type Clients struct {
	// Addr returns the address of whoever sends a request; nil: that of the connection, which may be a proxy's. An invalid one stands for all
	// that have none.
	Addr func(*http.Request) netip.Addr
	// Name returns the name of whoever sends the request of a context; "": it has none, and the address counts. nil: nobody has one.
	Name func(ctx context.Context) string

	Limiter *Limiter // nil: each may ask for any amount
	Delays  *Delays  // of refusals by Limiter; nil: these are answered at once
	Streams *Streams // nil: each may have any number
	Sockets *Streams // WebSockets, with streams on them or without; nil: each may have any number
}

type contextKey struct{}

// Handler puts the address of the client into the context of requests, where Of finds it.
func (c *Clients) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := peer(r)
		if c.Addr != nil {
			addr = c.Addr(r)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, addr)))
	})
}

// AddrOf returns the address of whoever sends the request of a context, which has passed Handler. It is invalid where that is not known.
func AddrOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(contextKey{}).(netip.Addr)
	return addr.Unmap()
}

// peer is the address of the other end of the connection.
func peer(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}

// Of returns whose request a context belongs to.
func (c *Clients) Of(ctx context.Context) Client {
	if c == nil {
		return Client{}
	}
	name := ""
	if c.Name != nil {
		name = c.Name(ctx)
	}
	addr, _ := ctx.Value(contextKey{}).(netip.Addr)
	return NewClient(name, addr)
}

// Charge lets only those requests through to next for which their clients have enough left, of which each costs as much. To others it says in the
// header when to come back, and has refuse answer them with the status and a message for people. It stands behind Handler.
func (c *Clients) Charge(next http.Handler, cost int, refuse func(w http.ResponseWriter, status int, message string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.Limiter.Take(c.Of(r.Context()), cost)
		if !v.Granted {
			refuse(w, http.StatusTooManyRequests, c.Refuse(w, r, cost, v).Message())
			return
		}
		c.Limiter.Tell(w.Header(), v)
		next.ServeHTTP(w, r)
	})
}
