package transport

import "context"

// What the tests of a gate alone need of it.

var ErrOverloaded = errOverloaded

func (g *Gate) Enter(ctx context.Context) (leave func(), err error) { return g.enter(ctx) }

func (g *Gate) Send(bytes int, cut func()) (sent func()) { return g.send(bytes, cut) }
