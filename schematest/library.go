package schematest

import (
	"errors"
	"fmt"
	"io"
)

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

// Vault is what directives guard.
type Vault struct {
	Open, Noted, Field  string
	Object              *Door
	Interface, Union    Lock
	Door                *Door
	Scalar, Enum, Value string
	Values              []string
}

// Lock is a Door.
type Lock interface{ IsLock() }

// Door has a name.
type Door struct{ Name string }

// IsLock marks a Lock.
func (*Door) IsLock() {}

// GuardedInput is an input that directives guard.
type GuardedInput struct{ Of *int }

// Numbers are scalars of all kinds, and lists that are null.
type Numbers struct {
	Matrix [][]int
	None   []*Author
	Books  []*Book
}

// Date is a day of 2026, as which it is written.
type Date int

// MarshalGQL writes a Date.
func (d Date) MarshalGQL(w io.Writer) { _, _ = fmt.Fprintf(w, `"2026, day %d"`, int(d)) }

// UnmarshalGQL takes none.
func (*Date) UnmarshalGQL(any) error { return errors.New("not a Date") }

// Shelf is a page of books.
type Shelf struct {
	Books []*Book
}

// Pen is the author's pen name.
func (a *Author) Pen() string { return fmt.Sprint("P", a.ID) }

// Home has the author's first book.
func (a *Author) Home() *Shelf {
	return &Shelf{Books: []*Book{{ID: 100*a.ID + 1, Title: fmt.Sprint("B", 100*a.ID+1), Author: a.ID}}}
}

// Note is written in the book.
func (b *Book) Note() string { return fmt.Sprint("N", b.ID) }

// Note is written in the magazine.
func (m *Magazine) Note() string { return fmt.Sprint("N", m.ID) }

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
