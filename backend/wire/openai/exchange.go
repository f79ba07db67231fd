package openai

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// How an upstream is told to think.
const (
	// ThinkDefault sends reasoning_effort if the client speaks this format or the model is known to think.
	ThinkDefault   = ""
	ThinkEffort    = "reasoning_effort"
	ThinkEnable    = "enable_thinking" // with thinking_budget: Qwen
	ThinkType      = "thinking"        // {type}: DeepSeek, GLM, Kimi; with reasoning_effort if Efforts lists levels
	ThinkReasoning = "reasoning"       // {effort|max_tokens}: OpenRouter
	ThinkNone      = "none"
)

// Which thinking of the history an upstream gets back.
const (
	// ReasoningDefault sends none to OpenAI's own host. Elsewhere a client of this format has all of it sent on, as it
	// asked, and others that of turns with tool calls.
	ReasoningDefault   = ""
	ReasoningNever     = "never" // Mistral answers 422, Groq 400
	ReasoningWithCalls = "with_calls"
	ReasoningAlways    = "always"
)

// Options say what is known of an upstream. The zero value is a plain compatible server.
type Options struct {
	OwnHost      bool // OpenAI's own service: max_completion_tokens, role developer, custom tools, documents
	ForceConvert bool // never pass the client's bytes on
	Rerender     bool // its answers are irregular: write them anew for clients of this format as well
	ForceStream  bool // it only streams

	MaxTokensField    string // name of the token limit; "" = max_completion_tokens on OwnHost, else max_tokens
	DefaultMaxTokens  int64  // sent when the client named no limit: Kimi's own default is small; 0 = none
	NoStreamOptions   bool
	NoParallelCalls   bool // parallel_tool_calls
	NoDeveloperRole   bool // on OwnHost, for a host that only looks like it
	NoStrict          bool
	NoNames           bool // messages carry no name
	ClosedMessages    bool // messages hold nothing that OpenAI's reference does not name: Groq
	NoToolChoice      bool // tool_choice takes auto only: GLM
	NoForcedTools     bool // tool_choice takes auto and none only: Qwen while it thinks
	NoExtensions      bool // top_k, min_p and repetition_penalty are refused
	NoJSONSchema      bool // response_format takes json_object at most
	StringContent     bool // content is a string, never parts: DeepSeek
	OneSystem         bool // one system message, the first: MiniMax, Qwen
	CacheControl      bool // takes cache_control marks: Qwen, OpenRouter
	PromptCacheKey    bool // takes prompt_cache_key besides OwnHost: Kimi
	Documents         bool // takes file parts
	CustomTools       bool // takes custom tools besides OwnHost
	ShortCallIDs      bool // ids of calls are 9 letters and digits: Mistral
	SplitThinkTags    bool // thinking stands in <think> at the start of the text
	ReasoningSplit    bool // ask for thinking apart from the text: MiniMax
	ToolStream        bool // tool_stream asks for streamed arguments: GLM
	DummyTool         bool // a stream without tools goes wrong: Qwen3-Coder
	ReasoningContent  string
	ReasoningFiller   string // stands for missing thinking beside tool calls: Kimi wants some
	ThinkingStyle     string
	Efforts           []string          // levels it takes; empty = what is known of the model
	EffortMap         map[string]string // levels written as another one: DeepSeek takes xhigh as max
	Drop              []string          // members it refuses, as learned from its answers
	Rename            map[string]string // members under another name: Mistral's random_seed
	Extra             []canon.Edit      // members added unless the client sent them
	ErrorOnEmptyReply bool              // an answer without any part is an error: some gateways answer 200 with nothing
}

// Exchange is one call to an upstream of this format: the body to send, and how to read what comes back.
type Exchange struct {
	Body    []byte
	Dropped []canon.Warning // what could not be carried over; the reader puts it on the Start event
	Stream  bool            // whether the upstream was asked to stream

	o        Options
	verbatim bool // the client's own bytes went out, and the answer's bytes may go back
	foreign  bool // the client speaks another format: members of the answer that only chat knows stay here
	names    *wire.Names
	custom   map[string]bool // custom tools that went out as functions, by their names there
	newID    func() string
}

// NewExchange writes req for an upstream. An error is an *apierror.Error that names what cannot be carried over.
func NewExchange(req *canon.Request, o Options) (*Exchange, error) {
	x := &Exchange{Stream: req.Stream || o.ForceStream, o: o, foreign: req.Format != Name, newID: newCallID(req.IDs())}
	if req.Format == Name && req.Op == string(OpChat) && len(req.Body.Raw) > 0 && !o.needsConversion(req) {
		x.verbatim = !o.Rerender && !o.SplitThinkTags
		x.Body = x.edited(req)
		return x, nil
	}
	if err := req.Expand(); err != nil {
		return nil, err
	}
	w := writer{x: x, o: o, req: req, facts: oai.FactsOf(req)}
	if err := w.request(); err != nil {
		return nil, err
	}
	x.Body = w.body
	return x, nil
}

func newCallID(ids canon.IDSource) func() string { return func() string { return ids("call_", 24) } }

// Words that a body is searched for before it may pass as it is, each as it stands after a quote.
const (
	wordReasoning  = `reasoning`
	wordCalls      = `tool_calls"`
	wordDeveloper  = `developer"`
	wordStrict     = `strict"`
	wordName       = `name"`
	wordSchema     = `json_schema"`
	wordBreakpoint = `prompt_cache_breakpoint"`
	wordCache      = `cache_control"`
)

// needsConversion reports whether the client's body holds something that the upstream refuses and that is not a member
// of the body alone.
func (o *Options) needsConversion(req *canon.Request) bool {
	if o.ForceConvert || o.ClosedMessages || o.StringContent || o.ShortCallIDs || o.OneSystem || !o.OwnHost && (oldForm(req) || newToolForms(req)) {
		return true
	}
	var words []string
	add := func(when bool, word string) {
		if when {
			words = append(words, word)
		}
	}
	add(o.ReasoningContent == ReasoningNever, wordReasoning)
	add(o.ReasoningFiller != "", wordCalls)
	add(!o.OwnHost || o.NoDeveloperRole, wordDeveloper)
	add(o.NoStrict, wordStrict)
	add(o.NoNames, wordName)
	add(o.NoJSONSchema, wordSchema)
	add(!o.OwnHost && !o.CacheControl, wordBreakpoint)
	add(o.OwnHost, wordCache)
	return quotes(req.Body.Raw, words)
}

// quotes reports whether one of the words stands right after a quote in body. It looks for all of them in one pass: long
// conversations are searched on every turn.
func quotes(body []byte, words []string) bool {
	var first [256]bool
	for _, w := range words {
		first[w[0]] = true
	}
	for {
		i := bytes.IndexByte(body, '"')
		if i < 0 || i+1 >= len(body) {
			return false
		}
		body = body[i+1:]
		if !first[body[0]] {
			continue
		}
		for _, w := range words {
			if len(body) >= len(w) && string(body[:len(w)]) == w {
				return true
			}
		}
	}
}

// newToolForms reports whether the request uses what few compatible servers know: custom tools, allowed_tools.
func newToolForms(req *canon.Request) bool {
	m := req.ToolChoice.Mode
	return m == canon.ChoiceAllowed || m == canon.ChoiceAllowReq ||
		slices.ContainsFunc(req.Tools, func(t canon.Tool) bool { return t.Kind == canon.ToolCustom })
}

// edited returns the client's body with the few members changed that must be: in one pass, so that every other byte
// stays. Prompt caches depend on it.
func (x *Exchange) edited(req *canon.Request) []byte {
	e := edits{x: x, o: &x.o, body: req.Body}
	e.set("model", wire.AppendString(nil, req.Model))
	e.stream(req)
	e.limits(req)
	e.reasoning(req)
	e.extensions()
	if x.o.NoParallelCalls {
		e.drop("parallel_tool_calls")
	}
	if x.o.NoToolChoice && e.body.Has("tool_choice") && string(e.body.Get("tool_choice")) != `"auto"` {
		e.set("tool_choice", jsontext.Value(`"auto"`))
		e.warn("tool_choice", "the service takes auto only")
	}
	if x.o.NoForcedTools && forces(req.ToolChoice) {
		e.set("tool_choice", jsontext.Value(`"auto"`))
		e.warn("tool_choice", "the service takes auto and none only")
	}
	for from, to := range x.o.Rename {
		if v := e.body.Get(from); v != nil {
			e.set(from, nil)
			e.set(to, v)
		}
	}
	for _, name := range x.o.Drop {
		e.drop(name)
	}
	for _, m := range x.o.extras(req) {
		if !e.body.Has(m.Name) && !slices.Contains(x.o.Drop, m.Name) {
			e.set(m.Name, m.Value)
		}
	}
	slices.SortStableFunc(e.list, func(a, b canon.Edit) int { return strings.Compare(a.Name, b.Name) })
	return e.body.AppendEdited(make([]byte, 0, len(e.body.Raw)+256), e.list...)
}

// forces reports whether a choice makes the model call a tool.
func forces(c canon.ToolChoice) bool {
	return c.Mode == canon.ChoiceRequired || c.Mode == canon.ChoiceNamed || c.Mode == canon.ChoiceAllowReq
}

// extras are the members that an upstream wants and no client sends.
func (o *Options) extras(req *canon.Request) []canon.Edit {
	out := slices.Clone(o.Extra)
	if o.ReasoningSplit {
		out = append(out, canon.Edit{Name: "reasoning_split", Value: jsontext.Value("true")})
	}
	stream := req.Stream || o.ForceStream
	if o.ToolStream && stream && len(req.Tools) > 0 {
		out = append(out, canon.Edit{Name: "tool_stream", Value: jsontext.Value("true")})
	}
	if o.DummyTool && stream && len(req.Tools) == 0 {
		out = append(out, canon.Edit{Name: "tools", Value: jsontext.Value(dummyTool)})
	}
	return out
}

// dummyTool keeps Qwen3-Coder from writing garbage in a stream without tools (CLIProxyAPI 2026-08).
const dummyTool = `[{"type":"function","function":{"name":"do_not_call_me","description":"Do not call this tool.","parameters":{"type":"object","properties":{}}}}]`

// edits collects the changes to a body.
type edits struct {
	x    *Exchange
	o    *Options
	body canon.Object
	list []canon.Edit
}

func (e *edits) warn(field, detail string) {
	e.x.Dropped = append(e.x.Dropped, canon.Warning{Field: field, Detail: detail})
}

func (e *edits) set(name string, v jsontext.Value) {
	for i := range e.list {
		if e.list[i].Name == name {
			e.list[i].Value = v
			return
		}
	}
	e.list = append(e.list, canon.Edit{Name: name, Value: v})
}

// drop takes a member away and reports it, if the client sent it.
func (e *edits) drop(name string) {
	v := e.body.Get(name)
	if v == nil {
		return
	}
	e.set(name, nil)
	if v.Kind() != 'n' {
		e.warn(name, "the service does not take it")
	}
}

func (e *edits) stream(req *canon.Request) {
	if e.x.Stream != req.Stream {
		e.set("stream", jsontext.Value("true"))
	}
	options := e.body.Get("stream_options")
	switch {
	case !e.x.Stream || e.o.NoStreamOptions:
		if options != nil {
			e.set("stream_options", nil)
		}
	case req.IncludeUsage: // the client's own bytes ask for it
	default:
		v := jsontext.Value(`{"include_usage":true}`)
		if o, err := canon.ParseObject(options); err == nil {
			v = o.AppendEdited(nil, canon.Edit{Name: "include_usage", Value: jsontext.Value("true")})
		}
		e.set("stream_options", v)
	}
}

// limits gives the token limit the name that the upstream knows, and takes away what reasoning models refuse.
func (e *edits) limits(req *canon.Request) {
	want := e.o.limitField()
	for _, other := range []string{"max_tokens", "max_completion_tokens"} {
		if other == want || e.body.Get(other) == nil {
			continue
		}
		e.set(other, nil)
		if req.MaxTokens != nil {
			e.set(want, appendInt(nil, *req.MaxTokens))
		}
	}
	if req.MaxTokens == nil && e.o.DefaultMaxTokens > 0 {
		e.set(want, appendInt(nil, e.o.DefaultMaxTokens))
	}
	if oai.RefusesSampling(req, oai.FactsOf(req)) {
		for _, name := range samplingFields {
			e.drop(name)
		}
	}
	if e.o.NoExtensions || e.o.OwnHost {
		for _, name := range extensionFields {
			e.drop(name)
		}
	}
}

// extensions merges a literal extra_body into the body, as the SDK that has it would have done.
func (e *edits) extensions() {
	for _, m := range e.body.Members {
		path, dotted := strings.CutPrefix(m.Name, "extra_body.")
		switch {
		case dotted:
			e.set(m.Name, nil)
			e.merge(path, e.body.Get(m.Name))
		case m.Name == "extra_body":
			e.set(m.Name, nil)
			c := walkObject(e.body.Get(m.Name))
			for c.Next() {
				e.merge(string(c.Name), c.Value)
			}
		}
	}
}

func (e *edits) merge(name string, v jsontext.Value) {
	if slices.Contains(reasoningFields, name) || strings.Contains(name, ".") || e.body.Has(name) || !valid(v) {
		return // the switches of reasoning are written in the upstream's own form
	}
	e.set(name, v)
}

// reasoningFields are all members that say how much to think.
var reasoningFields = []string{"reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget", "anthropic", "google"}

// reasoning leaves the client's own switches alone if the upstream knows them, and writes them anew otherwise.
func (e *edits) reasoning(req *canon.Request) {
	facts := oai.FactsOf(req)
	own := e.o.ownReasoning(req, facts)
	sent, foreign := false, req.Reasoning.Source == "suffix"
	for _, m := range e.body.Members {
		extra := m.Name == "extra_body" || strings.HasPrefix(m.Name, "extra_body.")
		if !extra && !slices.Contains(reasoningFields, m.Name) {
			continue
		}
		sent = sent || !extra
		if extra && req.Reasoning.Mode != "" || !extra && !slices.Contains(own, m.Name) {
			foreign = true
		}
	}
	if sent && !foreign && e.o.effortFits(req, facts) {
		return
	}
	if !sent && !foreign {
		return
	}
	for _, name := range reasoningFields {
		if e.body.Has(name) {
			e.set(name, nil)
		}
	}
	members, dropped := e.o.reasoningMembers(req, facts)
	for _, m := range members {
		e.set(m.Name, m.Value)
	}
	if dropped {
		e.warn("reasoning", "the service does not take it")
	}
}

// limitField is the name of the token limit.
func (o *Options) limitField() string {
	switch {
	case o.MaxTokensField != "":
		return o.MaxTokensField
	case o.OwnHost:
		return "max_completion_tokens"
	default:
		return "max_tokens"
	}
}

// samplingFields are what OpenAI's reasoning models answer with 400.
var samplingFields = []string{"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"}

// extensionFields are sampling fields that OpenAI's own service does not know.
var extensionFields = []string{"top_k", "min_p", "repetition_penalty"}

// unsupported is the error for content that a model cannot take.
func unsupported(param, format string, args ...any) *apierror.Error {
	e := apierror.New(apierror.Unsupported, format, args...)
	e.Param = param
	return e
}
