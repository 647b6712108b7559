package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"gorm.io/gorm/clause"

	"rollcall/dialect"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/session"
)

type input = entity.Input

// stored is a row of imports.
type stored struct {
	Options, Digest                                                           string
	ReadBytes, ReadLines                                                      int64
	Created, Updated, Unchanged, Refused, Unreadable, Deactivated, ErrorBytes int64
}

// begin stores that the import begins, or finds how far an earlier run of it was, and reads over what that has imported. From then on the import is
// that of this process: another one that is at it fails with its next step.
func (r *run) begin(ctx context.Context) error {
	options, err := json.Marshal(r.Options)
	if err != nil {
		return err
	}
	r.claim = rand.Int64()
	var before []stored
	err = r.transaction(ctx, "begin import", func(ctx context.Context) error {
		db := session.DB(ctx)
		of := "name = ?" // what has stored nothing is begun anew too
		if !r.Options.Restart {
			of += " AND read_bytes = 0"
		}
		if err := db.Exec("DELETE FROM imports WHERE "+of, r.Options.Name).Error; err != nil {
			return err
		}
		if err := db.Exec("UPDATE imports SET claim = ? WHERE name = ? AND options = ?", r.claim, r.Options.Name, string(options)).Error; err != nil {
			return err
		}
		return db.Raw("SELECT * FROM imports WHERE name = ?", r.Options.Name).Find(&before).Error
	})
	switch {
	case err != nil:
		return err
	case len(before) == 0:
		return r.beginAnew(ctx, string(options))
	case before[0].Options != string(options):
		return fmt.Errorf("the import %q was begun with other flags, and is at line %d: give these again, or --restart to begin anew", r.Options.Name, before[0].ReadLines)
	}
	at := before[0]
	r.Progress = Progress{
		Lines: at.ReadLines, Bytes: at.ReadBytes, Created: at.Created, Updated: at.Updated, Unchanged: at.Unchanged, Refused: at.Refused,
		Unreadable: at.Unreadable, Deactivated: at.Deactivated, Resumed: true,
	}
	if err := r.skip(at); err != nil {
		return err
	}
	return r.Refusals.resume(at.ErrorBytes)
}

// beginAnew begins an import that there is not. Something may be left of one of its name that has ended.
func (r *run) beginAnew(ctx context.Context, options string) error {
	if err := r.clear(ctx); err != nil {
		return err
	}
	err := r.transaction(ctx, "begin import", func(ctx context.Context) error {
		now := time.Now().UnixMicro()
		return session.DB(ctx).Exec(`INSERT INTO imports (name, options, read_bytes, read_lines, digest, created, updated, unchanged, refused, unreadable,
			deactivated, error_bytes, began_at, changed_at, claim) VALUES (?, ?, 0, 0, '', 0, 0, 0, 0, 0, 0, 0, ?, ?, ?)`, r.Options.Name, options, now, now, r.claim).Error
	})
	if dialect.Is(err, dialect.Unique) {
		return r.another()
	}
	if err != nil {
		return err
	}
	return r.Refusals.resume(0)
}

// beginTrial begins a dry run, which would say nothing of an import that is half done.
func (r *run) beginTrial(ctx context.Context) error {
	var lines []int64
	err := session.Run(ctx, r.Pools, session.Read, "is it half done", func(ctx context.Context) error {
		return session.DB(ctx).Raw("SELECT read_lines FROM imports WHERE name = ? AND read_bytes > 0", r.Options.Name).Find(&lines).Error
	})
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		return fmt.Errorf("the import %q is at line %d already: end it first, or give the dry run another --name, and --errors", r.Options.Name, lines[0])
	}
	return r.Refusals.resume(0)
}

// skip reads over what an earlier run has imported.
func (r *run) skip(at stored) error {
	if at.ReadBytes == 0 {
		return nil
	}
	for r.Source.Offset() < at.ReadBytes {
		record, err := r.Source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		r.prepared(record)
	}
	r.until = mark{at.ReadLines, r.Source.Offset(), r.Source.Digest()}
	if r.until.offset != at.ReadBytes || r.until.digest != at.Digest {
		return fmt.Errorf("up to line %d, which is imported, the file is not the same any more: --restart begins anew; "+
			"with --mode=upsert that changes what is there already", at.ReadLines)
	}
	return nil
}

// lock keeps other processes from this import until the transaction ends, and fails if one is at it.
func (r *run) lock(ctx context.Context) error {
	result := session.DB(ctx).Exec("UPDATE imports SET changed_at = ? WHERE name = ? AND claim = ?", time.Now().UnixMicro(), r.Options.Name, r.claim)
	if result.Error == nil && result.RowsAffected == 0 {
		return r.another()
	}
	return result.Error
}

func (r *run) another() error {
	r.Refusals.disown()
	return fmt.Errorf("another process is at the import %q: wait until that has ended", r.Options.Name)
}

// save stores how far the import is.
func (r *run) save(ctx context.Context, p Progress) error {
	return session.DB(ctx).Exec(`UPDATE imports SET read_bytes = ?, read_lines = ?, digest = ?, created = ?, updated = ?, unchanged = ?, refused = ?, unreadable = ?,
		deactivated = ?, error_bytes = ? WHERE name = ?`, p.Bytes, p.Lines, r.until.digest, p.Created, p.Updated, p.Unchanged, p.Refused, p.Unreadable,
		p.Deactivated, r.Refusals.length(), r.Options.Name).Error
}

// importWaiting is a row of import_waiting.
type importWaiting struct {
	ID         int64
	ImportName string
	Line       int64
	Kind       Kind
	Record     string // in JSON
}

func (importWaiting) TableName() string { return "import_waiting" }

// keepWaiting stores what has to wait for other records.
func (r *run) keepWaiting(ctx context.Context, all []waiting) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([]importWaiting, len(all))
	for i, one := range all {
		text, err := json.Marshal(one.record)
		if err != nil {
			return err
		}
		rows[i] = importWaiting{ImportName: r.Options.Name, Line: one.line, Kind: one.kind, Record: string(text)}
	}
	return session.DB(ctx).Create(rows).Error
}

// waitingOf reads some of what waits, as much as a transaction may do.
func (r *run) waitingOf(ctx context.Context, kind Kind) (some []waiting, err error) {
	var rows []importWaiting
	err = session.Run(ctx, r.Pools, session.Read, "what waits", func(ctx context.Context) error {
		return session.DB(ctx).Where("import_name = ? AND kind = ?", r.Options.Name, kind).Order("id").Limit(directory.MaxBulk).Find(&rows).Error
	})
	for _, row := range rows {
		one := waiting{id: row.ID, line: row.Line, kind: kind}
		if err := json.Unmarshal([]byte(row.Record), &one.record); err != nil {
			return nil, err
		}
		some = append(some, one)
	}
	return some, err
}

// dropWaiting deletes what has waited.
func (r *run) dropWaiting(ctx context.Context, some []waiting) error {
	numbers := make([]int64, len(some))
	for i, one := range some {
		numbers[i] = one.id
	}
	for marks, args := range keyset.In(numbers) {
		if err := session.DB(ctx).Exec("DELETE FROM import_waiting WHERE id IN ("+marks+")", args...).Error; err != nil {
			return err
		}
	}
	return nil
}

// importUser is a row of import_users.
type importUser struct {
	ImportName string `gorm:"primaryKey"`
	UserID     int64  `gorm:"primaryKey;autoIncrement:false"`
}

// noteUsers stores which users a chunk is about, those of bad records too.
func (r *run) noteUsers(ctx context.Context, chunk []Record) error {
	var keys []string
	for _, record := range chunk {
		if key := record.match(r.Options.match()); record.Kind == Users && key != "" {
			keys = append(keys, key)
		}
	}
	users, err := r.Directory.UsersWith(ctx, r.Options.match(), keys)
	if err != nil || len(users) == 0 {
		return err
	}
	rows := make([]importUser, len(users))
	for i, id := range users {
		rows[i] = importUser{r.Options.Name, id}
	}
	return session.DB(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(rows).Error // a user may be in the file twice
}

const missingUsers = "FROM users u WHERE u.status = 'ACTIVE' AND NOT EXISTS (SELECT 1 FROM import_users i WHERE i.import_name = ? AND i.user_id = u.id)"

// presence counts who is and who is not in the file.
func (r *run) presence(ctx context.Context) (p presence, err error) {
	if r.trial != nil {
		return r.trial.presence(ctx, r)
	}
	err = session.Run(ctx, r.Pools, session.Read, "who is missing", func(ctx context.Context) error {
		const inactive = "SELECT COUNT(*) FROM import_users i JOIN users u ON u.id = i.user_id WHERE i.import_name = ? AND u.status <> 'ACTIVE'"
		return errors.Join(
			session.DB(ctx).Raw("SELECT COUNT(*) "+missingUsers, r.Options.Name).Find(&p.Missing).Error,
			session.DB(ctx).Raw("SELECT COUNT(*) FROM users WHERE status = 'ACTIVE'").Find(&p.Active).Error,
			session.DB(ctx).Raw(inactive, r.Options.Name).Find(&p.Inactive).Error,
		)
	})
	return p, err
}

// someMissing reads the numbers of some of them, as many as a transaction may change.
func (r *run) someMissing(ctx context.Context) (some []int64, err error) {
	err = session.Run(ctx, r.Pools, session.Read, "who is missing", func(ctx context.Context) error {
		return session.DB(ctx).Raw("SELECT u.id "+missingUsers+" ORDER BY u.id LIMIT ?", r.Options.Name, directory.MaxBulk).Find(&some).Error
	})
	return some, err
}

// end forgets the import, which is done. What it has kept goes after that: an import that was ended in between is not gone on with, as if less had been
// kept.
func (r *run) end(ctx context.Context) error {
	if r.trial != nil {
		return nil
	}
	err := r.transaction(ctx, "end import", func(ctx context.Context) error {
		if err := r.lock(ctx); err != nil {
			return err
		}
		return session.DB(ctx).Exec("DELETE FROM imports WHERE name = ?", r.Options.Name).Error
	})
	if err != nil {
		return err
	}
	return r.clear(ctx)
}

// clear deletes what an import has kept beside its progress, some at a time.
func (r *run) clear(ctx context.Context) error {
	for _, of := range [][2]string{{"import_waiting", "id"}, {"import_users", "user_id"}} {
		for more := true; more; {
			err := r.transaction(ctx, "clear import", func(ctx context.Context) error {
				var last []int64
				query := fmt.Sprintf("SELECT %s FROM %s WHERE import_name = ? ORDER BY %[1]s LIMIT 1 OFFSET 4999", of[1], of[0])
				if err := session.DB(ctx).Raw(query, r.Options.Name).Find(&last).Error; err != nil {
					return err
				}
				condition, args := "", []any{r.Options.Name}
				if more = len(last) > 0; more {
					condition, args = " AND "+of[1]+" <= ?", append(args, last[0])
				}
				return session.DB(ctx).Exec("DELETE FROM "+of[0]+" WHERE import_name = ?"+condition, args...).Error
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
