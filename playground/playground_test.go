package playground_test

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"rollcall/playground"
)

var handler = playground.New(nil)

// send asks for something and returns the answer with its body as it was sent.
func send(t *testing.T, method, target, acceptEncoding string) (*http.Response, []byte) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if acceptEncoding != "" {
		r.Header.Set("Accept-Encoding", acceptEncoding)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result(), w.Body.Bytes()
}

// files returns the addresses of all files that are built.
func files(t *testing.T) (addresses []string) {
	t.Helper()
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == "index.html" {
			addresses = append(addresses, "/")
		} else {
			addresses = append(addresses, "/playground/"+strings.TrimSuffix(entry.Name(), ".gz"))
		}
	}
	if len(addresses) < 10 {
		t.Fatalf("only %q", addresses)
	}
	return addresses
}

func TestEveryFileIsServedCompressedOrNotAsTheClientAsks(t *testing.T) {
	media := map[string]string{
		"": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
		".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8", ".woff2": "font/woff2",
	}
	for _, address := range files(t) {
		plain, contents := send(t, "GET", address, "")
		if got := plain.Header.Get("Content-Type"); plain.StatusCode != http.StatusOK || got == "" || got != media[path.Ext(address)] || len(contents) == 0 {
			t.Errorf("%s: %s, %d bytes of %q", address, plain.Status, len(contents), got)
		}
		if int(plain.ContentLength) != len(contents) || plain.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s has %d bytes, and %v", address, len(contents), plain.Header)
		}
		for accept, want := range map[string]bool{
			"gzip, deflate, br": true, "br, GZIP;q=0.5": true, "gzip; q=1": true,
			"identity": false, "br": false, "gzip;q=0": false, "gzip;q=x, br": false, "xgzip": false,
		} {
			res, body := send(t, "GET", address, accept)
			compressed := res.Header.Get("Content-Encoding") == "gzip"
			if compressed != (want && address != "/" && path.Ext(address) != ".woff2") || int(res.ContentLength) != len(body) {
				t.Errorf("%s for %q: %d bytes, and %v", address, accept, len(body), res.Header)
			}
			if compressed {
				r, err := gzip.NewReader(bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(r); err != nil || res.Header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("%s for %q: %v, %v", address, accept, err, res.Header)
				}
			}
			if !bytes.Equal(body, contents) {
				t.Errorf("%s for %q is another", address, accept)
			}
		}
		for _, accept := range []string{"gzip", "identity"} {
			want, _ := send(t, "GET", address, accept)
			head, body := send(t, "HEAD", address, accept)
			if len(body) > 0 || head.StatusCode != http.StatusOK || head.Header.Get("Content-Length") != want.Header.Get("Content-Length") ||
				head.Header.Get("Content-Encoding") != want.Header.Get("Content-Encoding") {
				t.Errorf("HEAD %s: %s, %d bytes, %v", address, head.Status, len(body), head.Header)
			}
		}
	}
}

func TestFilesAreKeptForEverAndThePageIsNot(t *testing.T) {
	for _, address := range files(t) {
		want := "public, max-age=31536000, immutable"
		if address == "/" {
			want = "no-cache"
		} else if !regexp.MustCompile(`^/playground/[\w.-]+-[0-9A-Z]{8}\.\w+$`).MatchString(address) {
			t.Errorf("the name of %s does not change with its contents", address)
		}
		if res, _ := send(t, "GET", address, "gzip"); res.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %v", address, res.Header)
		}
	}
}

func TestEveryAnswerRestrictsWhatBrowsersDoWithIt(t *testing.T) {
	for _, address := range append(files(t), "/nowhere") {
		res, _ := send(t, "GET", address, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", address, name, got)
			}
		}
		directives := map[string]string{}
		for directive := range strings.SplitSeq(res.Header.Get("Content-Security-Policy"), "; ") {
			name, sources, _ := strings.Cut(directive, " ")
			directives[name] = sources
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "worker-src": "'self'", "connect-src": "'self'", "font-src": "'self'",
			"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
		} {
			if directives[name] != want {
				t.Errorf("%s: %s is %q", address, name, directives[name])
			}
		}
		for name, sources := range directives {
			if strings.Contains(sources, "unsafe") && name != "style-src" || strings.Contains(sources, "data:") && name != "img-src" ||
				strings.Contains(sources, "*") || strings.Contains(sources, "http") || strings.Contains(sources, "blob:") {
				t.Errorf("%s: %s is %q", address, name, sources)
			}
		}
	}
}

func TestThePageHasNoScriptOfItsOwnAndNamesAllItLoadsRelativeToItself(t *testing.T) {
	_, page := send(t, "GET", "/", "")
	if text := string(page); regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|//`).MatchString(text) || !strings.Contains(text, "<title>Rollcall</title>") {
		t.Errorf("the page is %s", text)
	}
	named := regexp.MustCompile(`(?:src|href|data-\w+-worker)="([^"]*)"`).FindAllSubmatch(page, -1)
	if len(named) != 7 {
		t.Errorf("the page names %q", named)
	}
	for _, name := range named {
		if res, _ := send(t, "GET", "/"+string(name[1]), ""); !bytes.HasPrefix(name[1], []byte("playground/")) || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name[1], res.Status)
		}
	}
}

func TestEveryFileThatIsNamedIsServedAndNoOtherIsThere(t *testing.T) {
	named := map[string]bool{"/": true}
	for _, address := range files(t) {
		_, contents := send(t, "GET", address, "")
		for _, name := range regexp.MustCompile(`[\w.-]+-[0-9A-Z]{8}\.(?:css|js|svg|ttf|txt|woff2)\b`).FindAll(contents, -1) {
			named["/playground/"+string(name)] = true
		}
		if path.Ext(address) == ".css" && regexp.MustCompile(`url\(["']?(?:https?:|//|data:(?:font|application|text))`).Match(contents) {
			t.Errorf("%s loads from elsewhere, or fonts that are in it", address)
		}
	}
	for _, address := range files(t) {
		if !named[address] {
			t.Errorf("nothing loads %s", address)
		}
		delete(named, address)
	}
	for address := range named {
		t.Errorf("%s is not there", address)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	_, page := send(t, "GET", "/", "")
	script := regexp.MustCompile(`playground/page-\w+\.js`).FindString(string(page))
	for _, address := range []string{
		"/index.html", "/playground", "/playground/", "/playground/index.html", "/playground/page.js", "/" + script + ".gz", "/dist/index.html",
		"/playground/..%2Fplayground.go", "/playground/%2E%2E/index.html", "/assets/" + path.Base(script), "/nowhere",
	} {
		if res, _ := send(t, "GET", address, "gzip"); res.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", address, res.Status)
		}
	}
	if res, _ := send(t, "POST", "/", ""); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", res.Status)
	}
}

func TestTheLicensesOfWhatIsBundledAreServed(t *testing.T) {
	for _, address := range files(t) {
		if path.Ext(address) != ".txt" {
			continue
		}
		_, text := send(t, "GET", address, "")
		for _, want := range []string{"\ngraphiql 5.", "\nmonaco-editor 0.", "\nreact 19.", "\n@fontsource/roboto ", "SIL OPEN FONT LICENSE", "Permission is hereby granted"} {
			if !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s lacks %q", address, want)
			}
		}
		return
	}
	t.Error("there are none")
}

func TestThePageOfALoginSaysHowAndMayReachTheProviderAlone(t *testing.T) {
	origins := []string{"https://login.example.com"}
	login := &playground.Login{
		Issuer: `https://login.example.com/"><script>`, ClientID: "it's & <b>", Scope: "openid profile",
		Parameters: map[string]string{"audience": "https://rollcall.example"},
		Origins:    func() []string { return origins },
	}
	get := func(h http.Handler, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		return w
	}
	with, without := playground.New(login), get(playground.New(nil), "/")
	page := get(with, "/")
	found := regexp.MustCompile(`\sdata-login="([^"]*)"`).FindStringSubmatch(page.Body.String())
	if found == nil || strings.Contains(found[1], "<") {
		t.Fatalf("the page is %s", page.Body)
	}
	const want = `{"issuer":"https://login.example.com/\"\u003e\u003cscript\u003e","clientId":"it's \u0026 \u003cb\u003e",` +
		`"scope":"openid profile","parameters":{"audience":"https://rollcall.example"}}`
	if got := html.UnescapeString(found[1]); got != want {
		t.Errorf("the page has %s", got)
	}
	if !strings.Contains(without.Body.String(), ` data-login="null"`) {
		t.Errorf("without a login the page is %s", without.Body)
	}

	const policy = "Content-Security-Policy"
	for _, more := range []string{"", " https://tokens.example.com"} { // which the server may learn later
		origins = append(origins, strings.Fields(more)...)
		got, base := get(with, "/").Header().Get(policy), without.Header().Get(policy)
		if got != base+" https://login.example.com"+more || !strings.HasSuffix(base, "; connect-src 'self'") {
			t.Errorf("the policy is %s, without a login %s", got, base)
		}
	}
}
