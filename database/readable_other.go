//go:build !unix

package database

import "net"

// readable is not known here.
func readable(net.Conn) bool { return false }
