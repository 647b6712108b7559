package transfer

import (
	"context"

	"rollcall/directory"
	"rollcall/session"
)

// Export writes all records of a directory: users, teams and memberships, each in the order of their ids.
type Export struct {
	Directory *directory.Directory
	Pools     session.Pools // installed
	Kinds     []Kind        // nil: all
	Snapshot  bool          // all are of one moment; else each page is, and what is changed meanwhile may be there as it was or as it is
	Report    func(records int64)
}

// pageSize is how many records one statement reads.
const pageSize = 1000

// Run writes the records and returns how many there were.
func (e *Export) Run(ctx context.Context, to *Writer) (n int64, err error) {
	kind := session.Read
	if e.Snapshot {
		kind = session.Snapshot
	}
	wanted := e.Kinds
	if wanted == nil {
		wanted = kinds
	}
	err = session.Run(ctx, e.Pools, kind, "export", func(ctx context.Context) error {
		if n > 0 {
			return errAgain
		}
		for _, kind := range wanted {
			if err := e.write(ctx, kind, to, &n); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

func (e *Export) write(ctx context.Context, kind Kind, to *Writer, n *int64) error {
	pages := map[Kind]func(context.Context, int64, int) (directory.Records, error){
		Users: e.Directory.UserRecords, Teams: e.Directory.TeamRecords, Memberships: e.Directory.MembershipRecords,
	}
	for after := int64(0); ; {
		page, err := pages[kind](ctx, after, pageSize)
		if err != nil || len(page.All) == 0 {
			return err
		}
		for _, record := range page.All {
			if err := to.Write(kind, record); err != nil {
				return err
			}
		}
		after = page.Last
		if *n += int64(len(page.All)); e.Report != nil {
			e.Report(*n)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}
