// Package wire defines what a wire format must be able to do for clients, and holds what all formats share: frames of an
// event stream, ids, tool names, signatures of other families, schemas, media and token estimates.
//
// The provider-facing half of a format is plain functions in its own package (a request writer, a response reader,
// ParseError), called by the providers that speak it. Nothing here does network I/O.
package wire

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// A Codec reads what a client sent and renders the answer in the form that client expects. Codecs do no I/O and keep
// nothing between requests.
type Codec interface {
	// Name is the format's stable ID: "openai", "responses", "anthropic", "gemini", "ollama".
	Name() string
	// Routes lists the endpoints as http.ServeMux patterns.
	Routes() []Route
	// Decode reads a request for a model's answer, or for a count of its tokens. An error is *apierror.Error and names
	// the offending field. body is the whole body, already decompressed; the request keeps it.
	Decode(op Op, r *http.Request, body []byte) (*canon.Request, error)
	// NewRenderer renders one streamed answer.
	NewRenderer(req *canon.Request) Renderer
	// AppendResponse renders a whole answer.
	AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error)
	// AppendModels renders the model list; r may ask for a part of it.
	AppendModels(dst []byte, r *http.Request, models []canon.Model) ([]byte, error)
	// AppendModel renders one entry of the model list.
	AppendModel(dst []byte, r *http.Request, m canon.Model) ([]byte, error)
	// Error renders e as this format's error body and HTTP status. Headers may be nil.
	Error(e *apierror.Error, requestID string) (status int, header http.Header, body []byte)
}

// A Renderer turns events into bytes for one answer. It is a pure state machine: the same events give the same bytes.
// What it needs of the request's conversation it takes when it is made or at the start of the answer: after the first content
// the request is released, see canon.Request.Release. AppendPing does not look at the request at all.
// Whatever happens, the bytes it has produced end with exactly one terminal event of the format once Finish or
// AppendError was given; what comes after that appends nothing.
type Renderer interface {
	ContentType() string
	AppendEvent(dst []byte, ev canon.Event) []byte
	// AppendError ends an answer that has already begun.
	AppendError(dst []byte, e *apierror.Error) []byte
	// AppendPing renders the keep-alive that clients of this format ignore. It appends nothing where there is none
	// (Ollama), and never a comment for Gemini.
	AppendPing(dst []byte) []byte
}

// A CountCodec renders token counts. Its count endpoint is a Route of class ClassCount, read by Decode.
type CountCodec interface {
	AppendCount(dst []byte, tokens int64) []byte
}

// An EmbedCodec reads and answers requests for embeddings.
type EmbedCodec interface {
	DecodeEmbed(op Op, r *http.Request, body []byte) (*canon.Embed, error)
	AppendEmbed(dst []byte, req *canon.Embed, resp *canon.Embeddings) ([]byte, error)
}

// A CompactCodec is a Codec whose clients have conversations shortened by the service. What comes back is opaque: only an
// upstream of the same format that has the endpoint can serve it.
type CompactCodec interface {
	AppendCompact(dst []byte, req *canon.Request, answer jsontext.Value) []byte
}

// An ImageCodec reads requests for images and renders what is made of them.
type ImageCodec interface {
	// DecodeImage reads a request. body is the whole body, already decompressed; the request keeps it.
	DecodeImage(op Op, r *http.Request, body []byte) (*canon.ImageRequest, error)
	// AppendImages renders an answer in one piece, out of all its steps.
	AppendImages(dst []byte, steps []canon.ImageEvent) []byte
	// NewImageRenderer renders a streamed answer. AppendEvent gets each step as ImageStep makes it.
	NewImageRenderer(req *canon.ImageRequest) Renderer
}

// ImageStep puts a step of the making of images into an event, as renderers take them.
func ImageStep(ev canon.ImageEvent) canon.Event {
	out := canon.Event{Kind: canon.KindPartEnd, Part: &canon.Part{Type: canon.PartImage}, Raw: ev.Raw, RawName: ev.Name}
	if ev.Done {
		out.Kind, out.Part = canon.KindFinish, nil
	}
	return out
}

// A Splitter is a Codec with requests that become several calls: legacy completions with an array of prompts. Split
// returns one request per prompt; the answers become choices in that order.
type Splitter interface {
	Split(req *canon.Request) []*canon.Request
}

// A Claimer is a Codec that shares an endpoint with another one: GET /v1/models is both OpenAI's and Anthropic's. It
// gets the requests that it claims.
type Claimer interface {
	Claims(r *http.Request) bool
}

// A Hosted codec has a host root of its own besides the common one: below a first path segment of the main address, and
// at the root of a listener of its own. Everything the common root serves is served there too.
type Hosted interface {
	// Host returns the segment, and the text that GET of that root answers.
	Host() (segment, text string)
}

// An Addressed codec tells how its clients are set to an address. The server asks when a request leads nowhere: a wrong
// base URL is the most common mistake of all.
type Addressed interface {
	// Address returns the name that people know the clients by, and what follows the host in their base URL: "/v1", or
	// nothing.
	Address() (clients, suffix string)
	// Likely reports whether a request to a path that nobody serves looks like one of this format's.
	Likely(r *http.Request, path string) bool
}

// An Immediate codec has requests for an answer that no upstream is asked for: Ollama's to load a model. The server
// checks that the model can be had before it sends the body.
type Immediate interface {
	// AppendImmediate appends the answer, or reports false for a request that needs a model.
	AppendImmediate(dst []byte, req *canon.Request) ([]byte, bool)
}

// A Lookup codec has endpoints of ClassLookup, whose body names a model that the answer tells of.
type Lookup interface {
	// LookupName reads the model's name.
	LookupName(op Op, body []byte) (string, error)
	// AppendLookup renders the answer; m is nil if there is no such model.
	AppendLookup(dst []byte, op Op, body []byte, name string, m *canon.Model) (status int, contentType string, out []byte)
}

// A RunningCodec renders the list of the models in use, of ClassRunning.
type RunningCodec interface {
	AppendRunning(dst []byte, models []Running) []byte
}

// Running is a model that was used a short while ago, under the name that the list of models gives it.
type Running struct {
	Model canon.Model
	Until time.Time // when it counts as unused
}

// A Fixed codec has endpoints of ClassFixed, whose answer is always the same.
type Fixed interface {
	AppendFixed(dst []byte, op Op) []byte
}

// Route is one endpoint.
type Route struct {
	Pattern string // "POST /v1/messages"
	Op      Op     // tells Decode which operation it is
	Class   Class  // tells the server what to do
	Access  Access // who may call it without a client key
	Labels  bool   // of a model list: each name carries its provider, "[Label] id"
}

// Access says who may call an endpoint without a client key.
type Access uint8

// The values of Access.
const (
	AccessKey   Access = iota // nobody
	AccessLocal               // programs on this machine
	AccessAll                 // everybody
)

// Op names an operation of a format.
type Op string

// Class says which generic handler serves an endpoint.
type Class uint8

// The classes.
const (
	ClassAnswer Class = iota // a model's answer, streamed or whole
	ClassCount
	ClassEmbed
	ClassModels
	ClassModel
	ClassCompact // a conversation to be shortened by the upstream; the codec is a CompactCodec
	ClassUpgrade // where clients try a WebSocket first: 426, so that they go on by POST
	ClassImages
	ClassUnsupported // known, and answered with 404 in the format's own shape
	_                // ClassByRequest, see Router
	ClassLookup
	ClassRunning
	ClassFixed
	ClassRefused // known, and answered with 405 in the format's own shape
)

// EagerLimit is the size of a body in bytes up to which a codec reads the whole conversation in Decode. Past it the
// conversation is read when somebody needs it: a same-protocol upstream gets the client's bytes and checks them itself.
const EagerLimit = 256 << 10
