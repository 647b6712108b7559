// Package sessiontest holds the promises of packages session and operation as tests, to be run on every
// database that a session is to work on: Run runs them all, each by both ways into a unit of work: as an operation that is sent
// to a server over real HTTP, and as a function that session.Run runs and that does what the operation's resolvers do.
//
// Some have no meaning without GraphQL, and are tried over HTTP alone: those of subscriptions (each event is a unit of work
// of its own, which Run has no stream of), of answers in parts (Run returns once), of groups (what several queries share is
// one function's), of an answer that is written and of a client that reads it slowly (Run writes none), and of
// interceptors (there is nothing around Run but its caller). Each such promise says why in its list.
//
// The world that they are tried in is a bank with accounts and counters; a test adds steps, which are resolvers
// of its own, under names that its queries call.
package sessiontest
