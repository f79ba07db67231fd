package simulator

import "time"

// turn is what a dialect's reader saw in a request: enough to decide on an
// answer, far less than a conversion.
type turn struct {
	model    string
	stream   bool
	system   string   // leading system text
	midwords []string // system messages that stand later on
	lastUser string   // text of the last user message that has any
	results  []result // tool results after the last assistant message
	rounds   int      // tool rounds since the last user text
	tools    []tool
	choice   string // "", auto, none, required, or the name of the tool that is forced
	parallel bool

	schema   any  // structured output wanted: the JSON schema
	jsonMode bool // any JSON object will do
	schemaOK bool // schema is set

	images    []media
	documents []media
	audio     []media
	thoughts  int // reasoning parts that came back
	messages  int

	thinking bool // the client asked to see or to have reasoning
	hidden   bool // the reasoning text is to be left out
	stops    []string
	n        int
	logprobs bool
	usage    bool // chat: the client asked for the usage chunk
	noAnswer bool // max_tokens 0: only fill the cache
	oldCalls bool // chat: the old `functions` form
	tokens   int  // estimate of the prompt
	cache    []cacheMark

	split        bool   // MiniMax: thoughts beside the text
	flow         bool   // GLM: arguments of calls in pieces
	conversation string // Kiro: its id
	tagged       bool   // Kiro: thinking was asked for by tags

	third  bool   // Gemini: a 3.x model
	prompt bool   // Ollama: /api/generate, a prompt instead of messages
	load   string // Ollama: nothing to answer, the model is only to be loaded, or unloaded

	// Of the Responses API alone.
	request   map[string]any // as it came: the answer repeats its settings
	items     []any          // the conversation, stored turns included
	inputs    []any          // the items of this request
	encrypted bool           // include asks for encrypted_content
}

// cacheMark is a place where the client wants the prompt cached: a hash of all
// that stands before it, and how long that is.
type cacheMark struct {
	hash   string
	tokens int
	hour   bool
}

type tool struct {
	name, description string
	schema            map[string]any
	custom            bool   // takes free text, not an object
	space             string // the namespace it stands in
}

// result is what the client says a tool gave.
type result struct {
	id, name, text string
	images         int
	failed         bool
}

// media is one image, document or clip that arrived.
type media struct {
	mime          string
	width, height int // 0: unknown
	size          int
	name          string // file name or address
}

type partKind int

const (
	textPart partKind = iota
	reasoningPart
	redactedPart
	callPart
	refusalPart
	imagePart // Gemini: a picture, its text is base64
)

// part is one piece of an answer.
type part struct {
	kind     partKind
	text     string
	pieces   []string // how a stream cuts the text; nil: by words
	id, name string   // of a call
	args     string   // of a call: JSON, or free text for a custom tool
	custom   bool
	item     string // Responses: the id of the item; id is the call's
	seal     string // what only the vendor reads: encrypted_content, thoughtSignature
	space    string // Responses: the namespace of the tool
}

type tokens struct {
	in, out, cached, written, writtenHour, reasoning int

	told bool // a scenario named the numbers
}

// The ways an answer ends.
const (
	finStop     = "stop"
	finLength   = "length"
	finTools    = "tools"
	finFilter   = "filter"
	finSequence = "stop_sequence"
	finPause    = "pause"

	finBlocked   = "blocked"   // the prompt was stopped by a filter, nothing was said
	finMalformed = "malformed" // the model wrote a call that nobody can read
	finNamed     = "named"     // in the words of the scenario
)

// reply is an answer in no protocol's words.
type reply struct {
	id       string
	model    string
	created  time.Time
	parts    []part
	finish   string
	sequence string // the stop sequence that was hit
	native   string // finNamed: the word that the answer ends with
	usage    tokens

	interleave bool // arguments of several calls come mixed
	usageEvery bool // usage in every chunk
	noUsage    bool // no usage at all
	n          int
	logprobs   bool
	unified    string // anthropic: the subscription windows' header family
	thinkTags  bool   // chat: reasoning inside the text, in <think> tags
	odd        string // chat: a form that only lenient readers understand
	bareEnd    bool   // Responses: the final object has an empty output
	oddity     string // Kiro: what is wrong with the frames
}

// failure is a refusal in no protocol's words.
type failure struct {
	kind       string // one of the fail constants
	message    string // "" = the vendor's usual text
	param      string
	code       string
	status     int    // 0 = the vendor's status for the kind
	retryAfter string // seconds
	model      string
	window     string // anthropic: the subscription window that rejects
	reset      time.Time
	limit      [2]int // too long: tokens asked, tokens allowed
	details    []any  // Google: further members of the error
	bare       bool   // Responses: in a stream an error event, not a failed response
}

// Kinds of failure.
const (
	failInvalid      = "invalid"
	failUnauthorized = "unauthorized"
	failForbidden    = "forbidden"
	failNotFound     = "not_found"
	failTooLong      = "too_long"
	failTooLarge     = "too_large"
	failRate         = "rate_limit"
	failQuota        = "quota"
	failBilling      = "billing"
	failServer       = "server_error"
	failOverload     = "overload"
	failTimeout      = "timeout"
	failSignature    = "signature" // of a thought: it was not made here
	failLocation     = "location"  // the service is not offered there
)

// plan is what will be done with one request.
type plan struct {
	fail  *failure
	reply reply
	d     delivery
}

// delivery is how an answer travels: pauses, cuts and disfigurements. Places
// in a stream count content frames: -1 is before everything, 0 before the
// first content, n after the n-th. A place of [nowhere] is never reached.
type delivery struct {
	firstByte, delay time.Duration

	cutBefore bool // close the connection without an answer
	cutAt     int
	stallAt   int
	stallFor  time.Duration
	garbageAt int
	garbage   string
	errorAt   int
	errorWith *failure

	noEnd     bool // leave the last frame out
	flip      bool // JSON for a stream, a stream for JSON
	crlf      bool
	noSpace   bool
	comments  bool
	noise     string // a comment before the first event and now and then
	gzip      bool
	redirect  *redirect
	bytewise  bool
	plainType bool // content type text/plain for events
	raw       *rawAnswer
	style     string // how a stream is written; "" = server-sent events
}

// redirect sends the client to another place.
type redirect struct {
	status int
	to     string // "" = the same path on the upstream Elsewhere, under another host name
}

// Ways to write a stream.
const (
	styleArray = "array" // the pieces are the elements of one JSON array
	styleLines = "lines" // every piece on a line

	styleBinary = "binary" // the pieces as they are: frames of AWS's event stream
)

const nowhere = -2

// rawAnswer replaces the whole answer.
type rawAnswer struct {
	status int
	mime   string
	body   string
}
