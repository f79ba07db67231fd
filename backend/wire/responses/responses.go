// Package responses is the OpenAI Responses format in all four directions: requests and answers, streamed and whole.
//
// The client side is Codec. The upstream side is Exchange, and serves every service that speaks this format; what a
// service does differently is data in Options. The package does no I/O, keeps nothing between requests and knows no
// service by name.
//
// Answers that are written here keep to the Open Responses specification (version 2026-04-24): every member that it
// demands is there, with the type that it demands. Tools and items that the specification does not have (custom tools,
// tool search, images) have the form of OpenAI's public API reference.
//
// What write(read(x)) changes when the client's body is not passed on as it came: ids of items go, except those of
// reasoning; neighbouring texts of one assistant turn become one message where their ids do not tell them apart; an input
// of one string becomes a message; additional_tools and the tools of a tool_search_output join the tools; contents that
// are a string become one part.
package responses

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// Name is the format's stable id.
const Name = "responses"

// Operations of the format.
const (
	OpCreate      wire.Op = "create"
	OpCompact     wire.Op = "compact"
	OpCount       wire.Op = "input_tokens"
	OpUpgrade     wire.Op = "upgrade"
	OpUnsupported wire.Op = "unsupported"
)

// Codec reads what Responses clients send and renders what they expect.
type Codec struct{}

var (
	_ wire.Codec        = Codec{}
	_ wire.CountCodec   = Codec{}
	_ wire.CompactCodec = Codec{}
)

// Name returns the format's id.
func (Codec) Name() string { return Name }

// routes are the endpoints. Responses are not stored here, so those that read stored ones have nothing to read.
var routes = []wire.Route{
	{Pattern: "POST /v1/responses", Op: OpCreate, Class: wire.ClassAnswer},
	{Pattern: "POST /v1/responses/compact", Op: OpCompact, Class: wire.ClassCompact},
	{Pattern: "POST /v1/responses/input_tokens", Op: OpCount, Class: wire.ClassCount},
	{Pattern: "GET /v1/responses", Op: OpUpgrade, Class: wire.ClassUpgrade},
	{Pattern: "/v1/responses/{id}", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/responses/{id}/cancel", Op: OpUnsupported, Class: wire.ClassUnsupported},
	{Pattern: "/v1/responses/{id}/input_items", Op: OpUnsupported, Class: wire.ClassUnsupported},
}

// Routes lists the endpoints.
func (Codec) Routes() []wire.Route { return append([]wire.Route(nil), routes...) }

// Decode reads a request for an answer, for a count of its tokens or for the compaction of a conversation.
func (Codec) Decode(op wire.Op, r *http.Request, body []byte) (*canon.Request, error) {
	switch op {
	case OpCreate, OpCompact, OpCount:
	default:
		return nil, apierror.New(apierror.RouteNotFound, "Patchbay does not offer this endpoint; use POST /v1/responses")
	}
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	d := decoder{o: o, req: &canon.Request{Format: Name, Op: string(op), Body: o}}
	if err := d.scalars(); err != nil {
		return nil, err
	}
	d.session(r)
	return d.conversation()
}

// AppendModels renders the model list, which is that of Chat.
func (Codec) AppendModels(dst []byte, _ *http.Request, models []canon.Model) ([]byte, error) {
	return oai.AppendModels(dst, models), nil
}

// AppendModel renders one entry of the model list.
func (Codec) AppendModel(dst []byte, _ *http.Request, m canon.Model) ([]byte, error) {
	return oai.AppendModel(dst, m), nil
}

// AppendCount renders the tokens of a prompt.
func (Codec) AppendCount(dst []byte, tokens int64) []byte {
	dst = strconv.AppendInt(append(dst, `{"object":"response.input_tokens","input_tokens":`...), tokens, 10)
	return append(dst, '}')
}

// AppendCompact renders a compacted conversation: the service's own answer, which nobody else can read.
func (Codec) AppendCompact(dst []byte, _ *canon.Request, answer jsontext.Value) []byte {
	return append(dst, answer...)
}

// Error renders e as an error body with its status: the one of Chat.
func (Codec) Error(e *apierror.Error, requestID string) (int, http.Header, []byte) {
	return oai.Error(e, requestID)
}
