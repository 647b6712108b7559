// Package transport serves a gqlgen server to the clients that exist: GraphQL over HTTP with batches in arrays, answers
// in parts, server-sent events, and WebSockets. It works beside package session, whose operations it names.
package transport
