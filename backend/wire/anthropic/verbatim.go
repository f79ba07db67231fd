package anthropic

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// writeVerbatim sends the client's own bytes with the smallest edits, all made in one pass: prompt caches and signatures
// depend on the rest staying what it is. It reports false if the request must be written anew.
func (x *Exchange) writeVerbatim() (bool, error) {
	if !same(x.req) || len(x.req.Body.Raw) == 0 || x.o.ForceConvert || x.mustConvert() {
		return false, nil
	}
	o := x.req.Body
	messages, changed, err := x.editMessages(o.Get("messages"))
	if err != nil {
		return false, err
	}
	edits := x.scalarEdits(o, changed && unsignedCall(messages))
	if changed {
		edits = append(edits, canon.Edit{Name: "messages", Value: messages})
	}
	x.verbatim = true
	if len(edits) == 0 {
		x.Body = o.Raw
		return true, nil
	}
	x.Body = o.AppendEdited(make([]byte, 0, len(o.Raw)+256), edits...)
	return true, nil
}

// mustConvert reports whether the body holds something that the upstream does not take and that no single edit removes.
func (x *Exchange) mustConvert() bool {
	o := x.req.Body
	switch {
	case x.o.NoCacheControl && bytes.Contains(o.Raw, []byte(`"cache_control"`)):
		return true
	case x.o.NoOutputConfig && (o.Has("output_config") || o.Has("output_format")):
		return true
	case x.refusedPrefill():
		return true
	case x.o.NoTypedTools:
		typed := false
		_ = elements(o.Get("tools"), func(_ int, e jsontext.Value) error { // the function below never fails
			t := blockType(e)
			typed = typed || t != "" && t != "custom"
			return nil
		})
		return typed
	default:
		return false
	}
}

// refusedPrefill reports whether the conversation ends with words of the model from which Claude would not go on: they end
// in white space, or it is a model that thinks or takes none at all.
func (x *Exchange) refusedPrefill() bool {
	messages := x.req.Body.Get("messages")
	name := []byte(`"role"`)
	i := bytes.LastIndex(messages, name)
	if x.family != wire.FamilyClaude || i < 0 || !bytes.HasPrefix(bytes.TrimLeft(messages[i+len(name):], ": \t\r\n"), []byte(`"assistant"`)) {
		return false // a look at the end is enough for almost all: long conversations are not walked over
	}
	var last jsontext.Value
	_ = elements(messages, func(_ int, e jsontext.Value) error { last = e; return nil }) // the function never fails
	var m struct {
		Role    string         `json:"role"`
		Content jsontext.Value `json:"content"`
	}
	if json.Unmarshal(last, &m, wire.Lenient) != nil || m.Role != string(canon.RoleAssistant) {
		return false
	}
	content := m.Content
	if content.Kind() == '[' {
		var block jsontext.Value
		_ = elements(content, func(_ int, e jsontext.Value) error { block = e; return nil }) // the function never fails
		var b struct {
			Text jsontext.Value `json:"text"`
		}
		if blockType(block) != typeText || json.Unmarshal(block, &b, wire.Lenient) != nil {
			return false
		}
		content = b.Text
	}
	var text string
	if content.Kind() != '"' || json.Unmarshal(content, &text, wire.Lenient) != nil {
		return false
	}
	traits, _ := traitsOf(x.req.Model)
	return traits&noPrefill != 0 || wantedThinking(x.req, x.o, facts(x.req)).on() || text != strings.TrimRight(text, " \t\r\n")
}

// scalarEdits returns the edits besides the messages. unsigned says that the last turn of the model calls tools and has
// lost the thinking before them.
func (x *Exchange) scalarEdits(o canon.Object, unsigned bool) []canon.Edit {
	var edits []canon.Edit
	if x.req.Model != x.req.ModelAsked {
		edits = append(edits, canon.Edit{Name: "model", Value: wire.AppendString(nil, x.req.Model)})
	}
	if x.o.NoContextManagement && o.Has("context_management") {
		edits = append(edits, canon.Edit{Name: "context_management"})
	}
	if x.req.Reasoning.Source == "suffix" {
		return append(edits, x.suffixEdits(o, unsigned)...)
	}
	return append(edits, x.budgetEdits(o, unsigned)...)
}

// budgetEdits mends a thinking budget that does not fit max_tokens: qwen-code 0.15.10 sends 32000 beside 8000.
func (x *Exchange) budgetEdits(o canon.Object, unsigned bool) []canon.Edit {
	var t struct {
		Type   string `json:"type"`
		Budget int64  `json:"budget_tokens"`
	}
	v, tokens := o.Get("thinking"), x.req.MaxTokens
	if v.Kind() != '{' || json.Unmarshal(v, &t, wire.Lenient) != nil || t.Type != "enabled" {
		return nil
	}
	if unsigned {
		return []canon.Edit{{Name: "thinking", Value: jsontext.Value(`{"type":"disabled"}`)}}
	}
	if tokens == nil || *tokens == 0 || t.Budget >= minBudget && t.Budget < *tokens {
		return nil
	}
	m := facts(x.req)
	m.BudgetMax = 0 // what the client chose within max_tokens is the API's to judge
	budget, limit := repairBudget(t.Budget, *tokens, m)
	if budget == 0 {
		return []canon.Edit{{Name: "thinking"}}
	}
	var edits []canon.Edit
	if limit != *tokens {
		edits = append(edits, canon.Edit{Name: "max_tokens", Value: strconv.AppendInt(nil, limit, 10)})
	}
	inner, err := canon.ParseObject(v)
	if err != nil || budget == t.Budget {
		return edits
	}
	value := inner.AppendEdited(nil, canon.Edit{Name: "budget_tokens", Value: strconv.AppendInt(nil, budget, 10)})
	return append(edits, canon.Edit{Name: "thinking", Value: value})
}

// suffixEdits replaces the client's thinking by what a suffix of the model's name asks for.
func (x *Exchange) suffixEdits(o canon.Object, unsigned bool) []canon.Edit {
	c := conversion{x: x, req: x.req, o: x.o, facts: facts(x.req), own: true}
	c.limits()
	c.thinking = wantedThinking(x.req, x.o, c.facts)
	limit := c.maxTok
	if c.thinking.kind == "enabled" && unsigned {
		c.thinking = thinking{kind: "disabled"}
	}
	if c.thinking.kind == "enabled" {
		if c.thinking.budget, c.maxTok = repairBudget(c.thinking.budget, c.maxTok, c.facts); c.thinking.budget == 0 {
			c.thinking.kind = ""
		}
	}
	w := writer{b: []byte("{")}
	c.writeThinking(&w)
	w.close('}')
	inner, _ := canon.ParseObject(w.b) // written just above
	edits := []canon.Edit{{Name: "thinking", Value: inner.Get("thinking")}}
	if c.maxTok != limit {
		edits = append(edits, canon.Edit{Name: "max_tokens", Value: strconv.AppendInt(nil, c.maxTok, 10)})
	}
	config, err := canon.ParseObject([]byte(firstOf(string(notNull(o.Get("output_config"))), "{}")))
	if err != nil || c.thinking.effort == "" && !config.Has("effort") {
		return edits
	}
	effort := canon.Edit{Name: "effort"}
	if c.thinking.effort != "" {
		effort.Value = wire.AppendString(nil, c.thinking.effort)
	}
	value := jsontext.Value(config.AppendEdited(nil, effort))
	if string(bytes.TrimSpace(value)) == "{}" {
		value = nil
	}
	return append(edits, canon.Edit{Name: "output_config", Value: value})
}

// unsignedCall reports whether the last message of the model calls a tool and does not start with thinking.
func unsignedCall(messages jsontext.Value) bool {
	unsigned := false
	_ = elements(messages, func(_ int, e jsontext.Value) error { // the function below never fails
		var m struct {
			Role    string           `json:"role"`
			Content []jsontext.Value `json:"content"`
		}
		if json.Unmarshal(e, &m, wire.Lenient) == nil && m.Role == string(canon.RoleAssistant) && len(m.Content) > 0 {
			first := blockType(m.Content[0])
			unsigned = bytes.Contains(e, []byte(`"tool_use"`)) && first != typeThinking && first != typeRedacted
		}
		return nil
	})
	return unsigned
}

// editMessages removes thinking that this upstream cannot read and rewrites system messages that it does not take. The
// bytes of every other message stay.
func (x *Exchange) editMessages(v jsontext.Value) (out jsontext.Value, changed bool, err error) {
	wrapped := wire.Wrapped(v)
	systems := bytes.Contains(v, []byte(`"system"`)) && !takesSystem(x.req.Model, x.o)
	if v.Kind() != '[' || !wrapped && !systems && !x.o.StripReasoning && !x.unreadable(v) {
		return v, false, nil
	}
	w := writer{b: append(make([]byte, 0, len(v)), '[')}
	err = elements(v, func(_ int, e jsontext.Value) error {
		keep, edited, err := x.editMessage(e, systems)
		changed = changed || edited
		if keep != nil {
			w.value(keep)
		}
		return err
	})
	w.close(']')
	if changed && len(w.b) == 2 {
		return nil, false, apierror.Invalid("messages", "messages: nothing is left that this model can read")
	}
	return w.b, changed, err
}

// editMessage returns a message as the upstream may see it, nil to leave it out.
func (x *Exchange) editMessage(e jsontext.Value, systems bool) (out jsontext.Value, changed bool, err error) {
	if !x.o.StripReasoning && !wire.Wrapped(e) && !x.unreadable(e) && !(systems && bytes.Contains(e, []byte(`"system"`))) {
		return e, false, nil
	}
	m, err := canon.ParseObject(e)
	if err != nil {
		return e, false, nil // not an object: the upstream says so
	}
	var role string
	if json.Unmarshal(m.Get("role"), &role, wire.Lenient) != nil {
		return e, false, nil
	}
	content := m.Get("content")
	if role == string(canon.RoleSystem) && systems {
		var r reader
		parts, err := r.content(content, "messages.content")
		if err != nil {
			return e, false, err
		}
		return userReminder(parts), true, nil
	}
	if role != string(canon.RoleAssistant) || content.Kind() != '[' {
		return e, false, nil
	}
	w := writer{b: append(make([]byte, 0, len(content)), '[')}
	_ = elements(content, func(_ int, b jsontext.Value) error { // the function below never fails
		if keep := x.editThinking(b, &changed); keep != nil {
			w.value(keep)
		}
		return nil
	})
	w.close(']')
	switch {
	case !changed:
		return e, false, nil
	case len(w.b) == 2:
		return nil, true, nil
	default:
		return m.AppendEdited(nil, canon.Edit{Name: "content", Value: w.b}), true, nil
	}
}

// userReminder puts system text from the middle into a message of the user. The API joins it with its neighbours.
func userReminder(parts []canon.Part) jsontext.Value {
	w := writer{b: []byte(`{"role":"user","content":[{"type":"text"`)}
	w.str("text", reminder(joinLines(withoutEmpty(parts))))
	w.b = append(w.b, "}]}"...)
	return w.b
}

// unreadable reports whether messages hold thinking that nobody has signed, which Claude refuses: a model of another maker
// thought it, and its own signature stands elsewhere or there is none.
func (x *Exchange) unreadable(v []byte) bool {
	if x.family != wire.FamilyClaude || x.o.NoSignatureCheck {
		return false
	}
	for name := []byte(`"signature"`); ; {
		i := bytes.Index(v, name)
		if i < 0 {
			return false
		}
		v = bytes.TrimLeft(v[i+len(name):], ": \t\r\n")
		if bytes.HasPrefix(v, []byte(`""`)) {
			return true
		}
	}
}

// editThinking returns a block as the upstream may see it: thinking of another family is left out, its own is unwrapped.
func (x *Exchange) editThinking(b jsontext.Value, changed *bool) jsontext.Value {
	t := blockType(b)
	if t != typeThinking && t != typeRedacted {
		return b
	}
	if x.o.StripReasoning {
		*changed = true
		return nil
	}
	o, err := canon.ParseObject(b)
	if err == nil && t == typeThinking && x.unreadable(b) {
		*changed = true
		return nil
	}
	if err != nil || !wire.Wrapped(b) {
		return b
	}
	member := "signature"
	if t == typeRedacted {
		member = "data"
	}
	var sig string
	if json.Unmarshal(o.Get(member), &sig, wire.Lenient) != nil {
		return b
	}
	opaque, ok := wire.Unwrap(sig)
	if !ok {
		return b
	}
	*changed = true
	switch {
	case opaque.Family == x.family && opaque.Kind == wire.OpaqueThink:
		return o.AppendEdited(nil, canon.Edit{Name: member, Value: wire.AppendString(nil, opaque.Data)})
	case x.o.NoSignatureCheck && t == typeThinking && len(o.Get("thinking")) > 2:
		return o.AppendEdited(nil, canon.Edit{Name: "signature", Value: jsontext.Value(`""`)})
	default:
		return nil
	}
}
