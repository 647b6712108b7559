package entity_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// files is the text of files, by their names.
type files map[string]string

// example is one of the worked examples of ARCHITECTURE.md.
type example struct {
	name  string
	hunks []hunk
}

// hunk is lines that take the place of others in a file: once or, if every, wherever these are.
type hunk struct {
	file, before, after string
	every               bool
}

// TestEachChangeIsMadeInFewPlaces makes the changes of ARCHITECTURE.md on a small server, one after the other, counts the places that
// each touches, and asks for everything that was added.
func TestEachChangeIsMadeInFewPlaces(t *testing.T) {
	guide := read(t, "../ARCHITECTURE.md")
	examples := workedExamples(guide)
	base := folder(t, "testdata/places")
	small := base
	for i, c := range []struct {
		name   string
		places int // and, if lists, one for each list
		lists  bool
	}{
		{"A field that is read", 3, false},
		{"A field that is written too", 5, false},
		{"A relation to one object", 3, false},
		{"A relation to a list, with a field of its edges", 5, false},
		{"A type with a list", 8, false},
		{"An argument on every list", 1, true},
		{"An order of lists", 2, false},
		{"A filter of lists", 2, false},
		{"A mutation", 9, false},
	} {
		if i >= len(examples) || examples[i].name != c.name || !strings.Contains(guide, fmt.Sprintf("| %s | %d", c.name, c.places)) {
			t.Fatalf("ARCHITECTURE.md lacks the example %q, or its %d places in the table", c.name, c.places)
		}
		limit := c.places
		if c.lists {
			limit += strings.Count(small["schema.graphqls"], "after: String\n")
		}
		changed := examples[i].apply(t, small)
		n := places(small, changed)
		t.Logf("%-50s %2d places, at most %2d", c.name, n, limit)
		if n > limit {
			t.Errorf("%s: %d places, more than %d", c.name, n, limit)
		}
		small = changed
	}

	at := t.TempDir()
	small[migrations+"sqlite/99999_rows.sql"] = read(t, "testdata/places.sql")
	write(t, at, small)
	run(t, at, "go", "tool", "gqlgen", "generate")
	run(t, at, "go", "build", "-o", "small", ".")
	var requests []string
	var answers strings.Builder
	for line := range strings.Lines(read(t, "testdata/places.txt")) {
		switch {
		case strings.HasPrefix(line, "#") || line == "\n":
		case strings.ContainsAny(line[:1], "0123456789"):
			answers.WriteString(line)
		default:
			requests = append(requests, strings.TrimSpace(line))
		}
	}
	got, err := output(at, "./small", requests...)
	if got != answers.String() || err != nil {
		t.Errorf("the answers are\n%s%v\nand should be\n%s", got, err, answers.String())
	}
	refusesWhatIsMissing(t, at, base, examples)
}

// refusesWhatIsMissing leaves out the columns, and then the declarations, that the examples made in the server in a folder.
func refusesWhatIsMissing(t *testing.T, at string, base files, examples []example) {
	for _, name := range []string{"00008_motto", "00009_nickname", "00010_lead", "00013_nickname_order", "99999_rows"} {
		remove(t, at, migrations+"sqlite/"+name+".sql")
	}
	wantRefusal(t, at, "Team is declared with the column teams.motto, which", "ALTER TABLE teams ADD COLUMN motto", "the column users.nickname", "the column teams.lead_id")

	undeclared := files{}
	for name, text := range examples[len(examples)-1].apply(t, base) { // the build wants the mutation
		if strings.HasPrefix(name, "directory/") {
			undeclared[name] = text
		}
	}
	remove(t, at, "directory/site.go")
	write(t, at, undeclared)
	run(t, at, "go", "build", "-o", "small", ".")
	wantRefusal(t, at,
		`Team.motto, which is not declared: add entity.Text(teams, "motto", func(o *Team) *string { return &o.Motto })`,
		`User.nickname, which is not declared: add entity.Text(users, "nickname", func(o *User) *string { return &o.Nickname })`,
		`CreateUserInput.nickname, and User has no such field to write: add .Writable(…)`,
		`UpdateUserInput.nickname, and User has no such field to write: add .Writable(…)`,
		`Team.lead, which is not declared: add entity.One(teams, "lead", users, func(o *Team) **int64 { return &o.LeadID })`,
		`Team.followers, which is not declared: add entity.Many(teams, "followers", …, "team_id"), or entity.Through`,
		`Query.sites, which is not declared: add entity.All(schema, "sites", sites)`,
		`Query.site, which is not declared: add entity.Find`,
		`Site.name, which is not declared: add entity.Text(sites, "name", func(o *Site) *string { return &o.Name })`,
		`Query.users(name:), which is not declared: add entity.ListArgument(schema, "name", func(value string, key *entity.Key) error { … })`,
		`User.reports(name:), which is not declared`,
		`UserOrderField.NICKNAME, and Query.users cannot be sorted by it: add .Order() behind the declaration of nickname`,
		`UserFilter.nickname, and User declares no filter by it: add .Filter() to the declaration of its nickname`)
}

func wantRefusal(t *testing.T, at string, words ...string) {
	t.Helper()
	out, err := output(at, "./small")
	if err == nil {
		t.Errorf("the server starts, and should say: %s", words)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("the server does not say %q, but\n%s", w, out)
		}
	}
}

// migrations are files that do not count as places.
const migrations = "database/migrations/"

// places counts the runs of lines that differ.
func places(before, after files) (n int) {
	for name, text := range after {
		switch {
		case strings.HasPrefix(name, migrations) || before[name] == text:
		case before[name] == "":
			n++
		default:
			n += runs(strings.Split(before[name], "\n"), strings.Split(text, "\n"))
		}
	}
	return n
}

// runs counts the runs of lines that are not in a longest common subsequence of two texts.
func runs(a, b []string) (n int) {
	common := make([][]int, len(a)+1) // of what begins at two lines
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	same := true
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j, same = i+1, j+1, true
			continue
		}
		if same {
			n++
		}
		if same = false; j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1] {
			i++
		} else {
			j++
		}
	}
	return n
}

// workedExamples returns the diffs in ARCHITECTURE.md, by the headings that they stand under.
func workedExamples(guide string) (all []example) {
	section := regexp.MustCompile("(?m)^### (.*)\n(?:[^`#]|`[^`])*```diff\n((?s:.*?))\n```$")
	for _, found := range section.FindAllStringSubmatch(guide, -1) {
		e := example{name: found[1]}
		var in hunk
		flush := func() {
			if in.before+in.after != "" {
				e.hunks = append(e.hunks, in)
			}
			in = hunk{file: in.file}
		}
		for line := range strings.SplitSeq(found[2], "\n") {
			file, begins := strings.CutPrefix(strings.Replace(line, "+++ ", "--- ", 1), "--- ")
			switch {
			case begins:
				flush()
				in.file = file
			case strings.HasPrefix(line, "@@"):
				flush()
				in.every = strings.Contains(line, "every")
			case strings.HasPrefix(line, "+"):
				in.after += line[1:] + "\n"
			case strings.HasPrefix(line, "-"):
				in.before += line[1:] + "\n"
			default:
				in.before += line[min(1, len(line)):] + "\n"
				in.after += line[min(1, len(line)):] + "\n"
			}
		}
		flush()
		all = append(all, e)
	}
	return all
}

// apply returns files in which the example's change is made.
func (e example) apply(t *testing.T, to files) files {
	changed := maps.Clone(to)
	for _, h := range e.hunks {
		text, before, after := changed[h.file], "\n"+h.before, "\n"+h.after
		switch n := strings.Count("\n"+text, before); {
		case h.before == "" && text == "":
			changed[h.file] = h.after
		case n == 1 || h.every && n > 0:
			changed[h.file] = strings.ReplaceAll("\n"+text, before, after)[1:]
		default:
			t.Fatalf("%s: these lines are in %s %d times:\n%s", e.name, h.file, n, h.before)
		}
	}
	return changed
}

// folder returns the files of a server: those of the folders that the examples change, and what stands beside these.
func folder(t *testing.T, root string) files {
	all := files{}
	for _, pattern := range []string{"*.graphqls", "gqlgen.yml", "main.go", "model/*.go", "directory/*.go", "graph/*.go", migrations + "sqlite/*.sql"} {
		names, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[name] = read(t, filepath.Join(root, name))
		}
	}
	return all
}

// write writes a server's files into a folder, as a module of its own beside that of the generic packages.
func write(t *testing.T, at string, server files) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	all := files{
		"go.mod": strings.Replace(read(t, "../go.mod"), "module rollcall\n", "module small\n\nrequire rollcall v0.0.0\n\nreplace rollcall => "+root+"\n", 1),
		"go.sum": read(t, "../go.sum"),
	}
	own := strings.NewReplacer("rollcall/model", "small/model", "rollcall/directory", "small/directory", "rollcall/graph", "small/graph")
	for name, text := range server {
		all[name] = own.Replace(text)
	}
	for name, text := range all {
		path := filepath.Join(at, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func remove(t *testing.T, at, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(at, name)); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in a folder, which must succeed.
func run(t *testing.T, at, command string, args ...string) {
	t.Helper()
	if out, err := output(at, command, args...); err != nil {
		t.Fatalf("%s %s: %v\n%s", command, args, err, out)
	}
}

// output returns what a command writes in a folder. The go command uses what has been downloaded.
func output(at, command string, args ...string) (string, error) {
	cmd := exec.Command(command, args...)
	cmd.Dir = at
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
