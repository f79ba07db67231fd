package simulator

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// responses is OpenAI's Responses API. Keys, model names, headers and the words
// of most refusals are those of its chat API.
type responses struct {
	*openAI
	kept []*keptResponse // guarded by the server's mutex; the oldest first
}

// keptResponse is what `store` left behind.
type keptResponse struct {
	id         string
	items      []any // the whole conversation: what came in and what went out
	inputs     []any // what came in with this request alone
	body       ordered
	background bool
}

// mostKept bounds the responses that stay; the service keeps them for 30 days.
const mostKept = 256

func newResponses(s *Server) http.Handler {
	d := &responses{openAI: &openAI{s: s, name: Responses, strict: true, models: slices.Concat(openAIModels, s.opts.Models)}}
	s.forget = append(s.forget, func() { d.kept = nil })
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/responses", s.endpoint(d, Responses, d.create))
	mux.HandleFunc("POST /v1/responses/compact", s.endpoint(d, Responses+"/compact", d.compact))
	mux.HandleFunc("POST /v1/responses/input_tokens", s.endpoint(d, Responses+"/input_tokens", d.count))
	mux.HandleFunc("GET /v1/responses/{id}", s.endpoint(d, Responses+"/stored", d.stored))
	mux.HandleFunc("DELETE /v1/responses/{id}", s.endpoint(d, Responses+"/stored", d.stored))
	mux.HandleFunc("POST /v1/responses/{id}/cancel", s.endpoint(d, Responses+"/stored", d.stored))
	mux.HandleFunc("GET /v1/responses/{id}/input_items", s.endpoint(d, Responses+"/stored", d.inputItems))
	mux.HandleFunc("POST /v1/embeddings", s.endpoint(d, Responses+"/embeddings", d.embed))
	mux.HandleFunc("GET /v1/models", s.endpoint(d, Responses+"/models", d.list))
	mux.HandleFunc("GET /v1/models/{id...}", s.endpoint(d, Responses+"/models", d.list))
	mux.HandleFunc("/", s.endpoint(d, Responses+"/unknown", func(x *exchange) {
		x.refuse(&failure{kind: failNotFound, code: "unknown_url", message: "Invalid URL (" + x.r.Method + " " + x.r.URL.Path + ")"})
	}))
	return mux
}

// refuse writes an error as the chat API does; only a prompt that is too long
// is told in other words.
func (d *responses) refuse(f *failure) (int, http.Header, any) {
	if f.kind == failTooLong {
		f = &failure{kind: failInvalid, code: "context_length_exceeded", param: "input",
			message: "Your input exceeds the context window of this model. Please adjust your input and try again."}
	}
	if f.kind == failSignature {
		f = &failure{kind: failInvalid, code: "invalid_encrypted_content",
			message: "The encrypted content gAAA...AA== could not be verified. Reason: Encrypted content could not be decrypted or parsed."}
	}
	return d.openAI.refuse(f)
}

// request reads the body and checks it; nil means that it was refused.
func (d *responses) request(x *exchange, fields map[string]rule) *turn {
	if !d.authorized(x) {
		return nil
	}
	o, f := x.object()
	var t *turn
	if f == nil {
		t, f = d.read(o, fields)
	}
	if f != nil {
		x.refuse(f)
		return nil
	}
	t.tokens = (len(x.body)+3)/4 + 1
	return t
}

func (d *responses) create(x *exchange) {
	t := d.request(x, responsesFields)
	if t == nil {
		return
	}
	x.answer(t, func(p *plan) {
		p.reply.id = x.serial("resp_")
		for i := range p.reply.parts {
			d.name(x, &p.reply.parts[i])
		}
		p.reply.model, p.reply.created = t.model, d.s.opts.Now()
		if p.fail == nil && p.d.raw == nil && t.request["store"] != false {
			d.keep(t, &p.reply)
		}
	})
}

// name gives a part its item id, a call its call id, a thought its seal.
func (d *responses) name(x *exchange, p *part) {
	switch p.kind {
	case reasoningPart, redactedPart:
		p.item = x.serial("rs_")
		p.seal = encrypt(p.item, d.s.next())
	case callPart:
		p.id, p.item = x.serial("call_"), x.serial("fc_")
		if p.custom {
			p.item = strings.Replace(p.item, "fc_", "ctc_", 1)
		}
	default:
		p.item = x.serial("msg_")
	}
}

// keep stores a response and the conversation up to it.
func (d *responses) keep(t *turn, r *reply) {
	status, _ := responseStatus(r)
	body := d.response(t, r, status, d.items(t, r), nil)
	// Stored items are compared with what comes in, so they have its form.
	v, err := decode(encode(d.items(t, r)))
	if err != nil {
		panic("simulator: " + err.Error()) // only values made here get here
	}
	out, _ := v.([]any)
	kept := &keptResponse{id: r.id, inputs: t.inputs, body: body, background: t.request["background"] == true, items: slices.Concat(t.items, out)}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.kept = append(d.kept, kept)
	if over := len(d.kept) - mostKept; over > 0 {
		d.kept = d.kept[over:]
	}
}

// lookup finds a stored response.
func (d *responses) lookup(id string) *keptResponse {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	i := slices.IndexFunc(d.kept, func(k *keptResponse) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return d.kept[i]
}

// item finds a stored item by its id, and the reasoning item that stands
// before it, if one does.
func (d *responses) item(id string) (found map[string]any, thought string) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	for _, k := range d.kept {
		thought = ""
		for _, v := range k.items {
			m, _ := v.(map[string]any)
			if m["id"] == id {
				return m, thought
			}
			if thought = ""; m["type"] == "reasoning" {
				thought, _ = m["id"].(string)
			}
		}
	}
	return nil, ""
}

// stored answers for a response that was kept: read, delete, cancel.
func (d *responses) stored(x *exchange) {
	if !d.authorized(x) || x.blocked(&turn{}) {
		return
	}
	id := x.r.PathValue("id")
	k := d.lookup(id)
	if k == nil {
		x.refuse(&failure{kind: failNotFound, code: "none", message: "Response with id '" + id + "' not found."})
		return
	}
	d.head(x.w.Header(), &plan{})
	switch x.r.Method {
	case http.MethodDelete:
		d.s.mu.Lock()
		d.kept = slices.DeleteFunc(d.kept, func(o *keptResponse) bool { return o == k })
		d.s.mu.Unlock()
		writeJSON(x.w, http.StatusOK, obj("id", id, "object", "response", "deleted", true))
	case http.MethodPost:
		if k.background {
			writeJSON(x.w, http.StatusOK, k.body) // it was done at once: there is nothing to cancel any more
			return
		}
		x.refuse(&failure{kind: failInvalid, message: "Cannot cancel a synchronous response."})
	default:
		writeJSON(x.w, http.StatusOK, k.body)
	}
}

func (d *responses) inputItems(x *exchange) {
	if !d.authorized(x) || x.blocked(&turn{}) {
		return
	}
	k := d.lookup(x.r.PathValue("id"))
	if k == nil {
		x.refuse(&failure{kind: failNotFound, code: "none", message: "Response with id '" + x.r.PathValue("id") + "' not found."})
		return
	}
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("object", "list", "data", k.inputs, "has_more", false))
}

// count answers POST /v1/responses/input_tokens.
func (d *responses) count(x *exchange) {
	t := d.request(x, responsesFields)
	if t == nil || x.blocked(t) {
		return
	}
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("object", "response.input_tokens", "input_tokens", t.tokens))
}

// compact answers POST /v1/responses/compact: what the person said stays, the
// rest becomes one item that only the service can read.
func (d *responses) compact(x *exchange) {
	t := d.request(x, compactFields)
	if t == nil || x.blocked(t) {
		return
	}
	d.compacted(x, t)
}

func (d *responses) compacted(x *exchange, t *turn) {
	output := []any{}
	for _, v := range t.items {
		m, _ := v.(map[string]any)
		if m["role"] != "user" {
			continue
		}
		content, ok := m["content"].([]any)
		if text, isText := m["content"].(string); isText {
			content, ok = []any{obj("type", "input_text", "text", text)}, true
		}
		if ok {
			output = append(output, obj("id", x.serial("msg_"), "type", "message", "status", "completed", "role", "user", "content", content))
		}
	}
	id := x.serial("cmp_")
	output = append(output, obj("id", id, "type", "compaction", "encrypted_content", encrypt(id, d.s.next())))
	r := &reply{usage: tokens{in: t.tokens, out: 12}}
	x.d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("id", x.serial("resp_"), "object", "response.compaction", "created_at", d.s.opts.Now().Unix(),
		"output", output, "usage", d.usage(r)))
}

// encrypt makes the content of a reasoning item that only the service reads.
// It looks like the vendor's: a Fernet token, version 0x80, so that it begins
// with gAAAAA. The item it belongs to is part of it.
func encrypt(item string, serial int) string {
	body := append([]byte{0x80}, 0, 0, 0, 0, 0x6a, 0xb1, 0x3b, 0x80)
	nonce := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(serial))
	nonce = append(nonce, make([]byte, 8)...)
	body = append(body, nonce...)
	body = append(body, byte(len(item)))
	body = append(body, item...)
	return base64.URLEncoding.EncodeToString(append(body, mac(body, "encrypted content")...))
}

// decrypt returns the item that encrypted content was made for; ok is false
// for anything that encrypt did not make.
func decrypt(content string) (item string, ok bool) {
	raw, err := base64.URLEncoding.DecodeString(content)
	if err != nil || len(raw) < 58 || raw[0] != 0x80 {
		return "", false
	}
	body, sum := raw[:len(raw)-32], raw[len(raw)-32:]
	if !hmac.Equal(sum, mac(body, "encrypted content")) || len(body) != 26+int(body[25]) {
		return "", false
	}
	return string(body[26:]), true
}

// obfuscation is the padding that hides the length of a delta.
func obfuscation(n int) string {
	return hex.EncodeToString(mac([]byte{byte(n), byte(n >> 8)}, "padding"))[:8+n%8]
}
