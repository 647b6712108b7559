package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"
)

const (
	apiTokenPrefix   = "rc_"
	apiTokenSecret   = 43 // characters: 62^43 > 2^256
	apiTokenChecksum = 6  // characters: 62^6 > 2^32
	apiTokenLength   = len(apiTokenPrefix) + apiTokenSecret + apiTokenChecksum
)

// ErrNoAPIToken says that a text cannot be an API token, whatever tokens there are.
var ErrNoAPIToken = errors.New("this is not an API token: it was cut off, or mistyped")

// APIToken is a secret that a service sends to say which one it is. It has a format by which those who look for secrets in files know it,
// as GitHub's have (https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/):
//
//	rc_  43 characters of Base62: 32 random bytes  6 characters of Base62: the CRC-32 (IEEE) of all that stands before
//
// It prints as "rc_…". Text alone returns it.
type APIToken struct {
	text *string // a pointer, which is what package fmt shows of a field that it finds within another value
}

// NewAPIToken returns a token that nobody can guess.
func NewAPIToken() APIToken {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	text := apiTokenPrefix + base62(new(big.Int).SetBytes(secret), apiTokenSecret)
	text += checksum(text)
	return APIToken{&text}
}

// IsAPIToken reports whether a text claims to be an API token, by its prefix. An access token of an issuer does not.
func IsAPIToken(text string) bool { return strings.HasPrefix(text, apiTokenPrefix) }

// ParseAPIToken reads a token, or returns ErrNoAPIToken. Whether there is such a token is another question.
func ParseAPIToken(text string) (APIToken, error) {
	if len(text) != apiTokenLength || !IsAPIToken(text) || strings.ContainsFunc(text[len(apiTokenPrefix):], outsideBase62) {
		return APIToken{}, ErrNoAPIToken
	}
	if end := apiTokenLength - apiTokenChecksum; checksum(text[:end]) != text[end:] {
		return APIToken{}, ErrNoAPIToken
	}
	return APIToken{&text}, nil
}

// Text returns the token itself, to be shown once to who has it made.
func (t APIToken) Text() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// SHA256 returns what is stored of a token. A slower hash would protect secrets that people choose; this one has 256 random bits.
func (t APIToken) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(t.Text())) }

// String returns what may be seen of a token.
func (APIToken) String() string { return apiTokenPrefix + "…" }

// GoString returns the same.
func (t APIToken) GoString() string { return t.String() }

// LogValue returns the same.
func (t APIToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns the same.
func (t APIToken) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func checksum(text string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(text)))), apiTokenChecksum)
}

// base62 writes a number in digits, lower case and upper case, with zeros before it.
func base62(n *big.Int, length int) string {
	text := n.Text(62)
	return strings.Repeat("0", length-len(text)) + text
}

func outsideBase62(c rune) bool { return c == '-' || c == '_' || c == '.' || outsideJWT(c) }
