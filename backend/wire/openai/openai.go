// Package openai is the OpenAI Chat format in all four directions: requests and answers of chat completions, streamed
// and whole, with the legacy completions, the embeddings and the model list that belong to the same base address.
//
// The client side is Codec. The upstream side is Exchange with ParseError, ParseModels and the embedding functions, and
// serves every vendor that speaks this format; what a vendor does differently is data in Options. The package does no
// I/O, keeps nothing between requests and knows no vendor by name, except for the dated facts of OpenAI's own models.
//
// What write(read(x)) changes when the client's body is not passed on as it came: leading system and developer messages
// become one; a request of system messages alone ends in a user message; the old function form becomes tools; reasoning
// switches take the upstream's form; text parts of system and assistant messages become one string; content of one plain
// text part becomes a string; the reasoning of history is written as reasoning_content.
package openai

import (
	"net/http"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Name is the format's stable id.
const Name = "openai"

// Operations of the format.
const (
	OpChat        wire.Op = "chat"
	OpCompletions wire.Op = "completions"
	OpEmbeddings  wire.Op = "embeddings"
	OpModels      wire.Op = "models"
	OpModel       wire.Op = "model"
	OpGenerations wire.Op = "generations" // of images
	OpEdits       wire.Op = "edits"       // of images
	OpUnsupported wire.Op = "unsupported"
)

// Codec reads what chat clients send and renders what they expect.
type Codec struct{}

var (
	_ wire.Addressed  = Codec{}
	_ wire.Codec      = Codec{}
	_ wire.EmbedCodec = Codec{}
	_ wire.ImageCodec = Codec{}
	_ wire.Splitter   = Codec{}
)

// Name returns the format's id.
func (Codec) Name() string { return Name }

// Address tells what a base URL of these clients ends in.
func (Codec) Address() (clients, suffix string) { return "OpenAI", "/v1" }

// Likely claims no request: it is the common case.
func (Codec) Likely(*http.Request, string) bool { return false }

// routes are the endpoints. An id of a model may hold slashes, so it is the rest of the path.
var routes = []wire.Route{
	{Pattern: "POST /v1/chat/completions", Op: OpChat, Class: wire.ClassAnswer},
	{Pattern: "POST /v1/completions", Op: OpCompletions, Class: wire.ClassAnswer},
	{Pattern: "POST /v1/embeddings", Op: OpEmbeddings, Class: wire.ClassEmbed},
	{Pattern: "POST /v1/images/generations", Op: OpGenerations, Class: wire.ClassImages},
	{Pattern: "POST /v1/images/edits", Op: OpEdits, Class: wire.ClassImages},
	{Pattern: "GET /v1/models", Op: OpModels, Class: wire.ClassModels},
	{Pattern: "GET /v1/models/{id...}", Op: OpModel, Class: wire.ClassModel},
	{Pattern: "/v1/moderations", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/audio/", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/files", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/files/", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/assistants", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/assistants/", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/images/", Op: OpUnsupported, Class: wire.ClassUnsupported},
}

// Routes lists the endpoints.
func (Codec) Routes() []wire.Route { return append([]wire.Route(nil), routes...) }

// Decode reads a request for a chat completion or a legacy completion.
func (Codec) Decode(op wire.Op, r *http.Request, body []byte) (*canon.Request, error) {
	switch op {
	case OpChat, OpCompletions:
	default:
		return nil, unsupportedEndpoint()
	}
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	d := newDecoder(op, o)
	if err := d.scalars(); err != nil {
		return nil, err
	}
	d.session(r)
	if op == OpCompletions {
		return d.completion()
	}
	return d.chat()
}

func unsupportedEndpoint() *apierror.Error {
	e := apierror.New(apierror.RouteNotFound, "Patchbay does not offer this endpoint; use /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/images/generations, /v1/images/edits or /v1/models")
	e.Code = "unsupported_endpoint"
	return e
}
