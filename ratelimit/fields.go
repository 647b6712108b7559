package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-10, in which both are a List of RFC 9651.
const (
	HeaderPolicy = "RateLimit-Policy"
	HeaderLimit  = "RateLimit"
)

// seconds returns a time in seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// RetryAfter returns in how many seconds a request that was refused may be sent again, which may be 0. It reports false if it was granted, or will
// never be.
func (v Verdict) RetryAfter() (after int64, ok bool) {
	if v.Granted || v.Never {
		return 0, false
	}
	return seconds(v.Reset), true
}

// Message says to people why a request was refused.
func (v Verdict) Message() string {
	if v.Never {
		return "this costs more than a client may ask for at once, however long it waits: ask for less"
	}
	after, _ := v.RetryAfter()
	if after == 0 {
		return "this client had asked for too much: it may try again now"
	}
	return fmt.Sprintf("this client has asked for too much: try again in %d s", after)
}

// Tell puts into the header of an answer what the limit is and what the client has left and, where a request is refused that may be granted
// later, when that is. The fields have no partition key, which would tell whom the server takes the client for, and no unit, since none that
// is registered is one of ours: the name of the policy tells it.
//
// The quota is the burst, and the window is the time in which it flows in: so the quota in the window is the rate. What is said of the time until
// there is more is as long as it takes until all is there, which a client cannot use up in advance; after a refusal it is that of Retry-After.
func (l *Limiter) Tell(header http.Header, v Verdict) {
	if l == nil {
		return
	}
	header["Ratelimit-Policy"] = l.policy
	b := make([]byte, 0, 48)
	b = strconv.AppendQuote(b, l.options.Policy)
	b = strconv.AppendInt(append(b, ";r="...), int64(v.Left), 10)
	after, refused := v.RetryAfter()
	if v.Reset > 0 || refused { // else all is there
		b = strconv.AppendInt(append(b, ";t="...), seconds(v.Reset), 10)
	}
	header["Ratelimit"] = []string{string(b)}
	if refused {
		header["Retry-After"] = []string{strconv.FormatInt(after, 10)}
	}
}
