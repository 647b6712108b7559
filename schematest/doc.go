// Package schematest is the schema, with its types, that the tests of the generic packages serve: a library, which
// loaders read, and a bank, which transactions write. A test brings the resolvers, and leaves out those that it does
// not ask by embedding what gqlgen generates.
package schematest
