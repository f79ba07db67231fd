package openai

import (
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// decoder reads the body of one request.
type decoder struct {
	req    *canon.Request
	o      canon.Object
	fields map[string]field
	reason reasonSources

	maxTokens, maxCompletion *int64
	safetyID                 string
	functionCall             jsontext.Value // the old form of tool_choice
	best                     *int64
}

// field reads the member name of a body. v is not null.
type field func(d *decoder, name string, v jsontext.Value) error

func newDecoder(op wire.Op, o canon.Object) *decoder {
	d := &decoder{o: o, fields: chatFields, req: &canon.Request{Format: Name, Op: string(op), Body: o}}
	if op == OpCompletions {
		d.fields = completionFields
	}
	return d
}

// into reads a member into a field of the request, with the type that the field has.
func into(dst func(*canon.Request) any) field {
	return func(d *decoder, name string, v jsontext.Value) error { return wire.ReadValue(v, name, dst(d.req)) }
}

// whole reads an integer into a field of the request, at least low.
func whole(low int64, dst func(*canon.Request) **int64) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		n, err := readInt(v, name, low)
		if err == nil {
			*dst(d.req) = n
		}
		return err
	}
}

// keep holds a member that canon has no word for.
func keep(d *decoder, name string, v jsontext.Value) error {
	if d.req.Ext == nil {
		d.req.Ext = map[string]jsontext.Value{}
	}
	d.req.Ext[name] = v
	return nil
}

// skip is for members that are read elsewhere.
func skip(*decoder, string, jsontext.Value) error { return nil }

// sharedFields are those of chat and of legacy completions.
var sharedFields = map[string]field{
	"model":              into(func(r *canon.Request) any { return &r.ModelAsked }),
	"stream":             into(func(r *canon.Request) any { return &r.Stream }),
	"stream_options":     readStreamOptions,
	"temperature":        into(func(r *canon.Request) any { return &r.Sampling.Temperature }),
	"top_p":              into(func(r *canon.Request) any { return &r.Sampling.TopP }),
	"min_p":              into(func(r *canon.Request) any { return &r.Sampling.MinP }),
	"presence_penalty":   into(func(r *canon.Request) any { return &r.Sampling.Presence }),
	"frequency_penalty":  into(func(r *canon.Request) any { return &r.Sampling.Frequency }),
	"repetition_penalty": into(func(r *canon.Request) any { return &r.Sampling.Repeat }),
	"top_k":              whole(math.MinInt64, func(r *canon.Request) **int64 { return &r.Sampling.TopK }),
	"seed":               whole(math.MinInt64, func(r *canon.Request) **int64 { return &r.Sampling.Seed }),
	"n":                  whole(1, func(r *canon.Request) **int64 { return &r.Sampling.N }),
	"logit_bias":         readObject(func(r *canon.Request) *jsontext.Value { return &r.Sampling.LogitBias }),
	"stop":               readStop,
	"max_tokens": func(d *decoder, name string, v jsontext.Value) (err error) {
		d.maxTokens, err = readInt(v, name, 1)
		return
	},
	"max_completion_tokens": func(d *decoder, name string, v jsontext.Value) (err error) {
		d.maxCompletion, err = readInt(v, name, 1)
		return
	},
	"user": into(func(r *canon.Request) any { return &r.UserID }),
}

// chatFields are all fields of a chat request.
var chatFields = with(sharedFields, map[string]field{
	"messages":            skip,
	"tools":               readTools,
	"functions":           readFunctions,
	"function_call":       func(d *decoder, _ string, v jsontext.Value) error { d.functionCall = v; return nil },
	"tool_choice":         readToolChoice,
	"parallel_tool_calls": into(func(r *canon.Request) any { return &r.Parallel }),
	"web_search_options":  readWebSearch,
	"response_format":     readFormat,
	"logprobs":            into(func(r *canon.Request) any { return &r.Sampling.Logprobs }),
	"top_logprobs":        whole(0, func(r *canon.Request) **int64 { return &r.Sampling.TopLogprobs }),
	"verbosity":           into(func(r *canon.Request) any { return &r.Verbosity }),
	"service_tier":        into(func(r *canon.Request) any { return &r.ServiceTier }),
	"prompt_cache_key":    into(func(r *canon.Request) any { return &r.PromptCacheKey }),
	"safety_identifier":   func(d *decoder, name string, v jsontext.Value) error { return wire.ReadValue(v, name, &d.safetyID) },
	"store":               into(func(r *canon.Request) any { return &r.State.Store }),
	"metadata":            readObject(func(r *canon.Request) *jsontext.Value { return &r.Metadata }),
	"modalities":          into(func(r *canon.Request) any { return &r.Modalities }),
	"audio":               readObject(func(r *canon.Request) *jsontext.Value { return &r.Audio }),
	"cache_control": func(d *decoder, name string, v jsontext.Value) (err error) {
		d.req.Cache, err = readCache(v, name)
		return
	},
	"reasoning_effort": readEffort,
	"reasoning":        readReasoning,
	"thinking":         readThinking(fromThinking),
	"enable_thinking":  readEnable,
	"thinking_budget":  readThinkBudget,
	"anthropic":        readAnthropic,
	"google":           readGoogle,
	"extra_body":       readExtraBody,
})

func with(base, more map[string]field) map[string]field {
	out := make(map[string]field, len(base)+len(more))
	for k, f := range base {
		out[k] = f
	}
	for k, f := range more {
		out[k] = f
	}
	return out
}

// scalars reads every member but the conversation.
func (d *decoder) scalars() error {
	for _, m := range d.o.Members {
		if err := d.member(m.Name, d.o.Raw[m.ValueStart:m.ValueEnd]); err != nil {
			return err
		}
	}
	d.req.MaxTokens = d.maxCompletion
	if d.req.MaxTokens == nil {
		d.req.MaxTokens = d.maxTokens
	}
	if d.req.ModelAsked == "" {
		return apierror.Invalid("model", "model is required: name the model that shall answer")
	}
	d.req.Model = d.req.ModelAsked
	if d.safetyID != "" {
		if d.req.UserID == "" {
			d.req.UserID = d.safetyID
		}
		quoted := wire.AppendString(nil, d.safetyID)
		if err := keep(d, "safety_identifier", quoted); err != nil {
			return err
		}
	}
	d.req.Reasoning = d.reason.pick()
	return d.oldChoice()
}

func (d *decoder) member(name string, v jsontext.Value) error {
	if v.Kind() == 'n' { // null is absent
		return nil
	}
	if path, ok := strings.CutPrefix(name, "extra_body."); ok {
		return d.dotted(name, path, v)
	}
	f, ok := d.fields[name]
	if !ok {
		f = keep
	}
	return f(d, name, v)
}

// dotted reads a member whose name spells a path below extra_body, as AIClient-2-API documents it.
func (d *decoder) dotted(name, path string, v jsontext.Value) error {
	switch path {
	case "anthropic.thinking":
		return readThinking(fromExtraAnthropic)(d, name, v)
	case "google.thinking_config", "google.thinkingConfig":
		return d.googleConfig(name, v, fromExtraGoogle)
	case "anthropic":
		return d.anthropic(name, v, fromExtraAnthropic)
	case "google":
		return d.google(name, v, fromExtraGoogle)
	}
	if strings.Contains(path, ".") || d.o.Has(path) {
		return nil
	}
	return d.member(path, v)
}

// readExtraBody reads a literal extra_body, which some tools send instead of merging it into the body.
func readExtraBody(d *decoder, name string, v jsontext.Value) error {
	o, err := canon.ParseObject(v)
	if err != nil {
		return apierror.Invalid(name, "%s must be an object", name)
	}
	for _, m := range o.Members {
		v := o.Raw[m.ValueStart:m.ValueEnd]
		if err := d.dotted(name+"."+m.Name, m.Name, v); err != nil {
			return err
		}
	}
	return nil
}

// readInt reads an integer of at least low. A number such as 8000.0 is one.
func readInt(v jsontext.Value, name string, low int64) (*int64, error) {
	var n int64
	if json.Unmarshal(v, &n) != nil {
		var f float64
		if err := wire.ReadValue(v, name, &f); err != nil {
			return nil, err
		}
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, apierror.Invalid(name, "%s must be a whole number", name)
		}
		n = int64(f)
	}
	if n < low {
		return nil, apierror.Invalid(name, "%s must be at least %d", name, low)
	}
	return &n, nil
}

func readObject(dst func(*canon.Request) *jsontext.Value) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		if v.Kind() != '{' {
			return apierror.Invalid(name, "%s must be an object", name)
		}
		*dst(d.req) = v
		return nil
	}
}

func readStreamOptions(d *decoder, name string, v jsontext.Value) error {
	var so struct {
		IncludeUsage bool `json:"include_usage"`
	}
	if err := wire.ReadValue(v, name, &so); err != nil {
		return err
	}
	d.req.IncludeUsage = so.IncludeUsage
	return nil
}

// readStop reads one stop string or several. Empty ones stop nothing and are left out.
func readStop(d *decoder, name string, v jsontext.Value) error {
	if v.Kind() == '"' {
		var s string
		if err := wire.ReadValue(v, name, &s); err != nil {
			return err
		}
		if s != "" {
			d.req.Stop = []string{s}
		}
		return nil
	}
	if err := wire.ReadValue(v, name, &d.req.Stop); err != nil {
		return err
	}
	d.req.Stop = slices.DeleteFunc(d.req.Stop, func(s string) bool { return s == "" })
	return nil
}

// readFormat reads response_format.
func readFormat(d *decoder, name string, v jsontext.Value) error {
	var f struct {
		Type       string `json:"type"`
		JSONSchema *struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Schema      jsontext.Value `json:"schema"`
			Strict      *bool          `json:"strict"`
		} `json:"json_schema"`
	}
	if err := wire.ReadValue(v, name, &f); err != nil {
		return err
	}
	out := &d.req.Output
	switch f.Type {
	case "text", "":
		out.Kind = canon.OutputText
	case "json_object":
		out.Kind = canon.OutputJSON
	case "json_schema":
		if f.JSONSchema == nil {
			return apierror.Invalid(name+".json_schema", "%s.json_schema is required with type json_schema", name)
		}
		js := f.JSONSchema
		if len(js.Schema) > 0 && js.Schema.Kind() != 'n' && js.Schema.Kind() != '{' {
			return apierror.Invalid(name+".json_schema.schema", "%s.json_schema.schema must be an object", name)
		}
		*out = canon.Output{Kind: canon.OutputSchema, Name: js.Name, Description: js.Description, Schema: js.Schema, Strict: js.Strict}
	default:
		return apierror.Invalid(name+".type", "%s.type must be text, json_object or json_schema", name)
	}
	return nil
}

// readCache reads a cache_control mark. Its only type is ephemeral; what else a client writes is no hint.
func readCache(v jsontext.Value, name string) (*canon.Cache, error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, nil
	}
	var c struct {
		Type string `json:"type"`
		TTL  string `json:"ttl"`
	}
	if err := wire.ReadValue(v, name, &c); err != nil {
		return nil, err
	}
	if c.TTL != "5m" && c.TTL != "1h" {
		c.TTL = ""
	}
	return &canon.Cache{TTL: c.TTL}, nil
}

// forwarded are the client's headers that an upstream of the same format may see.
var forwarded = []string{"Openai-Beta", "Idempotency-Key"}

// session reads what the headers say, and the key of the conversation if the client names one.
func (d *decoder) session(r *http.Request) {
	h := http.Header{}
	if r != nil {
		h = r.Header
	}
	for _, name := range forwarded {
		if v := h.Values(name); len(v) > 0 {
			if d.req.Headers == nil {
				d.req.Headers = map[string][]string{}
			}
			d.req.Headers[name] = v
		}
	}
	for _, id := range []string{
		h.Get("X-Claude-Code-Session-Id"), metadataSession(d.req.Metadata), h.Get("Session-Id"), d.req.PromptCacheKey,
		h.Get("X-Session-Id"), h.Get("X-Conversation-Id"), h.Get("Conversation-Id"),
	} {
		if id != "" {
			d.req.Conversation = id
			return
		}
	}
}

// metadataSession finds a session's id in the metadata: below user_id, which holds JSON with some clients, or as
// sessionId (qwen-code 0.15.10).
func metadataSession(m jsontext.Value) string {
	if len(m) == 0 {
		return ""
	}
	if inner := text(member(m, "user_id")); strings.HasPrefix(inner, "{") {
		if id := text(member([]byte(inner), "session_id")); id != "" {
			return id
		}
	}
	return text(member(m, "sessionId"))
}
