package simulator

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// assist is Google's Code Assist service: the generateContent protocol in an envelope, behind a Google login. Gemini CLI and
// Antigravity reach it with registrations of their own; Antigravity has two hosts, which count quotas each for itself.
type assist struct {
	*gemini
	rules  *assistRules
	host   string // the upstream's name
	shared *assistState
}

// assistRules are what one of its clients must send.
type assistRules struct {
	client, secret string
	scopes         []string
	hosted         string // path of the page that shows the code
	ide            string // metadata.ideType; "" = any that Google knows
	envelope       string // name of the message
	antigravity    bool
}

var assistGeminiRules = assistRules{
	client: "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com", secret: "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",
	scopes: []string{"cloud-platform", "userinfo.email", "userinfo.profile"},
	hosted: "/authcode", envelope: "AssistEnvelope",
}

var assistAntigravityRules = assistRules{
	client: "1071006060591-tmhssin2h21lcre235vtolojh4g403ep.apps.googleusercontent.com", secret: "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",
	scopes: []string{"cloud-platform", "userinfo.email", "userinfo.profile", "cclog", "experimentsandconfigs"},
	hosted: "/oauth-callback", ide: "ANTIGRAVITY", envelope: "AntigravityEnvelope", antigravity: true,
}

// assistState is what the hosts of one client share, and what changes with use.
type assistState struct {
	rules *assistRules
	oauth *OAuth

	mu       sync.Mutex // guards what follows
	people   map[string]AssistPerson
	looks    map[string]int // at an operation, by person
	verified map[string]bool
	used     map[string]int // requests, by host, person and group
	sessions map[string]bool
}

// AssistPerson says what the simulated Code Assist service has for somebody.
type AssistPerson string

// What it may have.
const (
	AssistReady    AssistPerson = "ready"   // a licence with a project, or a plan with a managed one
	AssistEnded    AssistPerson = "ended"   // this client is no longer served
	AssistVerify   AssistPerson = "verify"  // the account must be verified first
	AssistNew      AssistPerson = "new"     // never set up: onboarding makes a project after some looks
	AssistStuck    AssistPerson = "stuck"   // onboarding never ends
	AssistNone     AssistPerson = "none"    // onboarding ends without a project
	AssistProject  AssistPerson = "project" // a licence that wants a project of the person's own
	AssistPerimter AssistPerson = "perimeter"
	AssistRegion   AssistPerson = "region" // not offered where the person lives
	AssistOdd      AssistPerson = "odd"    // tiers as strings, the project as an object, null and unknown members
)

// assistPeople are those who can sign in; what each is for stands in the name.
func assistPeople() []OAuthUser {
	var out []OAuthUser
	for _, name := range []string{"ann", "bob", "new", "verify", "ended", "project"} {
		out = append(out, OAuthUser{ID: "1032-" + name, Email: name + "@example.test", Name: strings.ToUpper(name[:1]) + name[1:]})
	}
	return out
}

const assistProject = "wide-river-4fk2p"

func newAssistState(s *Server, r *assistRules) *assistState {
	st := &assistState{rules: r}
	st.oauth = NewOAuth(OAuthOptions{
		Client: r.client, Secret: r.secret, Steady: true, IDTokens: true, AccessPrefix: "ya29.sim-", RefreshPrefix: "1//sim-", Users: assistPeople(), Now: s.opts.Now,
		Redirects: []string{"http://127.0.0.1:*/*", "http://localhost:*/*", "http://127.0.0.1:*/*" + r.hosted, "https://*" + r.hosted},
	})
	st.reset()
	s.forget = append(s.forget, st.reset)
	return st
}

func (st *assistState) reset() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.people = map[string]AssistPerson{
		"ann@example.test": AssistReady, "bob@example.test": AssistReady, "new@example.test": AssistNew, "verify@example.test": AssistVerify,
		"ended@example.test": AssistEnded, "project@example.test": AssistProject,
	}
	st.looks, st.verified, st.used, st.sessions = map[string]int{}, map[string]bool{}, map[string]int{}, map[string]bool{}
}

// Assist returns the authorisation server of a Code Assist client, GeminiCLI or Antigravity.
func (s *Server) Assist(upstream string) *OAuth { return s.assists[upstream].oauth }

// SetAssist says what a Code Assist service has for a person, by e-mail.
func (s *Server) SetAssist(upstream, email string, p AssistPerson) {
	st := s.assists[upstream]
	st.mu.Lock()
	defer st.mu.Unlock()
	st.people[email] = p
}

func newAssist(s *Server, host string, st *assistState) http.Handler {
	d := &assist{gemini: &gemini{s: s, models: slices.Clone(assistModels)}, rules: st.rules, host: host, shared: st}
	if st.rules.antigravity {
		d.models = slices.Clone(antigravityModels)
	}
	for _, id := range s.opts.Models {
		d.models = append(d.models, geminiModel{id: id, open: true})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/o/oauth2/v2/auth", d.page)
	mux.HandleFunc("POST /token", st.oauth.Token)
	mux.HandleFunc("GET /oauth2/v2/userinfo", st.oauth.UserInfo)
	mux.HandleFunc("GET "+st.rules.hosted, st.oauth.HostedPage)
	mux.HandleFunc("GET /verify", d.verify)
	method := func(name string, serve func(*exchange)) {
		queue := host + "/" + name
		if name == "generateContent" || name == "streamGenerateContent" {
			queue = host
		}
		mux.HandleFunc("POST /v1internal:"+name, s.endpoint(d, queue, d.signedIn(serve)))
	}
	method("loadCodeAssist", d.load)
	method("onboardUser", d.onboard)
	method("generateContent", func(x *exchange) { d.answer(x, false) })
	method("streamGenerateContent", func(x *exchange) { d.answer(x, true) })
	method("countTokens", d.tokens)
	method("retrieveUserQuota", d.quota)
	if st.rules.antigravity {
		method("fetchAvailableModels", d.available)
		method("retrieveUserQuotaSummary", d.summary)
	}
	mux.HandleFunc("GET /v1internal/operations/{id}", s.endpoint(d, host+"/operations", d.signedIn(func(x *exchange) { d.operation(x, person(x)) })))
	mux.HandleFunc("/", s.endpoint(d, host+"/unknown", func(x *exchange) {
		x.refuse(&failure{kind: failNotFound, message: "Requested entity was not found."})
	}))
	return mux
}

func (d *assist) id() string { return d.host }

func (d *assist) head(h http.Header, _ *plan) {
	h.Set("Server", "ESF")
	h.Set("X-Cloudaicompanion-Trace-Id", "8d1f")
}

// signedIn lets a call through whose token is good. The scenario of a call goes by the person, or by the key.
func (d *assist) signedIn(serve func(*exchange)) func(*exchange) {
	return func(x *exchange) {
		token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
		who := ""
		if strings.HasPrefix(token, "sk-sim-") && d.s.accepts(token) {
			who, ok = "ann@example.test", true
		} else if u, known := d.shared.oauth.Access(token); known {
			who, x.key = u.Email, u.Email
		} else {
			ok = false
		}
		for name := range x.r.Header {
			if low := strings.ToLower(name); strings.HasPrefix(low, "x-api-key") || strings.HasPrefix(low, "anthropic-") || strings.HasPrefix(low, "openai-") || low == "cookie" || low == "x-goog-api-key" {
				x.refuse(invalid("The simulated service saw a header of another client: " + name))
				return
			}
		}
		if !ok {
			x.refuse(&failure{kind: failUnauthorized})
			return
		}
		x.person = who
		serve(x)
	}
}

func person(x *exchange) string { return x.person }

func (d *assist) state(x *exchange) AssistPerson {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	p := d.shared.people[x.person]
	if p == AssistVerify && d.shared.verified[x.person] {
		p = AssistReady
	}
	return p
}

// message reads the body as a message of this name.
func (d *assist) message(x *exchange, name string) map[string]any {
	v, err := decode(x.body)
	if err != nil {
		x.refuse(invalid("Invalid JSON payload received. " + err.Error()))
		return nil
	}
	p := &protoReader{}
	o, _ := p.message(name, v, "").(map[string]any)
	if f := p.failure(); f != nil {
		x.refuse(f)
		return nil
	}
	return o
}

// project checks that a call names the person's own project.
func (d *assist) project(x *exchange, o map[string]any) bool {
	id, _ := o["project"].(string)
	switch {
	case id == "" && d.rules.antigravity:
		x.refuse(invalid("* project: a project is required"))
	case id != assistProject && (d.state(x) != AssistProject && d.state(x) != AssistPerimter || id == ""):
		x.refuse(&failure{kind: failForbidden, message: "Permission denied on resource project " + id + ".", details: []any{
			obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", "CONSUMER_INVALID", "domain", "googleapis.com",
				"metadata", obj("consumer", "projects/"+id, "service", "cloudcode-pa.googleapis.com"))}})
	default:
		return true
	}
	return false
}

// allowed refuses persons that the service does not serve, and old clients.
func (d *assist) allowed(x *exchange, model geminiModel) bool {
	switch d.state(x) {
	case AssistVerify:
		_, body := assistRow("verify", "")
		x.s.update(func() { x.rec.Refused = "verify" })
		writeJSON(x.w, http.StatusForbidden, body)
		return false
	case AssistEnded, AssistRegion:
		x.refuse(&failure{kind: failForbidden, message: "The caller does not have permission"})
		return false
	}
	if d.rules.antigravity && (model.id != "" && model.fresh) {
		m := agentVersion.FindStringSubmatch(x.r.UserAgent())
		major, minor := 0, 0
		if m != nil {
			major, _ = strconv.Atoi(m[1])
			minor, _ = strconv.Atoi(m[2])
		}
		if major < 2 || major == 2 && minor < 9 {
			x.refuse(&failure{kind: failNotFound, message: "Requested entity was not found."})
			return false
		}
	}
	return true
}

var agentVersion = regexp.MustCompile(`^antigravity/(?:hub|ide)/(\d+)\.(\d+)`)

// count adds to what a person used and tells how much that is.
func (d *assist) count(who, group string, n int) int {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	key := d.host + " " + who + " " + group
	d.shared.used[key] += n
	return d.shared.used[key]
}

func assistGroup(model string) string {
	if strings.HasPrefix(model, "claude") || strings.HasPrefix(model, "gpt") {
		return "3p"
	}
	return "gemini"
}

const assistLimit = 1000 // requests in a window

func (d *assist) quota(x *exchange) {
	o := d.message(x, "ProjectRequest")
	if o == nil || !d.project(x, o) || x.blocked(&turn{}) || !d.allowed(x, geminiModel{}) {
		return
	}
	reset := d.s.opts.Now().Add(10 * time.Hour).UTC().Format(time.RFC3339)
	var buckets []ordered
	for _, m := range d.models {
		if m.hidden || d.rules.antigravity && m.image {
			continue
		}
		rest := max(assistLimit-d.count(x.person, m.id, 0), 0)
		b := obj("modelId", m.id, "tokenType", "REQUESTS", "resetTime", reset)
		if rest > 0 {
			b = b.with("remainingAmount", strconv.Itoa(rest)).with("remainingFraction", float64(rest)/assistLimit)
		}
		buckets = append(buckets, b)
	}
	d.head(x.w.Header(), nil)
	writeJSON(x.w, http.StatusOK, obj("buckets", buckets))
}

func (d *assist) summary(x *exchange) {
	o := d.message(x, "ProjectRequest")
	if o == nil || !d.project(x, o) || x.blocked(&turn{}) || !d.allowed(x, geminiModel{}) {
		return
	}
	now := d.s.opts.Now()
	var groups []ordered
	for _, g := range []struct{ id, name string }{{"gemini", "Gemini Models"}, {"3p", "Claude and GPT models"}} {
		rest := float64(max(assistLimit-d.count(x.person, g.id, 0), 0)) / assistLimit
		bucket := func(window, name string, after time.Duration) ordered {
			b := obj("bucketId", g.id+"-"+window, "displayName", name, "window", window, "resetTime", now.Add(after).UTC().Format(time.RFC3339))
			if rest > 0 {
				b = b.with("remainingFraction", rest)
			}
			return b
		}
		groups = append(groups, obj("displayName", g.name, "description", "Simulated.", "buckets",
			[]ordered{bucket("weekly", "Weekly Limit", 96*time.Hour), bucket("5h", "Five Hour Limit", 5*time.Hour)}))
	}
	d.head(x.w.Header(), nil)
	out := obj("groups", groups)
	if d.host == AntigravityProd { // seen in both forms
		out = obj("response", out)
	}
	writeJSON(x.w, http.StatusOK, out)
}

func (d *assist) available(x *exchange) {
	o := d.message(x, "ProjectRequest")
	if o == nil || o["project"] != nil && !d.project(x, o) || x.blocked(&turn{}) || !d.allowed(x, geminiModel{}) {
		return
	}
	models := ordered{}
	var order []string
	for _, m := range d.models {
		entry := obj("displayName", strings.ReplaceAll(m.id, "-", " "), "supportsImages", !m.text, "supportsThinking", m.high > 0 || m.levels != nil,
			"maxTokens", 1048576, "maxOutputTokens", m.output(), "quotaInfo", d.left(x, m.id, o["project"] != nil))
		if m.claude {
			entry = obj("displayName", strings.ReplaceAll(m.id, "-", " "), "supportsImages", true, "supportsThinking", true, "maxTokens", 200000, "maxOutputTokens", 64000,
				"quotaInfo", d.left(x, m.id, o["project"] != nil))
		}
		if m.hidden {
			entry = obj("isInternal", true)
		} else {
			order = append(order, m.id)
		}
		models = models.with(m.id, entry)
	}
	models = models.with("chat_20706", obj("isInternal", true)).with("tab_flash_lite_preview", obj("disabled", true))
	d.head(x.w.Header(), nil)
	writeJSON(x.w, http.StatusOK, obj("models", models, "defaultAgentModelId", "gemini-pro-agent",
		"agentModelSorts", []ordered{obj("displayName", "Recommended", "groups", []ordered{obj("modelIds", order)})},
		"commandModelIds", []string{}, "imageGenerationModelIds", []string{"gemini-3.1-flash-image"},
		"deprecatedModelIds", obj("gemini-3-pro-high", obj("newModelId", "gemini-pro-agent"))))
}

// left is the rest of a model's quota. Without a project the service claims that all of it is there.
func (d *assist) left(x *exchange, model string, counted bool) ordered {
	out := obj("resetTime", d.s.opts.Now().Add(5*time.Hour).UTC().Format(time.RFC3339))
	rest := 1.0
	if counted {
		rest = float64(max(assistLimit-d.count(x.person, assistGroup(model), 0), 0)) / assistLimit
	}
	if rest == 0 {
		return out
	}
	return out.with("remainingFraction", rest)
}

// answer generates.
func (d *assist) answer(x *exchange, stream bool) {
	o := d.message(x, d.rules.envelope)
	if o == nil || !d.project(x, o) {
		return
	}
	name, _ := o["model"].(string)
	model, _ := d.find(name)
	if !d.allowed(x, model) {
		return
	}
	inner := object(o["request"])
	if f := d.envelope(o, inner, model); f != nil {
		x.refuse(f)
		return
	}
	t, f := d.check(inner, name, model)
	if f != nil {
		x.refuse(f)
		return
	}
	if stream && x.r.URL.Query().Get("alt") != "sse" {
		x.refuse(invalid("The simulated service streams events only: alt=sse."))
		return
	}
	t.stream, t.tokens = stream, (len(x.body)+3)/4+1
	d.count(x.person, name, 1)
	d.count(x.person, assistGroup(name), 1)
	cached := d.again(x, inner)
	x.answer(t, func(p *plan) {
		p.reply.id = x.serial("")[10:]
		if cached && p.reply.usage.cached == 0 {
			p.reply.usage.cached = p.reply.usage.in / 2
		}
		for i := range p.reply.parts {
			if p.reply.parts[i].kind == callPart && model.claude {
				p.reply.parts[i].id = x.serial("toolu_vrtx_")
			} else if p.reply.parts[i].kind == callPart && t.third {
				p.reply.parts[i].id = x.serial("")[16:]
			}
		}
		if model.claude {
			d.seal(&p.reply)
		} else {
			d.sign(t, &p.reply)
		}
		if model.image && len(p.reply.parts) > 0 && p.fail == nil {
			p.reply.parts = []part{{kind: imagePart, text: assistPicture}}
		}
	})
}

// again reports whether this account had this session before: its prompt is in the cache then.
func (d *assist) again(x *exchange, inner map[string]any) bool {
	id, _ := inner["sessionId"].(string)
	if id == "" {
		return false
	}
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	key := x.person + " " + id
	was := d.shared.sessions[key]
	d.shared.sessions[key] = true
	return was
}

// seal signs Claude's thoughts, in the second layer of base64 that Google's hosts put around.
func (d *assist) seal(r *reply) {
	for i := range r.parts {
		if p := &r.parts[i]; p.kind == reasoningPart {
			p.seal = base64.StdEncoding.EncodeToString([]byte(mint(p.text, "claude", d.s.next())))
		}
	}
}

// tokens counts.
func (d *assist) tokens(x *exchange) {
	o := d.message(x, "AssistCount")
	if o == nil || x.blocked(&turn{}) {
		return
	}
	inner := object(o["request"])
	name, named := inner["model"].(string)
	if named && !strings.HasPrefix(name, "models/") {
		x.refuse(invalid("* CountTokensRequest.model: unexpected model name format"))
		return
	}
	c := &geminiCheck{t: &turn{}, model: geminiModel{open: true}}
	for i, v := range list(inner["contents"]) {
		for k, p := range list(object(v)["parts"]) {
			if m := object(p); m["thought"] == true || m["text"] == "" {
				c.star("contents[%d].parts[%d].data: required oneof field 'data' must have one initialized field", i, k)
			}
		}
	}
	if len(list(inner["contents"])) == 0 {
		c.star("contents: contents is not specified")
	}
	if c.f != nil {
		x.refuse(c.f)
		return
	}
	d.head(x.w.Header(), nil)
	writeJSON(x.w, http.StatusOK, obj("totalTokens", (len(x.body)+3)/4+1))
}

// wrap puts a response into the envelope.
func wrapped(response any) ordered { return obj("response", response, "traceId", "8d1f") }

func (d *assist) frames(t *turn, r *reply) []frame {
	out := d.gemini.frames(t, r)
	for i := range out {
		out[i].data = encode(wrapped(rawJSON(out[i].data)))
		if out[i].bare != nil {
			out[i].bare = encode(wrapped(rawJSON(out[i].bare)))
		}
	}
	return out
}

func (d *assist) body(t *turn, r *reply) any { return wrapped(d.gemini.body(t, r)) }

// refuse differs from the Gemini API's in the words for logins and models.
func (d *assist) refuse(f *failure) (int, http.Header, any) {
	own := *f
	switch {
	case f.kind == failUnauthorized:
		own = failure{kind: failInvalid, code: "UNAUTHENTICATED", status: 401, message: "Request had invalid authentication credentials. Expected OAuth 2 access token, " +
			"login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
			details: []any{obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", "ACCESS_TOKEN_EXPIRED", "domain", "googleapis.com")}}
	case f.kind == failNotFound && f.message == "":
		own.message = "Requested entity was not found."
	case f.kind == failForbidden && f.message == "":
		own.message = "The caller does not have permission"
	case f.kind == failRate && f.retryAfter != "":
		return 429, http.Header{}, assistLimitBody("RATE_LIMIT_EXCEEDED", f.retryAfter+"s", "")
	case f.kind == failQuota:
		return 429, http.Header{}, assistLimitBody("QUOTA_EXHAUSTED", "7200s", "gemini-sim")
	case f.kind == failBilling:
		return 429, http.Header{}, assistLimitBody("INSUFFICIENT_G1_CREDITS_BALANCE", "", "")
	}
	status, head, body := d.gemini.refuse(&own)
	if f.code == "FAILED_PRECONDITION" {
		return status, head, obj("error", obj("code", 400, "message", f.message, "status", f.code))
	}
	return status, head, body
}

func (d *assist) errorFrames(f *failure, _ *turn, _ *reply, _ int) []frame {
	_, _, body := d.refuse(f)
	return []frame{jsonFrame("", body)}
}

// assistLimitBody is a 429 with its reason.
func assistLimitBody(reason, delay, model string) ordered {
	text := "You have exhausted your capacity on this model."
	meta := obj("uiMessage", "true")
	if model != "" {
		meta = meta.with("model", model)
	}
	if delay != "" {
		text += " Your quota will reset after " + delay + "."
		meta = meta.with("quotaResetDelay", delay)
	}
	details := []any{obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", reason, "domain", "cloudcode-pa.googleapis.com", "metadata", meta)}
	if delay != "" {
		details = append(details, obj("@type", "type.googleapis.com/google.rpc.RetryInfo", "retryDelay", delay))
	}
	return obj("error", obj("code", 429, "message", text, "status", "RESOURCE_EXHAUSTED", "details", details))
}

// rawJSON is JSON that is there already.
type rawJSON []byte

// MarshalJSON returns it.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// assistPicture is a red dot of one pixel.
const assistPicture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
