// Package gemini is the wire format of Google's Gemini API (generateContent) in all four directions: it reads what a
// client sends and renders what it gets, and it writes calls to an upstream and reads the answers. Token counts,
// embeddings and the model list belong to it too. It does no I/O of its own, keeps nothing between requests, and knows
// no account: URLs, keys, envelopes and retries are the drivers' and the gateway's.
//
// Shapes and rules were taken from google.golang.org/genai v1.77.0 and @google/genai 2.32.0, and from requests recorded
// from gemini-cli 0.61.0, qwen-code 0.15.10, opencode 1.18.33 and cline 3.0.65.
package gemini

import (
	"net/http"
	"strings"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Name is the format's id.
const Name = "gemini"

// Operations of the format.
const (
	OpGenerate   wire.Op = "generate"
	OpStream     wire.Op = "stream"
	OpCount      wire.Op = "count"
	OpEmbed      wire.Op = "embed"
	OpBatchEmbed wire.Op = "batch_embed"
	OpModels     wire.Op = "models"
	OpModel      wire.Op = "model"
	OpAction     wire.Op = "action" // which one stands in the path, see Codec.Route
	OpNone       wire.Op = "unsupported"
)

// Codec is the client side of the format.
type Codec struct{}

var (
	_ wire.Addressed  = Codec{}
	_ wire.Codec      = Codec{}
	_ wire.CountCodec = Codec{}
	_ wire.EmbedCodec = Codec{}
	_ wire.Router     = Codec{}
)

// Name returns the format's id.
func (Codec) Name() string { return Name }

// Routes lists the endpoints. A wildcard of http.ServeMux is a whole segment, so the method behind a model's last colon
// is read by Route. GET /v1/models stays OpenAI's.
func (Codec) Routes() []wire.Route {
	return []wire.Route{
		{Pattern: "POST /v1beta/models/{action...}", Op: OpAction, Class: wire.ClassByRequest},
		{Pattern: "POST /v1/models/{action...}", Op: OpAction, Class: wire.ClassByRequest},
		{Pattern: "POST /v1beta/tunedModels/{action...}", Op: OpAction, Class: wire.ClassByRequest},
		{Pattern: "POST /v1beta/publishers/{action...}", Op: OpAction, Class: wire.ClassByRequest},
		{Pattern: "GET /v1beta/models", Op: OpModels, Class: wire.ClassModels},
		{Pattern: "GET /v1beta/models/{id...}", Op: OpModel, Class: wire.ClassModel},
		{Pattern: "/v1beta/cachedContents", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1beta/cachedContents/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1beta/files", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1beta/files/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1beta/interactions", Op: OpNone, Class: wire.ClassUnsupported},
		{Pattern: "/v1beta/interactions/{rest...}", Op: OpNone, Class: wire.ClassUnsupported},
	}
}

// Address tells that a base URL of these clients is the host alone.
func (Codec) Address() (clients, suffix string) { return "Gemini", "" }

// Likely tells by the versions that only Google's paths have, by its header, and by calls of a model.
func (Codec) Likely(r *http.Request, path string) bool {
	for _, prefix := range []string{"/v1beta/", "/v1alpha/", "/upload/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return r.Header.Get("X-Goog-Api-Key") != "" || r.Method == http.MethodPost && strings.HasPrefix(path, "/v1/models/")
}

// methods are the operations by the name behind the colon. Names are matched exactly.
var methods = map[string]struct {
	op    wire.Op
	class wire.Class
}{
	"generateContent":       {OpGenerate, wire.ClassAnswer},
	"streamGenerateContent": {OpStream, wire.ClassAnswer},
	"countTokens":           {OpCount, wire.ClassCount},
	"embedContent":          {OpEmbed, wire.ClassEmbed},
	"batchEmbedContents":    {OpBatchEmbed, wire.ClassEmbed},
}

// Route tells which operation a request to POST .../models/{model}:{method} means.
func (Codec) Route(r *http.Request) (wire.Op, wire.Class) {
	_, method := splitAction(r)
	if m, ok := methods[method]; ok {
		return m.op, m.class
	}
	return OpNone, wire.ClassUnsupported
}

// splitAction takes the model and the method out of a path. A model's name may hold slashes, colons and spaces, so the
// method stands behind the last colon. Collections other than models belong to the name.
func splitAction(r *http.Request) (model, method string) {
	action := strings.TrimPrefix(r.URL.Path, "/v1beta/")
	if action == r.URL.Path {
		action = strings.TrimPrefix(action, "/v1/")
	}
	action = strings.TrimPrefix(action, modelPrefix)
	if i := strings.LastIndexByte(action, ':'); i >= 0 {
		model, method = action[:i], action[i+1:]
	} else {
		model = action
	}
	return strings.TrimPrefix(strings.TrimPrefix(model, modelPrefix), googlePrefix), method
}

// googlePrefix stands before a model's id in programs that are made for Vertex.
const googlePrefix = "publishers/google/models/"

// modelPrefix stands before a model's id in resource names.
const modelPrefix = "models/"

// wantsSSE reports whether the query asks for server-sent events. Hand-written clients also write $alt=sse and separate
// parameters by a semicolon.
func wantsSSE(r *http.Request) bool {
	for p := range strings.FieldsFuncSeq(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' || c == '?' }) {
		name, value, _ := strings.Cut(p, "=")
		if (name == "alt" || name == "$alt" || name == "%24alt") && value == "sse" {
			return true
		}
	}
	return false
}

// Private keys of Ext: they hold what this package must know again and never go out. All start with a dollar sign.
const (
	arrayMember    = "$array"    // Request.Ext: the stream is a JSON array, not server-sent events
	batchMember    = "$batch"    // Embed.Ext: the client called batchEmbedContents
	noIDMember     = "$noid"     // Part.Ext: the client sent a call or a result without an id; ours is not for the wire
	responseMember = "$response" // Part.Ext: the response object of a function result as it came
	toolRawMember  = "$raw"      // Tool.Ext: the declaration may go back as it came
)

// yes is the value of private keys that only have to be there.
var yes = []byte("true")

// same reports whether the request came in this format, so that what was kept in Ext may be written back.
func same(req *canon.Request) bool { return req.Format == Name }

// AppendCount renders a token count.
func (Codec) AppendCount(dst []byte, tokens int64) []byte {
	w := writer{b: dst}
	w.open('{')
	w.int("totalTokens", tokens)
	w.begin("promptTokensDetails", '[')
	w.open('{')
	w.str("modality", "TEXT")
	w.int("tokenCount", tokens)
	w.close('}')
	w.close(']')
	w.close('}')
	return w.b
}
