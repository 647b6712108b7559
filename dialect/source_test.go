package dialect_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exceptions are files that may mention what others may not.
var exceptions = map[string][]string{
	"database/open.go":         {"sqlite", "mysql", "mariadb", "postgres", "postgresql"}, // the schemes of URLs
	"server.go":                {"sqlite"},                                               // likewise
	"database/renewal.go":      {"PgError"},                                              // of a callback of pgx's
	"database/sqlite_files.go": {"github.com/ncruces/go-sqlite3"},                        // for an error of its own that has SQLite's number
}

var names = []string{"sqlite", "mysql", "mariadb", "postgres", "postgresql"}

func TestNothingElseComparesTheNameOfADialectOrTheNumberOfAnError(t *testing.T) {
	looked := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		path = filepath.ToSlash(strings.TrimPrefix(path, "../"))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains([]string{"dialect", "sqlite", "bench", "e2e", "bin", ".git", "generated"}, entry.Name()) || strings.HasSuffix(entry.Name(), "test")):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"), filepath.Ext(path) != ".go":
			return nil
		}
		looked++
		file, err := parser.ParseFile(token.NewFileSet(), "../"+path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, found := range mentions(file) {
			if !slices.Contains(exceptions[path], found) {
				t.Errorf("%s compares or uses %q: ask a dialect.Dialect, or dialect.MeaningOf", path, found)
			}
		}
		return nil
	})
	if err != nil || looked < 50 {
		t.Errorf("looked at %d files: %v", looked, err)
	}
}

// mentions returns the names of dialects that are compared or are keys in a file, and what it has to read an error's number with.
func mentions(file *ast.File) (found []string) {
	name := func(exprs ...ast.Expr) {
		for _, expr := range exprs {
			if lit, ok := expr.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, _ := strconv.Unquote(lit.Value); slices.Contains(names, text) {
					found = append(found, text)
				}
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			name(n.X, n.Y)
		case *ast.CaseClause:
			name(n.List...)
		case *ast.KeyValueExpr:
			name(n.Key)
		case *ast.IndexExpr:
			name(n.Index)
		case *ast.ImportSpec:
			if path, _ := strconv.Unquote(n.Path.Value); path == "github.com/ncruces/go-sqlite3" {
				found = append(found, path)
			}
		case *ast.InterfaceType:
			for _, method := range n.Methods.List {
				for _, id := range method.Names {
					if id.Name == "Code" || id.Name == "SQLState" {
						found = append(found, id.Name)
					}
				}
			}
		case *ast.SelectorExpr:
			if slices.Contains([]string{"MySQLError", "PgError", "SQLState"}, n.Sel.Name) {
				found = append(found, n.Sel.Name)
			}
		}
		return true
	})
	return found
}
