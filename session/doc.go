// Package session binds one GORM session to each GraphQL operation that gqlgen executes.
//
//	srv.Use(session.Extension{DB: db, Reads: reads, Bind: bindLoaders})
//	http.Handle("/query", session.Handler(srv))
//
// and in a resolver, a loader or anything else that has the operation's context:
//
//	session.DB(ctx).First(&user, id)
//
// The life of a session:
//
//	           first statement                answer complete
//	created ───────────────────▶ open ──────────────────────────▶ closed
//	   │                          │   mutation without errors:       ▲
//	   │                          │   COMMIT, hooks, then closed     │
//	   │                          │   anything else: ROLLBACK        │
//	   │                          ▼                                  │
//	   │                         dead ── fatal error: refuses every ─┤
//	   │                                 later statement, ROLLBACK   │
//	   └─────────────── never used: nothing was taken ───────────────┘
//
// A mutation's statements run in one transaction, one after the other however many resolvers
// issue them. A query's statements run on whatever connection is free; marked with @snapshot they
// run in one read-only transaction. The answer is handed on only after the session has ended, so that a
// success that a client reads is stored, an error that it reads has left nothing, and a slow
// reader holds nothing.
package session
