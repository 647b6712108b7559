package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Receiver is where a webhook's changes go, as an operator has configured it.
type Receiver struct {
	Name    string   // of the webhook
	URL     *url.URL // it may hold secrets
	Secrets []Secret // each signs
}

// Secret is what sender and receiver share.
type Secret []byte

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// CheckName returns an error about what cannot be a webhook's name.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%q is not a name: use up to 64 of a-z, 0-9, - and _", name)
	}
	return nil
}

// ParseURL returns the URL of a receiver. The error does not quote it.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
		return nil, errors.New("this is not a URL that changes can be sent to: write one such as https://example.com/changes")
	}
	return u, nil
}

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, as the specification has it
	maxSecret    = 64
)

// ParseSecret returns the secret that is written as the specification has it. The error does not quote it.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case !ok || err != nil:
		return nil, errors.New("a secret is " + secretPrefix + " and base64: make one with `echo " + secretPrefix + "$(openssl rand -base64 32)`")
	case len(key) < minSecret || len(key) > maxSecret:
		return nil, fmt.Errorf("a secret is %d to %d bytes in base64, and this one is %d", minSecret, maxSecret, len(key))
	}
	return key, nil
}

// AddSecrets adds the secret that is given, or those in the file that is named instead. The error does not quote a secret.
func (r *Receiver) AddSecrets(given string) error {
	if !strings.HasPrefix(given, secretPrefix) {
		file, err := os.ReadFile(given)
		if failure, ok := errors.AsType[*fs.PathError](err); ok { // its path may be a secret without the prefix
			return fmt.Errorf("this is neither %s and base64 nor the name of a file that can be read: %w", secretPrefix, failure.Err)
		} else if err != nil {
			return err
		}
		given = string(file)
	}
	for text := range strings.FieldsSeq(given) {
		secret, err := ParseSecret(text)
		if err != nil {
			return err
		}
		r.Secrets = append(r.Secrets, secret)
	}
	return nil
}

// endpoint is what of the URL may be shown.
func (r Receiver) endpoint() string { return r.URL.Scheme + "://" + r.URL.Host }

// sign sets the headers by which the receiver knows a message for the sender's.
func (r Receiver) sign(header http.Header, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(r.Secrets))
	for i, secret := range r.Secrets {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body) // of a hash, it never fails
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", strings.Join(signatures, " "))
}

// messageID returns the id of a message, which is the same for the same content.
func messageID(webhook string, body []byte) string {
	hash := sha256.Sum256(append([]byte(webhook+"."), body...))
	return "msg_" + hex.EncodeToString(hash[:16])
}
