package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/pressly/goose/v3"

	"rollcall/model"
)

const (
	emailsVersion = 5
	emailsBatch   = 500
)

// EmailClash is a user whose email stays in another spelling than NormalEmail's, since another user has that one.
type EmailClash struct{ ID, Holder int64 }

func (c EmailClash) String() string {
	return fmt.Sprintf("%s has the email of %s in another spelling, so that userByEmail finds %[2]s alone: "+
		"delete one of them, or give one another email, then run `rollcall migrate`", model.UserID(c.ID), model.UserID(c.Holder))
}

// emailsMigration is the migration that spells emails, those that are stored before it.
func (d *Database) emailsMigration() *goose.Migration {
	return goose.NewGoMigration(emailsVersion, &goose.GoFunc{RunDB: func(ctx context.Context, pool *sql.DB) error {
		_, err := d.spellEmails(ctx, pool)
		return err
	}}, nil)
}

// SpellEmails rewrites the emails that are stored in another form than model.NormalEmail's, past the server or by an earlier one.
// It returns those that cannot be. To do so again does no harm.
func (d *Database) SpellEmails(ctx context.Context) (clashes []EmailClash, err error) {
	err = d.maintain(ctx, func(ctx context.Context, pool *sql.DB) error {
		clashes, err = d.spellEmails(ctx, pool)
		return err
	})
	return clashes, err
}

func (d *Database) spellEmails(ctx context.Context, pool *sql.DB) (clashes []EmailClash, err error) {
	next := d.product.Rebind(fmt.Sprintf("SELECT id, email FROM users WHERE id > ? AND %s ORDER BY id LIMIT %d", d.product.oddEmails, emailsBatch))
	for after := int64(0); ; {
		users, err := collect(ctx, pool, func(u *model.User) []any { return []any{&u.ID, &u.Email} }, next, after)
		if err != nil || len(users) == 0 {
			return clashes, err
		}
		after = users[len(users)-1].ID
		users = slices.DeleteFunc(users, func(u model.User) bool {
			normal := model.NormalEmail(u.Email)
			return normal == u.Email || !model.FitsEmail(normal)
		})
		if len(users) == 0 {
			continue
		}
		var found []EmailClash
		if err := transactions(ctx, pool)(func(tx *sql.Tx) error { // a server may give a user this email meanwhile
			found, err = d.spell(ctx, tx, users)
			return err
		}); err != nil {
			return clashes, err
		}
		clashes = append(clashes, found...)
	}
}

// spell rewrites the emails of some users.
func (d *Database) spell(ctx context.Context, tx *sql.Tx, users []model.User) (clashes []EmailClash, err error) {
	for _, u := range users {
		normal := model.NormalEmail(u.Email)
		var holder int64
		err := tx.QueryRowContext(ctx, d.product.Rebind("SELECT id FROM users WHERE email = ?"), normal).Scan(&holder)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx, d.product.Rebind("UPDATE users SET email = ? WHERE id = ? AND email = ?"), normal, u.ID, u.Email)
		case err == nil && holder != u.ID: // it may have been mended meanwhile
			clashes = append(clashes, EmailClash{ID: u.ID, Holder: holder})
		}
		if err != nil {
			return nil, err
		}
	}
	return clashes, nil
}
