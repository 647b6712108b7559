package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

// renewal is a certificate that may take another one's place.
type renewal struct{ cert, key []byte }

// renewals returns certificates, and what trusts all of them.
func renewals(tb testing.TB, n int) (all []renewal, pool *x509.CertPool) {
	tb.Helper()
	pool = x509.NewCertPool()
	for range n {
		certFile, keyFile, _ := certificate(tb)
		r := renewal{[]byte(read(tb, certFile)), []byte(read(tb, keyFile))}
		pool.AppendCertsFromPEM(r.cert)
		all = append(all, r)
	}
	return all, pool
}

func write(tb testing.TB, file string, text []byte) {
	tb.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// publish has a folder lead to a certificate as Kubernetes does: by a link to a folder, of which another one takes the place.
func (r renewal) publish(tb testing.TB, folder string) {
	tb.Helper()
	version := filepath.Join(folder, "..version-"+rand.Text())
	if err := os.Mkdir(version, 0o700); err != nil {
		tb.Fatal(err)
	}
	write(tb, filepath.Join(version, "tls.crt"), r.cert)
	write(tb, filepath.Join(version, "tls.key"), r.key)
	next := filepath.Join(folder, "..next")
	err := os.Symlink(filepath.Base(version), next)
	if err == nil {
		err = os.Rename(next, filepath.Join(folder, "..data"))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// servedBy reports whether a new connection gets a certificate.
func (r renewal) servedBy(tb testing.TB, s *server, pool *x509.CertPool) func() bool {
	pair, err := tls.X509KeyPair(r.cert, r.key)
	if err != nil {
		tb.Fatal(err)
	}
	return func() bool {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}).DialContext(tb.Context(), "tcp", strings.TrimPrefix(s.base, "https://"))
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return bytes.Equal(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw, pair.Leaf.Raw)
	}
}

// keepAsking has clients ask all the time: by HTTP/1.1 and HTTP/2, on connections that they keep and on new ones. It returns what ends it, which
// fails the test for each request that has had no answer.
func keepAsking(tb testing.TB, s *server, pool *x509.CertPool) (end func()) {
	tb.Helper()
	var running sync.WaitGroup
	var done atomic.Bool
	var answers [4]atomic.Int64
	for i := range answers {
		running.Go(func() {
			client := newClient(s.base, false)
			client.Transport = &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: i%2 == 0, DisableKeepAlives: i >= 2,
			}
			defer client.CloseIdleConnections()
			for !done.Load() {
				if a, err := client.send("{ users(first: 1) { nodes { id } } }"); err != nil || !a.ok() {
					tb.Errorf("lost: %v %v", err, a.Errors)
					return
				}
				answers[i].Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	end = sync.OnceFunc(func() {
		done.Store(true)
		running.Wait()
		for i := range answers {
			if answers[i].Load() < 10 {
				tb.Errorf("client %d has had %d answers", i, answers[i].Load())
			}
		}
	})
	tb.Cleanup(end)
	return end
}

func TestACertificateIsRenewedUnderLoadWithoutALostRequest(t *testing.T) {
	t.Parallel()
	certs, pool := renewals(t, 4)
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	certs[0].publish(t, folder)
	for _, name := range []string{cert, key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(name)), name); err != nil {
			t.Fatal(err)
		}
	}
	s := launch(t, built(t), "--database", databasetest.With(t, "sqlite", directorytest.Demo), "--tls-cert", cert, "--tls-key", key)
	if !certs[0].servedBy(t, s, pool)() {
		t.Error("another certificate is served")
	}
	end := keepAsking(t, s, pool)

	certs[1].publish(t, folder)
	eventually(t, "what a link leads to is served", certs[1].servedBy(t, s, pool))
	for name, text := range map[string][]byte{cert: certs[2].cert, key: certs[2].key} { // not at once
		write(t, name+".new", text)
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	eventually(t, "files of the same names are served", certs[2].servedBy(t, s, pool))
	if strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("half a renewal is an error:\n%s", &s.log)
	}
	write(t, cert, []byte("no certificate"))
	eventually(t, "what cannot be used is told", func() bool {
		return contains(s.log.String(), `level=ERROR msg="the certificate's files have changed, and cannot be used: the one before is still served"`)
	})
	s.signal(syscall.SIGHUP)
	eventually(t, "a reload that fails is told", func() bool {
		return contains(s.log.String(), `level=ERROR msg="the configuration cannot be read again: all stays as it was" error="--tls-cert and --tls-key: `)
	})
	if !certs[2].servedBy(t, s, pool)() {
		t.Error("the certificate before is not served any more")
	}
	write(t, cert, certs[3].cert)
	write(t, key, certs[3].key)
	s.signal(syscall.SIGHUP)
	eventually(t, "a signal has them read", certs[3].servedBy(t, s, pool))
	end()
	eventually(t, "each that is read is told to end soon: at the start, by itself and after a signal", func() bool {
		log := s.log.String()
		changed, reread := strings.Count(log, `msg="the certificate has changed`), strings.Count(log, `msg="the configuration was read again"`)
		return changed > 0 && reread == 1 && strings.Count(log, `level=WARN msg="the certificate ends soon, or has ended"`) == 1+changed+reread
	})
	s.signal(syscall.SIGTERM)
	if err := s.wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, &s.log)
	}
}

// receiver is a webhook's, and returns whether something has come.
func receiver(tb testing.TB) (url string, got func(text string) bool) {
	tb.Helper()
	var bodies writings
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(&bodies, r.Body) }))
	tb.Cleanup(server.Close)
	return server.URL, func(text string) bool { return strings.Contains(bodies.String(), text) }
}

func TestASignalHasDocumentsWebhooksAndTheLogLevelReadAgain(t *testing.T) {
	t.Parallel()
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		t.Parallel()
		folder := t.TempDir()
		file, documents := filepath.Join(folder, "rollcall.yaml"), filepath.Join(folder, "documents.json")
		one, gotByOne := receiver(t)
		other, gotByOther := receiver(t)
		configure := func(format string, args ...any) {
			write(t, file, fmt.Appendf(nil, "documents: "+documents+"\n"+format, args...))
		}
		byID := func(s *server, id string) string { return s.post(fmt.Sprintf(`{"documentId": %q}`, id)) }
		rename := func(s *server, user int) {
			s.answer(fmt.Sprintf(`mutation { updateUser(input: {id: "User:%d", name: "Zaphod"}) { user { id } } }`, user))
		}

		write(t, documents, []byte(`{"first": "{ users { totalCount } }"}`))
		configure("webhook: one=%s\nwebhook-secret: one=%s\n", one, webhookSecret)
		s := launch(t, built(t), "--database", url, "--config", file, "--metrics", "127.0.0.1:0")
		end := keepAsking(t, s, nil)
		rename(s, 41)
		eventually(t, "the first receiver is told", func() bool { return gotByOne(`"User:41"`) })
		if a := byID(s, "first"); !strings.Contains(a, "1000") {
			t.Error(a)
		}

		write(t, documents, []byte(`{"second": "{ users { totalCount } }", "unfit": "{ nothing }"}`))
		configure("log-level: debug\npool-size: 15\nwebhook: [one=%s, other=%s]\nwebhook-secret: [one=%s, other=%[3]s]\n", one, other, webhookSecret)
		s.signal(syscall.SIGHUP)
		eventually(t, "it is read again", func() bool { return strings.Contains(s.log.String(), "the configuration was read again") })
		if a, before := byID(s, "second"), byID(s, "first"); !strings.Contains(a, "1000") || !strings.Contains(before, "PERSISTED_QUERY_NOT_FOUND") {
			t.Error(a, before)
		}
		if log := s.log.String(); !contains(log, `flags=[--pool-size]`, "document=unfit") {
			t.Errorf("nothing of what is not taken over, or not fit:\n%s", log)
		}
		rename(s, 42)
		eventually(t, "both receivers are told", func() bool { return gotByOne(`"User:42"`) && gotByOther(`"User:42"`) })
		if gotByOther(`"User:41"`) {
			t.Error("the second is told of what was before it")
		}
		eventually(t, "the metrics tell of both", func() bool {
			m := s.metrics()
			return m[`rollcall_webhook_attempts_total{outcome="delivered",webhook="one"}`] >= 2 && m[`rollcall_webhook_attempts_total{outcome="delivered",webhook="other"}`] >= 1
		})

		configure("log-level: error\nwebhook: one=%s\nwebhook-secret: one=whsec_tooshort\n", one)
		s.signal(syscall.SIGHUP)
		eventually(t, "the failure is told", func() bool { return strings.Contains(s.log.String(), "all stays as it was") })
		rename(s, 43)
		eventually(t, "both receivers are still told", func() bool { return gotByOne(`"User:43"`) && gotByOther(`"User:43"`) })

		configure("log-level: error\n")
		s.signal(syscall.SIGHUP)
		eventually(t, "the level is taken over", func() bool {
			before := s.log.String()
			s.signal(syscall.SIGHUP) // whose line is at another level
			time.Sleep(50 * time.Millisecond)
			return s.log.String() == before
		})
		for sample := range s.metrics() {
			if strings.Contains(sample, `webhook="`) {
				t.Errorf("the metrics tell of a webhook that is gone: %s", sample)
			}
		}
		rename(s, 44)
		end()
		s.signal(syscall.SIGTERM)
		if err := s.wait(); err != nil {
			t.Errorf("it ended with %v\n%s", err, &s.log)
		}
		if gotByOne(`"User:44"`) || gotByOther(`"User:44"`) || strings.Contains(s.log.String(), "whsec_") {
			t.Errorf("a webhook that is gone is told, or a secret:\n%s", &s.log)
		}
	})
}

func TestASignalToReloadDuringTheStartIsHeededAfterIt(t *testing.T) {
	t.Parallel()
	databasetest.EachServer(t, func(t *testing.T, kind string) {
		t.Parallel()
		u, p := parseURL(t, databasetest.With(t, kind, databasetest.Nothing)), &databasetest.Proxy{}
		there := u.Host
		u.Host = p.Listen(t, freeAddress(t))
		var out, log writings
		cmd := exec.CommandContext(t.Context(), built(t), "--database", u.String(), "--listen", "127.0.0.1:0")
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it waits", func() bool { return strings.Contains(log.String(), "is waited for") })
		for range 3 {
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		p.Lead(there)
		eventually(t, "it has started and read again", func() bool {
			return strings.Contains(out.String(), "Rollcall serves") && strings.Contains(log.String(), "the configuration was read again")
		})
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || !regexp.MustCompile("stopping").MatchString(log.String()) {
			t.Errorf("it ended with %v\n%s", err, &log)
		}
	})
}
