package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxAnswer     = 4 << 10     // bytes of an answer's body that are read, so that its connection may be used again
	maxReading    = time.Second // for that
	maxRetryAfter = time.Hour   // what a receiver may ask for
)

// attempt is what became of one.
type attempt struct {
	status     int    // of HTTP; 0: there was no answer
	err        string // for operators, without anything secret; "": the receiver has confirmed
	retryAfter time.Duration
	final      bool // no further attempt will do
}

func (a attempt) outcome() string {
	switch {
	case a.err == "":
		return delivered
	case a.status != 0:
		return refused
	default:
		return failed
	}
}

func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post sends a message once. What the receiver does cannot take longer than Times.Attempt.
func (s *sender) post(ctx context.Context, body []byte) attempt {
	ctx, cancel := context.WithTimeout(ctx, s.Times.Attempt)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL.String(), bytes.NewReader(body))
	if err != nil {
		return attempt{err: "the URL cannot be used"} // the error would quote it
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Rollcall")
	s.sign(request.Header, messageID(s.Name, body), time.Now(), body)
	response, err := s.client.Do(request)
	if err != nil {
		return attempt{err: s.explain(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }()
	defer time.AfterFunc(maxReading, cancel).Stop()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	return judge(response)
}

// judge tells by an answer whether the receiver has confirmed.
func judge(response *http.Response) attempt {
	a := attempt{status: response.StatusCode}
	switch {
	case a.status/100 == 2:
		return a
	case a.status/100 == 3:
		a.err = fmt.Sprintf("the receiver has answered with the status %d: redirects are not followed, so give the final URL", a.status)
	case a.status == http.StatusGone:
		a.err, a.final = "the receiver has answered with the status 410: it wants no changes any more", true
	default:
		a.err = fmt.Sprintf("the receiver has answered with the status %d", a.status)
	}
	a.retryAfter = retryAfter(response.Header.Get("Retry-After"))
	return a
}

// retryAfter reads a header of RFC 9110, section 10.2.3: seconds, or a time.
func retryAfter(header string) time.Duration {
	if at, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	seconds, _ := strconv.Atoi(header)
	return min(time.Duration(min(max(seconds, 0), 1e6))*time.Second, maxRetryAfter)
}

// explain says why there was no answer, without what the receiver has sent, or what the URL holds besides the host.
func (s *sender) explain(ctx context.Context, err error) string {
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err
	}
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("the receiver has not answered within %s", s.Times.Attempt)
	case errors.As(err, &network):
		return clip(network.Error())
	case errors.As(err, &certificate):
		return clip(certificate.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the receiver has closed the connection without an answer"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the receiver speaks HTTP without TLS: its URL begins with http://"
	default:
		return "no answer of HTTP could be read: are the URL's scheme and port right?"
	}
}

// clip keeps of a text what can be stored and shown.
func clip(text string) string {
	const limit = 300
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return -1
	}, text))
	return string(runes[:min(len(runes), limit)])
}
