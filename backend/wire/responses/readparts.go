package responses

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// readPart is a part that is being read.
type readPart struct {
	index int
	part  canon.Part // its skeleton
	buf   strings.Builder
	args  strings.Builder
	sums  []*strings.Builder
	cites []byte
	ended bool

	pending string // text that may be the beginning of a stop string
}

func (p *readPart) summaryLen(i int) int {
	if i >= len(p.sums) {
		return 0
	}
	return p.sums[i].Len()
}

func (s *reader) item(at int) *readItem {
	for len(s.items) <= at {
		s.items = append(s.items, nil)
	}
	if s.items[at] == nil {
		s.items[at] = &readItem{}
	}
	return s.items[at]
}

// at returns a part that has begun, nil if there is none.
func (s *reader) at(item, content int) *readPart {
	if item >= len(s.items) || s.items[item] == nil || content >= len(s.items[item].parts) {
		return nil
	}
	return s.items[item].parts[content]
}

// part returns the part at a place, and begins it with the skeleton if it is new.
func (s *reader) part(item, content int, skeleton canon.Part) *readPart {
	it := s.item(item)
	for len(it.parts) <= content {
		it.parts = append(it.parts, nil)
	}
	if it.parts[content] == nil {
		if skeleton.Type == canon.PartText || skeleton.Type == canon.PartRefusal {
			skeleton.ItemID, skeleton.Ext = it.id, it.ext
		}
		p := &readPart{index: s.index, part: skeleton}
		s.index++
		it.parts[content] = p
		s.calls = s.calls || skeleton.Type == canon.PartToolCall
		start := skeleton
		s.emit(canon.Event{Kind: canon.KindPartStart, Index: p.index, Part: &start})
	}
	return it.parts[content]
}

func (s *reader) delta(p *readPart, kind canon.DeltaKind, summary int, text string, logprobs jsontext.Value) {
	s.emit(canon.Event{Kind: canon.KindDelta, Index: p.index, Delta: kind, Summary: summary, Text: text, Logprobs: logprobs})
}

// text adds text, as far as it is certain that no stop string begins in it.
func (s *reader) text(p *readPart, text string, logprobs jsontext.Value) {
	if p.ended || text == "" || s.finished || p.part.Type == canon.PartToolCall || p.part.Type == canon.PartServer {
		return
	}
	if len(s.x.stops) == 0 || p.part.Type != canon.PartText {
		p.buf.WriteString(text)
		s.delta(p, canon.DeltaText, 0, text, logprobs)
		return
	}
	p.pending += text
	at, stop := firstStop(p.pending, s.x.stops)
	if at < 0 {
		n := len(p.pending) - tailOfStop(p.pending, s.x.stops)
		s.certain(p, p.pending[:n])
		p.pending = p.pending[n:]
		return
	}
	s.certain(p, p.pending[:at])
	p.pending = ""
	s.closeAll()
	ev := canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStopSequence, StopSequence: stop, Raw: "stop"}}
	s.emit(ev)
	s.finished = true // the rest is not read, which ends the call
}

func (s *reader) certain(p *readPart, text string) {
	if text != "" {
		p.buf.WriteString(text)
		s.delta(p, canon.DeltaText, 0, text, nil)
	}
}

// firstStop finds the stop string that comes first.
func firstStop(text string, stops []string) (at int, stop string) {
	at = -1
	for _, s := range stops {
		if i := strings.Index(text, s); i >= 0 && (at < 0 || i < at) {
			at, stop = i, s
		}
	}
	return at, stop
}

// tailOfStop returns how many bytes at the end of text may be the beginning of a stop string.
func tailOfStop(text string, stops []string) int {
	longest := 0
	for _, s := range stops {
		for n := min(len(s)-1, len(text)); n > longest; n-- {
			if strings.HasPrefix(s, text[len(text)-n:]) {
				longest = n
				break
			}
		}
	}
	return longest
}

// rest adds a whole text if nothing of it has come in pieces.
func (s *reader) rest(p *readPart, text string) {
	if p.buf.Len() == 0 && p.pending == "" {
		s.text(p, text, nil)
	}
}

func (s *reader) cite(p *readPart, v []byte) {
	if p.ended || len(v) == 0 || v[0] != '{' || !oai.Valid(v) {
		return
	}
	p.cites = joined(p.cites, v)
	s.delta(p, canon.DeltaCitation, 0, string(v), nil)
}

// thought returns the part of a reasoning item.
func (s *reader) thought(item int, v []byte) *readPart {
	return s.part(item, 0, canon.Part{
		Type: canon.PartReasoning, ItemID: oai.Text(oai.Member(v, "id")), RawText: len(oai.Member(v, "content")) > 2,
		Opaque: &canon.Opaque{Family: s.x.family(), Kind: wire.OpaqueThink},
	})
}

func (s *reader) summary(p *readPart, at int, text string) {
	if p.ended || text == "" || p.part.Type != canon.PartReasoning {
		return
	}
	for len(p.sums) <= at {
		p.sums = append(p.sums, &strings.Builder{})
	}
	p.sums[at].WriteString(text)
	s.delta(p, canon.DeltaSummary, at, text, nil)
}

func (s *reader) args(p *readPart, text string) {
	if p == nil || p.ended || text == "" || p.part.Type != canon.PartToolCall || p.part.Custom {
		return
	}
	p.args.WriteString(text)
	s.delta(p, canon.DeltaArgs, 0, text, nil)
}

func (s *reader) input(p *readPart, text string) {
	if p == nil || p.ended || text == "" || !p.part.Custom {
		return
	}
	p.buf.WriteString(text)
	s.delta(p, canon.DeltaText, 0, text, nil)
}

// added begins what an item holds, where that is certain: a message has its parts later.
func (s *reader) added(at int, item []byte) {
	it := s.item(at)
	switch oai.Text(oai.Member(item, "type")) {
	case itemMessage:
		it.message(item)
	case itemReasoning:
		s.thought(at, item)
	case itemCall, itemCustom:
		s.part(at, 0, s.callPart(item))
	}
}

// message notes what all parts of a message share.
func (it *readItem) message(v []byte) {
	it.id = oai.Text(oai.Member(v, "id"))
	if phase := oai.Text(oai.Member(v, "phase")); phase != "" {
		it.ext = map[string]jsontext.Value{extPhase: wire.AppendString(nil, phase)}
	}
}

// callPart makes the skeleton of a call.
func (s *reader) callPart(item []byte) canon.Part {
	p := canon.Part{Type: canon.PartToolCall}
	name, space := "", ""
	kind := ""
	c := oai.WalkObject(item)
	for c.Next() {
		switch string(c.Name) {
		case "type":
			kind = oai.Text(c.Value)
		case "id":
			p.ItemID = oai.Text(c.Value)
		case "call_id":
			p.CallID = oai.Text(c.Value)
		case "name":
			name = oai.Text(c.Value)
		case "namespace":
			space = oai.Text(c.Value)
		}
	}
	p.Custom = kind == itemCustom
	if kind == itemSearch {
		name = toolSearch
	}
	if p.CallID == "" {
		p.CallID = s.x.req.NewID("call_", 24)
	}
	p.Name, p.Space = s.x.names.Back(name), space
	return p
}

// contentPart begins a part of a message, if it has a type that is known.
func (s *reader) contentPart(item, content int, v []byte) {
	if t := contentType(v); t != 0 {
		s.part(item, content, canon.Part{Type: t})
	}
}

func contentType(v []byte) canon.PartType {
	switch oai.Text(oai.Member(v, "type")) {
	case "output_text", "text":
		return canon.PartText
	case "refusal":
		return canon.PartRefusal
	default:
		return 0
	}
}

// partDone ends a part of a message. What the whole holds and no delta told is added.
func (s *reader) partDone(item, content int, v []byte) {
	t := contentType(v)
	if t == 0 {
		return
	}
	if p := s.at(item, content); p != nil && p.ended {
		return
	}
	p := s.part(item, content, canon.Part{Type: t})
	if t == canon.PartRefusal {
		s.rest(p, oai.Text(oai.Member(v, "refusal")))
	} else {
		s.rest(p, oai.Text(oai.Member(v, "text")))
		if len(p.cites) == 0 {
			notes := oai.WalkArray(oai.Member(v, "annotations"))
			for notes.Next() {
				s.cite(p, notes.Value)
			}
		}
	}
	if !s.finished {
		s.endPart(p, entriesOf(oai.Member(v, "logprobs")), nil)
	}
}

// endPart ends a part, once. whole replaces what its deltas say, if it is there.
func (s *reader) endPart(p *readPart, logprobs jsontext.Value, whole *canon.Part) {
	if p == nil || p.ended {
		return
	}
	if p.pending != "" { // it was no stop string after all
		pending := p.pending
		p.pending = ""
		s.certain(p, pending)
	}
	p.ended = true
	part := p.part
	if whole != nil {
		part = *whole
	}
	if part.Type == canon.PartReasoning && part.Opaque != nil && part.Opaque.Data == "" {
		part.Opaque = nil
	}
	switch part.Type {
	case canon.PartText, canon.PartRefusal:
		part.Text = p.buf.String()
		part.Logprobs = logprobs
		if len(p.cites) > 0 {
			part.Citations = append(append(jsontext.Value{'['}, p.cites...), ']')
		}
	case canon.PartReasoning:
		part.Text = p.buf.String()
		part.Summary = nil
		for _, b := range p.sums {
			part.Summary = append(part.Summary, b.String())
		}
	case canon.PartToolCall:
		if part.Custom {
			part.Text = p.buf.String()
			break
		}
		if p.args.Len() == 0 {
			s.delta(p, canon.DeltaArgs, 0, "{}", nil)
		}
		part.SetArgs(p.args.String())
	}
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: p.index, Part: &part})
}

// closeAll ends what is still open.
func (s *reader) closeAll() {
	for _, it := range s.items {
		if it == nil {
			continue
		}
		for _, p := range it.parts {
			s.endPart(p, nil, nil)
		}
	}
}

// itemDone reads a whole item: what it holds and no event before it told is added, and its parts end.
func (s *reader) itemDone(at int, v []byte) {
	it := s.item(at)
	if it.done || len(v) == 0 || v[0] != '{' {
		return
	}
	it.done = true
	if s.x.verbatim {
		it.raw = append([]byte(nil), v...)
	}
	kind := oai.Text(oai.Member(v, "type"))
	switch kind {
	case itemMessage:
		s.messageDone(at, v)
	case itemReasoning:
		s.reasoningDone(at, v)
	case itemCall:
		p := s.part(at, 0, s.callPart(v))
		if p.args.Len() == 0 {
			s.args(p, argsText(oai.Member(v, "arguments")))
		}
	case itemCustom:
		p := s.part(at, 0, s.callPart(v))
		if p.buf.Len() == 0 {
			s.input(p, oai.Text(oai.Member(v, "input")))
		}
	case itemSearch:
		if oai.Text(oai.Member(v, "execution")) == "server" {
			s.serverDone(at, kind, v)
			break
		}
		s.args(s.part(at, 0, s.callPart(v)), argsText(oai.Member(v, "arguments")))
	case itemImage:
		s.imageDone(at, kind, v)
	default:
		s.serverDone(at, kind, v)
	}
	if s.finished {
		return
	}
	for _, p := range it.parts {
		s.endPart(p, nil, nil)
	}
}

func (s *reader) messageDone(at int, v []byte) {
	s.item(at).message(v)
	list := oai.WalkArray(oai.Member(v, "content"))
	for n := 0; list.Next() && n <= maxIndex && !s.finished; n++ {
		s.partDone(at, n, list.Value)
	}
}

func (s *reader) reasoningDone(at int, v []byte) {
	p := s.thought(at, v)
	if p.ended || p.part.Type != canon.PartReasoning {
		return
	}
	if p.part.ItemID == "" {
		p.part.ItemID = oai.Text(oai.Member(v, "id"))
	}
	if len(p.sums) == 0 {
		list := oai.WalkArray(oai.Member(v, "summary"))
		for n := 0; list.Next(); n++ {
			s.summary(p, n, oai.Text(oai.Member(list.Value, "text")))
		}
	}
	if p.buf.Len() == 0 {
		list := oai.WalkArray(oai.Member(v, "content"))
		for list.Next() {
			p.part.RawText = true
			s.text(p, oai.Text(oai.Member(list.Value, "text")), nil)
		}
	}
	if sig := oai.Text(oai.Member(v, "encrypted_content")); sig != "" {
		s.delta(p, canon.DeltaSignature, 0, sig, nil)
		o := *p.part.Opaque
		o.Data = sig
		p.part.Opaque = &o
	}
}

// imageDone reads a picture that the service made. Clients of this format get the item as it is.
func (s *reader) imageDone(at int, kind string, v []byte) {
	data, err := wire.DecodeBase64(oai.Text(oai.Member(v, "result")))
	if s.x.same || err != nil || len(data) == 0 {
		s.serverDone(at, kind, v)
		return
	}
	mime := wire.SniffImage(data)
	if mime == "" {
		mime = "image/" + oai.Text(oai.Member(v, "output_format"))
	}
	p := s.part(at, 0, canon.Part{Type: canon.PartImage})
	s.endPart(p, nil, &canon.Part{Type: canon.PartImage, ItemID: oai.Text(oai.Member(v, "id")), Media: &canon.Media{MIME: mime, Data: data}})
}

// serverDone reads an item of a tool that the service ran itself: clients of this format alone can read it.
func (s *reader) serverDone(at int, kind string, v []byte) {
	if !s.x.same || kind == "" || !oai.Valid(v) {
		return
	}
	raw := append(jsontext.Value(nil), v...)
	owner := &canon.Opaque{Family: wire.FamilyOpenAI, Kind: kind}
	part := canon.Part{Type: canon.PartServer, ItemID: oai.Text(oai.Member(v, "id")), Server: raw, Opaque: owner}
	p := s.part(at, 0, canon.Part{Type: canon.PartServer, Opaque: owner})
	s.endPart(p, nil, &part)
}
