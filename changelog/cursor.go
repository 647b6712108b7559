package changelog

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"rollcall/apierror"
	"rollcall/model"
)

// Cursor is a place in the log: whoever has it has everything up to its position.
type Cursor struct {
	Position int64  // 0: before the first change
	Mark     uint32 // of the change that has the position, so that a cursor of another log is told from one of this
}

// mark is what a cursor remembers of the change that it is at, by the id of its operation. A database that was restored from a backup has given
// the positions after that to other changes.
func mark(operation string) uint32 { return crc32.ChecksumIEEE([]byte(operation)) }

// At returns the cursor of the change that has a position, by the id of its operation.
func At(position int64, operation string) Cursor { return Cursor{position, mark(operation)} }

// CursorOf returns the cursor of a change.
func CursorOf(c *model.Change) Cursor { return At(c.Position, c.OperationID) }

const cursorVersion = 1

// String returns the cursor in the form that clients get: base64url, without padding, of the version, the mark and the position.
func (c Cursor) String() string {
	b := make([]byte, 0, 5+binary.MaxVarintLen64)
	b = binary.BigEndian.AppendUint32(append(b, cursorVersion), c.Mark)
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(b, uint64(c.Position)))
}

// ParseCursor returns the cursor whose String is text. The error is BAD_USER_INPUT about a field.
func ParseCursor(field, text string) (Cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(b) > 5 {
		position, _ := binary.Uvarint(b[5:])
		if c := (Cursor{int64(position), binary.BigEndian.Uint32(b[1:])}); c.Position >= 0 && c.String() == text {
			return c, nil
		}
	}
	return Cursor{}, apierror.BadInput(field, "%s is not a cursor of the log of changes: use asOf, or the cursor of a change", field)
}

// CodeExpired is the code of the error about a cursor whose followers cannot be told all that came after it.
const CodeExpired apierror.Code = "CURSOR_EXPIRED"

func expired(field string) error {
	return &apierror.Error{Code: CodeExpired, Field: field, Message: "the changes after this cursor are not kept any more, or the cursor is that of another database: read the lists again, and follow the changes from their asOf"}
}
