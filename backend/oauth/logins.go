package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// Modes of a sign-in.
const (
	ModeAny     = ""        // what the provider lists first
	ModeBrowser = "browser" // the browser on this machine comes back by itself
	ModePaste   = "paste"   // the browser is on another machine: the person brings the code
	ModeDevice  = "device"  // a code is typed on any machine
)

// Start says what sign-in to begin.
type Start struct {
	Provider string
	Login    string // id of one of the provider's logins; "" = the first that suits the mode
	Mode     string
	Account  string // id of the account that signs in again; "" = a new one
	Name     string // of a new account; "" = the e-mail
	// Proxy is the outbound proxy of a new account; the sign-in goes through it already.
	Proxy  secret.Value
	Fields map[string]string // what the login asks for
}

// Known is what LoginNeeds.Account tells of an account that signs in again.
type Known struct {
	ID, Provider, Label, Login, Email string
	Proxy                             string // whole, with its password
	Settings, Notes                   map[string]string
}

// Finished is a sign-in that worked.
type Finished struct {
	Provider, Login, Account, Name string
	Proxy                          string
	Settings, Notes                map[string]string
	Credential                     provider.Credential
	// Problem is what a person must do before the account can be used, nil for nothing. The sign-in itself is good.
	Problem *apierror.Error
}

// Saved is what became of it.
type Saved struct {
	Account, Label string
	// Text is what is worth saying, for example that another account than the wanted one signed in.
	Text string
	// Outcome is what became of it: new, renewed, another or unusable.
	Outcome string
}

// LoginNeeds is what Logins works with.
type LoginNeeds struct {
	// Driver returns the driver of a provider id and the settings that all its accounts share.
	Driver func(id string) (provider.Driver, map[string]string, error)
	// HTTP returns the client for an outbound proxy; it fails closed.
	HTTP func(provider, proxy string) *http.Client
	// Account returns an account that is to sign in again.
	Account func(ctx context.Context, id string) (Known, error)
	// HasAccounts reports whether a provider has an account already.
	HasAccounts func(provider string) bool
	// Save makes or updates the account.
	Save func(ctx context.Context, f Finished) (Saved, error)
	// Holder names the program that holds a port, "" if that is not known.
	Holder func(port int) string
	Bus    *events.Bus
	Log    *slog.Logger
}

// Limits of sign-ins.
const (
	loginLimit = 10 * time.Minute
	beginLimit = 30 * time.Second
	keepEnded  = 10 * time.Minute
	mostLive   = 20
	mostEnded  = 64
)

// Logins carries sign-ins out, several at once. It is safe for concurrent use.
type Logins struct {
	needs LoginNeeds
	hub   hub
	jobs  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	closed   bool
}

// NewLogins returns a Logins without any sign-in.
func NewLogins(n LoginNeeds) *Logins {
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	if n.Bus == nil {
		n.Bus = &events.Bus{}
	}
	return &Logins{needs: n, hub: hub{holder: n.Holder}, sessions: map[string]*session{}}
}

// attempt is one sign-in with all that its goroutine needs.
type attempt struct {
	*session
	driver   provider.Driver
	start    Start
	known    Known
	env      provider.Env
	notes    *notes
	device   *provider.Device
	port     int // of the door, 0 = none
	redirect string
	verifier string
}

// Start begins a sign-in and returns its progress, with the address to open. It goes on until the person is through, ten
// minutes have passed, or Cancel ends it; ctx bounds only the beginning.
func (l *Logins) Start(ctx context.Context, st Start) (Progress, error) {
	a, err := l.prepare(ctx, st)
	if err != nil {
		return Progress{}, err
	}
	limit := loginLimit
	if a.login.Kind == provider.LoginDevice {
		if err := l.beginDevice(ctx, a); err != nil {
			return Progress{}, err
		}
		limit = max(time.Until(a.device.Expires), time.Second)
	} else if err := l.beginBrowser(a, st.Mode); err != nil {
		return Progress{}, err
	}
	a.p.Started, a.p.Expires = time.Now(), time.Now().Add(limit)
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	run, stop := context.WithTimeout(run, limit)
	a.cancel = cancel
	if err := l.admit(a.session); err != nil {
		stop()
		cancel(nil)
		l.hub.leave(a.session, a.port)
		return Progress{}, err
	}
	p, _ := a.snapshot()
	l.jobs.Go(func() { // ends at the latest with its time limit, or with Close
		defer cancel(nil)
		defer stop()
		defer l.hub.leave(a.session, a.port)
		l.run(run, a)
	})
	return p, nil
}

// prepare finds the driver and the login and makes the environment of a sign-in.
func (l *Logins) prepare(ctx context.Context, st Start) (*attempt, error) {
	a := &attempt{start: st, notes: &notes{m: map[string]string{}}}
	if st.Account != "" {
		known, err := l.needs.Account(ctx, st.Account)
		if err != nil {
			return nil, err
		}
		if st.Provider != "" && st.Provider != known.Provider {
			return nil, apierror.Invalid("account", "the account %s belongs to %s, not to %s", known.Label, known.Provider, st.Provider)
		}
		a.known, a.start.Provider, a.start.Login = known, known.Provider, cmp.Or(st.Login, known.Login)
		maps.Copy(a.notes.m, known.Notes)
	}
	d, shared, err := l.needs.Driver(a.start.Provider)
	if err != nil {
		return nil, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", a.start.Provider)
	}
	login, err := pick(d.Info(), a.start.Login, st.Mode)
	if err != nil {
		return nil, err
	}
	fields, err := answers(login, st.Fields, a.known.Settings)
	if err != nil {
		return nil, err
	}
	a.driver, a.start.Fields = d, fields
	login = login.At(shared[provider.SettingLoginURL])
	settings := map[string]string{}
	maps.Copy(settings, shared)
	maps.Copy(settings, a.known.Settings)
	maps.Copy(settings, fields)
	proxy := cmp.Or(st.Proxy.Reveal(), a.known.Proxy)
	a.env = provider.Env{
		Provider: a.start.Provider, AccountID: a.known.ID, Label: a.known.Label, Login: login.Key(), HTTP: l.needs.HTTP(a.start.Provider, proxy), Settings: settings,
		Log: l.needs.Log.With("provider", a.start.Provider),
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{}, apierror.New(apierror.AuthExpired, "the sign-in is not finished")
		},
		Note: a.notes.get, Remember: a.notes.set,
	}
	a.session = &session{
		login: login, came: make(chan offered, 1), changed: make(chan struct{}),
		p:       Progress{ID: rand.Text()[:16], Provider: a.start.Provider, Login: login.Key(), Kind: login.Kind, State: Waiting},
		publish: func(id string) { l.needs.Bus.Publish(events.Login, id, nil) },
	}
	return a, nil
}

// pick finds a login by its id or by what suits the mode.
func pick(info provider.Info, id, mode string) (provider.Login, error) {
	var can []string
	for _, l := range info.Logins {
		if l.Kind != provider.LoginBrowser && l.Kind != provider.LoginDevice {
			continue
		}
		can = append(can, l.Key())
		fits := mode == ModeAny || (mode == ModeDevice) == (l.Kind == provider.LoginDevice)
		if (id == "" || id == l.Key()) && fits {
			return l, nil
		}
	}
	switch {
	case len(can) == 0:
		return provider.Login{}, apierror.Invalid("provider", "%s has no sign-in; add an account by its key: patchbay accounts add %s", info.Name, info.ID)
	case id != "":
		return provider.Login{}, apierror.Invalid("login", "%s has no such sign-in, or not this way; it has: %s", info.Name, strings.Join(can, ", "))
	case mode == ModeDevice:
		return provider.Login{}, apierror.Invalid("mode", "%s offers no sign-in by a device code; for a browser on another machine use pasting", info.Name)
	default:
		return provider.Login{}, apierror.Invalid("mode", "%s offers sign-in by a device code only", info.Name)
	}
}

// answers completes what the login asks for from an account's settings and from defaults.
func answers(login provider.Login, given, settings map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for k := range given {
		if !slices.ContainsFunc(login.Fields, func(f provider.Field) bool { return f.Key == k }) {
			return nil, apierror.Invalid("fields."+k, "this sign-in does not ask for %q", k)
		}
	}
	for _, f := range login.Fields {
		v := cmp.Or(strings.TrimSpace(given[f.Key]), settings[f.Key], f.Default)
		switch {
		case v == "" && f.Required:
			return nil, apierror.Invalid("fields."+f.Key, "this sign-in needs: %s", f.Label)
		case v != "" && len(f.Options) > 0 && !slices.Contains(f.Options, v):
			return nil, apierror.Invalid("fields."+f.Key, "%s must be one of: %s", f.Label, strings.Join(f.Options, ", "))
		case v != "":
			out[f.Key] = v
		}
	}
	return out, nil
}

// beginBrowser opens the door that the browser comes back by and makes the address of the sign-in page.
func (l *Logins) beginBrowser(a *attempt, mode string) error {
	login := a.login
	a.state = oauth2.GenerateVerifier() // 32 random bytes as well
	hosted := mode == ModePaste && login.PasteURL != ""
	if login.PKCE || hosted { // a bare code that is pasted has no state: the verifier binds it to this sign-in
		a.verifier = oauth2.GenerateVerifier()
	}
	a.p.Paste = true
	if mode == ModePaste {
		a.p.Kind = ModePaste
	}
	var busy []taken
	if hosted {
		a.redirect, a.p.PasteHint = login.PasteURL, "Sign in; the last page shows a code. Copy it and paste it here."
	} else {
		a.port, busy = l.hub.open(a.session, login)
		a.redirect = redirectOf(login, a.port)
		a.p.PasteHint = "If the browser runs on another machine, or shows an error page at the end: copy the whole address of that page and paste it here."
	}
	a.p.Note, a.p.NoReturn = noteOf(busy, a.port), !hosted && a.port == 0
	req := provider.AuthRequest{
		Redirect: a.redirect, State: a.state, Fields: a.start.Fields, Hint: a.known.Email,
		Again: a.known.ID == "" && l.needs.HasAccounts != nil && l.needs.HasAccounts(a.start.Provider),
	}
	if a.verifier != "" {
		req.Challenge = oauth2.S256ChallengeFromVerifier(a.verifier)
	}
	url := ""
	if u, ok := a.driver.(provider.URLAuthenticator); ok {
		var err error
		if url, err = u.AuthURL(a.env, login, req); err != nil {
			l.hub.leave(a.session, a.port)
			return err
		}
	}
	a.p.URL = cmp.Or(url, AuthURL(login, req))
	return nil
}

// redirectOf is what the sign-in page is told. Without an open port it names the first registered one: the address cannot be
// reached, but it can be pasted.
func redirectOf(login provider.Login, port int) string {
	if port == 0 && len(login.CallbackPorts) > 0 {
		port = login.CallbackPorts[0]
	}
	host := cmp.Or(login.CallbackHost, "127.0.0.1")
	out := "http://" + host
	if port != 0 {
		out = "http://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	if login.BareRedirect || strings.Trim(login.CallbackPath, "/") == "" {
		return out
	}
	return out + "/" + strings.TrimPrefix(login.CallbackPath, "/")
}

// noteOf tells about ports that are taken.
func noteOf(busy []taken, port int) string {
	if len(busy) == 0 {
		return ""
	}
	var parts []string
	for _, t := range busy {
		parts = append(parts, t.String())
	}
	text := strings.ToUpper(parts[0][:1]) + parts[0][1:]
	if len(parts) > 1 {
		text += ", " + strings.Join(parts[1:], ", ")
	}
	if port != 0 {
		return text + "; the browser comes back by port " + strconv.Itoa(port) + " instead."
	}
	return text + ". The service allows no other port, so the browser cannot come back by itself: sign in all the same, and paste the address " +
		"of the page that it ends on. Or end that program and start again."
}

// beginDevice asks for a device code.
func (l *Logins) beginDevice(ctx context.Context, a *attempt) error {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	d, err := beginDevice(ctx, a.driver, a.env, a.login, a.start.Fields)
	if err != nil {
		return explained(err)
	}
	a.device = d
	a.p.URL, a.p.UserCode, a.p.VerifyURL = cmp.Or(d.Complete, d.URL), d.UserCode, d.URL
	return nil
}

func beginDevice(ctx context.Context, d provider.Driver, env provider.Env, login provider.Login, fields map[string]string) (*provider.Device, error) {
	if login.DeviceURL != "" {
		return BeginDevice(ctx, env, login)
	}
	da, ok := d.(provider.DeviceAuthenticator)
	if !ok {
		return nil, apierror.New(apierror.Unsupported, "the driver of this provider cannot sign in by a device code")
	}
	return da.BeginDevice(ctx, env, login, fields)
}

// explained keeps an error's text and takes its kind away where that means something about an account that does not exist yet.
func explained(err error) error {
	e := *apierror.From(err)
	if e.Kind == apierror.AuthExpired || e.Kind == apierror.AccountBlocked {
		e.Kind = apierror.Unsupported
	}
	return &e
}

// admit takes a session in, if there is room, and forgets ended ones.
func (l *Logins) admit(s *session) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return apierror.New(apierror.Shutdown, "Patchbay is stopping")
	}
	live := 0
	var ended []*session
	for id, o := range l.sessions {
		o.mu.Lock()
		over, at := o.p.State.Final(), o.ended
		o.mu.Unlock()
		switch {
		case !over:
			live++
		case time.Since(at) > keepEnded:
			delete(l.sessions, id)
		default:
			ended = append(ended, o)
		}
	}
	if live >= mostLive {
		return apierror.New(apierror.InvalidRequest, "%d sign-ins are under way; finish or cancel one first", live)
	}
	if len(ended) > mostEnded {
		slices.SortFunc(ended, func(a, b *session) int { return a.ended.Compare(b.ended) })
		for _, o := range ended[:len(ended)-mostEnded] {
			delete(l.sessions, o.p.ID)
		}
	}
	l.sessions[s.p.ID] = s
	l.needs.Bus.Publish(events.Login, s.p.ID, nil)
	return nil
}

func (l *Logins) session(id string) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sessions[id]; s != nil {
		return s, nil
	}
	return nil, apierror.New(apierror.RouteNotFound, "there is no such sign-in; it may be over: start it again")
}

// List returns the sign-ins of the last minutes, latest first.
func (l *Logins) List() []Progress {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.sessions))
	l.mu.Unlock()
	out := make([]Progress, len(all))
	for i, s := range all {
		out[i], _ = s.snapshot()
	}
	slices.SortFunc(out, func(a, b Progress) int { return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Watch returns a sign-in as soon as it is further than seq, or as it is when ctx ends.
func (l *Logins) Watch(ctx context.Context, id string, seq int) (Progress, error) {
	s, err := l.session(id)
	if err != nil {
		return Progress{}, err
	}
	for {
		p, changed := s.snapshot()
		if p.Seq > seq || p.State.Final() {
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p, nil
		}
	}
}

// Paste gives a sign-in what a person copied: a code, "code#state", or the address that the browser ended on. A mistake is
// told, and the sign-in goes on.
func (l *Logins) Paste(id string, text secret.Value) (Progress, error) {
	s, err := l.session(id)
	if err != nil {
		return Progress{}, err
	}
	if s.state == "" {
		return Progress{}, apierror.Invalid("text", "this sign-in takes nothing to paste: type the code that it shows on the service's page")
	}
	q, path, err := readPaste(text.Reveal())
	if err != nil {
		return Progress{}, err
	}
	if st := q.Get("state"); st != "" && st != s.state {
		return Progress{}, apierror.Invalid("text", "this belongs to another sign-in: open the address that this one shows, and paste what that ends on")
	}
	if err := s.offer(offered{query: q, path: path, pasted: true}); err != nil {
		return Progress{}, apierror.Invalid("text", "this sign-in has its answer already; if it failed, start a new one")
	}
	p, _ := s.snapshot()
	return p, nil
}

// Cancel ends a sign-in that waits for the person. One that came back is saved all the same, for its code is spent; one that
// is over stays as it is.
func (l *Logins) Cancel(id string) error {
	s, err := l.session(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.State == Waiting {
		s.cancel(errCanceled)
	}
	return nil
}

// Close ends all sign-ins and waits for them.
func (l *Logins) Close() {
	l.mu.Lock()
	l.closed = true
	for _, s := range l.sessions {
		s.cancel(errClosing)
	}
	l.mu.Unlock()
	l.jobs.Wait()
	l.hub.closed.Wait()
}

// notes are what a driver remembers before there is an account.
type notes struct {
	mu sync.Mutex // guards m
	m  map[string]string
}

func (n *notes) get(key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.m[key]
}

func (n *notes) set(key, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.m[key] = value
}

func (n *notes) all() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.m)
}
