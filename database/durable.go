package database

import "context"

// Lossy returns the settings of the server by which it may lose at a crash what it has acknowledged. They are its operator's choice.
func (d *Database) Lossy(ctx context.Context) ([]string, error) {
	return collect(ctx, d.Side, func(setting *string) []any { return []any{setting} }, d.product.lossy)
}
