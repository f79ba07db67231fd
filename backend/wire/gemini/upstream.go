package gemini

import (
	"bytes"
	"iter"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Options say what the driver knows of the upstream. The zero value is the Gemini API with a key.
type Options struct {
	// ForceConvert writes every request anew, also one of this format.
	ForceConvert bool
	// Strict sends schemas in Google's own Schema message (parameters, responseSchema): Code Assist, Antigravity, Vertex.
	// Otherwise they go as JSON schema.
	Strict bool
	// StrictInJSONSchema puts the strictly cleaned schema of a tool into parametersJsonSchema (Code Assist).
	StrictInJSONSchema bool
	// CleanSchema replaces the cleaner that Strict chooses, for upstreams with rules of their own. It gets a schema that was
	// repaired.
	CleanSchema func(jsontext.Value) jsontext.Value
	// CleanOutput is the same for the schema of an answer; nil means CleanSchema.
	CleanOutput func(jsontext.Value) jsontext.Value
	// Family is the maker of the model's signatures; "" means by the model's name.
	Family string
	// Validated sends the mode VALIDATED whatever the client chose, and gives functions without parameters the
	// placeholder that this mode needs (Antigravity's Claude models). It is taken out of the arguments again.
	Validated bool
	// ResultKey is the member that holds a function's text in its response object; "" means "output".
	ResultKey string
	// ImagesInResults puts pictures of a function's result into functionResponse.parts instead of beside it.
	ImagesInResults bool
	// Thinking says how the model is told how much to think; "" means by the model's name.
	Thinking string
	// NoServerTools says that the upstream has no tools of its own.
	NoServerTools bool
	// StripReasoning removes all thoughts and signatures from the history, for the repetition after a refused signature.
	StripReasoning bool
	// Media holds what the driver has fetched, by the addresses that FetchURLs named.
	Media map[string]canon.Media
}

// Exchange is one call to an upstream of this format: the body to send, and how to read what comes back.
type Exchange struct {
	Body []byte
	// Dropped lists fields that could not be carried over; the reader puts them on the Start event.
	Dropped []canon.Warning
	// Stream says what was asked of the upstream: streamGenerateContent (with alt=sse) or generateContent.
	Stream bool

	req      *canon.Request
	o        Options
	family   string
	verbatim bool // answers may be copied to the client
	names    *wire.Names
	tools    map[string]toolName // by the upstream's name
	unsigned bool                // calls of Claude's without their thinking: this request goes without any
	standIn  bool                // the form of the answer was asked for by a text: it may come in a fence of Markdown
}

// toolName is a tool as the client knows it.
type toolName struct {
	name, space string
	custom      bool
	placeholder bool
	clean       jsontext.Value // the schema that went out, if CleanSchema may have put placeholders into it
}

// NewExchange writes req for an upstream. The error is *apierror.Error: InvalidRequest or Unsupported, naming the client's
// field.
func NewExchange(req *canon.Request, o Options) (*Exchange, error) {
	x := &Exchange{req: req, o: o, Stream: req.Stream, family: o.Family}
	if x.family == "" {
		x.family = familyOfModel(req.Model)
	}
	var err error
	if same(req) && len(req.Body.Raw) > 0 && !o.ForceConvert {
		x.verbatim = x.family == wire.FamilyGemini
		err = x.edit()
	} else {
		err = x.convert()
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// WithoutReasoning writes the same request once more without thoughts and signatures of earlier turns, for the repetition
// after the upstream refused a signature (apierror.Error.BadSignature).
func (x *Exchange) WithoutReasoning() (*Exchange, error) {
	o := x.o
	o.StripReasoning = true
	return NewExchange(x.req, o)
}

func (x *Exchange) warn(field, detail string) {
	for _, d := range x.Dropped {
		if d.Field == field {
			return
		}
	}
	x.Dropped = append(x.Dropped, canon.Warning{Field: field, Detail: detail})
}

// edit keeps the client's own body and changes only what must be: the model's name, foreign or missing signatures, and a
// thinking configuration that the model does not have.
func (x *Exchange) edit() error {
	o := x.req.Body
	var edits []canon.Edit
	if o.Has("model") {
		edits = append(edits, canon.Edit{Name: "model", Value: wire.AppendString(nil, modelPrefix+x.req.Model)})
	}
	if e, ok := x.editThinking(o); ok {
		edits = append(edits, e)
	}
	e, ok, err := x.editContents(o)
	if err != nil {
		return err
	}
	if ok {
		edits = append(edits, e)
	}
	x.Body = o.AppendEdited(make([]byte, 0, len(o.Raw)+256), edits...)
	return nil
}

// editThinking repairs a thinkingConfig that was written for another generation of models.
func (x *Exchange) editThinking(o canon.Object) (canon.Edit, bool) {
	name := memberName(o, "generationConfig")
	raw := o.Get(name)
	if !present(raw) {
		return canon.Edit{}, false
	}
	g, err := canon.ParseObject(raw)
	if err != nil {
		return canon.Edit{}, false
	}
	var c thinkingJSON
	inner := memberName(g, "thinkingConfig")
	v := g.Get(inner)
	if !present(v) || readValue(v, inner, &c) != nil {
		return canon.Edit{}, false
	}
	t := thinkerOf(x.req.Model, x.req.Facts, x.o.Thinking)
	if t.fits(&c) {
		return canon.Edit{}, false
	}
	return canon.Edit{Name: name, Value: g.AppendEdited(nil, canon.Edit{Name: inner, Value: t.config(x.req.Reasoning, true)})}, true
}

var (
	wrappedMark    = []byte(`"cGIxL`) // base64 of what wire.Wrap writes
	wrappedPlain   = []byte(`"pb1.`)
	callMarks      = [][]byte{[]byte(`"functionCall"`), []byte(`"function_call"`)}
	signatureMarks = [][]byte{[]byte(`"thoughtSignature"`), []byte(`"thought_signature"`)}
	thoughtMark    = []byte(`"thought"`)
)

func containsAny(b []byte, marks [][]byte) bool {
	for _, m := range marks {
		if bytes.Contains(b, m) {
			return true
		}
	}
	return false
}

// mustRewrite reports whether a part of the conversation cannot go out as it is: it holds signatures of another maker, or
// calls without one where the model wants one.
func (x *Exchange) mustRewrite(raw []byte) bool {
	signed := containsAny(raw, signatureMarks)
	if x.o.StripReasoning && (signed || bytes.Contains(raw, thoughtMark)) {
		return true
	}
	if signed && (bytes.Contains(raw, wrappedMark) || bytes.Contains(raw, wrappedPlain)) {
		return true
	}
	return !signed && x.wantsSignatures() && containsAny(raw, callMarks)
}

// wantsSignatures reports whether the model refuses calls in its history that no signature belongs to. Gemini 3 and newer
// do: "Function call is missing a thought_signature".
func (x *Exchange) wantsSignatures() bool {
	return x.family == wire.FamilyGemini && len(KnownModel(x.req.Model).Efforts) > 0
}

// editContents rewrites the turns that must be, and leaves the bytes of all others.
func (x *Exchange) editContents(o canon.Object) (canon.Edit, bool, error) {
	name := memberName(o, "contents")
	raw := o.Get(name)
	if !present(raw) || raw.Kind() == '"' || !containsAny(raw, callMarks) && !containsAny(raw, signatureMarks) && !x.o.StripReasoning {
		return canon.Edit{}, false, nil
	}
	if raw.Kind() == '{' {
		raw = append(append(jsontext.Value{'['}, raw...), ']')
	}
	changed, copied := false, 0
	var w writer
	for start, end := range elements(raw) {
		v := raw[start:end]
		if !x.mustRewrite(v) {
			continue
		}
		anew, err := x.rewriteContent(v)
		if err != nil {
			return canon.Edit{}, false, err
		}
		if anew == nil {
			continue
		}
		changed = true
		w.b = append(append(w.b, raw[copied:start]...), anew...)
		copied = end
	}
	if !changed {
		return canon.Edit{}, false, nil
	}
	w.b = append(w.b, raw[copied:]...)
	return canon.Edit{Name: name, Value: w.b}, true, nil
}

// elements yields where the objects of an array start and end. The array is known to be valid JSON, which a second pass of
// the decoder would only check again: that took as long as all the rest of a long request.
func elements(raw jsontext.Value) iter.Seq2[int, int] {
	return func(yield func(start, end int) bool) {
		depth, start := 0, 0
		for i := 0; i < len(raw); i++ {
			switch raw[i] {
			case '"':
				i += stringEnd(raw[i:])
			case '{', '[':
				if depth++; depth == 2 {
					start = i
				}
			case '}', ']':
				if depth--; depth == 1 && !yield(start, i+1) {
					return
				}
			}
		}
	}
}

// stringEnd returns the index of the quote that ends the string b starts with.
func stringEnd(b []byte) int {
	at := 1
	for {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return len(b)
		}
		at += n
		slashes := 0
		for b[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
		at++
	}
}

// rewriteContent writes a model's turn anew, nil for a turn of another. A turn of which nothing is left keeps an empty
// text, so that turns still alternate.
func (x *Exchange) rewriteContent(raw jsontext.Value) ([]byte, error) {
	var c contentJSON
	if err := readValue(raw, "contents", &c); err != nil {
		return nil, err
	}
	if c.Role != "model" {
		return nil, nil
	}
	r := contentReader{}
	m, err := r.message(&c, "contents")
	if err != nil {
		return nil, err
	}
	w := writer{}
	w.open('{')
	w.str("role", "model")
	w.begin("parts", '[')
	t := turnWriter{x: x, w: &w}
	if err := t.model(m.Parts); err != nil {
		return nil, err
	}
	if w.b[len(w.b)-1] == '[' {
		w.value([]byte(`{"text":""}`))
	}
	w.close(']')
	w.ext(m.Ext)
	w.close('}')
	return w.b, nil
}

// FetchURLs returns the addresses of pictures and documents in a request that must be fetched before it can be written for
// this format. The driver puts what it fetched into Options.Media.
func FetchURLs(req *canon.Request, o Options) ([]canon.MediaURL, error) {
	if same(req) && !o.ForceConvert { // what Google can fetch itself is the client's business
		return nil, nil
	}
	if err := req.Expand(); err != nil {
		return nil, err
	}
	return wire.MediaURLs(req, func(m *canon.Media) bool { return keepsURL(req, m) }), nil
}

// keepsURL reports whether Google reads an address itself.
func keepsURL(req *canon.Request, m *canon.Media) bool {
	return same(req) || ownFile(m.URL) || isYouTube(m.URL)
}

// unfetched is the error for an address that nobody fetched. It names the host only.
func unfetched(address, param string) error {
	host := "its host"
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	e := apierror.New(apierror.Unsupported, "the file at %s could not be sent along: this model takes no addresses; send the data itself", host)
	e.Param = param
	return e
}
