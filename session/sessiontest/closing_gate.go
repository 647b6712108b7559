package sessiontest

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// commitGate is a way to a database's server on which a COMMIT can be held.
type commitGate struct {
	tb     testing.TB
	closed atomic.Bool   // the next COMMIT is held
	held   chan struct{} // says that it is
	open   chan struct{} // lets it go on
}

func newCommitGate(tb testing.TB) *commitGate {
	return &commitGate{tb: tb, held: make(chan struct{}), open: make(chan struct{})}
}

// via returns the address of the gate before a server.
func (g *commitGate) via(address string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // until the end of the test
	if err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address) //nolint:noctx // until the end of the test
			if err != nil {
				_ = client.Close()
				continue
			}
			go g.pass(server, client)
			go func() {
				_, _ = io.Copy(client, server)
				_ = client.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// pass copies what a client sends.
func (g *commitGate) pass(server, client net.Conn) {
	defer func() { _ = server.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if bytes.Contains(bytes.ToUpper(buf[:n]), []byte("COMMIT")) && g.closed.Swap(false) {
			g.held <- struct{}{}
			<-g.open
		}
		if _, writeErr := server.Write(buf[:n]); writeErr != nil || err != nil {
			return
		}
	}
}
