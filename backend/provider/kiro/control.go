package kiro

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
)

// An operation of the control plane can be said in three ways; which of them a host understands has changed over 2026.
type operation struct {
	rest   string // path on the management host
	target string // AWS-JSON 1.0 on the same host
	old    string // path on the q host
	post   bool
	query  url.Values
	body   map[string]any // of a POST, without the profile
}

// ways to say an operation.
const (
	controlREST = "rest"
	controlJSON = "json"
	controlOld  = "q"
)

// maxPages bounds a list that never ends.
const maxPages = 10

// fetch asks the control plane in the way that worked last, then in the others.
func (u *upstream) fetch(ctx context.Context, c provider.Credential, l login, region string, op operation) ([]byte, error) {
	ways := []string{controlREST, controlJSON, controlOld}
	if u.env.Note != nil {
		if i := slices.Index(ways, u.env.Note(noteControl)); i > 0 {
			ways[0], ways[i] = ways[i], ways[0]
		}
	}
	var first error
	for _, way := range ways {
		call, err := u.controlCall(c, l, region, op, way)
		if err != nil {
			return nil, u.fill(err)
		}
		body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, parseError)
		if err == nil {
			u.remember(noteControl, way)
			return body, nil
		}
		if first == nil {
			first = err
		}
		if !otherWay(ctx, apierror.From(err)) {
			return nil, err
		}
	}
	return nil, first
}

func (u *upstream) controlCall(c provider.Credential, l login, region string, op operation, way string) (transport.Call, error) {
	host, path := u.hosts.management, op.rest
	if way == controlOld {
		host, path = u.hosts.q, op.old
	}
	arn := l.arn
	if l.kind == kindBuilder && arn == "" && way != controlOld {
		arn = builderARN
	}
	if l.kind == kindKey || op.target == "ListAvailableProfiles" {
		arn = ""
	}
	query := url.Values{}
	for k, v := range op.query {
		query[k] = v
	}
	if arn != "" {
		query.Set("profileArn", arn)
	}
	if op.post || way == controlJSON {
		return u.controlPost(c, l, in(host, region), path, op, way, query)
	}
	address := in(host, region) + path
	if q := query.Encode(); q != "" {
		address += "?" + q
	}
	return u.control(c, l, address), nil
}

func (u *upstream) controlPost(c provider.Credential, l login, host, path string, op operation, way string, query url.Values) (transport.Call, error) {
	call := u.control(c, l, host+path)
	call.Method = http.MethodPost
	call.Header.Set("Content-Type", typeREST)
	body := map[string]any{}
	for k, v := range op.body {
		body[k] = v
	}
	if way == controlJSON {
		call.URL = host + "/"
		call.Header.Set("Content-Type", typeJSON10)
		call.Header.Set("X-Amz-Target", targetControl+op.target)
		for k := range query {
			body[k] = query.Get(k)
		}
	}
	b, err := wire.Marshal(body)
	call.Body = b
	return call, err
}

// Models lists what this account may use.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			f, known := factOf(modelID(n).id)
			if out[i] = f.model(); !known {
				out[i] = canon.Model{}
			}
			out[i].ID = n
		}
		return out, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	c, l, err := u.token(ctx)
	if err != nil {
		return nil, err
	}
	if e := l.needsProfile(); e != nil {
		return nil, u.fill(e)
	}
	list, err := u.listModels(ctx, c, l)
	if err != nil {
		if transport.Missing(err) { // a host without a list is no fault of the account
			return nil, nil
		}
		return nil, err
	}
	out := make([]canon.Model, len(list))
	known := make(map[string]fields, len(list))
	for i := range list {
		out[i] = list[i].model()
		known[list[i].ID] = list[i].fields()
	}
	u.mu.Lock()
	u.models = known
	u.mu.Unlock()
	return out, nil
}

func (u *upstream) listModels(ctx context.Context, c provider.Credential, l login) ([]listed, error) {
	op := operation{rest: "/List-Available-Models", target: "ListAvailableModels", old: "/ListAvailableModels",
		query: url.Values{"origin": {originIDE}, "maxResults": {"50"}}}
	if l.kind == kindKey {
		op.query.Set("origin", originCLI)
	}
	var all []listed
	for range maxPages {
		body, err := u.fetch(ctx, c, l, l.apiRegion(u.env.Settings[settingRegion]), op)
		if err != nil {
			return nil, err
		}
		page, next, err := parseModels(body)
		if err != nil {
			return nil, u.fill(err)
		}
		all = append(all, page...)
		if next == "" {
			break
		}
		op.query.Set("nextToken", next)
	}
	return all, nil
}

// Test asks for the models: a blocked account still gets its usage, but not those.
func (u *upstream) Test(ctx context.Context) (provider.Tested, error) {
	list, err := u.Models(ctx)
	if err != nil {
		return provider.Tested{}, err
	}
	return provider.Tested{Models: len(list)}, nil
}

// profile is one of those that an organisation has given to a person.
type profile struct {
	ARN  string `json:"arn"`
	Name string `json:"profileName"`
}

// profiles asks for the profiles of an organisation's account in both regions, the likelier one first. A refusal or an empty
// list in one region is normal.
func (u *upstream) profiles(ctx context.Context, c provider.Credential, l login) ([]profile, error) {
	op := operation{rest: "/List-Available-Profiles", target: "ListAvailableProfiles", old: "/ListAvailableProfiles",
		post: true, body: map[string]any{"maxResults": 10}}
	regions := []string{nearest(l.region), regionUS, regionEU}
	var all []profile
	var failed error
	seen := map[string]bool{}
	for _, region := range regions {
		if seen[region] {
			continue
		}
		seen[region] = true
		body, err := u.fetch(ctx, c, l, region, op)
		if err != nil {
			switch apierror.KindOf(err) {
			case apierror.Transport, apierror.Timeout, apierror.Upstream5xx, apierror.Overloaded, apierror.RateLimited, apierror.Canceled, apierror.AccountBlocked:
				failed = err
			}
			continue
		}
		var in struct {
			Profiles []jsontext.Value `json:"profiles"`
		}
		if wire.ReadValue(body, "", &in) != nil {
			failed = u.fill(apierror.New(apierror.Upstream5xx, "the service sent no list of profiles"))
			continue
		}
		for _, raw := range in.Profiles {
			var p profile
			if wire.ReadValue(raw, "", &p) == nil && validARN(p.ARN) && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	return all, failed
}

// choose gives a credential its profile: the wanted one, or the only one.
func choose(c provider.Credential, list []profile, wanted string) (provider.Credential, error) {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = strings.TrimSpace(p.ARN + " " + p.Name)
		if p.ARN == wanted {
			c.Extra[extraARN] = wanted
			return c, nil
		}
	}
	switch {
	case len(list) == 0:
		e := apierror.New(apierror.Unsupported, "this login has no Kiro profile: your administrator has to assign a Kiro subscription to your user")
		return c, e
	case wanted != "":
		return c, apierror.Invalid("fields."+settingProfile, "this login has no profile %s; it has: %s", wanted, strings.Join(names, "; "))
	case len(list) == 1:
		c.Extra[extraARN] = list[0].ARN
	default:
		c.Extra[extraProfiles] = strings.Join(names, "\n")
	}
	return c, nil
}

// Complete looks up what a token does not say: the profile of an organisation's account, and who signed in. Without a profile
// such an account is of no use; who signed in is good to know and no more.
func (d Driver) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	env.Token = func(context.Context) (provider.Credential, error) { return c, nil }
	up, err := d.Open(env)
	if err != nil {
		return c, err
	}
	u := up.(*upstream)
	if c.Extra == nil {
		c.Extra = map[string]string{}
	}
	l := loginOf(c, env.Settings)
	if (l.kind == kindIDC || l.kind == kindExternal) && c.Extra[extraARN] == "" {
		list, err := u.profiles(ctx, c, l)
		if err != nil && len(list) == 0 {
			return c, err
		}
		if c, err = choose(c, list, env.Settings[settingProfile]); err != nil {
			return c, err
		}
		l = loginOf(c, env.Settings)
	}
	if l.kind == kindIDC && l.arn != "" && c.Extra[provider.ExtraIdentity] == "" {
		c.Extra[provider.ExtraIdentity] = fmt.Sprintf("%s|%s", l.arn, l.start)
	}
	if l.needsProfile() != nil {
		return c, nil
	}
	if a, err := u.allowance(ctx); err == nil && a != nil {
		for k, v := range map[string]string{provider.ExtraIdentity: a.user, provider.ExtraEmail: a.email, provider.ExtraPlan: a.plan} {
			c.Extra[k] = cmp.Or(v, c.Extra[k])
		}
	}
	return c, nil
}
