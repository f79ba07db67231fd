// Package codeassist is the driver for Google's Code Assist service (cloudcode-pa), by the logins of Gemini CLI and of
// Antigravity. The two share the envelope, the set-up of a project and the grammar of errors; what differs stands in their
// profiles. The wire format inside the envelope is in backend/wire/gemini.
package codeassist

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/gemini"
)

// Driver serves one of the two. The zero value is Gemini CLI.
type Driver struct {
	p     *profile
	idle  time.Duration // instead of the usual limit of silence, for tests
	hosts []string      // instead of the profile's, for tests
}

var (
	_ provider.Driver    = Driver{}
	_ provider.Completer = Driver{}
)

// GeminiCLI is the driver of the login of Google's Gemini CLI.
func GeminiCLI() Driver { return Driver{p: &geminiCLI} }

// Antigravity is the driver of the login of Google's Antigravity.
func Antigravity() Driver { return Driver{p: &antigravity} }

func (d Driver) profile() *profile {
	if d.p == nil {
		return &geminiCLI
	}
	return d.p
}

// profile is what differs between the two services.
type profile struct {
	info  provider.Info
	hosts []string
	agent func(settings map[string]string) string // User-Agent; "" = Patchbay's own

	setup    setupRules
	options  func(model string) gemini.Options
	envelope func(u *upstream, a *attempt, x *gemini.Exchange) ([]byte, error)
	forward  map[string]string // models that the service has under another name
	streams  bool              // answers are always asked for as streams
	group    func(model string) string
	refine   func(e *refusal) // what the service's errors mean, beyond what both have in common
	models   func(u *upstream) listing
	quota    quotaRules
	counts   func(model string) bool // the service counts tokens for this model
}

// Info describes the service.
func (d Driver) Info() provider.Info {
	info := d.profile().info
	if d.idle > 0 {
		info.Policy.Idle = d.idle
	}
	return info
}

// Open prepares the service for one account.
func (d Driver) Open(env provider.Env) (provider.Upstream, error) {
	u, err := d.open(env)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (d Driver) open(env provider.Env) (*upstream, error) {
	p, info := d.profile(), d.Info()
	env, err := env.Complete(info)
	if err != nil {
		return nil, err
	}
	hosts := p.hosts
	if len(d.hosts) > 0 {
		hosts = d.hosts
	}
	if raw := env.Settings[provider.SettingBaseURL]; raw != "" {
		base, err := transport.BaseURL(raw, version)
		if err != nil {
			return nil, err
		}
		hosts = []string{base}
	}
	if env.Note == nil {
		env.Note = func(string) string { return "" }
	}
	if env.Remember == nil {
		env.Remember = func(string, string) {}
	}
	return &upstream{
		p: p, env: env, hosts: hosts, idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, hosts[0]),
		turn: make(chan struct{}, 1), steps: map[string]int{},
	}, nil
}

// upstream is the service for one account.
type upstream struct {
	p     *profile
	env   provider.Env
	hosts []string
	idle  time.Duration

	turn chan struct{} // held while the project is looked for

	mu      sync.Mutex        // guards what follows
	steps   map[string]int    // quota refusals in a row without a time, by group
	forward map[string]string // models that the service has replaced by others
}

var (
	_ provider.Upstream      = (*upstream)(nil)
	_ provider.TokenCounter  = (*upstream)(nil)
	_ provider.QuotaReporter = (*upstream)(nil)
	_ provider.Tester        = (*upstream)(nil)
)

// headers are those of every call, without the account's token.
func (u *upstream) headers() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "*/*")
	if u.p.agent != nil {
		h.Set("User-Agent", u.p.agent(u.env.Settings))
	}
	return h
}

// call prepares a call of a method of the service, on the host of that number.
func (u *upstream) call(host int, method, token string, body []byte) transport.Call {
	c := transport.Call{
		URL: u.hosts[host] + version + method, Header: u.headers(), Body: body, Idle: u.idle, Provider: u.env.Provider, Account: u.env.AccountID,
	}
	if token != "" {
		c.Header.Set("Authorization", "Bearer "+token)
		c.Secrets = []string{token}
	}
	return c
}

var versionForm = regexp.MustCompile(`^\d{1,4}(\.\d{1,4}){1,3}$`)

func antigravityUserAgent(settings map[string]string) string {
	v := settings[settingVersion]
	if !versionForm.MatchString(v) {
		v = antigravityVersion
	}
	return fmt.Sprintf(antigravityAgent, v)
}

// modelOf is the service's own name of a model.
func (u *upstream) modelOf(model string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return cmp.Or(u.forward[model], u.p.forward[model], model)
}
