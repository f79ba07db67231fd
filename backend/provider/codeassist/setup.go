package codeassist

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// setupRules are how an account's project is found.
type setupRules struct {
	metadata    map[string]string // of loadCodeAssist and onboardUser
	userProject bool              // a project of the person's own may be named
	tiers       []string          // what to ask for where the service offers nothing, in order
	repost      bool              // an operation is followed by repeating its call, not by asking for it
	pause       time.Duration     // between two looks at an operation
	looks       int
	header      func(http.Header) // of onboardUser
	instead     string            // where people go whom the service no longer serves
}

// Notes of an account.
const (
	noteProject = "project"
	noteTier    = "tier"
	noteLooked  = "looked" // when, Unix seconds
)

// lookAgain is how old a project may be before it is looked for again: tiers and licences change.
const lookAgain = 24 * time.Hour

type tierJSON struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Default     bool   `json:"isDefault"`
	UserProject bool   `json:"userDefinedCloudaicompanionProject"`
}

// tier is one that may also be a bare id.
type tier struct{ tierJSON }

func (t *tier) UnmarshalJSON(b []byte) error {
	if v := jsontext.Value(b); v.Kind() == '"' {
		return json.Unmarshal(b, &t.ID)
	}
	return json.Unmarshal(b, &t.tierJSON, wire.Lenient)
}

// project is a project's id, or an object with it.
type project string

func (p *project) UnmarshalJSON(b []byte) error {
	if v := jsontext.Value(b); v.Kind() == '"' {
		return json.Unmarshal(b, (*string)(p))
	}
	var o struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(b, &o, wire.Lenient)
	*p = project(o.ID)
	return err
}

type loadJSON struct {
	Current    *tier        `json:"currentTier"`
	Paid       *tier        `json:"paidTier"`
	Allowed    []tier       `json:"allowedTiers"`
	Project    project      `json:"cloudaicompanionProject"`
	Ineligible []ineligible `json:"ineligibleTiers"`
}

type ineligible struct {
	Code string `json:"reasonCode"`
	Text string `json:"reasonMessage"`
	Tier string `json:"tierId"`
	URL  string `json:"validationUrl"`
	Why  string `json:"validationErrorMessage"`
}

type operationJSON struct {
	Name     string `json:"name"`
	Done     bool   `json:"done"`
	Response struct {
		Project project `json:"cloudaicompanionProject"`
	} `json:"response"`
	Error jsontext.Value `json:"error"`
}

// found is what the set-up of an account gave.
type found struct{ project, tier, plan string }

// Complete finds out who signed in and sets the account up, so that a sign-in that worked means an account that works.
func (d Driver) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	env.Token = func(context.Context) (provider.Credential, error) { return c, nil }
	u, err := d.open(env)
	if err != nil {
		return c, err
	}
	if c.Extra == nil {
		c.Extra = map[string]string{}
	}
	if c.Extra[provider.ExtraEmail] == "" || c.Extra[provider.ExtraIdentity] == "" {
		if err := u.who(ctx, c); err != nil {
			return c, err
		}
	}
	got, err := u.setUp(ctx, c.Access.Reveal())
	if err != nil {
		return c, err
	}
	if got.plan != "" {
		c.Extra[provider.ExtraPlan] = got.plan
	}
	u.keep(got)
	return c, nil
}

// who asks for the person behind a token that says nothing about it.
func (u *upstream) who(ctx context.Context, c provider.Credential) error {
	token := c.Access.Reveal()
	call := u.call(0, "", token, nil)
	call.URL = provider.At(userInfoURL, u.env.Settings[provider.SettingLoginURL])
	call.Header.Del("Content-Type")
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxErrorBody, gemini.ParseError)
	if err != nil {
		return err
	}
	var in struct {
		ID    string `json:"id"`
		Email string `json:"email"`
	}
	if err := json.Unmarshal(body, &in, wire.Lenient); err != nil || in.ID == "" && in.Email == "" {
		return call.Fill(unreadable("who signed in", err))
	}
	c.Extra[provider.ExtraEmail] = cmp.Or(c.Extra[provider.ExtraEmail], in.Email)
	if in.ID != "" { // as an ID token says it
		c.Extra[provider.ExtraIdentity] = cmp.Or(c.Extra[provider.ExtraIdentity], issuer+"|"+in.ID)
	}
	return nil
}

func unreadable(what string, err error) *apierror.Error {
	e := apierror.New(apierror.Upstream5xx, "the service told %s in a form that cannot be read; try again", what)
	e.Err = err
	return e
}

func (u *upstream) keep(f found) {
	u.env.Remember(noteProject, f.project)
	u.env.Remember(noteTier, f.tier)
	u.env.Remember(noteLooked, strconv.FormatInt(time.Now().Unix(), 10))
}

// project returns the account's project, and looks for it where that is needed: once, whoever asks.
func (u *upstream) project(ctx context.Context, token string) (string, error) {
	if p, fresh := u.known(); p != "" && fresh {
		return p, nil
	}
	return u.findProject(ctx, token, "")
}

func (u *upstream) known() (id string, fresh bool) {
	at, _ := strconv.ParseInt(u.env.Note(noteLooked), 10, 64)
	return u.env.Note(noteProject), time.Since(time.Unix(at, 0)) < lookAgain
}

// findProject sets the account up anew. not is a project that the service just refused: another one that somebody found meanwhile
// is taken.
func (u *upstream) findProject(ctx context.Context, token, not string) (string, error) {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return "", transport.Failure(ctx, ctx.Err(), "")
	}
	old, fresh := u.known()
	if old != "" && fresh && old != not {
		return old, nil
	}
	got, err := u.setUp(ctx, token)
	if err != nil {
		if k := apierror.KindOf(err); old != "" && not == "" && k != apierror.AccountBlocked && k != apierror.AuthExpired {
			u.env.Log.Info("Looking for the project again failed; the known one is used", "err", err)
			return old, nil
		}
		return "", err
	}
	u.keep(got)
	return got.project, nil
}

// setUp asks the service what it has for this account, and takes it.
func (u *upstream) setUp(ctx context.Context, token string) (found, error) {
	r := &u.p.setup
	own := ""
	if r.userProject {
		own = strings.TrimSpace(u.env.Settings[settingProject])
	}
	if own != "" && strings.Trim(own, "0123456789") == "" {
		e := chooseProject("%q is the number of a Google Cloud project; its ID is needed, which has letters in it", own)
		return found{}, e
	}
	load, err := u.load(ctx, token, own)
	if err != nil {
		return found{}, err
	}
	f := found{tier: load.tierID(), plan: load.plan(), project: cmp.Or(string(load.Project), own)}
	has := load.tierID() != ""
	switch {
	case has && f.project != "", !r.userProject && load.Project != "" && len(load.Ineligible) == 0:
		return f, nil
	case has && r.userProject:
		return f, load.refused(r, chooseProject("your licence needs a Google Cloud project of your own or of your organisation"))
	case !has && load.mustVerify(), !has && len(load.Ineligible) > 0 && !load.offered():
		return f, load.refused(r, nil)
	}
	return u.onboard(ctx, token, own, load, f)
}

// mustVerify reports whether the service waits for the person to verify the account.
func (l *loadJSON) mustVerify() bool {
	return slices.ContainsFunc(l.Ineligible, func(t ineligible) bool { return t.Code == reasonValidation && t.URL != "" })
}

func (l *loadJSON) tierID() string {
	if l.Current != nil {
		return l.Current.ID
	}
	return ""
}

// plan is what the tier is called: the paid one, if there is one.
func (l *loadJSON) plan() string {
	for _, t := range []*tier{l.Paid, l.Current} {
		if t != nil && t.ID+t.Name != "" {
			return cmp.Or(t.Name, t.ID)
		}
	}
	return ""
}

// offered reports whether the service offers a tier to take.
func (l *loadJSON) offered() bool {
	for _, t := range l.Allowed {
		if t.Default && t.ID != "" {
			return true
		}
	}
	return false
}

// refused says why an account cannot be used: what the service says, else otherwise.
func (l *loadJSON) refused(r *setupRules, otherwise *apierror.Error) error {
	for _, t := range l.Ineligible {
		if t.Code == reasonValidation {
			return verify(cmp.Or(t.Why, t.Text), t.URL)
		}
	}
	if otherwise != nil && len(l.Ineligible) == 0 {
		return otherwise
	}
	said := ""
	for _, t := range l.Ineligible {
		if t.Code == "UNSUPPORTED_CLIENT" {
			return apierror.New(apierror.AccountBlocked, "Google no longer serves this login for this account. %s", r.instead)
		}
		said = cmp.Or(said, t.Text, t.Code)
	}
	if said == "" && otherwise != nil {
		return otherwise
	}
	said = strings.TrimSuffix(cmp.Or(said, "no reason was given"), ".")
	return apierror.New(apierror.AccountBlocked, "Google does not offer this service to this account: %s", said)
}

// verify asks a person to prove who they are.
func verify(said, link string) *apierror.Error {
	e := apierror.New(apierror.AccountBlocked, "%s", cmp.Or(said, "Verify your account to continue."))
	e.Action, e.Link = "open the page in a browser that is signed in to this account and verify it", link
	return e
}

// chooseProject asks a person for a project.
func chooseProject(format string, args ...any) *apierror.Error {
	e := apierror.New(apierror.AccountBlocked, format, args...)
	e.Action = "sign in again and enter the ID of a project in which the API cloudaicompanion.googleapis.com is enabled"
	e.Link = "https://console.cloud.google.com/apis/library/cloudaicompanion.googleapis.com"
	return e
}

// setupLimit bounds one call of the set-up.
const setupLimit = 30 * time.Second

// ask makes a call of the set-up. The hosts are tried in turn while the line or the service fails.
func (u *upstream) ask(ctx context.Context, token, method string, body []byte, more func(http.Header)) ([]byte, error) {
	var last error
	for host := range u.hosts {
		call := u.call(host, method, token, body)
		if more != nil {
			more(call.Header)
		}
		limited, cancel := context.WithTimeoutCause(ctx, setupLimit, transport.LimitError("set-up call", setupLimit))
		out, err := transport.Fetch(limited, u.env.HTTP, call, transport.MaxErrorBody, u.parse(""))
		cancel()
		if err == nil {
			return out, nil
		}
		last = err
		switch apierror.KindOf(err) {
		case apierror.Transport, apierror.Upstream5xx, apierror.Overloaded, apierror.Timeout:
		default:
			return nil, err
		}
	}
	return nil, last
}

func (u *upstream) metadata(own string) map[string]string {
	m := map[string]string{}
	for k, v := range u.p.setup.metadata {
		m[k] = v
	}
	if own != "" {
		m["duetProject"] = own
	}
	return m
}

func (u *upstream) load(ctx context.Context, token, own string) (*loadJSON, error) {
	body := map[string]any{"metadata": u.metadata(own)}
	if own != "" {
		body["cloudaicompanionProject"] = own
	}
	var out loadJSON
	raw, err := u.ask(ctx, token, ":loadCodeAssist", encode(body), nil)
	if e := apierror.From(err); e != nil {
		if e.Upstream.Code == reasonPolicy { // a service perimeter hides this call from its own members
			return &loadJSON{Current: &tier{tierJSON{ID: "standard-tier", UserProject: true}}}, nil
		}
		return nil, e
	}
	if err := json.Unmarshal(raw, &out, wire.Lenient); err != nil {
		return nil, unreadable("what this account has", err)
	}
	return &out, nil
}

// onboard takes the tier that is offered and waits for the project that is made for it.
func (u *upstream) onboard(ctx context.Context, token, own string, load *loadJSON, f found) (found, error) {
	r := &u.p.setup
	f.tier = ""
	for _, t := range load.Allowed {
		if t.Default {
			f.tier, f.plan = t.ID, cmp.Or(f.plan, t.Name)
		}
	}
	f.tier = cmp.Or(f.tier, load.tierID(), r.tiers[0])
	if f.tier == "free-tier" { // with a project it is a failed precondition
		own = ""
	}
	body := map[string]any{"tierId": f.tier, "metadata": u.metadata(own)}
	if own != "" {
		body["cloudaicompanionProject"] = own
	}
	var op operationJSON
	for n := 0; ; n++ {
		var raw []byte
		var err error
		if n == 0 || r.repost || op.Name == "" {
			raw, err = u.ask(ctx, token, ":onboardUser", encode(body), r.header)
		} else {
			raw, err = u.ask(ctx, token, "/"+op.Name, nil, func(h http.Header) { h.Del("Content-Type") })
		}
		if err != nil {
			return f, err
		}
		op = operationJSON{Name: op.Name}
		if err := json.Unmarshal(raw, &op, wire.Lenient); err != nil {
			return f, unreadable("how far the set-up of this account is", err)
		}
		if len(op.Error) > 0 && op.Error.Kind() == '{' {
			return f, u.parse("")(http.StatusOK, nil, raw)
		}
		if op.Done {
			break
		}
		if n+1 >= r.looks {
			return f, apierror.New(apierror.Timeout, "Google is still setting this account up; sign in again in some minutes")
		}
		if !pause(ctx, r.pause) {
			return f, transport.Failure(ctx, ctx.Err(), "")
		}
	}
	if f.project = cmp.Or(string(op.Response.Project), own); f.project == "" {
		return f, load.refused(r, chooseProject("Google made no project for this account"))
	}
	return f, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil // only maps of valid texts come here
	}
	return b
}

// token returns the account's access token.
func (u *upstream) token(ctx context.Context) (string, error) {
	if u.env.Token == nil {
		return "", apierror.New(apierror.AuthExpired, "this account has no login")
	}
	c, err := u.env.Token(ctx)
	if err != nil {
		return "", err
	}
	return c.Access.Reveal(), nil
}
