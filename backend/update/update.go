// Package update finds out whether there is a newer Patchbay, if the person wants to know. It asks one address for a signed
// manifest, believes it only after its signature, its age and its order have been checked, and offers what it names. It
// downloads a package only on demand and installs nothing: that stays a person's act. Decision 0067 says why.
package update

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// PublicKey is the key whose private half signs the manifests of releases, in base64, and ManifestURL is where the newest
// one lies. Whoever publishes releases makes the pair with `go run ./build/release keygen` and writes both down here; while
// one is empty, a build cannot look for updates and says so.
const (
	PublicKey   = ""
	ManifestURL = ""
)

// Store keeps facts across restarts.
type Store interface {
	Meta(ctx context.Context, name string) (string, error)
	SetMeta(ctx context.Context, name, value string) error
}

// Facts in the store: the highest serial that was seen, the last good envelope, and when it was asked for.
const (
	serialFact   = "update_serial"
	manifestFact = "update_manifest"
	checkedFact  = "update_checked"
)

// Options are what a Checker needs.
type Options struct {
	Version string // of this build
	Key     string // "" = PublicKey
	URL     string // "" = ManifestURL
	Store   Store
	Client  func() *http.Client // a person's proxy is between us and the net
	Mirror  func() string       // an address instead of URL, as the settings name it; may be nil
	Kinds   func() []string     // the kinds of packages this installation can use, best first
	OS      string
	Arch    string
}

// State is what is known about updates.
type State struct {
	Possible bool // this build has a key and an address
	Checked  time.Time
	Problem  string // why the last check failed
	Latest   string // version of the newest release, which may be this one
	Found    *Release
}

// Release is a newer version than this one.
type Release struct {
	Version   string
	Published time.Time
	Notes     string
	Security  bool
	File      *File // nil: the release has no package for this system
}

// Checker asks and remembers. It is safe for concurrent use.
type Checker struct {
	o   Options
	key ed25519.PublicKey

	asking sync.Mutex // held over a check

	mu    sync.Mutex // guards state
	state State
}

// New returns a Checker.
func New(o Options) *Checker {
	if o.Key == "" {
		o.Key = PublicKey
	}
	if o.URL == "" {
		o.URL = ManifestURL
	}
	c := &Checker{o: o}
	if key, err := ParseKey(o.Key); err == nil {
		c.key = key
	}
	return c
}

// ErrImpossible says that this build cannot look for updates.
var ErrImpossible = errors.New("this build cannot look for updates: it carries no key and address of a publisher. Look where you got it from")

// State returns what is known, without asking.
func (c *Checker) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.Possible = c.key != nil && c.address() != ""
	return s
}

func (c *Checker) address() string {
	if c.o.Mirror != nil {
		if m := c.o.Mirror(); m != "" {
			return m
		}
	}
	return c.o.URL
}

// Check asks now. The error is part of the state too.
func (c *Checker) Check(ctx context.Context) (State, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	address := c.address()
	if c.key == nil || address == "" {
		return c.State(), ErrImpossible
	}
	m, err := c.fetch(ctx, address)
	if ctx.Err() != nil && err != nil {
		return c.State(), ctx.Err()
	}
	c.mu.Lock()
	c.state.Checked = time.Now()
	c.state.Problem = ""
	if err != nil {
		c.state.Problem = err.Error() // what was found before stays: it was true
	} else {
		c.state.Latest, c.state.Found = m.Version, c.release(m)
	}
	c.mu.Unlock()
	if err := c.o.Store.SetMeta(ctx, checkedFact, strconv.FormatInt(time.Now().Unix(), 10)); err != nil {
		return c.State(), err
	}
	return c.State(), err
}

// Remember takes up what an earlier process found. It asks nobody; the signature and the age are checked again.
func (c *Checker) Remember(ctx context.Context) error {
	if c.key == nil {
		return nil
	}
	seen, err := c.seen(ctx)
	if err != nil {
		return err
	}
	text, err := c.o.Store.Meta(ctx, checkedFact)
	if err != nil || text == "" {
		return err
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	envelope, err := c.o.Store.Meta(ctx, manifestFact)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Checked = time.Unix(at, 0)
	if m, err := Open(c.key, []byte(envelope), time.Now(), seen); err == nil { // else it has grown old, and the next check tells more
		c.state.Latest, c.state.Found = m.Version, c.release(m)
	}
	return nil
}

// How often Run asks, and how often it looks whether it should.
const (
	interval = 24 * time.Hour
	tick     = 10 * time.Minute
)

// Run asks once a day while on reports true, until ctx ends. found is called when a version is found that was not known. A
// failure waits for the next day as well: nobody is in a hurry, and a publisher in trouble needs no crowd.
func (c *Checker) Run(ctx context.Context, on func() bool, found func(Release)) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C: // never at once: starting is busy enough
		case <-ctx.Done():
			return nil
		}
		before := c.State()
		if !on() || !before.Possible || time.Since(before.Checked) < interval {
			continue
		}
		after, err := c.Check(ctx)
		if err != nil {
			continue // it is in the state
		}
		if r := after.Found; r != nil && (before.Found == nil || before.Found.Version != r.Version) {
			found(*r)
		}
	}
}

// release is what a manifest offers this installation.
func (c *Checker) release(m Manifest) *Release {
	if !Newer(m.Version, c.o.Version) {
		return nil
	}
	r := &Release{Version: m.Version, Published: m.Published, Notes: m.Notes, Security: m.Security}
	if f, ok := m.File(c.o.OS, c.o.Arch, c.o.Kinds()); ok {
		r.File = &f
	}
	return r
}

func (c *Checker) fetch(ctx context.Context, address string) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := c.get(ctx, address)
	if err != nil {
		return Manifest{}, fmt.Errorf("the list of releases cannot be read: %w", err)
	}
	seen, err := c.seen(ctx)
	if err != nil {
		return Manifest{}, err
	}
	m, err := Open(c.key, body, time.Now(), seen)
	if err != nil {
		return Manifest{}, fmt.Errorf("the list of releases is refused: %w", err)
	}
	if m.Serial > seen { // before anything is told: what was told once is never taken back by an older one
		err = c.o.Store.SetMeta(ctx, serialFact, strconv.FormatInt(m.Serial, 10))
	}
	return m, errors.Join(err, c.o.Store.SetMeta(ctx, manifestFact, string(body)))
}

func (c *Checker) seen(ctx context.Context) (int64, error) {
	text, err := c.o.Store.Meta(ctx, serialFact)
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// get reads a small answer. The address must be https, and so must where it leads to: the same host, at most three times.
func (c *Checker) get(ctx context.Context, address string) ([]byte, error) {
	if !secure(address) {
		return nil, fmt.Errorf("%s is not https", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	// Who asks is nobody's business: no version, no number of the installation.
	req.Header.Set("User-Agent", "Patchbay")
	client := *c.o.Client()
	client.CheckRedirect = sameHost
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, manifestLimit+1))
	if err != nil {
		return nil, err
	}
	if len(body) > manifestLimit {
		return nil, fmt.Errorf("%s answers with more than %d bytes", req.URL.Host, manifestLimit)
	}
	return body, nil
}

func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 3 || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return fmt.Errorf("%s leads elsewhere, to %s", first.Host, elsewhere(req.URL))
	}
	return nil
}

func elsewhere(u *url.URL) string { return u.Scheme + "://" + u.Host }
