package sessiontest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
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
	deny              // answers with an error, and has the server roll back
	grant             // answers with an error when the server has committed
	leave             // answers with an error, and tells the server nothing
)

// proxy stands before a database's server and cuts connections at their COMMIT. To find that, it knows just
// enough of the protocols of MySQL and PostgreSQL, in both of which a client says nothing more until it has the
// whole answer to a statement.
type proxy struct {
	tb       testing.TB
	dialect  string
	choose   func() cut // is asked at each COMMIT
	undo     func() cut // is asked at each ROLLBACK, unless it is nil
	number   string     // of the error that deny, grant and leave answer with
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
	refusing       atomic.Bool   // what the server says next is replaced by an error
}

// up passes on what the client says.
func (l *link) up() {
	for {
		message, statement, err := l.next()
		if err != nil {
			l.end(l.client, l.server)
			return
		}
		what := pass
		switch {
		case statement == "COMMIT":
			what = l.choose()
		case statement == "ROLLBACK" && l.undo != nil:
			what = l.undo()
		}
		switch what {
		case pass:
		case deny:
			message = l.statement("ROLLBACK")
			l.refusing.Store(true)
		case grant:
			l.refusing.Store(true)
		case leave:
			if _, err := l.client.Write(l.refusal()); err != nil {
				l.end(l.client, l.server)
				return
			}
			continue
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
		said := buffer[:n]
		if l.refusing.Swap(false) { // so short an answer comes at once
			said = l.refusal()
		}
		if err == nil && !l.muted.Load() {
			_, err = l.client.Write(said)
		}
		if err != nil || l.muted.Load() {
			l.end(l.client, l.server)
			return
		}
	}
}

// statement returns a client's message that is a statement.
func (l *link) statement(text string) []byte {
	if l.dialect == "postgres" {
		return fmt.Appendf([]byte{'Q', 0, 0, 0, byte(len(text) + 5)}, "%s\x00", text)
	}
	return fmt.Appendf([]byte{byte(len(text) + 1), 0, 0, 0}, "\x03%s", text)
}

// refusal returns a server's message that answers a statement with an error.
func (l *link) refusal() []byte {
	const text = "as if"
	if l.dialect == "postgres" {
		fields := fmt.Sprintf("SERROR\x00VERROR\x00C%s\x00M%s\x00\x00", l.number, text)
		message := fmt.Appendf([]byte{'E', 0, 0, 0, byte(len(fields) + 4)}, "%s", fields)
		state := byte('I') // no transaction is open
		return append(message, 'Z', 0, 0, 0, 5, state)
	}
	number, _ := strconv.Atoi(l.number)
	fields := fmt.Appendf([]byte{0xff, byte(number), byte(number >> 8)}, "#HY000%s", text)
	return append([]byte{byte(len(fields)), 0, 0, 1}, fields...)
}

// next reads one message of the client. It returns the statement if it is a COMMIT or a ROLLBACK.
func (l *link) next() (message []byte, statement string, err error) {
	if l.dialect == "postgres" {
		return l.nextPostgres()
	}
	// https://mariadb.com/kb/en/0-packet/: a length of 3 bytes, a sequence number, COM_QUERY and its text.
	if message, err = l.read(nil, 4); err != nil {
		return nil, "", err
	}
	length := int(message[0]) | int(message[1])<<8 | int(message[2])<<16
	message, err = l.read(message, length)
	if err == nil && length > 0 && message[3] == 0 && message[4] == 3 {
		statement = lastStatement(string(message[5:]))
	}
	return message, statement, err
}

// lastStatement returns a statement in capitals if it ends a transaction.
func lastStatement(statement string) string {
	if statement = strings.ToUpper(statement); statement != "COMMIT" && statement != "ROLLBACK" {
		return ""
	}
	return statement
}

// nextPostgres reads a message as in https://www.postgresql.org/docs/current/protocol-message-formats.html: a type,
// a length of 4 bytes that counts itself, and the rest. Those at the start have no type.
func (l *link) nextPostgres() (message []byte, statement string, err error) {
	header := 4
	if l.begun {
		header = 5
	}
	if message, err = l.read(nil, header); err != nil {
		return nil, "", err
	}
	length := int(binary.BigEndian.Uint32(message[header-4:])) - 4
	if message, err = l.read(message, length); err != nil {
		return nil, "", err
	}
	if l.begun && message[0] == 'Q' {
		statement = lastStatement(strings.TrimSuffix(string(message[header:]), "\x00"))
	}
	if l.begun {
		return message, statement, nil
	}
	l.begun = true
	const encrypted = 80877103
	if length == 4 && binary.BigEndian.Uint32(message[4:]) == encrypted {
		err = fmt.Errorf("the proxy cannot read encrypted connections: add sslmode=disable to the URL")
		l.tb.Error(err)
	}
	return message, "", err
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
