package ollama

import (
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Private keys of Ext: they hold what this package must know again and never go out. All start with a dollar sign.
const (
	optionsMember = "options" // Request.Ext: the options as they came; goes back as it is
	noIDMember    = "$noid"   // Part.Ext: the client sent a call or a result without an id; ours is not for the wire
)

// yes is the value of private keys that only have to be there.
var yes = jsontext.Value("true")

// decoder reads the body of one request.
type decoder struct {
	req    *canon.Request
	o      canon.Object
	fields map[string]field
}

// field reads a member of a body; v is not null.
type field func(d *decoder, name string, v jsontext.Value) error

func newDecoder(op wire.Op, o canon.Object) *decoder {
	d := &decoder{o: o, fields: chatFields}
	d.req = &canon.Request{Format: Name, Op: string(op), Body: o, Stream: true, Began: time.Now()}
	if op == OpGenerate {
		d.fields = generateFields
	}
	return d
}

// into reads a member into a field of the request, with the type that the field has.
func into(dst func(*canon.Request) any) field {
	return func(d *decoder, name string, v jsontext.Value) error { return wire.ReadValue(v, name, dst(d.req)) }
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

// kept reads a member that only an upstream of this format can use, with the type it must have.
func kept(kinds string) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		for _, k := range kinds {
			if v.Kind() == jsontext.Kind(k) {
				return keep(d, name, v)
			}
		}
		return apierror.Invalid(name, "%s has the wrong type", name)
	}
}

// sharedFields are those of chat and generate.
var sharedFields = map[string]field{
	"model":        into(func(r *canon.Request) any { return &r.ModelAsked }),
	"stream":       into(func(r *canon.Request) any { return &r.Stream }),
	"format":       readFormat,
	"options":      readOptions,
	"think":        readThink,
	"keep_alive":   kept(`"0`),
	"truncate":     kept("tf"),
	"shift":        kept("tf"),
	"logprobs":     into(func(r *canon.Request) any { return &r.Sampling.Logprobs }),
	"top_logprobs": readTopLogprobs,
}

var chatFields = with(sharedFields, map[string]field{
	"messages":    skip,
	"tools":       readTools,
	"tool_choice": skip, // cline 3.0.65 sends it; Ollama has no such field
})

var generateFields = with(sharedFields, map[string]field{
	"prompt":   skip,
	"system":   skip,
	"images":   skip,
	"suffix":   skip,
	"template": kept(`"`),
	"raw":      kept("tf"),
	"context":  kept("["),
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
		v := d.o.Raw[m.ValueStart:m.ValueEnd]
		if v.Kind() == 'n' { // null is absent
			continue
		}
		f, ok := d.fields[m.Name]
		if !ok {
			f = keep
		}
		if err := f(d, m.Name, v); err != nil {
			return err
		}
	}
	if d.req.ModelAsked == "" {
		return apierror.Invalid("model", "model is required")
	}
	d.req.Model = d.req.ModelAsked
	return nil
}

// readFormat reads what form the answer's text must have: "json", a schema, or nothing.
func readFormat(d *decoder, name string, v jsontext.Value) error {
	switch {
	case v.Kind() == '{':
		d.req.Output = canon.Output{Kind: canon.OutputSchema, Schema: v}
	case string(v) == `"json"`:
		d.req.Output.Kind = canon.OutputJSON
	case string(v) == `""`:
	default:
		return apierror.Invalid(name, `%s must be "json" or a JSON schema`, name)
	}
	return nil
}

// readThink reads think: a boolean, or a level.
func readThink(d *decoder, name string, v jsontext.Value) error {
	r := &d.req.Reasoning
	switch v.Kind() {
	case 't':
		*r = canon.Reasoning{Mode: canon.ReasonOn, Source: "bool"}
		return nil
	case 'f':
		*r = canon.Reasoning{Mode: canon.ReasonOff, Source: "bool"}
		return nil
	case '"':
		var level string
		if err := wire.ReadValue(v, name, &level); err != nil {
			return err
		}
		switch level {
		case "":
			return nil
		case "true":
			*r = canon.Reasoning{Mode: canon.ReasonOn, Source: "bool"}
			return nil
		case "false", "none":
			*r = canon.Reasoning{Mode: canon.ReasonOff, Source: "bool"}
			return nil
		}
		if n, ok := wire.BudgetOfEffort(level); ok && n > 0 {
			*r = canon.Reasoning{Mode: canon.ReasonOn, Effort: level, Source: "level"}
			return nil
		}
	}
	return apierror.Invalid(name, `%s must be true, false, "low", "medium" or "high"`, name)
}

// maxTopLogprobs is how many alternatives Ollama tells of a token (Ollama v0.17.4).
const maxTopLogprobs = 20

func readTopLogprobs(d *decoder, name string, v jsontext.Value) error {
	n, err := readInt(v, name)
	if err != nil {
		return err
	}
	if *n < 0 || *n > maxTopLogprobs {
		return apierror.Invalid(name, "%s must be between 0 and %d", name, maxTopLogprobs)
	}
	d.req.Sampling.TopLogprobs = n
	return nil
}

// options are those that canon has words for; the others stay in the member as it came.
var options = map[string]field{
	"temperature":       into(func(r *canon.Request) any { return &r.Sampling.Temperature }),
	"top_p":             into(func(r *canon.Request) any { return &r.Sampling.TopP }),
	"min_p":             into(func(r *canon.Request) any { return &r.Sampling.MinP }),
	"repeat_penalty":    into(func(r *canon.Request) any { return &r.Sampling.Repeat }),
	"presence_penalty":  into(func(r *canon.Request) any { return &r.Sampling.Presence }),
	"frequency_penalty": into(func(r *canon.Request) any { return &r.Sampling.Frequency }),
	"top_k":             whole(func(r *canon.Request) **int64 { return &r.Sampling.TopK }),
	"seed":              whole(func(r *canon.Request) **int64 { return &r.Sampling.Seed }),
	"num_predict":       readNumPredict,
	"stop":              readStop,
}

func whole(dst func(*canon.Request) **int64) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		n, err := readInt(v, name)
		if err == nil {
			*dst(d.req) = n
		}
		return err
	}
}

func readOptions(d *decoder, name string, v jsontext.Value) error {
	o, err := canon.ParseObject(v)
	if err != nil {
		return apierror.Invalid(name, "%s must be an object", name)
	}
	for _, m := range o.Members {
		v := o.Raw[m.ValueStart:m.ValueEnd]
		f := options[m.Name]
		if f == nil || v.Kind() == 'n' {
			continue
		}
		if err := f(d, name+"."+m.Name, v); err != nil {
			return err
		}
	}
	if len(o.Members) == 0 {
		return nil
	}
	return keep(d, optionsMember, v)
}

// readNumPredict reads the limit of tokens; a negative one means none.
func readNumPredict(d *decoder, name string, v jsontext.Value) error {
	n, err := readInt(v, name)
	if err == nil && *n > 0 {
		d.req.MaxTokens = n
	}
	return err
}

func readStop(d *decoder, name string, v jsontext.Value) error {
	var list []string
	if v.Kind() == '"' {
		list = make([]string, 1)
		if err := wire.ReadValue(v, name, &list[0]); err != nil {
			return err
		}
	} else if err := wire.ReadValue(v, name, &list); err != nil {
		return err
	}
	for _, s := range list {
		if s != "" {
			d.req.Stop = append(d.req.Stop, s)
		}
	}
	return nil
}

// readInt reads an integer. Clients written in JavaScript or Python send 8000.0 for 8000.
func readInt(v jsontext.Value, name string) (*int64, error) {
	var n int64
	if json.Unmarshal(v, &n) == nil {
		return &n, nil
	}
	var f float64
	if err := wire.ReadValue(v, name, &f); err != nil {
		return nil, err
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, apierror.Invalid(name, "%s must be a whole number", name)
	}
	n = int64(f)
	return &n, nil
}

// blank reports whether a member is absent or empty: null, "" or [].
func blank(v jsontext.Value) bool {
	switch v.Kind() {
	case 0, 'n':
		return true
	case '"':
		return string(v) == `""`
	case '[':
		for _, c := range v[1 : len(v)-1] {
			if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
				return false
			}
		}
		return true
	default:
		return false
	}
}
