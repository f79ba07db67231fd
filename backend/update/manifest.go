package update

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/semver"
)

// Manifest says what the newest release is and where its files are. Releases publish one, signed.
type Manifest struct {
	Serial    int64     `json:"serial"` // grows with every manifest
	Version   string    `json:"version"`
	Published time.Time `json:"published"`
	Expires   time.Time `json:"expires"`
	Notes     string    `json:"notes,omitempty"`    // page that tells what is new
	Security  bool      `json:"security,omitempty"` // mends a hole
	Files     []File    `json:"files"`
}

// File is one package of a release.
type File struct {
	OS     string `json:"os"`   // as Go names it
	Arch   string `json:"arch"` // as Go names it; "" = all
	Kind   string `json:"kind"` // deb, tar.gz, appimage, setup, zip, dmg
	URL    string `json:"url"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Envelope is a manifest on its way: the bytes that were signed, and the signature.
type Envelope struct {
	Manifest  []byte `json:"manifest"`
	Signature []byte `json:"signature"`
}

// Bounds of what is accepted.
const (
	manifestLimit = 256 << 10
	fileLimit     = 1 << 30
	clockSlack    = 24 * time.Hour // a computer's clock may be wrong by this much
)

// Why a manifest is refused.
var (
	ErrSignature = errors.New("it is not signed by Patchbay's developers")
	ErrExpired   = errors.New("it has expired: somebody may be holding newer ones back")
	ErrReplayed  = errors.New("it is older than one that was seen before")
	ErrMalformed = errors.New("it cannot be read")
)

// context is signed with every manifest, so that a signature under it is good for nothing else.
const signedContext = "patchbay update manifest v1\n"

func signed(manifest []byte) []byte { return append([]byte(signedContext), manifest...) }

// Sign makes an envelope.
func Sign(key ed25519.PrivateKey, m Manifest) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Envelope{Manifest: b, Signature: ed25519.Sign(key, signed(b))})
}

// Open verifies an envelope before anything in it is believed. seen is the highest serial so far.
func Open(key ed25519.PublicKey, envelope []byte, now time.Time, seen int64) (Manifest, error) {
	var e Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, signed(e.Manifest), e.Signature) {
		return Manifest{}, ErrSignature
	}
	var m Manifest
	if err := json.Unmarshal(e.Manifest, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, err
	}
	switch {
	case now.After(m.Expires):
		return Manifest{}, ErrExpired
	case m.Published.After(now.Add(clockSlack)):
		return Manifest{}, fmt.Errorf("it is from the future (%s): is this computer's clock right?", m.Published.Format(time.DateOnly))
	case m.Serial < seen:
		return Manifest{}, ErrReplayed
	}
	return m, nil
}

var hash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check refuses manifests that promise nonsense. A signed one can still hold a mistake.
func (m Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case !semver.IsValid(canonical(m.Version)):
		return bad("%q is no version", m.Version)
	case m.Serial <= 0:
		return bad("the serial is missing")
	case m.Published.IsZero() || !m.Expires.After(m.Published):
		return bad("it says not how long it is good for")
	case m.Notes != "" && !secure(m.Notes):
		return bad("the address of the notes is not https")
	}
	for _, f := range m.Files {
		switch {
		case !secure(f.URL):
			return bad("%s is not https", f.URL)
		case !hash.MatchString(f.SHA256):
			return bad("%s has no hash", f.URL)
		case f.Size <= 0 || f.Size > fileLimit:
			return bad("%s has a size of %d", f.URL, f.Size)
		case FileName(f) == "":
			return bad("%s names no file", f.URL)
		}
	}
	return nil
}

// File returns the package of a kind for a system.
func (m Manifest) File(goos, arch string, kinds []string) (File, bool) {
	for _, kind := range kinds {
		for _, f := range m.Files {
			if f.Kind == kind && f.OS == goos && (f.Arch == arch || f.Arch == "") {
				return f, true
			}
		}
	}
	return File{}, false
}

// Newer reports whether a release is newer than a running version. A build without a release's number is older than none
// and newer than none: it is not told to replace itself.
func Newer(release, running string) bool {
	r, v := canonical(release), canonical(describedTag(running))
	return semver.IsValid(r) && semver.IsValid(v) && semver.Compare(r, v) > 0
}

var afterTag = regexp.MustCompile(`(-[0-9]+-g[0-9a-f]+)?(-dirty)?$`)

// describedTag takes from "v1.2.3-5-gabc1234" what stands after the tag.
func describedTag(version string) string { return afterTag.ReplaceAllString(version, "") }

func canonical(version string) string {
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	if strings.Count(version, ".") < 2 {
		return "" // package semver takes "v1", a commit's hash may look like that
	}
	return version
}

// secure reports whether an address may be used: https, or this very machine, which is what tests have.
func secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

// ParseKey reads a public key as PublicKey holds it.
func ParseKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize || bytes.Equal(b, make([]byte, len(b))) {
		return nil, errors.New("this is no ed25519 public key in base64")
	}
	return b, nil
}
