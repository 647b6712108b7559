package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/apitoken"
	"rollcall/auth"
	"rollcall/directory"
	"rollcall/entity"
	"rollcall/model"
	"rollcall/session"
)

// tokenCommand is the commands about API tokens.
type tokenCommand struct {
	Create struct {
		Name    string    `placeholder:"NAME" env:"-" required:"" help:"What the token is for, such as payroll."`
		Role    anyCase   `placeholder:"ROLE" env:"-" enum:"viewer,editor,admin" default:"viewer" help:"What it may do: viewer, editor or admin. Default: ${default}."`
		Scope   []anyCase `placeholder:"SCOPE" env:"-" enum:"read,write,scim,metrics" help:"What it may be used for: read, write, scim or metrics; again for each. Default: all, but metrics for admin alone."`
		Owner   string    `placeholder:"EMAIL" env:"-" help:"The user whose token it is, by an email address or an id; the token works as long as that user is active. Default: nobody."`
		Expires string    `placeholder:"DURATION" env:"-" default:"90d" help:"How long it works, such as 90d or 12h, at most 3653d; never is for ever. Default: ${default}."`
	} `cmd:"" help:"Make a token and print it, this once, then stop."`
	List   struct{} `cmd:"" help:"List the tokens, without their texts, then stop."`
	Revoke struct {
		Tokens []string `arg:"" name:"token" help:"Ids such as ApiToken:7, their numbers, the tokens themselves, or how their SHA-256 begins, in 8 digits or more."`
	} `cmd:"" help:"Make tokens void, for good, then stop."`
}

// anyCase is a word of a list, in lower case however it is written: the API's are in upper case.
type anyCase string

// UnmarshalText is encoding.TextUnmarshaler's.
func (w *anyCase) UnmarshalText(text []byte) error { //nolint:unparam // it implements an interface
	*w = anyCase(strings.ToLower(string(text)))
	return nil
}

func (w anyCase) upper() string { return strings.ToUpper(string(w)) }

// inTokens has a function look after the API tokens, in one transaction.
func (s *service) inTokens(ctx context.Context, kind session.Kind, fn func(ctx context.Context, tokens *apitoken.Tokens) error) error {
	if err := s.db.CheckSchema(ctx); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	pools, err := s.proven(s.Deadline)
	if err != nil {
		return err
	}
	s.changes.Actor = func(context.Context) string { return "command" }
	s.tokens.Directory = directory.New(directory.Config{Log: s.changes})
	err = session.Run(ctx, pools, kind, "("+s.command+")", func(ctx context.Context) error { return fn(ctx, s.tokens) })
	_ = s.changes.Settle(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("%s: in %s: %w", s.command, redacted(s.Database), err)
	}
	return nil
}

// createToken makes a token. Its text is all that goes to standard output.
func (s *service) createToken(ctx context.Context) error {
	c := s.Token.Create
	input := entity.Input{"name": c.Name, "role": c.Role.upper()}
	life, never, err := lifetime(c.Expires)
	if err != nil {
		return fmt.Errorf("--expires: %w", err)
	}
	if never {
		input["neverExpires"] = true
	} else {
		input["expiresAt"] = time.Now().Add(life)
	}
	var scopes []any
	for _, scope := range c.Scope {
		scopes = append(scopes, scope.upper())
	}
	if scopes != nil {
		input["scopes"] = scopes
	}
	var text auth.APIToken
	var token *model.APIToken
	err = s.inTokens(ctx, session.Write, func(ctx context.Context, tokens *apitoken.Tokens) (err error) {
		if c.Owner != "" {
			owner, err := tokens.Directory.UserOf(ctx, c.Owner)
			if err != nil {
				return fmt.Errorf("--owner: %w", err)
			}
			input["ownerId"] = owner.GlobalID()
		}
		text, token, err = tokens.Create(ctx, input)
		return err
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.err, "%s (%s) has the role %s and the scopes %s, and expires: %s. This is the token, which is not shown again:\n",
		token.GlobalID(), token.Name, strings.ToLower(token.Role), scopesOf(token), moment(token.ExpiresAt))
	_, err = fmt.Fprintln(s.out, text.Text())
	return err
}

// maxDays is how many days a token may live, unless it lives for ever.
const maxDays = int(apitoken.MaxLife / (24 * time.Hour))

// lifetime reads how long a token is to live.
func lifetime(text string) (life time.Duration, never bool, err error) {
	if text == "never" || text == "0" {
		return 0, true, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			return 0, false, fmt.Errorf("%q is not a number of days: write one such as 90d", text)
		}
		life = time.Duration(min(max(n, 0), maxDays+1)) * 24 * time.Hour
	} else if life, err = time.ParseDuration(text); err != nil {
		return 0, false, fmt.Errorf("%q is not a time: write one such as 90d, 12h or never", text)
	}
	switch {
	case life <= 0:
		return 0, false, fmt.Errorf("%s is too short: give a time such as 90d, or never", text)
	case life > apitoken.MaxLife:
		return 0, false, fmt.Errorf("%s is too long: at most %dd, or never", text, maxDays)
	}
	return life, false, nil
}

func scopesOf(token *model.APIToken) string { return strings.ToLower(strings.Join(token.Scopes, ",")) }

func moment(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// listTokens prints what is known of all tokens.
func (s *service) listTokens(ctx context.Context) error {
	var all []*model.APIToken
	err := s.inTokens(ctx, session.Snapshot, func(ctx context.Context, tokens *apitoken.Tokens) (err error) {
		all, err = tokens.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tNAME\tROLE\tSCOPES\tOWNER\tCREATED\tEXPIRES\tLAST USED\tREVOKED\tSHA-256")
	for _, t := range all {
		owner := "-"
		if t.OwnerID != nil {
			owner = model.UserID(*t.OwnerID)
		}
		revoked := "-"
		if t.RevokedAt != nil {
			revoked = moment(t.RevokedAt)
		}
		_, _ = fmt.Fprintln(table, strings.Join([]string{
			t.GlobalID(), t.Name, strings.ToLower(t.Role), scopesOf(t), owner, moment(&t.CreatedAt), moment(t.ExpiresAt), moment(t.LastUsedAt), revoked, t.SHA256[:12],
		}, "\t"))
	}
	return table.Flush()
}

// revokeTokens revokes all tokens that are named, or none if one of them is not there.
func (s *service) revokeTokens(ctx context.Context) error {
	var said []string
	err := s.inTokens(ctx, session.Write, func(ctx context.Context, tokens *apitoken.Tokens) error {
		said = nil
		var wrong []string
		for _, reference := range s.Token.Revoke.Tokens {
			id, err := tokens.Find(ctx, reference)
			var token *model.APIToken
			if err == nil {
				token, err = tokens.Revoke(ctx, id)
			}
			if err != nil {
				wrong = append(wrong, err.Error())
				continue
			}
			said = append(said, fmt.Sprintf("%s (%s) is revoked, since %s.", token.GlobalID(), token.Name, moment(token.RevokedAt)))
		}
		if len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "; "))
		}
		return nil
	})
	if err == nil {
		_, err = fmt.Fprintln(s.out, strings.Join(said, "\n"))
	}
	return err
}
