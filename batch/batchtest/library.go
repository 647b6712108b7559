// Package batchtest is a small library of authors and books, in a schema of its own, for the tests of package
// batch.
package batchtest

// Node is whatever has an id.
type Node interface{ IsNode() }

// Item is a Book or a Magazine.
type Item interface {
	Node
	IsItem()
}

// Found is whatever can be found.
type Found interface{ IsFound() }

// Author has the author after it as its rival.
type Author struct {
	ID    int
	Name  string
	Rival int
}

// Book is one of an author's.
type Book struct {
	ID     int
	Title  string
	Author int
}

// Magazine has an author as its editor.
type Magazine struct {
	ID     int
	Title  string
	Editor int
}

// Shelf is a page of books.
type Shelf struct {
	Books []*Book
}

// IsNode marks a Node.
func (*Author) IsNode() {}

// IsNode marks a Node.
func (*Book) IsNode() {}

// IsNode marks a Node.
func (*Magazine) IsNode() {}

// IsItem marks an Item.
func (*Book) IsItem() {}

// IsItem marks an Item.
func (*Magazine) IsItem() {}

// IsFound marks what can be found.
func (*Author) IsFound() {}

// IsFound marks what can be found.
func (*Book) IsFound() {}

// IsFound marks what can be found.
func (*Magazine) IsFound() {}
