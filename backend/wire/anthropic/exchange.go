package anthropic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Options say what the driver knows of the upstream. The zero value is a compatible service that takes everything.
type Options struct {
	// OwnHost says that the upstream is api.anthropic.com: system messages may stand in the middle for the models that
	// have them, and web search may be asked for clients of other formats.
	OwnHost bool
	// ForceConvert writes every request anew, also one of this format.
	ForceConvert bool
	// AlwaysStream asks a converted request's answer as a stream, whatever the client wants: long answers in one piece
	// run into time limits.
	AlwaysStream bool
	// Family is the maker of the upstream's signatures. Empty means Claude for the own host and for models called
	// claude, else unknown.
	Family string
	// What the upstream does not take.
	NoSystemRole, NoOutputConfig, NoContextManagement, NoTypedTools, NoCacheControl bool
	// NoSignatureCheck says that the upstream never looks at signatures (Kimi): the text of thinking is kept without.
	NoSignatureCheck bool
	// StripReasoning removes all thinking from the history, for the repetition after a refused signature.
	StripReasoning bool
	// DenyBetas lists beta flags that are not sent on; a * at the end stands for any rest.
	DenyBetas []string
	// DefaultMaxTokens is sent when neither the client nor the model's facts name a limit; 0 = 32000.
	DefaultMaxTokens int64
}

// Exchange is one call to an upstream of this format: the body to send, and how to read what comes back.
type Exchange struct {
	Body []byte
	// Header holds anthropic-version and anthropic-beta, and an Idempotency-Key of the client.
	Header http.Header
	// Dropped lists fields that could not be carried over; the reader puts them on the Start event.
	Dropped []canon.Warning
	// Stream says what was asked of the upstream.
	Stream bool

	req      *canon.Request // until the answer has begun
	o        Options
	own      bool // the client speaks this format
	verbatim bool
	family   string
	tools    map[string]toolName // by the upstream's name
	standIn  string              // the tool that stands in for structured output
	fence    bool                // the text may come in a fence of Markdown
}

// toolName is a tool as the client knows it.
type toolName struct {
	name, space string
	custom      bool
}

// NewExchange writes req for an upstream. The error is *apierror.Error: InvalidRequest or Unsupported, naming the
// client's field.
func NewExchange(req *canon.Request, o Options) (*Exchange, error) {
	x := &Exchange{req: req, o: o, own: same(req), Stream: req.Stream, family: familyOf(req, o)}
	ok, err := x.writeVerbatim()
	if err == nil && !ok {
		x.Stream = req.Stream || o.AlwaysStream
		err = x.convert()
	}
	if err != nil {
		return nil, err
	}
	x.setHeader()
	return x, nil
}

// WithoutReasoning writes the same request once more without any thinking of earlier turns, for the repetition after the
// upstream refused a signature (apierror.Error.BadSignature).
func (x *Exchange) WithoutReasoning() (*Exchange, error) {
	o := x.o
	o.StripReasoning = true
	return NewExchange(x.req, o)
}

func familyOf(req *canon.Request, o Options) string {
	switch {
	case o.Family != "":
		return o.Family
	case o.OwnHost || isClaude(req.Model):
		return wire.FamilyClaude
	default:
		return ""
	}
}

// setHeader puts the version and beta flags together: the client's own, less those that are denied, and those that a
// converted request needs.
func (x *Exchange) setHeader() {
	h := http.Header{"Anthropic-Version": {Version}}
	if v := x.req.Headers["Anthropic-Version"]; len(v) > 0 && v[0] != "" {
		h.Set("Anthropic-Version", v[0])
	}
	var betas []string
	seen := map[string]bool{}
	add := func(list ...string) {
		for _, v := range list {
			for b := range strings.SplitSeq(v, ",") {
				b = strings.TrimSpace(b)
				if b == "" || seen[b] || denied(b, x.o.DenyBetas) {
					continue
				}
				seen[b] = true
				betas = append(betas, b)
			}
		}
	}
	add(x.req.Headers["Anthropic-Beta"]...)
	if !x.verbatim && x.o.OwnHost {
		add(neededBetas(x.Body)...)
	}
	if len(betas) > 0 {
		h.Set("Anthropic-Beta", strings.Join(betas, ","))
	}
	if v := x.req.Headers["Idempotency-Key"]; len(v) > 0 {
		h.Set("Idempotency-Key", v[0])
	}
	x.Header = h
}

// neededBetas returns the flags of features that a written body uses, as claude-code 2.1.197 sends them.
func neededBetas(body []byte) []string {
	var out []string
	for _, f := range []struct{ mark, beta string }{
		{`"role":"system"`, "mid-conversation-system-2026-04-07"},
		{`"output_config":{"effort"`, "effort-2025-11-24"},
		{`"format":{"type":"json_schema"`, "structured-outputs-2025-12-15"},
	} {
		if bytes.Contains(body, []byte(f.mark)) {
			out = append(out, f.beta)
		}
	}
	return out
}

func denied(beta string, list []string) bool {
	for _, d := range list {
		if head, ok := strings.CutSuffix(d, "*"); ok && strings.HasPrefix(beta, head) || d == beta {
			return true
		}
	}
	return false
}

// Read decides between ReadStream and ReadWhole by the Content-Type and the first bytes: some services answer a request
// for a stream in one piece, or the other way round. It never closes r.
func (x *Exchange) Read(contentType string, r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) { x.form(contentType, r)(yield) }
}

// form tells how an answer has to be read.
func (x *Exchange) form(contentType string, r io.Reader) canon.Stream {
	first, r, _ := wire.First(r) // an error comes again from the reader
	stream := strings.Contains(strings.ToLower(contentType), "event-stream")
	switch first {
	case '{', '[', '<':
		stream = false
	case 'e', 'd', ':':
		stream = true
	}
	if stream {
		return x.ReadStream(r)
	}
	body, err := io.ReadAll(io.LimitReader(r, wire.MaxFrame+1))
	if err == nil && len(body) > wire.MaxFrame {
		err = wire.ErrFrameTooLarge
	}
	if err != nil {
		return canon.Failed(readFailure(err))
	}
	return x.ReadWhole(body)
}

// readFailure makes an error of this program of what reading an answer gave.
func readFailure(err error) *apierror.Error {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &apierror.Error{Kind: apierror.Canceled, Msg: "the request was canceled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &apierror.Error{Kind: apierror.Timeout, Msg: "the service took too long to answer", Err: err}
	case errors.Is(err, wire.ErrFrameTooLarge):
		return &apierror.Error{Kind: apierror.Upstream5xx, Msg: "the service's answer is too large", Err: err}
	default:
		return &apierror.Error{Kind: apierror.Transport, Msg: "the connection to the service broke", Err: err}
	}
}
