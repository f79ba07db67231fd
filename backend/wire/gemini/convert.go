package gemini

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// convert writes the request anew.
func (x *Exchange) convert() error {
	if err := x.req.Expand(); err != nil {
		return err
	}
	if err := x.refuseState(); err != nil {
		return err
	}
	x.nameTools()
	if x.unsigned = x.unsignedLoop(); x.unsigned {
		x.o.StripReasoning = true
	}
	x.noteDropped()
	x.standIn = x.outputByText()
	w := writer{b: make([]byte, 0, 4<<10)}
	w.open('{')
	x.system(&w)
	if err := x.contents(&w); err != nil {
		return err
	}
	if err := x.writeTools(&w); err != nil {
		return err
	}
	if err := x.toolConfig(&w); err != nil {
		return err
	}
	x.generation(&w)
	if same(x.req) {
		w.ext(x.req.Ext, "generationConfig", "toolConfig", "generateContentRequest")
	}
	w.close('}')
	x.Body = w.b
	return nil
}

// unsignedLoop reports whether the tool loop that is going on has calls of a Claude model without the signed thinking before
// them: a history of another model, or one that a client thinned out. With thinking on it would be refused ("expected
// thinking, but found tool_use"); the next turn of the person begins anew.
func (x *Exchange) unsignedLoop() bool {
	if x.family != wire.FamilyClaude {
		return false
	}
	for i := len(x.req.Messages) - 1; i >= 0; i-- {
		m := &x.req.Messages[i]
		if m.Role == canon.RoleUser && slices.ContainsFunc(m.Parts, func(p canon.Part) bool { return p.Type == canon.PartText && p.Text != "" }) &&
			!slices.ContainsFunc(m.Parts, func(p canon.Part) bool { return p.Type == canon.PartToolResult }) {
			return false
		}
		if m.Role != canon.RoleAssistant || len(callsOf(m.Parts)) == 0 {
			continue
		}
		own := func(p canon.Part) bool {
			return p.Type == canon.PartReasoning && (&turnWriter{x: x}).signature(p.Opaque) != ""
		}
		if !slices.ContainsFunc(m.Parts, own) {
			return true
		}
	}
	return false
}

// refuseState refuses what only another upstream has.
func (x *Exchange) refuseState() error {
	s := x.req.State
	switch {
	case s.PreviousResponse != "":
		e := apierror.Invalid("previous_response_id", "the response %q is not known to this upstream; send the whole conversation", s.PreviousResponse)
		e.Code = "previous_response_not_found"
		return e
	case s.Background:
		return unsupported("background", "answers in the background are not supported by this model's service; leave background out")
	case s.Conversation != "":
		return unsupported("conversation", "stored conversations are not supported by this model's service; send the messages")
	case s.Prompt != "":
		return unsupported("prompt", "stored prompts are not supported by this model's service; send the messages")
	case s.CachedContent != "" && !same(x.req):
		return unsupported("cachedContent", "the cached content belongs to another service")
	}
	return nil
}

func unsupported(param, msg string) error {
	e := apierror.New(apierror.Unsupported, "%s", msg)
	e.Param = param
	return e
}

// noteDropped reports the fields that Gemini has no word for.
func (x *Exchange) noteDropped() {
	req := x.req
	const none = "Gemini has no such field"
	for _, f := range []struct {
		there bool
		field string
	}{
		{req.Sampling.MinP != nil, "min_p"},
		{req.Sampling.Repeat != nil, "repeat_penalty"},
		{len(req.Sampling.LogitBias) > 0, "logit_bias"},
		{req.Parallel != nil && !*req.Parallel, parallelField(req)},
		{req.Verbosity != "", "verbosity"},
		{req.ServiceTier != "" && !same(req), "service_tier"},
		{req.PromptCacheKey != "", "prompt_cache_key"},
		{req.UserID != "", "user"},
		{len(req.Metadata) > 0, "metadata"},
		{req.State.Container != "", "container"},
		{hasCacheMarks(req), "cache_control"},
	} {
		if f.there {
			x.warn(f.field, none)
		}
	}
}

func parallelField(req *canon.Request) string {
	if req.Format == "anthropic" {
		return "tool_choice.disable_parallel_tool_use"
	}
	return "parallel_tool_calls"
}

func hasCacheMarks(req *canon.Request) bool {
	if req.Cache != nil {
		return true
	}
	for i := range req.System {
		if req.System[i].Cache != nil {
			return true
		}
	}
	for i := range req.Tools {
		if req.Tools[i].Cache != nil {
			return true
		}
	}
	for i := range req.Messages {
		for j := range req.Messages[i].Parts {
			if req.Messages[i].Parts[j].Cache != nil {
				return true
			}
		}
	}
	return false
}

// system writes the leading system text. Claude Code puts a line about billing there that changes with every call; other
// makers' caches must not see it.
func (x *Exchange) system(w *writer) {
	var texts []string
	for i := range x.req.System {
		t := x.req.System[i].Text
		if t == "" || strings.HasPrefix(t, "x-anthropic-billing-header:") {
			continue
		}
		texts = append(texts, t)
	}
	if x.standIn {
		texts = append(texts, outputInstruction(x.req))
	}
	if len(texts) == 0 {
		return
	}
	w.begin("systemInstruction", '{')
	w.begin("parts", '[')
	for _, t := range texts {
		appendText(w, t, false, "")
	}
	w.close(']')
	w.close('}')
}

// outputByText reports whether the form of the answer must be asked for in words: models before Gemini 3 refuse it next to
// functions ("Function calling with a response mime type: 'application/json' is unsupported").
func (x *Exchange) outputByText() bool {
	k := x.req.Output.Kind
	if k != canon.OutputJSON && k != canon.OutputSchema {
		return false
	}
	if x.family != wire.FamilyGemini {
		return true
	}
	if same(x.req) {
		return false
	}
	functions := false
	for i := range x.req.Tools {
		functions = functions || x.req.Tools[i].Kind != canon.ToolServer
	}
	return functions && len(KnownModel(x.req.Model).Efforts) == 0
}

func outputInstruction(req *canon.Request) string {
	if req.Output.Kind == canon.OutputJSON || len(req.Output.Schema) == 0 {
		return "Answer with one JSON object only."
	}
	return "Answer with one JSON object only, without any text around it. It must match this JSON schema:\n" + string(req.Output.Schema)
}

// mediaOf writes the media among parts.
func (t *turnWriter) mediaOf(parts []canon.Part) error {
	for i := range parts {
		if parts[i].Media == nil {
			continue
		}
		if err := t.media(&parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// media writes a picture, document, sound or film.
func (t *turnWriter) media(p *canon.Part) error {
	m := p.Media
	if m == nil {
		return nil
	}
	ext := p.Ext
	if !same(t.x.req) {
		ext = nil
	}
	param := wire.Field(t.x.req.Format, "messages")
	if m.Text != "" && len(m.Data) == 0 {
		appendText(t.w, titled(m), false, "")
		return nil
	}
	if got := t.data(m); got != nil {
		appendBlob(t.w, got, t.signature(p.Opaque), ext)
		return nil
	}
	uri := m.URL
	switch {
	case m.FileID != "" && (same(t.x.req) || ownFile(m.FileID)):
		uri = m.FileID
	case m.FileID != "":
		return apierror.Invalid(param, "the file %q is stored at another service; send its data instead", m.FileID)
	case m.URL == "":
		return nil
	case !keepsURL(t.x.req, m):
		return unfetched(m.URL, param)
	}
	w := t.w
	w.open('{')
	w.begin("fileData", '{')
	w.opt("mimeType", m.MIME)
	w.str("fileUri", uri)
	w.inner(ext)
	w.close('}')
	w.ext(ext)
	w.close('}')
	return nil
}

// titled returns a plain text document with a line that names it.
func titled(m *canon.Media) string {
	title := m.Title
	if title == "" {
		title = m.FileName
	}
	var head []string
	if title != "" {
		head = append(head, "Document: "+title)
	}
	if m.Context != "" {
		head = append(head, m.Context)
	}
	return strings.Join(append(head, m.Text), "\n")
}

const maxStops = 5 // Google refuses more

// generation writes the generationConfig.
func (x *Exchange) generation(outer *writer) {
	req, s := x.req, &x.req.Sampling
	w := writer{b: []byte{'{'}}
	if n := req.MaxTokens; n != nil {
		w.int("maxOutputTokens", x.maxTokens(*n))
	} else if x.family == wire.FamilyClaude && !x.unsigned { // room for an answer behind the thinking
		if b := thinkerOf(req.Model, req.Facts, x.o.Thinking).budget(req.Reasoning); b != nil && *b > 0 {
			w.int("maxOutputTokens", x.maxTokens(claudeRest))
		}
	}
	w.float("temperature", s.Temperature)
	w.float("topP", s.TopP)
	w.optInt("topK", s.TopK)
	w.optInt("candidateCount", s.N)
	w.optInt("seed", s.Seed)
	w.float("presencePenalty", s.Presence)
	w.float("frequencyPenalty", s.Frequency)
	if s.Logprobs != nil {
		w.bool("responseLogprobs", *s.Logprobs)
	}
	w.optInt("logprobs", s.TopLogprobs)
	x.stops(&w)
	x.output(&w)
	x.modalities(&w)
	t := thinkerOf(req.Model, req.Facts, x.o.Thinking)
	if x.unsigned {
		w.raw("thinkingConfig", t.config(canon.Reasoning{Mode: canon.ReasonOff}, false))
	} else if c := t.config(req.Reasoning, same(req)); c != nil {
		w.raw("thinkingConfig", c)
	} else if t.style == ThinkNone && (req.Reasoning.Effort != "" || req.Reasoning.Mode == canon.ReasonOn) {
		x.warn("reasoning", "the model does not think")
	}
	if same(req) {
		x.keptGeneration(&w)
	}
	if len(w.b) > 1 {
		w.close('}')
		outer.raw("generationConfig", w.b)
	}
}

// maxTokens keeps the limit within what the model takes: more is refused. Claude's thinking must fit below it.
func (x *Exchange) maxTokens(n int64) int64 {
	limit := x.req.Facts.MaxOutput
	if limit == 0 {
		limit = KnownModel(x.req.Model).MaxOutput
	}
	if x.family == wire.FamilyClaude {
		t := thinkerOf(x.req.Model, x.req.Facts, x.o.Thinking)
		if b := t.budget(x.req.Reasoning); b != nil && *b >= n {
			n = *b + n
		}
	}
	if limit > 0 && n > limit {
		return limit
	}
	return n
}

func (x *Exchange) stops(w *writer) {
	var stops []string
	for _, s := range x.req.Stop {
		if s != "" {
			stops = append(stops, s)
		}
	}
	if len(stops) > maxStops {
		x.warn("stop", fmt.Sprintf("Gemini takes %d stop sequences", maxStops))
		stops = stops[:maxStops]
	}
	if len(stops) == 0 {
		return
	}
	w.begin("stopSequences", '[')
	for _, s := range stops {
		w.text(s)
	}
	w.close(']')
}

func (x *Exchange) output(w *writer) {
	if x.standIn {
		return
	}
	switch out := x.req.Output; out.Kind {
	case canon.OutputText:
		if same(x.req) {
			w.str("responseMimeType", "text/plain")
		}
	case canon.OutputJSON:
		w.str("responseMimeType", mimeJSON)
	case canon.OutputSchema:
		if !x.keepsMIME() {
			w.str("responseMimeType", mimeJSON)
		}
		name := "responseJsonSchema"
		if x.o.Strict {
			name = "responseSchema"
		}
		if x.o.CleanOutput != nil {
			w.raw(name, x.o.CleanOutput(wire.RepairSchema(out.Schema)))
		} else {
			w.raw(name, x.schema(out.Schema))
		}
	}
}

// keepsMIME reports whether the client named a type of its own for the answer (text/x.enum).
func (x *Exchange) keepsMIME() bool {
	return same(x.req) && bytes.Contains(x.req.Ext["generationConfig"], []byte(`"responseMimeType"`))
}

// schema cleans a schema for the upstream.
func (x *Exchange) schema(s jsontext.Value) jsontext.Value {
	if x.o.CleanSchema != nil {
		return x.o.CleanSchema(wire.RepairSchema(s))
	}
	return wire.SchemaForGemini(s, x.o.Strict)
}

func (x *Exchange) modalities(w *writer) {
	plain := true
	for _, m := range x.req.Modalities {
		plain = plain && m == "text"
	}
	if plain && !same(x.req) || len(x.req.Modalities) == 0 {
		return
	}
	w.begin("responseModalities", '[')
	for _, m := range x.req.Modalities {
		w.text(strings.ToUpper(m))
	}
	w.close(']')
}

// keptGeneration writes the members of the client's generationConfig that canon has no word for.
func (x *Exchange) keptGeneration(w *writer) {
	v := x.req.Ext["generationConfig"]
	if len(v) == 0 {
		return
	}
	var kept map[string]jsontext.Value
	if json.Unmarshal(v, &kept, wire.Lenient) == nil {
		w.ext(kept)
	}
}
