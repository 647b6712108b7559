package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	driverMySQL "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// Error numbers: https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, the same in MariaDB.
const (
	mysqlDatabaseDenied  = 1044
	mysqlAccessDenied    = 1045
	mysqlUnknownDatabase = 1049
	mysqlNoPassword      = 1698 // access denied to a user who has no password to log in with
)

func openMySQL(ctx context.Context, rawURL string, opt Options) (*Database, error) {
	cfg, err := mysqlConfig(rawURL)
	if err != nil {
		return nil, err
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = max(minReadTimeout, opt.Deadline+10*time.Second)
	}
	base, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		return nil, openErrorf("the MySQL URL cannot be used: %v", err)
	}
	renewal := newRenewal()
	writing := func() *sql.DB { return mysqlPool(renewal.mysql(base, true), mysqlSession, mysqlIsolation) }
	p := pools{
		write: writing(),
		side:  writing(),
		read:  mysqlPool(renewal.mysql(base, false), mysqlSession+mysqlLimit(opt.Deadline), mysqlIsolation+", READ ONLY"),
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := p.sized(opt).ping(connecting); err != nil {
		p.close()
		return nil, mysqlFailure(ctx, cfg, err)
	}
	d := &Database{dialect: "mysql", renewal: renewal, fresh: writing, maintenance: func(ctx context.Context) (*sql.DB, func() error, error) {
		return mysqlMaintenance(ctx, cfg)
	}}
	// Without asking for the version GORM takes the SQL that MySQL and MariaDB share: LAST_INSERT_ID
	// instead of RETURNING, and LOCK IN SHARE MODE.
	return d.finish(p, func(pool *sql.DB) gorm.Dialector {
		return mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true, DontSupportForShareClause: true})
	}, opt)
}

// What every connection begins with. A server that truncates texts silently is made strict.
const (
	mysqlSession   = "SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')"
	mysqlIsolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED" // as a variable it has two names
)

// mysqlLimit extends mysqlSession by the longest that a statement may run. MariaDB alone executes
// comments that begin with /*M!, and it skips those for MySQL 5.7.
func mysqlLimit(limit time.Duration) string {
	if limit <= 0 {
		return ""
	}
	return fmt.Sprintf(" /*M! , max_statement_time = %.6f */ /*!50708 , max_execution_time = %d */",
		limit.Seconds(), max(limit.Milliseconds(), 1))
}

// mysqlConnector is the driver's connector with statements that every new connection begins with.
type mysqlConnector struct {
	driver.Connector
	first []string
}

func mysqlPool(base driver.Connector, first ...string) *sql.DB {
	return sql.OpenDB(&mysqlConnector{base, first})
}

func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, stmt := range c.first {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, stmt, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// mysqlMaintenance takes a lock that belongs to the whole server, and so is named after the database. MySQL takes names of 64
// characters, and has no MD5 any more. Of a cluster each node has locks of its own.
func mysqlMaintenance(ctx context.Context, cfg *driverMySQL.Config) (*sql.DB, func() error, error) {
	cfg = cfg.Clone()
	cfg.ReadTimeout, cfg.WriteTimeout = 0, 0
	base, err := driverMySQL.NewConnector(cfg)
	if err != nil {
		return nil, nil, err
	}
	pool := mysqlPool(base, mysqlSession)
	release, err := hold(ctx, pool, func(conn *sql.Conn) error {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('rollcall.', LEFT(SHA2(DATABASE(), 256), 40)), 600)").Scan(&got)
		if err == nil && got.Int64 != 1 {
			err = errors.New("another process has been changing the database's schema for ten minutes")
		}
		return err
	})
	return pool, release, err
}

// mysqlConfig reads a URL. Parameters are the driver's own, as far as they leave the API's behaviour
// alone, and tls, tls-ca, tls-cert and tls-key.
func mysqlConfig(rawURL string) (*driverMySQL.Config, error) {
	u, err := url.Parse(rawURL)
	// An unescaped /, ? or # in a password ends the host early and leaves the @ behind. Such a URL
	// must not be quoted, since anything in it may be the password.
	if err != nil || u.Fragment != "" || u.User == nil && strings.Contains(rawURL, "@") {
		return nil, openErrorf("the MySQL URL is malformed: write mysql://user:password@host:port/name, " +
			"with special characters in the password percent-encoded")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return nil, openErrorf("the MySQL URL names no database: write mysql://user:password@host:port/name")
	}
	query := u.Query()
	params := url.Values{}
	for key := range query {
		switch key {
		case "timeout", "readTimeout", "writeTimeout", "maxAllowedPacket", "compress", "connectionAttributes",
			"allowCleartextPasswords", "allowNativePasswords":
			params.Set(key, query.Get(key))
		case "tls", "tls-ca", "tls-cert", "tls-key":
		default:
			return nil, openErrorf("the MySQL URL has the unknown parameter %q: known are tls, tls-ca, tls-cert, tls-key, "+
				"timeout, readTimeout, writeTimeout, maxAllowedPacket, compress, connectionAttributes, "+
				"allowCleartextPasswords and allowNativePasswords", key)
		}
	}
	cfg, err := driverMySQL.ParseDSN("/?" + params.Encode())
	if err != nil {
		return nil, openErrorf("a parameter of the MySQL URL is wrong: %v", err)
	}
	if err := mysqlTLS(cfg, query); err != nil {
		return nil, err
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "3306"
	}
	cfg.Net, cfg.Addr, cfg.DBName, cfg.User = "tcp", net.JoinHostPort(host, port), name, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	if cfg.Timeout == 0 {
		cfg.Timeout = connectTimeout
	}
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.InterpolateParams = true
	cfg.ClientFoundRows = true // an update that changes nothing has still found its row
	cfg.Logger = &driverMySQL.NopLogger{}
	return cfg, cfg.Apply(driverMySQL.TimeTruncate(time.Microsecond))
}

// mysqlTLS sets the encryption: tls is true, false, skip-verify or preferred. Naming a file implies true.
func mysqlTLS(cfg *driverMySQL.Config, query url.Values) error {
	ca, cert, key := query.Get("tls-ca"), query.Get("tls-cert"), query.Get("tls-key")
	mode := query.Get("tls")
	if on, err := strconv.ParseBool(mode); err == nil {
		mode = strconv.FormatBool(on)
	}
	switch mode {
	case "true", "skip-verify", "preferred":
	case "false", "":
		if mode == "false" || ca+cert+key == "" {
			return nil
		}
	default:
		return openErrorf("tls is %q in the MySQL URL: write true, false, skip-verify or preferred", mode)
	}
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: mode == "skip-verify" || mode == "preferred"}
	cfg.AllowFallbackToPlaintext = mode == "preferred"
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return openErrorf("cannot read tls-ca: %v", err)
		}
		cfg.TLS.RootCAs = x509.NewCertPool()
		if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return openErrorf("the tls-ca file %s holds no PEM certificate", ca)
		}
	}
	if cert+key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return openErrorf("cannot use tls-cert and tls-key, which need each other: %v", err)
		}
		cfg.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// mysqlFailure turns a failure to connect into an error for people.
func mysqlFailure(ctx context.Context, cfg *driverMySQL.Config, err error) error {
	s := server{product: "MySQL", addr: cfg.Addr, user: cfg.User, name: cfg.DBName, password: cfg.Passwd}
	var reported *driverMySQL.MySQLError
	if !errors.As(err, &reported) {
		return s.unreachable(ctx, err)
	}
	switch reported.Number {
	case mysqlAccessDenied, mysqlNoPassword, mysqlDatabaseDenied:
		return s.denied()
	case mysqlUnknownDatabase:
		return s.noDatabase()
	}
	return s.refused(reported.Message)
}
