package databasetest

import (
	"bytes"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Node is a host that leads to a database server, and can die, hang and come back without it.
type Node struct {
	Proxy

	hangs  atomic.Bool
	at     atomic.Value // a string; see HangAt
	other  [2]string    // see Lead
	traces sync.Map     // of the texts that Seen was asked about, each with how often it was sent: *atomic.Int64
}

// Hang has the node swallow what is sent to it, old connections and new ones alike, until Recover.
func (n *Node) Hang() { n.hangs.Store(true) }

// HangAt has the node hang once a client sends a text, in capitals or small letters.
func (n *Node) HangAt(text string) { n.at.Store(strings.ToUpper(text)) }

// Recover ends Hang. What was swallowed stays so.
func (n *Node) Recover() { n.hangs.Store(false) }

// Watch has Seen count how often clients send a text. It is to be called before they do.
func (n *Node) Watch(text string) { n.traces.Store(text, new(atomic.Int64)) }

// Seen returns how often clients have sent a text that is watched, while the node did not hang.
func (n *Node) Seen(text string) int64 {
	count, ok := n.traces.Load(text)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load()
}

// Lead has clients of one database be led to another of the server, by their URLs. It is to be called before they connect.
func (n *Node) Lead(tb testing.TB, from, to string) {
	tb.Helper()
	for i, raw := range []string{from, to} {
		u, err := parsed(raw)
		if err != nil {
			tb.Fatal(err)
		}
		n.other[i] = strings.TrimPrefix(u.Path, "/")
	}
	if len(n.other[0]) != len(n.other[1]) { // they are written over each other
		tb.Fatalf("%s is not as long as %s", n.other[0], n.other[1])
	}
}

func (n *Node) pass(sent []byte, forward func()) {
	if at, ok := n.at.Load().(string); ok && bytes.Contains(bytes.ToUpper(sent), []byte(at)) {
		n.hangs.Store(true)
	}
	if n.hangs.Load() {
		return
	}
	n.traces.Range(func(text, count any) bool {
		count.(*atomic.Int64).Add(int64(bytes.Count(sent, []byte(text.(string)))))
		return true
	})
	if n.other[0] != "" {
		copy(sent, bytes.ReplaceAll(sent, []byte(n.other[0]), []byte(n.other[1])))
	}
	forward()
}

// Nodes returns hosts that all lead to the server of a database's URL, until the end of the test, and a URL that lists them.
func Nodes(tb testing.TB, rawURL string, count int) (nodes []*Node, listed string) {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	var addresses []string
	for range count {
		n := &Node{}
		n.Pass = n.pass
		addresses = append(addresses, n.Listen(tb, u.Host))
		nodes = append(nodes, n)
	}
	return nodes, strings.Replace(rawURL, u.Host, strings.Join(addresses, ","), 1)
}
