package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/auth"
	"rollcall/database"
	"rollcall/document"
	"rollcall/webhook"
)

// findings is what a check has found out, line by line.
type findings struct {
	lines    []string
	problems int
}

func (f *findings) add(kind, format string, args ...any) {
	f.lines = append(f.lines, kind+"\t"+strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

func (f *findings) ok(format string, args ...any)   { f.add("ok", format, args...) }
func (f *findings) warn(format string, args ...any) { f.add("warning", format, args...) }

// Write adds a line of a log.
func (f *findings) Write(line []byte) (int, error) {
	f.warn("OTEL_*: %s", line)
	return len(line), nil
}

// failed adds a problem, unless the error is nil.
func (f *findings) failed(err error) bool {
	if err != nil {
		f.problems++
		f.add("problem", "%v", err)
	}
	return err != nil
}

// check prints the settings that serve would have, tries what they name, and fails if something is wrong with them.
func (s *service) check(ctx context.Context) error {
	f := &findings{}
	for _, err := range s.refused {
		f.failed(err)
	}
	s.checkFiles(f)
	s.checkDatabase(ctx, f)
	s.checkIssuers(ctx, f)
	s.checkTraces(ctx, f)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(table, "FLAG\tVALUE\tFROM\n")
	for _, one := range s.filled(s.settings) {
		_, _ = fmt.Fprintf(table, "--%s\t%s\t%s\n", one.flag, one.shown(), one.origin)
	}
	_ = table.Flush()
	_, _ = fmt.Fprintln(s.out)
	for _, line := range f.lines {
		_, _ = fmt.Fprintln(table, line)
	}
	_ = table.Flush()
	switch f.problems {
	case 0:
		return nil
	case 1:
		return errors.New("check: there is a problem")
	}
	return fmt.Errorf("check: there are %d problems", f.problems)
}

// checkFiles reads the files that flags name.
func (s *service) checkFiles(f *findings) {
	certified, err := s.loadCertificate()
	switch {
	case f.failed(err), certified == nil:
	case time.Now().After(certified.pair.Leaf.NotAfter):
		f.failed(fmt.Errorf("--tls-cert: the certificate has expired at %s", certified.pair.Leaf.NotAfter.Format(time.RFC3339)))
	default:
		f.ok("--tls-cert: the certificate is good until %s", certified.pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	list, err := document.ReadFile(s.Documents)
	if err != nil {
		f.failed(fmt.Errorf("--documents: %w", err))
	} else if s.Documents != "" {
		f.ok("--documents: %d documents", len(list))
	}
	receivers, err := s.config.receivers()
	if !f.failed(err) && len(receivers) > 0 {
		f.ok("--webhook: %d receivers", len(receivers))
	}
}

// checkDatabase opens the database and its replicas. It does not wait for one that is away.
func (s *service) checkDatabase(ctx context.Context, f *findings) {
	if missing := s.thereIs(ctx); missing != nil {
		f.warn("--database: the file is not there, and is made at the start")
		return
	}
	s.Wait = 0
	if f.failed(s.open(ctx)) {
		return
	}
	err := s.db.CheckSchema(ctx)
	older, ok := errors.AsType[*database.SchemaError](err)
	switch {
	case ok && older.Flaw == "" && older.Have < older.Want && (s.DoMigrate || s.db.Dialect().Embedded()):
		f.warn("--database: the schema has version %d, and is brought to version %d at the start", older.Have, older.Want)
	case err != nil:
		f.failed(fmt.Errorf("--database: %w", err))
	default:
		if schema, err := s.db.Schema(ctx); !f.failed(err) {
			f.ok("--database: it answers, and its schema has version %d", schema.Have)
		}
	}
	lossy, err := s.db.Lossy(ctx)
	if err != nil {
		f.warn("--database: it does not tell whether it keeps what it acknowledges: %v", err)
	}
	for _, setting := range lossy {
		f.warn("--database: a crash may take mutations with it that were acknowledged: %s", setting)
	}
	for _, replica := range s.config.replicas() {
		db, err := database.Open(ctx, replica, s.options())
		if err != nil {
			f.failed(fmt.Errorf("--replica: %w", err))
			continue
		}
		_ = db.Close()
		f.ok("--replica: %s answers", redacted(replica))
	}
}

// checkIssuers asks the OpenID providers for their keys.
func (s *service) checkIssuers(ctx context.Context, f *findings) {
	all, err := s.issuers()
	if err != nil { // which is among what is refused
		return
	}
	for _, one := range all {
		provider, err := auth.NewIssuers(s.log, one)
		if err == nil {
			err = provider.Ask(ctx)
		}
		if err != nil {
			f.failed(fmt.Errorf("--oidc-issuer: %w", err))
			continue
		}
		f.ok("--oidc-issuer: %s has told its keys", one.URL)
	}
}

// shown is the value without what is secret in it.
func (s setting) shown() string {
	var shown []string
	for word := range strings.FieldsSeq(s.value) {
		name, rest, named := strings.Cut(word, "=")
		switch {
		case s.flag == "database" || s.flag == "replica":
			word = redacted(word)
		case strings.HasPrefix(s.flag, "webhook") && (!named || webhook.CheckName(name) != nil): // it may be a secret that lacks its name
			word = withheld
		case s.flag == "webhook-secret":
			word = name + "=" + withheld
		case s.flag == "webhook":
			word = name
			if u, err := url.Parse(rest); err == nil && u.Host != "" {
				word += "=" + u.Scheme + "://" + u.Host
			}
		case s.secret:
			return withheld
		case strings.Contains(word, "://") && strings.ContainsAny(word, "@?"): // there may be a secret in it
			word = withheld
		}
		shown = append(shown, word)
	}
	return strings.Join(shown, " ")
}
