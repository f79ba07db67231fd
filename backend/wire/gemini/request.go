package gemini

import (
	"bytes"
	"math"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Decode reads a request for an answer or for a count of its tokens. With OpAction the path says which.
func (c Codec) Decode(op wire.Op, r *http.Request, body []byte) (*canon.Request, error) {
	if op == OpAction {
		op, _ = c.Route(r)
	}
	model, _ := splitAction(r)
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	if op == OpCount {
		if inner := member(o, "generateContentRequest"); present(inner) {
			if o, err = canon.ParseObject(inner); err != nil {
				return nil, invalid("generateContentRequest", "must be a JSON object")
			}
		}
	}
	req := &canon.Request{Format: Name, Op: string(op), Stream: op == OpStream, Body: o, ModelAsked: model}
	if model == "" {
		return nil, apierror.Invalid("model", "the path names no model; call /v1beta/models/MODEL:%s", "generateContent")
	}
	if req.Stream && !wantsSSE(r) {
		keep(&req.Ext, arrayMember, yes)
	}
	if err := readScalars(req); err != nil {
		return nil, err
	}
	req.Headers = forwarded(r.Header)
	req.Conversation = sessionOf(r.Header)
	req.Seed = seedOf(o)
	req.Defer(expand)
	if len(body) <= wire.EagerLimit {
		if err := req.Expand(); err != nil {
			return nil, err
		}
	}
	return req, nil
}

func forwarded(h http.Header) map[string][]string {
	if v := h.Values("Idempotency-Key"); len(v) > 0 {
		return map[string][]string{"Idempotency-Key": v}
	}
	return nil
}

// sessionOf returns the conversation's id where a client sends one.
func sessionOf(h http.Header) string {
	for _, name := range [...]string{"X-Claude-Code-Session-Id", "Session-Id", "Session_id", "X-Session-Id", "Conversation-Id", "Conversation_id"} {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

const seedLimit = 2 << 10

// seedOf returns the head of the system text and of the first user text, reading no more of the conversation.
func seedOf(o canon.Object) string {
	var system systemJSON
	var b strings.Builder
	if v := member(o, "systemInstruction"); present(v) && readValue(v, "", &system) == nil {
		for i := range system.parts {
			if t := system.parts[i].Text; t != nil {
				b.WriteString(*t)
			}
			if b.Len() > seedLimit {
				break
			}
		}
	}
	head := b.String()
	return head[:min(len(head), seedLimit)] + "\n" + firstUserText(member(o, "contents"))
}

// firstUserText returns the head of the first user's text.
func firstUserText(v jsontext.Value) string {
	text := func(c contentJSON) string {
		for i := range c.Parts {
			if t := c.Parts[i].Text; t != nil && *t != "" && (c.Role == "" || c.Role == "user") {
				return (*t)[:min(len(*t), seedLimit)]
			}
		}
		return ""
	}
	if v.Kind() != '[' {
		var all contentsJSON
		if !present(v) || readValue(v, "", &all) != nil || len(all) == 0 {
			return ""
		}
		return text(all[0])
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(v), wire.Lenient)
	if _, err := d.ReadToken(); err != nil {
		return ""
	}
	for range 4 { // the text of a normal conversation is in the first turn
		if d.PeekKind() != '{' {
			return ""
		}
		raw, err := d.ReadValue()
		if err != nil {
			return ""
		}
		var c contentJSON
		if readValue(raw, "", &c) == nil {
			if s := text(c); s != "" {
				return s
			}
		}
	}
	return ""
}

// knownMembers are the members of a body that this package has a word for.
var knownMembers = map[string]bool{
	"model": true, "contents": true, "systemInstruction": true, "tools": true, "toolConfig": true, "generationConfig": true,
}

func readScalars(req *canon.Request) error {
	o := req.Body
	for _, m := range o.Members {
		if name := camel(m.Name); !knownMembers[name] {
			keep(&req.Ext, name, o.Raw[m.ValueStart:m.ValueEnd])
		}
	}
	if err := readMember(o, "cachedContent", &req.State.CachedContent); err != nil {
		return err
	}
	if err := readGeneration(req, o); err != nil {
		return err
	}
	return readToolConfig(req, o)
}

// keep puts a value into an Ext.
func keep(ext *map[string]jsontext.Value, name string, v jsontext.Value) {
	if *ext == nil {
		*ext = map[string]jsontext.Value{}
	}
	(*ext)[name] = v
}

// camelKeys returns ext with its names in camelCase.
func camelKeys(ext map[string]jsontext.Value) map[string]jsontext.Value {
	for name, v := range ext {
		if c := camel(name); c != name {
			delete(ext, name)
			ext[c] = v
		}
	}
	return ext
}

func readGeneration(req *canon.Request, o canon.Object) error {
	var g generationJSON
	if err := readMember(o, "generationConfig", &g); err != nil {
		return err
	}
	s := &req.Sampling
	s.Temperature, s.TopP, s.Presence, s.Frequency = g.Temperature, g.TopP, g.PresencePenalty, g.FrequencyPenalty
	s.Seed, s.N, s.Logprobs, s.TopLogprobs = g.Seed, g.CandidateCount, g.ResponseLogprobs, g.Logprobs
	if g.TopK != nil {
		k := int64(math.Round(*g.TopK))
		s.TopK = &k
	}
	if s.N != nil && *s.N < 1 {
		return invalid("generationConfig.candidateCount", "must be at least 1")
	}
	if m := g.MaxOutputTokens; m != nil && *m < 1 {
		return invalid("generationConfig.maxOutputTokens", "must be at least 1; leave it out for the model's own limit")
	}
	req.MaxTokens, req.Stop = g.MaxOutputTokens, g.StopSequences
	for _, m := range g.ResponseModalities {
		req.Modalities = append(req.Modalities, strings.ToLower(m))
	}
	ext := camelKeys(g.Ext)
	if err := readOutput(req, &g, &ext); err != nil {
		return err
	}
	if err := readThinking(req, g.ThinkingConfig); err != nil {
		return err
	}
	if len(ext) > 0 {
		w := writer{}
		w.open('{')
		w.ext(ext)
		w.close('}')
		keep(&req.Ext, "generationConfig", w.b)
	}
	return nil
}

// readOutput reads the form of the answer. A type that canon has no word for (text/x.enum) is kept beside the schema.
func readOutput(req *canon.Request, g *generationJSON, ext *map[string]jsontext.Value) error {
	name, schema := "generationConfig.responseJsonSchema", g.ResponseJSONSchema
	if !present(schema) {
		name, schema = "generationConfig.responseSchema", g.ResponseSchema
	}
	switch {
	case present(schema):
		if schema.Kind() != '{' {
			return invalid(name, "must be a JSON schema")
		}
		req.Output.Kind, req.Output.Schema = canon.OutputSchema, wire.RepairSchema(schema)
		if m := g.ResponseMIMEType; m != "" && m != mimeJSON {
			keep(ext, "responseMimeType", wire.AppendString(nil, m))
		}
	case g.ResponseMIMEType == mimeJSON:
		req.Output.Kind = canon.OutputJSON
	case g.ResponseMIMEType == "text/plain":
		req.Output.Kind = canon.OutputText
	case g.ResponseMIMEType != "":
		keep(ext, "responseMimeType", wire.AppendString(nil, g.ResponseMIMEType))
	}
	return nil
}

const mimeJSON = "application/json"

func readThinking(req *canon.Request, t *thinkingJSON) error {
	if t == nil {
		return nil
	}
	r := &req.Reasoning
	if t.IncludeThoughts != nil {
		r.Summary = "none"
		if *t.IncludeThoughts {
			r.Summary = "auto"
		}
	}
	level := strings.ToLower(t.ThinkingLevel)
	switch {
	case t.ThinkingBudget != nil:
		r.Source = "budget"
		switch n := *t.ThinkingBudget; {
		case n < 0:
			r.Mode = canon.ReasonAuto
		case n == 0:
			r.Mode = canon.ReasonOff
		default:
			r.Mode, r.Budget = canon.ReasonOn, &n
		}
	case level == "" || level == "thinking_level_unspecified": // qwen-code 0.15.10 sends the latter
	case level == "minimal" || level == "low" || level == "medium" || level == "high":
		r.Mode, r.Effort, r.Source = canon.ReasonOn, level, "level"
	default:
		return invalid("generationConfig.thinkingConfig.thinkingLevel", "must be MINIMAL, LOW, MEDIUM or HIGH")
	}
	return nil
}

func readToolConfig(req *canon.Request, o canon.Object) error {
	var t toolConfigJSON
	if err := readMember(o, "toolConfig", &t); err != nil {
		return err
	}
	if v := member(o, "toolConfig"); present(v) {
		keep(&req.Ext, "toolConfig", v)
	}
	if t.Calling == nil {
		return nil
	}
	c := &req.ToolChoice
	c.Names = t.Calling.Allowed
	switch mode := strings.ToUpper(t.Calling.Mode); mode {
	case "", "MODE_UNSPECIFIED":
		c.Names = nil
	case "AUTO", "VALIDATED":
		c.Mode = canon.ChoiceAuto
		if len(c.Names) > 0 {
			c.Mode = canon.ChoiceAllowed
		}
	case "NONE":
		c.Mode, c.Names = canon.ChoiceNone, nil
	case "ANY":
		switch len(c.Names) {
		case 0:
			c.Mode = canon.ChoiceRequired
		case 1:
			c.Mode = canon.ChoiceNamed
		default:
			c.Mode = canon.ChoiceAllowReq
		}
	default:
		return invalid("toolConfig.functionCallingConfig.mode", "must be AUTO, ANY, NONE or VALIDATED")
	}
	return nil
}
