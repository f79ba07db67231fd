package codex

import (
	"bytes"
	"crypto/sha1"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
	"patchbay/backend/wire/responses"
)

// shape is the form of a body that this service takes beyond what the wire format's options say.
type shape struct {
	options responses.Options
	moved   bool // instructions go as the first developer message
	lite    bool // the body is a Codex program's own, in its newer form: nothing in it is changed further
}

// finish makes the last changes to a body. It reports whether the body goes on with a turn that began before: its last item is
// what a tool said.
func (s *shape) finish(x *responses.Exchange, req *canon.Request) (goesOn bool, err error) {
	o, err := canon.ParseObject(x.Body)
	if err != nil {
		return false, err
	}
	input := o.Get("input")
	goesOn = endsWithOutput(input)
	if s.lite {
		return goesOn, nil
	}
	var edits []canon.Edit
	set := func(name string, v jsontext.Value) { edits = append(edits, canon.Edit{Name: name, Value: v}) }
	if oai.IsNull(o.Get("prompt_cache_key")) && s.sends("prompt_cache_key") {
		set("prompt_cache_key", wire.AppendString(nil, conversationID(req)))
	} else if key := oai.Text(o.Get("prompt_cache_key")); len(key) > 64 {
		set("prompt_cache_key", wire.AppendString(nil, oai.AtMost64(key)))
	}
	if tier := o.Get("service_tier"); tier != nil && string(tier) != `"priority"` {
		set("service_tier", nil)
		if t := oai.Text(tier); t != "" && t != "auto" && t != "default" {
			x.Dropped = append(x.Dropped, canon.Warning{Field: "service_tier", Detail: "the service has only priority"})
		}
	}
	tools := o.Get("tools")
	if n := len(bytes.TrimSpace(tools)); (n < 3 || oai.IsNull(tools)) && o.Has("parallel_tool_calls") {
		set("parallel_tool_calls", nil)
	} else if v, changed := renamedSearch(tools); changed {
		set("tools", v)
	}
	if v, changed := clamped(o.Get("reasoning"), req); changed {
		set("reasoning", v)
	}
	if v, changed := s.input(input, o.Get("instructions")); changed {
		set("input", v)
	}
	if s.moved && !oai.IsNull(o.Get("instructions")) {
		set("instructions", jsontext.Value(`""`))
	}
	if len(edits) > 0 {
		x.Body = o.AppendEdited(make([]byte, 0, len(o.Raw)+512), edits...)
	}
	return goesOn, nil
}

func (s *shape) sends(name string) bool { return !slices.Contains(s.options.Drop, name) }

// input makes a list of what may be a string, and puts the instructions first where the service refuses them in their own place.
func (s *shape) input(input, instructions jsontext.Value) (jsontext.Value, bool) {
	text := oai.Text(instructions)
	head := []byte(nil)
	if s.moved && text != "" {
		head = message("developer", text)
	}
	switch {
	case input.Kind() == '"':
		if head != nil {
			head = append(head, ',')
		}
		return append(append(append(jsontext.Value{'['}, head...), message("user", oai.Text(input))...), ']'), true
	case head == nil:
		return input, false
	}
	if rest := bytes.TrimSpace(input[1:]); len(rest) > 0 && rest[0] != ']' {
		head = append(head, ',')
	}
	return append(append(append(make(jsontext.Value, 0, len(input)+len(head)+1), '['), head...), input[1:]...), true
}

func message(role, text string) []byte {
	b := append([]byte(`{"type":"message","role":"`), role...)
	b = append(b, `","content":[{"type":"input_text","text":`...)
	return append(wire.AppendString(b, text), `}]}`...)
}

// renamedSearch writes web_search for the tool's older names, which this service does not have.
func renamedSearch(tools jsontext.Value) (jsontext.Value, bool) {
	if !bytes.Contains(tools, []byte(`"web_search_preview`)) {
		return tools, false
	}
	out, changed := jsontext.Value{'['}, false
	for c := oai.WalkArray(tools); c.Next(); {
		v := jsontext.Value(c.Value)
		if strings.HasPrefix(oai.Text(oai.Member(v, "type")), "web_search_preview") {
			if o, err := canon.ParseObject(v); err == nil {
				v, changed = o.AppendEdited(nil, canon.Edit{Name: "type", Value: jsontext.Value(`"web_search"`)}), true
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']'), changed
}

// clamped brings the level of thinking to one that the model is known to have.
func clamped(reasoning jsontext.Value, req *canon.Request) (jsontext.Value, bool) {
	effort := oai.Text(oai.Member(reasoning, "effort"))
	known := req.Facts.Efforts
	if i := slices.IndexFunc(builtIn.Models, func(m canon.Model) bool { return m.ID == req.Model }); len(known) == 0 && i >= 0 {
		known = builtIn.Models[i].Efforts
	}
	if effort == "" || effort == "ultra" || slices.Contains(known, effort) {
		return reasoning, false
	}
	to := wire.ClampEffort(effort, known)
	if effort == "minimal" && len(known) == 0 {
		to = "low" // no model of this service has it (Codex CLI 0.169.0)
	}
	o, err := canon.ParseObject(reasoning)
	if err != nil || to == effort {
		return reasoning, false
	}
	return o.AppendEdited(nil, canon.Edit{Name: "effort", Value: wire.AppendString(nil, to)}), true
}

// endsWithOutput reports whether the last item is what a tool said.
func endsWithOutput(input jsontext.Value) bool {
	var last []byte
	for c := oai.WalkArray(input); c.Next(); {
		last = c.Value
	}
	return strings.HasSuffix(oai.Text(oai.Member(last, "type")), "_output")
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isUUID(s string) bool { return uuid.MatchString(s) }

// conversationID is the name of a conversation for the service: what the client calls it if that is a UUID, else a UUID made of
// it and the model (version 5, RFC 9562).
func conversationID(req *canon.Request) string {
	if isUUID(req.Conversation) {
		return strings.ToLower(req.Conversation)
	}
	// a name, no secret
	sum := sha1.Sum([]byte("patchbay\x00" + req.Model + "\x00" + req.Conversation))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, b := range sum[:16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// turnStates keeps what the service wants to hear again within one turn, by conversation.
type turnStates struct {
	mu   sync.Mutex // guards kept
	kept map[string]turnState
}

type turnState struct {
	value string
	at    time.Time
}

const (
	mostTurns = 256
	turnLife  = 30 * time.Minute
)

// turnState returns what belongs to a turn that goes on. A new turn begins without.
func (u *upstream) turnState(conversation string, goesOn bool) string {
	t := &u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.kept[conversation]
	if !ok || !goesOn || time.Since(s.at) > turnLife {
		delete(t.kept, conversation)
		return ""
	}
	return s.value
}

// keepTurnState keeps the first state of a turn; the service may send it again with each answer.
func (u *upstream) keepTurnState(conversation, value string) {
	if value == "" || conversation == "" || len(value) > 8<<10 {
		return
	}
	t := &u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[string]turnState{}
	}
	if len(t.kept) >= mostTurns {
		for k, s := range t.kept { // the old ones, and if there are none any one
			if time.Since(s.at) > turnLife || len(t.kept) >= mostTurns {
				delete(t.kept, k)
			}
		}
	}
	t.kept[conversation] = turnState{value, time.Now()}
}
