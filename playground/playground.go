// Package playground serves the page on which people try the API.
package playground

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	library "github.com/wundergraph/graphql-go-tools/pkg/playground"
)

//go:embed playground.html
var page string

// example is the query that the page opens with. It shows something on the demo data.
//
//go:embed example.graphql
var example string

// assetsPath is where the page finds what it loads.
const assetsPath = "/playground"

// New returns the page and its assets, which all come from this process. It is to be mounted at the root, beside the API
// at /query.
func New() (http.Handler, error) {
	parsed, err := template.New("playground").Parse(page)
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	if err := parsed.Execute(&html, example); err != nil {
		return nil, err
	}
	assets, err := library.New(library.Config{PlaygroundPath: assetsPath}).Handlers()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, asset := range assets {
		if asset.Path != assetsPath { // a page of the library's own, which does not know where the API is
			mux.HandleFunc("GET "+asset.Path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "public, max-age=3600")
				asset.Handler(w, r)
			})
		}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(html.Bytes())
	})
	policy := policy(html.String())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header() // by which browsers keep pages apart
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	}), nil
}

// policy is the page's Content-Security-Policy: it runs its own scripts and talks to this server only. The Playground
// writes styles as it goes.
func policy(html string) string {
	_, script, _ := strings.Cut(html, "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	hash := sha256.Sum256([]byte(script))
	return "default-src 'none'; script-src 'self' 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; " +
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
