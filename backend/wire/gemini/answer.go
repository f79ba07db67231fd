package gemini

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// AppendResponse renders a whole answer.
func (Codec) AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error) {
	if len(resp.Whole) > 0 {
		return appendModelVersion(dst, resp.Whole, req.ModelAsked), nil
	}
	r := &renderer{req: req, model: req.ModelAsked, thoughts: showThoughts(req), id: resp.ID, usage: resp.Usage, ext: resp.Ext}
	choices := append([]canon.Choice{{Parts: resp.Parts, Finish: resp.Finish}}, resp.More...)
	w := writer{b: append(dst, '{')}
	w.begin("candidates", '[')
	for i := range choices {
		w.open('{')
		w.begin("content", '{')
		w.str("role", "model")
		w.begin("parts", '[')
		for j := range choices[i].Parts {
			mark := len(w.b)
			w.sep()
			one := writer{b: w.b[len(w.b):]}
			if !r.part(&one, &choices[i].Parts[j], false) {
				w.b = w.b[:mark]
				continue
			}
			w.b = append(w.b, one.b...)
		}
		w.close(']')
		w.close('}')
		if lp := partLogprobs(choices[i].Parts); lp != nil {
			w.raw("logprobsResult", lp)
		}
		r.candidateEnd(&w, i, choices[i].Finish)
	}
	w.close(']')
	w.usage(resp.Usage)
	return append(w.b, r.foot()...), nil
}

// appendText appends a text part.
func appendText(w *writer, text string, thought bool, sig string) {
	w.open('{')
	w.str("text", text)
	if thought {
		w.bool("thought", true)
	}
	w.opt("thoughtSignature", sig)
	w.close('}')
}

// appendCall appends a functionCall part of an answer.
func appendCall(w *writer, p *canon.Part, sig string) {
	w.open('{')
	w.begin("functionCall", '{')
	if p.CallID != "" && len(p.Ext[noIDMember]) == 0 {
		w.str("id", p.CallID)
	}
	w.str("name", wire.FlatName(p.Space, p.Name))
	if p.Custom {
		w.begin("args", '{')
		w.str("input", p.Text)
		w.close('}')
	} else {
		w.raw("args", oneLine(p.ArgsObject()))
	}
	w.inner(p.Ext)
	w.close('}')
	w.opt("thoughtSignature", sig)
	w.ext(p.Ext)
	w.close('}')
}

// inner writes members that belong to the object inside a part.
func (w *writer) inner(ext map[string]jsontext.Value) {
	if len(ext) == 0 {
		return
	}
	inner := map[string]jsontext.Value{}
	for name, v := range ext {
		if rest, ok := strings.CutPrefix(name, "$call."); ok {
			inner[rest] = v
		}
	}
	w.ext(inner)
}

// appendBlob appends an inlineData part.
func appendBlob(w *writer, m *canon.Media, sig string, ext map[string]jsontext.Value) {
	w.open('{')
	w.begin("inlineData", '{')
	w.str("mimeType", mimeOf(m))
	w.key("data")
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, m.Data)
	w.b = append(w.b, '"')
	w.inner(ext)
	w.close('}')
	w.opt("thoughtSignature", sig)
	w.ext(ext)
	w.close('}')
}

// mimeOf returns a type that Gemini knows.
func mimeOf(m *canon.Media) string {
	switch {
	case m.MIME == "":
		if s := wire.SniffImage(m.Data); s != "" {
			return s
		}
		return "application/octet-stream"
	case m.MIME == "audio/mpeg":
		return "audio/mp3"
	case m.MIME == "image/jpg":
		return "image/jpeg"
	default:
		return m.MIME
	}
}

// appendServer appends the part of a tool that the service ran itself, as it came.
func appendServer(w *writer, p *canon.Part) {
	w.sep()
	inner := bytes.TrimSuffix(oneLine(p.Server), []byte("}"))
	w.b = append(w.b, inner...)
	if p.Opaque != nil {
		w.opt("thoughtSignature", p.Opaque.Data)
	}
	w.ext(p.Ext)
	w.close('}')
}

// oneLine returns v without line ends: a frame is one line.
func oneLine(v jsontext.Value) jsontext.Value {
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return v
	}
	return wire.Compact(v)
}

// appendModelVersion copies a frame with the model's name as the client knows it.
func appendModelVersion(dst, frame []byte, model string) []byte {
	frame = oneLine(frame)
	if model == "" {
		return append(dst, frame...)
	}
	start, end := memberString(frame, `"modelVersion"`)
	if start < 0 {
		return append(dst, frame...)
	}
	dst = append(dst, frame[:start]...)
	dst = wire.AppendString(dst, model)
	return append(dst, frame[end:]...)
}

// memberString finds the string that is the value of an object's own member, name with its quotes. start is -1 if there is
// none. The object was read once, so its JSON is known to be good; this runs for every frame that is copied.
func memberString(object []byte, name string) (start, end int) {
	depth := 0
	for i := 0; i < len(object); i++ {
		switch object[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			last := i + stringEnd(object[i:])
			if depth == 1 && last < len(object) && string(object[i:last+1]) == name {
				rest := bytes.TrimLeft(object[last+1:], " \t")
				if value, ok := bytes.CutPrefix(rest, []byte(":")); ok {
					if value = bytes.TrimLeft(value, " \t"); len(value) > 0 && value[0] == '"' {
						at := len(object) - len(value)
						return at, min(at+stringEnd(value)+1, len(object))
					}
					return -1, -1
				}
			}
			i = last
		}
	}
	return -1, -1
}

// usage writes the token counts: Google counts thoughts apart from the candidates, and cached tokens within the prompt.
func (w *writer) usage(u *canon.Usage) {
	if u == nil || u.Input < 0 && u.Output < 0 {
		return
	}
	reason := canon.Known(u.Reasoning)
	w.begin("usageMetadata", '{')
	w.int("promptTokenCount", canon.Known(u.Input))
	if u.CacheRead > 0 {
		w.int("cachedContentTokenCount", u.CacheRead)
	}
	w.int("candidatesTokenCount", max(canon.Known(u.Output)-reason, 0))
	if reason > 0 {
		w.int("thoughtsTokenCount", reason)
	}
	if u.ToolPrompt > 0 {
		w.int("toolUsePromptTokenCount", u.ToolPrompt)
	}
	w.int("totalTokenCount", canon.Known(u.Input)+max(canon.Known(u.Output), reason)+canon.Known(u.ToolPrompt))
	w.close('}')
}

// finishWords are Google's words for the reasons; calls end with STOP.
var finishWords = map[canon.FinishReason]string{
	canon.FinishStop: "STOP", canon.FinishStopSequence: "STOP", canon.FinishTools: "STOP", canon.FinishPause: "STOP",
	canon.FinishLength: "MAX_TOKENS", canon.FinishContext: "MAX_TOKENS", canon.FinishFilter: "SAFETY",
}

// finishWord returns the word for a reason: the upstream's own, if it was Google's word for the same.
func finishWord(f canon.Finish) string {
	if r, ok := finishReasons[f.Raw]; ok && r == f.Reason {
		return f.Raw
	}
	if w, ok := finishWords[f.Reason]; ok {
		return w
	}
	return "STOP"
}

type logprob struct {
	Token   string    `json:"token"`
	Logprob float64   `json:"logprob"`
	Bytes   []int     `json:"bytes,omitzero"`
	Top     []logprob `json:"top_logprobs,omitzero"`
}

// geminiLogprobs turns token entries of chat's shape into a logprobsResult.
func geminiLogprobs(v jsontext.Value) []byte {
	var entries []logprob
	if json.Unmarshal(v, &entries, wire.Lenient) != nil {
		return []byte("{}")
	}
	entry := func(w *writer, l *logprob) {
		w.open('{')
		w.str("token", l.Token)
		w.float("logProbability", &l.Logprob)
		w.close('}')
	}
	w := writer{b: []byte("{")}
	w.begin("topCandidates", '[')
	for i := range entries {
		w.open('{')
		w.begin("candidates", '[')
		for j := range entries[i].Top {
			entry(&w, &entries[i].Top[j])
		}
		w.close(']')
		w.close('}')
	}
	w.close(']')
	w.begin("chosenCandidates", '[')
	for i := range entries {
		entry(&w, &entries[i])
	}
	w.close(']')
	w.close('}')
	return w.b
}

// chatLogprobs turns a logprobsResult into token entries of chat's shape.
func chatLogprobs(v jsontext.Value) jsontext.Value {
	type candidate struct {
		Token string  `json:"token"`
		Log   float64 `json:"logProbability"`
	}
	var in struct {
		Top []struct {
			Candidates []candidate `json:"candidates"`
		} `json:"topCandidates"`
		Chosen []candidate `json:"chosenCandidates"`
	}
	if json.Unmarshal(v, &in, wire.Lenient) != nil || len(in.Chosen) == 0 {
		return nil
	}
	entry := func(c candidate) logprob {
		l := logprob{Token: c.Token, Logprob: c.Log, Bytes: []int{}}
		for _, b := range []byte(c.Token) {
			l.Bytes = append(l.Bytes, int(b))
		}
		return l
	}
	out := make([]logprob, len(in.Chosen))
	for i, c := range in.Chosen {
		out[i] = entry(c)
		out[i].Top = []logprob{}
		if i < len(in.Top) {
			for _, t := range in.Top[i].Candidates {
				out[i].Top = append(out[i].Top, entry(t))
			}
		}
	}
	b, err := wire.Marshal(out)
	if err != nil {
		return nil
	}
	return b
}

// partLogprobs joins the token entries of all parts.
func partLogprobs(parts []canon.Part) jsontext.Value {
	var all []byte
	for i := range parts {
		if v := parts[i].Logprobs; len(v) > 2 {
			if all != nil {
				all = append(all[:len(all)-1], ',')
				all = append(all, v[1:]...)
				continue
			}
			all = append(all, v...)
		}
	}
	if all == nil {
		return nil
	}
	return geminiLogprobs(all)
}
