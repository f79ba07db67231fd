package simulator

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// gemini is the generateContent protocol with a key of Google AI Studio.
type gemini struct {
	s      *Server
	models []geminiModel
}

// geminiModel is what the service knows of a model. Ids as CLIProxyAPI's
// models.json has them (2026-08), ranges of budgets from Google's API
// documentation.
type geminiModel struct {
	id        string
	third     bool     // 3.x: levels of thinking, ids of calls, signatures are demanded
	low, high int      // thinking budget
	off       bool     // the budget may be 0
	levels    []string // 3.x
	embeds    bool
	open      bool // hides a scenario: takes everything

	// Of Code Assist alone.
	claude, text, image bool // a model of Anthropic's, one for text only, one that draws
	fresh, hidden       bool // too new for old clients; not for people
}

var geminiModels = []geminiModel{
	{id: "gemini-2.5-pro", low: 128, high: 32768},
	{id: "gemini-2.5-flash", low: 0, high: 24576, off: true},
	{id: "gemini-2.5-flash-lite", low: 512, high: 24576, off: true},
	{id: "gemini-3-pro-preview", third: true, high: 32768, levels: []string{"LOW", "HIGH"}},
	{id: "gemini-3.1-pro-preview", third: true, high: 32768, levels: []string{"LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-3-flash-preview", third: true, high: 32768, levels: []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-3.5-flash", third: true, high: 32768, levels: []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-3.5-flash-lite", third: true, high: 32768, levels: []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-3.7-flash", third: true, high: 32768, levels: []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-flash-latest", third: true, high: 32768, levels: []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}},
	{id: "gemini-embedding-001", embeds: true},
}

func newGemini(s *Server) http.Handler {
	d := &gemini{s: s, models: slices.Clone(geminiModels)}
	for _, id := range s.opts.Models {
		d.models = append(d.models, geminiModel{id: id, open: true})
	}
	mux := http.NewServeMux()
	for _, version := range []string{"/v1beta", "/v1"} {
		mux.HandleFunc("POST "+version+"/models/{action...}", d.action)
		mux.HandleFunc("GET "+version+"/models", s.endpoint(d, Gemini+"/models", d.list))
		mux.HandleFunc("GET "+version+"/models/{id...}", s.endpoint(d, Gemini+"/models", d.list))
	}
	mux.HandleFunc("/", d.unknown)
	return mux
}

func (d *gemini) unknown(w http.ResponseWriter, r *http.Request) {
	d.s.endpoint(d, Gemini+"/unknown", func(x *exchange) {
		x.refuse(&failure{kind: failNotFound, message: "Method not found."})
	})(w, r)
}

func (d *gemini) id() string { return Gemini }

func (d *gemini) head(h http.Header, _ *plan) {
	h.Set("Server", "scaffolding on HTTPServer2")
	h.Set("Vary", "Origin")
	h.Set("X-Frame-Options", "SAMEORIGIN")
}

// action splits the path at its last colon: models have colons in their names.
func (d *gemini) action(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("action")
	at := strings.LastIndexByte(path, ':')
	if at < 0 {
		d.unknown(w, r)
		return
	}
	model, method := path[:at], path[at+1:]
	serve := map[string]func(*exchange, string){
		"generateContent":       func(x *exchange, m string) { d.generate(x, m, false) },
		"streamGenerateContent": func(x *exchange, m string) { d.generate(x, m, true) },
		"countTokens":           d.count, "embedContent": d.embed, "batchEmbedContents": d.batchEmbed,
	}[method]
	if serve == nil {
		d.unknown(w, r)
		return
	}
	queue := Gemini
	if method != "generateContent" && method != "streamGenerateContent" {
		queue += "/" + method
	}
	d.s.endpoint(d, queue, func(x *exchange) {
		if d.authorized(x) {
			serve(x, model)
		}
	})(w, r)
}

func (d *gemini) find(name string) (geminiModel, bool) {
	base, _, _ := strings.Cut(name, "@")
	i := slices.IndexFunc(d.models, func(m geminiModel) bool { return m.id == base })
	switch {
	case i >= 0:
		return d.models[i], true
	case strings.HasPrefix(name, "sim-"):
		return geminiModel{id: name, open: true}, true
	}
	return geminiModel{}, false
}

// authorized checks the key. The service would take it from the query as well;
// here that is refused, because it would be written to logs on its way.
func (d *gemini) authorized(x *exchange) bool {
	switch key := x.r.Header.Get("X-Goog-Api-Key"); {
	case x.r.Header.Get("Authorization") != "":
		x.refuse(&failure{kind: failInvalid, code: "UNAUTHENTICATED", status: 401, message: "" +
			"Request had invalid authentication credentials. Expected OAuth 2 " +
			"access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."})
	case key == "" && !x.r.URL.Query().Has("key"):
		x.refuse(&failure{kind: failForbidden, message: "Method doesn't allow unregistered callers (callers without established identity). " +
			"Please use API Key or other form of API consumer identity to call this API."})
	case !d.s.accepts(key):
		x.refuse(&failure{kind: failUnauthorized})
	default:
		return true
	}
	return false
}

// request reads the body as a message of this name.
func (d *gemini) request(x *exchange, message string) map[string]any {
	v, err := decode(x.body)
	if err != nil {
		x.refuse(&failure{kind: failInvalid, message: "Invalid JSON payload received. " + err.Error()})
		return nil
	}
	p := &protoReader{}
	o, _ := p.message(message, v, "").(map[string]any)
	if f := p.failure(); f != nil {
		x.refuse(f)
		return nil
	}
	return o
}

func (d *gemini) generate(x *exchange, model string, stream bool) {
	o := d.request(x, "GenerateContentRequest")
	if o == nil {
		return
	}
	t, f := d.read(o, model)
	if f != nil {
		x.refuse(f)
		return
	}
	t.stream, t.tokens = stream, (len(x.body)+3)/4+1
	x.answer(t, func(p *plan) {
		p.reply.id = x.serial("")[10:]
		p.d.crlf = true
		if x.r.URL.Query().Get("alt") != "sse" {
			p.d.style = styleArray
		}
		for i := range p.reply.parts {
			if p.reply.parts[i].kind == callPart && t.third {
				p.reply.parts[i].id = x.serial("")[16:]
			}
		}
		d.sign(t, &p.reply)
	})
}

// sign puts the signature of the turn's thoughts where the service puts it: on
// the first call; without a call, of the 3.x models alone, on the last text.
func (d *gemini) sign(t *turn, r *reply) {
	for i := range r.parts {
		if r.parts[i].kind == callPart && (t.third || t.thinking) {
			r.parts[i].seal = signThought(d.s.next())
			return
		}
	}
	if t.third && len(r.parts) > 0 {
		r.parts[len(r.parts)-1].seal = signThought(d.s.next())
	}
}

// signThought makes a thought signature. Its envelope is that of Gemini 3's:
// field 2, in it field 1, which is no message as Claude's is.
func signThought(serial int) string {
	nonce := binary.BigEndian.AppendUint64(make([]byte, 16, 24), uint64(serial))
	return base64.StdEncoding.EncodeToString(field(2, field(1, append(nonce, mac(nonce, "thought signature")...))))
}

// skipSignature are what Google documents for histories of other models.
var skipSignature = []string{"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}

// ownSignature says whether a signature was made here or is one that skips the
// check.
func ownSignature(s string) bool {
	if slices.Contains(skipSignature, s) {
		return true
	}
	raw, err := anyBase64(s)
	if err != nil {
		return false
	}
	if slices.Contains(skipSignature, string(raw)) {
		return true
	}
	outer, ok := take(raw, 2)
	inner, ok2 := take(outer, 1)
	return ok && ok2 && len(inner) == 24+32 && hmac.Equal(inner[24:], mac(inner[:24], "thought signature"))
}

func (d *gemini) count(x *exchange, model string) {
	o := d.request(x, "CountTokensRequest")
	if o == nil {
		return
	}
	whole, inner := object(o["generateContentRequest"]), o["contents"] != nil
	if whole == nil {
		whole = map[string]any{"contents": o["contents"]}
	} else if inner {
		x.refuse(invalid("* CountTokensRequest.generate_content_request: contents and generate_content_request must not both be set"))
		return
	}
	t, f := d.read(whole, model)
	if f != nil {
		x.refuse(f)
		return
	}
	if x.blocked(t) {
		return
	}
	n := (len(x.body)+3)/4 + 1
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("totalTokens", n, "promptTokensDetails", modality(n)))
}

func modality(n int) []ordered { return []ordered{obj("modality", "TEXT", "tokenCount", n)} }

// vectors makes one embedding.
func (d *gemini) vectors(x *exchange, o map[string]any, model string) (ordered, bool) {
	m, ok := d.find(model)
	if !ok || (!m.embeds && !m.open) {
		x.refuse(&failure{kind: failNotFound, message: "models/" + model + " is not found for API version v1beta, or is not supported for embedContent. " +
			"Call ListModels to see the list of available models and their supported methods."})
		return nil, false
	}
	content := object(o["content"])
	if len(list(content["parts"])) == 0 {
		x.refuse(invalid("* EmbedContentRequest.content: contents is not specified"))
		return nil, false
	}
	return obj("values", vector(string(encode(content)), int(number(o["outputDimensionality"], 8)))), true
}

func (d *gemini) embed(x *exchange, model string) {
	o := d.request(x, "EmbedContentRequest")
	if o == nil || x.blocked(&turn{}) {
		return
	}
	if v, ok := d.vectors(x, o, model); ok {
		d.head(x.w.Header(), &plan{})
		writeJSON(x.w, http.StatusOK, obj("embedding", v))
	}
}

func (d *gemini) batchEmbed(x *exchange, model string) {
	o := d.request(x, "BatchEmbedContentsRequest")
	if o == nil || x.blocked(&turn{}) {
		return
	}
	out := []ordered{}
	for i, v := range list(o["requests"]) {
		one := object(v)
		if one["model"] != "models/"+model {
			x.refuse(invalid("* BatchEmbedContentsRequest.requests[" + strconv.Itoa(i) + "].model: model must match the parent, models/" + model))
			return
		}
		vec, ok := d.vectors(x, one, model)
		if !ok {
			return
		}
		out = append(out, vec)
	}
	if len(out) == 0 {
		x.refuse(invalid("* BatchEmbedContentsRequest.requests: at least one request is required"))
		return
	}
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("embeddings", out))
}

// list answers one model or a page of all.
func (d *gemini) list(x *exchange) {
	if !d.authorized(x) || x.blocked(&turn{}) {
		return
	}
	d.head(x.w.Header(), &plan{})
	if id := x.r.PathValue("id"); id != "" {
		m, ok := d.find(id)
		if !ok {
			x.refuse(&failure{kind: failNotFound, model: id})
			return
		}
		writeJSON(x.w, http.StatusOK, m.entry())
		return
	}
	q := x.r.URL.Query()
	size := 50
	if text := q.Get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			x.refuse(invalid("* ListModelsRequest.page_size: must be non-negative"))
			return
		}
		size = min(max(n, 1), 1000)
	}
	begin := 0
	if token := q.Get("pageToken"); token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		begin, _ = strconv.Atoi(strings.TrimPrefix(string(raw), "page:"))
		if err != nil || begin < 1 || begin > len(d.models) {
			x.refuse(invalid("* ListModelsRequest.page_token: invalid page token"))
			return
		}
	}
	end := min(begin+size, len(d.models))
	page := []ordered{}
	for _, m := range d.models[begin:end] {
		page = append(page, m.entry())
	}
	out := obj("models", page)
	if end < len(d.models) {
		out = out.with("nextPageToken", base64.RawURLEncoding.EncodeToString([]byte("page:"+strconv.Itoa(end))))
	}
	writeJSON(x.w, http.StatusOK, out)
}

func (m geminiModel) entry() ordered {
	methods := []string{"generateContent", "countTokens", "createCachedContent", "batchGenerateContent"}
	if m.embeds {
		methods = []string{"embedContent", "countTextTokens", "countTokens"}
	}
	out := obj("name", "models/"+m.id, "version", "001", "displayName", strings.ReplaceAll(m.id, "-", " "), "description", "A simulated model.",
		"inputTokenLimit", 1048576, "outputTokenLimit", geminiOutput, "supportedGenerationMethods", methods)
	if !m.embeds {
		out = append(out, obj("temperature", 1, "topP", 0.95, "topK", 64, "maxTemperature", 2, "thinking", true)...)
	}
	return out
}

const geminiOutput = 65536

// geminiErrors are code, status and usual text of each kind of failure.
var geminiErrors = map[string]struct {
	code         int
	status, text string
}{
	failInvalid:      {400, "INVALID_ARGUMENT", "Request contains an invalid argument."},
	failSignature:    {400, "INVALID_ARGUMENT", "Corrupted thought signature."},
	failUnauthorized: {400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."},
	failBilling: {429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. " +
		"Please go to AI Studio at https://ai.studio/projects to manage your project and billing."},
	failQuota: {429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details. " +
		"For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."},
	failForbidden: {403, "PERMISSION_DENIED", "Your project has been denied access. Please contact support."},
	failNotFound:  {404, "NOT_FOUND", ""},
	failTooLong:   {400, "INVALID_ARGUMENT", ""},
	failTooLarge:  {400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."},
	failRate:      {429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."},
	failServer: {500, "INTERNAL", "An internal error has occurred. " +
		"Please retry or report in https://developers.generativeai.google/guide/troubleshooting"},
	failTimeout:  {504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."},
	failOverload: {503, "UNAVAILABLE", "The model is overloaded. Please try again later."},
	failLocation: {400, "FAILED_PRECONDITION", "User location is not supported for the API use."},
}

func (d *gemini) refuse(f *failure) (int, http.Header, any) {
	e := geminiErrors[f.kind]
	text, details := f.message, f.details
	if text == "" || f.kind == failSignature {
		text = e.text
	}
	if f.status != 0 {
		e.code = f.status
	}
	if f.code == "UNAUTHENTICATED" {
		e.status = f.code
	}
	switch f.kind {
	case failNotFound:
		if f.message == "" {
			text = "models/" + f.model + " is not found for API version v1beta, or is not supported for generateContent. " +
				"Call ListModels to see the list of available models and their supported methods."
		}
	case failTooLong:
		text = "The input token count (" + strconv.Itoa(f.limit[0]) + ") exceeds the maximum number of tokens allowed (" + strconv.Itoa(f.limit[1]) + ")."
	case failUnauthorized:
		details = append(details, obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", "API_KEY_INVALID", "domain", "googleapis.com",
			"metadata", obj("service", "generativelanguage.googleapis.com")))
	case failRate, failQuota:
		per := map[string]string{failRate: "Minute", failQuota: "Day"}[f.kind]
		details = append(details, obj("@type", "type.googleapis.com/google.rpc.QuotaFailure", "violations", []ordered{obj(
			"quotaMetric", "generativelanguage.googleapis.com/generate_content_free_tier_requests",
			"quotaId", "GenerateRequestsPer"+per+"PerProjectPerModel-FreeTier",
			"quotaDimensions", obj("location", "global", "model", "gemini-sim"), "quotaValue", "20")}))
	}
	if f.retryAfter != "" {
		if f.kind == failRate {
			text += "\nPlease retry in " + f.retryAfter + "s."
		}
		details = append(details, obj("@type", "type.googleapis.com/google.rpc.RetryInfo", "retryDelay", f.retryAfter+"s"))
	}
	out := obj("code", e.code, "message", text, "status", e.status)
	if len(details) > 0 {
		out = out.with("details", details)
	}
	return e.code, http.Header{}, obj("error", out)
}

// errorFrames is a piece with an error; nothing follows it.
func (d *gemini) errorFrames(f *failure, _ *turn, _ *reply, _ int) []frame {
	_, _, body := d.refuse(f)
	return []frame{jsonFrame("", body)}
}
