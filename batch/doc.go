// Package batch reads what a GraphQL operation needs with one statement for each relation and level of the
// query, however many objects are on it.
//
// A Loader collects keys and reads them together. It never has to guess how long to wait: a Plan knows which fields of the
// schema are relations, and follows an operation's selections level by level. On each level it gathers the keys of all
// objects, reads each relation once, siblings in parallel, and goes on with what came back. The resolvers then find their
// values in the loaders and never wait.
//
//	query ──▶ keys in the root fields' arguments ──▶ one batch for each relation
//	                                                        │ rows
//	                 keys of the rows' relations ◀──────────┘
//	                             │
//	                             └──▶ one batch for each relation ──▶ …  ──▶ the resolvers run
//
// Plan.Answers goes one step further: it writes the answer of a query from what was read, without resolvers. For such an
// answer alone, rows may be read with no more than the columns that it needs (Columns): a resolver, an interceptor or a Load
// never gets such a row. What has a directive of the schema is left to the resolvers, unless the plan declares the
// directive Inert. It is still read ahead, unless the directive may change its arguments: so a relation that must not be read
// before its directive ran should have no declaration.
//
// A plan that cannot be right for its schema is refused when the server is made, with what to change. Three things only its
// author can know: that a declaration and its resolver use the same key, and write a value in the same way; that From names
// every column that either reads; and that a field which reads the row of another type has its columns declared there, for
// every reader (Column with an empty name).
//
// A mutation's root fields run one after the other, and each is followed once its resolver has returned. So is a root field of
// a query that has no declaration. An event of a subscription is followed before it is answered, and fields that are deferred
// together when the first of their resolvers runs. A key that the plan did not enqueue, such as one that a resolver
// computes, is still loaded: such loads are sent together when no more arrive, and counted by Plan.Fallbacks.
package batch
