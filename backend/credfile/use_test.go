package credfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

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

// A login that is over is read again. Its refresh token is redeemed only where that signs nobody out, in memory, and the file
// stays as it is.
func TestRefreshTokenIsRedeemedWhereItStaysGoodAlone(t *testing.T) {
	for _, harmless := range []bool{false, true} {
		l := newLab(t)
		l.driver.info.Policy.RefreshBorrowed = harmless
		l.offers[0].Info = l.driver.info
		write(t, l.path, login("1", "ann@example.test", "Expires", "2020-01-02T03:04:05Z"))
		before := snapshot(t, l.home)
		st := l.borrow()
		stored, already := l.stored(st.ID), l.driver.renewals.Load() // to ask the service about it
		err := l.accounts.Renew(t.Context(), st.ID)
		if harmless {
			must(t, err)
		} else {
			wantError(t, err, "use that program once")
		}
		if n := l.driver.renewals.Load(); harmless && n != already+1 || !harmless && n != 0 {
			t.Errorf("harmless %v: %d renewals, %d before", harmless, n, already)
		}
		if l.stored(st.ID) != stored {
			t.Error("what was renewed in memory was stored")
		}
		if d := cmp.Diff(before, snapshot(t, l.home)); d != "" {
			t.Errorf("the home was touched: %s", d)
		}
		write(t, l.path, login("2", "ann@example.test", "Expires", "2099-01-02T03:04:05Z"))
		l.sync(t.Context(), l.path)
		if a := l.get(st.ID); a.State != account.Ready || a.Expires.Year() != 2099 {
			t.Errorf("the program's own renewal was not taken: %+v", a)
		}
	}
}

// Who signs in to a borrowed account has a login of their own: the file counts no more.
func TestSignInEndsTheBorrowing(t *testing.T) {
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	st := l.borrow()
	got, isNew, err := l.accounts.SignIn(t.Context(), account.SignIn{Provider: "fake", Account: st.ID, Credential: provider.Credential{
		Access: secret.New("own"), Refresh: secret.New("own"), Extra: map[string]string{provider.ExtraIdentity: st.Identity},
	}})
	must(t, err)
	if isNew || got.ID != st.ID || got.Owner != account.Ours || got.Settings[provider.SettingFile] != "" || got.Settings["region"] != "eu" {
		t.Errorf("%+v", got)
	}
	if f := l.one(); f.State != SignedIn {
		t.Errorf("%+v", f)
	}
}

// A file may hold a refresh token alone. Where that may not be used there is nothing to lend.
func TestRefreshTokenAlone(t *testing.T) {
	l := newLab(t)
	write(t, l.path, `{"Refresh":"CANARY-rt-1","Email":"ann@example.test"}`)
	f := l.one()
	if f.State != Usable || !f.Over || !f.Renewable {
		t.Errorf("%+v", f)
	}
	_, err := l.Borrow(t.Context(), f.ID, Use{})
	wantError(t, err, "use Fake CLI once")
	l.offers[0].Info.Policy.RefreshBorrowed = true
	if st := l.borrow(); !st.Renews {
		t.Errorf("%+v", st)
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
