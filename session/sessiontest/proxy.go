package sessiontest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// cut is what a proxy does to a connection at its COMMIT.
type cut int

const (
	pass   cut = iota // nothing
	before            // cuts it before the server has received the COMMIT
	during            // cuts it when the server has been sent the COMMIT, whatever has become of it
	after             // cuts it when the server has answered, before the client gets the answer
	hold              // as before, but the server sees nothing of it until release
)

// proxy stands before a database's server and cuts connections at their COMMIT. To find that, it knows just
// enough of the protocols of MySQL and PostgreSQL, in both of which a client says nothing more until it has the
// whole answer to a statement.
type proxy struct {
	tb       testing.TB
	dialect  string
	choose   func() cut // is asked at each COMMIT
	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
	held []net.Conn
}

func newProxy(tb testing.TB, dialect string, choose func() cut) *proxy {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{tb: tb, dialect: dialect, choose: choose, listener: listener, open: map[net.Conn]bool{}}
	tb.Cleanup(p.close)
	return p
}

// via is Options.Via.
func (p *proxy) via(server string) string {
	p.server = server
	p.running.Go(p.accept)
	return p.listener.Addr().String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.server)
		if err != nil {
			p.tb.Errorf("the proxy does not reach the database: %v", err)
			_ = client.Close()
			continue
		}
		l := &link{proxy: p, client: client, server: server, in: bufio.NewReader(client)}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		p.running.Go(l.up)
		p.running.Go(l.down)
	}
}

// release lets the server see that the connections held have been cut.
func (p *proxy) release() {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.mu.Unlock()
	p.end(held...)
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	var open []net.Conn
	for conn := range p.open {
		open = append(open, conn)
	}
	p.mu.Unlock()
	p.end(open...)
	p.running.Wait()
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(p.open, conn)
	}
}

// link is one client's connection.
type link struct {
	*proxy
	client, server net.Conn
	in             *bufio.Reader // from the client
	begun          bool          // PostgreSQL: the messages have a type now
	muted          atomic.Bool   // what the server says next is the answer that the client must not get
}

// up passes on what the client says.
func (l *link) up() {
	for {
		message, commit, err := l.next()
		if err != nil {
			l.end(l.client, l.server)
			return
		}
		what := pass
		if commit {
			what = l.choose()
		}
		switch what {
		case pass:
		case before:
			l.end(l.client, l.server)
			return
		case during:
			l.end(l.client)
		case after:
			l.muted.Store(true)
		case hold:
			l.mu.Lock()
			l.held = append(l.held, l.server)
			l.mu.Unlock()
			l.end(l.client)
			return
		}
		if _, err := l.server.Write(message); err != nil || what == during {
			l.end(l.client, l.server)
			return
		}
	}
}

// down passes on what the server says.
func (l *link) down() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buffer)
		if err == nil && !l.muted.Load() {
			_, err = l.client.Write(buffer[:n])
		}
		if err != nil || l.muted.Load() {
			l.end(l.client, l.server)
			return
		}
	}
}

// next reads one message of the client and tells whether it is a COMMIT.
func (l *link) next() (message []byte, commit bool, err error) {
	if l.dialect == "postgres" {
		return l.nextPostgres()
	}
	// https://mariadb.com/kb/en/0-packet/: a length of 3 bytes, a sequence number, COM_QUERY and its text.
	if message, err = l.read(nil, 4); err != nil {
		return nil, false, err
	}
	length := int(message[0]) | int(message[1])<<8 | int(message[2])<<16
	message, err = l.read(message, length)
	return message, err == nil && message[3] == 0 && string(message[4:]) == "\x03COMMIT", err
}

// nextPostgres reads a message as in https://www.postgresql.org/docs/current/protocol-message-formats.html: a type,
// a length of 4 bytes that counts itself, and the rest. Those at the start have no type.
func (l *link) nextPostgres() (message []byte, commit bool, err error) {
	header := 4
	if l.begun {
		header = 5
	}
	if message, err = l.read(nil, header); err != nil {
		return nil, false, err
	}
	length := int(binary.BigEndian.Uint32(message[header-4:])) - 4
	if message, err = l.read(message, length); err != nil {
		return nil, false, err
	}
	if l.begun {
		return message, message[0] == 'Q' && strings.EqualFold(string(message[header:]), "commit\x00"), nil
	}
	l.begun = true
	const encrypted = 80877103
	if length == 4 && binary.BigEndian.Uint32(message[4:]) == encrypted {
		err = fmt.Errorf("the proxy cannot read encrypted connections: add sslmode=disable to the URL")
		l.tb.Error(err)
	}
	return message, false, err
}

// read appends n bytes from the client to a message.
func (l *link) read(message []byte, n int) ([]byte, error) {
	if n < 0 || n > 1<<24 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	start := len(message)
	message = append(message, make([]byte, n)...)
	_, err := io.ReadFull(l.in, message[start:])
	return message, err
}
