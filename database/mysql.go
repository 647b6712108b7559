package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	driverMySQL "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"

	"rollcall/dialect"
)

var mysqlProduct = product{
	Dialect:  dialect.MySQL,
	goose:    goose.DialectMySQL,
	versions: func(store goosedb.Store) goosedb.Store { return mysqlVersions{store} },

	versioned: "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '" + goose.DefaultTablename + "'",
	tablesAndFlaws: ofEachTable(`SELECT table_name, IF(engine = 'InnoDB', '', CONCAT('has the engine ', COALESCE(engine, 'of a view'), ', which is not transactional'))
		FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '%[1]s'
		UNION ALL SELECT table_name, CONCAT('has texts in ', collation_name, ' instead of utf8mb4_bin')
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '%[1]s' AND collation_name <> 'utf8mb4_bin'`),
	mend:     "ENGINE = InnoDB ROW_FORMAT = DYNAMIC, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
	readOnly: "SELECT @@read_only /*!50720 OR @@super_read_only */, @@innodb_read_only", // MariaDB skips the comment
	lossy: `SELECT CONCAT('innodb_flush_log_at_trx_commit = ', @@innodb_flush_log_at_trx_commit) FROM DUAL
		WHERE @@innodb_flush_log_at_trx_commit <> 1`,
	oddEmails: "email REGEXP '[^!-~]|[A-Z]|xn--'",
}

// ofEachTable asks for one table after the other. MariaDB opens every table of the schema unless it is told the name, and takes
// that from an equality, not from a list.
func ofEachTable(query string) string {
	queries := make([]string, len(tables))
	for i, table := range tables {
		queries[i] = fmt.Sprintf(query, table)
	}
	return strings.Join(queries, " UNION ALL ")
}

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
	writing := func() *sql.DB { return mysqlPool(cfg, base, renewal, false, 0) }
	p := pools{
		write: writing(),
		side:  writing(),
		read:  mysqlPool(cfg, base, renewal, true, opt.Deadline),
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := p.sized(opt).ping(connecting); err != nil {
		p.close()
		return nil, server{"MySQL", cfg.Addr, cfg.User, cfg.DBName, cfg.Passwd}.failure(ctx, err)
	}
	d := &Database{product: mysqlProduct, renewal: renewal, fresh: writing, maintenance: func(ctx context.Context) (*sql.DB, func() error, error) {
		return mysqlMaintenance(ctx, cfg)
	}}
	// Without asking for the version GORM takes the SQL that MySQL and MariaDB share: LAST_INSERT_ID
	// instead of RETURNING, and LOCK IN SHARE MODE.
	return d.finish(p, func(pool *sql.DB) gorm.Dialector {
		return mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true, DontSupportForShareClause: true})
	}, opt)
}

// mysqlSetting is a variable of a session, and its value as SQL.
type mysqlSetting struct{ name, value string }

// mysqlSettings returns what every connection is set to, whatever the server's defaults and its init_connect are; and what
// MariaDB and MySQL alone know.
func mysqlSettings(readOnly bool, limit time.Duration) (both, mariadb, mysql []mysqlSetting) {
	access := "0"
	if readOnly {
		access = "1"
	}
	both = []mysqlSetting{
		// The driver interpolates parameters by escaping bytes. That is right only where no byte of a longer character can be
		// taken for a quote or a backslash, as in UTF-8 and not in GBK, Big5 or Shift JIS, and where the server reads a
		// backslash as the driver writes it: without NO_BACKSLASH_ESCAPES and ANSI_QUOTES.
		{"character_set_client", "'utf8mb4'"},
		{"character_set_connection", "'utf8mb4'"},
		{"character_set_results", "'utf8mb4'"},
		{"collation_connection", "'utf8mb4_bin'"}, // as our columns have it
		{"sql_mode", "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"},
		{"autocommit", "1"},
		{"completion_type", "'NO_CHAIN'"}, // COMMIT begins no further transaction
		{"time_zone", "'+00:00'"},
		{"foreign_key_checks", "1"},
		{"unique_checks", "1"},
		{"sql_select_limit", "18446744073709551615"}, // no list ends early
		{"sql_big_selects", "1"},                     // whatever max_join_size is
		{"sql_safe_updates", "0"},
		{"sql_auto_is_null", "0"},                                                 // IS NULL finds no row that was inserted
		{"wait_timeout", strconv.Itoa(int((connLifetime + time.Hour).Seconds()))}, // the pool ends it before the server does
	}
	mariadb = []mysqlSetting{
		{"tx_isolation", "'READ-COMMITTED'"},
		{"tx_read_only", access},
		{"max_statement_time", fmt.Sprintf("%.6f", limit.Seconds())},
		{"check_constraint_checks", "1"},
	}
	mysql = []mysqlSetting{
		{"transaction_isolation", "'READ-COMMITTED'"},
		{"transaction_read_only", access},
		{"max_execution_time", strconv.FormatInt(int64(math.Ceil(limit.Seconds()*1000)), 10)}, // 0 is no limit
	}
	return both, mariadb, mysql
}

// mysqlStatements returns a statement that sets a connection's variables, and one whose result names those that have another
// value all the same. MariaDB alone executes comments that begin with /*M!, and skips those for MySQL 5.7.
func mysqlStatements(readOnly bool, limit time.Duration) (set, check string) {
	both, mariadb, mysql := mysqlSettings(readOnly, limit)
	forEach := func(settings []mysqlSetting, format string) string {
		texts := make([]string, len(settings))
		for i, s := range settings {
			texts[i] = fmt.Sprintf(format, s.name, s.value)
		}
		return strings.Join(texts, ", ")
	}
	each := func(format string) string {
		return forEach(both, format) + " /*M! , " + forEach(mariadb, format) + " */ /*!50720 , " + forEach(mysql, format) + " */"
	}
	return "SET " + each("@@SESSION.%s = %s"),
		"SELECT CONCAT_WS(', ', " + each("IF(@@SESSION.%[1]s <=> %[2]s, NULL, CONCAT('%[1]s = ', QUOTE(@@SESSION.%[1]s)))") + ")"
}

// mysqlConnector is the driver's connector for connections that are set as mysqlSettings says, and refuses others.
type mysqlConnector struct {
	driver.Connector
	renewal    *renewal // that the connections are under, or nil
	writes     bool
	addr       string
	set, check string
}

func mysqlPool(cfg *driverMySQL.Config, base driver.Connector, renewal *renewal, readOnly bool, limit time.Duration) *sql.DB {
	set, check := mysqlStatements(readOnly, limit)
	return sql.OpenDB(&mysqlConnector{base, renewal, !readOnly, cfg.Addr, set, check})
}

func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	var renewed *renewed
	if c.renewal != nil {
		renewed = c.renewal.connection(c.writes) // of the generation in which it began
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if renewed != nil {
		conn = &mysqlConn{conn.(driverConn), conn.(driver.NamedValueChecker), renewed}
	}
	if err := c.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c *mysqlConnector) prepare(ctx context.Context, conn driver.Conn) error {
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, c.set, nil); err != nil {
		return err
	}
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, c.check, nil)
	if err != nil {
		return err
	}
	row := make([]driver.Value, 1)
	if err := errors.Join(rows.Next(row), rows.Close()); err != nil {
		return err
	}
	if others := fmt.Sprintf("%s", row[0]); others != "" {
		return openErrorf("MySQL at %s does not let a connection have the settings that it needs, which are now %s: "+
			"is there a proxy between that changes them?", c.addr, others)
	}
	return nil
}

// mysqlVersions is goose's table of versions, with an engine. On MySQL its creation and its first row are no transaction, and goose
// itself would never again write a first row that was not written then. It looks for that row, not for the table, where a store
// has no method TableExists.
type mysqlVersions struct{ goosedb.Store }

func (mysqlVersions) CreateVersionTable(ctx context.Context, db goosedb.DBTxConn) error {
	_, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+goose.DefaultTablename+` (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp datetime NULL DEFAULT CURRENT_TIMESTAMP
)`+dialect.MySQL.TableOptions())
	return err
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
	pool := mysqlPool(cfg, base, nil, false, 0)
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
	_, rest, ok := strings.Cut(rawURL, "://")
	var query url.Values
	if err == nil {
		query, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil || !ok || !unambiguous(rest) {
		return nil, openErrorf("the MySQL URL is malformed: write mysql://user:password@host:port/name, " +
			"with special characters in the password percent-encoded")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return nil, openErrorf("the MySQL URL names no database: write mysql://user:password@host:port/name")
	}
	if query.Has("password") { // which the names of others may be parts of
		return nil, openErrorf("the MySQL URL has the password in the wrong place: write mysql://user:password@host:port/name")
	}
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
