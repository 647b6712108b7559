//go:build unix

package database

import (
	"net"
	"testing"
	"time"
)

func TestAnIdleConnectionIsLookedAtEvenWhileItIsRead(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	server := <-accepted
	reading := make(chan struct{})
	go func() { // as pgx's background reader
		close(reading)
		_, _ = conn.Read(make([]byte, 1))
	}()
	<-reading
	time.Sleep(10 * time.Millisecond) // to be within the read; without, the test proves less but passes
	looked := make(chan bool, 1)
	go func() { looked <- readable(conn) }()
	select {
	case something := <-looked:
		if something {
			t.Error("nothing has come")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the read")
	}
	_ = server.Close()
	for end := time.Now().Add(20 * time.Second); !readable(conn); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the end of the connection is not noticed")
		}
	}
}
