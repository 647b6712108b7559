package transfer_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
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
	records, _, err = readWhole(t, file, o)
	return records, err
}

func readWhole(t *testing.T, file io.Reader, o transfer.SourceOptions) (records []string, digest string, err error) {
	t.Helper()
	source, err := transfer.NewSource(file, o)
	if err != nil {
		return nil, "", err
	}
	defer source.Close()
	for offset := int64(0); ; {
		r, err := source.Next()
		if errors.Is(err, io.EOF) {
			return records, digest, nil
		}
		if err != nil {
			return records, digest, fmt.Errorf("line %d: %w", r.Line, err)
		}
		if source.Offset() <= offset {
			t.Fatalf("the offset is %d after %d", source.Offset(), offset)
		}
		offset = source.Offset()
		text := fmt.Sprintf("%d %s %v", r.Line, r.Kind, r.Values)
		digest = source.Digest()
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
		"ends of Excel":  {strings.Replace(strings.ReplaceAll(plain, "\r\n", ",,\r\n"), "\r\n,,", "\r\n,,,,", 1), transfer.SourceOptions{}},
		"longer rows":    {strings.Replace(plain, "b@x.org,", "b@x.org,,", 1), transfer.SourceOptions{}},
		"empty lines":    {strings.Replace(plain, "B,", strings.Repeat("\n", 3<<20)+"B,", 1), transfer.SourceOptions{}},
		"mapped":         {plain, transfer.SourceOptions{Kind: transfer.Users, Map: []string{"Title=title"}}},
	} {
		c.o.Map = append(c.o.Map, email...)
		got, err := read(t, strings.NewReader(c.file), c.o)
		text := strings.Join(got, "\n")
		if name == "empty lines" {
			text = regexp.MustCompile(`(?m)^[0-9]+ (.*:B )`).ReplaceAllString(text, "4 $1") // where that is on another line
		}
		if err != nil || text != want {
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
		"UTF-16 without a mark":   {text("e\x00m\x00a\x00i\x00l\x00,\x00n\x00a\x00m\x00e\x00\n\x00"), transfer.SourceOptions{Name: "x.csv"}, "--encoding=utf-16"},
		"CR alone":                {text("email,name\ra@x.org,A\r"), transfer.SourceOptions{}, "end in CR alone"},
		"a text without a column": {text("email,name,\na@x.org,A,x\nb@x.org,B,\n"), transfer.SourceOptions{}, "2 wrong : cell 3 has a text|3 user"},
		"too many cells":          {text("email,name\na@x.org,A,x\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : the row has 3 cells, and the table has 2 columns|3 user"},
		"a record too long":       {text("email,name\na@x.org,A\nb@x.org,\"" + strings.Repeat("\n", 2<<20)), transfer.SourceOptions{}, "2 user|line 3: a record is longer"},
		"not in windows-1252":     {text("email,name\na@x.org,A\x81\nb@x.org,B\n"), transfer.SourceOptions{Encoding: "windows-1252"}, "2 wrong name: character 2 is none in windows-1252|3 user"},
		"half a pair in UTF-16": {
			text("\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00a\x00\x00\xd8\n\x00"), transfer.SourceOptions{Name: "x.csv"}, "2 wrong email: character 2 is none in utf-16",
		},
		"unknown columns":         {text("email,name,shoe size,pet\n"), transfer.SourceOptions{}, `"shoe size", "pet"`},
		"two columns of a name":   {text("email,name,name\n"), transfer.SourceOptions{}, `columns 2 and 3 are both called "name"`},
		"two columns of a field":  {text("email,name,Name\n"), transfer.SourceOptions{}, "two columns are the field name"},
		"a mapping to nothing":    {text("email,name\n"), transfer.SourceOptions{Map: []string{"email=mail"}}, `no field "mail"`},
		"a mapping of nothing":    {text("email,name\n"), transfer.SourceOptions{Map: []string{"mail=email"}}, `no column "mail"`},
		"too few cells":           {text("email,name\na@x.org\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : the row has 1 cells, and the table has 2 columns|3 user"},
		"a quotation mark within": {text("email,name\na@x.org,A\"b\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : |3 user"},
		"an open quotation mark":  {text("email,name\na@x.org,\"A\nb@x.org,B\n"), transfer.SourceOptions{}, "2 wrong : |; the lines 2 to 3 are taken to be one row"},
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
		}, transfer.SourceOptions{}, "line 1: a record is longer than 1 MiB"},
		"half a pair":       {text(`{"kind":"user","name":"\ud800x"}`), transfer.SourceOptions{}, "1 wrong name: name has half of a pair of surrogates"},
		"what replaces one": {text(`{"kind":"user","name":"` + "\ufffd" + `"}` + "\n" + `{"kind":"user","name":"\uFffd"}`), transfer.SourceOptions{}, "1 user map[name:\ufffd]|2 user map[name:\ufffd]"},
	} {
		t.Run(name, func(t *testing.T) {
			before := inUse()
			file := &weighed{Reader: c.file()}
			records, err := read(t, file, c.o)
			got := strings.Join(records, "|")
			if err != nil {
				got += err.Error()
			}
			for want := range strings.SplitSeq(c.want, "|") {
				if !strings.Contains(got, want) {
					t.Errorf("got %.300q, want %q", got, want)
				}
			}
			if file.most > before+16<<20 {
				t.Errorf("%d MiB were in use", (file.most-before)>>20)
			}
		})
	}
}

// inUse is how many bytes are in use.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// weighed is a file that looks how much is in use while it is read, every MiB.
type weighed struct {
	io.Reader
	read int
	most uint64
}

func (w *weighed) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.read += n; w.read >= 1<<20 || err != nil {
		w.read, w.most = 0, max(w.most, inUse())
	}
	return n, err
}

// endless is letters without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestTheDigestIsThatOfTheTextUpToTheLastRecord(t *testing.T) {
	for name, file := range map[string]string{
		"a table":      "sep=;\r\nemail;name\r\na@x.org;\"A\nB\"\r\n;\r\n\r\nb@x.org;B\r\nc@x.org;C",
		"JSON Lines":   `{"kind":"user"}` + "\n\n" + `{"kind":"team","name":"A"}`,
		"broken ones":  "email,name\na@x.org,A\"b\nb@x.org,\nc@x.org\n",
		"a large file": "email,name\n" + strings.Repeat("a@x.org,"+strings.Repeat("A", 1000)+"\n", 500),
	} {
		source, err := transfer.NewSource(iotestOneByte{strings.NewReader("\ufeff" + file)}, transfer.SourceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for records := 0; ; records++ {
			if _, err := source.Next(); errors.Is(err, io.EOF) {
				if records < 2 {
					t.Errorf("%s: %d records", name, records)
				}
				break
			}
			if want := sha256.Sum256([]byte(file[:source.Offset()])); source.Digest() != hex.EncodeToString(want[:]) {
				t.Fatalf("%s: that of %q is %s", name, file[:source.Offset()], source.Digest())
			}
		}
		if int(source.Offset()) != len(file) {
			t.Errorf("%s: it ends at %d of %d bytes", name, source.Offset(), len(file))
		}
		source.Close()
	}
}

func FuzzSource(f *testing.F) {
	f.Add("email,name\na@x.org,A\n", "")
	f.Add("sep=;\nemail;name\n\"a@x.org\";\"A\nB\"\n", ";")
	f.Add(`{"kind":"user","name":"A"}`+"\n", "")
	f.Fuzz(func(t *testing.T, file, delimiter string) {
		o := transfer.SourceOptions{Delimiter: delimiter}
		first, digest, err := readWhole(t, strings.NewReader(file), o)
		again, digestAgain, errAgain := readWhole(t, iotestOneByte{strings.NewReader(file)}, o)
		if strings.Join(first, "|") != strings.Join(again, "|") || digest != digestAgain || (err == nil) != (errAgain == nil) {
			t.Errorf("read byte by byte it is %q, %v, else %q, %v", again, errAgain, first, err)
		}
	})
}

// iotestOneByte reads a byte at a time.
type iotestOneByte struct{ io.Reader }

func (r iotestOneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

func TestWhatIsWrittenIsReadAgainAsItWas(t *testing.T) {
	for _, name := range []string{"a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.tsv.zst", "a.jsonl.zst"} {
		values := map[string]any{"name": "=1+\"x\"; ,\t\n'é", "email": "a@x.org", "title": nil, "status": "ACTIVE"}
		if strings.Contains(name, "jsonl") { // which a table cannot keep
			values["title"], values["location"], values["department"] = " x ", "", "x\r\ny"
		}
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
