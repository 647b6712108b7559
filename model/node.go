package model

// Node is an object with a global id.
type Node interface {
	GlobalID() string
}
