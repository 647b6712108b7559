// Package session gives a unit of work one GORM session: the transaction, the retry after a conflict, the proof of the COMMIT.
//
//	err := session.Run(ctx, pools, session.Write, "import", func(ctx context.Context) error {
//		session.AfterCommit(ctx, announce)
//		return session.DB(ctx).Create(&users).Error
//	})
//
// Package operation does the same for each operation of a GraphQL server, whose resolvers then call DB.
//
// The lifecycle of a session:
//
//	           first statement                the function returns
//	created ───────────────────▶ open ──────────────────────────▶ closed
//	   │                          │   a Write without an error:      ▲
//	   │                          │   COMMIT, hooks, then closed     │
//	   │                          │   anything else, and what is     │
//	   │                          │   discarded: ROLLBACK            │
//	   │                          ▼                                  │
//	   │                         dead ── fatal error: refuses every ─┤
//	   │                                 later statement, ROLLBACK   │
//	   └─────────────── never used: nothing was taken ───────────────┘
//
// The statements of a Write run in one transaction, one after the other however many goroutines
// issue them. Those of a Read run on whatever connection is free, those of a Snapshot in one read-only transaction.
package session
