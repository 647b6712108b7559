package operation_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"gorm.io/gorm"

	"rollcall/operation"
	"rollcall/schematest"
	"rollcall/schematest/generated"
	"rollcall/session"
	"rollcall/sqlite"
)

// tellers resolve a schema of accounts. Each type that gqlgen generates is embedded, so that what this example
// doesn't need can be left out.
type (
	tellers  struct{ generated.ResolverRoot }
	query    struct{ generated.QueryResolver }
	mutation struct{ generated.MutationResolver }
)

func (tellers) Query() generated.QueryResolver       { return query{} }
func (tellers) Mutation() generated.MutationResolver { return mutation{} }

// Account needs no transaction, and no connection when it is done: session.DB is a *gorm.DB like any other.
func (query) Account(ctx context.Context, id int) (*schematest.Account, error) {
	account := &schematest.Account{}
	return account, session.DB(ctx).Take(account, id).Error
}

// Transfer writes twice. It need not begin or commit anything: an error takes back whatever the operation wrote.
func (mutation) Transfer(ctx context.Context, from, to, amount int) ([]*schematest.Account, error) {
	for id, change := range map[int]int{from: -amount, to: amount} {
		err := session.DB(ctx).Model(&schematest.Account{ID: id}).Update("balance", gorm.Expr("balance + ?", change)).Error
		if err != nil {
			return nil, err
		}
	}
	var accounts []*schematest.Account
	if err := session.DB(ctx).Order("id").Find(&accounts, []int{from, to}).Error; err != nil {
		return nil, err
	}
	for _, account := range accounts {
		if account.Balance < 0 {
			return nil, fmt.Errorf("account %d is short of %d", account.ID, -account.Balance)
		}
	}
	session.AfterCommit(ctx, func() { fmt.Println("tell them that", amount, "came from", from) })
	return accounts, nil
}

// Example gives each operation of a gqlgen server a GORM session, over SQLite.
func Example() {
	folder, err := os.MkdirTemp("", "bank")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()

	// SkipDefaultTransaction, since the session is the transaction. Immediate, since a mutation may read before it
	// writes: it must not find then that another one has written meanwhile.
	pool := sql.OpenDB(sqlite.Connector{
		Path:      filepath.Join(folder, "bank.db"),
		Immediate: true,
		Pragmas:   []string{"busy_timeout = 5000", "journal_mode = WAL"},
	})
	defer func() { _ = pool.Close() }()
	db, err := gorm.Open(sqlite.Dialector{Pool: pool}, &gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		panic(err)
	}
	if err := db.AutoMigrate(&schematest.Account{}); err != nil {
		panic(err)
	}
	if err := db.Create([]schematest.Account{{ID: 1, Balance: 100}, {ID: 2, Balance: 100}}).Error; err != nil {
		panic(err)
	}

	srv := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: tellers{}}))
	srv.AddTransport(transport.POST{})
	server := httptest.NewServer(operation.Handler(srv, operation.Extension{Pools: session.Pools{Write: db}}))
	defer server.Close()

	for _, operation := range []string{
		`mutation { transfer(from: 1, to: 2, amount: 30) { id balance } }`,
		`mutation { transfer(from: 1, to: 2, amount: 90) { id balance } }`,
		`query { account(id: 1) { balance } }`,
	} {
		body := strings.NewReader(fmt.Sprintf(`{"query": %q}`, operation))
		response, err := http.Post(server.URL, "application/json", body)
		if err != nil {
			panic(err)
		}
		answer, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Println(string(answer))
	}
	// Output:
	// tell them that 30 came from 1
	// {"data":{"transfer":[{"id":"1","balance":70},{"id":"2","balance":130}]}}
	// {"errors":[{"message":"account 1 is short of 20","path":["transfer"],"locations":[{"line":1,"column":12}]}],"data":null}
	// {"data":{"account":{"balance":70}}}
}
