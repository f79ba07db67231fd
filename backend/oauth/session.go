package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// State says how far a sign-in is.
type State string

// The states. Those from Done on are final.
const (
	Waiting   State = "waiting"   // for the person: on the service's page
	Finishing State = "finishing" // the person is through; the token is being fetched
	Done      State = "done"
	Failed    State = "failed"
	Canceled  State = "canceled"
	Expired   State = "expired"
)

// Final reports that nothing more will happen.
func (s State) Final() bool { return s == Done || s == Failed || s == Canceled || s == Expired }

// Progress is a sign-in as people see it. It holds no secret: the address and the user code are good only together with what
// Patchbay keeps.
type Progress struct {
	ID, Provider string
	Login        string // id of the provider's login
	Kind         string // browser, paste or device
	State        State
	Seq          int // grows with every change
	// URL is the page to open; for a device login it has the code filled in where the service can do that.
	URL string
	// UserCode and VerifyURL are what a person needs on another machine for a device login.
	UserCode, VerifyURL string
	// Paste says that a code or an address may be pasted, and PasteHint what of.
	Paste     bool
	PasteHint string
	Note      string // what is good to know meanwhile, for example who holds a port
	NoReturn  bool   // every port that the browser may come back by is taken: what it ends on has to be pasted
	Text      string // how it ended, and what to do next
	// Outcome says the same for programs. Done: new, renewed, another (not the account that was to sign in again) or unusable;
	// Expired: timeout; otherwise canceled, denied (on the
	// service's page), not_allowed (this way in), or the kind of the error.
	Outcome string
	Started time.Time
	Expires time.Time
	// Account is the id of the account that came of it, Label its name.
	Account, Label string
}

// session is one sign-in under way.
type session struct {
	login  provider.Login
	state  string // of the sign-in page; "" for device logins
	cancel context.CancelCauseFunc
	came   chan offered // what the person brought, once

	mu      sync.Mutex // guards what follows
	p       Progress
	changed chan struct{} // closed and replaced with every change
	taken   bool          // an offer was taken: there will be no second one
	ended   time.Time
	publish func(id string)
}

// offered is what came back from a sign-in page.
type offered struct {
	query  url.Values
	path   string
	pasted bool
}

var (
	errUsed     = errors.New("the sign-in has its answer already")
	errCanceled = errors.New("canceled by the person")
	errClosing  = errors.New("stopping")
)

// takes reports whether the browser may come back to this path.
func (s *session) takes(path string) bool {
	same := func(p string) bool { return "/"+strings.Trim(p, "/") == "/"+strings.Trim(path, "/") }
	return same(s.login.CallbackPath) || slices.ContainsFunc(s.login.CallbackPaths, same)
}

// offer gives the session its answer, once.
func (s *session) offer(o offered) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken || s.p.State.Final() {
		return errUsed
	}
	s.taken = true
	s.came <- o // has room for one
	s.update(func(p *Progress) { p.State, p.Paste, p.Note = Finishing, false, "" })
	return nil
}

// update changes the progress and tells who watches. The caller holds the lock.
func (s *session) update(fn func(*Progress)) {
	fn(&s.p)
	s.p.Seq++
	close(s.changed)
	s.changed = make(chan struct{})
	s.publish(s.p.ID)
}

func (s *session) set(fn func(*Progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.update(fn)
}

func (s *session) note(text string) {
	s.set(func(p *Progress) { p.Note = text })
}

// end brings the session to its final state.
func (s *session) end(state State, text string, fn func(*Progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.State.Final() {
		return
	}
	s.ended = time.Now()
	s.update(func(p *Progress) {
		p.State, p.Text, p.URL, p.UserCode, p.VerifyURL, p.Paste, p.PasteHint, p.Note = state, text, "", "", "", false, "", ""
		if fn != nil {
			fn(p)
		}
	})
}

// snapshot returns the progress and a channel that is closed when it changes.
func (s *session) snapshot() (Progress, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p, s.changed
}

// outcomeLimit is how long a browser waits for the end of its sign-in.
const outcomeLimit = 40 * time.Second

// outcome waits for the end and returns the page that tells it.
func (s *session) outcome(ctx context.Context) page {
	limit := time.NewTimer(outcomeLimit)
	defer limit.Stop()
	for {
		p, changed := s.snapshot()
		switch p.State {
		case Done:
			return page{Title: "You are signed in", Text: p.Text, Good: true}
		case Waiting, Finishing:
		default:
			return page{Title: "The sign-in did not work", Text: p.Text}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return page{}
		case <-limit.C:
			return page{Title: "Almost there", Text: "The service is slow. Look at Patchbay: it says how it goes on.", Good: true}
		}
	}
}

// grant checks what came back and makes it ready for the exchange.
func (s *session) grant(o offered, redirect, verifier string, fields map[string]string) (provider.Grant, error) {
	if o.query.Get("error") != "" || o.query.Get("code") == "" {
		said := saidBy(o.query)
		text := "the service's page ended the sign-in: " + said
		if o.query.Get("error") == "access_denied" {
			text = "the sign-in was refused on the service's page: " + said + ". Start it again and allow the access"
		} else if said == "" {
			text = "the service's page gave no code: start the sign-in again"
		}
		err := apierror.New(apierror.AuthExpired, "%s", text)
		err.Upstream.Code = o.query.Get("error")
		return provider.Grant{}, err
	}
	rest := url.Values{}
	for k, v := range o.query {
		if k != "code" && k != "state" {
			rest[k] = v
		}
	}
	return provider.Grant{
		Login: s.login, Code: secret.New(o.query.Get("code")), Redirect: redirect, RedirectPath: o.path,
		Verifier: secret.New(verifier), Fields: fields, Query: rest,
	}, nil
}
