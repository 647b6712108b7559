package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// blockOf returns README.md's block of a language, of which it has one.
func blockOf(tb testing.TB, language string) string {
	tb.Helper()
	for _, b := range readBlocks(tb) {
		if b.language == language {
			return b.text
		}
	}
	tb.Fatalf("README.md has no block of %s", language)
	return ""
}

// runProxy runs a program with the text of its configuration until the end of the test. {folder} in the text is a folder of its own.
func runProxy(tb testing.TB, text, address string, program ...string) {
	tb.Helper()
	folder, err := os.MkdirTemp("", "rollcall-") //nolint:usetesting // it has to be short: an option of nginx's is
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	write(tb, filepath.Join(folder, "config"), []byte(strings.ReplaceAll(text, "{folder}", folder)))
	var log writings
	cmd := exec.CommandContext(context.Background(), program[0], append(program[1:], filepath.Join(folder, "config"))...) // until the end
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &log, &log, folder, append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("the proxy says:\n%s", &log)
		}
	})
	eventually(tb, "the proxy listens", func() bool {
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// runNginx runs nginx with the example of the README.
func runNginx(t *testing.T, text, address string) {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	runProxy(t, user+"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;\n"+text+"}\n",
		address, "/usr/sbin/nginx", "-e", "stderr", "-c")
}

// hostOf is where a server listens that is below the path /api.
func hostOf(s *server) string {
	return strings.TrimSuffix(strings.TrimPrefix(s.base, "http://"), "/api")
}

func TestTwoServersBehindTheREADMEsNginxServeAfterOneHasEnded(t *testing.T) {
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		flags := []string{"--database", url, "--base-path=/api", "--trust-proxy=127.0.0.1", "--proxy-login=none", "--log-operations=all"}
		one, other := start(t, flags...), start(t, flags...)
		token := strings.TrimSpace(output(t, "token", "create", "--database", url, "--name=it", "--role=admin"))
		cert, key, pool := certificate(t)
		address := freeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		runNginx(t, strings.NewReplacer("127.0.0.1:8080", hostOf(one), "127.0.0.1:8081", hostOf(other),
			"/etc/rollcall/tls.crt", cert, "/etc/rollcall/tls.key", key, "listen 443", "listen 127.0.0.1:"+port).Replace(blockOf(t, "nginx")), address)
		s := &server{tb: t, base: "https://" + address + "/api"}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
		defer client.CloseIdleConnections()
		rename := func(n int) {
			t.Helper()
			body := request(fmt.Sprintf(`mutation { updateUser(input: {id: "User:%d", title: "T%d"}) { user { title } } }`, n, n))
			if res, text := s.ask(client, http.MethodPost, body, "Content-Type", jsonType, "Authorization", "Bearer "+token); !strings.Contains(string(text), fmt.Sprintf(`"T%d"`, n)) {
				t.Errorf("%s %s", res.Status, text)
			}
		}
		for n := range 10 {
			rename(n + 1)
		}
		for _, of := range []*server{one, other} {
			eventually(t, "both have served", func() bool { return strings.Contains(of.log.String(), "type=mutation") })
		}
		one.stop()
		for n := range 20 {
			rename(n + 11)
		}
	})
}

func TestBehindTheProxiesOfTheREADMEEverythingWorksBelowAPath(t *testing.T) {
	for _, name := range []string{"nginx", "caddyfile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := databasetest.With(t, "sqlite", directorytest.Demo)
			direct := start(t, "--database", url, "--base-path=/api", "--trust-proxy=127.0.0.1", "--proxy-login=none")
			token := strings.TrimSpace(output(t, "token", "create", "--database", url, "--name=it", "--role=admin"))
			cert, key, pool := certificate(t)
			address := freeAddress(t)
			_, port, _ := net.SplitHostPort(address)
			text := strings.NewReplacer("127.0.0.1:8080", hostOf(direct), "127.0.0.1:8081", hostOf(direct),
				"/etc/rollcall/tls.crt", cert, "/etc/rollcall/tls.key", key, "listen 443", "listen 127.0.0.1:"+port, "rollcall.example.com {", "https://127.0.0.1:"+port+" {",
			).Replace(blockOf(t, name))
			switch name {
			case "nginx":
				runNginx(t, text, address)
			case "caddyfile":
				runProxy(t, "{\nadmin off\nauto_https disable_redirects\n}\n"+text, address, "/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config")
			}
			s := &server{tb: t, base: "https://" + address + "/api"}
			servesAll(t, s, direct, token, pool)
		})
	}
}

// servesAll tries all that a server has, by way of a proxy.
func servesAll(t *testing.T, s, direct *server, token string, pool *x509.CertPool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext, // another address than the proxy's
	}}
	defer client.CloseIdleConnections()
	bearer := []string{"Content-Type", jsonType, "Authorization", "Bearer " + token}

	res, text := s.ask(client, http.MethodPost, request("{ users { totalCount } }"), bearer...)
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK || !strings.Contains(string(text), "1000") {
		t.Errorf("a query: %s %s %s", res.Proto, res.Status, text)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if res, text := s.askAt(client, path, http.MethodGet, ""); res.StatusCode != http.StatusOK || string(text) != "ok\n" {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
	page, text := s.askAt(client, "/", http.MethodGet, "")
	files := regexp.MustCompile(`(?:src|href)="([^":]+)"`).FindAllSubmatch(text, -1)
	if page.StatusCode != http.StatusOK || len(files) < 2 {
		t.Errorf("the page: %s %s", page.Status, text)
	}
	for _, file := range files {
		at, err := page.Request.URL.Parse(string(file[1]))
		if err != nil || !strings.HasPrefix(at.Path, "/api/") {
			t.Errorf("the page has %s: %v", file[1], err)
			continue
		}
		if res, _ := s.askAt(client, strings.TrimPrefix(at.Path, "/api"), http.MethodGet, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", at, res.Status)
		}
	}
	host := strings.TrimPrefix(s.base, "https://")
	if res, text := s.askAt(client, "/scim/v2/Users/User:42", http.MethodGet, "", bearer...); res.StatusCode != http.StatusOK || !strings.Contains(string(text), "https://"+host+"/scim/v2/Users/User:42") {
		t.Errorf("SCIM: %s %s", res.Status, text)
	}
	if res, text := s.ask(client, http.MethodPost, request("{ users { totalCount } }"), "Content-Type", jsonType, "Authorization", "Bearer rc_wrong", "X-Forwarded-For", "192.0.2.1"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s %s", res.Status, text)
	}
	eventually(t, "the log has the client's address", func() bool { return strings.Contains(direct.log.String(), "127.0.0.2") })
	if strings.Contains(direct.log.String(), "192.0.2.1") {
		t.Errorf("a client says itself where it is:\n%s", &direct.log)
	}
	hearsEvents(t, s, client, bearer)
}

// hearsEvents has a subscription over server-sent events, multipart and a WebSocket each, and sees each event while they go on.
func hearsEvents(t *testing.T, s *server, client *http.Client, bearer []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var streams []*writings
	for _, media := range []string{"text/event-stream", "multipart/mixed"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/query", strings.NewReader(request("subscription { userChanged { kind userId } }")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", media)
		for i := 0; i < len(bearer); i += 2 {
			req.Header.Set(bearer[i], bearer[i+1])
		}
		text := &writings{}
		streams = append(streams, text)
		go func() {
			if res, err := client.Do(req); err == nil {
				_, _ = io.Copy(text, res.Body)
				_ = res.Body.Close()
			}
		}()
	}
	one := &http.Client{Transport: &http.Transport{TLSClientConfig: client.Transport.(*http.Transport).TLSClientConfig}} // WebSockets are opened by HTTP/1.1
	conn, _, err := websocket.Dial(ctx, s.base+"/query", &websocket.DialOptions{
		HTTPClient: one, Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Origin": {strings.TrimSuffix(s.base, "/api")}, bearer[2]: {bearer[3]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	socket := &writings{}
	streams = append(streams, socket)
	for _, message := range []string{`{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":` + request("subscription { userChanged { kind userId } }") + `}`} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(message, "init") {
			_, text, err := conn.Read(ctx)
			if err != nil || !strings.Contains(string(text), "connection_ack") {
				t.Fatalf("%s %v", text, err)
			}
		}
	}
	go func() {
		for {
			_, text, err := conn.Read(ctx)
			if err != nil {
				return
			}
			_, _ = socket.Write(text)
		}
	}()
	n := 0
	eventually(t, "each stream has events while it goes on", func() bool {
		n++
		_, _ = s.ask(client, http.MethodPost, request(fmt.Sprintf(`mutation { updateUser(input: {id: "User:42", name: "N%d"}) { user { id } } }`, n)), bearer...)
		time.Sleep(50 * time.Millisecond)
		for _, text := range streams {
			if !strings.Contains(text.String(), `"User:42"`) {
				return false
			}
		}
		return true
	})
}
