package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// anthropic is the Messages protocol with key login.
type anthropic struct {
	s      *Server
	models []claude
}

// claude is what the API knows of a model. Ids and abilities as CLIProxyAPI's
// models.json has them (2026-08).
type claude struct {
	id       string
	dated    string // the full id; id is then an alias
	context  int
	output   int
	budgets  bool // thinking with a fixed budget
	adaptive bool // thinking:{"type":"adaptive"} and effort
	modern   bool // no prefill; system messages in between; no sampling fields
}

var claudes = []claude{
	{"claude-opus-5", "", 1_000_000, 128_000, false, true, true},
	{"claude-sonnet-5", "", 1_000_000, 128_000, false, true, true},
	{"claude-fable-5", "", 1_000_000, 128_000, true, true, true},
	{"claude-opus-4-8", "", 1_000_000, 128_000, true, true, true},
	{"claude-opus-4-7", "", 1_000_000, 128_000, true, true, false},
	{"claude-opus-4-6", "", 1_000_000, 128_000, true, true, false},
	{"claude-sonnet-4-6", "", 200_000, 64_000, true, true, false},
	{"claude-opus-4-5", "claude-opus-4-5-20251101", 200_000, 64_000, true, false, false},
	{"claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 200_000, 64_000, true, false, false},
	{"claude-haiku-4-5", "claude-haiku-4-5-20251001", 200_000, 64_000, true, false, false},
	{"claude-opus-4-1", "claude-opus-4-1-20250805", 200_000, 32_000, true, false, false},
	{"claude-sonnet-4-0", "claude-sonnet-4-20250514", 200_000, 64_000, true, false, false},
	{"claude-3-7-sonnet", "claude-3-7-sonnet-20250219", 128_000, 64_000, true, false, false},
	{"claude-3-5-haiku", "claude-3-5-haiku-20241022", 128_000, 8192, false, false, false},
}

func newAnthropic(s *Server) http.Handler {
	d := &anthropic{s: s, models: slices.Clone(claudes)}
	for _, id := range s.opts.Models {
		d.models = append(d.models, claude{id: id, context: 200_000, output: 64_000, budgets: true, adaptive: true})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", s.endpoint(d, Anthropic, d.messages))
	mux.HandleFunc("POST /v1/messages/count_tokens", s.endpoint(d, Anthropic+"/count_tokens", d.count))
	mux.HandleFunc("GET /v1/models", s.endpoint(d, Anthropic+"/models", d.list))
	mux.HandleFunc("GET /v1/models/{id}", s.endpoint(d, Anthropic+"/models", d.list))
	mux.HandleFunc("/", s.endpoint(d, Anthropic+"/unknown", func(x *exchange) {
		if x.r.Method == http.MethodHead { // claude-code's first call of every run
			x.w.WriteHeader(http.StatusOK)
			return
		}
		x.refuse(&failure{kind: failNotFound, message: "Not found"})
	}))
	return mux
}

func (d *anthropic) id() string { return Anthropic }

// find looks a model up. A name that holds a scenario stands for a model that
// takes everything.
func (d *anthropic) find(name string) (claude, bool) {
	base, _, _ := strings.Cut(name, "@")
	for _, c := range d.models {
		if c.id == base || c.dated == base {
			return c, true
		}
	}
	if strings.HasPrefix(name, "sim-") || strings.HasPrefix(name, "claude-sim") {
		return claude{id: name, context: 200_000, output: 64_000, budgets: true, adaptive: true}, true
	}
	return claude{}, false
}

// head adds the headers of every answer: the request id and the rate limits of
// a key, or those of a subscription's windows when the scenario wants them.
func (d *anthropic) head(h http.Header, p *plan) {
	now := d.s.opts.Now().UTC()
	h.Set("Request-Id", "req_sim"+strconv.Itoa(d.s.next()))
	if p.reply.unified != "" || (p.fail != nil && p.fail.window != "") {
		d.windows(h, p, now)
		return
	}
	left, reset := "49", now.Add(time.Minute)
	if p.fail != nil && p.fail.kind == failRate {
		left, reset = "0", p.fail.reset
		if reset.IsZero() {
			return // an answer without any time
		}
	}
	for _, what := range []struct{ name, limit, left string }{
		{"Requests", "50", left}, {"Tokens", "90000", "89000"}, {"Input-Tokens", "50000", "49000"}, {"Output-Tokens", "40000", "40000"},
	} {
		prefix := "Anthropic-Ratelimit-" + what.name
		h.Set(prefix+"-Limit", what.limit)
		h.Set(prefix+"-Remaining", what.left)
		h.Set(prefix+"-Reset", reset.UTC().Format(time.RFC3339))
	}
}

// windows writes the header family of subscriptions.
func (d *anthropic) windows(h http.Header, p *plan, now time.Time) {
	const prefix = "Anthropic-Ratelimit-Unified-"
	reset := strconv.FormatInt(now.Add(5*time.Hour).Unix(), 10)
	status, claim := "allowed", "five_hour"
	rejected := ""
	if p.fail != nil {
		status, rejected = "rejected", p.fail.window
		reset = strconv.FormatInt(p.fail.reset.Unix(), 10)
		claim = map[string]string{"5h": "five_hour", "7d": "seven_day", "7d_oi": "seven_day_opus"}[rejected]
	}
	h.Set(prefix+"Status", status)
	h.Set(prefix+"Reset", reset)
	h.Set(prefix+"Representative-Claim", claim)
	for _, w := range []string{"5h", "7d", "7d_oi"} {
		one, at := "allowed", strconv.FormatInt(now.Add(time.Hour).Unix(), 10)
		if w == rejected {
			one, at = "rejected", reset
		}
		h.Set(prefix+w+"-Status", one)
		h.Set(prefix+w+"-Reset", at)
	}
}

// authorized checks key and version header.
func (d *anthropic) authorized(x *exchange) bool {
	key := x.r.Header.Get("X-Api-Key")
	bearer := x.r.Header.Get("Authorization")
	refuse := func(text string) bool {
		x.refuse(&failure{kind: failUnauthorized, message: text})
		return false
	}
	switch {
	case key != "" && bearer != "":
		return refuse("x-api-key and Authorization headers must not both be set")
	case key == "" && bearer == "":
		return refuse("x-api-key header is required")
	case key != "" && !d.s.accepts(key):
		return refuse("invalid x-api-key")
	case bearer != "" && !d.s.accepts(x.key):
		return refuse("Invalid bearer token")
	}
	switch x.r.Header.Get("Anthropic-Version") {
	case "2023-06-01", "2023-01-01", "2026-10-21": // the last is what @anthropic-ai/sdk 1.12.0 sends
		return true
	case "":
		x.refuse(invalid("anthropic-version: header is required"))
	default:
		x.refuse(invalid("anthropic-version: \"" + x.r.Header.Get("Anthropic-Version") + "\" is not a valid version"))
	}
	return false
}

func invalid(text string) *failure { return &failure{kind: failInvalid, message: text} }

// betas lists the beta flags of a request.
func betas(h http.Header) []string {
	var out []string
	for _, line := range h.Values("Anthropic-Beta") {
		for _, one := range strings.Split(line, ",") {
			out = append(out, strings.TrimSpace(one))
		}
	}
	return out
}

// request reads and checks the body; counting needs no max_tokens.
func (d *anthropic) request(x *exchange, counting bool) *turn {
	if len(x.body) > 32<<20 {
		x.refuse(&failure{kind: failTooLarge})
		return nil
	}
	v, err := decode(x.body)
	o, ok := v.(map[string]any)
	switch {
	case err != nil:
		x.refuse(invalid("The request body is not valid JSON: " + err.Error()))
	case !ok:
		x.refuse(invalid("Input should be a valid dictionary or object to extract fields from"))
	default:
		t, f := d.read(o, betas(x.r.Header), counting)
		if f == nil {
			t.tokens = (len(x.body)+3)/4 + 1
			return t
		}
		x.refuse(f)
	}
	return nil
}

func (d *anthropic) messages(x *exchange) {
	if !d.authorized(x) {
		return
	}
	t := d.request(x, false)
	if t == nil {
		return
	}
	x.answer(t, func(p *plan) {
		p.reply.id = x.serial("msg_")
		for i := range p.reply.parts {
			switch q := &p.reply.parts[i]; q.kind {
			case callPart:
				q.id = x.serial("toolu_")
			case reasoningPart:
				q.name = d.seal(q.text, t)
			case redactedPart:
				q.name = redact(t.model, d.s.next())
			}
		}
		d.caching(t, p)
	})
}

// seal signs a thought. A hidden thought is signed as the empty text, which is
// what comes back.
func (d *anthropic) seal(text string, t *turn) string {
	if t.hidden {
		text = ""
	}
	return mint(text, t.model, d.s.next())
}

// caching plays the prompt cache: what stands before a mark that was seen
// before is read, what is new is written.
func (d *anthropic) caching(t *turn, p *plan) {
	if len(t.cache) == 0 || p.reply.usage.cached > 0 {
		return
	}
	u := &p.reply.usage
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.cached == nil {
		d.s.cached = map[string]bool{}
	}
	for _, m := range t.cache {
		switch {
		case d.s.cached[m.hash]:
			u.cached, u.written, u.writtenHour = m.tokens, 0, 0
		default:
			u.written = m.tokens - u.cached
			if m.hour {
				u.writtenHour = u.written
			}
			d.s.cached[m.hash] = true
		}
	}
	u.in = max(u.in, u.cached+u.written)
}

func (d *anthropic) count(x *exchange) {
	if !d.authorized(x) {
		return
	}
	t := d.request(x, true)
	if t == nil || x.blocked(t) {
		return
	}
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("input_tokens", t.tokens))
}

func (d *anthropic) list(x *exchange) {
	if !d.authorized(x) || x.blocked(&turn{}) {
		return
	}
	d.head(x.w.Header(), &plan{})
	if id := x.r.PathValue("id"); id != "" {
		c, ok := d.find(id)
		if !ok {
			x.refuse(&failure{kind: failNotFound, message: "model: " + id})
			return
		}
		writeJSON(x.w, http.StatusOK, c.entry())
		return
	}
	d.page(x)
}

// page answers one page of the model list.
func (d *anthropic) page(x *exchange) {
	q := x.r.URL.Query()
	limit := 20
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > 1000 {
			x.refuse(invalid("limit: Input should be between 1 and 1000"))
			return
		}
		limit = n
	}
	list := d.models
	at := func(id string) int {
		return slices.IndexFunc(list, func(c claude) bool { return c.full() == id || c.id == id })
	}
	more := false
	if id := q.Get("before_id"); id != "" {
		end := max(at(id), 0)
		begin := max(end-limit, 0)
		list, more = list[begin:end], begin > 0
	} else {
		begin := at(q.Get("after_id")) + 1
		end := min(begin+limit, len(list))
		more = end < len(list)
		list = list[begin:end]
	}
	data, first, last := []ordered{}, any(nil), any(nil)
	for _, c := range list {
		data = append(data, c.entry())
	}
	if len(list) > 0 {
		first, last = list[0].full(), list[len(list)-1].full()
	}
	writeJSON(x.w, http.StatusOK, obj("data", data, "has_more", more, "first_id", first, "last_id", last))
}

func (c claude) full() string {
	if c.dated != "" {
		return c.dated
	}
	return c.id
}

func (c claude) entry() ordered {
	name := strings.Join(strings.Split(c.id, "-"), " ")
	return obj("type", "model", "id", c.full(), "display_name", strings.ToUpper(name[:1])+name[1:],
		"created_at", "2026-01-01T00:00:00Z", "max_input_tokens", c.context, "max_tokens", c.output)
}

// anthropicErrors are status, type and usual text of each kind of failure.
var anthropicErrors = map[string]struct {
	status     int
	kind, text string
}{
	failInvalid:      {400, "invalid_request_error", "invalid request"},
	failUnauthorized: {401, "authentication_error", "invalid x-api-key"},
	failBilling:      {402, "billing_error", "Your account has a payment problem. Please check your billing details."},
	failQuota:        {400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},
	failForbidden:    {403, "permission_error", "Your API key does not have permission to use the specified resource."},
	failNotFound:     {404, "not_found_error", ""},
	failTooLong:      {400, "invalid_request_error", ""},
	failTooLarge:     {413, "request_too_large", "Request exceeds the maximum size"},
	failRate:         {429, "rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute."},
	failSignature:    {400, "invalid_request_error", ""},
	failLocation:     {403, "permission_error", "Access to Anthropic models is not allowed from unsupported countries, regions, or territories."},
	failServer:       {500, "api_error", "Internal server error"},
	failTimeout:      {504, "timeout_error", "The request took too long."},
	failOverload:     {529, "overloaded_error", "Overloaded"},
}

func (d *anthropic) refuse(f *failure) (int, http.Header, any) {
	e := anthropicErrors[f.kind]
	status, text := e.status, f.message
	if f.status != 0 {
		status = f.status
	}
	if text == "" {
		text = e.text
	}
	switch {
	case f.kind == failNotFound && f.message == "":
		text = "model: " + f.model
	case f.kind == failTooLong:
		text = "prompt is too long: " + strconv.Itoa(f.limit[0]) + " tokens > " + strconv.Itoa(f.limit[1]) + " maximum"
	}
	head := http.Header{}
	if f.retryAfter != "" {
		head.Set("Retry-After", f.retryAfter)
	}
	if f.kind == failRate || f.kind == failOverload || f.kind == failServer {
		head.Set("X-Should-Retry", "true")
	}
	return status, head, obj("type", "error", "error", obj("type", e.kind, "message", text), "request_id", "req_sim"+strconv.Itoa(d.s.next()))
}

// errorFrames is the error event; nothing follows it.
func (d *anthropic) errorFrames(f *failure, _ *turn, _ *reply, _ int) []frame {
	_, _, body := d.refuse(f)
	return []frame{jsonFrame("error", body)}
}
