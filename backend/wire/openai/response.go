package openai

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// AppendResponse renders a whole answer.
func (Codec) AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error) {
	if len(resp.Whole) > 0 {
		return appendModelBack(dst, resp.Whole, req.ModelAsked), nil
	}
	r := &renderer{req: req, legacy: req.Op == string(OpCompletions), old: oldForm(req)}
	dst = r.head(dst, resp.ID, resp.Created, nil, false)
	dst = r.wholeChoice(dst, 0, canon.Choice{Parts: resp.Parts, Finish: resp.Finish})
	for i, c := range resp.More {
		dst = r.wholeChoice(append(dst, ','), i+1, c)
	}
	u := canon.UnknownUsage()
	if resp.Usage != nil {
		u = *resp.Usage
	}
	dst = appendUsage(append(dst, `],"usage":`...), u)
	fingerprint := resp.Ext["system_fingerprint"]
	if len(fingerprint) == 0 {
		fingerprint = jsontext.Value(`"fp_patchbay"`)
	}
	dst = append(append(dst, `,"system_fingerprint":`...), fingerprint...)
	if tier := resp.Ext["service_tier"]; len(tier) > 0 {
		dst = append(append(dst, `,"service_tier":`...), tier...)
	}
	return append(dst, '}'), nil
}

func (r *renderer) wholeChoice(dst []byte, index int, c canon.Choice) []byte {
	m := r.gather(c.Parts)
	dst = strconv.AppendInt(append(dst, `{"index":`...), int64(index), 10)
	if r.legacy {
		prompt := echoOf(r.req, index)
		dst = wire.AppendString(append(dst, `,"text":`...), prompt+m.content.String())
		dst = appendLegacyLogprobs(append(dst, `,"logprobs":`...), m.logprobs, utf8.RuneCountInString(prompt))
	} else {
		dst = r.message(append(dst, `,"message":`...), m)
		if len(m.logprobs) > 0 {
			dst = append(append(append(dst, `,"logprobs":{"content":`...), m.logprobs...), `,"refusal":null}`...)
		} else {
			dst = append(dst, `,"logprobs":null`...)
		}
	}
	return append(append(append(dst, `,"finish_reason":"`...), r.reason(c.Finish)...), `"}`...)
}

// gathered are the parts of an answer by the members of a message that they go to.
type gathered struct {
	content, refusal, reasoning  strings.Builder
	spoken                       bool // there is a text part
	calls, images                []canon.Part
	logprobs, annotations, audio jsontext.Value
}

func (r *renderer) gather(parts []canon.Part) *gathered {
	m := &gathered{}
	for i := range parts {
		p := &parts[i]
		switch p.Type {
		case canon.PartText:
			m.spoken = true
			m.content.WriteString(p.Text)
			if len(p.Logprobs) > 0 {
				m.logprobs = p.Logprobs
			}
			if a := p.Ext["annotations"]; a != nil {
				m.annotations = a
			}
		case canon.PartRefusal:
			m.refusal.WriteString(p.Text)
		case canon.PartReasoning:
			s := visible(p)
			if s != "" && m.reasoning.Len() > 0 {
				m.reasoning.WriteString("\n\n")
			}
			m.reasoning.WriteString(s)
		case canon.PartToolCall:
			m.calls = append(m.calls, *p)
		case canon.PartImage:
			m.images = append(m.images, *p)
		case canon.PartAudio:
			m.audio = r.answerAudio(p)
		}
	}
	return m
}

// message appends the message of a choice: content is a string or null and never absent, tool_calls is absent when
// there are none.
func (r *renderer) message(dst []byte, m *gathered) []byte {
	dst = append(dst, `{"role":"assistant","content":`...)
	if m.spoken || len(m.calls) == 0 && m.refusal.Len() == 0 && m.audio == nil {
		dst = wire.AppendString(dst, m.content.String())
	} else {
		dst = append(dst, "null"...)
	}
	dst = oai.AppendOrNull(append(dst, `,"refusal":`...), m.refusal.String())
	if m.reasoning.Len() > 0 {
		dst = wire.AppendString(append(dst, `,"reasoning_content":`...), m.reasoning.String())
	}
	for _, x := range []struct {
		name string
		v    jsontext.Value
	}{{"annotations", m.annotations}, {"audio", m.audio}} {
		if len(x.v) > 0 {
			dst = append(append(append(append(dst, `,"`...), x.name...), `":`...), x.v...)
		}
	}
	if len(m.images) > 0 {
		dst = appendImages(append(dst, `,"images":`...), m.images)
	}
	switch {
	case len(m.calls) > 0 && r.old:
		dst = wire.AppendString(append(dst, `,"function_call":{"name":`...), m.calls[0].Name)
		dst = append(wire.AppendString(append(dst, `,"arguments":`...), m.calls[0].ArgsText()), '}')
	case len(m.calls) > 0:
		dst = append(dst, `,"tool_calls":[`...)
		for i := range m.calls {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCall(dst, &m.calls[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendCall(dst []byte, p *canon.Part) []byte {
	name := wire.FlatName(p.Space, p.Name)
	dst = wire.AppendString(append(dst, `{"id":`...), p.CallID)
	if p.Custom {
		dst = wire.AppendString(append(dst, `,"type":"custom","custom":{"name":`...), name)
		dst = wire.AppendString(append(dst, `,"input":`...), p.Text)
	} else {
		dst = wire.AppendString(append(dst, `,"type":"function","function":{"name":`...), name)
		dst = wire.AppendString(append(dst, `,"arguments":`...), p.ArgsText())
	}
	return append(dst, "}}"...)
}

// appendLegacyLogprobs writes chat's token entries in the columns of a legacy completion. Offsets count characters of the
// whole text, an echoed prompt included; offset is that of the first token.
func appendLegacyLogprobs(dst []byte, entries jsontext.Value, offset int) []byte {
	if len(entries) == 0 {
		return append(dst, "null"...)
	}
	var tokens, probs, tops, offsets []byte
	c := walkArray(entries)
	for c.Next() {
		if len(tokens) > 0 {
			tokens, probs, tops, offsets = append(tokens, ','), append(probs, ','), append(tops, ','), append(offsets, ',')
		}
		tok := text(member(c.Value, "token"))
		tokens = wire.AppendString(tokens, tok)
		probs = append(probs, orNull(member(c.Value, "logprob"))...)
		tops = appendTop(tops, member(c.Value, "top_logprobs"))
		offsets = strconv.AppendInt(offsets, int64(offset), 10)
		offset += len([]rune(tok))
	}
	dst = append(append(dst, `{"tokens":[`...), tokens...)
	dst = append(append(dst, `],"token_logprobs":[`...), probs...)
	dst = append(append(dst, `],"top_logprobs":[`...), tops...)
	return append(append(append(dst, `],"text_offset":[`...), offsets...), "]}"...)
}

func appendTop(dst, entries []byte) []byte {
	dst = append(dst, '{')
	seen := map[string]bool{}
	c := walkArray(entries)
	for c.Next() {
		tok := text(member(c.Value, "token"))
		if seen[tok] {
			continue
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen[tok] = true
		dst = append(append(wire.AppendString(dst, tok), ':'), orNull(member(c.Value, "logprob"))...)
	}
	return append(dst, '}')
}

func orNull(v []byte) []byte {
	if len(v) == 0 {
		return []byte("null")
	}
	return v
}
