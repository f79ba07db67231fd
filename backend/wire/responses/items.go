package responses

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// liveItem is an item of the output, finished or on its way.
type liveItem struct {
	kind   string // its type
	id     string
	part   canon.Part // what it is made of, without what came in deltas
	status string

	text     []byte   // of a message, of raw reasoning, arguments or input of a call
	logprobs []byte   // entries, separated by commas
	notes    []byte   // annotations, separated by commas
	summary  [][]byte // of reasoning
	sig      string   // encrypted_content
}

// prefixes of the ids of items.
var prefixes = map[string]string{
	itemMessage: "msg_", itemReasoning: "rs_", itemCall: "fc_", itemCustom: "ctc_", itemSearch: "tsc_", itemImage: "ig_",
}

// newItem makes the item for a part. Its id is the upstream's, if that made items of this kind, else a new one; the parts
// of one message become items of their own, so only the first has its id.
func (r *renderer) newItem(kind string, part canon.Part) *liveItem {
	prefix := prefixes[kind]
	it := &liveItem{kind: kind, id: part.ItemID, part: part, status: statusRunning}
	if len(it.id) <= len(prefix) || !strings.HasPrefix(it.id, prefix) || it.id == r.lastID {
		it.id = r.req.NewID(prefix, 24)
	} else {
		r.lastID = it.id
	}
	return it
}

// kindOf returns the type of the item that shows a part, "" if clients of this format have none for it.
func kindOf(req *canon.Request, p *canon.Part) string {
	switch p.Type {
	case canon.PartText, canon.PartRefusal, canon.PartAudio:
		return itemMessage
	case canon.PartReasoning:
		return itemReasoning
	case canon.PartImage:
		return itemImage
	case canon.PartServer:
		if p.Opaque != nil && p.Opaque.Family == wire.FamilyOpenAI && p.Opaque.Kind != "" && len(p.Server) > 0 {
			return p.Opaque.Kind
		}
		return ""
	case canon.PartToolCall:
		switch {
		case p.Custom:
			return itemCustom
		case isSearch(req, p):
			return itemSearch
		}
		return itemCall
	default:
		return ""
	}
}

// isSearch reports whether a call is of the client's own tool to load further tools.
func isSearch(req *canon.Request, p *canon.Part) bool {
	if p.Name != toolSearch || p.Space != "" {
		return false
	}
	t := findTool(req.Tools, toolSearch)
	return t != nil && t.ServerType == toolSearch
}

// nameBack gives a call the namespace that its flat name stands for.
func nameBack(req *canon.Request, p *canon.Part) {
	if p.Type != canon.PartToolCall || p.Space != "" {
		return
	}
	if t := findTool(req.Tools, p.Name); t != nil {
		p.Name, p.Space = t.Name, t.Space
	}
}

// append appends the item as JSON. One that has only begun has neither content nor arguments.
func (it *liveItem) append(dst []byte, begun bool) []byte {
	if it.part.Type == canon.PartServer {
		return append(dst, oneLine(it.part.Server)...)
	}
	dst = wire.AppendString(append(dst, `{"id":`...), it.id)
	dst = append(append(append(dst, `,"type":"`...), it.kind...), '"')
	switch it.kind {
	case itemReasoning:
		return it.appendReasoning(dst)
	case itemImage:
		return it.appendImage(dst)
	}
	dst = append(append(append(dst, `,"status":"`...), it.status...), '"')
	if it.kind == itemMessage {
		return it.appendMessage(dst, begun)
	}
	return it.appendCall(dst, begun)
}

func (it *liveItem) appendMessage(dst []byte, begun bool) []byte {
	dst = append(dst, `,"role":"assistant","content":[`...)
	if !begun {
		dst = it.appendContent(dst, it.text, it.notes, it.logprobs)
	}
	dst = append(dst, ']')
	if phase := it.part.Ext[extPhase]; len(phase) > 0 {
		dst = append(append(dst, `,"phase":`...), phase...)
	}
	return append(dst, '}')
}

func (it *liveItem) appendCall(dst []byte, begun bool) []byte {
	text := it.text
	if begun {
		text = nil
	}
	dst = wire.AppendString(append(dst, `,"call_id":`...), it.part.CallID)
	if it.kind == itemSearch {
		args := jsontext.Value("{}")
		if !begun {
			args = oneLine(it.part.ArgsObject())
		}
		return append(append(append(dst, `,"execution":"client","arguments":`...), args...), '}')
	}
	dst = wire.AppendString(append(dst, `,"name":`...), it.part.Name)
	if it.part.Space != "" {
		dst = wire.AppendString(append(dst, `,"namespace":`...), it.part.Space)
	}
	if it.kind == itemCustom {
		dst = append(dst, `,"input":`...)
	} else {
		dst = append(dst, `,"arguments":`...)
	}
	return append(wire.AppendString(dst, string(text)), '}')
}

func (it *liveItem) appendReasoning(dst []byte) []byte {
	dst = append(dst, `,"summary":[`...)
	for i, s := range it.summary {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSummary(dst, s)
	}
	dst = append(dst, ']')
	if len(it.text) > 0 {
		dst = wire.AppendString(append(dst, `,"content":[{"type":"reasoning_text","text":`...), string(it.text))
		dst = append(dst, "}]"...)
	}
	if it.sig != "" {
		dst = wire.AppendString(append(dst, `,"encrypted_content":`...), it.sig)
	}
	return append(dst, '}')
}

func appendSummary(dst, text []byte) []byte {
	return append(wire.AppendString(append(dst, `{"type":"summary_text","text":`...), string(text)), '}')
}

// appendImage appends a picture as the result of OpenAI's tool for pictures: there is no other item that can hold one.
func (it *liveItem) appendImage(dst []byte) []byte {
	dst = append(append(append(dst, `,"status":"`...), it.status...), `","result":`...)
	m := it.part.Media
	switch {
	case m == nil:
		return append(dst, "null}"...)
	case len(m.Data) == 0:
		dst = wire.AppendString(dst, m.URL)
	default:
		dst = append(dst, '"')
		dst = append(base64.StdEncoding.AppendEncode(dst, m.Data), '"')
	}
	return append(dst, '}')
}

// appendContent appends the part of a message.
func (it *liveItem) appendContent(dst []byte, text []byte, notes, logprobs []byte) []byte {
	if it.part.Type == canon.PartRefusal {
		dst = wire.AppendString(append(dst, `{"type":"refusal","refusal":`...), string(text))
		return append(dst, '}')
	}
	dst = wire.AppendString(append(dst, `{"type":"output_text","text":`...), string(text))
	dst = append(append(dst, `,"annotations":[`...), notes...)
	dst = append(append(dst, `],"logprobs":[`...), logprobs...)
	return append(dst, "]}"...)
}

// visibleSignature returns what the client gets of a part's signature: nothing unless it asked for encrypted content.
func visibleSignature(req *canon.Request, p *canon.Part) string {
	if p.Opaque == nil || p.Opaque.Data == "" || !wantsEncrypted(req) {
		return ""
	}
	o := *p.Opaque
	switch {
	case p.Type == canon.PartToolCall:
		o.Kind = wire.OpaqueCall
	case p.Type == canon.PartText || p.Type == canon.PartRefusal:
		o.Kind = wire.OpaqueText
	case p.Redacted:
		o.Kind = opaqueRedacted
	case o.Kind == "":
		o.Kind = wire.OpaqueThink
	}
	return wire.ShowOpaque(&o, wire.FamilyOpenAI)
}

// carriedSignature returns the signature of a part that has no field for one here: only other families sign texts and
// calls.
func carriedSignature(req *canon.Request, p *canon.Part) string {
	if p.Opaque == nil || p.Opaque.Family == "" || p.Opaque.Family == wire.FamilyOpenAI {
		return ""
	}
	return visibleSignature(req, p)
}

func wantsEncrypted(req *canon.Request) bool {
	for _, s := range req.Include {
		if s == includeReasoning {
			return true
		}
	}
	return false
}

// annotations returns the entries of citations that this format has a form for, without the brackets: OpenAI's own for
// pages, and the same as Chat wraps it.
func annotations(citations jsontext.Value) []byte {
	var out []byte
	c := oai.WalkArray(citations)
	for c.Next() {
		if a := annotation(c.Value); a != nil {
			if len(out) > 0 {
				out = append(out, ',')
			}
			out = append(out, a...)
		}
	}
	return out
}

func annotation(v jsontext.Value) jsontext.Value {
	kind := oai.Text(oai.Member(v, "type"))
	switch {
	case !oai.Valid(v):
		return nil
	case kind == "url_citation":
		if inner := oai.Member(v, kind); len(inner) > 2 && inner[0] == '{' {
			return oneLine(append(append(jsontext.Value(`{"type":"url_citation",`), inner[1:len(inner)-1]...), '}'))
		}
		return oneLine(v)
	case strings.HasSuffix(kind, "_citation") && oai.Member(v, "cited_text") == nil && oai.Member(v, "file_id") != nil, kind == "file_path":
		return oneLine(v)
	default:
		return nil
	}
}

// tokenEntries returns the entries of log probabilities as this format wants them, without the brackets: bytes is never
// null.
func tokenEntries(v jsontext.Value) []byte {
	if len(v) < 3 || v[0] != '[' {
		return nil
	}
	type entry struct {
		Token   string  `json:"token"`
		Logprob float64 `json:"logprob"`
		Bytes   []int   `json:"bytes"`
		Top     []struct {
			Token   string  `json:"token"`
			Logprob float64 `json:"logprob"`
			Bytes   []int   `json:"bytes"`
		} `json:"top_logprobs"`
	}
	var in []entry
	if wire.ReadValue(v, "logprobs", &in) != nil {
		return nil
	}
	out, err := wire.Marshal(in) // empty lists are [], not null
	if err != nil {
		return nil
	}
	return out[1 : len(out)-1]
}
