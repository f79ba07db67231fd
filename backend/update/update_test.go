package update

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
)

var private = ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, test"))

func publicText() string {
	return base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
}

// facts is a Store in memory.
type facts struct {
	mu sync.Mutex
	m  map[string]string
}

func (f *facts) Meta(_ context.Context, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.m[name], nil
}

func (f *facts) SetMeta(_ context.Context, name, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = map[string]string{}
	}
	f.m[name] = value
	return nil
}

// manifest is a good one for now.
func manifest(version string, serial int64) Manifest {
	return Manifest{
		Serial: serial, Version: version, Published: time.Now().Add(-time.Hour), Expires: time.Now().Add(30 * 24 * time.Hour),
		Notes: "https://patchbay.example/notes",
		Files: []File{
			{OS: "linux", Arch: "amd64", Kind: "deb", URL: "https://patchbay.example/p.deb", Size: 10, SHA256: strings.Repeat("a", 64)},
			{OS: "linux", Arch: "amd64", Kind: "tar.gz", URL: "https://patchbay.example/p.tar.gz", Size: 10, SHA256: strings.Repeat("b", 64)},
		},
	}
}

func sign(t *testing.T, m Manifest) []byte {
	t.Helper()
	b, err := Sign(private, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publisher is a simulated release server.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  int
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked++
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) say(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = h
}

func (p *publisher) publish(b []byte) {
	p.say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}

func checker(p *publisher, s Store, version string) *Checker {
	return New(Options{
		Version: version, Key: publicText(), URL: p.URL + "/stable.json", Store: s, Client: func() *http.Client { return p.Client() },
		Kinds: func() []string { return []string{"deb"} }, OS: "linux", Arch: "amd64",
	})
}

func TestANewerVersionIsOffered(t *testing.T) {
	p := newPublisher(t)
	p.publish(sign(t, manifest("1.2.0", 5)))
	for running, want := range map[string]bool{"1.1.9": true, "v1.2.0-rc.1": true, "v1.1.9-4-gabc1234-dirty": true, "1.2.0": false, "1.3.0": false, "99ca0e7": false, "dev": false} {
		s, err := checker(p, &facts{}, running).Check(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", running, err)
		}
		if s.Latest != "1.2.0" || s.Checked.IsZero() {
			t.Errorf("%s: state is %+v", running, s)
		}
		if got := s.Found != nil; got != want {
			t.Errorf("%s: offered = %v, want %v", running, got, want)
		} else if got && (s.Found.File == nil || s.Found.File.Kind != "deb") {
			t.Errorf("%s: the package is %+v", running, s.Found.File)
		}
	}
}

func TestAReleaseWithoutAPackageIsStillTold(t *testing.T) {
	p := newPublisher(t)
	m := manifest("1.2.0", 5)
	m.Files = nil
	p.publish(sign(t, m))
	s, err := checker(p, &facts{}, "1.0.0").Check(t.Context())
	if err != nil || s.Found == nil || s.Found.File != nil {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestBadAnswersAreRefused(t *testing.T) {
	good := sign(t, manifest("9.0.0", 7))
	edit := func(change func(*Envelope)) []byte {
		var e Envelope
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		change(&e)
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dated := func(published, expires time.Duration) []byte {
		m := manifest("9.0.0", 7)
		m.Published, m.Expires = time.Now().Add(published), time.Now().Add(expires)
		return sign(t, m)
	}
	// A signature over something that is no manifest, by the right key.
	raw := func(text string) []byte {
		b, err := json.Marshal(Envelope{Manifest: []byte(text), Signature: ed25519.Sign(private, signed([]byte(text)))})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	bytesOf := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	cases := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"another key": {bytesOf(edit(func(e *Envelope) {
			other := ed25519.NewKeyFromSeed([]byte("another seed of thirty-two bytes"))
			e.Signature = ed25519.Sign(other, signed(e.Manifest))
		})), ErrSignature.Error()},
		"a changed byte":            {bytesOf(edit(func(e *Envelope) { e.Manifest[20] ^= 1 })), ErrSignature.Error()},
		"no signature":              {bytesOf(edit(func(e *Envelope) { e.Signature = nil })), ErrSignature.Error()},
		"a signature out of place":  {bytesOf(edit(func(e *Envelope) { e.Signature = ed25519.Sign(private, e.Manifest) })), ErrSignature.Error()},
		"expired":                   {bytesOf(dated(-60*24*time.Hour, -time.Hour)), ErrExpired.Error()},
		"from the future":           {bytesOf(dated(48*time.Hour, 96*time.Hour)), "from the future"},
		"an older one":              {bytesOf(sign(t, manifest("9.0.0", 3))), ErrReplayed.Error()},
		"no JSON":                   {bytesOf([]byte("<html>sign in to the hotel</html>")), ErrMalformed.Error()},
		"signed nonsense":           {bytesOf(raw(`{"serial":9}`)), ErrMalformed.Error()},
		"signed, file without hash": {bytesOf(raw(`{"serial":9,"version":"9.0.0","published":"2026-01-01T00:00:00Z","expires":"2099-01-01T00:00:00Z","files":[{"url":"https://x/y","size":1}]}`)), "has no hash"},
		"signed, file by http":      {bytesOf(raw(`{"serial":9,"version":"9.0.0","published":"2026-01-01T00:00:00Z","expires":"2099-01-01T00:00:00Z","files":[{"url":"http://x/y","size":1,"sha256":"a"}]}`)), "is not https"},
		"empty":                     {bytesOf(nil), ErrMalformed.Error()},
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, "more than"},
		"an error page": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, "502"},
		"a cut answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(good[:50])
		}, "EOF"},
		"led elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/stable.json", http.StatusFound)
		}, "leads elsewhere"},
		"led round in circles": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		}, "leads elsewhere"},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			store := &facts{}
			c := checker(p, store, "1.0.0")
			p.publish(sign(t, manifest("2.0.0", 6)))
			if s, err := c.Check(t.Context()); err != nil || s.Found == nil {
				t.Fatalf("the good one: %+v, %v", s, err)
			}
			p.say(cases[name].answer)
			s, err := c.Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), cases[name].want) || s.Problem != err.Error() {
				t.Errorf("it says %v (state %q), want %q", err, s.Problem, cases[name].want)
			}
			if s.Found == nil || s.Found.Version != "2.0.0" {
				t.Errorf("what was known is now %+v", s.Found)
			}
			if got := store.m[serialFact]; got != "6" {
				t.Errorf("the serial is %s", got)
			}
		})
	}
}

func TestPlainHTTPIsNotAsked(t *testing.T) {
	c := New(Options{Version: "1.0.0", Key: publicText(), URL: "http://patchbay.example/stable.json", Store: &facts{}, Client: func() *http.Client {
		t.Error("a request was made")
		return http.DefaultClient
	}})
	if _, err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("it says %v", err)
	}
}

// TestABuildWithoutAKeyAsksNobody holds for what the source has as long as nobody publishes releases of it.
func TestABuildWithoutAKeyAsksNobody(t *testing.T) {
	c := New(Options{Version: "1.0.0", URL: "https://patchbay.example/", Key: "nonsense", Store: &facts{}})
	if c.State().Possible {
		t.Error("it thinks it can")
	}
	if _, err := c.Check(t.Context()); !errors.Is(err, ErrImpossible) {
		t.Errorf("it says %v", err)
	}
}

func TestThePublisherIsWholeOrAbsent(t *testing.T) {
	if (PublicKey == "") != (ManifestURL == "") {
		t.Error("PublicKey and ManifestURL go together")
	}
	if PublicKey == "" {
		return
	}
	if _, err := ParseKey(PublicKey); err != nil {
		t.Error(err)
	}
	if !secure(ManifestURL) {
		t.Errorf("%s is not https", ManifestURL)
	}
}

func TestTheOfferSurvivesARestart(t *testing.T) {
	p := newPublisher(t)
	p.publish(sign(t, manifest("2.0.0", 6)))
	store := &facts{}
	if _, err := checker(p, store, "1.0.0").Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.say(func(http.ResponseWriter, *http.Request) { t.Error("remembering asked the publisher") })
	again := checker(p, store, "1.0.0")
	if err := again.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := again.State(); s.Found == nil || s.Found.Version != "2.0.0" || s.Checked.IsZero() {
		t.Errorf("state %+v", s)
	}
	updated := checker(p, store, "2.0.0")
	if err := updated.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := updated.State(); s.Found != nil {
		t.Errorf("after the update it offers %+v", s.Found)
	}
	store.m[manifestFact] = strings.Replace(store.m[manifestFact], `"signature":"`, `"signature":"AAAA`, 1)
	forged := checker(p, store, "1.0.0")
	if err := forged.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := forged.State(); s.Found != nil {
		t.Errorf("a changed database offers %+v", s.Found)
	}
}

// roundTrip is a publisher without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRunAsksOnceADayAndOnlyIfWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards the next four: the test holds it but while time passes
		asked, on, version := 0, false, "1.1.0"
		var told []string
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			if r.Header.Get("User-Agent") != "Patchbay" {
				t.Errorf("it tells %q of itself", r.Header.Get("User-Agent"))
			}
			w := httptest.NewRecorder()
			_, _ = w.Write(sign(t, manifest(version, int64(asked))))
			return w.Result(), nil
		})}
		c := New(Options{
			Version: "1.0.0", Key: publicText(), URL: "https://patchbay.example/stable.json", Store: &facts{}, Client: func() *http.Client { return client },
			Kinds: func() []string { return nil }, OS: "linux", Arch: "amd64",
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- c.Run(ctx, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return on
			}, func(r Release) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, r.Version)
			})
		}()
		later := func(d time.Duration) {
			mu.Unlock()
			time.Sleep(d) // inside the bubble
			synctest.Wait()
			mu.Lock()
		}
		mu.Lock()
		later(72 * time.Hour)
		if asked != 0 {
			t.Errorf("it asked %d times unwanted", asked)
		}
		on = true
		later(49 * time.Hour)
		if asked != 3 || len(told) != 1 {
			t.Errorf("in two days it asked %d times and told %q", asked, told)
		}
		version = "1.2.0"
		later(25 * time.Hour)
		if want := []string{"1.1.0", "1.2.0"}; !slices.Equal(told, want) {
			t.Errorf("it told %q, want %q", told, want)
		}
		mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDownload(t *testing.T) {
	content := []byte("the package")
	file := func(url string) File {
		return File{Kind: "deb", URL: url + "/dir/p_1.deb", Size: int64(len(content)), SHA256: fmt.Sprintf("%x", sha256.Sum256(content))}
	}
	serve := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // of the error
	}{
		"the right one": {serve(content), ""},
		"another":       {serve([]byte("the pAckage")), "hash"},
		"a longer one":  {serve(append(content, content...)), "larger"},
		"a shorter one": {serve(content[:4]), "ends after 4"},
		"none":          {http.NotFound, "404"},
		"led to the same by another host": {func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "localhost:"+r.URL.Query().Get("port") && r.URL.RawQuery == "" {
				_, port, _ := strings.Cut(r.Host, ":")
				http.Redirect(w, r, "http://localhost:"+port+"/other?port="+port, http.StatusFound)
				return
			}
			_, _ = w.Write(content)
		}, ""},
		"led to plain http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://patchbay.example/p_1.deb", http.StatusFound)
		}, "leads to"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			p.say(c.answer)
			dir := t.TempDir()
			path, err := Download(t.Context(), p.Client(), file(p.URL), dir)
			left, rerr := os.ReadDir(dir)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("it says %v, want %q", err, c.want)
				}
				if len(left) > 0 {
					t.Errorf("%s is left", left[0].Name())
				}
				return
			}
			if err != nil || path != filepath.Join(dir, "p_1.deb") || len(left) != 1 {
				t.Fatalf("%s, %v, %d files", path, err, len(left))
			}
			p.say(func(http.ResponseWriter, *http.Request) { t.Error("it was fetched again") })
			if _, err := Download(t.Context(), p.Client(), file(p.URL), dir); err != nil {
				t.Errorf("the second time: %v", err)
			}
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Download(t.Context(), p.Client(), file(p.URL), dir); err == nil || !strings.Contains(err.Error(), "something else") {
				t.Errorf("over another file: %v", err)
			}
		})
	}
}

func TestFileNamesStayInTheirFolder(t *testing.T) {
	for url, want := range map[string]string{
		"https://x/a/p.deb":         "p.deb",
		"https://x/a/p.deb?q=/../z": "p.deb",
		"https://x/":                "",
		"https://x":                 "",
		"https://x/..":              "",
		"https://x/a%2f..%2fb":      "b",
		"https://x/a%5cb":           "",
		"https://x/.bashrc":         "",
	} {
		if got := FileName(File{URL: url}); got != want {
			t.Errorf("FileName(%q) = %q, want %q", url, got, want)
		}
	}
}

func TestKinds(t *testing.T) {
	env := func(name string) func(string) string {
		return func(n string) string {
			if n == name {
				return "/home/a/P.AppImage"
			}
			return ""
		}
	}
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for _, c := range []struct {
		os, exe string
		env     func(string) string
		exists  func(string) bool
		want    string
	}{
		{"linux", "/usr/bin/patchbay", env(""), yes, "deb"},
		{"linux", "/usr/bin/patchbay", env(""), no, "tar.gz"},
		{"linux", "/home/a/patchbay", env(""), yes, "tar.gz"},
		{"linux", "/tmp/.mount_x/usr/bin/patchbay", env("APPIMAGE"), yes, "appimage"},
		{"darwin", "/Applications/Patchbay.app/Contents/MacOS/patchbay", env(""), no, "dmg"},
	} {
		if got := Kinds(c.os, c.exe, c.env, c.exists); got[0] != c.want {
			t.Errorf("%s %s: %q, want %s", c.os, c.exe, got, c.want)
		}
		if HowToInstall(c.want, "x") == "" {
			t.Errorf("%s: nobody says how", c.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	if b, err := Sign(private, manifest("1.0.0", 1)); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`{"manifest":"","signature":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Open(private.Public().(ed25519.PublicKey), b, time.Now(), 0)
		if err == nil && m.check() != nil {
			t.Error("a bad manifest was accepted")
		}
	})
}
