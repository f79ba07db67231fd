package codeassist

import (
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// The members of a request that the service knows (gemini-cli 0.61.0, code_assist/converter.ts). Any other is refused whole:
// "Unknown name ... Cannot find field".
var (
	requestMembers = []string{
		"contents", "systemInstruction", "cachedContent", "tools", "toolConfig", "labels", "safetySettings", "generationConfig",
	}
	generationMembers = []string{
		"temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs", "logprobs", "presencePenalty",
		"frequencyPenalty", "seed", "responseMimeType", "responseSchema", "responseJsonSchema", "routingConfig", "modelSelectionConfig",
		"responseModalities", "mediaResolution", "speechConfig", "audioTimestamp", "thinkingConfig",
	}
)

// inner makes the request inside the envelope out of a body for the Gemini API. drop are members to leave out. What the client
// sent and the service does not know is left out and told.
func (a *attempt) inner(x *gemini.Exchange, drop, generation []string, last []byte) ([]byte, error) {
	o, err := canon.ParseObject(x.Body)
	if err != nil {
		return nil, apierror.From(err)
	}
	out := append(make([]byte, 0, len(x.Body)+256), '{')
	for _, m := range o.Members {
		v := o.Get(m.Name)
		switch {
		case slices.Contains(drop, m.Name):
			continue
		case !slices.Contains(requestMembers, m.Name):
			x.Dropped = append(x.Dropped, canon.Warning{Field: m.Name, Detail: "the service has no such field"})
			continue
		case m.Name == "systemInstruction":
			v = withRole(v)
		case m.Name == "generationConfig":
			if v = a.generation(x, v, generation); len(v) <= len("{}") {
				continue
			}
		}
		out = appendMember(out, m.Name, v)
	}
	if len(last) > 0 {
		out = append(comma(out), last...)
	}
	return append(out, '}'), nil
}

// generation keeps what the service knows of a generationConfig.
func (a *attempt) generation(x *gemini.Exchange, v jsontext.Value, known []string) jsontext.Value {
	o, err := canon.ParseObject(v)
	if err != nil {
		return v
	}
	var edits []canon.Edit
	for _, m := range o.Members {
		switch {
		case m.Name == "maxOutputTokens" && a.bare:
		case slices.Contains(known, m.Name):
			continue
		default:
			x.Dropped = append(x.Dropped, canon.Warning{Field: "generationConfig." + m.Name, Detail: "the service has no such field"})
		}
		edits = append(edits, canon.Edit{Name: m.Name})
	}
	if edits == nil {
		return v
	}
	return o.AppendEdited(nil, edits...)
}

// withRole gives a system instruction the role that every content must have there.
func withRole(v jsontext.Value) jsontext.Value {
	o, err := canon.ParseObject(v)
	if err != nil || o.Has("role") {
		return v
	}
	return append([]byte(`{"role":"user",`), v[1:]...)
}

func comma(b []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return b
}

func appendMember(b []byte, name string, v []byte) []byte {
	b = append(wire.AppendString(comma(b), name), ':')
	return append(b, v...)
}

func appendText(b []byte, name, text string) []byte {
	return appendMember(b, name, wire.AppendString(nil, text))
}

// geminiEnvelope is what Gemini CLI sends (0.61.0, code_assist/converter.ts).
func geminiEnvelope(_ *upstream, a *attempt, x *gemini.Exchange) ([]byte, error) {
	var last []byte
	if s := sessionUUID(a.req.Conversation); s != "" {
		last = append([]byte(`"session_id":`), wire.AppendString(nil, s)...)
	}
	inner, err := a.inner(x, nil, generationMembers, last)
	if err != nil {
		return nil, err
	}
	b := appendText([]byte{'{'}, "model", a.model)
	b = appendText(b, "project", a.project)
	b = appendText(b, "user_prompt_id", uuid(a.req.NewID("", 32)))
	return append(appendMember(b, "request", inner), '}'), nil
}

// countBody is a request for countTokens. Gemini CLI names the model there, with its prefix; neither names the project.
func (u *upstream) countBody(model string, body []byte) ([]byte, error) {
	o, err := canon.ParseObject(body)
	if err != nil {
		return nil, apierror.From(err)
	}
	b := []byte{'{'}
	if !u.p.streams {
		b = appendText(b, "model", "models/"+model)
	}
	for _, name := range []string{"contents", "systemInstruction", "tools"} {
		v := o.Get(name)
		if len(v) == 0 || name != "contents" && !u.p.streams {
			continue
		}
		if name == "systemInstruction" {
			v = withRole(v)
		}
		b = appendMember(b, name, v)
	}
	return append(appendMember([]byte{'{'}, "request", append(b, '}')), '}'), nil
}

// nonEmpty reads an answer and refuses one in which the model said nothing that can be used: no text, no call, no picture. While
// nothing of it went out that is an error which lets the request be sent again; an empty answer breaks clients.
func nonEmpty(x *gemini.Exchange) func(string, io.Reader) canon.Stream {
	return func(contentType string, r io.Reader) canon.Stream {
		return func(yield func(canon.Event, error) bool) {
			f := filter{yield: yield}
			for ev, err := range x.Read(contentType, r) {
				if err != nil {
					yield(canon.Event{}, err)
					return
				}
				if !f.pass(ev) {
					return
				}
			}
		}
	}
}

// filter holds events back until one of them says something.
type filter struct {
	yield    func(canon.Event, error) bool
	held     []canon.Event
	begun    bool // something went out
	thinking bool // the open part is a thought
	said     bool // something that is no thought went out
}

// pass takes in one event. It reports false when the stream is over.
func (f *filter) pass(ev canon.Event) bool {
	something := false
	switch ev.Kind {
	case canon.KindPartStart:
		f.thinking = ev.Part != nil && ev.Part.Type == canon.PartReasoning
	case canon.KindDelta:
		something = ev.Text != ""
		f.said = f.said || something && !f.thinking
	case canon.KindPartEnd:
		if p := ev.Part; p != nil && (p.Type == canon.PartToolCall || p.Type == canon.PartServer || p.Media != nil) {
			something, f.said = true, true
		}
	case canon.KindFinish:
		spent := ev.Finish.Reason == canon.FinishLength && f.begun
		if !f.said && !spent && ev.Finish.Reason != canon.FinishFilter {
			f.yield(canon.Event{}, empty(ev.Finish))
			return false
		}
		something = true
	}
	if !f.begun && !something {
		f.held = append(f.held, ev.Clone())
		return true
	}
	f.begun = true
	for i := range f.held {
		if !f.yield(f.held[i], nil) {
			return false
		}
	}
	f.held = nil
	return f.yield(ev, nil)
}

func empty(f canon.Finish) *apierror.Error {
	if f.Reason == canon.FinishLength {
		e := apierror.New(apierror.Upstream5xx, "the model used up its tokens before it said anything; allow more (max_tokens) or less thinking")
		e.Upstream.Code = f.Raw
		return e
	}
	e := apierror.New(apierror.Upstream5xx, "the model answered nothing (%s); send the request again", f.Raw)
	e.Upstream.Code = f.Raw
	return e
}

func millisText(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
