package model

// Node is an object with a global id: a User or a Team.
type Node interface {
	GlobalID() string
}
