package codex

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/oai"
)

// modelEntry is one entry of the service's list, as far as it matters here.
type modelEntry struct {
	Slug       string `json:"slug"`
	Name       string `json:"display_name"`
	Visibility string `json:"visibility"`
	Context    int64  `json:"context_window"`
	Levels     []struct {
		Effort string `json:"effort"`
	} `json:"supported_reasoning_levels"`
	Modalities []string `json:"input_modalities"`
}

func (m *modelEntry) model() canon.Model {
	out := oai.KnownModel(m.Slug)
	out.ID, out.Name, out.Context, out.Tools = m.Slug, m.Name, m.Context, canon.Yes
	out.Efforts = nil
	for _, l := range m.Levels {
		out.Efforts = append(out.Efforts, l.Effort)
	}
	if len(out.Efforts) > 0 {
		out.Thinking, out.Sampling = canon.Yes, canon.No
	}
	if len(m.Modalities) > 0 {
		out.Images = canon.No
		if slices.Contains(m.Modalities, "image") {
			out.Images = canon.Yes
		}
	}
	return out
}

// Models lists what this account's plan has.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			out[i] = oai.KnownModel(n)
			out[i].ID = n
		}
		return out, nil
	}
	u.lookAgain(ctx)
	models, err := u.list(ctx)
	if transport.Missing(err) {
		return nil, nil
	}
	return models, err
}

func (u *upstream) list(ctx context.Context) ([]canon.Model, error) {
	level := u.env.Settings[settingLevel]
	if level == "" {
		level = protocolLevel
	}
	var body struct {
		Models []modelEntry `json:"models"`
	}
	if err := u.get(ctx, u.address()+"/models?client_version="+url.QueryEscape(level), &body); err != nil {
		return nil, err
	}
	var out []canon.Model
	for i := range body.Models {
		if m := &body.Models[i]; m.Slug != "" && (m.Visibility == "list" || m.Visibility == "") {
			out = append(out, m.model())
		}
	}
	return out, nil
}

// Test asks for the model list, which costs nothing.
func (u *upstream) Test(ctx context.Context) (provider.Tested, error) {
	models, err := u.list(ctx)
	if err != nil {
		return provider.Tested{}, err
	}
	t := provider.Tested{Models: len(models)}
	if plan := u.note(notePlan); plan != "" {
		t.Note = "the plan is " + plan
	}
	return t, nil
}

// checkEvery is how often a workspace is looked at.
const checkEvery = 24 * time.Hour

// lookAgain looks at the workspace once a day. That it cannot be found out about changes nothing.
func (u *upstream) lookAgain(ctx context.Context) {
	if at, err := strconv.ParseInt(u.note(noteChecked), 10, 64); !u.own || err == nil && time.Since(time.Unix(at, 0)) < checkEvery {
		return
	}
	if _, err := u.lookAt(ctx); err != nil {
		u.env.Log.Debug("The workspace was not found out about", "provider", u.env.Provider, "account", u.env.AccountID, "err", err)
	}
}

// workspace is what the service says of one of a person's accounts.
type workspace struct {
	ID          string `json:"id"`
	Plan        string `json:"plan_type"`
	Deactivated bool   `json:"is_deactivated"`
	Origin      string `json:"workspace_backend_origin"`
	Routing     string `json:"account_routing_override"`
}

// lookAt finds out where the account's calls belong and remembers it (captured from Codex CLI 0.169.0, which answers nobody
// before it has asked this).
func (u *upstream) lookAt(ctx context.Context) (workspace, error) {
	call, err := u.call(ctx, "")
	if err != nil {
		return workspace{}, call.Fill(err)
	}
	id := call.Header.Get(headAccount)
	var body struct {
		Accounts []workspace `json:"accounts"`
	}
	u.remember(noteChecked, strconv.FormatInt(time.Now().Unix(), 10)) // also if it fails: it is asked once a day
	if err := u.get(ctx, strings.TrimSuffix(u.base, "/codex")+"/wham/accounts/check", &body); err != nil {
		return workspace{}, err
	}
	i := slices.IndexFunc(body.Accounts, func(w workspace) bool { return w.ID == id })
	if i < 0 || id == "" {
		return workspace{}, apierror.New(apierror.Upstream5xx, "the service does not list this workspace")
	}
	w := body.Accounts[i]
	if w.Deactivated {
		return w, apierror.New(apierror.AccountBlocked, "this ChatGPT account or workspace is deactivated")
	}
	origin, routing := "", ""
	if trusted(w.Origin) {
		origin = strings.TrimSuffix(w.Origin, "/")
	}
	if w.Routing == "us" || w.Routing == "us_cr" {
		routing = "us"
	}
	u.remember(noteOrigin, origin)
	u.remember(noteRouting, routing)
	if w.Plan != "" {
		u.remember(notePlan, w.Plan)
	}
	return w, nil
}

// trusted reports whether an address that the service named is one of the vendor's: the token goes there.
func trusted(origin string) bool {
	o, err := url.Parse(origin)
	if err != nil || o.Scheme != "https" || o.User != nil || o.Port() != "" || o.RawQuery != "" || o.Fragment != "" || strings.Trim(o.Path, "/") != "" {
		return false
	}
	host := strings.ToLower(o.Hostname())
	return host == "chatgpt.com" || strings.HasSuffix(host, ".chatgpt.com") || strings.HasSuffix(host, ".openai.com")
}
