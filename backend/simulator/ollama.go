package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ollama is a local server with its own API and OpenAI's chat beside it. It
// asks for no key. Facts of Ollama v0.17.4 (api/types.go, server/routes.go).
type ollama struct {
	s      *Server
	models []ollamaModel
	used   map[string]bool // models that were called; guarded by the server's mutex
}

type ollamaModel struct {
	name, family, size string
	context            int
	can                []string // capabilities
}

var ollamaModels = []ollamaModel{
	{"qwen3:8b", "qwen3", "8.2B", 40960, []string{"completion", "tools", "thinking"}},
	{"gpt-oss:20b", "gptoss", "20.9B", 131072, []string{"completion", "tools", "thinking"}},
	{"llama3.2:latest", "llama", "3.2B", 131072, []string{"completion", "tools"}},
	{"qwen3-vl:8b", "qwen3vl", "8.8B", 262144, []string{"completion", "vision", "tools", "thinking"}},
	{"gemma3:4b", "gemma3", "4.3B", 131072, []string{"completion", "vision"}},
	{"nomic-embed-text:latest", "nomic-bert", "137M", 2048, []string{"embedding"}},
}

func newOllama(s *Server) http.Handler {
	d := &ollama{s: s, models: slices.Clone(ollamaModels), used: map[string]bool{}}
	for _, id := range s.opts.Models {
		d.models = append(d.models, ollamaModel{id, "sim", "1B", 131072, []string{"completion", "vision", "tools", "thinking"}})
	}
	s.forget = append(s.forget, func() { clear(d.used) })
	mux := http.NewServeMux()
	at := func(pattern, queue string, serve func(*exchange)) {
		mux.HandleFunc(pattern, s.endpoint(d, queue, serve))
	}
	at("POST /api/chat", Ollama, d.chat)
	at("POST /api/generate", Ollama, d.generate)
	at("POST /api/embed", Ollama+"/embed", d.embed)
	at("POST /api/embeddings", Ollama+"/embed", d.embedOld)
	at("GET /api/tags", Ollama+"/tags", d.tags)
	at("POST /api/show", Ollama+"/show", d.show)
	at("POST /api/pull", Ollama+"/pull", d.pull)
	at("GET /api/ps", Ollama+"/ps", d.ps)
	at("GET /api/version", Ollama+"/version", func(x *exchange) {
		if !x.blocked(&turn{}) {
			writeJSON(x.w, http.StatusOK, obj("version", "0.17.4"))
		}
	})
	mux.Handle("/v1/", d.chatFace())
	at("/", Ollama+"/unknown", func(x *exchange) {
		x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if x.r.URL.Path == "/" && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) {
			x.write([]byte("Ollama is running"))
			return
		}
		x.w.WriteHeader(http.StatusNotFound)
		x.write([]byte("404 page not found"))
	})
	return mux
}

// chatFace is OpenAI's chat as the local server serves it: no key, the thought
// in `reasoning`, errors of another type.
func (d *ollama) chatFace() http.Handler {
	names := []string{}
	for _, m := range d.models {
		names = append(names, m.name)
	}
	face := &openAI{s: d.s, name: Ollama, models: names, local: true}
	return face.handler()
}

func (d *ollama) id() string { return Ollama }

func (d *ollama) head(http.Header, *plan) {}

// find looks a model up: case does not matter and `latest` may be missing.
func (d *ollama) find(name string) (ollamaModel, bool) {
	base, _, _ := strings.Cut(name, "@")
	for _, m := range d.models {
		if strings.EqualFold(m.name, base) || strings.EqualFold(m.name, base+":latest") {
			return m, true
		}
	}
	if strings.HasPrefix(name, "sim-") {
		return ollamaModel{name, "sim", "1B", 131072, []string{"completion", "vision", "tools", "thinking"}}, true
	}
	return ollamaModel{}, false
}

func (m ollamaModel) able(what string) bool { return slices.Contains(m.can, what) }

// request reads the body; nil means that it was refused.
func (d *ollama) request(x *exchange) map[string]any {
	if len(x.body) == 0 {
		x.refuse(invalid("missing request body"))
		return nil
	}
	v, err := decode(x.body)
	o, ok := v.(map[string]any)
	switch {
	case err != nil:
		x.refuse(invalid(err.Error()))
	case !ok:
		x.refuse(invalid("json: cannot unmarshal " + goKind(v) + " into Go value of type api.ChatRequest"))
	default:
		return o
	}
	return nil
}

// model finds the model that a request names and notes that it is loaded now.
func (d *ollama) model(o map[string]any) (ollamaModel, *failure) {
	name, _ := o["model"].(string)
	if name == "" {
		return ollamaModel{}, invalid("model is required")
	}
	m, ok := d.find(name)
	if !ok {
		return m, &failure{kind: failNotFound, model: name}
	}
	d.s.mu.Lock()
	d.used[m.name] = true
	d.s.mu.Unlock()
	return m, nil
}

func (d *ollama) chat(x *exchange)     { d.answer(x, false) }
func (d *ollama) generate(x *exchange) { d.answer(x, true) }

func (d *ollama) answer(x *exchange, prompt bool) {
	o := d.request(x)
	if o == nil {
		return
	}
	m, f := d.model(o)
	c := &ollamaCheck{f: f, model: m, t: &turn{n: 1, parallel: true, prompt: prompt, request: o}}
	c.read(o)
	if c.f != nil {
		x.refuse(c.f)
		return
	}
	t := c.t
	t.tokens = (len(x.body)+3)/4 + 1
	if t.load != "" {
		if !x.blocked(t) {
			d.loaded(x, t)
		}
		return
	}
	x.answer(t, func(p *plan) {
		p.d.style = styleLines
		for i := range p.reply.parts {
			if p.reply.parts[i].kind == callPart {
				p.reply.parts[i].id = "call_" + x.serial("")[16:]
			}
		}
	})
}

// loaded answers a request that only wants the model in memory, or out of it.
func (d *ollama) loaded(x *exchange, t *turn) {
	out := d.line(t, &reply{model: t.model, created: d.s.opts.Now()}, "", "", nil)
	out = append(out, obj("done", true, "done_reason", t.load)...)
	writeJSON(x.w, http.StatusOK, out)
}

func (m ollamaModel) digest() string {
	sum := sha256.Sum256([]byte(m.name))
	return hex.EncodeToString(sum[:])
}

func (m ollamaModel) details() ordered {
	return obj("parent_model", "", "format", "gguf", "family", m.family, "families", []string{m.family}, "parameter_size", m.size,
		"quantization_level", "Q4_K_M")
}

func (m ollamaModel) entry() ordered {
	return obj("name", m.name, "model", m.name, "modified_at", "2026-01-01T00:00:00.000000001Z", "size", 5_225_388_164,
		"digest", m.digest(), "details", m.details())
}

func (d *ollama) tags(x *exchange) {
	if x.blocked(&turn{}) {
		return
	}
	out := []ordered{}
	for _, m := range d.models {
		out = append(out, m.entry())
	}
	writeJSON(x.w, http.StatusOK, obj("models", out))
}

func (d *ollama) ps(x *exchange) {
	if x.blocked(&turn{}) {
		return
	}
	out := []ordered{}
	for _, m := range d.models {
		d.s.mu.Lock()
		used := d.used[m.name]
		d.s.mu.Unlock()
		if used {
			out = append(out, obj("name", m.name, "model", m.name, "size", 6_000_000_000, "digest", m.digest(), "details", m.details(),
				"expires_at", d.s.opts.Now().Add(5*time.Minute).UTC(), "size_vram", 6_000_000_000, "context_length", 4096))
		}
	}
	writeJSON(x.w, http.StatusOK, obj("models", out))
}

func (d *ollama) show(x *exchange) {
	o := d.request(x)
	if o == nil || x.blocked(&turn{}) {
		return
	}
	name, _ := o["model"].(string)
	if name == "" {
		name, _ = o["name"].(string) // the old form
	}
	if name == "" {
		x.refuse(invalid("model is required"))
		return
	}
	m, ok := d.find(name)
	if !ok {
		x.refuse(&failure{kind: failNotFound, message: "model '" + name + "' not found"})
		return
	}
	writeJSON(x.w, http.StatusOK, obj("license", "", "modelfile", "# a simulated model\nFROM "+m.name+"\n", "parameters", "temperature 0.7",
		"template", "{{ .Prompt }}", "details", m.details(), "model_info", obj("general.architecture", m.family, "general.parameter_count", 8_190_735_360,
			m.family+".context_length", m.context, m.family+".embedding_length", 4096), "capabilities", m.can, "modified_at", "2026-01-01T00:00:00Z"))
}

func (d *ollama) pull(x *exchange) {
	o := d.request(x)
	if o == nil || x.blocked(&turn{}) {
		return
	}
	name, _ := o["model"].(string)
	_, ok := d.find(name)
	if o["stream"] == false {
		if !ok {
			x.refuse(&failure{kind: failServer, message: "pull model manifest: file does not exist"})
			return
		}
		writeJSON(x.w, http.StatusOK, obj("status", "success"))
		return
	}
	x.w.Header().Set("Content-Type", "application/x-ndjson")
	x.write([]byte(`{"status":"pulling manifest"}` + "\n"))
	if !ok {
		x.write([]byte(`{"error":"pull model manifest: file does not exist"}` + "\n"))
		return
	}
	x.write([]byte(`{"status":"success"}` + "\n"))
}

// inputs reads the input of an embedding request.
func (d *ollama) inputs(v any) ([]string, error) {
	switch in := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{in}, nil
	case []any:
		out := []string{}
		for _, one := range in {
			s, ok := one.(string)
			if !ok {
				return nil, errors.New("invalid input type")
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, errors.New("invalid input type")
}

func (d *ollama) embed(x *exchange) {
	o := d.request(x)
	if o == nil || x.blocked(&turn{}) {
		return
	}
	_, f := d.model(o)
	in, err := d.inputs(o["input"])
	if f == nil && err != nil {
		f = invalid(err.Error())
	}
	if f != nil {
		x.refuse(f)
		return
	}
	out := [][]float32{}
	for _, text := range in {
		out = append(out, vector(text, int(number(o["dimensions"], 8))))
	}
	writeJSON(x.w, http.StatusOK, obj("model", o["model"], "embeddings", out, "total_duration", 14_143_917, "load_duration", 1_019_500,
		"prompt_eval_count", len(x.body)/4))
}

func (d *ollama) embedOld(x *exchange) {
	o := d.request(x)
	if o == nil || x.blocked(&turn{}) {
		return
	}
	if _, f := d.model(o); f != nil {
		x.refuse(f)
		return
	}
	prompt, _ := o["prompt"].(string)
	writeJSON(x.w, http.StatusOK, obj("embedding", vector(prompt, 8)))
}

// ollamaErrors are status and usual text of each kind of failure.
var ollamaErrors = map[string]struct {
	status int
	text   string
}{
	failInvalid: {400, "invalid request"}, failSignature: {400, "invalid request"}, failUnauthorized: {401, "unauthorized"},
	failBilling: {402, "this model requires a subscription, upgrade for access: https://ollama.com/upgrade"},
	failQuota:   {429, "you have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"},
	failRate:    {429, "too many requests"}, failForbidden: {403, "forbidden"}, failLocation: {403, "forbidden"}, failNotFound: {404, ""},
	failTooLong: {400, "the input length exceeds the context length"}, failTooLarge: {413, "http: request body too large"},
	failServer:   {500, "llama runner process has terminated: exit status 2"},
	failTimeout:  {504, "timed out waiting for llama runner to start"},
	failOverload: {503, "server busy, please try again.  maximum pending requests exceeded"},
}

func (d *ollama) refuse(f *failure) (int, http.Header, any) {
	e := ollamaErrors[f.kind]
	text := f.message
	if text == "" {
		text = e.text
	}
	if f.kind == failNotFound && f.message == "" {
		text = "model " + strconv.Quote(f.model) + " not found, try pulling it first"
	}
	if f.status != 0 {
		e.status = f.status
	}
	head := http.Header{}
	if f.retryAfter != "" {
		head.Set("Retry-After", f.retryAfter)
	}
	out := obj("error", text)
	if f.kind == failUnauthorized {
		out = out.with("signin_url", "https://ollama.com/connect?name=sim")
	}
	return e.status, head, out
}

// errorFrames is a line with an error; nothing follows it.
func (d *ollama) errorFrames(f *failure, _ *turn, _ *reply, _ int) []frame {
	_, _, body := d.refuse(f)
	return []frame{jsonFrame("", body)}
}
