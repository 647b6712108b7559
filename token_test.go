package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// told runs a command that ends by itself, and returns what it has printed on standard output and on standard error.
func told(tb testing.TB, args ...string) (out, log string, err error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var stdout, stderr writings
	cfg, err := parse(args, &stdout, &stderr)
	if err == nil {
		err = run(ctx, cfg)
	}
	return stdout.String(), stderr.String(), cmp.Or(err, ctx.Err())
}

func TestATokensTextAloneIsPrintedSoThatItCanBePiped(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		out, log, err := told(t, "token", "create", "--database", url, "--name", "pay roll", "--owner", "Kwame.Mensah.2@example.com", "--echo")
		if err != nil || !regexp.MustCompile(`^rc_[0-9A-Za-z]{49}\n$`).MatchString(out) {
			t.Fatalf("got %q, %v", out, err)
		}
		if !contains(log, "ApiToken:1 (pay roll) has the role viewer and the scopes read,write,scim, and expires: ", "not shown again") || strings.Contains(log, out[:20]) {
			t.Errorf("it says %s", log)
		}
		second, log, err := told(t, "token", "create", "--database", url, "--name=metrics", "--role=admin", "--scope=metrics", "--scope", "read", "--expires=never")
		if err != nil || !contains(log, "the role admin and the scopes read,metrics, and expires: never") {
			t.Fatalf("got %s, %v", log, err)
		}
		sum := sha256.Sum256([]byte(strings.TrimSpace(out)))
		list := output(t, "token", "list", "--database", url)
		in90days := time.Now().Add(90 * 24 * time.Hour).UTC().Format("2006-01-02T15")
		for _, want := range []string{
			`(?m)^ApiToken:1 +pay roll +viewer +read,write,scim +User:2 +\S+Z +` + in90days + `\S+ +never +- +` + hex.EncodeToString(sum[:])[:12] + `$`,
			`(?m)^ApiToken:2 +metrics +admin +read,metrics +- +\S+Z +never +never +- `,
		} {
			if !regexp.MustCompile(want).MatchString(list) {
				t.Errorf("no %s in\n%s", want, list)
			}
		}
		for _, text := range []string{out, second} {
			if strings.Contains(list, text[3:40]) {
				t.Errorf("the list has a token:\n%s", list)
			}
		}
	})
}

func TestTokensAreRevokedByIDsTextsAndSHA256OrNoneOfThemIs(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, databasetest.Nothing, func(t *testing.T, url string) {
		var texts []string
		for i := range 4 {
			texts = append(texts, strings.TrimSpace(output(t, "token", "create", "--database", url, "--name", fmt.Sprint("t", i+1))))
		}
		revoked := func() int {
			return len(regexp.MustCompile(`(?m) \d{4}-\S+Z +[0-9a-f]{12}$`).FindAllString(output(t, "token", "list", "--database", url), -1))
		}
		if err := refusal(t, "token", "revoke", "--database", url, "1", "ApiToken:9", "nonsense"); !contains(err, "token revoke: ", "there is no API token ApiToken:9", `"nonsense" is no API token`) || revoked() != 0 {
			t.Errorf("got %s", err)
		}
		sum := sha256.Sum256([]byte(texts[2]))
		text := output(t, "token", "revoke", "--database", url, "1", texts[1], hex.EncodeToString(sum[:]))
		if n := revoked(); n != 3 || !regexp.MustCompile(`^ApiToken:1 \(t1\) is revoked, since \S+Z\.\nApiToken:2 \(t2\) is revoked, since \S+Z\.\nApiToken:3 \(t3\) is revoked, since \S+Z\.\n$`).MatchString(text) {
			t.Errorf("%d are revoked: %s", n, text)
		}
		if again := output(t, "token", "revoke", "--database", url, "ApiToken:1", "2", "3"); again != text {
			t.Errorf("it says %s, then %s", text, again)
		}
	})
}

func TestACommandOfTokensSaysWhatItCannotDoAndWhatToWriteInstead(t *testing.T) {
	t.Parallel()
	url := databasetest.With(t, "sqlite", databasetest.Nothing)
	for args, want := range map[string]string{
		"create --name=x --expires=10":               `--expires: "10" is not a time: write one such as 90d, 12h or never`,
		"create --name=x --expires=1y":               `--expires: "1y" is not a time: write one such as 90d`,
		"create --name=x --expires=xd":               `--expires: "xd" is not a number of days`,
		"create --name=x --expires=-1d":              "--expires: -1d is too short",
		"create --name=x --expires=0s":               "--expires: 0s is too short",
		"create --name=x --expires=3654d":            "--expires: 3654d is too long: at most 3653d, or never",
		"create --name=x --expires=99999999999999d":  "--expires: 99999999999999d is too long",
		"create --name=x --owner=nobody@example.com": `--owner: no user has the email address "nobody@example.com"`,
		"create --name=x --owner=User:7":             "--owner: there is no user User:7",
		"create --name=":                             "name must have 1 to 255 characters",
	} {
		if err := refusal(t, append(append([]string{"token"}, strings.Fields(args)...), "--database", url)...); !strings.Contains(err, want) {
			t.Errorf("%s: want %s, got %s", args, want, err)
		}
	}
	if err := refusal(t, "token", "create", "--name=x", "--owner=nobody@example.com", "--database", url); strings.Contains(err, "deleted") {
		t.Errorf("a user who was deleted owns nothing: %s", err)
	}
	for _, args := range []string{"--expires=0", "--expires=3653d", "--expires=1s", "--role=editor", "--role=EDITOR", "--scope=Read,WRITE"} {
		if _, _, err := told(t, "token", "create", "--name=x", args, "--database", url); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, args := range [][]string{{"create", "--name=x"}, {"list"}, {"revoke", "1"}} {
		if err := refusal(t, append(append([]string{"token"}, args...), "--database", "sqlite:"+t.TempDir()+"/none.db")...); !strings.Contains(err, "there is no file") {
			t.Errorf("%q: got %s", args, err)
		}
	}
}

// TestATokenOpensTheServerUntilItIsRevokedOnAnyServer makes a token by the command, and revokes it by the API of another server.
func TestATokenOpensTheServerUntilItIsRevokedOnAnyServer(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		t.Parallel()
		made := func(args ...string) string {
			return strings.TrimSpace(output(t, append([]string{"token", "create", "--database", url}, args...)...))
		}
		admin, token := made("--name=admin", "--role=admin"), made("--name=reader", "--owner=kwame.mensah.2@example.com")
		reading := made("--name=reading", "--role=admin", "--scope=read")
		one, other := startAs(t, "--database", url), startAs(t, "--database", url)
		if got := field(t, other.answerAs(token, `{ viewer { role scopes user { id phone } } }`), "viewer", "user", "id"); got != "User:2" {
			t.Errorf("the viewer is %v", got)
		}
		post := func(token, query string) (int, string) {
			res, body := one.ask(http.DefaultClient, http.MethodPost, request(query), "Content-Type", jsonType, "Authorization", "Bearer "+token)
			return res.StatusCode, string(body)
		}
		for query, code := range map[string]string{
			`mutation { eraseUser(input: {id: "User:3"}) { erasedUserId } }`: "FORBIDDEN", `{ users(filter: {phone: {startsWith: "+"}}) { totalCount } }`: "FORBIDDEN",
		} {
			if _, body := post(token, query); !strings.Contains(body, code) {
				t.Errorf("%s: %s", query, body)
			}
		}
		if _, body := post(reading, `mutation { deleteUser(input: {id: "User:3"}) { deletedUserId } }`); !strings.Contains(body, "the scope write") {
			t.Errorf("a token that reads: %s", body)
		}
		last := map[bool]string{true: "y", false: "x"}[strings.HasSuffix(token, "x")]
		if status, body := post(token[:len(token)-1]+last, `{ viewer { role } }`); status != http.StatusUnauthorized {
			t.Errorf("a token with another checksum: %d %s", status, body)
		}
		stream := other.streamAs(token, "text/event-stream")
		conn, err := dialSocket(t, other, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, token))
		if err != nil {
			t.Fatal(err)
		}
		one.answerAs(admin, `mutation { revokeApiToken(input: {id: "ApiToken:2"}) { apiToken { revokedAt } } }`)
		if status, _ := post(token, `{ viewer { role } }`); status != http.StatusUnauthorized {
			t.Errorf("the revoked token gets %d", status)
		}
		if err := <-stream.ended; err != nil || !strings.Contains(stream.text.String(), `"code":"UNAUTHENTICATED"`) {
			t.Errorf("the stream ended with %v:\n%s", err, &stream.text)
		}
		if code, _ := closing(conn); code != 4403 {
			t.Errorf("the socket ended with %d", code)
		}
		eventually(t, "an ADMIN reads of it in the log", func() bool {
			return strings.Contains(one.answerAs(admin, `{ changes(kinds: [REVOKED]) { nodes { type objectId } } }`), `"ApiToken:2"`)
		})
	})
}
