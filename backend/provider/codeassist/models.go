package codeassist

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// listing is how a service tells what it has.
type listing struct {
	method string
	read   func(u *upstream, body []byte) ([]canon.Model, error)
	bare   bool // a call that is refused with the project is made without it
}

// Models lists what this account may use. A person's own list comes first.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			out[i] = gemini.KnownModel(n)
		}
		return out, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	l := u.p.models(u)
	body, err := u.free(ctx, l.method, l.bare)
	if err != nil {
		return nil, err
	}
	list, err := l.read(u, body)
	if err != nil {
		return nil, u.call(0, "", "", nil).Fill(err)
	}
	return list, nil
}

// free makes a call that costs nothing and wants the project alone.
func (u *upstream) free(ctx context.Context, method string, bare bool) ([]byte, error) {
	call := u.call(0, method, "", nil)
	token, err := u.token(ctx)
	if err != nil {
		return nil, call.Fill(err)
	}
	id, err := u.project(ctx, token)
	if err != nil {
		return nil, call.Fill(err)
	}
	body, err := u.fetch(ctx, method, token, encode(map[string]string{"project": id}))
	if e := apierror.From(err); bare && e != nil && e.Upstream.Status == 403 && e.Upstream.Code != reasonValidation && e.RetryAfter > 0 {
		return u.fetch(ctx, method, token, []byte("{}"))
	}
	return body, err
}

func (u *upstream) fetch(ctx context.Context, method, token string, body []byte) ([]byte, error) {
	return transport.Fetch(ctx, u.env.HTTP, u.call(0, method, token, body), transport.MaxList, u.parse(""))
}

// quotaBucket is an entry of retrieveUserQuota.
type quotaBucket struct {
	Model    string   `json:"modelId"`
	Kind     string   `json:"tokenType"`
	Amount   string   `json:"remainingAmount"`
	Fraction *float64 `json:"remainingFraction"`
	Reset    string   `json:"resetTime"`
}

func readBuckets(body []byte) ([]quotaBucket, error) {
	var in struct {
		Buckets []quotaBucket `json:"buckets"`
	}
	if err := json.Unmarshal(body, &in, wire.Lenient); err != nil {
		return nil, unreadable("this account's quota", err)
	}
	return in.Buckets, nil
}

// quotaModels are the models that an account has a quota for: the service has no other list for this client.
func quotaModels(_ *upstream, body []byte) ([]canon.Model, error) {
	buckets, err := readBuckets(body)
	if err != nil {
		return nil, err
	}
	var out []canon.Model
	for _, b := range buckets {
		if b.Model == "" || slices.ContainsFunc(out, func(m canon.Model) bool { return m.ID == b.Model }) {
			continue
		}
		out = append(out, gemini.KnownModel(b.Model))
	}
	return out, nil
}

// availableJSON is the answer of fetchAvailableModels.
type availableJSON struct {
	Models map[string]struct {
		Name      string `json:"displayName"`
		Internal  bool   `json:"isInternal"`
		Disabled  bool   `json:"disabled"`
		Images    *bool  `json:"supportsImages"`
		Thinks    *bool  `json:"supportsThinking"`
		Context   int64  `json:"maxTokens"`
		Output    int64  `json:"maxOutputTokens"`
		MinBudget int64  `json:"minThinkingBudget"`
	} `json:"models"`
	Sorts []struct {
		Groups []struct {
			IDs []string `json:"modelIds"`
		} `json:"groups"`
	} `json:"agentModelSorts"`
	Replaced map[string]struct {
		New string `json:"newModelId"`
	} `json:"deprecatedModelIds"`
}

// availableModels reads Antigravity's list: what a person may choose, in the service's order, then the others by name. Models
// that were replaced are asked for under their new names from then on.
func availableModels(u *upstream, body []byte) ([]canon.Model, error) {
	var in availableJSON
	if err := json.Unmarshal(body, &in, wire.Lenient); err != nil {
		return nil, unreadable("its models", err)
	}
	var order []string
	for _, s := range in.Sorts {
		for _, g := range s.Groups {
			order = append(order, g.IDs...)
		}
	}
	var rest []string
	for id := range in.Models {
		if !slices.Contains(order, id) {
			rest = append(rest, id)
		}
	}
	slices.Sort(rest)
	var out []canon.Model
	seen := map[string]bool{}
	for _, id := range append(order, rest...) {
		m, ok := in.Models[id]
		if !ok || seen[id] || m.Internal || m.Disabled || strings.HasPrefix(id, "chat_") || strings.HasPrefix(id, "tab_") {
			continue
		}
		seen[id] = true
		entry := antigravityModel(id)
		entry.Name = m.Name
		if m.Context > 0 {
			entry.Context = m.Context
		}
		if m.Output > 0 {
			entry.MaxOutput = m.Output
		}
		if m.Images != nil {
			entry.Images = known(*m.Images)
		}
		if m.Thinks != nil {
			entry.Thinking = known(*m.Thinks)
		}
		out = append(out, entry)
	}
	forward := map[string]string{}
	for old, r := range in.Replaced {
		if _, there := in.Models[r.New]; there && r.New != "" {
			forward[old] = r.New
		}
	}
	u.mu.Lock()
	u.forward = forward
	u.mu.Unlock()
	return out, nil
}

func known(yes bool) canon.Known3 {
	if yes {
		return canon.Yes
	}
	return canon.No
}

// Test checks the account by what is free.
func (u *upstream) Test(ctx context.Context) (provider.Tested, error) {
	call := u.call(0, "", "", nil)
	token, err := u.token(ctx)
	if err != nil {
		return provider.Tested{}, call.Fill(err)
	}
	got, err := u.setUp(ctx, token)
	if err != nil {
		return provider.Tested{}, call.Fill(err)
	}
	u.keep(got)
	models, err := u.Models(ctx)
	if err != nil {
		return provider.Tested{}, err
	}
	t := provider.Tested{Models: len(models)}
	if got.plan != "" {
		t.Note = got.plan + ", project " + got.project
	}
	return t, nil
}
