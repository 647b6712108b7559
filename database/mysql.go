package database

import (
	"cmp"
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
	"slices"
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
	// Without asking for the version GORM takes the SQL that MySQL and MariaDB share: LAST_INSERT_ID
	// instead of RETURNING, and LOCK IN SHARE MODE.
	gorm: func(pool *sql.DB) gorm.Dialector {
		return mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true, DontSupportForShareClause: true})
	},

	tablesAndFlaws: ofEachTable(`SELECT table_name, IF(engine = 'InnoDB', '', CONCAT('has the engine ', COALESCE(engine, 'of a view'), ', which is not transactional'))
		FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '%[1]s'
		UNION ALL SELECT table_name, CONCAT('has texts in ', collation_name, ' instead of utf8mb4_bin')
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '%[1]s' AND collation_name <> 'utf8mb4_bin'`),
	mend:     "ENGINE = InnoDB ROW_FORMAT = DYNAMIC, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
	readOnly: "SELECT @@read_only /*!50720 OR @@super_read_only */, @@innodb_read_only", // MariaDB skips the comment
	lossy: `SELECT CONCAT('innodb_flush_log_at_trx_commit = ', @@innodb_flush_log_at_trx_commit) FROM DUAL
		WHERE @@innodb_flush_log_at_trx_commit <> 1`,
	catchUp:    "SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1",
	lockCounts: "INSERT INTO directory_locks (name, changes) VALUES ('counts', 1) ON DUPLICATE KEY UPDATE changes = changes + 1",
	oddEmails:  "email REGEXP '[^!-~]|[A-Z]|xn--'",
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
	d := &Database{product: mysqlProduct, renewal: newRenewal()}
	nodes, err := mysqlNodes(rawURL, opt.Deadline)
	if err != nil {
		return nil, err
	}
	d.hosts = mysqlHosts(nodes, opt, d.renewal)
	d.fresh = func() *sql.DB { return mysqlPool(d.hosts, nodes, d.renewal, false, 0) }
	d.maintain = func(ctx context.Context, fn func(context.Context, *sql.DB) error) error {
		i, _, err := d.hosts.wait(ctx)
		if err != nil {
			return err
		}
		return mysqlMaintain(ctx, nodes[i], fn)
	}
	d.pools = pools{write: d.fresh(), side: d.fresh(), read: mysqlPool(d.hosts, nodes, d.renewal, true, opt.Deadline)}.sized(opt)
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := d.pools.ping(connecting); err != nil {
		d.hosts.end()
		return nil, nodes[0].server().failure(ctx, err)
	}
	return d, nil
}

// mysqlNode is one of the hosts that a URL lists.
type mysqlNode struct {
	product string // as the URL has it: until a connection stands the two cannot be told apart
	cfg     *driverMySQL.Config
	base    driver.Connector
}

func (n mysqlNode) server() server {
	return server{n.product, n.cfg.Addr, n.cfg.User, n.cfg.DBName, n.cfg.Passwd}
}

// mysqlNodes reads a URL, which may list several hosts.
func mysqlNodes(rawURL string, deadline time.Duration) (nodes []mysqlNode, err error) {
	product := "MySQL"
	if strings.HasPrefix(rawURL, "mariadb:") {
		product = "MariaDB"
	}
	for _, one := range eachHost(rawURL) {
		cfg, err := mysqlConfig(one, product)
		if err != nil {
			return nil, err
		}
		cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, max(minReadTimeout, deadline+10*time.Second))
		nodes = append(nodes, mysqlNode{product: product, cfg: cfg})
	}
	for i := range nodes {
		if nodes[i].base, err = driverMySQL.NewConnector(nodes[i].cfg); err != nil {
			return nil, openErrorf("the %s URL cannot be used: %v", product, err)
		}
	}
	return nodes, nil
}

// mysqlStatements returns a statement that sets a connection's variables, whatever the server's defaults and its init_connect
// are, and one whose result names those that have another value all the same. MariaDB alone executes comments that begin with
// /*M!, and skips those for MySQL 5.7.
func mysqlStatements(readOnly bool, limit time.Duration) (set, check string) {
	access := strconv.FormatBool(readOnly)
	both := [][2]string{
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
		{"optimizer_search_depth", "4"},                                           // of many conditions with a subquery, each a join, all orders would be tried
		{"sql_auto_is_null", "0"},                                                 // IS NULL finds no row that was inserted
		{"wait_timeout", strconv.Itoa(int((connLifetime + time.Hour).Seconds()))}, // the pool ends it before the server does
	}
	mariadb := [][2]string{
		{"tx_isolation", "'READ-COMMITTED'"},
		{"tx_read_only", access},
		{"max_statement_time", fmt.Sprintf("%.6f", limit.Seconds())},
		{"check_constraint_checks", "1"},
	}
	mysql := [][2]string{
		{"transaction_isolation", "'READ-COMMITTED'"},
		{"transaction_read_only", access},
		{"max_execution_time", strconv.FormatInt(int64(math.Ceil(limit.Seconds()*1000)), 10)}, // 0 is no limit
	}
	forEach := func(settings [][2]string, format string) string {
		texts := make([]string, len(settings))
		for i, s := range settings {
			texts[i] = fmt.Sprintf(format, s[0], s[1])
		}
		return strings.Join(texts, ", ")
	}
	each := func(format string) string {
		return forEach(both, format) + " /*M! , " + forEach(mariadb, format) + " */ /*!50720 , " + forEach(mysql, format) + " */"
	}
	return "SET " + each("@@SESSION.%s = %s"),
		"SELECT CONCAT_WS(', ', " + each("IF(@@SESSION.%[1]s <=> %[2]s, NULL, CONCAT('%[1]s = ', QUOTE(@@SESSION.%[1]s)))") + ")"
}

// mysqlPool returns a pool whose connections are set as mysqlStatements says. Others are refused.
func mysqlPool(hosts *hosts, nodes []mysqlNode, renewal *renewal, readOnly bool, limit time.Duration) *sql.DB {
	set, check := mysqlStatements(readOnly, limit)
	return sql.OpenDB(connector{nodes[0].base, func(ctx context.Context) (driver.Conn, error) {
		renewed := renewal.connection(!readOnly) // of the generation in which it began
		conn, _, err := connectTo(ctx, hosts, func(ctx context.Context, i int) (driver.Conn, error) {
			conn, err := nodes[i].base.Connect(ctx)
			if err != nil {
				return nil, err
			}
			guarded := &guardedConn{conn.(driverConn), renewed, galeraMeans}
			if err := mysqlPrepare(ctx, guarded, nodes[i], set, check); err != nil {
				return nil, errors.Join(err, guarded.Close())
			}
			return guarded, nil
		})
		return conn, err
	}})
}

func mysqlPrepare(ctx context.Context, conn driverConn, node mysqlNode, set, check string) error {
	if _, err := conn.ExecContext(ctx, set, nil); err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, check, nil)
	if err != nil {
		return err
	}
	row := make([]driver.Value, 1)
	if err := errors.Join(rows.Next(row), rows.Close()); err != nil {
		return err
	}
	if others := fmt.Sprintf("%s", row[0]); others != "" {
		return openErrorf("%s at %s does not let a connection have the settings that it needs, which are now %s: "+
			"is there a proxy between that changes them?", node.product, node.cfg.Addr, others)
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

// mysqlMaintain takes a lock that belongs to the whole server, and so is named after the database. MySQL takes names of 64
// characters, and has no MD5 any more. Of a cluster each node has locks of its own: see mysqlLeased.
func mysqlMaintain(ctx context.Context, node mysqlNode, fn func(ctx context.Context, pool *sql.DB) error) (err error) {
	node.cfg = node.cfg.Clone()
	node.cfg.ReadTimeout, node.cfg.WriteTimeout = 0, 0
	if node.base, err = driverMySQL.NewConnector(node.cfg); err != nil {
		return err
	}
	pool := mysqlPool(nil, []mysqlNode{node}, &renewal{}, false, 0)
	return locked(ctx, pool, func(conn *sql.Conn) error {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('rollcall.', LEFT(SHA2(DATABASE(), 256), 40)), 600)").Scan(&got)
		if err == nil && got.Int64 != 1 {
			err = errors.New("another process has been changing the database's schema for ten minutes")
		}
		return err
	}, func() error { return mysqlLeased(ctx, pool, fn) })
}

// mysqlConfig reads a URL. Parameters are the driver's own, as far as they leave the API's behaviour
// alone, and tls, tls-ca, tls-cert and tls-key.
func mysqlConfig(rawURL, product string) (*driverMySQL.Config, error) {
	form := "write " + strings.ToLower(product) + "://user:password@host:port/name"
	u, err := url.Parse(rawURL)
	_, rest, ok := strings.Cut(rawURL, "://")
	var query url.Values
	if err == nil {
		query, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil || !ok || !unambiguous(rest) {
		return nil, openErrorf("the %s URL is malformed: %s, with special characters in the password percent-encoded", product, form)
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return nil, openErrorf("the %s URL names no database: %s", product, form)
	}
	if query.Has("password") { // which the names of others may be parts of
		return nil, openErrorf("the %s URL has the password in the wrong place: %s", product, form)
	}
	known := []string{
		"tls", "tls-ca", "tls-cert", "tls-key", "timeout", "readTimeout", "writeTimeout", "maxAllowedPacket", "compress",
		"connectionAttributes", "allowCleartextPasswords", "allowNativePasswords",
	}
	last := len(known) - 1
	params := url.Values{}
	for key := range query {
		if !slices.Contains(known, key) {
			return nil, openErrorf("the %s URL has the unknown parameter %q: known are %s and %s", product, key, strings.Join(known[:last], ", "), known[last])
		}
		if !strings.HasPrefix(key, "tls") {
			params.Set(key, query.Get(key))
		}
	}
	cfg, err := driverMySQL.ParseDSN("/?" + params.Encode())
	if err != nil {
		return nil, openErrorf("a parameter of the %s URL is wrong: %v", product, err)
	}
	if err := mysqlTLS(cfg, query, product); err != nil {
		return nil, err
	}
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306"))
	cfg.DBName, cfg.User = name, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Timeout = cmp.Or(cfg.Timeout, connectTimeout)
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.InterpolateParams = true
	cfg.ClientFoundRows = true // an update that changes nothing has still found its row
	cfg.Logger = &driverMySQL.NopLogger{}
	return cfg, cfg.Apply(driverMySQL.TimeTruncate(time.Microsecond))
}

// mysqlTLS sets the encryption: tls is true, false, skip-verify or preferred. Naming a file implies true.
func mysqlTLS(cfg *driverMySQL.Config, query url.Values, product string) error {
	ca, cert, key := query.Get("tls-ca"), query.Get("tls-cert"), query.Get("tls-key")
	mode := cmp.Or(query.Get("tls"), strconv.FormatBool(ca+cert+key != ""))
	cfg.AllowFallbackToPlaintext = mode == "preferred"
	unverified := cfg.AllowFallbackToPlaintext || mode == "skip-verify"
	switch on, err := strconv.ParseBool(mode); {
	case err != nil && !unverified:
		return openErrorf("tls is %q in the %s URL: write true, false, skip-verify or preferred", mode, product)
	case !on && !unverified:
		return nil
	}
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: unverified}
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
