// Package credfile finds the logins that vendors' own programs keep in files, watches these files, and lends accounts to
// them: a borrowed account is read from its file and follows it. It never writes such a file nor anything beside it. A
// refresh token is left alone unless the person adopts the login, or the service's refresh tokens stay good when used.
//
// Where the files are and what they hold is said by the drivers (provider.CredentialFile, provider.FileReader); the accounts
// belong to package account.
package credfile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/provider"
)

// Settings say where to look.
type Settings struct {
	Enabled bool                // look for files at all; accounts that are borrowed already go on following theirs
	Paths   map[string][]string // further files, by provider
}

// Offer is one provider under the settings of the moment.
type Offer struct {
	Driver   provider.Driver
	Info     provider.Info
	Settings map[string]string // shared by its accounts
}

// Needs is what Files is built from.
type Needs struct {
	Home     string // of the person, "" = unknown
	Getenv   func(string) string
	OS       string // as Go names it; "" = this one
	Settings func() Settings
	Offers   func() []Offer
	Accounts *account.Pools
	HTTP     func(provider, proxy string) *http.Client
	Bus      *events.Bus
	Log      *slog.Logger
}

// State says what is to be said of a found file.
type State string

// The states.
const (
	Usable     State = "found"      // holds a login that nobody uses yet
	Borrowed   State = "borrowed"   // an account follows it
	SignedIn   State = "signed_in"  // an account of Patchbay's own is the same person's
	Changed    State = "changed"    // an account follows it, but it holds somebody else's login now
	Empty      State = "empty"      // holds no login
	Unreadable State = "unreadable" // cannot be opened or understood
	Gone       State = "gone"       // is not there
	Declined   State = "declined"   // is noticed and not opened
)

// Found is a file that may hold a login, as people see it. It holds no secret.
type Found struct {
	ID              string
	Provider, Path  string
	Program         string // whose file it is, "" = unknown
	State           State
	Note            string // what is wrong, or good to know
	Identity, Email string // who signed in, as far as the file says
	Plan            string
	Expires         time.Time // of the present token; zero = it has no end, or nobody knows
	Over            bool      // the present token has ended
	Renewable       bool      // holds a refresh token: the login can be adopted
	Harmless        bool      // using that token does not sign the program out
	Modified        time.Time
	Account         string // id of the account that follows it, or is the same person's
	Label           string // that account's name
}

// Files finds and watches. It is safe for concurrent use.
type Files struct {
	needs   Needs
	sys     system
	targets chan []string

	using sync.Mutex // held while a person's wish is carried out

	mu   sync.Mutex // guards what follows
	last map[string]string
}

// New returns a Files that watches nothing before Run.
func New(n Needs) *Files {
	n.OS = cmp.Or(n.OS, runtime.GOOS)
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	return &Files{
		needs: n, sys: system{home: n.Home, os: n.OS, getenv: n.Getenv}, targets: make(chan []string, 1), last: map[string]string{},
	}
}

// Run watches until ctx ends, and has the borrowed accounts follow their files.
func (f *Files) Run(ctx context.Context) error {
	w := newWatcher(f.sys, f.needs.Log, f.sync)
	defer w.open()()
	w.aim(f.paths())
	return w.run(ctx, f.targets)
}

// Refresh has the list of watched files made anew: after the settings or the accounts changed. It never blocks.
func (f *Files) Refresh() {
	f.mu.Lock() // only one may empty and fill the channel
	defer f.mu.Unlock()
	select {
	case <-f.targets:
	default:
	}
	f.targets <- f.paths()
}

func (f *Files) paths() []string {
	var out []string
	for _, p := range f.places() {
		if !slices.Contains(out, p.path) {
			out = append(out, p.path)
		}
	}
	return out
}

// places lists where logins may be: what drivers and settings name, and what accounts follow, whatever the settings say.
func (f *Files) places() []place {
	var out []place
	seen := map[string]bool{}
	add := func(p place) {
		if key := p.provider + "\x00" + f.sys.key(p.path); p.path != "" && !seen[key] {
			seen[key] = true
			out = append(out, p)
		}
	}
	s := f.needs.Settings()
	linked := map[string]bool{}
	for _, a := range f.needs.Accounts.List() {
		if a.Owner == account.CLI {
			linked[a.Provider+"\x00"+f.sys.key(a.Settings[provider.SettingFile])] = true
		}
	}
	for _, o := range f.needs.Offers() {
		if _, ok := o.Driver.(provider.FileReader); !ok {
			continue
		}
		for _, c := range o.Info.Files {
			path := f.sys.at(c)
			if s.Enabled || linked[o.Info.ID+"\x00"+f.sys.key(path)] {
				add(place{provider: o.Info.ID, path: path, format: c.Format, program: c.Program})
			}
		}
		if s.Enabled {
			for _, path := range s.Paths[o.Info.ID] {
				add(place{provider: o.Info.ID, path: f.sys.expand(path), named: true})
			}
		}
	}
	for _, a := range f.needs.Accounts.List() {
		if a.Owner == account.CLI {
			add(place{provider: a.Provider, path: a.Settings[provider.SettingFile], named: true})
		}
	}
	return out
}

// offer returns a provider and its reader.
func (f *Files) offer(id string) (Offer, provider.FileReader, bool) {
	for _, o := range f.needs.Offers() {
		if o.Info.ID == id {
			r, ok := o.Driver.(provider.FileReader)
			return o, r, ok
		}
	}
	return Offer{}, nil, false
}

// List looks at all places now.
func (f *Files) List(ctx context.Context) []Found {
	var out []Found
	holding := map[string]bool{} // paths in which some provider found a login
	for _, p := range f.places() {
		found, ok := f.view(ctx, p)
		if ok {
			out = append(out, found)
		}
		holding[p.path] = holding[p.path] || ok && found.State != Empty
	}
	out = slices.DeleteFunc(out, func(v Found) bool { return v.State == Empty && v.Account == "" && holding[v.Path] })
	if v, ok := f.claude(); ok {
		out = append(out, v)
	}
	return out
}

// view describes one place; false means that there is nothing to say.
func (f *Files) view(ctx context.Context, p place) (Found, bool) {
	o, reader, ok := f.offer(p.provider)
	if !ok {
		return Found{}, false
	}
	r := read(ctx, reader, p)
	v := Found{ID: idOf(p), Provider: p.provider, Path: p.path, Program: p.program, Modified: r.modified, Harmless: o.Info.Policy.RefreshBorrowed}
	a, linked := f.follower(p)
	if linked {
		v.Account, v.Label = a.ID, a.Name
	}
	if r.err != nil {
		v.Note = r.err.Error()
	}
	switch r.found {
	case absent:
		v.State = Gone
		return v, linked || p.named
	case empty:
		v.State = Empty
		return v, linked || p.named || r.err != provider.ErrNoLogin // wrapped: it says what the file holds instead
	case garbled, closed:
		v.State = Unreadable
		return v, true
	}
	c := r.login.Credential
	v.State, v.Note, v.Identity, v.Email, v.Plan = Usable, r.login.Note, c.Identity(), c.Extra[provider.ExtraEmail], c.Extra[provider.ExtraPlan]
	v.Expires, v.Over, v.Renewable = c.Expiry, !c.Expiry.IsZero() && time.Now().After(c.Expiry), !c.Refresh.Empty()
	switch own, ok := f.sameperson(p.provider, c.Identity()); {
	case linked && !samePerson(a.Identity, c.Identity()):
		v.State, v.Note = Changed, changedText(p, a.Status, c)
	case linked:
		v.State = Borrowed
	case ok:
		v.State, v.Account, v.Label = SignedIn, own.ID, own.Name
	}
	return v, true
}

type follower struct{ account.Status }

// follower returns the account that is read from a place.
func (f *Files) follower(p place) (follower, bool) {
	for _, a := range f.needs.Accounts.List() {
		if a.Owner == account.CLI && a.Provider == p.provider && f.sys.key(a.Settings[provider.SettingFile]) == f.sys.key(p.path) {
			return follower{a}, true
		}
	}
	return follower{}, false
}

// sameperson returns the account of a provider by which this person signed in.
func (f *Files) sameperson(id, identity string) (account.Status, bool) {
	for _, a := range f.needs.Accounts.List() {
		if a.Provider == id && identity != "" && a.Identity == identity {
			return a, true
		}
	}
	return account.Status{}, false
}

// samePerson reports whether two identities may be one: what is unknown hinders nothing.
func samePerson(a, b string) bool { return a == "" || b == "" || a == b }

// idOf is short, stable and says nothing.
func idOf(p place) string {
	sum := sha256.Sum256([]byte(p.provider + "\x00" + p.path))
	return hex.EncodeToString(sum[:5])
}

// claudeText is what is said of a login of Claude Code (Anthropic's legal page for Claude Code, 2026-02).
const claudeText = "Claude subscriptions can only be used inside Claude Code. Use an API key here (`patchbay accounts add anthropic`), " +
	"or point Claude Code at Patchbay."

// claude notices the login of Claude Code, which is never opened.
func (f *Files) claude() (Found, bool) {
	if !f.needs.Settings().Enabled {
		return Found{}, false
	}
	path := f.sys.at(provider.CredentialFile{Path: "~/.claude/.credentials.json", Env: "CLAUDE_CONFIG_DIR", Base: "~/.claude"})
	if path == "" {
		return Found{}, false
	}
	if _, err := os.Stat(path); err != nil {
		return Found{}, false
	}
	p := place{provider: "anthropic", path: path}
	return Found{ID: idOf(p), Provider: p.provider, Path: path, Program: "Claude Code", State: Declined, Note: claudeText}, true
}

// Reread reads the login of a borrowed account from its file, for account.Needs.
func (f *Files) Reread(ctx context.Context, a account.Account) (provider.Credential, error) {
	path := a.Settings[provider.SettingFile]
	o, reader, ok := f.offer(a.Provider)
	if path == "" || !ok {
		return provider.Credential{}, errors.New("no file is known of this account")
	}
	p := f.place(a.Provider, path)
	r := read(ctx, reader, p)
	if r.found != holds {
		return provider.Credential{}, fmt.Errorf("reading %s: %w", path, r.err)
	}
	c, err := f.unmasked(ctx, o, p, a, r.login)
	if err != nil {
		return provider.Credential{}, fmt.Errorf("finding out whose login %s holds: %w", path, err)
	}
	if !samePerson(a.Identity, c.Identity()) {
		return provider.Credential{}, fmt.Errorf("%s holds another person's login now", path)
	}
	return c, nil
}

// place returns what is known of a path that an account follows.
func (f *Files) place(id, path string) place {
	for _, p := range f.places() {
		if p.provider == id && f.sys.key(p.path) == f.sys.key(path) {
			return p
		}
	}
	return place{provider: id, path: path, named: true}
}

// lent is what of a credential an account gets that does not own it. Where using the refresh token would sign the owner
// out, it is not even taken along.
func lent(info provider.Info, c provider.Credential) provider.Credential {
	if !info.Policy.RefreshBorrowed {
		c.Refresh = provider.Credential{}.Refresh
	}
	return c
}

// sync has the accounts of a path follow it. It reports false for a file that should be looked at again.
func (f *Files) sync(ctx context.Context, path string) (settled bool) {
	settled = true
	for _, p := range f.places() {
		if p.path != path {
			continue
		}
		o, reader, ok := f.offer(p.provider)
		if !ok {
			continue
		}
		r := read(ctx, reader, p)
		f.tell(p, r)
		if r.found == garbled || r.found == closed {
			settled = false
		}
		if a, ok := f.follower(p); ok && !f.lead(ctx, o, p, a.Status, r) {
			settled = false
		}
	}
	return settled
}

// lead brings one account in line with its file. An unreadable file changes nothing: the token at hand may be good, and what
// is written in several steps is whole in a moment.
func (f *Files) lead(ctx context.Context, o Offer, p place, a account.Status, r reading) (settled bool) {
	switch r.found {
	case absent:
		f.needs.Accounts.Flag(a.ID, account.NeedsLogin, "the file "+p.path+owned(p)+" is gone: sign in there again, or sign in here")
	case empty:
		f.needs.Accounts.Flag(a.ID, account.NeedsLogin, "the file "+p.path+owned(p)+" holds no login any more: sign in there again, or sign in here")
	case holds:
		c, err := f.unmasked(ctx, o, p, a.Account, r.login)
		if err != nil {
			f.needs.Log.Warn("Whose login a file holds now cannot be found out; it is not used before",
				"account", a.ID, "file", p.path, "err", apierror.From(err).Msg)
			return false
		}
		if !samePerson(a.Identity, c.Identity()) {
			f.needs.Accounts.Flag(a.ID, account.NeedsAction, changedText(p, a, c))
			return true
		}
		changed, err := f.needs.Accounts.Follow(ctx, a.ID, c)
		if err != nil {
			f.needs.Log.Warn("A borrowed login cannot be stored", "account", a.ID, "err", apierror.From(err).Msg)
			return false
		}
		if changed {
			f.needs.Log.Info("A borrowed login was read anew", "account", a.ID, "file", p.path)
		}
	}
	return true
}

func owned(p place) string {
	if p.program == "" {
		return ""
	}
	return " of " + p.program
}

func changedText(p place, a account.Status, c provider.Credential) string {
	return fmt.Sprintf("the file %s%s holds the login of %s now, not of %s: sign in there as before, or release this account and borrow the new login",
		p.path, owned(p), cmp.Or(c.Extra[provider.ExtraEmail], c.Identity()), a.Name)
}

// tell publishes that a file says something else than before. What is remembered of a login is a hash.
func (f *Files) tell(p place, r reading) {
	c := r.login.Credential
	sum := sha256.Sum256([]byte(fmt.Sprint(r.found, r.err, "\x00") + c.Access.Reveal() + "\x00" + c.Refresh.Reveal() + "\x00" + c.Identity()))
	now := hex.EncodeToString(sum[:])
	f.mu.Lock()
	before, known := f.last[idOf(p)]
	f.last[idOf(p)] = now
	f.mu.Unlock()
	if before == now || !known && r.found == absent {
		return
	}
	if r.found == closed || r.found == garbled {
		f.needs.Log.Warn("A file of another program cannot be read", "provider", p.provider, "file", p.path, "err", r.err)
	}
	f.needs.Bus.Publish(events.Files, idOf(p), nil)
}
