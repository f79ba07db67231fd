// Package anthropic is the wire format of Anthropic's Messages API in all four directions: it reads what a client sends
// and renders what it gets, and it writes calls to an upstream and reads the answers. Token counts and the model list
// belong to it too. It does no I/O of its own, keeps nothing between requests, and knows no account: URLs, keys and
// retries are the drivers' and the gateway's.
//
// Shapes and rules were taken from @anthropic-ai/sdk 1.12.0 and anthropic-sdk-go v1.84.0, and from requests recorded
// from claude-code 2.1.197, opencode 1.18.33, cline 3.0.65 and qwen-code 0.15.10.
package anthropic

import (
	"net/http"
	"strings"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Name is the format's id.
const Name = "anthropic"

// Operations of the format.
const (
	OpMessages wire.Op = "messages"
	OpCount    wire.Op = "count"
	OpModels   wire.Op = "models"
	OpModel    wire.Op = "model"
	OpNone     wire.Op = "unsupported"
)

// Version is the only version of the API, sent as the header anthropic-version.
const Version = "2023-06-01"

// Codec is the client side of the format.
type Codec struct{}

var (
	_ wire.Addressed  = Codec{}
	_ wire.Codec      = Codec{}
	_ wire.CountCodec = Codec{}
)

// Claims reports whether a request on a path that OpenAI's protocol has too (the model list, files) is meant for this one:
// the vendor demands the header anthropic-version, and its SDKs and Claude Code send it.
func (Codec) Claims(r *http.Request) bool { return r.Header.Get("Anthropic-Version") != "" }

// Name returns the format's id.
func (Codec) Name() string { return Name }

// Routes lists the endpoints. The model list shares its path with OpenAI's; the header anthropic-version tells them
// apart.
func (Codec) Routes() []wire.Route {
	return []wire.Route{
		{Pattern: "POST /v1/messages", Op: OpMessages, Class: wire.ClassAnswer},
		{Pattern: "POST /v1/messages/count_tokens", Op: OpCount, Class: wire.ClassCount},
		{Pattern: "GET /v1/models", Op: OpModels, Class: wire.ClassModels},
		{Pattern: "GET /v1/models/{id...}", Op: OpModel, Class: wire.ClassModel},
		{Pattern: "/v1/messages/batches", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1/messages/batches/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1/files", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1/files/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1/skills", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1/skills/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
	}
}

// Address tells that a base URL of these clients is the host alone.
func (Codec) Address() (clients, suffix string) { return "Anthropic", "" }

// Likely tells by the header that every client of this format sends.
func (Codec) Likely(r *http.Request, path string) bool {
	return r.Header.Get("Anthropic-Version") != "" || strings.HasPrefix(path, "/v1/messages")
}

// AppendCount renders a token count.
func (Codec) AppendCount(dst []byte, tokens int64) []byte {
	w := writer{b: append(dst, '{')}
	w.int("input_tokens", tokens)
	w.close('}')
	return w.b
}

// Types of content blocks and members that are named more than once.
const (
	typeText      = "text"
	typeImage     = "image"
	typeDocument  = "document"
	typeThinking  = "thinking"
	typeRedacted  = "redacted_thinking"
	typeToolUse   = "tool_use"
	typeResult    = "tool_result"
	typeSearchHit = "search_result"

	cacheMember = "cache_control"
	// blockMember is the private key of Part.Ext under which a block that canon has no exact word for is kept whole.
	blockMember = "$block"
	// usageMember is the private key of an answer's Ext for members of usage that canon has no word for.
	usageMember = "$usage"
)

// same reports whether the request came in this format, so that what was kept in Ext may be written back.
func same(req *canon.Request) bool { return req.Format == Name }
