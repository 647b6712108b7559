// Small is the smallest server of the packages batch, entity, keyset, scalar and session: it answers the GraphQL operations that
// it is given as arguments, on a directory in memory, and says how many statements each has run.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/directory"
	"rollcall/graph"
	"rollcall/graph/generated"
	"rollcall/operation"
	"rollcall/session"
	"rollcall/sqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, operations []string) error {
	count := &statements{Interface: logger.Discard}
	db, err := open(count)
	if err != nil {
		return err
	}
	d := directory.New(100)
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: &graph.Resolver{Directory: d}})
	server := handler.New(d.Plan.Answers(schema))
	server.AddTransport(transport.POST{})
	server.Use(d.Plan)
	pool, err := db.DB()
	if err != nil {
		return err
	}
	if err := d.Check(ctx, pool); err != nil {
		return err
	}
	api := operation.Handler(server, operation.Extension{Pools: session.Pools{Write: db}, Bind: d.Bind})
	for _, operation := range operations {
		body, err := json.Marshal(map[string]string{"query": operation})
		if err != nil {
			return err
		}
		request := httptest.NewRequestWithContext(ctx, "POST", "/graphql", strings.NewReader(string(body)))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		count.Store(0)
		api.ServeHTTP(answer, request)
		fmt.Println(count.Load(), strings.TrimSpace(answer.Body.String()))
	}
	return nil
}

// open returns a directory with what the migrations put there.
func open(count *statements) (*gorm.DB, error) {
	pool := sql.OpenDB(sqlite.Connector{Path: ":memory:"})
	pool.SetMaxOpenConns(1) // each would have a memory of its own
	db, err := gorm.Open(sqlite.Dialector{Pool: pool}, &gorm.Config{SkipDefaultTransaction: true, Logger: count})
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob("database/migrations/sqlite/*.sql")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if _, err := pool.Exec(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return db, nil
}

// statements is a GORM logger that counts.
type statements struct {
	logger.Interface
	atomic.Int64
}

// LogMode returns the logger itself.
func (s *statements) LogMode(logger.LogLevel) logger.Interface { return s }

// Trace counts a statement.
func (s *statements) Trace(context.Context, time.Time, func() (string, int64), error) { s.Add(1) }
