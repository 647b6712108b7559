package loader

import (
	"strconv"
	"time"

	"rollcall/batch"
	"rollcall/scalar"
)

// id declares the global id of an object.
func id[P any](typ string, key func(P) int64) batch.Field {
	return batch.Value(typ, "id", func(b []byte, p P) []byte {
		b = append(b, '"')
		b = append(b, typ...)
		b = append(b, ':')
		return append(strconv.AppendInt(b, key(p), 10), '"')
	})
}

func text[P any, S ~string](typ, name string, value func(P) S) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return scalar.AppendString(b, string(value(p))) })
}

func optional[P any](typ, name string, value func(P) *string) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte {
		s := value(p)
		if s == nil {
			return append(b, "null"...)
		}
		return scalar.AppendString(b, *s)
	})
}

func truth[P any](typ, name string, value func(P) bool) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return strconv.AppendBool(b, value(p)) })
}

func moment[P any](typ, name string, value func(P) time.Time) batch.Field {
	return batch.Value(typ, name, func(b []byte, p P) []byte { return scalar.AppendTime(b, value(p)) })
}
