package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// setting is a flag with the value that it has, and where that comes from.
type setting struct {
	flag, value, origin string
	secret              bool // it is from a file of secrets
}

// Origins of values besides flags, variables and files, which are named.
const (
	fromDefault = "default"
	fromFlag    = "flag"
)

// credentialPrefix is what the names of systemd's credentials begin with that are flags' values.
const credentialPrefix = "rollcall."

// withheld is shown in the place of what is secret.
const withheld = "(secret)"

// sources is where flags that are not on the command line have their values from. The first that has one counts: the variable, a file that
// another variable names, a credential of systemd's, the file of --config.
type sources struct {
	app       *kong.Application
	origins   map[string]string // by flag
	secret    map[string]bool   // flags whose values are from files of secrets
	withheld  []string          // what files of secrets hold
	variables map[string]string // those that name a file that holds a flag's value, by flag

	path string         // the file of --config
	file map[string]any // what it has
}

var _ kong.Resolver = &sources{}

func newSources(app *kong.Application) *sources {
	s := &sources{app: app, origins: map[string]string{}, secret: map[string]bool{}, variables: map[string]string{}}
	for _, flag := range app.Flags {
		if flag.PlaceHolder != "FILE" && len(flag.Envs) > 0 { // a file that holds the name of a file is of no use
			s.variables[flag.Name] = flag.Envs[0] + "_FILE"
		}
	}
	return s
}

// Validate has nothing to say of the application.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag that is not on the command line, or nil if the variable or the default gives it.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !slices.Contains(s.app.Flags, flag) {
		return nil, nil // of one command, about what it is to do now
	}
	variable, file := "", s.variables[flag.Name]
	if len(flag.Envs) > 0 && os.Getenv(flag.Envs[0]) != "" {
		variable = flag.Envs[0]
	}
	path := ""
	if file != "" {
		path = os.Getenv(file)
	}
	switch {
	case variable != "" && path != "":
		return nil, fmt.Errorf("%s and %s are both given: leave one out", variable, file)
	case variable != "":
		s.origins[flag.Name] = variable
		return nil, nil
	case path != "":
		return s.fromFile(flag, path, file)
	}
	if folder := os.Getenv("CREDENTIALS_DIRECTORY"); folder != "" {
		name := credentialPrefix + flag.Name
		path := filepath.Join(folder, name)
		_, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil: // to go on without it could serve another directory
			return nil, fmt.Errorf("the credential %s: %w", name, err)
		case flag.PlaceHolder == "FILE": // which it is
			s.origins[flag.Name] = "credential " + name
			if flag.Name == "config" {
				s.path = path
			}
			return path, nil
		default:
			return s.fromFile(flag, path, "credential "+name)
		}
	}
	if flag.Name == "config" || flag.Name == "help" {
		return nil, nil
	}
	if err := s.readFile(ctx); err != nil {
		return nil, err
	}
	value, ok := s.file[flag.Name]
	if !ok {
		return nil, nil
	}
	if _, list := value.([]any); list && !flag.IsSlice() {
		return nil, fmt.Errorf("%s has a list, and it takes one value", s.path)
	}
	s.origins[flag.Name] = s.path
	return value, nil
}

// fromFile returns what a file holds, without the newline that ends it.
func (s *sources) fromFile(flag *kong.Flag, path, origin string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return nil, fmt.Errorf("%s: the file %s is empty", origin, path)
	}
	s.origins[flag.Name], s.secret[flag.Name] = origin, true
	s.withheld = append(s.withheld, value)
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == ';' || r == ',' }) {
		if len(part) >= 4 { // a shorter one is in too many other words
			s.withheld = append(s.withheld, part)
		}
	}
	return value, nil
}

// readFile reads the file of --config, if there is one and it has not been read.
func (s *sources) readFile(ctx *kong.Context) error {
	if s.file != nil {
		return nil
	}
	s.file = map[string]any{}
	i := slices.IndexFunc(s.app.Flags, func(flag *kong.Flag) bool { return flag.Name == "config" })
	if given, _ := ctx.FlagValue(s.app.Flags[i]).(string); given != "" {
		s.path = given
	}
	if s.path == "" {
		return nil
	}
	text, err := os.ReadFile(s.path)
	if err == nil {
		err = s.readYAML(text)
	}
	if err != nil {
		return fileError{fmt.Errorf("--config: %w", err)}
	}
	return nil
}

// fileError is about the file of --config, and not about the flag for which that was read.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// readYAML reads what a file has: flags' names with a value, or a list of these. Values are taken as they are written. Errors name lines
// and quote no values, which may be secret.
func (s *sources) readYAML(text []byte) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: there is a second document, after ---", s.path)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			return nil
		}
		return fmt.Errorf("%s: it is not a list of NAME: VALUE, the names being those of flags", s.path)
	}
	var errs []string
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i].Value, root.Content[i+1]
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Sprintf("%s, line %d: %s", s.path, root.Content[i].Line, fmt.Sprintf(format, args...)))
		}
		value, ok := valueOf(node)
		_, twice := s.file[key]
		switch {
		case !slices.ContainsFunc(s.app.Flags, func(flag *kong.Flag) bool { return flag.Name == key && key != "help" && key != "config" }):
			wrong("there is no flag %s: %s", key, s.nearest(key))
		case twice:
			wrong("%s is there twice", key)
		case !ok:
			wrong("%s takes a value or a list of them", key)
		case value != nil:
			s.file[key] = value
		}
	}
	if len(errs) > 0 {
		return errors.New(strings.Join(errs, "; "))
	}
	return nil
}

// valueOf returns a value as it is written, or a list of such; nil for none.
func valueOf(node *yaml.Node) (any, bool) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag == "!!null" || node.Value == "" {
			return nil, true
		}
		return node.Value, true
	case yaml.SequenceNode:
		list := []any{}
		for _, each := range node.Content {
			if each.Kind != yaml.ScalarNode || each.Tag == "!!null" {
				return nil, false
			}
			list = append(list, each.Value)
		}
		return list, true
	}
	return nil, false
}

// logFormat returns the form of the log that a command line asks for which cannot be understood, or what else has a value for it.
func (s *sources) logFormat(args []string) string {
	given := func(flag string) (last string) {
		for i, arg := range args {
			if value, ok := strings.CutPrefix(arg, flag+"="); ok {
				last = value
			} else if arg == flag && i+1 < len(args) {
				last = args[i+1]
			}
		}
		return last
	}
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return strings.TrimSpace(string(text))
	}
	credential := func(flag string) string {
		if folder := os.Getenv("CREDENTIALS_DIRECTORY"); folder != "" {
			return filepath.Join(folder, credentialPrefix+flag)
		}
		return ""
	}
	if s.file == nil {
		s.file = map[string]any{}
		if s.path = cmp.Or(given("--config"), os.Getenv("ROLLCALL_CONFIG"), credential("config")); s.path != "" {
			_ = s.readYAML([]byte(read(s.path))) // that is not what failed
		}
	}
	inFile, _ := s.file["log-format"].(string)
	return cmp.Or(given("--log-format"), os.Getenv("ROLLCALL_LOG_FORMAT"), read(os.Getenv("ROLLCALL_LOG_FORMAT_FILE")), read(credential("log-format")), inFile)
}

// nearest says which flag a mistyped one may have been meant to be.
func (s *sources) nearest(name string) string {
	var known []string
	for _, flag := range s.app.Flags {
		if flag.Name != "help" && flag.Name != "config" {
			known = append(known, flag.Name)
		}
	}
	if found, ok := nearest(known, name); ok {
		return "did you mean " + found + "?"
	}
	return "rollcall --help lists them"
}

// nearest returns which of the known names a mistyped one may have been meant to be.
func nearest(known []string, name string) (string, bool) {
	distance := func(other string) int { return levenshtein.ComputeDistance(other, name) }
	found := slices.MinFunc(known, func(a, b string) int { return cmp.Compare(distance(a), distance(b)) })
	return found, distance(found) <= max(2, len(name)/6)
}

// checkCredentials refuses a credential that is meant for a flag that does not exist.
func (s *sources) checkCredentials() error {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		return nil
	}
	all, _ := filepath.Glob(filepath.Join(folder, credentialPrefix+"*"))
	for _, path := range all {
		name := strings.TrimPrefix(filepath.Base(path), credentialPrefix)
		if !slices.ContainsFunc(s.app.Flags, func(flag *kong.Flag) bool { return flag.Name == name }) {
			return fmt.Errorf("the credential %s%s: there is no flag %s: %s", credentialPrefix, name, name, s.nearest(name))
		}
	}
	return nil
}

// told is an error as it may be shown: without what files of secrets hold, and with where the value comes from that it is about.
func (s *sources) told(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range s.withheld {
		for _, form := range []string{fmt.Sprintf("%q", secret), secret} {
			text = strings.ReplaceAll(text, form, withheld)
		}
	}
	if flag := regexp.MustCompile(`^--([a-z-]+)\b`).FindStringSubmatch(text); flag != nil {
		if origin := s.origins[flag[1]]; origin != "" && !strings.Contains(text, origin) {
			text += " (the value is from " + origin + ")"
		}
	}
	return errors.New(text)
}

// settings returns all flags of the program with their values, once these are known.
func (s *sources) settings(parsed *kong.Context) (all []setting) {
	given := map[*kong.Flag]bool{}
	for _, step := range parsed.Path {
		if step.Flag != nil && !step.Resolved {
			given[step.Flag] = true
		}
	}
	for _, flag := range s.app.Flags {
		if flag.Name == "help" {
			continue
		}
		one := setting{flag: flag.Name, origin: cmp.Or(s.origins[flag.Name], fromDefault), secret: s.secret[flag.Name]}
		if given[flag] {
			one.origin = fromFlag
		}
		switch {
		case !flag.HasDefault && !flag.IsBool() && flag.Target.IsZero(): // it has none
		case flag.IsSlice():
			one.value = strings.Join(flag.Target.Interface().([]string), " ")
		default:
			one.value = fmt.Sprint(flag.Target.Interface())
		}
		all = append(all, one)
	}
	return all
}

// tracesAsked reports whether OpenTelemetry's variables ask for traces. What else they say is for its library to read.
func tracesAsked() (bool, error) {
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || exporter == "none" {
		return false, nil
	}
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return false, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: it is no URL: give the collector's, such as http://127.0.0.1:4318")
	}
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); {
	case endpoint == "" && exporter == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not known: otlp sends traces, none sends none", exporter)
	case protocol != "http/protobuf":
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent by http/protobuf, and not by %s: give the collector's endpoint for that, such as http://127.0.0.1:4318", protocol)
	}
	return true, nil
}
