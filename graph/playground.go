package graph

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/wundergraph/graphql-go-tools/pkg/playground"
)

//go:embed playground.html
var playgroundPage string

// exampleQuery is what the Playground opens with. It shows something on the demo data.
const exampleQuery = `# Users with their managers, teams and teammates.
# Press the button, or ctrl-enter, to run it.
{
  users(first: 5, after: "VXNlcjoxMA") {
    totalCount
    nodes {
      id
      name
      email
      manager {
        name
      }
      teams(first: 2) {
        edges {
          role
          node {
            name
            members(first: 3) {
              nodes {
                name
              }
            }
          }
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`

// assetsPath is where the page finds what it loads.
const assetsPath = "/playground"

// NewPlayground returns the Playground's page and its assets, which all come from this process. It
// is to be mounted at the root, beside the API at /query.
func NewPlayground() (http.Handler, error) {
	page, err := template.New("playground").Parse(playgroundPage)
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	if err := page.Execute(&html, exampleQuery); err != nil {
		return nil, err
	}
	assets, err := playground.New(playground.Config{PlaygroundPath: assetsPath}).Handlers()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, asset := range assets {
		if asset.Path != assetsPath { // a page of the library's own, which does not know where the API is
			mux.HandleFunc("GET "+asset.Path, asset.Handler)
		}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html.Bytes())
	})
	return mux, nil
}
