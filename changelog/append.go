package changelog

import (
	"context"
	"slices"
	"strings"
	"time"

	"rollcall/dialect"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/session"
)

// pending is what one mutation writes at its end.
type pending struct {
	changes []func() *model.Change
	erased  []int64 // see Erase
}

// Append notes a change of an object. It is written as the last of what the mutation that ctx belongs to writes, with one statement for
// a thousand changes; then it is made by the function, which is to give all but the id, the position, the actor and what is about the
// operation.
func (l *Log) Append(ctx context.Context, change func() *model.Change) {
	p := session.BeforeCommit(ctx, l.write)
	p.changes = append(p.changes, change)
}

// maxRows is how many rows one statement inserts: SQLite takes 32,766 parameters.
const maxRows = 1000

// write writes the changes of a mutation.
func (l *Log) write(ctx context.Context, p *pending) error {
	if len(p.changes) == 0 {
		return nil
	}
	operation, _ := session.OperationFromContext(ctx)
	db := session.DB(ctx)
	inOrder := l.inOrder(dialect.OfDB(db))
	var actor *string
	if l.Actor != nil {
		if name := l.Actor(ctx); name != "" {
			actor = &name
		}
	}
	if inOrder {
		err := db.Exec("UPDATE changes_clock SET position = position + ?, operation_id = ?", len(p.changes), operation.ID).Error
		if err != nil {
			return err
		}
	}
	for _, user := range p.erased {
		if err := erase(ctx, user); err != nil {
			return err
		}
	}
	for begin := 0; begin < len(p.changes); begin += maxRows {
		some := p.changes[begin:min(begin+maxRows, len(p.changes))]
		var text strings.Builder
		text.WriteString("INSERT INTO changes (" + columns + ") VALUES ")
		args := make([]any, 0, 13*len(some))
		for i, made := range some {
			if i > 0 {
				text.WriteString(", ")
			}
			c := made()
			if c.UserID != nil && slices.Contains(p.erased, *c.UserID) {
				c.Fields, c.Erased = []byte(noFields), true
			}
			if inOrder {
				text.WriteString("((SELECT position FROM changes_clock) - ?, ")
				args = append(args, len(p.changes)-1-begin-i)
			} else {
				text.WriteString("(NULL, ")
			}
			text.WriteString(keyset.Marks(12) + ")")
			args = append(args, c.At.UnixMicro(), c.Kind, c.Type, c.ObjectID, c.Version, c.UserID, c.TeamID, actor, operation.ID, begin+i == len(p.changes)-1, c.Erased, string(c.Fields))
		}
		if err := db.Exec(text.String(), args...).Error; err != nil {
			return err
		}
	}
	session.AfterCommit(ctx, l.Wake)
	return nil
}

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
