package responses

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// decoder reads the body of one request.
type decoder struct {
	req      *canon.Request
	o        canon.Object
	safetyID string
	choice   jsontext.Value
}

// field reads the member name of a body. v is not null.
type field func(d *decoder, name string, v jsontext.Value) error

// into reads a member into a field of the request, with the type that the field has.
func into(dst func(*canon.Request) any) field {
	return func(d *decoder, name string, v jsontext.Value) error { return wire.ReadValue(v, name, dst(d.req)) }
}

// whole reads an integer from low to high into a field of the request.
func whole(low, high int64, dst func(*canon.Request) **int64) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		var n int64
		if err := wire.ReadValue(v, name, &n); err != nil {
			return err
		}
		if n < low || n > high {
			return apierror.Invalid(name, "%s must be from %d to %d", name, low, high)
		}
		*dst(d.req) = &n
		return nil
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

const maxTokens = 1 << 31 // nobody means more

var fields = map[string]field{
	"model":             into(func(r *canon.Request) any { return &r.ModelAsked }),
	"stream":            into(func(r *canon.Request) any { return &r.Stream }),
	"input":             skip,
	"instructions":      skip,
	"max_output_tokens": whole(1, maxTokens, func(r *canon.Request) **int64 { return &r.MaxTokens }),
	"temperature":       into(func(r *canon.Request) any { return &r.Sampling.Temperature }),
	"top_p":             into(func(r *canon.Request) any { return &r.Sampling.TopP }),
	"presence_penalty":  into(func(r *canon.Request) any { return &r.Sampling.Presence }),
	"frequency_penalty": into(func(r *canon.Request) any { return &r.Sampling.Frequency }),
	"top_logprobs":      whole(0, 20, func(r *canon.Request) **int64 { return &r.Sampling.TopLogprobs }),
	"reasoning":         readReasoning,
	"text":              readText,
	"tools":             readTools,
	"tool_choice":       func(d *decoder, _ string, v jsontext.Value) error { d.choice = v; return nil },

	"parallel_tool_calls":  into(func(r *canon.Request) any { return &r.Parallel }),
	"include":              readInclude,
	"store":                into(func(r *canon.Request) any { return &r.State.Store }),
	"previous_response_id": into(func(r *canon.Request) any { return &r.State.PreviousResponse }),
	"conversation":         readNamed(func(r *canon.Request) *string { return &r.State.Conversation }),
	"prompt":               readNamed(func(r *canon.Request) *string { return &r.State.Prompt }),
	"background":           into(func(r *canon.Request) any { return &r.State.Background }),
	"prompt_cache_key":     into(func(r *canon.Request) any { return &r.PromptCacheKey }),
	"safety_identifier":    func(d *decoder, name string, v jsontext.Value) error { return wire.ReadValue(v, name, &d.safetyID) },
	"user":                 into(func(r *canon.Request) any { return &r.UserID }),
	"service_tier":         into(func(r *canon.Request) any { return &r.ServiceTier }),
	"metadata": func(d *decoder, name string, v jsontext.Value) error {
		if v.Kind() != '{' {
			return apierror.Invalid(name, "%s must be an object", name)
		}
		d.req.Metadata = v
		return nil
	},
}

// scalars reads every member but the conversation.
func (d *decoder) scalars() error {
	for _, m := range d.o.Members {
		v := d.o.Raw[m.ValueStart:m.ValueEnd]
		if v.Kind() == 'n' { // null is absent
			continue
		}
		f, ok := fields[m.Name]
		if !ok {
			f = keep
		}
		if err := f(d, m.Name, v); err != nil {
			return err
		}
	}
	if d.req.ModelAsked == "" {
		return apierror.Invalid("model", "model is required: name the model that shall answer")
	}
	d.req.Model = d.req.ModelAsked
	if d.req.State.Background {
		return apierror.Invalid("background", "background is not supported: Patchbay stores no responses that could be asked for later")
	}
	if d.safetyID != "" {
		if d.req.UserID == "" {
			d.req.UserID = d.safetyID
		}
		_ = keep(d, "safety_identifier", wire.AppendString(nil, d.safetyID)) // keep never fails
	}
	d.req.IncludeUsage = true
	return d.readChoice()
}

// readNamed reads an id, alone or in an object.
func readNamed(dst func(*canon.Request) *string) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		if v.Kind() == '"' {
			return wire.ReadValue(v, name, dst(d.req))
		}
		var in struct {
			ID string `json:"id"`
		}
		if err := wire.ReadValue(v, name, &in); err != nil {
			return err
		}
		*dst(d.req) = in.ID
		return nil
	}
}

// Values of include.
const (
	includeReasoning = "reasoning.encrypted_content"
	includeLogprobs  = "message.output_text.logprobs"
)

func readInclude(d *decoder, name string, v jsontext.Value) error {
	if err := wire.ReadValue(v, name, &d.req.Include); err != nil {
		return err
	}
	if slices.Contains(d.req.Include, includeLogprobs) {
		yes := true
		d.req.Sampling.Logprobs = &yes
	}
	return nil
}

func readReasoning(d *decoder, name string, v jsontext.Value) error {
	var in struct {
		Effort  string `json:"effort"`
		Summary string `json:"summary"`
		Old     string `json:"generate_summary"`
	}
	if err := wire.ReadValue(v, name, &in); err != nil {
		return err
	}
	r := &d.req.Reasoning
	r.Summary = in.Summary
	if r.Summary == "" {
		r.Summary = in.Old
	}
	switch in.Effort {
	case "":
		return nil
	case "none":
		r.Mode = canon.ReasonOff
	case "auto":
		r.Mode = canon.ReasonAuto
	default:
		if _, ok := wire.BudgetOfEffort(in.Effort); !ok {
			return apierror.Invalid(name+".effort", "%s.effort must be one of none, minimal, low, medium, high, xhigh, max", name)
		}
		r.Mode, r.Effort = canon.ReasonOn, in.Effort
	}
	r.Source = "effort"
	return nil
}

// readText reads the form of the answer's text. A schema stands flat in format, other than in Chat.
func readText(d *decoder, name string, v jsontext.Value) error {
	var in struct {
		Format *struct {
			Type        string         `json:"type"`
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Schema      jsontext.Value `json:"schema"`
			Strict      *bool          `json:"strict"`
		} `json:"format"`
		Verbosity string `json:"verbosity"`
	}
	if err := wire.ReadValue(v, name, &in); err != nil {
		return err
	}
	d.req.Verbosity = in.Verbosity
	if in.Format == nil {
		return nil
	}
	f, out, path := in.Format, &d.req.Output, name+".format"
	switch f.Type {
	case "text", "":
		out.Kind = canon.OutputText
	case "json_object":
		out.Kind = canon.OutputJSON
	case "json_schema":
		if k := f.Schema.Kind(); len(f.Schema) == 0 || k != '{' {
			return apierror.Invalid(path+".schema", "%s.schema must be an object", path)
		}
		*out = canon.Output{Kind: canon.OutputSchema, Name: f.Name, Description: f.Description, Schema: f.Schema, Strict: f.Strict}
	default:
		return apierror.Invalid(path+".type", "%s.type must be text, json_object or json_schema", path)
	}
	return nil
}

// forwarded are the client's headers that an upstream of the same format may see; which of them it does is the driver's to
// say. The last two: captured from Codex CLI 0.169.0.
var forwarded = []string{
	"Openai-Beta", "Idempotency-Key", "Session-Id", "Thread-Id", "X-Codex-Turn-State", "X-Openai-Internal-Codex-Responses-Lite",
}

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
		h.Get("X-Claude-Code-Session-Id"), h.Get("Session-Id"), d.req.PromptCacheKey,
		h.Get("X-Session-Id"), h.Get("X-Conversation-Id"), h.Get("Conversation-Id"),
	} {
		if id != "" {
			d.req.Conversation = id
			return
		}
	}
}

// conversation finishes a request: input is read now, or later if the body is long.
func (d *decoder) conversation() (*canon.Request, error) {
	v, instructions := d.o.Get("input"), d.o.Get("instructions")
	stored := d.req.State.PreviousResponse != "" || d.req.State.Conversation != "" || d.req.State.Prompt != ""
	switch {
	case oai.IsNull(v) && !stored:
		return nil, apierror.Invalid("input", "input is required: a string or at least one item")
	case !oai.IsNull(v) && v.Kind() != '[' && v.Kind() != '"':
		return nil, apierror.Invalid("input", "input must be a string or an array of items")
	case !oai.IsNull(instructions) && instructions.Kind() != '"':
		return nil, apierror.Invalid("instructions", "instructions must be a string")
	}
	d.req.Seed = seedOf(instructions, v)
	d.req.Defer(readConversation)
	if len(d.o.Raw) > wire.EagerLimit {
		return d.req, nil
	}
	return d.req, d.req.Expand()
}

const seedBytes = 2 << 10

// seedOf returns the head of the system text and of the first user text. It looks at the first items only.
func seedOf(instructions, input jsontext.Value) string {
	var b strings.Builder
	b.WriteString(head(instructions))
	if input.Kind() == '"' {
		b.WriteString("\x00user\x00" + head(input))
		return b.String()
	}
	c := oai.WalkArray(input)
	for n := 0; n < 16 && c.Next(); n++ {
		role := oai.Text(oai.Member(c.Value, "role"))
		if role == "" {
			continue
		}
		b.WriteString("\x00" + role + "\x00")
		content := oai.Member(c.Value, "content")
		if len(content) > 0 && content[0] == '"' {
			b.WriteString(head(content))
		} else {
			parts := oai.WalkArray(content)
			for size := b.Len() + seedBytes; b.Len() < size && parts.Next(); {
				b.WriteString(head(oai.Member(parts.Value, "text")))
			}
		}
		if role == string(canon.RoleUser) {
			break
		}
	}
	return b.String()
}

// head returns the beginning of a JSON string, with its escapes left in: it only has to be the same each time.
func head(v jsontext.Value) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	return string(v[1:min(len(v)-1, seedBytes)])
}
