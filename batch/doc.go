// Package batch reads what a GraphQL operation needs with one statement for each relation and level of the
// query, however many objects are on it.
//
// A Loader collects keys and reads them together. What it should wait for is known before anything is
// read: a Plan knows which fields of the schema are relations, so that it can follow an operation's
// selections level by level. At each it gathers the keys of all objects, reads each relation once, siblings
// in parallel, and goes on with what came back. The resolvers then find their values in the
// loaders and never wait.
//
//	query ──▶ keys in the root fields' arguments ──▶ one batch for each relation
//	                                                        │ rows
//	                 keys of the rows' relations ◀──────────┘
//	                             │
//	                             └──▶ one batch for each relation ──▶ …  ──▶ the resolvers run
//
// Plan.Answers goes one step further: it writes the answer of a query from what was read, without resolvers. For such an
// answer, and for nothing else, rows may be read with the columns that it needs (Columns): no resolver, no interceptor
// and no Load ever gets one that lacks some. What a directive of the schema stands at is never answered so, unless the plan
// declares that directive Inert. A field whose arguments one may change is not read ahead either; any other is, so a
// relation of which not even that may happen before its directive ran should have no declaration.
//
// A plan that cannot be right for its schema is refused when the server is made, with what to change. What only an adopter
// can know is whether a declaration and its resolver agree: that both use the same key, and write a value alike; that From
// names every column that either reads; and that a field which reads the row of another type finds its columns declared there,
// for every reader (Column with an empty name).
//
// A mutation's root fields run one after the other; each is followed in the same way once its resolver has
// returned. So is a query's root field that has no declaration, an event of a subscription before it is
// answered, and what is deferred together when the first of its resolvers runs. What no plan foresaw (a key
// that a resolver computes) is still loaded: the loads that have come to a rest are sent together, after a
// moment, and counted by Fallbacks.
package batch
