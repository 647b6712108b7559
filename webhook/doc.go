// Package webhook sends the changes of the log to receivers over HTTP: each one all of them, in their order, at least once, as the
// specification Standard Webhooks has it (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//
// A webhook is a row of the table webhooks, with the position up to which its receiver has confirmed all changes. One server at a time
// delivers, which has the lease in that row:
//
//	waiting ──no owner, or one that renews no more──▶ leased ◀──┐
//	   ▲                                                 │      │ 2xx: store the position
//	   │                                       POST a batch ────┤
//	   │                                                 │      │ else: pause, longer each time
//	   ├──the lease is lost, or given back───────────────┤      │
//	   │                                                 └──────┘
//	   └──enabled by an operator── disabled ◀──failing for a day, 410, or the changes are gone
//
// No clocks are compared. The owner changes its row once a second. Another server takes the lease when it has seen no change for
// takeAfter, and by then the owner, which counts from the beginning of its last renewal, has ended whatever it was sending. Whatever
// an owner stores, it stores only while the lease is its own.
//
// What a batch holds is stored before it is first sent, so that it is the same whoever sends it again: the same bytes with the same id.
package webhook
