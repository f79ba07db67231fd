package canon

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Collect folds a stream into the whole answer. It returns the stream's error, if there was one, with what had come
// until then.
func Collect(stream Stream) (*Response, error) {
	var f Fold
	for ev, err := range stream {
		if err != nil {
			return f.Response(), err
		}
		f.Add(ev)
	}
	return f.Response(), nil
}

// Fold puts an answer together from its events. The zero value is ready.
type Fold struct {
	resp  Response
	parts []*foldPart
	ends  []Choice
	done  bool
}

type foldPart struct {
	choice int
	part   Part
	text   strings.Builder
	args   strings.Builder
	sig    strings.Builder
	sums   []*strings.Builder
	logs   []jsontext.Value
	cites  []jsontext.Value
	whole  bool
}

// Add takes the next event in.
func (f *Fold) Add(ev Event) {
	if f.resp.First.IsZero() && ev.Content() {
		f.resp.First = time.Now()
	}
	switch ev.Kind {
	case KindStart:
		f.resp.ID, f.resp.Model, f.resp.Created = ev.ID, ev.Model, ev.Created
		f.resp.Dropped = append(f.resp.Dropped, ev.Dropped...)
		f.resp.Ext = ev.Ext
	case KindPartStart, KindPartEnd:
		for len(f.parts) <= ev.Index {
			f.parts = append(f.parts, &foldPart{})
		}
		p := f.parts[ev.Index]
		p.choice = ev.Choice
		if ev.Part != nil {
			p.part = *ev.Part
			p.whole = ev.Kind == KindPartEnd
		}
	case KindDelta:
		f.delta(ev)
	case KindChoiceFinish:
		for len(f.ends) <= ev.Choice {
			f.ends = append(f.ends, Choice{})
		}
		f.ends[ev.Choice].Finish = ev.Finish
	case KindFinish:
		f.resp.Finish = ev.Finish
		f.resp.Whole = ev.Whole
		if ev.Ext != nil {
			f.resp.Ext = ev.Ext
		}
		f.done = true
	}
	if ev.Usage != nil {
		if f.resp.Usage == nil {
			u := UnknownUsage()
			f.resp.Usage = &u
		}
		f.resp.Usage.Merge(*ev.Usage)
	}
}

func (f *Fold) delta(ev Event) {
	if ev.Index >= len(f.parts) {
		return
	}
	p := f.parts[ev.Index]
	if len(ev.Logprobs) > 0 {
		p.logs = append(p.logs, slices.Clone(ev.Logprobs))
	}
	switch ev.Delta {
	case DeltaText:
		p.text.WriteString(ev.Text)
	case DeltaArgs:
		p.args.WriteString(ev.Text)
	case DeltaSignature:
		p.sig.WriteString(ev.Text)
	case DeltaSummary:
		for len(p.sums) <= ev.Summary {
			p.sums = append(p.sums, &strings.Builder{})
		}
		p.sums[ev.Summary].WriteString(ev.Text)
	case DeltaCitation:
		p.cites = append(p.cites, jsontext.Value(ev.Text))
	}
}

// Done reports whether Finish has come.
func (f *Fold) Done() bool { return f.done }

// Response returns the answer so far. Parts that PartEnd brought whole are taken as they are; others are put together
// from their deltas.
func (f *Fold) Response() *Response {
	r := f.resp
	last := 0
	for i := range f.parts {
		last = max(last, f.parts[i].choice)
	}
	last = max(last, len(f.ends)-1)
	r.Parts, r.More = nil, nil
	if last > 0 {
		r.More = make([]Choice, last)
		for i, e := range f.ends {
			if i > 0 {
				r.More[i-1].Finish = e.Finish
			}
		}
	}
	for i := range f.parts {
		p := f.parts[i].finished()
		if p.Type == 0 {
			continue
		}
		if c := f.parts[i].choice; c > 0 {
			r.More[c-1].Parts = append(r.More[c-1].Parts, p)
		} else {
			r.Parts = append(r.Parts, p)
		}
	}
	if len(f.ends) > 0 && f.ends[0].Finish.Reason != "" {
		r.Finish = f.ends[0].Finish
	}
	return &r
}

func (p *foldPart) finished() Part {
	out := p.part
	if len(p.logs) > 0 && out.Logprobs == nil {
		out.Logprobs = joinArrays(p.logs)
	}
	if p.whole {
		return out
	}
	out.Text += p.text.String()
	if p.args.Len() > 0 {
		out.SetArgs(p.args.String())
	} else if out.Type == PartToolCall && !out.Custom && out.Args == nil {
		out.Args = jsontext.Value("{}")
	}
	if p.sig.Len() > 0 {
		o := Opaque{}
		if out.Opaque != nil {
			o = *out.Opaque
		}
		o.Data += p.sig.String()
		out.Opaque = &o
	}
	for i := range p.sums {
		if i < len(out.Summary) {
			out.Summary = slices.Clone(out.Summary)
			out.Summary[i] += p.sums[i].String()
			continue
		}
		out.Summary = append(slices.Clone(out.Summary), p.sums[i].String())
	}
	if len(p.cites) > 0 {
		var b []byte
		b = append(b, '[')
		for i, c := range p.cites {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, c...)
		}
		out.Citations = append(b, ']')
	}
	return out
}

// joinArrays makes one JSON array of several.
func joinArrays(arrays []jsontext.Value) jsontext.Value {
	out := []byte{'['}
	for _, a := range arrays {
		if len(a) < 2 || a[0] != '[' {
			continue
		}
		inner := a[1 : len(a)-1]
		if len(inner) == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, inner...)
	}
	return append(out, ']')
}

// SetArgs sets the arguments of a tool call from the text that a model wrote. Blank text is an empty object; text that
// is not a JSON object is kept as a JSON string, with BadArgs set.
func (p *Part) SetArgs(text string) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		p.Args, p.BadArgs = jsontext.Value("{}"), false
		return
	}
	v := jsontext.Value(trimmed)
	if trimmed[0] == '{' && v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		p.Args, p.BadArgs = v, false
		return
	}
	quoted, _ := jsontext.AppendQuote(nil, text) // invalid UTF-8 is replaced
	p.Args, p.BadArgs = quoted, true
}

// ArgsText returns the arguments as the text of a string field: the object itself, or the text that was no object.
func (p *Part) ArgsText() string {
	if !p.BadArgs {
		if len(p.Args) == 0 {
			return "{}"
		}
		return string(p.Args)
	}
	b, _ := jsontext.AppendUnquote(nil, p.Args) // SetArgs has quoted it
	return string(b)
}

// ArgsObject returns the arguments as a JSON object: text that was none is wrapped as {"_raw_arguments": text}.
func (p *Part) ArgsObject() jsontext.Value {
	switch {
	case p.BadArgs:
		return append(append(jsontext.Value(`{"_raw_arguments":`), p.Args...), '}')
	case len(p.Args) == 0:
		return jsontext.Value("{}")
	default:
		return p.Args
	}
}

// Events replays a whole answer as a stream. Text goes out in pieces of at most 64 runes so that a client which wanted
// a stream sees one; arguments go out whole.
func (r *Response) Events() Stream {
	return func(yield func(Event, error) bool) {
		if !yield(Event{Kind: KindStart, ID: r.ID, Model: r.Model, Created: r.Created, Dropped: r.Dropped, Ext: r.Ext}, nil) {
			return
		}
		index := 0
		if !replay(yield, r.Parts, 0, &index) {
			return
		}
		for i, c := range r.More {
			if !replay(yield, c.Parts, i+1, &index) {
				return
			}
		}
		if len(r.More) > 0 {
			if !yield(Event{Kind: KindChoiceFinish, Finish: r.Finish}, nil) {
				return
			}
			for i, c := range r.More {
				if !yield(Event{Kind: KindChoiceFinish, Choice: i + 1, Finish: c.Finish}, nil) {
					return
				}
			}
		}
		if r.Usage != nil && !yield(Event{Kind: KindUsage, Usage: r.Usage}, nil) {
			return
		}
		yield(Event{Kind: KindFinish, Finish: r.Finish, Usage: r.Usage, Whole: r.Whole}, nil)
	}
}

const replayRunes = 64 // per piece of a replayed text

func replay(yield func(Event, error) bool, parts []Part, choice int, index *int) bool {
	for i := range parts {
		p := parts[i]
		at := *index
		*index++
		skeleton := p
		skeleton.Text, skeleton.Summary, skeleton.Args, skeleton.Citations, skeleton.Logprobs = "", nil, nil, nil, nil
		if skeleton.Opaque != nil && !p.Redacted && p.Type == PartReasoning {
			o := *skeleton.Opaque
			o.Data = ""
			skeleton.Opaque = &o
		}
		if !yield(Event{Kind: KindPartStart, Choice: choice, Index: at, Part: &skeleton}, nil) {
			return false
		}
		if !replayDeltas(yield, &p, choice, at) {
			return false
		}
		if !yield(Event{Kind: KindPartEnd, Choice: choice, Index: at, Part: &p}, nil) {
			return false
		}
	}
	return true
}

func replayDeltas(yield func(Event, error) bool, p *Part, choice, at int) bool {
	send := func(kind DeltaKind, text string, summary int) bool {
		return yield(Event{Kind: KindDelta, Choice: choice, Index: at, Delta: kind, Text: text, Summary: summary}, nil)
	}
	for i, s := range p.Summary {
		for piece := range pieces(s) {
			if !send(DeltaSummary, piece, i) {
				return false
			}
		}
	}
	for piece := range pieces(p.Text) {
		if !send(DeltaText, piece, 0) {
			return false
		}
	}
	if p.Type == PartToolCall && !p.Custom && !send(DeltaArgs, p.ArgsText(), 0) {
		return false
	}
	if p.Type == PartReasoning && !p.Redacted && p.Opaque != nil && p.Opaque.Data != "" {
		return send(DeltaSignature, p.Opaque.Data, 0)
	}
	return true
}

// pieces cuts s at rune borders. A rune that combines with the one before it stays with it.
func pieces(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, n := 0, 0
		for i, r := range s {
			if n >= replayRunes && !joins(r) {
				if !yield(s[start:i]) {
					return
				}
				start, n = i, 0
			}
			n++
		}
		if start < len(s) {
			yield(s[start:])
		}
	}
}

// joins reports whether r belongs to the character before it: combining marks, variation selectors, zero-width joiner
// and skin tones. A little more than needed does no harm, a piece only gets longer.
func joins(r rune) bool {
	switch {
	case r >= 0x0300 && r <= 0x036F, r >= 0x1AB0 && r <= 0x1AFF, r >= 0x20D0 && r <= 0x20FF:
		return true
	case r == 0x200D, r >= 0xFE00 && r <= 0xFE0F, r >= 0x1F3FB && r <= 0x1F3FF, r >= 0x1F1E6 && r <= 0x1F1FF:
		return true
	default:
		return false
	}
}

// Concat joins the answers to several prompts of one call into one stream with a choice each: the Nth stream's choices
// come after those of the ones before it. Usage is added up. An error ends it.
func Concat(choicesEach int, streams ...Stream) Stream {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(Event, error) bool) {
		parts, total := 0, Usage{}
		var finish Finish
		for n, s := range streams {
			base, seen, ended := n*max(choicesEach, 1), 0, false
			usage := UnknownUsage()
			for ev, err := range s {
				if err != nil {
					yield(Event{}, err)
					return
				}
				if ev.Usage != nil {
					usage.Merge(*ev.Usage)
				}
				ev.Raw, ev.Whole, ev.Verbatim, ev.Usage = nil, nil, false, nil
				switch ev.Kind {
				case KindStart:
					if n > 0 {
						continue
					}
				case KindPartStart, KindDelta, KindPartEnd:
					seen = max(seen, ev.Index+1)
					ev.Index += parts
				case KindUsage, KindFrame:
					continue
				case KindChoiceFinish:
					ended = true
				case KindFinish:
					if n == 0 {
						finish = ev.Finish
					}
					if ended {
						continue
					}
					ev.Kind = KindChoiceFinish
				}
				ev.Choice += base
				if !yield(ev, nil) {
					return
				}
			}
			parts += seen
			total.add(usage)
		}
		if yield(Event{Kind: KindUsage, Usage: &total}, nil) {
			yield(Event{Kind: KindFinish, Finish: finish, Usage: &total}, nil)
		}
	}
}

func (u *Usage) add(o Usage) {
	u.Input += Known(o.Input)
	u.CacheRead += Known(o.CacheRead)
	u.CacheWrite += Known(o.CacheWrite)
	u.CacheWrite1h += Known(o.CacheWrite1h)
	u.Output += Known(o.Output)
	u.Reasoning += Known(o.Reasoning)
	u.ToolPrompt += Known(o.ToolPrompt)
	u.Estimated = u.Estimated || o.Estimated
}
