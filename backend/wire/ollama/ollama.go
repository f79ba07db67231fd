// Package ollama is the wire format of Ollama's own API in all four directions: it reads chat and generate requests of
// its clients and renders what they get, streamed as lines of JSON or whole, and it writes calls to a real Ollama and
// reads the answers. The lists and descriptions of models, embeddings and the small endpoints that clients look at first
// belong to it too. It does no I/O of its own, keeps nothing between requests, and knows no account.
//
// Shapes and rules were taken from Ollama v0.17.4 (its api, server and openai packages and its API reference) and from
// requests recorded from the npm package ollama 0.6.4, codex 0.169.0 (--oss) and cline 3.0.65.
//
// What write(read(x)) changes when the client's body is not passed on as it came: pictures of tool results move into a
// user message behind them, arguments that came as text become an object, and base64 takes its standard spelling.
package ollama

import (
	"net/http"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Name is the format's id.
const Name = "ollama"

// Version is the version of Ollama that this package was written after. Clients turn features on and off by what
// GET /api/version says, so it is the version whose shapes are served (Ollama v0.17.4).
const Version = "0.17.4"

// Operations of the format.
const (
	OpChat       wire.Op = "chat"
	OpGenerate   wire.Op = "generate"
	OpEmbed      wire.Op = "embed"
	OpEmbeddings wire.Op = "embeddings" // the old form of embed: one prompt
	OpTags       wire.Op = "tags"
	OpShow       wire.Op = "show"
	OpPull       wire.Op = "pull"
	OpRunning    wire.Op = "ps"
	OpVersion    wire.Op = "version"
	OpNone       wire.Op = "unsupported"
)

// Codec is the client side of the format.
type Codec struct{}

var (
	_ wire.Addressed    = Codec{}
	_ wire.Codec        = Codec{}
	_ wire.EmbedCodec   = Codec{}
	_ wire.Hosted       = Codec{}
	_ wire.Immediate    = Codec{}
	_ wire.Lookup       = Codec{}
	_ wire.RunningCodec = Codec{}
	_ wire.Fixed        = Codec{}
)

// Name returns the format's id.
func (Codec) Name() string { return Name }

// Routes lists the endpoints. A real Ollama asks for no key at all: its clients look at these lists before they send
// one, if they ever do (codex 0.169.0 --oss never does).
func (Codec) Routes() []wire.Route {
	return []wire.Route{
		{Pattern: "POST /api/chat", Op: OpChat, Class: wire.ClassAnswer},
		{Pattern: "POST /api/generate", Op: OpGenerate, Class: wire.ClassAnswer},
		{Pattern: "POST /api/embed", Op: OpEmbed, Class: wire.ClassEmbed},
		{Pattern: "POST /api/embeddings", Op: OpEmbeddings, Class: wire.ClassEmbed},
		{Pattern: "GET /api/tags", Op: OpTags, Class: wire.ClassModels, Labels: true, Access: wire.AccessLocal},
		{Pattern: "POST /api/show", Op: OpShow, Class: wire.ClassLookup, Access: wire.AccessLocal},
		{Pattern: "POST /api/pull", Op: OpPull, Class: wire.ClassLookup},
		{Pattern: "GET /api/ps", Op: OpRunning, Class: wire.ClassRunning, Access: wire.AccessLocal},
		{Pattern: "GET /api/version", Op: OpVersion, Class: wire.ClassFixed, Access: wire.AccessAll},
		{Pattern: "/api/create", Op: OpNone, Class: wire.ClassRefused},
		{Pattern: "/api/copy", Op: OpNone, Class: wire.ClassRefused},
		{Pattern: "/api/push", Op: OpNone, Class: wire.ClassRefused},
		{Pattern: "/api/delete", Op: OpNone, Class: wire.ClassRefused},
		{Pattern: "/api/blobs/", Op: OpNone, Class: wire.ClassRefused},
	}
}

// Host says where the format's own host root lives on the main address and what a GET of it answers: clients test by
// that text whether Ollama runs.
func (Codec) Host() (segment, text string) { return Name, "Ollama is running" }

// Address tells what a base URL of these clients ends in on the main address.
func (Codec) Address() (clients, suffix string) { return "Ollama", "/" + Name }

// Likely tells by the paths of the API.
func (Codec) Likely(_ *http.Request, path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/"+Name+"/")
}

// AppendFixed renders the answers that are always the same: the version.
func (Codec) AppendFixed(dst []byte, _ wire.Op) []byte {
	return append(dst, `{"version":"`+Version+`"}`...)
}

// Decode reads a request for a chat turn or a completion.
func (Codec) Decode(op wire.Op, r *http.Request, body []byte) (*canon.Request, error) {
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	d := newDecoder(op, o)
	if err := d.scalars(); err != nil {
		return nil, err
	}
	if r != nil {
		d.req.Conversation = r.Header.Get("X-Session-Id")
	}
	switch op {
	case OpChat:
		return d.chat()
	case OpGenerate:
		return d.generate()
	default:
		return nil, apierror.New(apierror.RouteNotFound, "not supported by Patchbay")
	}
}
