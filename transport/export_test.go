package transport

// What the tests of a gate alone need of it.

var ErrOverloaded = errOverloaded

func (g *Gate) Send(bytes int, cut func()) (sent func()) { return g.send(bytes, cut) }

// Visitors returns how many clients the gate knows.
func (g *Gate) Visitors() int { return len(g.visitors) }
