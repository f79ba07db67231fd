package anthropic

import (
	"strings"

	"patchbay/backend/canon"
)

// standInName is the tool whose arguments stand in for structured output where a model has none of its own.
const standInName = "structured_output"

// shape gives a structured answer the form that the client asked for: the arguments of the stand-in tool come back as
// text, and JSON is taken out of a Markdown fence. Other answers pass as they are.
func (x *Exchange) shape(in canon.Stream) canon.Stream {
	if x.standIn == "" && !x.fence {
		return in
	}
	return func(yield func(canon.Event, error) bool) {
		s := shaper{standIn: x.standIn, undecided: x.standIn != "", parts: map[int]*shapedPart{}, yield: yield}
		for ev, err := range in {
			if err != nil {
				yield(ev, err)
				return
			}
			ev.More = false // what follows may be held back
			s.add(ev)
			if s.gone {
				return
			}
		}
	}
}

// shaper holds text back until it is known whether the stand-in is called: a text before the JSON would spoil it.
type shaper struct {
	standIn   string
	undecided bool
	used      bool // the stand-in was called
	calls     bool // another tool was called
	held      []canon.Event
	parts     map[int]*shapedPart
	next      int
	gone      bool // the consumer has left
	yield     func(canon.Event, error) bool
}

type shapedPart struct {
	index   int // towards the client; -1 = dropped
	standIn bool
	fence   *fence
	text    strings.Builder
}

func (s *shaper) send(ev canon.Event) {
	if !s.gone && !s.yield(ev, nil) {
		s.gone = true
	}
}

func (s *shaper) add(ev canon.Event) {
	switch ev.Kind {
	case canon.KindPartStart:
		if s.isStandIn(ev.Part) {
			s.held, s.undecided = nil, false
		} else if ev.Part.Type == canon.PartToolCall {
			s.release()
		}
	case canon.KindFinish:
		s.release()
		if s.used && !s.calls && ev.Finish.Reason == canon.FinishTools {
			ev.Finish.Reason = canon.FinishStop
		}
		ev.Whole = nil
		s.send(ev)
		return
	case canon.KindDelta, canon.KindPartEnd:
	default:
		s.send(ev)
		return
	}
	if s.undecided && s.isText(ev) {
		s.held = append(s.held, ev.Clone())
		return
	}
	s.part(ev)
}

func (s *shaper) isStandIn(p *canon.Part) bool {
	return p != nil && p.Type == canon.PartToolCall && s.standIn != "" && p.Name == s.standIn
}

// isText reports whether ev belongs to a text that is held back.
func (s *shaper) isText(ev canon.Event) bool {
	if ev.Kind == canon.KindPartStart {
		return ev.Part.Type == canon.PartText
	}
	return s.parts[ev.Index] == nil
}

// release lets held text go: no stand-in comes before it.
func (s *shaper) release() {
	s.undecided = false
	for _, ev := range s.held {
		s.part(ev)
	}
	s.held = nil
}

func (s *shaper) part(ev canon.Event) {
	p := s.parts[ev.Index]
	switch {
	case ev.Kind == canon.KindPartStart:
		s.start(ev)
	case p == nil || p.index < 0:
	case ev.Kind == canon.KindDelta:
		s.delta(p, ev)
	default:
		s.end(p, ev)
	}
}

func (s *shaper) start(ev canon.Event) {
	p := &shapedPart{index: s.next}
	s.parts[ev.Index] = p
	skeleton := *ev.Part
	switch {
	case s.isStandIn(ev.Part):
		p.standIn = true
		if s.used {
			p.index = -1
			return
		}
		s.used = true
		skeleton = canon.Part{Type: canon.PartText}
	case skeleton.Type == canon.PartText:
		if s.used {
			p.index = -1
			return
		}
		p.fence = &fence{}
	case skeleton.Type == canon.PartToolCall:
		s.calls = true
	}
	s.next++
	ev.Index, ev.Part = p.index, &skeleton
	s.send(ev)
}

func (s *shaper) delta(p *shapedPart, ev canon.Event) {
	ev.Index = p.index
	switch {
	case p.standIn:
		ev.Delta = canon.DeltaText
		p.text.WriteString(ev.Text)
	case p.fence != nil && ev.Delta == canon.DeltaText:
		if ev.Text = p.fence.feed(ev.Text); ev.Text == "" {
			return
		}
		p.text.WriteString(ev.Text)
	}
	s.send(ev)
}

func (s *shaper) end(p *shapedPart, ev canon.Event) {
	ev.Index = p.index
	part := *ev.Part
	switch {
	case p.standIn:
		part = canon.Part{Type: canon.PartText, Text: ev.Part.ArgsText()}
	case p.fence != nil:
		if rest := p.fence.rest(); rest != "" {
			p.text.WriteString(rest)
			s.send(canon.Event{Kind: canon.KindDelta, Index: p.index, Delta: canon.DeltaText, Text: rest})
		}
		part.Text = p.text.String()
	}
	ev.Part = &part
	s.send(ev)
}

// fence takes a text out of a Markdown fence, if it stands in one as a whole. Text without one passes at once.
type fence struct {
	decided, inside bool
	held            string
}

// feed returns what of the text is certain to stay.
func (f *fence) feed(piece string) string {
	f.held += piece
	if !f.decided && !f.decide() {
		return ""
	}
	if !f.inside {
		out := f.held
		f.held = ""
		return out
	}
	keep := len(strings.TrimRight(f.held, " \t\r\n`")) // white space and marks may be the end of the fence
	out := f.held[:keep]
	f.held = f.held[keep:]
	return out
}

// decide looks at the head of the text and cuts the opening mark off.
func (f *fence) decide() bool {
	head := strings.TrimLeft(f.held, " \t\r\n")
	if len(head) < 3 && strings.HasPrefix("```", head) {
		return false
	}
	if !strings.HasPrefix(head, "```") {
		f.decided = true
		return true
	}
	_, rest, ok := strings.Cut(head, "\n")
	if !ok {
		return false
	}
	f.decided, f.inside, f.held = true, true, rest
	return true
}

// rest returns what was held back, at the end of the text.
func (f *fence) rest() string {
	out := f.held
	f.held = ""
	if f.inside {
		out = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(out, " \t\r\n"), "```"), " \t\r\n")
	}
	return out
}
