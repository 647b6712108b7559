package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificateEvery is how often the certificate's files are looked at.
const certificateEvery = 2 * time.Second

// currentCertificate is what HTTPS is served with. It is read anew when its files have changed: their contents are compared, since renewals
// replace files, links to files, or links to the folders of these.
type currentCertificate struct {
	serving atomic.Pointer[loaded]
}

// loaded is a certificate as it was read.
type loaded struct {
	certFile, keyFile string
	cert, key         []byte
	pair              tls.Certificate
}

func (l *loaded) equal(other *loaded) bool {
	return bytes.Equal(l.cert, other.cert) && bytes.Equal(l.key, other.key)
}

// warn tells of a certificate that clients do not take, or soon will not.
func (l *loaded) warn(log *slog.Logger) {
	if until := l.pair.Leaf.NotAfter; time.Until(until) < 7*24*time.Hour {
		log.Warn("the certificate ends soon, or has ended", "until", until)
	}
}

// readCertificate reads the files of a certificate and its key. Where they do not fit it returns their contents besides the error.
func readCertificate(certFile, keyFile string) (*loaded, error) {
	l := &loaded{certFile: certFile, keyFile: keyFile}
	var err error
	if l.cert, err = os.ReadFile(certFile); err == nil {
		l.key, err = os.ReadFile(keyFile)
	}
	if err == nil {
		l.pair, err = tls.X509KeyPair(l.cert, l.key)
	}
	if _, unreadable := errors.AsType[*fs.PathError](err); unreadable {
		return l, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	} else if err != nil {
		return l, fmt.Errorf("--tls-cert and --tls-key: %s and %s are not a certificate and its private key in PEM: %w", certFile, keyFile, err)
	}
	return l, nil
}

// loadCertificate returns the certificate of the flags, or nil if they name none.
func (c config) loadCertificate() (*loaded, error) {
	if c.TLSCert == "" || c.TLSKey == "" { // one alone is refused for that
		return nil, nil
	}
	return readCertificate(c.TLSCert, c.TLSKey)
}

// config returns how HTTPS is served with the certificate of the moment.
func (c *currentCertificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.serving.Load().pair, nil }}
}

// watch takes over what its files have become, until ctx ends. What cannot be used is told when it is there for the second time: a
// renewal writes one file after the other.
func (c *currentCertificate) watch(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(certificateEvery)
	defer ticker.Stop()
	var unusable *loaded
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := c.serving.Load()
		next, err := readCertificate(now.certFile, now.keyFile)
		switch {
		case next.equal(now):
			unusable, told = nil, false
		case err == nil:
			c.serving.CompareAndSwap(now, next)
			log.Info("the certificate has changed, and the new one is served", "until", next.pair.Leaf.NotAfter)
			next.warn(log)
		case unusable == nil || !next.equal(unusable):
			unusable, told = next, false
		case !told:
			told = true
			log.Error("the certificate's files have changed, and cannot be used: the one before is still served", "error", err)
		}
	}
}
