// Package playground serves the page on which people try the API: GraphiQL. Its sources are in app; `make playground` builds from
// them what is in dist.
package playground

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist has the page and the files that it loads. A name that ends in .gz is that of a compressed file.
//
//go:embed dist
var dist embed.FS

// types has the media type of each kind of file.
var types = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".ttf":   "font/ttf",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// policy is the page's Content-Security-Policy: the page and its workers run their own scripts, and talk to this server only, and to
// the origins that a login needs. The editor writes styles as it goes, with small pictures in them.
const policy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"

// Login is how somebody logs in on the page: at an OpenID provider, by the authorization code flow with PKCE, as a public client.
type Login struct {
	Issuer     string            `json:"issuer"`
	ClientID   string            `json:"clientId"`
	Scope      string            `json:"scope"`      // separated by spaces, with openid
	Parameters map[string]string `json:"parameters"` // more that the provider is sent, such as the audience; the page's own go first

	// Origins returns those that the page asks for tokens. It is called for each answer.
	Origins func() []string `json:"-"`
}

// noLogin is the place in the page where its login stands.
const noLogin = `data-login="null"`

// in puts the login into the page.
func (l *Login) in(page []byte) []byte {
	if l == nil {
		return page
	}
	text, _ := json.Marshal(l) // strings always can be
	return bytes.Replace(page, []byte(noLogin), []byte(`data-login="`+html.EscapeString(string(text))+`"`), 1)
}

// policy returns the page's policy.
func (l *Login) policy() string {
	if l == nil {
		return policy
	}
	return strings.Join(append([]string{policy}, l.Origins()...), " ")
}

// New returns the page at / and its files in /playground/, which all come from this process. The API is to be beside it, at /query.
// The page names all of them relative to itself, so that they may be below a path of a proxy. With nil nobody logs in there.
func New(login *Login) http.Handler {
	mux := http.NewServeMux()
	entries, _ := dist.ReadDir("dist") // which is there: this is compiled with it
	for _, entry := range entries {
		contents, _ := dist.ReadFile("dist/" + entry.Name())
		name, compressed := strings.CutSuffix(entry.Name(), ".gz")
		if name == "index.html" {
			mux.Handle("GET /{$}", file(name, login.in(contents), compressed, "no-cache"))
		} else { // named by its contents
			mux.Handle("GET /playground/"+name, file(name, contents, compressed, "public, max-age=31536000, immutable"))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header() // by which browsers keep pages apart
		header.Set("Content-Security-Policy", login.policy())
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

// file serves one file, compressed if it is so here and the client takes it so.
func file(name string, contents []byte, compressed bool, cacheControl string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, body, size := w.Header(), io.Reader(bytes.NewReader(contents)), len(contents)
		header.Set("Content-Type", types[path.Ext(name)])
		header.Set("Cache-Control", cacheControl)
		switch {
		case compressed && takesGzip(r):
			header.Set("Content-Encoding", "gzip")
		case compressed:
			size = int(binary.LittleEndian.Uint32(contents[size-4:])) // RFC 1952, section 2.3.1: ISIZE
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			body = unpacked
		}
		if compressed {
			header.Add("Vary", "Accept-Encoding")
		}
		header.Set("Content-Length", strconv.Itoa(size))
		if r.Method != http.MethodHead {
			_, _ = io.Copy(w, body)
		}
	})
}

// takesGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3), as every browser does.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(coding), " ", ""), ";q=")
		if name == "gzip" {
			q, err := strconv.ParseFloat(weight, 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
