// Package idempotency lets a client that has lost the answer to a mutation send it again: what has run with a key is not run
// again with the same key, and has the same answer, byte for byte. It works within package session, and knows no GraphQL.
//
//	keys := &idempotency.Keys{}
//	m := keys.Mutation(ctx, key, text)
//	defer m.End()
//	err := session.Run(ctx, pools, session.Write, "import", func(ctx context.Context) error {
//		kept, err := m.Claim(ctx)
//		if err != nil || kept != nil {
//			return err // kept.Answer is what the first one was answered
//		}
//		… // the work, and the answer to it
//		return m.Keep(ctx, answer)
//	})
//	err = m.Failure(err)
//
// Package operation does this for the mutations of a GraphQL server.
//
// A key is a row that the mutation's own transaction inserts first and completes last, with the answer. So it is stored with what the
// mutation has written or, like that, not at all. Another mutation with the key waits at its INSERT for as long as the first one's
// transaction is open; then it finds the answer, or runs:
//
//	first   INSERT (new) ── the mutation ── UPDATE answer ── COMMIT ╳ the answer is lost
//	second           INSERT ┄┄┄┄┄┄┄ waits for the row ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ (there) ── SELECT answer ── ROLLBACK
//
// Within a process it waits before that, so that it holds no connection meanwhile, on SQLite the only one.
package idempotency
