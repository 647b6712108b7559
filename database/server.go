package database

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"rollcall/dialect"
)

// server is what error messages may say about a database server, and the one thing that they may not.
type server struct {
	product, addr, user, name string
	password                  string
}

// unambiguous reports whether it is beyond doubt which part of a URL, whose scheme is cut off, is the password. An unescaped
// / or ? or # in a password ends the host early and leaves the @ behind, and libpq takes the first @ for the last.
// A URL in doubt must not be quoted, since anything in it may be the password.
func unambiguous(rest string) bool {
	authority := rest[:strings.IndexAny(rest+"/", "/?#")]
	_, err := url.PathUnescape(rest)
	return err == nil && strings.Count(rest, "@") == strings.Count(authority, "@") && strings.Count(rest, "@") <= 1 &&
		!strings.Contains(rest, "#") && !strings.ContainsFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// failure turns a failure to connect into an error for people.
func (s server) failure(ctx context.Context, err error) error {
	var refused *OpenError
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	var none *noHostError
	deadline, limited := ctx.Deadline()
	switch m := dialect.MeaningOf(err); {
	case errors.As(err, &refused):
		return refused
	case m.Is(dialect.Barred):
		user, _, _ := strings.Cut(s.user, ":") // what follows was meant for the password
		return openErrorf("%s at %s refuses the user %q: check the user's name, password and rights", s.product, s.addr, user)
	case m.Is(dialect.NoDatabase):
		return openErrorf("%s at %s has no database %q: create it first", s.product, s.addr, s.name)
	case m.Number != "" && slices.Contains([]dialect.Fault{dialect.FaultUnreachable, dialect.FaultNotReady, dialect.FaultBusy}, m.Fault):
		return unreachable("%s at %s refuses the connection: %s", s.product, s.addr, s.detail(errors.New(m.Text)))
	case m.Number != "":
		return openErrorf("%s at %s refuses the connection: %s", s.product, s.addr, s.detail(errors.New(m.Text)))
	case ctx.Err() != nil:
		return ctx.Err()
	case limited && !time.Now().Before(deadline): // the network may notice it before the context does
		return context.DeadlineExceeded
	case errors.As(err, &none):
		return &OpenError{Message: s.product + ": " + none.Error(), Unreachable: !none.denied}
	case errors.As(err, &dns) && !dns.IsTimeout:
		return unreachable("no host of the name %q is known", dns.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &op) && op.Timeout():
		return unreachable("%s at %s did not answer within %s", s.product, s.addr, connectTimeout)
	case errors.As(err, &op) && op.Op == "dial":
		return unreachable("cannot reach %s at %s: %v", s.product, s.addr, op.Err)
	case errors.As(err, &cert):
		return openErrorf("the certificate of %s at %s is not trusted: %v", s.product, s.addr, cert.Err)
	}
	return unreachable("cannot connect to %s at %s: %s", s.product, s.addr, s.detail(err))
}

func unreachable(format string, args ...any) error {
	return &OpenError{Message: fmt.Sprintf(format, args...), Unreachable: true}
}

// detail is an error's text on one line, unless it repeats the password.
func (s server) detail(err error) string {
	if s.password != "" && strings.Contains(err.Error(), s.password) {
		return "(the cause is withheld because it repeats the password)"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
