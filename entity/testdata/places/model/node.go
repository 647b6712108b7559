// Package model holds the directory's types.
package model

// Node is an object with a global id.
type Node interface {
	IsNode()
	GlobalID() string
}
