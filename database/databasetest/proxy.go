package databasetest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is an address that leads to database servers.
type Proxy struct {
	// Pass, unless it is nil, decides what becomes of the bytes that a client sends: forward sends them to the server. It is
	// called by several connections at once.
	Pass func(sent []byte, forward func())

	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	servers []string
	dialled int
	conns   []net.Conn
	cut     bool
}

// Listen has the proxy accept connections until the end of the test, as Lead says. It returns the proxy's HOST:PORT.
func (p *Proxy) Listen(tb testing.TB, servers ...string) (address string) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p.listener, p.servers = listener, servers
	p.running.Go(func() { p.accept(listener) })
	tb.Cleanup(func() {
		p.Cut()
		p.running.Wait()
	})
	return listener.Addr().String()
}

// Lead has connections that are made from now on lead to these servers, each HOST:PORT, in turns. Others stay as they are.
func (p *Proxy) Lead(servers ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = servers
}

// Cut ends all connections, and accepts no more.
func (p *Proxy) Cut() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for _, conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // closed
		}
		p.lead(client)
	}
}

// lead connects a client to the server whose turn it is.
func (p *Proxy) lead(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock() // so that Cut misses none
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.servers[p.dialled%len(p.servers)])
	p.dialled++
	if err != nil || p.cut {
		_ = client.Close()
		if server != nil {
			_ = server.Close()
		}
		return
	}
	p.conns = append(p.conns, client, server)
	p.running.Go(func() {
		_, _ = io.Copy(client, server)
		_, _ = client.Close(), server.Close()
	})
	p.running.Go(func() {
		p.pass(server, client)
		_, _ = client.Close(), server.Close()
	})
}

// pass has Pass decide on what a client sends, until the client or the server is gone.
func (p *Proxy) pass(server, client net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		forward := func() { _, err = server.Write(buffer[:n]) }
		if p.Pass == nil {
			forward()
		} else {
			p.Pass(buffer[:n], forward)
		}
		if err != nil {
			return
		}
	}
}

// Reopen has the proxy accept connections again, at the same address, after Cut.
func (p *Proxy) Reopen(tb testing.TB) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", p.listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.listener = listener
	p.running.Go(func() { p.accept(listener) })
}
