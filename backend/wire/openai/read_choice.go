package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// choice is the state of one of the answers of a stream.
type choice struct {
	s         *reader
	n         int
	open      *openPart // text, thinking or refusal that is being written
	calls     []*openCall
	order     []*openCall // those of them that have started, as the client counts them
	finish    string
	splitting bool // the text may begin with <think>
	split     wire.ThinkTags
}

// openPart is a part that is being written.
type openPart struct {
	index   int
	typ     canon.PartType
	buf     strings.Builder
	details []byte // entries of reasoning_details
}

// plain adds text, after the thinking in front of it was split off.
func (c *choice) plain(s string, logprobs jsontext.Value) {
	if s == "" {
		return
	}
	if !c.splitting {
		c.add(canon.PartText, s, logprobs)
		return
	}
	thought, said, over := c.split.Feed(s)
	c.add(canon.PartReasoning, thought, nil)
	c.add(canon.PartText, said, logprobs)
	c.splitting = !over
}

// add writes to the open part, after closing one of another type.
func (c *choice) add(typ canon.PartType, s string, logprobs jsontext.Value) {
	if s == "" {
		return
	}
	p := c.part(typ)
	p.buf.WriteString(s)
	c.s.emit(canon.Event{Kind: canon.KindDelta, Choice: c.n, Index: p.index, Delta: canon.DeltaText, Text: s, Logprobs: logprobs})
}

func (c *choice) part(typ canon.PartType) *openPart {
	if c.open != nil && c.open.typ != typ {
		c.endOpen()
	}
	if c.open == nil {
		c.open = &openPart{index: c.s.index, typ: typ}
		c.s.index++
		c.s.emit(canon.Event{Kind: canon.KindPartStart, Choice: c.n, Index: c.open.index, Part: &canon.Part{Type: typ}})
	}
	return c.open
}

func (c *choice) endOpen() {
	p := c.open
	if p == nil {
		return
	}
	c.open = nil
	part := &canon.Part{Type: p.typ, Text: p.buf.String()}
	if len(p.details) > 0 {
		part.Ext = map[string]jsontext.Value{"reasoning_details": append(p.details, ']')}
	}
	c.s.emit(canon.Event{Kind: canon.KindPartEnd, Choice: c.n, Index: p.index, Part: part})
}

// delta reads what a chunk adds.
func (c *choice) delta(v []byte, logprobs jsontext.Value) {
	if isNull(v) {
		return
	}
	var content, refusal, calls, call, images []byte
	var thought, details []byte
	d := walkObject(v)
	for d.Next() {
		switch string(d.Name) {
		case "content":
			content = d.Value
		case "reasoning_content":
			thought = longer(d.Value, thought)
		case "reasoning", "thinking":
			thought = longer(thought, d.Value)
		case "reasoning_details":
			details = d.Value
		case "refusal":
			refusal = d.Value
		case "tool_calls":
			calls = d.Value
		case "function_call":
			call = d.Value
		case "images":
			images = d.Value
		}
	}
	c.inspect(calls, call)
	c.think(thought, details)
	c.content(content, logprobs)
	c.add(canon.PartRefusal, text(refusal), nil)
	c.pictures(images)
	list := walkArray(calls)
	if isNull(calls) {
		list = cursor{Bad: true}
	}
	for list.Next() {
		c.fragment(list.Value)
	}
	if len(call) > 0 && call[0] == '{' {
		c.functionCall(call)
	}
}

// longer returns the first of two strings that holds text: services repeat the thinking in a second field.
func longer(a, b []byte) []byte {
	if len(a) > 2 && a[0] == '"' {
		return a
	}
	return b
}

// think adds thinking, from the field for it or from the readable part of reasoning_details.
func (c *choice) think(thought, details []byte) {
	s := text(thought)
	hasDetails := len(details) > 2 && details[0] == '[' && valid(details)
	if s == "" && hasDetails {
		s = detailsText(details)
	}
	c.add(canon.PartReasoning, s, nil)
	if !hasDetails {
		return
	}
	p := c.part(canon.PartReasoning)
	inner := details[1 : len(details)-1]
	if len(p.details) == 0 {
		p.details = append(p.details, '[')
	} else {
		p.details = append(p.details, ',')
	}
	p.details = append(p.details, inner...)
}

// content adds text. Mistral sends an array of parts while it thinks.
func (c *choice) content(v []byte, logprobs jsontext.Value) {
	if len(v) == 0 || v[0] != '[' {
		c.plain(text(v), logprobs)
		return
	}
	list := walkArray(v)
	for list.Next() {
		switch text(member(list.Value, "type")) {
		case "thinking":
			t := member(list.Value, "thinking")
			if s := text(t); s != "" {
				c.add(canon.PartReasoning, s, nil)
			} else {
				c.add(canon.PartReasoning, detailsText(t), nil)
			}
		default:
			c.plain(text(member(list.Value, "text")), logprobs)
			logprobs = nil
		}
	}
}

// pictures adds images, in the form that OpenRouter made up for chat.
func (c *choice) pictures(v []byte) {
	if len(v) == 0 || v[0] != '[' {
		return
	}
	list := walkArray(v)
	for list.Next() {
		p, ok := picture(list.Value)
		if !ok {
			continue
		}
		c.endOpen()
		at := c.s.index
		c.s.index++
		c.s.emit(canon.Event{Kind: canon.KindPartStart, Choice: c.n, Index: at, Part: &canon.Part{Type: canon.PartImage}})
		c.s.emit(canon.Event{Kind: canon.KindPartEnd, Choice: c.n, Index: at, Part: &p})
	}
}

func picture(v []byte) (canon.Part, bool) {
	url := text(member(member(v, "image_url"), "url"))
	if url == "" {
		return canon.Part{}, false
	}
	m := &canon.Media{URL: url}
	if mime, data, err := wire.ParseDataURL(url); err == nil {
		m = &canon.Media{MIME: mime, Data: data}
	}
	return canon.Part{Type: canon.PartImage, Media: m}, true
}

// finishReason notes why the answer ended.
func (c *choice) finishReason(raw string) *apierror.Error {
	if raw == "" {
		c.s.ended = c.s.allFinished()
		return nil
	}
	if err := failedFinish(raw); err != nil {
		return err
	}
	c.finish = raw
	c.close()
	if c.s.anew { // the frame that says so does not go out
		c.s.emit(canon.Event{Kind: canon.KindChoiceFinish, Choice: c.n, Finish: c.result()})
	}
	c.s.ended = c.s.allFinished()
	return nil
}

// close ends every part.
func (c *choice) close() {
	if c.splitting {
		thought, said := c.split.Rest()
		c.splitting = false
		c.add(canon.PartReasoning, thought, nil)
		c.add(canon.PartText, said, nil)
	}
	c.endOpen()
	for _, call := range c.calls {
		c.endCall(call)
	}
}

func (c *choice) result() canon.Finish {
	return canon.Finish{Reason: finishOf(c.finish, len(c.calls) > 0), Raw: c.finish}
}
