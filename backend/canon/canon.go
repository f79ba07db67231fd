// Package canon holds the one request and the one event stream that every client protocol is decoded into and every
// provider speaks. It knows no protocol and no provider, does no I/O and keeps no state.
package canon

import (
	"crypto/rand"
	"encoding/hex"
	"iter"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Roles of a message. RoleSystem marks system text that stands in the middle of a conversation; the leading one is in
// Request.System.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleSystem    Role = "system"
)

// Role says who speaks in a message.
type Role string

// Request is one call to a model. A nil pointer, an empty string or a zero mode means that the client did not say.
//
// A request is shared by the attempts of one call and is read only after Expand; an attempt that must change it works
// on a copy made by Clone.
type Request struct {
	Format     string // wire format of the client: "openai", "responses", "anthropic", "gemini", "ollama"
	Op         string // which endpoint of that format: "chat", "completions", "messages", "generate"...
	ModelAsked string // exactly as sent; every answer echoes it
	Model      string // the upstream's name, filled from the plan
	Facts      Model  // what is known of the upstream's model, filled from the plan; zero = nothing
	Stream     bool   // what the client wants; a provider may stream anyway

	System     []Part // leading system and developer text; text parts only
	Messages   []Message
	Tools      []Tool
	ToolChoice ToolChoice
	Parallel   *bool // parallel tool calls
	Sampling   Sampling
	MaxTokens  *int64
	Stop       []string
	Output     Output // text, JSON, JSON by schema
	Reasoning  Reasoning
	Modalities []string       // what the answer may hold: "text", "audio", "image"
	Audio      jsontext.Value // voice and format of an audio answer, in chat's shape

	Verbosity, ServiceTier, PromptCacheKey, UserID string
	ConversationGuessed                            bool   // Conversation is made of how the request begins, for want of what the app says
	Conversation                                   string // stable key of the conversation, for stickiness and caches; "" until known
	Seed                                           string // system head and first user text, from which a key is derived when the client sent none
	Metadata                                       jsontext.Value
	Cache                                          *Cache // top-level cache hint
	State                                          State  // what needs state kept by the upstream
	IncludeUsage                                   bool   // the client asked for usage in the stream (chat)
	Include                                        []string

	// Prompts holds the prompts of a legacy completions call with several of them; see Split.
	Prompts []string
	// Echo asks that a legacy completion repeats its prompt.
	Echo bool

	// Ext keeps members that canon has no word for. Only a writer of the same Format writes them back.
	Ext map[string]jsontext.Value
	// Headers are the client's headers that a same-protocol upstream may see, names in canonical form.
	Headers map[string][]string
	// Body is the client's own body. A request writer of the same Format edits it instead of writing anew, so that a
	// same-protocol upstream gets the client's own bytes. Its Raw is empty when the request was not made from bytes.
	Body Object
	// Began is when the request came, for formats whose answers tell how long they took.
	Began time.Time

	expand func(*Request) error
	ids    IDSource
	clock  func() time.Time
}

// IDSource makes an id of prefix and n random hex digits.
type IDSource func(prefix string, n int) string

// SetIDs sets where NewID takes ids from; tests use a counter.
func (r *Request) SetIDs(ids IDSource) { r.ids = ids }

// NewID returns a new id of prefix and n hex digits, random unless SetIDs said otherwise.
func (r *Request) NewID(prefix string, n int) string { return r.IDs()(prefix, n) }

// IDs returns what NewID takes ids from, for somebody who must not keep the request.
func (r *Request) IDs() IDSource {
	if r.ids != nil {
		return r.ids
	}
	return randomID
}

func randomID(prefix string, n int) string {
	b := make([]byte, (n+1)/2)
	rand.Read(b) // crypto/rand: never fails
	return prefix + hex.EncodeToString(b)[:n]
}

// SetClock sets where Now takes the time from; tests use one of their own.
func (r *Request) SetClock(clock func() time.Time) { r.clock = clock }

// Now returns the time, the real one unless SetClock said otherwise. Renderers of formats that stamp what they send take
// it from here, so that the same events at the same times give the same bytes.
func (r *Request) Now() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return time.Now()
}

// State names what a client refers to that only one upstream has. Empty for most requests.
type State struct {
	PreviousResponse, Conversation, Prompt, CachedContent, Container string
	Item                                                             string // first item of an earlier answer that is only named
	Background                                                       bool
	Store                                                            *bool
}

// Message is one turn.
type Message struct {
	Role  Role
	Name  string // of the speaker, where a format has it
	Parts []Part
	Ext   map[string]jsontext.Value
}

// Types of a part.
const (
	PartText       PartType = iota + 1
	PartImage               // Media
	PartDocument            // Media
	PartAudio               // Media
	PartVideo               // Media
	PartToolCall            // CallID, Name, Args (or Text when Custom)
	PartToolResult          // CallID, Name, Result, IsError
	PartReasoning           // Text or Summary, Opaque
	PartRefusal             // Text
	PartServer              // Server: a tool that the provider runs itself
)

// PartType says which fields of a Part count.
type PartType uint8

// String returns the type's name for logs and golden files.
func (t PartType) String() string {
	names := [...]string{"none", "text", "image", "document", "audio", "video", "tool_call", "tool_result", "reasoning", "refusal", "server"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Part is one piece of content. Which fields count depends on Type.
type Part struct {
	Type      PartType
	Text      string         // text, refusal, visible reasoning, free-form input of a custom tool
	Summary   []string       // reasoning summaries
	Media     *Media         // image, document, audio, video
	CallID    string         // tool call and tool result
	ItemID    string         // the format's own id of the item
	Name      string         // of the tool
	Space     string         // namespace of the tool
	Custom    bool           // call or result of a custom (grammar) tool
	Args      jsontext.Value // a JSON object as raw bytes: key order and number forms stay; BadArgs when it is none
	BadArgs   bool           // Args holds the text of arguments that are not a JSON object, as a JSON string
	Result    []Part         // content of a tool result: text, image, document
	IsError   bool
	RawText   bool // reasoning is the model's own text, not a summary
	Redacted  bool // reasoning that only its maker can read; Opaque holds it
	Cache     *Cache
	Opaque    *Opaque
	Server    jsontext.Value // a provider-run tool's call, result or citation, replayed only to Opaque.Family
	Citations jsontext.Value // array, in the maker's shape
	Logprobs  jsontext.Value // array of token entries, in chat's shape
	Ext       map[string]jsontext.Value
}

// Opaque is something only its maker can read: a thinking signature, encrypted reasoning, a thought signature. A
// writer wraps or drops opaque data of another family instead of sending it.
type Opaque struct {
	Family string // the maker's model family: "claude", "gemini", "openai", "grok"; "" = unknown, see Classify in package wire
	Kind   string // what it belongs to: "think", "call", "text"
	Data   string
}

// Cache is a prompt-cache boundary that the client set; TTL is "5m", "1h" or empty.
type Cache struct{ TTL string }

// Media is an image, document, sound or video. Exactly one of Data, URL, FileID and Text is set.
type Media struct {
	MIME     string
	Data     []byte // decoded bytes
	URL      string
	FileID   string
	Text     string // a plain-text document
	FileName string
	Title    string
	Context  string
	Detail   string // image detail: "low", "high", "auto", "original"
}

// MediaURL is media that a request names by address and that must be fetched for a service which takes no addresses. Type
// says what it has to be: PartDocument a PDF, anything else a picture.
type MediaURL struct {
	URL  string
	Type PartType
}

// Tool is something the model may call.
type Tool struct {
	Kind                     string // ToolFunction, ToolCustom, ToolServer
	Name, Space, Description string
	Schema                   jsontext.Value // of a function's arguments
	Strict                   *bool
	Grammar                  jsontext.Value // custom: the format member
	ServerType               string         // server: "web_search_20250305", "googleSearch"...
	Raw                      jsontext.Value // the tool as sent
	Cache                    *Cache
	Ext                      map[string]jsontext.Value
}

// Kinds of a tool.
const (
	ToolFunction = "function"
	ToolCustom   = "custom"
	ToolServer   = "server"
)

// ToolChoice says whether the model must call a tool.
type ToolChoice struct {
	Mode  string // "", ChoiceAuto...
	Names []string
}

// Modes of a tool choice. ChoiceAllowed restricts to Names and leaves the model free to call none, unless Required.
const (
	ChoiceAuto     = "auto"
	ChoiceNone     = "none"
	ChoiceRequired = "required"
	ChoiceNamed    = "named"            // Names holds one name
	ChoiceAllowed  = "allowed"          // any of Names, or none
	ChoiceAllowReq = "allowed_required" // one of Names
)

// Sampling holds the numbers that steer token choice.
type Sampling struct {
	Temperature, TopP, MinP, Presence, Frequency, Repeat *float64
	TopK, Seed, N, TopLogprobs                           *int64
	Logprobs                                             *bool
	LogitBias                                            jsontext.Value
}

// Output says which form the answer's text must have.
type Output struct {
	Kind              string // "", OutputText, OutputJSON, OutputSchema
	Name, Description string
	Schema            jsontext.Value
	Strict            *bool
}

// Kinds of output.
const (
	OutputText   = "text"
	OutputJSON   = "json"
	OutputSchema = "schema"
)

// Reasoning says how much the model should think, and what of it the client wants to see.
type Reasoning struct {
	Mode    string // "", ReasonOff, ReasonOn, ReasonAuto
	Effort  string // "", minimal, low, medium, high, xhigh, max
	Budget  *int64 // tokens
	Summary string // "", none, auto, concise, detailed
	Source  string // what the client used: suffix, budget, effort, level, bool
}

// Modes of reasoning.
const (
	ReasonOff  = "off"
	ReasonOn   = "on"
	ReasonAuto = "auto"
)

// Event kinds.
const (
	KindStart        Kind = iota + 1
	KindPartStart         // Index, Part (its skeleton)
	KindDelta             // Index, Delta, Text
	KindPartEnd           // Index, Part (whole)
	KindUsage             // Usage
	KindChoiceFinish      // ends one of several choices; Choice, Finish
	KindFinish            // ends the answer; nothing follows
	KindPing              // the upstream is alive
	KindFrame             // a frame that means nothing to canon; only Raw counts
)

// Kind says which fields of an Event count.
type Kind uint8

// String returns the kind's name for logs and golden files.
func (k Kind) String() string {
	names := [...]string{"none", "start", "part_start", "delta", "part_end", "usage", "choice_finish", "finish", "ping", "frame"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Kinds of a delta: which field of the part Event.Text belongs to.
const (
	DeltaText      DeltaKind = iota + 1 // Part.Text: text, refusal, reasoning, input of a custom tool
	DeltaArgs                           // Part.Args, as pieces of JSON text
	DeltaSummary                        // the last of Part.Summary; see Event.Summary
	DeltaSignature                      // Part.Opaque.Data
	DeltaCitation                       // one entry of Part.Citations, whole, as JSON
)

// DeltaKind says what a delta adds to.
type DeltaKind uint8

// String returns the kind's name for logs and golden files.
func (d DeltaKind) String() string {
	names := [...]string{"none", "text", "args", "summary", "signature", "citation"}
	if int(d) < len(names) {
		return names[d]
	}
	return "unknown"
}

// Event is one step of an answer. A stream is: Start once, then parts (PartStart, Delta..., PartEnd; several may be
// open at once, Index tells them apart and counts from 0 in order of first appearance), Usage at any time, and exactly
// one Finish. After Finish nothing follows. An error of the stream ends it instead of Finish.
//
// With several choices (n > 1) parts carry their Choice, each choice is ended by ChoiceFinish, and Finish follows.
type Event struct {
	Kind     Kind
	Choice   int            // which of several answers; 0 for almost all
	Index    int            // of the part
	Part     *Part          // PartStart: its skeleton; PartEnd: the whole part
	Delta    DeltaKind      // Delta: which field Text belongs to
	Summary  int            // Delta of kind summary: index into Part.Summary
	Text     string         // Delta: a piece of text, reasoning, summary, tool arguments or signature
	Logprobs jsontext.Value // Delta: token entries of this piece, in chat's shape
	ID       string         // Start: answer ID
	Model    string         // Start: the upstream's name
	Created  int64          // Start: Unix seconds, 0 = unknown
	Usage    *Usage         // Usage and Finish: token counts so far
	Finish   Finish
	Dropped  []Warning                 // Start: what could not be carried over to this upstream
	Ext      map[string]jsontext.Value // Start and Finish: members of the answer that canon has no word for

	// Verbatim on Start says that the upstream speaks the client's Format and its frames follow in Raw: the renderer
	// copies them (with the model's name put back) and only observes the events.
	Verbatim bool
	// Raw is the upstream's frame as it came, without the framing around it: the data of an SSE event. The first event
	// of a frame carries it, the others of the same frame have none. It is valid only until the next event.
	Raw []byte
	// Anew, in a stream of Verbatim, says that no frame in Raw tells this event: the renderer writes it, and goes on
	// copying with the next event that is not.
	Anew bool
	// RawName is the frame's SSE event name, if it had one.
	RawName string
	// Whole, on Finish, is the whole answer of an upstream that did not stream and speaks the client's Format.
	Whole []byte
	// More says that the next event is there already, so the bytes of this one need not be flushed on their own.
	More bool
}

// Clone returns a copy of ev that stays valid after the next event.
func (ev Event) Clone() Event {
	if ev.Raw != nil {
		ev.Raw = append([]byte(nil), ev.Raw...)
	}
	if ev.Part != nil {
		part := *ev.Part
		ev.Part = &part
	}
	return ev
}

// Content reports whether ev carries something a client would show or act on: after it was sent, nothing may be
// retried. That a part begins is none: services announce one, think for minutes, and fail.
func (ev Event) Content() bool {
	switch ev.Kind {
	case KindDelta, KindPartEnd, KindFinish, KindChoiceFinish:
		return true
	default:
		return false
	}
}

// Stream is an answer in progress. Breaking out of the loop, or the end of the context, closes the upstream
// connection before the loop statement returns. A Stream is used once, by one goroutine. Its errors are
// *apierror.Error.
type Stream = iter.Seq2[Event, error]

// Failed is a stream that holds nothing but an error.
func Failed(err error) Stream {
	return func(yield func(Event, error) bool) { yield(Event{}, err) }
}

// Finish says why the answer ended: Reason is one of the constants, Raw what the upstream said.
type Finish struct {
	Reason       FinishReason
	StopSequence string
	Raw, Detail  string
}

// FinishReason says why an answer ended.
type FinishReason string

// Reasons to finish.
const (
	FinishStop         FinishReason = "stop"
	FinishStopSequence FinishReason = "stop_sequence"
	FinishTools        FinishReason = "tools"
	FinishLength       FinishReason = "length"  // the token limit of the request
	FinishContext      FinishReason = "context" // the model's window is full
	FinishFilter       FinishReason = "filter"
	FinishPause        FinishReason = "pause" // a long turn of the provider's own tools; send the answer back to go on
)

// Reasons lists every FinishReason, for tests that must cover them all.
var Reasons = []FinishReason{FinishStop, FinishStopSequence, FinishTools, FinishLength, FinishContext, FinishFilter, FinishPause}

// Usage counts tokens, absolute, -1 for unknown: a later unknown never erases an earlier number. Input includes
// CacheRead and CacheWrite; CacheWrite includes CacheWrite1h; Output includes Reasoning.
type Usage struct {
	Input, CacheRead, CacheWrite, CacheWrite1h, Output, Reasoning, ToolPrompt int64
	Estimated                                                                 bool
}

// UnknownUsage is a Usage in which nothing is known.
func UnknownUsage() Usage {
	return Usage{Input: -1, CacheRead: -1, CacheWrite: -1, CacheWrite1h: -1, Output: -1, Reasoning: -1, ToolPrompt: -1}
}

// Merge overwrites each number of u that is known in later.
func (u *Usage) Merge(later Usage) {
	merge := func(dst *int64, v int64) {
		if v >= 0 && (v > 0 || *dst < 0) {
			*dst = v
		}
	}
	merge(&u.Input, later.Input)
	merge(&u.CacheRead, later.CacheRead)
	merge(&u.CacheWrite, later.CacheWrite)
	merge(&u.CacheWrite1h, later.CacheWrite1h)
	merge(&u.Output, later.Output)
	merge(&u.Reasoning, later.Reasoning)
	merge(&u.ToolPrompt, later.ToolPrompt)
	u.Estimated = u.Estimated || later.Estimated
}

// Known returns n, or 0 if n is unknown (negative).
func Known(n int64) int64 { return max(n, 0) }

// Warning tells what could not be carried over, for example a parameter the upstream does not have. It goes into the
// log and the header X-Patchbay-Dropped: a dropped field is reported, never silently lost.
type Warning struct {
	Field, Detail string
	OnWay         bool // the detail also stands in the way of the request: something unusual was done
}

// ThoughtsRefused is the warning of a request that was sent once more because the service did not take the thinking of
// earlier turns: another one had signed it.
func ThoughtsRefused() Warning {
	return Warning{Field: "reasoning", Detail: "the service refused the thinking of earlier turns, and was asked once more without it", OnWay: true}
}

// Response is a whole answer, as Collect folds it from a Stream.
type Response struct {
	ID, Model string
	Created   int64 // Unix seconds, 0 = unknown
	Parts     []Part
	Finish    Finish
	More      []Choice // the choices after the first, in order
	Usage     *Usage
	Dropped   []Warning
	Ext       map[string]jsontext.Value
	Whole     []byte    // the upstream's body, if it speaks the client's format and answered in one piece
	First     time.Time // when the first content came, zero if none did
}

// Choice is one of several answers to the same request.
type Choice struct {
	Parts  []Part
	Finish Finish
}

// Model is one entry of a model list, with what conversion and the capability check need to know of it.
type Model struct {
	ID, Name             string
	Provider             string   // provider ID, filled by the router
	Created              int64    // Unix seconds, 0 = unknown
	Context, MaxOutput   int64    // tokens, 0 = unknown
	Efforts              []string // reasoning levels it knows; empty = none or unknown
	BudgetMin, BudgetMax int64    // thinking tokens; 0, 0 = it takes no budget
	Tools, Images        Known3
	Documents, Audio     Known3
	Thinking, Sampling   Known3
	Schema               Known3 // takes a JSON schema for its answer
	Embeddings           Known3
	Pictures             Known3 // makes images and does not chat: routed to, but in no list of chat models
	Stale                bool   // from a list that the service did not give again when it was asked
}

// Fill takes over from other what m does not know.
func (m *Model) Fill(other Model) {
	if m.Name == "" {
		m.Name = other.Name
	}
	for _, n := range []struct{ dst, src *int64 }{
		{&m.Created, &other.Created}, {&m.Context, &other.Context}, {&m.MaxOutput, &other.MaxOutput},
		{&m.BudgetMin, &other.BudgetMin}, {&m.BudgetMax, &other.BudgetMax},
	} {
		if *n.dst == 0 {
			*n.dst = *n.src
		}
	}
	if len(m.Efforts) == 0 {
		m.Efforts = other.Efforts
	}
	for _, k := range []struct{ dst, src *Known3 }{
		{&m.Tools, &other.Tools}, {&m.Images, &other.Images}, {&m.Documents, &other.Documents}, {&m.Audio, &other.Audio},
		{&m.Thinking, &other.Thinking}, {&m.Sampling, &other.Sampling}, {&m.Schema, &other.Schema},
		{&m.Embeddings, &other.Embeddings}, {&m.Pictures, &other.Pictures},
	} {
		if *k.dst == Unknown {
			*k.dst = *k.src
		}
	}
}

// Known3 is yes, no or unknown.
type Known3 uint8

// Values of Known3. The zero value is Unknown.
const (
	Unknown Known3 = iota
	Yes
	No
)

// Embed is a request for embeddings.
type Embed struct {
	Format     string
	ModelAsked string
	Model      string
	Inputs     []string
	Tokens     [][]int64 // inputs as token ids, instead of Inputs
	Dimensions *int64
	Base64     bool // the client wants base64 of little-endian float32
	UserID     string
	Ext        map[string]jsontext.Value
	Body       Object
	Began      time.Time // as of Request
}

// Embeddings is the answer to Embed, in the order of the inputs.
type Embeddings struct {
	Model   string
	Vectors [][]float32
	Usage   *Usage
}
