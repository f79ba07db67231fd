package simulator

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// codexRoot is where the service is below its host.
const codexRoot = "/backend-api/codex"

// codex is OpenAI's Codex by a ChatGPT login: a Responses service that only
// streams, stores nothing and takes few members, with its own words for
// refusals, the windows of a plan, and a list of models that depends on it.
// Facts: captured from Codex CLI 0.169.0; words of refusals from
// router-for-me/CLIProxyAPI and openai/codex, 2026-08.
type codex struct {
	*responses
	signIn  *OAuth
	minted  map[string]string // sealed thoughts and whose they are, guarded by the server's mutex
	devices map[string]codexDevice
}

// codexAccounts are who can sign in: two people, and one of them with the
// workspace of a company besides.
var codexAccounts = []OAuthUser{
	codexUser("ann@example.test", "user-Ann", "3f1c0a52-0000-4000-8000-000000000001", "plus"),
	codexUser("bob@example.test", "user-Bob", "3f1c0a52-0000-4000-8000-000000000002", "free"),
	codexUser("ann@work.example.test", "user-Ann", "3f1c0a52-0000-4000-8000-000000000003", "business"),
}

func codexUser(email, user, account, plan string) OAuthUser {
	return OAuthUser{ID: user + "-" + account[len(account)-1:], Email: email, Claims: map[string]any{
		"https://api.openai.com/auth": map[string]any{"chatgpt_account_id": account, "chatgpt_user_id": user, "chatgpt_plan_type": plan, "groups": []any{}},
		"https://api.openai.com/profile": map[string]any{
			"email": email, "email_verified": true,
		},
	}}
}

func newCodex(s *Server) http.Handler {
	d := &codex{
		responses: &responses{openAI: &openAI{s: s, name: Codex, strict: true, models: codexModels}},
		minted:    map[string]string{}, devices: map[string]codexDevice{},
		signIn: NewOAuth(OAuthOptions{
			Client: "app_EMoamEEZ73f0CkXaXp7hrann", PKCE: "required", Life: 240 * time.Hour, Users: codexAccounts, Objects: true, IDTokens: true, JWT: true,
			RefreshPrefix: "rt_sim.", DeviceInterval: time.Second, Now: s.opts.Now, DeviceURL: "/codex/device",
			Redirects: []string{"http://localhost:1455/auth/callback", "http://localhost:1457/auth/callback", "http://127.0.0.1:1455/auth/callback"},
		}),
	}
	s.signIns[Codex] = d.signIn
	s.forget = append(s.forget, func() { clear(d.minted) })
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth/authorize", d.authorizePage)
	mux.HandleFunc("POST /oauth/token", d.token)
	mux.HandleFunc("POST /api/accounts/deviceauth/usercode", s.endpoint(d, Codex+"/deviceauth", d.userCode))
	mux.HandleFunc("POST /api/accounts/deviceauth/token", s.endpoint(d, Codex+"/deviceauth", d.devicePoll))
	mux.HandleFunc("/codex/device", d.signIn.DevicePage)
	mux.HandleFunc("GET /backend-api/wham/accounts/check", s.endpoint(d, Codex+"/accounts", d.workspaces))
	mux.HandleFunc("GET /backend-api/wham/usage", s.endpoint(d, Codex+"/usage", d.usageReport))
	mux.HandleFunc("GET "+codexRoot+"/models", s.endpoint(d, Codex+"/models", d.modelList))
	mux.HandleFunc("POST "+codexRoot+"/responses", s.endpoint(d, Codex, d.create))
	mux.HandleFunc("POST "+codexRoot+"/responses/compact", s.endpoint(d, Codex+"/compact", d.compact))
	mux.HandleFunc("GET "+codexRoot+"/responses", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUpgradeRequired) // its clients post then
	})
	mux.HandleFunc("/", s.endpoint(d, Codex+"/unknown", func(x *exchange) { d.detail(x, http.StatusNotFound, "Not Found") }))
	return mux
}

// codexCaller is who sent a request.
type codexCaller struct{ account, user, plan string }

func callerOf(u OAuthUser) codexCaller {
	m, _ := u.Claims["https://api.openai.com/auth"].(map[string]any)
	text := func(name string) string { s, _ := m[name].(string); return s }
	return codexCaller{text("chatgpt_account_id"), text("chatgpt_user_id"), text("chatgpt_plan_type")}
}

// caller checks the token and that the workspace named is the token's.
func (d *codex) caller(x *exchange) (codexCaller, bool) {
	u, ok := d.signIn.Access(x.key)
	if !ok {
		x.refuse(&failure{kind: failUnauthorized})
		return codexCaller{}, false
	}
	c := callerOf(u)
	if x.r.Header.Get("Chatgpt-Account-Id") != c.account {
		d.detail(x, http.StatusForbidden, "The workspace of the request is not the workspace of the token.")
		return codexCaller{}, false
	}
	return c, true
}

// detail refuses in the form that most refusals of a request have here.
func (d *codex) detail(x *exchange, status int, text string) {
	x.s.update(func() { x.rec.Refused = text })
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, status, obj("detail", text))
}

// codexFields are the members that are taken.
var codexFields = func() map[string]rule {
	out := map[string]rule{}
	for _, name := range []string{"model", "input", "instructions", "include", "parallel_tool_calls", "prompt_cache_key", "reasoning", "service_tier",
		"store", "stream", "text", "tool_choice", "tools", "client_metadata"} {
		out[name] = responsesFields[name]
	}
	out["service_tier"] = rule{kinds: "a string", enum: "priority"}
	return out
}()

// request reads a body and checks what this service alone demands; nil means
// that it was refused.
func (d *codex) request(x *exchange, fields map[string]rule) (*turn, codexCaller) {
	c, ok := d.caller(x)
	if !ok {
		return nil, c
	}
	if !x.unpack() {
		d.detail(x, http.StatusBadRequest, "The body is compressed in a way that is not known.")
		return nil, c
	}
	o, f := x.object()
	if f != nil {
		d.detail(x, http.StatusBadRequest, "Invalid JSON")
		return nil, c
	}
	if why := d.demands(o, fields); why != "" {
		d.detail(x, http.StatusBadRequest, why)
		return nil, c
	}
	if model, _ := o["model"].(string); !d.offers(model, c.plan) {
		d.detail(x, http.StatusBadRequest, "The '"+model+"' model is not supported when using Codex with a ChatGPT account.")
		return nil, c
	}
	if d.foreign(o, c) {
		f = &failure{kind: failSignature}
	}
	var t *turn
	if f == nil {
		t, f = d.read(o, fields)
	}
	if f != nil {
		x.refuse(f)
		return nil, c
	}
	t.tokens = (len(x.body)+3)/4 + 1
	return t, c
}

// unpack reads a body that came compressed: the service's own programs use zstd.
func (x *exchange) unpack() bool {
	switch x.r.Header.Get("Content-Encoding") {
	case "", "identity":
		return true
	case "zstd":
		r, err := zstd.NewReader(bytes.NewReader(x.body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return false
		}
		defer r.Close()
		x.body, err = io.ReadAll(io.LimitReader(r, maxBody))
		return err == nil
	}
	return false
}

// demands says what is missing or too much.
func (d *codex) demands(o map[string]any, fields map[string]rule) string {
	for _, name := range sortedKeys(o) {
		if _, ok := fields[name]; !ok {
			return "Unsupported parameter: " + name
		}
	}
	if _, ok := fields["stream"]; ok {
		switch {
		case o["store"] != false:
			return "Store must be set to false"
		case o["stream"] != true:
			return "Stream must be set to true"
		}
	}
	if tier := o["service_tier"]; tier != nil && tier != "priority" {
		return "Unsupported service_tier"
	}
	list, ok := o["input"].([]any)
	if !ok {
		return "Input must be a list"
	}
	for _, v := range list {
		if m, _ := v.(map[string]any); m["role"] == "system" {
			return "System messages are not allowed"
		}
	}
	if tools, _ := o["tools"].([]any); len(tools) == 0 && o["parallel_tool_calls"] != nil && fields["stream"].kinds != "" {
		return "parallel_tool_calls is only allowed with tools"
	}
	return ""
}

// foreign reports a thought that was sealed for another account.
func (d *codex) foreign(o map[string]any, c codexCaller) bool {
	list, _ := o["input"].([]any)
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		seal, _ := m["encrypted_content"].(string)
		owner, known := d.minted[seal]
		return known && owner != c.account
	})
}

func (d *codex) create(x *exchange) {
	t, c := d.request(x, codexFields)
	if t == nil {
		return
	}
	x.answer(t, func(p *plan) {
		p.reply.id, p.reply.bareEnd = x.serial("resp_"), true
		for i := range p.reply.parts {
			d.name(x, &p.reply.parts[i])
			if seal := p.reply.parts[i].seal; seal != "" {
				d.s.update(func() { d.minted[seal] = c.account })
			}
		}
		p.reply.model, p.reply.created = t.model, d.s.opts.Now()
		x.w.Header().Set("X-Codex-Turn-State", "sim-turn-"+strconv.Itoa(d.s.next()))
	})
}

func (d *codex) compact(x *exchange) {
	fields := map[string]rule{}
	for name, r := range compactFields {
		if name != "previous_response_id" {
			fields[name] = r
		}
	}
	if t, _ := d.request(x, fields); t != nil && !x.blocked(t) {
		d.compacted(x, t)
	}
}

// frames adds what the service tells its own programs between the events.
func (d *codex) frames(t *turn, r *reply) []frame {
	list := d.responses.frames(t, r)
	limits := jsonFrame("codex.rate_limits", obj("type", "codex.rate_limits", "plan_type", "plus", "rate_limits", obj("allowed", true, "limit_reached", false,
		"primary", obj("used_percent", 42.5, "window_minutes", 300, "reset_at", d.resets(5*time.Hour)), "secondary", nil), "credits", nil))
	return slices.Insert(list, min(1, len(list)), limits)
}

func (d *codex) resets(in time.Duration) int64 { return d.s.opts.Now().Add(in).Unix() }

// head is what every answer carries: the windows of the plan.
func (d *codex) head(h http.Header, p *plan) {
	h.Set("X-Request-Id", "req_sim"+strconv.Itoa(d.s.next()))
	h.Set("Cf-Ray", "sim-ray")
	h.Set("X-Models-Etag", codexETag)
	h.Set("X-Reasoning-Included", "true")
	used := "42.5"
	if p.fail != nil && (p.fail.kind == failQuota || strings.HasPrefix(p.fail.code, "usage_limit")) {
		used = "100"
	}
	h.Set("X-Codex-Primary-Used-Percent", used)
	h.Set("X-Codex-Primary-Window-Minutes", "300")
	h.Set("X-Codex-Primary-Reset-At", strconv.FormatInt(d.resets(time.Hour), 10))
	h.Set("X-Codex-Secondary-Used-Percent", "13")
	h.Set("X-Codex-Secondary-Window-Minutes", "10080")
	h.Set("X-Codex-Secondary-Reset-At", strconv.FormatInt(d.resets(100*time.Hour), 10))
}

// usageReport tells of the plan's windows. They are told by their length: a
// free plan has a month only.
func (d *codex) usageReport(x *exchange) {
	c, ok := d.caller(x)
	if !ok || x.blocked(&turn{}) {
		return
	}
	window := func(used float64, length, left time.Duration) any {
		return obj("used_percent", used, "limit_window_seconds", int(length.Seconds()), "reset_after_seconds", int(left.Seconds()), "reset_at", d.resets(left))
	}
	day := 24 * time.Hour
	limits := obj("allowed", true, "limit_reached", false, "primary_window", window(42.5, 5*time.Hour, time.Hour), "secondary_window", window(13, 7*day, 100*time.Hour))
	if c.plan == "free" {
		limits = obj("allowed", true, "limit_reached", false, "primary_window", window(70, 30*day, 20*day), "secondary_window", nil)
	}
	extra := []any{}
	if c.plan == "business" {
		extra = append(extra, obj("limit_name", "GPT-5.3-Codex-Spark", "metered_feature", "codex_bengalfox",
			"rate_limit", obj("allowed", true, "limit_reached", false, "primary_window", window(0, 5*time.Hour, 5*time.Hour), "secondary_window", nil)))
	}
	writeJSON(x.w, http.StatusOK, obj("plan_type", c.plan, "rate_limit", limits, "code_review_rate_limit", nil, "additional_rate_limits", extra,
		"credits", obj("has_credits", c.plan == "business", "unlimited", false, "balance", "12.50"), "rate_limit_reached_type", nil))
}

// workspaces tells where the calls of a person's accounts belong.
func (d *codex) workspaces(x *exchange) {
	c, ok := d.caller(x)
	if !ok || x.blocked(&turn{}) {
		return
	}
	writeJSON(x.w, http.StatusOK, obj("accounts", []any{obj("id", c.account, "account_user_id", c.user+"__"+c.account[:8], "name", nil, "structure", "personal",
		"plan_type", c.plan, "is_deactivated", false, "can_access_with_session", true, "workspace_backend_origin", "https://chatgpt.com",
		"account_routing_override", "NO_CONSTRAINT")}, "default_account_id", c.account, "account_ordering", []any{c.account}))
}

// codexModels are the models that the service knows; the first ones are not
// part of a free plan, and the last one is not shown.
var codexModels = []string{"gpt-6.1-sol", "gpt-6-luna", "gpt-5.6-luna", "gpt-5.5", "codex-auto-review"}

const codexETag = `W/"sim-1"`

// offers reports whether a plan has a model.
func (d *codex) offers(model, plan string) bool {
	base, _, _ := strings.Cut(model, "@")
	return d.knows(model) && (plan != "free" || base != "gpt-6.1-sol")
}

func (d *codex) modelList(x *exchange) {
	c, ok := d.caller(x)
	if !ok || x.blocked(&turn{}) {
		return
	}
	if x.r.URL.Query().Get("client_version") == "" {
		d.detail(x, http.StatusBadRequest, "client_version is missing")
		return
	}
	list := []any{}
	for _, id := range slices.Concat(d.models, d.s.opts.Models) {
		if !d.offers(id, c.plan) {
			continue
		}
		levels := []any{}
		for _, e := range []string{"low", "medium", "high", "xhigh"} {
			levels = append(levels, obj("effort", e, "description", "simulated"))
		}
		shown := "list"
		if id == "codex-auto-review" {
			shown = "hide"
		}
		list = append(list, obj("slug", id, "display_name", strings.ToUpper(id), "description", "simulated", "default_reasoning_level", "medium",
			"supported_reasoning_levels", levels, "visibility", shown, "supported_in_api", true, "priority", 1, "context_window", 272000,
			"input_modalities", []any{"text", "image"}, "support_verbosity", true, "base_instructions", "You are simulated."))
	}
	x.w.Header().Set("Etag", codexETag)
	writeJSON(x.w, http.StatusOK, obj("models", list))
}
