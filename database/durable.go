package database

import "context"

// lossy finds the settings of a server by which a crash takes with it what was acknowledged shortly before. SQLite's are Open's own.
var lossy = map[string]string{
	"sqlite": "SELECT '' WHERE false",
	"mysql": `SELECT CONCAT('innodb_flush_log_at_trx_commit = ', @@innodb_flush_log_at_trx_commit) FROM DUAL
		WHERE @@innodb_flush_log_at_trx_commit <> 1`,
	"postgres": `SELECT name || ' = ' || setting FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name`,
}

// Lossy returns the settings of the server by which it may lose at a crash what it has acknowledged. They are its operator's choice.
func (d *Database) Lossy(ctx context.Context) (settings []string, err error) {
	rows, err := d.Side.QueryContext(ctx, lossy[d.dialect])
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var setting string
		if err := rows.Scan(&setting); err != nil {
			return nil, err
		}
		settings = append(settings, setting)
	}
	return settings, rows.Err()
}
