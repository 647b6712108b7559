// Package sessiontest holds the promises of package session as tests over real HTTP, to be run on every
// database that a session is to work on: Run runs them all.
//
// The world that they are tried in is a bank with accounts and counters; a test adds steps, which are resolvers
// of its own, under names that its queries call.
package sessiontest
