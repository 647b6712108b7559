package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"rollcall/dialect"
	"rollcall/scalar"
)

var postgresProduct = product{
	Dialect: dialect.PostgreSQL,
	goose:   goose.DialectPostgres,
	gorm:    func(pool *sql.DB) gorm.Dialector { return postgres.New(postgres.Config{Conn: pool}) },

	tablesAndFlaws: `SELECT relname, CASE WHEN relpersistence = 'u' THEN 'is UNLOGGED: a crash of the server empties it' ELSE '' END
		FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)`,
	mend:     "SET LOGGED",
	readOnly: "SELECT false, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool",
	lossy: `SELECT name || ' = ' || setting FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name`,
	lockCounts: "INSERT INTO directory_locks (name, changes) VALUES ('counts', 1) ON CONFLICT (name) DO UPDATE SET changes = directory_locks.changes + 1",
	oddEmails:  "email ~ '[^!-~]|[A-Z]|xn--'",
}

func openPostgres(ctx context.Context, rawURL string, opt Options) (_ *Database, err error) {
	cfg, mode, err := postgresConfig(rawURL)
	if err != nil {
		return nil, err
	}
	d := &Database{product: postgresProduct, renewal: newRenewal()}
	nodes := postgresNodes(cfg)
	if d.hosts, err = postgresHosts(nodes, rawURL, opt, d.renewal); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.hosts.end()
			err = postgresFailure(ctx, cfg, err)
		}
	}()
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if mode == sessionPooler {
		i, _, err := d.hosts.wait(connecting)
		if err == nil {
			err = postgresBackends(connecting, nodes[i])
		}
		if err != nil {
			return nil, err
		}
	}
	d.fresh = func() *sql.DB {
		return postgresPool(d.hosts, d.renewal.postgres(nodes, true), mode, postgresSettings{})
	}
	d.maintain = func(ctx context.Context, fn func(context.Context, *sql.DB) error) error {
		i, _, err := d.hosts.wait(ctx)
		if err != nil {
			return err
		}
		pool := postgresPool(nil, nodes[i:i+1], mode, postgresSettings{endless: true})
		lock, err := postgresLock(ctx, pool)
		if err == nil {
			err = errors.Join(fn(ctx, pool), lock.Rollback())
		}
		return errors.Join(err, pool.Close())
	}
	connect := func() error {
		reading := postgresPool(d.hosts, d.renewal.postgres(nodes, false), mode, postgresSettings{readOnly: true, limit: opt.Deadline})
		d.pools = pools{write: d.fresh(), side: d.fresh(), read: reading}.sized(opt)
		return d.pools.ping(connecting)
	}
	err = connect()
	if errors.Is(err, errPooler) {
		mode = transactionPooler // right in every mode, and all that is sure of a pooler that the URL does not name
		err = connect()
	}
	if err != nil {
		return nil, err
	}
	d.signal = func(ctx context.Context) (*pgx.Conn, func(), error) {
		if mode == transactionPooler {
			return nil, nil, errors.ErrUnsupported
		}
		return postgresListen(ctx, d.hosts, nodes)
	}
	return d, nil
}

// postgresPool returns a pool whose connections are set as settings say, whatever the server's, the database's and the role's
// defaults are. A connection that was idle is tried if it looks as if the server had closed it, and after a second in any case.
func postgresPool(hosts *hosts, nodes []*pgx.ConnConfig, mode poolerMode, settings postgresSettings) *sql.DB {
	bases := make([]driver.Connector, len(nodes))
	for i, cfg := range nodes {
		bases[i] = postgresConnector(cfg, mode, settings)
	}
	if len(bases) == 1 {
		return sql.OpenDB(bases[0])
	}
	return sql.OpenDB(connector{bases[0], func(ctx context.Context) (driver.Conn, error) {
		conn, _, err := connectTo(ctx, hosts, func(ctx context.Context, i int) (driver.Conn, error) { return bases[i].Connect(ctx) })
		return conn, err
	}})
}

func postgresConnector(cfg *pgx.ConnConfig, mode poolerMode, settings postgresSettings) driver.Connector {
	if mode == transactionPooler {
		cfg = cfg.Copy()
		if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement { // that would be prepared on one server, and executed on another
			cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		}
	}
	base := stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: timestamptzCodec{&pgtype.TimestamptzCodec{ScanLocation: time.UTC}},
		})
		if mode == transactionPooler {
			return nil
		}
		// Not as parameters of the connection's start: PgBouncer refuses most of them, and pgx takes the server for a standby
		// that has default_transaction_read_only.
		err := settings.apply(ctx, conn, settings.session(mode, conn.PgConn().PID()))
		if err != nil {
			_ = conn.Close(ctx)
		}
		return err
	}), stdlib.OptionShouldPing(func(_ context.Context, p stdlib.ShouldPingParams) bool {
		return p.IdleDuration > time.Second || readable(p.Conn.PgConn().Conn())
	}), stdlib.OptionResetSession(postgresFit))
	if mode == transactionPooler {
		return pooledConnector(base, settings)
	}
	return base
}

// postgresSettings are what a pool's connections are set to.
type postgresSettings struct {
	readOnly bool
	limit    time.Duration // of a statement, 0: none
	endless  bool          // nothing else has a time limit either
}

// errPooler refuses a connection through a pooler that the URL does not name: what is set on it would reach others.
var errPooler error = &OpenError{Message: "PostgreSQL is behind a pooler now, and was not when the server started: start it again, " +
	"or write pooler=transaction in the URL"}

// session returns a statement that sets a whole session. Without a pooler it does so only on the backend which the server named
// when the connection began: a pooler gives the client another number.
func (s postgresSettings) session(mode poolerMode, backend uint32) string {
	settings := [][2]string{{"default_transaction_isolation", "read committed"}, {"default_transaction_deferrable", "off"}}
	if s.readOnly { // else it is the server's to say: this is how some are closed to writes
		settings = append(settings, [2]string{"default_transaction_read_only", "on"})
	}
	text := s.sql(false, settings)
	if mode == sessionPooler {
		return text
	}
	return text + fmt.Sprintf(" WHERE pg_backend_pid() = %d", backend)
}

// transaction returns statements that begin a transaction and set it.
func (s postgresSettings) transaction(isolation sql.IsolationLevel, readOnly bool) string {
	access := ""
	if s.readOnly || readOnly {
		access = " READ ONLY,"
	}
	isolation = cmp.Or(isolation, sql.LevelReadCommitted)
	return "BEGIN ISOLATION LEVEL " + strings.ToUpper(isolation.String()) + "," + access + " NOT DEFERRABLE; " + s.sql(true, nil)
}

// sql returns a SELECT that sets what is common to sessions and transactions, and more. Its columns are apply's.
func (s postgresSettings) sql(local bool, more [][2]string) string {
	b := &strings.Builder{}
	b.WriteString("SELECT current_setting('server_encoding'), concat_ws(', '")
	for _, setting := range append([][2]string{
		{"client_encoding", "UTF8"},
		{"standard_conforming_strings", "on"}, // so pgx quotes
		{"TimeZone", "UTC"},
		{"DateStyle", "ISO, YMD"}, // so pgx reads times that come as text
	}, more...) {
		fmt.Fprintf(b, ", '%[1]s = ' || nullif(set_config('%[1]s', '%[2]s', %[3]t), '%[2]s')", setting[0], setting[1], local)
	}
	// Only a superuser may set it, and foreign keys are not checked unless it is so.
	b.WriteString(", 'session_replication_role = ' || nullif(current_setting('session_replication_role'), 'origin')")
	// The limit comes back in another unit, so it has a column of its own.
	fmt.Fprintf(b, "), set_config('statement_timeout', '%d', %t)", int64(math.Ceil(s.limit.Seconds()*1000)), local)
	if s.endless { // not every version knows all of these
		fmt.Fprintf(b, `, (SELECT max(set_config(name, '0', %t)) FROM pg_settings
			WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'))`, local)
	}
	return b.String()
}

// apply runs what session or transaction returns, and makes sure of what came of it.
func (s postgresSettings) apply(ctx context.Context, conn *pgx.Conn, text string) error {
	results, err := conn.PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		return err
	}
	rows := results[len(results)-1].Rows
	if len(rows) == 0 {
		return errPooler
	}
	if encoding := string(rows[0][0]); encoding != "UTF8" {
		cfg := conn.Config()
		return openErrorf("the database %q of PostgreSQL at %s has the encoding %s, which cannot keep every text: "+
			"create one with ENCODING 'UTF8'", cfg.Database, postgresAddr(cfg), encoding)
	}
	if others := string(rows[0][1]); others != "" {
		return openErrorf("PostgreSQL at %s does not let a connection have the settings that it needs, which are now %s",
			postgresAddr(conn.Config()), others)
	}
	return nil
}

// postgresLock waits for the lock against every other process that changes the schema, and returns the transaction that has it,
// since a session may be given away by a pooler. The lock is tried and not waited for in the database, as waiting
// clients would keep a pooler's connections from the holder.
func postgresLock(ctx context.Context, pool *sql.DB) (*sql.Tx, error) {
	const key = 0x726f6c6c63616c6c // "rollcall", local to a database
	for {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		var got bool
		err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT pg_try_advisory_xact_lock(%d)", key)).Scan(&got)
		if err == nil && got {
			return tx, nil
		}
		if err = errors.Join(err, tx.Rollback()); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// timestamptzCodec reads times in UTC rather than in the program's own zone, and infinity as the last time or the first that
// can be told. (The driver would give a text.)
type timestamptzCodec struct{ *pgtype.TimestamptzCodec }

func (c timestamptzCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	plan := c.TimestamptzCodec.PlanScan(m, oid, format, target)
	if _, ok := target.(*pgtype.Timestamptz); ok && plan != nil {
		return finiteScan{plan}
	}
	return plan
}

type finiteScan struct{ pgtype.ScanPlan }

func (f finiteScan) Scan(src []byte, target any) error {
	t := target.(*pgtype.Timestamptz)
	if err := f.ScanPlan.Scan(src, t); err != nil {
		return err
	}
	switch t.InfinityModifier {
	case pgtype.Infinity:
		t.Time = scalar.LastTime
	case pgtype.NegativeInfinity:
		t.Time = scalar.FirstTime
	}
	t.InfinityModifier = pgtype.Finite
	return nil
}

// postgresConfig reads a URL. Its parameters are pgx's, and pooler. Host, port and database are what the URL says and never
// what the environment does.
func postgresConfig(rawURL string) (*pgx.ConnConfig, poolerMode, error) {
	const form = "write postgres://user:password@host:port/name"
	rest, ok := strings.CutPrefix(rawURL, "postgres://")
	if !ok {
		rest, ok = strings.CutPrefix(rawURL, "postgresql://")
	}
	path, rawQuery, _ := strings.Cut(rest, "?")
	authority, name, _ := strings.Cut(path, "/")
	query, err := url.ParseQuery(rawQuery)
	if !ok || err != nil || !unambiguous(rest) {
		return nil, "", openErrorf("the PostgreSQL URL is malformed: %s, with special characters in the password percent-encoded", form)
	}
	hosts := authority[strings.Index(authority, "@")+1:]
	if !query.Has("service") { // which says the rest
		for _, key := range []string{"dbname", "database"} {
			if query.Has(key) {
				name = query.Get(key)
			}
		}
		switch {
		case name == "":
			return nil, "", openErrorf("the PostgreSQL URL names no database: %s", form)
		case query.Has("host") && query.Get("host") == "", hosts == "" && !query.Has("host"):
			return nil, "", openErrorf("the PostgreSQL URL names no host: %s", form)
		}
		if !query.Has("port") && !strings.Contains(hosts[strings.LastIndex(hosts, "]")+1:], ":") && !strings.Contains(hosts, ",") {
			query.Set("port", "5432")
			rawURL = "postgres://" + path + "?" + query.Encode()
		}
	}
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		// Only the cause of pgx's error is without the URL. A URL without a user may begin with a password, and one with a
		// password among its parameters may have more of it there.
		if cause := errors.Unwrap(err); cause != nil && strings.Contains(authority, "@") && !query.Has("password") && !query.Has("sslpassword") {
			_, password, _ := strings.Cut(strings.TrimSuffix(authority, "@"+hosts), ":")
			password, _ = url.PathUnescape(password)
			return nil, "", openErrorf("the PostgreSQL URL cannot be used: %s", server{password: password}.detail(cause))
		}
		return nil, "", openErrorf("the PostgreSQL URL cannot be used: %s", form)
	}
	mode := poolerMode(cfg.RuntimeParams["pooler"])
	delete(cfg.RuntimeParams, "pooler")
	if mode != "" && mode != sessionPooler && mode != transactionPooler {
		return nil, "", openErrorf("pooler is %q in the PostgreSQL URL: write session or transaction", mode)
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, connectTimeout)
	cfg.RuntimeParams["application_name"] = cmp.Or(cfg.RuntimeParams["application_name"], "rollcall")
	return cfg, mode, nil
}

func postgresAddr(cfg *pgx.ConnConfig) string {
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

func postgresFailure(ctx context.Context, cfg *pgx.ConnConfig, err error) error {
	return server{"PostgreSQL", postgresAddr(cfg), cfg.User, cfg.Database, cfg.Password}.failure(ctx, err)
}
