package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	postgresInvalidAuthorization = "28000"
	postgresInvalidPassword      = "28P01"
	postgresUnknownDatabase      = "3D000"
	postgresNoPrivilege          = "42501"
)

// postgresLock is the key of the advisory lock, which is local to a database.
const postgresLock = 0x726f6c6c63616c6c // "rollcall"

func openPostgres(ctx context.Context, rawURL string, opt Options) (*Database, error) {
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, postgresMalformed(rawURL, err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "rollcall"
	}
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["default_transaction_isolation"] = "read committed"

	read := cfg.Copy()
	read.RuntimeParams["default_transaction_read_only"] = "on"
	if opt.Deadline > 0 {
		read.RuntimeParams["statement_timeout"] = strconv.FormatInt(max(opt.Deadline.Milliseconds(), 1), 10)
	}
	renewal := newRenewal()
	writing := func() *sql.DB { return postgresPool(renewal.postgres(cfg, true)) }
	p := pools{
		write: writing(),
		side:  writing(),
		read:  postgresPool(renewal.postgres(read, false)),
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := p.sized(opt).ping(connecting); err != nil {
		p.close()
		return nil, postgresFailure(ctx, cfg, err)
	}
	d := &Database{dialect: "postgres", renewal: renewal, fresh: writing, maintenance: func(ctx context.Context) (*sql.DB, func() error, error) {
		pool := postgresPool(cfg)
		release, err := hold(ctx, pool, func(conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_lock(%d)", postgresLock))
			return err
		})
		return pool, release, err
	}}
	return d.finish(p, func(pool *sql.DB) gorm.Dialector { return postgres.New(postgres.Config{Conn: pool}) }, opt)
}

// postgresPool returns a pool whose times are in UTC rather than in the program's own zone. A connection that was idle is
// tried if it looks as if the server had closed it, and after a second in any case.
func postgresPool(cfg *pgx.ConnConfig) *sql.DB {
	return stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}), stdlib.OptionShouldPing(func(_ context.Context, p stdlib.ShouldPingParams) bool {
		return p.IdleDuration > time.Second || readable(p.Conn.PgConn().Conn())
	}), stdlib.OptionResetSession(postgresFit))
}

// postgresMalformed explains a URL that pgx does not take. pgx masks the password surely only where
// the URL's structure is beyond doubt, so elsewhere nothing of it is repeated.
func postgresMalformed(rawURL string, cause error) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Fragment != "" || u.User == nil {
		return openErrorf("the PostgreSQL URL is malformed: write postgres://user:password@host:port/name, " +
			"with special characters in the password percent-encoded")
	}
	s := server{}
	s.password, _ = u.User.Password()
	return openErrorf("the PostgreSQL URL cannot be used: %s", s.detail(cause))
}

// postgresFailure turns a failure to connect into an error for people.
func postgresFailure(ctx context.Context, cfg *pgx.ConnConfig, err error) error {
	s := server{
		product: "PostgreSQL", addr: net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))),
		user: cfg.User, name: cfg.Database, password: cfg.Password,
	}
	var reported *pgconn.PgError
	if !errors.As(err, &reported) {
		return s.unreachable(ctx, err)
	}
	switch reported.Code {
	case postgresInvalidPassword, postgresInvalidAuthorization, postgresNoPrivilege:
		return s.denied()
	case postgresUnknownDatabase:
		return s.noDatabase()
	}
	return s.refused(reported.Message)
}
