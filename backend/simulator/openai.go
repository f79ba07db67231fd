package simulator

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// openAI is the Chat Completions protocol, as its maker serves it (strict) or
// as a lenient vendor does.
type openAI struct {
	s      *Server
	name   string
	strict bool // refuses what OpenAI's own host refuses and hides reasoning
	local  bool // Ollama's face: no key, `reasoning`, errors of another type
	models []string
	quirks quirks
}

// The models of OpenAI's own host and of the lenient vendor. Names that a
// scenario hides in (`sim-slow`, `gpt-4.1@slow`) are accepted as well.
var (
	openAIModels     = []string{"gpt-5.5", "gpt-5-mini", "o4-mini", "gpt-4.1", "gpt-4o", "gpt-4o-mini", "sim-chat", "text-embedding-3-small", "text-embedding-3-large"}
	compatibleModels = []string{"deepseek-chat", "deepseek-reasoner", "qwen3-coder", "kimi-k2.5", "glm-5.1", "openai/gpt-4.1", "qwen3:8b", "sim-chat", "text-embedding-3-small"}
)

func newOpenAI(s *Server, strict bool) http.Handler {
	return (&openAI{s: s, name: OpenAI, strict: strict, models: slices.Concat(openAIModels, imageModels, s.opts.Models)}).handler()
}

func newCompatible(s *Server) http.Handler {
	return (&openAI{s: s, name: Compatible, models: slices.Concat(compatibleModels, s.opts.Models)}).handler()
}

func (d *openAI) handler() http.Handler {
	mux := http.NewServeMux()
	root := d.quirks.root
	if root == "" {
		root = "/v1"
	}
	at := func(pattern, queue string, serve func(*exchange)) {
		mux.HandleFunc(pattern, d.s.endpoint(d, d.name+queue, serve))
	}
	at("POST "+root+"/chat/completions", "", d.chat)
	at("POST "+root+"/embeddings", "/embeddings", d.embed)
	if d.strict {
		at("POST "+root+"/images/generations", "/images", d.imagine)
		at("POST "+root+"/images/edits", "/images", d.retouch)
	}
	if !d.quirks.noList {
		at("GET "+root+"/models", "/models", d.list)
		at("GET "+root+"/models/{id...}", "/models", d.list)
	}
	switch d.name {
	case OpenRouter:
		at("GET "+root+"/key", "/key", d.routerKey)
	case LMStudio:
		at("GET /api/v0/models", "/models", d.studioModels)
	}
	mux.HandleFunc("/", d.s.endpoint(d, d.name+"/unknown", func(x *exchange) {
		x.refuse(&failure{kind: failNotFound, code: "unknown_url",
			message: "Invalid URL (" + x.r.Method + " " + x.r.URL.Path + ")"})
	}))
	return mux
}

func (d *openAI) id() string { return d.name }

// head adds the headers that come with every answer.
func (d *openAI) head(h http.Header, p *plan) {
	h.Set("X-Request-Id", "req_sim"+strconv.Itoa(d.s.next()))
	h.Set("Openai-Processing-Ms", "12")
	h.Set("Openai-Version", "2020-10-01")
	h.Set("X-Ratelimit-Limit-Requests", "500")
	h.Set("X-Ratelimit-Limit-Tokens", "200000")
	left := "499"
	if p.fail != nil && p.fail.kind == failRate {
		left = "0"
	}
	h.Set("X-Ratelimit-Remaining-Requests", left)
	h.Set("X-Ratelimit-Remaining-Tokens", "199000")
	h.Set("X-Ratelimit-Reset-Requests", "120ms")
	h.Set("X-Ratelimit-Reset-Tokens", "6m0s")
}

// authorized checks the bearer key and refuses in OpenAI's words.
func (d *openAI) authorized(x *exchange) bool {
	if d.quirks.admit != nil {
		return d.quirks.admit(x)
	}
	if d.local {
		return true
	}
	scheme, key, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(key) == "" {
		x.refuse(&failure{kind: failUnauthorized, code: "none", message: "You didn't provide an API key. You need to provide your API key in an " +
			"Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're " +
			"accessing the API from your browser and are prompted for a username and password. You can obtain an API key from " +
			"https://platform.openai.com/account/api-keys."})
		return false
	}
	if !d.s.accepts(key) {
		x.refuse(&failure{kind: failUnauthorized, message: "Incorrect API key provided: " + mask(key) +
			". You can find your API key at https://platform.openai.com/account/api-keys."})
		return false
	}
	return true
}

// mask shows a key as the vendor's error does.
func mask(key string) string {
	if len(key) < 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

func (d *openAI) knows(model string) bool {
	base, _, _ := strings.Cut(model, "@")
	return strings.HasPrefix(model, "sim-") || slices.Contains(d.models, base) || (d.local && slices.Contains(d.models, base+":latest"))
}

// reasoningModel names the models that think (o*, gpt-5*, gpt-6*).
var reasoningModel = regexp.MustCompile(`^(o\d|gpt-[56])`)

func (d *openAI) list(x *exchange) {
	if (d.name != OpenRouter && !d.authorized(x)) || x.blocked(&turn{}) { // OpenRouter's list is public
		return
	}
	one := func(id string) ordered {
		if d.quirks.entry != nil {
			return d.quirks.entry(id)
		}
		return obj("id", id, "object", "model", "created", 1767225600, "owned_by", "simulator")
	}
	d.head(x.w.Header(), &plan{})
	if id := x.r.PathValue("id"); id != "" {
		if !d.knows(id) {
			x.refuse(&failure{kind: failNotFound, model: id})
			return
		}
		writeJSON(x.w, http.StatusOK, one(id))
		return
	}
	data := []ordered{}
	for _, id := range d.models {
		data = append(data, one(id))
	}
	writeJSON(x.w, http.StatusOK, obj("object", "list", "data", data))
}

func (d *openAI) chat(x *exchange) {
	if !d.authorized(x) {
		return
	}
	o, f := x.object()
	if f != nil {
		x.refuse(f)
		return
	}
	t, f := d.read(o)
	if f != nil {
		x.refuse(f)
		return
	}
	t.tokens = (len(x.body)+3)/4 + 1
	if d.quirks.serve != nil {
		done := d.quirks.serve(x)
		if done == nil {
			return
		}
		defer done()
	}
	x.answer(t, func(p *plan) {
		if d.quirks.tidy != nil {
			d.quirks.tidy(p)
		}
		p.reply.id = x.serial("chatcmpl-sim")
		for i := range p.reply.parts {
			switch q := &p.reply.parts[i]; {
			case q.kind == callPart:
				q.id = x.serial("call_")
			case q.kind == reasoningPart && d.quirks.detail:
				q.seal = mint(q.text, t.model, d.s.next())
			}
		}
		p.reply.thinkTags = p.reply.thinkTags || (d.quirks.thinks == "tags" && !t.split)
		if d.quirks.noise != "" {
			p.d.noise = d.quirks.noise
		}
	})
}

// refuse writes an error in OpenAI's words.
func (d *openAI) refuse(f *failure) (int, http.Header, any) {
	e := openAIErrors[f.kind]
	message, code, param := f.message, e.code, any(nil)
	if message == "" {
		message = e.message
	}
	if f.code != "" {
		code = f.code
	}
	if f.param != "" {
		param = f.param
	}
	head := http.Header{}
	switch f.kind {
	case failNotFound:
		if f.message == "" {
			message = "The model `" + f.model + "` does not exist or you do not have access to it."
		}
	case failTooLong:
		param = "messages"
		message = "This model's maximum context length is " + strconv.Itoa(f.limit[1]) + " tokens. However, your messages resulted in " +
			strconv.Itoa(f.limit[0]) + " tokens. Please reduce the length of the messages."
	case failRate:
		if f.retryAfter != "" {
			message += " Please try again in " + f.retryAfter + "s."
		}
		message += " Visit https://platform.openai.com/account/rate-limits to learn more."
	}
	if f.retryAfter != "" {
		head.Set("Retry-After", f.retryAfter)
		if d, err := time.ParseDuration(f.retryAfter + "s"); err == nil {
			head.Set("Retry-After-Ms", strconv.FormatInt(d.Milliseconds(), 10))
			head.Set("X-Ratelimit-Reset-Requests", seconds(d))
		}
	}
	kind := e.kind
	if d.local {
		if kind = "api_error"; f.kind == failNotFound && f.message == "" {
			kind, code, message = "not_found_error", "", "model '"+f.model+"' not found"
		}
	}
	status := e.status
	if f.status != 0 {
		status = f.status
	}
	if d.quirks.refuse != nil {
		status, body := d.quirks.refuse(f, openAIError{status, kind, code, message})
		return status, head, body
	}
	return status, head, obj("error", obj("message", message, "type", kind, "param", param, "code", orNull(code)))
}

func orNull(s string) any {
	if s == "" || s == "none" {
		return nil
	}
	return s
}

// openAIErrors are status, type, code and usual text of each kind of failure.
var openAIErrors = map[string]openAIError{
	failInvalid:      {400, "invalid_request_error", "", "The request is invalid."},
	failUnauthorized: {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."},
	failForbidden:    {403, "request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"},
	failNotFound:     {404, "invalid_request_error", "model_not_found", ""},
	failTooLong:      {400, "invalid_request_error", "context_length_exceeded", ""},
	failTooLarge:     {413, "invalid_request_error", "request_too_large", "The request is too large."},
	failRate:         {429, "requests", "rate_limit_exceeded", "Rate limit reached for gpt-sim in organization org-sim on requests per min (RPM): Limit 500, Used 500, Requested 1."},
	failQuota: {429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details. " +
		"For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."},
	failSignature: {400, "invalid_request_error", "", ""},
	failLocation:  {403, "request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"},
	failBilling:   {402, "invalid_request_error", "invalid_request_error", "Insufficient Balance"},
	failServer:    {500, "server_error", "", "The server had an error while processing your request. Sorry about that!"},
	failOverload:  {503, "server_error", "", "The server is currently overloaded with other requests. Sorry about that! You can retry your request, or contact us through our help center at help.openai.com if the error persists."},
	failTimeout:   {504, "server_error", "", "The server took too long to answer."},
}

// openAIError is how OpenAI tells of a failure.
type openAIError struct {
	status              int
	kind, code, message string
}

// errorFrames is an error chunk; the stream ends after it without [DONE].
func (d *openAI) errorFrames(f *failure, _ *turn, r *reply, _ int) []frame {
	if d.quirks.broken != nil {
		return []frame{jsonFrame("", d.quirks.broken(f, r))}
	}
	_, _, body := d.refuse(f)
	return []frame{jsonFrame("", body)}
}
