package openai

import (
	"fmt"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// reasoningBack writes the thinking of a turn that goes back to the upstream. What another family signed is left out:
// it was not this upstream's.
func (w *writer) reasoningBack(parts []canon.Part, calls bool) []canon.Edit {
	policy := w.o.ReasoningContent
	if policy == ReasoningDefault {
		switch {
		case w.o.OwnHost:
			policy = ReasoningNever
		case w.same:
			policy = ReasoningAlways
		default:
			policy = ReasoningWithCalls
		}
	}
	if policy == ReasoningNever || policy == ReasoningWithCalls && !calls {
		return nil
	}
	var b strings.Builder
	var details jsontext.Value
	for i := range parts {
		p := &parts[i]
		if p.Type != canon.PartReasoning || p.Redacted || p.Opaque != nil && p.Opaque.Data != "" {
			continue
		}
		b.WriteString(p.Text)
		if p.Text == "" {
			b.WriteString(strings.Join(p.Summary, "\n\n"))
		}
		if d := p.Ext["reasoning_details"]; d != nil {
			details = d
		}
	}
	thought := b.String()
	if thought == "" && calls && w.req.Reasoning.Mode != canon.ReasonOff {
		thought = w.o.ReasoningFiller
	}
	var out []canon.Edit
	if thought != "" {
		name := "reasoning_content"
		if w.o.ThinkingStyle == ThinkReasoning {
			name = "reasoning"
		}
		out = append(out, canon.Edit{Name: name, Value: wire.AppendString(nil, thought)})
	}
	if details != nil && (w.same || w.o.ThinkingStyle == ThinkReasoning) {
		out = append(out, canon.Edit{Name: "reasoning_details", Value: details})
	}
	return out
}

// call writes one tool call of the history.
func (w *writer) call(p *canon.Part, id string) jsontext.Value {
	name := w.x.names.Out(wire.FlatName(p.Space, p.Name))
	b := wire.AppendString(jsontext.Value(`{"id":`), id)
	if p.Custom && (w.o.OwnHost || w.o.CustomTools) {
		b = wire.AppendString(append(b, `,"type":"custom","custom":{"name":`...), name)
		b = wire.AppendString(append(b, `,"input":`...), p.Text)
	} else {
		args := p.ArgsText()
		if p.Custom {
			args = string(append(wire.AppendString([]byte(`{"input":`), p.Text), '}'))
		}
		b = wire.AppendString(append(b, `,"type":"function","function":{"name":`...), name)
		b = wire.AppendString(append(b, `,"arguments":`...), args)
	}
	b = append(b, '}')
	if w.same && !w.o.ClosedMessages {
		b = appendExt(b, p.Ext)
	}
	return append(w.appendCache(b, p.Cache, nil), '}')
}

// appendCache adds the mark of a cache boundary where it is taken. A breakpoint that the client wrote in OpenAI's own
// form stands in ext and says the same.
func (w *writer) appendCache(b jsontext.Value, cache *canon.Cache, ext map[string]jsontext.Value) jsontext.Value {
	if cache == nil {
		return b
	}
	own := ext["prompt_cache_breakpoint"] != nil
	switch {
	case w.o.CacheControl && !(own && w.same):
		return append(append(b, `,"cache_control":`...), cacheMark(cache)...)
	case w.o.OwnHost && w.same && own:
	default:
		w.warn("cache_control", "the service caches by itself")
	}
	return b
}

func (c *conversation) textPart(p *canon.Part) jsontext.Value {
	b := wire.AppendString(jsontext.Value(`{"type":"text","text":`), p.Text)
	return append(c.ending(b, p), '}')
}

// ending adds a part's cache mark and, for a client of this format, what canon has no word for.
func (c *conversation) ending(b jsontext.Value, p *canon.Part) jsontext.Value {
	b = c.w.appendCache(b, p.Cache, p.Ext)
	if !c.w.same || c.w.o.ClosedMessages {
		return b
	}
	ext := p.Ext
	if ext["prompt_cache_breakpoint"] != nil && !c.w.o.OwnHost {
		ext = maps.Clone(ext)
		delete(ext, "prompt_cache_breakpoint")
	}
	return appendExt(b, ext)
}

// adapt turns what the upstream cannot take into what it can, or refuses it.
func (w *writer) adapt(p *canon.Part) error {
	m := p.Media
	switch p.Type {
	case canon.PartImage:
		if w.o.StringContent {
			return unsupported(wire.Field(w.req.Format, "messages"), "image input is not supported by %s", w.req.ModelAsked)
		}
		if m.FileID != "" {
			return unsupported(wire.Field(w.req.Format, "messages"), "%s cannot read a file that was uploaded elsewhere; send the image itself", w.req.ModelAsked)
		}
		if w.req.Facts.Images == canon.No {
			w.warn("messages.image", "the model reads text only")
			*p = canon.Part{Type: canon.PartText, Text: fmt.Sprintf("[image omitted: %s, %d bytes]", m.MIME, len(m.Data))}
		}
	case canon.PartDocument:
		return w.adaptDocument(p)
	case canon.PartAudio:
		if w.o.StringContent || len(m.Data) == 0 {
			return unsupported(wire.Field(w.req.Format, "messages"), "audio input is not supported by %s", w.req.ModelAsked)
		}
		if f := audioFormat(m.MIME); !w.same && f != "wav" && f != "mp3" {
			return unsupported(wire.Field(w.req.Format, "messages"), "audio of type %q is not supported by %s; send wav or mp3", m.MIME, w.req.ModelAsked)
		}
	case canon.PartVideo:
		if !w.same || w.o.OwnHost || w.o.StringContent {
			return unsupported(wire.Field(w.req.Format, "messages"), "video input is not supported by %s", w.req.ModelAsked)
		}
	case canon.PartRefusal:
		p.Type = canon.PartText
	}
	return nil
}

func (w *writer) adaptDocument(p *canon.Part) error {
	m := p.Media
	if text := wire.DocumentText(m); text != "" && !w.same {
		title := m.Title
		if title == "" {
			title = m.FileName
		}
		if title == "" {
			title = "Document"
		}
		*p = canon.Part{Type: canon.PartText, Text: title + "\n\n" + text, Cache: p.Cache}
		return nil
	}
	switch {
	case w.o.StringContent, !w.o.OwnHost && !w.o.Documents, m.URL != "":
		return unsupported(wire.Field(w.req.Format, "messages"), "document input is not supported by %s", w.req.ModelAsked)
	case m.FileID != "" && !w.same:
		return unsupported(wire.Field(w.req.Format, "messages"), "%s cannot read a file that was uploaded elsewhere; send the document itself", w.req.ModelAsked)
	}
	return nil
}

// part writes one part of a user's message; adapt has seen it.
func (c *conversation) part(p *canon.Part) (jsontext.Value, error) {
	m := p.Media
	var b jsontext.Value
	switch p.Type {
	case canon.PartText:
		return c.textPart(p), nil
	case canon.PartImage, canon.PartVideo:
		kind := "image_url"
		if p.Type == canon.PartVideo {
			kind = "video_url"
		}
		url := m.URL
		if len(m.Data) > 0 {
			url = wire.DataURL(m.MIME, m.Data)
		}
		b = wire.AppendString(jsontext.Value(`{"type":"`+kind+`","`+kind+`":{"url":`), url)
		if m.Detail != "" {
			b = wire.AppendString(append(b, `,"detail":`...), m.Detail)
		}
	case canon.PartAudio:
		b = append(jsontext.Value(`{"type":"input_audio","input_audio":{"data":"`), wire.DataURL("", m.Data)[len("data:;base64,"):]...)
		b = wire.AppendString(append(b, `","format":`...), audioFormat(m.MIME))
	case canon.PartDocument:
		b = c.document(m)
	default:
		return nil, unsupported(wire.Field(c.w.req.Format, "messages"), "%s cannot take %s in a user message", c.w.req.ModelAsked, p.Type)
	}
	return append(c.ending(append(b, '}'), p), '}'), nil
}

func (c *conversation) document(m *canon.Media) jsontext.Value {
	b := jsontext.Value(`{"type":"file","file":{`)
	if m.FileID != "" {
		return wire.AppendString(append(b, `"file_id":`...), m.FileID)
	}
	name := m.FileName
	if name == "" {
		name = m.Title
	}
	if name == "" {
		name = "document.pdf"
	}
	data := m.Data
	if m.Text != "" {
		data = []byte(m.Text)
	}
	b = wire.AppendString(append(b, `"filename":`...), name)
	return wire.AppendString(append(b, `,"file_data":`...), wire.DataURL(m.MIME, data))
}

// audioFormat is the word that chat has for a type of sound.
func audioFormat(mime string) string {
	switch f := strings.TrimPrefix(strings.TrimPrefix(mime, "audio/"), "x-"); f {
	case "mpeg", "mp3":
		return "mp3"
	case "wave", "wav", "":
		return "wav"
	default:
		return f
	}
}
