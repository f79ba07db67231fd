package credfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// fake is a provider whose program keeps {"access","refresh","email","expires","kind"} in ~/.fake/auth.json.
type fake struct {
	info     provider.Info
	complete func(context.Context, provider.Env, provider.Credential) (provider.Credential, error)
}

func (d *fake) Info() provider.Info { return d.info }

func (d *fake) Open(provider.Env) (provider.Upstream, error) {
	return nil, errors.New("it answers nothing")
}

func (d *fake) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	if d.complete == nil {
		return c, nil
	}
	return d.complete(ctx, env, c)
}

func (d *fake) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		rows, err := f.Rows("SELECT value FROM auth")
		if err != nil {
			return provider.FileLogin{}, err
		}
		f.Data = []byte(rows[0][0])
	}
	var v struct{ Access, Refresh, Email, Kind, Expires string }
	if err := json.Unmarshal(f.Data, &v); err != nil {
		return provider.FileLogin{}, errors.New("it is no JSON")
	}
	if v.Kind == "apikey" {
		return provider.FileLogin{}, fmt.Errorf("%w: it holds an API key", provider.ErrNoLogin)
	}
	if v.Access == "" && v.Refresh == "" {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	out := provider.FileLogin{Login: provider.LoginBrowser, Settings: map[string]string{"region": "eu"}, Credential: provider.Credential{
		Access: secret.New(v.Access), Refresh: secret.New(v.Refresh), Extra: map[string]string{provider.ExtraPlan: "plus"},
	}}
	if v.Email != "" {
		out.Extra[provider.ExtraEmail], out.Extra[provider.ExtraIdentity] = v.Email, "id/"+v.Email
	}
	if v.Expires != "" {
		out.Expiry, _ = time.Parse(time.RFC3339, v.Expires)
	}
	return out, nil
}

// login is the text of a file. Its tokens are canaries: they may turn up nowhere but in the vault.
func login(n, email string, more ...string) string {
	m := map[string]string{"Access": "CANARY-at-" + n, "Refresh": "CANARY-rt-" + n, "Email": email}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	b, _ := json.Marshal(m, json.Deterministic(true)) // strings always can
	return string(b)
}

// lab is the room with its neighbours: one provider "fake", an empty home, a store.
type lab struct {
	*Files
	t        *testing.T
	home     string
	path     string // of the default file
	env      map[string]string
	settings Settings
	driver   *fake
	offers   []Offer
	accounts *account.Pools
	vault    *secret.Vault
	bus      *events.Bus
	log      *buffer
}

// buffer is a log that goroutines may write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var vaultKey = secret.EnvKey{Text: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, home: t.TempDir(), env: map[string]string{}, settings: Settings{Enabled: true}, bus: &events.Bus{}, log: &buffer{}}
	l.path = filepath.Join(l.home, ".fake", "auth.json")
	l.driver = &fake{info: provider.Info{
		ID: "fake", Name: "Fake", Logins: []provider.Login{{Kind: provider.LoginBrowser}},
		Files: []provider.CredentialFile{{Path: "~/.fake/auth.json", Format: "fake", Program: "Fake CLI", Env: "FAKE_HOME", Base: "~/.fake"}},
	}}
	l.offers = []Offer{{Driver: l.driver, Info: l.driver.info, Settings: map[string]string{"base_url": "http://shared"}}}
	db, note, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "patchbay.db"))
	if err != nil || note != "" {
		t.Fatal(note, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l.vault = secret.NewVault(db, vaultKey)
	l.accounts, err = account.New(t.Context(), account.Needs{
		Store: db, Secrets: l.vault, Bus: l.bus, Log: slog.New(slog.DiscardHandler),
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			i := slices.IndexFunc(l.offers, func(o Offer) bool { return o.Info.ID == id })
			if i < 0 {
				return nil, nil, errors.New("no such provider")
			}
			return l.offers[i].Driver, nil, nil
		},
		HTTP:   func(string) *http.Client { return &http.Client{} },
		Reread: func(ctx context.Context, a account.Account) (provider.Credential, error) { return l.Reread(ctx, a) },
	})
	must(t, err)
	t.Cleanup(l.accounts.Close)
	l.Files = New(Needs{
		Home: l.home, Getenv: func(name string) string { return l.env[name] }, Settings: func() Settings { return l.settings },
		Offers: func() []Offer { return l.offers }, Accounts: l.accounts, HTTP: func(proxy string) *http.Client { return &http.Client{Transport: proxied(proxy)} }, Bus: l.bus,
		Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	t.Cleanup(func() {
		if text := l.log.String(); strings.Contains(text, "CANARY") {
			t.Errorf("the log tells a token:\n%s", text)
		}
	})
	return l
}

// one returns the only file that is found.
func (l *lab) one() Found {
	l.t.Helper()
	list := l.List(l.t.Context())
	if len(list) != 1 {
		l.t.Fatalf("found %d files: %+v", len(list), list)
	}
	if text := fmt.Sprintf("%+v", list); strings.Contains(text, "CANARY") {
		l.t.Errorf("the list tells a token: %s", text)
	}
	return list[0]
}

// borrow has an account follow the default file.
func (l *lab) borrow() account.Status {
	l.t.Helper()
	st, err := l.Borrow(l.t.Context(), l.one().ID, Use{})
	must(l.t, err)
	return st
}

func (l *lab) get(id string) account.Status {
	l.t.Helper()
	st, ok := l.accounts.Get(id)
	if !ok {
		l.t.Fatalf("the account %s is gone", id)
	}
	return st
}

// stored is what the vault holds of an account.
func (l *lab) stored(id string) string {
	l.t.Helper()
	v, err := l.vault.Get(l.t.Context(), secret.Ref{Scope: "account", ID: id})
	must(l.t, err)
	return v.Reveal()
}

// run has the room watch, and returns a function that waits until the account is as wanted.
func (l *lab) run() (await func(id, what string, ok func(account.Status) bool)) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	ended := make(chan error)
	news := make(chan struct{}, 1)
	changes := l.bus.Subscribe(ctx, 100)
	go func() { // ends with ctx
		for range changes {
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	go func() { ended <- l.Run(ctx) }() // ends with cancel
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	return func(id, what string, ok func(account.Status) bool) {
		l.t.Helper()
		late := time.After(patience)
		for !ok(l.get(id)) {
			select {
			case <-news:
			case <-late:
				l.t.Fatalf("the account did not become %s: %+v", what, l.get(id))
			}
		}
	}
}

func is(s account.State) func(account.Status) bool {
	return func(a account.Status) bool { return a.State == s }
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error with %q", err, part)
	}
	if err != nil && strings.Contains(err.Error(), "CANARY") {
		t.Errorf("an error tells a token: %v", err)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	unix := system{home: "/home/ann", os: "linux", getenv: func(n string) string { return map[string]string{"X": "/x", "REL": "x"}[n] }}
	for _, c := range []struct {
		f    provider.CredentialFile
		want string
	}{
		{provider.CredentialFile{Path: "~/.a/b.json"}, "/home/ann/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", OS: "darwin"}, ""},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~/.a"}, "/x/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~"}, "/x/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X"}, "/x"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "UNSET", Base: "~/.a"}, "/home/ann/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~/.c"}, ""},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "REL", Base: "~/.a"}, ""},
		{provider.CredentialFile{Path: `%LOCALAPPDATA%\Kiro-Cli\data.sqlite3`}, ""},
		{provider.CredentialFile{Path: "~bob/.a"}, ""},
		{provider.CredentialFile{Path: "/etc/../b.json"}, "/b.json"},
	} {
		if runtime.GOOS == "windows" {
			t.Skip("paths of Unix")
		}
		if got := unix.at(c.f); got != c.want {
			t.Errorf("%+v is at %q, want %q", c.f, got, c.want)
		}
	}
	homeless := unix
	homeless.home = ""
	if got := homeless.at(provider.CredentialFile{Path: "~/.a"}); got != "" {
		t.Errorf("without a home: %q", got)
	}
	win := system{home: "/home/ann", os: "windows", getenv: func(n string) string { return map[string]string{"LOCALAPPDATA": "/local"}[n] }}
	if got := win.at(provider.CredentialFile{Path: "%LOCALAPPDATA%/Kiro"}); got != filepath.FromSlash("/local/Kiro") {
		t.Errorf("a variable of Windows: %q", got)
	}
	for _, bad := range []string{"%APPDATA%/Kiro", "%LOCALAPPDATA/Kiro"} {
		if got := win.at(provider.CredentialFile{Path: bad}); got != "" {
			t.Errorf("%s: %q", bad, got)
		}
	}
	if win.key("/A") != win.key("/a") || unix.key("/A") == unix.key("/a") {
		t.Error("case counts where it must not, or the other way round")
	}
}

func TestFoundFileIsOffered(t *testing.T) {
	l := newLab(t)
	if list := l.List(t.Context()); len(list) != 0 {
		t.Errorf("found in an empty home: %+v", list)
	}
	write(t, l.path, login("1", "ann@example.test", "Expires", "2020-01-02T03:04:05Z"))
	got := l.one()
	want := Found{
		ID: got.ID, Provider: "fake", Path: l.path, Program: "Fake CLI", State: Usable, Identity: "id/ann@example.test", Email: "ann@example.test",
		Plan: "plus", Expires: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Over: true, Renewable: true, Modified: got.Modified,
	}
	if d := cmp.Diff(want, got); d != "" || got.ID == "" || got.Modified.IsZero() {
		t.Errorf("%s %+v", d, got)
	}
	if n := len(l.accounts.List()); n != 0 {
		t.Errorf("%d accounts were made unasked", n)
	}
	if p, ok := l.Provider(got.ID); p != "fake" || !ok {
		t.Error("its provider is not known")
	}
	l.settings.Enabled = false
	if list := l.List(t.Context()); len(list) != 0 {
		t.Errorf("looked although it is switched off: %+v", list)
	}
}

func TestNamedAndMovedPaths(t *testing.T) {
	l := newLab(t)
	l.settings.Paths = map[string][]string{"fake": {"~/mine.json", l.path, "relative.json"}, "nobody": {"/x"}}
	got := l.List(t.Context())
	if len(got) != 1 || got[0].State != Gone || got[0].Path != filepath.Join(l.home, "mine.json") || got[0].Note != "the file is not there" {
		t.Errorf("a named file that is missing: %+v", got)
	}
	l.env["FAKE_HOME"] = t.TempDir()
	write(t, filepath.Join(l.env["FAKE_HOME"], "auth.json"), login("1", "ann@example.test"))
	got = l.List(t.Context())
	if len(got) != 3 || got[0].State != Usable || got[0].Path != filepath.Join(l.env["FAKE_HOME"], "auth.json") {
		t.Errorf("the program's own variable: %+v", got)
	}
}

func TestWhatIsNoLoginSaysWhatItIs(t *testing.T) {
	l := newLab(t)
	loop := filepath.Join(l.home, "loop")
	must(t, os.Symlink(loop, loop))
	for _, c := range []struct {
		name, text string
		make       func() error
		state      State
		note       string
	}{
		{"empty object", "{}", nil, "", ""},
		{"an API key", `{"Kind":"apikey"}`, nil, Empty, "it holds an API key"},
		{"half of it", login("1", "a@example.test")[:40], nil, Unreadable, "it is no JSON"},
		{"nothing in it", "", nil, Unreadable, "it is no JSON"},
		{"a huge file", strings.Repeat(" ", 2<<20), nil, Unreadable, "larger than"},
		{"a folder", "", func() error { return os.Mkdir(l.path, 0o700) }, Unreadable, "it is no file"},
		{"a link to itself", "", func() error { return os.Symlink(loop, l.path) }, Unreadable, ""},
		{"a folder in the way that is a file", "", func() error {
			if err := os.RemoveAll(filepath.Dir(l.path)); err != nil {
				return err
			}
			return os.WriteFile(filepath.Dir(l.path), nil, 0o600)
		}, "", ""},
	} {
		must(t, os.RemoveAll(l.path))
		must(t, os.MkdirAll(filepath.Dir(l.path), 0o700))
		if c.make != nil {
			must(t, c.make())
		} else {
			write(t, l.path, c.text)
		}
		list := l.List(t.Context())
		if c.state == "" {
			if len(list) != 0 {
				t.Errorf("%s: %+v", c.name, list)
			}
			continue
		}
		if len(list) != 1 || list[0].State != c.state || !strings.Contains(list[0].Note, c.note) {
			t.Errorf("%s: %+v", c.name, list)
			continue
		}
		_, err := l.Borrow(t.Context(), list[0].ID, Use{})
		wantError(t, err, "cannot be used")
	}
}

// The mode 000 needs somebody whom modes hinder; the folder and the link above are unreadable for everybody.
func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("modes do not hinder this user")
	}
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	must(t, os.Chmod(l.path, 0))
	if f := l.one(); f.State != Unreadable || f.Note != fs.ErrPermission.Error() {
		t.Errorf("%+v", f)
	}
}

func TestBorrowFollowsAndLeavesTheRefreshTokenAlone(t *testing.T) {
	l := newLab(t)
	text := login("1", "ann@example.test")
	write(t, l.path, text)
	before := snapshot(t, l.home)
	st := l.borrow()
	if st.Owner != account.CLI || st.Name != "ann@example.test" || st.Settings[provider.SettingFile] != l.path || st.Settings["region"] != "eu" || st.Renews {
		t.Errorf("%+v", st)
	}
	if s := l.stored(st.ID); !strings.Contains(s, "CANARY-at-1") || strings.Contains(s, "CANARY-rt") {
		t.Errorf("the vault holds %s", s)
	}
	if f := l.one(); f.State != Borrowed || f.Account != st.ID || f.Label != st.Name {
		t.Errorf("%+v", f)
	}
	c, err := l.Reread(t.Context(), st.Account)
	must(t, err)
	if c.Access.Reveal() != "CANARY-at-1" || !c.Refresh.Empty() {
		t.Error("what is read again is not what is lent")
	}
	_, err = l.Borrow(t.Context(), l.one().ID, Use{})
	wantError(t, err, "follows this file already")
	if d := cmp.Diff(before, snapshot(t, l.home)); d != "" {
		t.Errorf("the home was touched: %s", d)
	}
}

// snapshot is everything in a folder, with times.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out[path] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), textOf(path))
		return nil
	}))
	return out
}

func TestGoogleLikeLoginsLendTheirRefreshToken(t *testing.T) {
	l := newLab(t)
	l.offers[0].Info.Policy.RefreshBorrowed = true
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	if s := l.stored(st.ID); !strings.Contains(s, "CANARY-rt-1") || !st.Renews {
		t.Errorf("the refresh token is missing: %+v", st)
	}
	if f := l.one(); !f.Harmless {
		t.Errorf("%+v", f)
	}
}

func TestChangedFileIsReadAnew(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	await := l.run()
	replace(t, l.path, login("2", "ann@example.test", "Expires", "2099-01-01T00:00:00Z"))
	await(st.ID, "renewed", func(a account.Status) bool { return !a.Expires.IsZero() })
	if s := l.stored(st.ID); !strings.Contains(s, "CANARY-at-2") {
		t.Errorf("the vault holds %s", s)
	}
}

func TestFileRemovedFlagsTheAccountAndBackRecovers(t *testing.T) {
	l := newLab(t)
	text := login("1", "ann@example.test")
	write(t, l.path, text)
	st := l.borrow()
	await := l.run()
	must(t, os.RemoveAll(filepath.Dir(l.path)))
	await(st.ID, "flagged", is(account.NeedsLogin))
	if a := l.get(st.ID); !strings.Contains(a.Reason, l.path) || !strings.Contains(a.Reason, "Fake CLI is gone") {
		t.Errorf("%+v", a)
	}
	if f := l.one(); f.State != Gone || f.Account != st.ID {
		t.Errorf("%+v", f)
	}
	write(t, l.path, text) // the same login: only the file was away
	await(st.ID, "ready again", is(account.Ready))
	write(t, l.path, `{"Kind":"apikey"}`)
	await(st.ID, "flagged again", is(account.NeedsLogin))
	replace(t, l.path, login("2", "ann@example.test"))
	await(st.ID, "ready with another token", is(account.Ready))
}

func TestChangedIdentityIsFlaggedAndNotUsed(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	await := l.run()
	replace(t, l.path, login("2", "bob@example.test"))
	await(st.ID, "flagged", is(account.NeedsAction))
	if s := l.stored(st.ID); strings.Contains(s, "at-2") {
		t.Error("somebody else's token was taken")
	}
	if a := l.get(st.ID); !strings.Contains(a.Reason, "bob@example.test now, not of ann@example.test") {
		t.Errorf("%+v", a)
	}
	f := l.one()
	if f.State != Changed || !strings.Contains(f.Note, "bob@") {
		t.Errorf("%+v", f)
	}
	_, err := l.Reread(t.Context(), st.Account)
	wantError(t, err, "another person's login")
	_, err = l.Borrow(t.Context(), f.ID, Use{})
	wantError(t, err, "release it first")
	_, err = l.Adopt(t.Context(), f.ID, Use{Accept: true})
	wantError(t, err, "bob@example.test now")
	replace(t, l.path, login("3", "ann@example.test"))
	await(st.ID, "ready again", is(account.Ready))
}

// A half-written file is waited for: it takes nothing from the account.
func TestHalfWrittenFileIsWaitedFor(t *testing.T) {
	l := newLab(t)
	whole := login("2", "ann@example.test")
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	if l.sync(t.Context(), l.path) != true {
		t.Error("a whole file is not settled")
	}
	write(t, l.path, whole[:len(whole)/2])
	if l.sync(t.Context(), l.path) {
		t.Error("half a file is settled")
	}
	if a := l.get(st.ID); a.State != account.Ready || !strings.Contains(l.stored(st.ID), "at-1") {
		t.Errorf("half a file changed the account: %+v", a)
	}
	write(t, l.path, whole)
	if !l.sync(t.Context(), l.path) || !strings.Contains(l.stored(st.ID), "at-2") {
		t.Error("the whole file was not taken")
	}
}

// A write that changes nothing, also one of our own were there any, is no news: nobody is told, nothing is stored.
func TestSameContentIsNoReload(t *testing.T) {
	l := newLab(t)
	text := login("1", "ann@example.test")
	write(t, l.path, text)
	l.borrow()
	l.sync(t.Context(), l.path)
	seq := l.bus.Seq()
	for range 3 {
		replace(t, l.path, text)
		if !l.sync(t.Context(), l.path) {
			t.Error("not settled")
		}
	}
	if l.bus.Seq() != seq {
		t.Errorf("%d events for nothing", l.bus.Seq()-seq)
	}
}

func TestAdoptIsExplainedFirst(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	before := snapshot(t, l.home)
	st := l.borrow()
	id := l.one().ID
	_, err := l.Adopt(t.Context(), id, Use{})
	wantError(t, err, "Fake CLI may be signed out")
	if e := apierror.From(err); e.Param != "accept" || l.get(st.ID).Owner != account.CLI {
		t.Errorf("%+v", e)
	}
	got, err := l.Adopt(t.Context(), id, Use{Accept: true})
	must(t, err)
	if got.ID != st.ID || got.Owner != account.Ours || !got.Renews || got.Settings[provider.SettingFile] != "" || got.Settings["region"] != "eu" {
		t.Errorf("%+v", got)
	}
	if s := l.stored(st.ID); !strings.Contains(s, "CANARY-rt-1") {
		t.Error("the refresh token was not taken over")
	}
	f := l.one()
	if f.State != SignedIn || f.Account != st.ID {
		t.Errorf("%+v", f)
	}
	for _, do := range []func() error{
		func() error { _, err := l.Borrow(t.Context(), id, Use{}); return err },
		func() error { _, err := l.Adopt(t.Context(), id, Use{Accept: true}); return err },
	} {
		wantError(t, do(), "signed in as the same person already")
	}
	must(t, os.Remove(l.path))
	l.sync(t.Context(), l.path)
	if a := l.get(st.ID); a.State != account.Ready {
		t.Errorf("the file counts for an adopted login: %+v", a)
	}
	write(t, l.path, login("1", "ann@example.test"))
	if len(before) != len(snapshot(t, l.home)) {
		t.Error("files were left behind")
	}
}

func TestAdoptWithoutBorrowing(t *testing.T) {
	l := newLab(t)
	l.offers[0].Info.Policy.RefreshBorrowed = true
	write(t, l.path, login("1", "ann@example.test"))
	id := l.one().ID
	_, err := l.Adopt(t.Context(), id, Use{})
	wantError(t, err, "stays signed in")
	st, err := l.Adopt(t.Context(), id, Use{Name: "mine", Accept: true})
	must(t, err)
	if st.Owner != account.Ours || st.Name != "mine" {
		t.Errorf("%+v", st)
	}
	write(t, l.path, `{"Access":"CANARY-at-9","Email":"bob@example.test"}`)
	_, err = l.Adopt(t.Context(), id, Use{Accept: true})
	wantError(t, err, "cannot be renewed")
}

func TestReleaseForgetsTheAccountAlone(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	before := snapshot(t, l.home)
	st := l.borrow()
	id := l.one().ID
	got, err := l.Release(t.Context(), id)
	must(t, err)
	if got.ID != st.ID || len(l.accounts.List()) != 0 {
		t.Errorf("%+v", l.accounts.List())
	}
	if d := cmp.Diff(before, snapshot(t, l.home)); d != "" {
		t.Errorf("the file was touched: %s", d)
	}
	if f := l.one(); f.State != Usable {
		t.Errorf("it is not offered again: %+v", f)
	}
	_, err = l.Release(t.Context(), id)
	wantError(t, err, "no account follows")
	for _, do := range []func(context.Context, string) error{
		func(ctx context.Context, id string) error { _, err := l.Release(ctx, id); return err },
		func(ctx context.Context, id string) error { _, err := l.Borrow(ctx, id, Use{}); return err },
		func(ctx context.Context, id string) error { _, err := l.Adopt(ctx, id, Use{Accept: true}); return err },
	} {
		if err := do(t.Context(), "nope"); apierror.KindOf(err) != apierror.RouteNotFound {
			t.Error(err)
		}
	}
	if _, ok := l.Provider("nope"); ok {
		t.Error("an id that nothing has")
	}
}

func TestBorrowedAccountSurvivesTheSettings(t *testing.T) {
	l := newLab(t)
	mine := filepath.Join(l.home, "mine.json")
	l.settings.Paths = map[string][]string{"fake": {mine}}
	write(t, mine, login("1", "ann@example.test"))
	st := l.borrow()
	l.settings = Settings{}
	if f := l.one(); f.State != Borrowed || f.Path != mine {
		t.Errorf("%+v", f)
	}
	write(t, mine, login("2", "ann@example.test"))
	if !l.sync(t.Context(), mine) || !strings.Contains(l.stored(st.ID), "at-2") {
		t.Error("it is not followed any more")
	}
	l.offers = nil
	_, err := l.Reread(t.Context(), st.Account)
	wantError(t, err, "no file is known")
	if !l.sync(t.Context(), mine) || len(l.List(t.Context())) != 0 {
		t.Error("a provider that is gone")
	}
}

func TestServiceIsAskedForWhatTheFileDoesNotSay(t *testing.T) {
	l := newLab(t)
	asked := 0
	l.driver.complete = func(_ context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
		asked++
		if env.Settings["region"] != "eu" || env.Settings["base_url"] != "http://shared" || env.Login != provider.LoginBrowser {
			t.Errorf("%+v", env)
		}
		if got, err := env.Token(t.Context()); err != nil || got.Access != c.Access {
			t.Error("another token", err)
		}
		env.Remember("tier", "standard")
		c.Extra = maps.Clone(c.Extra)
		c.Extra["project"] = "p1" + env.Note("nothing")
		return c, nil
	}
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	if s := l.stored(st.ID); asked != 1 || !strings.Contains(s, `"project":"p1"`) {
		t.Errorf("%d questions, %s", asked, s)
	}
	write(t, l.path, login("2", "ann@example.test"))
	l.sync(t.Context(), l.path)
	if s := l.stored(st.ID); !strings.Contains(s, "at-2") || !strings.Contains(s, `"project":"p1"`) {
		t.Errorf("what the service said was lost: %s", s)
	}
	_, err := l.Release(t.Context(), l.one().ID)
	must(t, err)

	l.driver.complete = func(context.Context, provider.Env, provider.Credential) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AccountBlocked, "the service shut this account")
	}
	_, err = l.Borrow(t.Context(), l.one().ID, Use{})
	wantError(t, err, "shut this account")
	for _, kind := range []apierror.Kind{apierror.Transport, apierror.AuthExpired} { // of the line; of a token that is over
		l.driver.complete = func(context.Context, provider.Env, provider.Credential) (provider.Credential, error) {
			return provider.Credential{}, apierror.New(kind, "not now")
		}
		l.borrow()
		_, err = l.Release(t.Context(), l.one().ID)
		must(t, err)
	}
}

// Who signed in may be known to the service alone. An account of Patchbay's own is not made a borrowed one by that.
func TestOwnAccountIsNotTakenOver(t *testing.T) {
	l := newLab(t)
	own, _, err := l.accounts.SignIn(t.Context(), account.SignIn{Provider: "fake", Name: "own", Credential: provider.Credential{
		Access: secret.New("a"), Refresh: secret.New("r"), Extra: map[string]string{provider.ExtraIdentity: "user-7"},
	}})
	must(t, err)
	l.driver.complete = func(_ context.Context, _ provider.Env, c provider.Credential) (provider.Credential, error) {
		c.Extra = map[string]string{provider.ExtraIdentity: "user-7"}
		return c, nil
	}
	write(t, l.path, login("1", ""))
	_, err = l.Borrow(t.Context(), l.one().ID, Use{})
	wantError(t, err, "signed in as the same person")
	if a := l.get(own.ID); a.Owner != account.Ours {
		t.Errorf("%+v", a)
	}
}

// Where the file does not say whose login it holds the service is asked, through the account's own proxy.
func TestServiceSaysWhoseLoginItIs(t *testing.T) {
	l := newLab(t)
	who, fail := "ann", error(nil)
	l.driver.complete = func(_ context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
		if fail != nil {
			return c, fail
		}
		if env.HTTP.Transport != proxied("http://proxy.test:3128") {
			t.Errorf("the service was asked through %v", env.HTTP.Transport)
		}
		c.Extra[provider.ExtraIdentity] = who
		return c, nil
	}
	write(t, l.path, login("1", ""))
	st, err := l.Borrow(t.Context(), l.one().ID, Use{Name: "work", Proxy: secret.New("http://proxy.test:3128")})
	must(t, err)
	if st.Identity != "ann" || st.Proxy != "http://proxy.test:3128" {
		t.Errorf("%+v", st)
	}
	write(t, l.path, login("2", ""))
	if !l.sync(t.Context(), l.path) || l.get(st.ID).State != account.Ready || !strings.Contains(l.stored(st.ID), "at-2") {
		t.Errorf("the next token of the same person was not taken: %+v", l.get(st.ID))
	}
	who = "bob"
	write(t, l.path, login("3", ""))
	if !l.sync(t.Context(), l.path) || l.get(st.ID).State != account.NeedsAction || strings.Contains(l.stored(st.ID), "at-3") {
		t.Errorf("somebody else's token was taken: %+v", l.get(st.ID))
	}
	who, fail = "ann", apierror.New(apierror.Transport, "the line is down")
	write(t, l.path, login("4", ""))
	if l.sync(t.Context(), l.path) || strings.Contains(l.stored(st.ID), "at-4") {
		t.Error("a login of unknown owner was taken")
	}
	fail = nil
	if !l.sync(t.Context(), l.path) || l.get(st.ID).State != account.Ready || !strings.Contains(l.stored(st.ID), "at-4") {
		t.Errorf("it did not come back: %+v", l.get(st.ID))
	}
}

// proxied is a transport that only remembers its proxy.
type proxied string

func (proxied) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no network") }

func TestFileWithoutNamesIsCalledByItsProgram(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", ""))
	if st := l.borrow(); st.Name != "Fake CLI" {
		t.Errorf("%+v", st)
	}
}

func TestTwoProvidersOneFile(t *testing.T) {
	l := newLab(t)
	other := &fake{info: l.driver.info}
	other.info.ID, other.info.Name = "other", "Other"
	l.offers = append(l.offers, Offer{Driver: picky{other}, Info: other.info}, Offer{Driver: noReader{}, Info: provider.Info{ID: "none", Files: l.driver.info.Files}})
	write(t, l.path, login("1", "ann@example.test"))
	if f := l.one(); f.Provider != "fake" {
		t.Errorf("%+v", f)
	}
}

// picky takes no login for its own.
type picky struct{ *fake }

func (picky) ReadFile(provider.File) (provider.FileLogin, error) {
	return provider.FileLogin{}, fmt.Errorf("%w: it is another program's", provider.ErrNoLogin)
}

type noReader struct{ provider.Driver }

func TestClaudeLoginIsExplainedAndNotOpened(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(l.home, ".claude", ".credentials.json")
	must(t, os.MkdirAll(path, 0o700)) // a folder: reading it would fail
	f := l.one()
	if f.State != Declined || f.Path != path || !strings.Contains(f.Note, "only be used inside Claude Code") {
		t.Errorf("%+v", f)
	}
	if slices.Contains(l.paths(), path) {
		t.Error("it is watched")
	}
	_, err := l.Borrow(t.Context(), f.ID, Use{})
	wantError(t, err, "only be used inside Claude Code")
	l.settings.Enabled = false
	if n := len(l.List(t.Context())); n != 0 {
		t.Error("explained although it is switched off")
	}
}

func TestBesides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in", "auth.json"), "a")
	write(t, filepath.Join(dir, "in", "reg.json"), "b")
	write(t, filepath.Join(dir, "secret"), "c")
	beside := besides(filepath.Join(dir, "in", "auth.json"))
	if b, err := beside("reg.json"); string(b) != "b" || err != nil {
		t.Error(b, err)
	}
	for _, name := range []string{"../secret", filepath.Join(dir, "secret"), "..", ".", "", "none.json"} {
		if b, err := beside(name); err == nil {
			t.Errorf("%q gave %q", name, b)
		}
	}
}

func TestRefreshNeverBlocks(t *testing.T) {
	l := newLab(t)
	for range 3 {
		l.Refresh()
	}
	if got := <-l.targets; len(got) != 1 || got[0] != l.path {
		t.Error(got)
	}
}
