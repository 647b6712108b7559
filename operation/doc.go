// Package operation gives each GraphQL operation that gqlgen executes a session of package session.
//
//	srv := handler.New(schema) // with its transports and its other extensions
//	http.Handle("/query", operation.Handler(srv, operation.Extension{
//		Pools: session.Pools{Write: db, Read: reads, Side: side},
//		Bind:  bindLoaders,
//	}))
//
// and in a resolver, a loader or anything else that has the operation's context:
//
//	session.DB(ctx).First(&user, id)
//
// A mutation is a session.Write, a query marked with @snapshot a session.Snapshot, any other query a session.Read. A
// subscription has a session for each event, an answer in parts one that is open until the last of them, and the queries of a
// Group read in one that they share.
//
// A mutation is committed if its answer has no errors, and else leaves nothing. The answer is handed on only after the session
// has ended, so that a success that a client reads is stored, an error that it reads has left nothing, and a slow
// reader holds nothing.
//
// A mutation that has an idempotency key is answered once, and that answer is replayed to whoever sends it again (see package
// idempotency); one that asks for a dry run is answered, and rolled back.
//
// Transports of gqlgen's are used as they are, within Parts if they send an answer in parts. A transport that serves many
// operations with one request, or names them, makes a Request for each by NewRequest.
package operation
