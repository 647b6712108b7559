package transfer_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"rollcall/transfer"
)

// read returns the records of a file, in short, and the error that ends it.
func read(t *testing.T, file io.Reader, o transfer.SourceOptions) (records []string, err error) {
	t.Helper()
	source, err := transfer.NewSource(file, o)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	for offset := int64(0); ; {
		r, err := source.Next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		if source.Offset() <= offset {
			t.Fatalf("the offset is %d after %d", source.Offset(), offset)
		}
		offset = source.Offset()
		text := fmt.Sprintf("%d %s %v", r.Line, r.Kind, r.Values)
		if r.Wrong != nil {
			text = fmt.Sprintf("%d wrong %s: %s", r.Line, r.Wrong[0].Field, r.Wrong[0].Message)
		}
		records = append(records, text)
	}
}

func TestTablesAreReadAsExcelAndOthersWriteThem(t *testing.T) {
	want := "2 user map[email:ada@x.org name:Ada Löve title:Head; of \"it\"]\n4 user map[email:b@x.org name:B title:<nil>]"
	plain := "Name,E-mail,Title\r\nAda Löve,ada@x.org,\"Head; of \"\"it\"\"\"\r\n\r\nB,b@x.org,\r\n"
	encoded := func(name string, text string) string {
		enc := map[string]interface{ String(string) (string, error) }{
			"latin-1": charmap.ISO8859_1.NewEncoder(), "windows-1252": charmap.Windows1252.NewEncoder(),
			"utf-16": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder(),
		}[name]
		s, err := enc.String(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	zipped := &bytes.Buffer{}
	z := gzip.NewWriter(zipped)
	_, _ = z.Write([]byte(plain))
	_ = z.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	email := []string{"E-mail=email"}
	for name, c := range map[string]struct {
		file string
		o    transfer.SourceOptions
	}{
		"plain":          {plain, transfer.SourceOptions{}},
		"a BOM":          {"\ufeff" + plain, transfer.SourceOptions{}},
		"semicolons":     {strings.ReplaceAll(plain, ",", ";"), transfer.SourceOptions{}},
		"tabs":           {strings.ReplaceAll(plain, ",", "\t"), transfer.SourceOptions{Delimiter: "tab"}},
		"LF":             {strings.ReplaceAll(plain, "\r\n", "\n"), transfer.SourceOptions{}},
		"latin-1":        {encoded("latin-1", plain), transfer.SourceOptions{Encoding: "latin-1"}},
		"windows-1252":   {encoded("windows-1252", plain), transfer.SourceOptions{Encoding: "windows-1252"}},
		"utf-16":         {encoded("utf-16", plain), transfer.SourceOptions{}},
		"gzip":           {zipped.String(), transfer.SourceOptions{Name: "x.csv.gz"}},
		"zstd":           {string(encoder.EncodeAll([]byte(plain), nil)), transfer.SourceOptions{}},
		"no end of line": {strings.TrimSuffix(plain, "\r\n"), transfer.SourceOptions{}},
		"mapped":         {plain, transfer.SourceOptions{Kind: transfer.Users, Map: []string{"Title=title"}}},
	} {
		c.o.Map = append(c.o.Map, email...)
		got, err := read(t, strings.NewReader(c.file), c.o)
		if text := strings.Join(got, "\n"); err != nil || text != want {
			t.Errorf("%s: got\n%s\n%v", name, text, err)
		}
	}
	got, err := read(t, strings.NewReader("sep=;\r\nemail;Vorname;Nachname;Personalnummer\r\na@x.org;Ada;\"L\nB\";7\r\nb@x.org;B;;8"),
		transfer.SourceOptions{Map: []string{"Vorname+Nachname=name", "Personalnummer="}})
	if text := strings.Join(got, "\n"); err != nil || text != "3 user map[email:a@x.org name:Ada L\nB]\n5 user map[email:b@x.org name:B]" {
		t.Errorf("sep=: got\n%s\n%v", text, err)
	}
}

func TestHostileFilesAreRefusedByTheLineAndNothingIsHeldInMemory(t *testing.T) {
	zipped := &bytes.Buffer{}
	z := gzip.NewWriter(zipped)
	_, _ = z.Write(bytes.Repeat([]byte("email,name\n"), 10_000))
	_ = z.Close()
	bomb := func() io.Reader {
		reader, writer := io.Pipe()
		go func() {
			z := gzip.NewWriter(writer)
			_, _ = io.WriteString(z, "email,name\n\"")
			for range 2000 {
				if _, err := z.Write(make([]byte, 100_000)); err != nil {
					return
				}
			}
			_ = writer.CloseWithError(z.Close())
		}()
		return reader
	}
	text := func(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
	for name, c := range map[string]struct {
		file func() io.Reader
		o    transfer.SourceOptions
		want string // in the records or the error
	}{
		"an empty file":           {text(""), transfer.SourceOptions{Name: "x.csv"}, "the file is empty"},
		"a header alone":          {text("email,name\n"), transfer.SourceOptions{}, ""},
		"a workbook":              {text("PK\x03\x04xxxxxxxx"), transfer.SourceOptions{Name: "x.csv"}, "save the table as CSV"},
		"JSON":                    {text("[{}]"), transfer.SourceOptions{Name: "x.json"}, "call it .jsonl"},
		"bytes that are no text":  {text("email,name\na@x.org,\xff\xfe\x00\n"), transfer.SourceOptions{}, "2 wrong name: character 1 is not UTF-8"},
		"a header that is none":   {text("email,n\xe4me\n"), transfer.SourceOptions{}, "in column 2, character 2 is not UTF-8"},
		"unknown columns":         {text("email,name,shoe size,pet\n"), transfer.SourceOptions{}, `"shoe size", "pet"`},
		"two columns of a name":   {text("email,name,name\n"), transfer.SourceOptions{}, `columns 2 and 3 are both called "name"`},
		"two columns of a field":  {text("email,name,Name\n"), transfer.SourceOptions{}, "two columns are the field name"},
		"a mapping to nothing":    {text("email,name\n"), transfer.SourceOptions{Map: []string{"email=mail"}}, `no field "mail"`},
		"a mapping of nothing":    {text("email,name\n"), transfer.SourceOptions{Map: []string{"mail=email"}}, `no column "mail"`},
		"too few cells":           {text("email,name\na@x.org\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : the row has 1 cells, and the table has 2 columns|3 user"},
		"a quotation mark within": {text("email,name\na@x.org,A\"b\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : |3 user"},
		"an open quotation mark":  {text("email,name\na@x.org,\"A\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : "},
		"columns without end":     {text(strings.Repeat("a,", 500_000) + "\n"), transfer.SourceOptions{}, "a table may have 1000 columns"},
		"a bomb":                  {bomb, transfer.SourceOptions{}, "longer than 1 MiB"},
		"gzip that ends early":    {func() io.Reader { return bytes.NewReader(zipped.Bytes()[:zipped.Len()/2]) }, transfer.SourceOptions{}, "damaged, or ends too early"},
		"zstd that is none":       {text("\x28\xb5\x2f\xfdxxxxxxxxxxxx"), transfer.SourceOptions{}, "damaged, or ends too early"},
		"an unknown encoding":     {text("email"), transfer.SourceOptions{Encoding: "ebcdic"}, "no encoding"},
		"a delimiter of two":      {text("email"), transfer.SourceOptions{Delimiter: ";;"}, "cannot be the delimiter"},
		"a field twice":           {text(`{"kind":"user","name":"A","name":"B"}`), transfer.SourceOptions{}, "1 wrong name: name is given twice"},
		"a number":                {text(`{"kind":"user","name":7}`), transfer.SourceOptions{}, "1 wrong name: name must be a text or null"},
		"no kind":                 {text(`{"name":"A"}`), transfer.SourceOptions{}, "1 wrong kind: "},
		"another kind":            {text(`{"kind":"car","name":"A"}`), transfer.SourceOptions{}, `1 wrong kind: "car" is no kind`},
		"an unknown field":        {text(`{"kind":"team","name":"A","email":"x"}`), transfer.SourceOptions{}, `1 wrong email: a team has no field "email"`},
		"no object":               {text("[1]\n{}\n"), transfer.SourceOptions{Name: "x.jsonl"}, "1 wrong : a line must be an object|2 wrong kind"},
		"depth":                   {text(`{"kind":"user","name":` + strings.Repeat("[", 100_000)), transfer.SourceOptions{}, "1 wrong : this is not JSON"},
		"two objects":             {text(`{"kind":"user"}{"kind":"user"}`), transfer.SourceOptions{}, "1 wrong : something follows the object"},
		"a line without end": {func() io.Reader {
			return io.MultiReader(strings.NewReader(`{"name":"`), io.LimitReader(endless{}, 300<<20))
		}, transfer.SourceOptions{}, "longer than 1 MiB"},
		"surrogates alone": {text(`{"kind":"user","name":"\ud800"}`), transfer.SourceOptions{}, "1 user"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			records, err := read(t, c.file(), c.o)
			runtime.GC()
			runtime.ReadMemStats(&after)
			got := strings.Join(records, "|")
			if err != nil {
				got += err.Error()
			}
			for want := range strings.SplitSeq(c.want, "|") {
				if !strings.Contains(got, want) {
					t.Errorf("got %.300q, want %q", got, want)
				}
			}
			if after.HeapAlloc > before.HeapAlloc+16<<20 {
				t.Errorf("%d MiB stay in use", (after.HeapAlloc-before.HeapAlloc)>>20)
			}
		})
	}
}

// endless is letters without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzSource(f *testing.F) {
	f.Add("email,name\na@x.org,A\n", "")
	f.Add("sep=;\nemail;name\n\"a@x.org\";\"A\nB\"\n", ";")
	f.Add(`{"kind":"user","name":"A"}`+"\n", "")
	f.Fuzz(func(t *testing.T, file, delimiter string) {
		o := transfer.SourceOptions{Delimiter: delimiter}
		first, err := read(t, strings.NewReader(file), o)
		again, errAgain := read(t, iotestOneByte{strings.NewReader(file)}, o)
		if strings.Join(first, "|") != strings.Join(again, "|") || (err == nil) != (errAgain == nil) {
			t.Errorf("read byte by byte it is %q, %v, else %q, %v", again, errAgain, first, err)
		}
	})
}

// iotestOneByte reads a byte at a time.
type iotestOneByte struct{ io.Reader }

func (r iotestOneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

func TestWhatIsWrittenIsReadAgainAsItWas(t *testing.T) {
	values := map[string]any{"name": "=1+\"x\"; ,\n'é", "email": "a@x.org", "title": nil, "status": "ACTIVE"}
	for _, name := range []string{"a.csv", "a.jsonl", "a.csv.gz", "a.jsonl.zst"} {
		var file bytes.Buffer
		w, err := transfer.NewWriter(&file, name, transfer.Users)
		if err == nil {
			err = errors.Join(w.Write(transfer.Users, values), w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		source, err := transfer.NewSource(&file, transfer.SourceOptions{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		r, err := source.Next()
		if err != nil || r.Wrong != nil {
			t.Fatal(err, r.Wrong)
		}
		for field, want := range values {
			if r.Values[field] != want {
				t.Errorf("%s: %s is %q", name, field, r.Values[field])
			}
		}
	}
}
