package main

import (
	"context"
	"fmt"
	"os"

	"rollcall/document"
	"rollcall/webhook"
)

// reloaded lists the flags whose values a server takes over while it runs.
var reloaded = map[string]bool{"tls-cert": true, "tls-key": true, "documents": true, "webhook": true, "webhook-secret": true, "log-level": true}

// readable is what flags name that is read at the start, and again while the server runs.
type readable struct {
	certificate *loaded // nil: the flags name none
	documents   document.List
	receivers   []webhook.Receiver
}

func (c config) readable() (r readable, err error) {
	if r.certificate, err = c.loadCertificate(); err != nil {
		return r, err
	}
	if r.documents, err = document.ReadFile(c.Documents); err != nil {
		return r, fmt.Errorf("--documents: %w", err)
	}
	r.receivers, err = c.receivers()
	return r, err
}

// reloadAt reads the configuration again at each signal, until ctx ends.
func (s *service) reloadAt(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if err := s.reload(ctx); err != nil {
			s.log.Error("the configuration cannot be read again: all stays as it was", "error", err)
		}
	}
}

// reload takes over what may change while the server runs. After an error all stays as it was.
func (s *service) reload(ctx context.Context) error {
	cfg, err := parse(s.args, s.out, s.err)
	if err != nil {
		return err
	}
	read, err := cfg.readable()
	if err != nil {
		return err
	}
	if err := s.webhooks.Replace(ctx, read.receivers); err != nil {
		return err
	}
	s.countWebhooks(read.receivers)
	if read.certificate != nil && s.certificate != nil {
		s.certificate.serving.Store(read.certificate)
		read.certificate.warn(s.log)
	}
	s.documents.Replace(read.documents)
	s.level.Set(cfg.level())
	s.log.Info("the configuration was read again")
	if names := s.differing(cfg); len(names) > 0 {
		s.log.Warn("these flags have other values now, which a server takes over when it starts", "flags", names)
	}
	return nil
}

// differing lists the flags that have other values in another configuration, and whose values are not taken over.
func (s *service) differing(other config) (names []string) {
	for i, setting := range s.settings {
		toHTTPS := setting.flag == "tls-cert" && (s.TLSCert == "") != (other.TLSCert == "")
		if setting.value != other.settings[i].value && (!reloaded[setting.flag] || toHTTPS) {
			names = append(names, "--"+setting.flag)
		}
	}
	return names
}
