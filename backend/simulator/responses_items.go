package simulator

import (
	"encoding/base64"
	"slices"
	"strings"
)

// inputState is where the reader of input items stands.
type inputState struct {
	*openAICheck
	d       *responses
	t       *turn
	seen    map[string]bool   // item ids
	calls   map[string]string // call id -> tool name
	pending []string          // ids of calls that wait for their output
	thought string            // the reasoning item that something must follow
	leading bool              // only system and developer messages so far
	words   strings.Builder   // all text, for the rule of JSON mode
}

// input gathers the conversation, stored turns first, and checks every item.
func (d *responses) input(c *openAICheck, t *turn, o map[string]any) {
	switch v := o["input"].(type) {
	case string:
		t.inputs = []any{map[string]any{"type": "message", "role": "user", "content": v}}
	case []any:
		t.inputs = v
	}
	before := 0
	if id, ok := o["previous_response_id"].(string); ok {
		k := d.lookup(id)
		if k == nil {
			c.fail("previous_response_id", "previous_response_not_found", "Previous response with id '%s' not found.", id)
			return
		}
		t.items, before = slices.Clone(k.items), len(k.items)
	}
	t.items = append(t.items, t.inputs...)
	if len(t.items) == 0 && o["prompt"] == nil {
		c.fail("input", "missing_required_parameter", "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation' must be provided.")
		return
	}
	st := &inputState{openAICheck: c, d: d, t: t, seen: map[string]bool{}, calls: map[string]string{}, leading: true}
	t.messages = len(t.items)
	for i, v := range t.items {
		at := index("input", i-before)
		m, ok := v.(map[string]any)
		if !ok {
			c.wrongType(at, "an object", v)
			return
		}
		if st.item(m, at); c.f != nil {
			return
		}
	}
	st.end(o)
}

// end checks what shows only when everything was read.
func (st *inputState) end(o map[string]any) {
	if st.thought != "" {
		st.lonely()
	}
	if len(st.pending) > 0 {
		st.fail("input", "", "No tool output found for function call %s.", st.pending[0])
	}
	if instructions, ok := o["instructions"].(string); ok {
		st.words.WriteString(instructions)
	}
	if st.t.jsonMode && !strings.Contains(strings.ToLower(st.words.String()), "json") {
		st.fail("input", "", "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.")
	}
}

func (st *inputState) lonely() {
	st.fail("input", "", "Item '%s' of type 'reasoning' was provided without its required following item.", st.thought)
}

// itemKinds are the members and the id prefix of each kind of item.
var itemKinds = map[string]struct{ prefix, members string }{
	"message":                 {"msg", "type role content id status phase"},
	"function_call":           {"fc", "type call_id name arguments id status namespace caller"},
	"function_call_output":    {"fc", "type call_id output id status caller"},
	"custom_tool_call":        {"ctc", "type call_id name input id status namespace caller"},
	"custom_tool_call_output": {"ctc", "type call_id output id status caller"},
	"reasoning":               {"rs", "type id summary content encrypted_content status"},
	"compaction":              {"cmp", "type id encrypted_content"},
	"item_reference":          {"", "type id"},
	"tool_search_call":        {"tsc", ""}, "tool_search_output": {"tso", ""}, "additional_tools": {"", ""},
	"local_shell_call": {"lsh", ""}, "local_shell_call_output": {"", ""}, "shell_call": {"sh", ""}, "shell_call_output": {"sh", ""},
	"apply_patch_call": {"apc", ""}, "apply_patch_call_output": {"apc", ""}, "web_search_call": {"ws", ""}, "file_search_call": {"fs", ""},
	"code_interpreter_call": {"ci", ""}, "image_generation_call": {"ig", ""}, "computer_call": {"cu", ""}, "computer_call_output": {"cu", ""},
	"mcp_list_tools": {"mcpl", ""}, "mcp_approval_request": {"mcpr", ""}, "mcp_approval_response": {"mcpr", ""}, "mcp_call": {"mcp", ""},
	"compaction_trigger": {"", ""}, "program": {"", ""}, "program_output": {"", ""},
}

func (st *inputState) item(m map[string]any, at string) {
	kind, ok := m["type"].(string)
	if !ok && m["role"] != nil {
		kind = "message" // the type may be missing there
	}
	k, known := itemKinds[kind]
	if !known {
		names := make([]string, 0, len(itemKinds))
		for name := range itemKinds {
			names = append(names, name)
		}
		slices.Sort(names)
		if m["type"] == nil {
			st.fail(at+".type", "missing_required_parameter", "Missing required parameter: '%s.type'.", at)
		}
		st.oneOf(at+".type", kind, names...)
		return
	}
	if k.members != "" {
		st.only(m, at, k.members)
	}
	st.identity(m, at, kind, k.prefix)
	if st.thought != "" && !produced(kind, m) {
		st.lonely()
	}
	if kind != "reasoning" && kind != "item_reference" {
		st.thought = ""
	}
	st.kind(m, at, kind)
	if kind != "message" && kind != "additional_tools" {
		st.leading = false
	}
}

// produced says whether the model made this item, so that it may follow a
// thought of its own.
func produced(kind string, m map[string]any) bool {
	if kind == "message" {
		return m["role"] == "assistant"
	}
	return kind == "reasoning" || kind == "item_reference" || kind == "program" || kind == "compaction" || strings.HasSuffix(kind, "_call")
}

// identity checks an item's id: its prefix, its length, that it comes once, and
// that the thought it was made with is there.
func (st *inputState) identity(m map[string]any, at, kind, prefix string) {
	v := m["id"]
	if v == nil {
		return
	}
	id, ok := v.(string)
	if !ok {
		st.wrongType(at+".id", "a string", v)
		return
	}
	st.longest(at+".id", id, 64)
	if prefix != "" && !strings.HasPrefix(id, prefix) {
		st.fail(at+".id", "invalid_value", "Invalid '%s.id': '%s'. Expected an ID that begins with '%s'.", at, id, prefix)
	}
	if st.seen[id] {
		st.fail("input", "", "Duplicate item found with id %s. Remove duplicate items from your input and try again.", id)
	}
	st.seen[id] = true
	stored, thought := st.d.item(id)
	if stored != nil && thought != "" && kind != "item_reference" && !st.seen[thought] && st.thought == "" {
		st.fail("input", "", "Item '%s' of type '%s' was provided without its required 'reasoning' item: '%s'.", id, kind, thought)
	}
}

func (st *inputState) kind(m map[string]any, at, kind string) {
	switch kind {
	case "message":
		st.message(m, at)
	case "reasoning":
		st.reasoning(m, at)
	case "compaction":
		st.encrypted(m, at)
	case "item_reference":
		id := st.text(m, at, "id")
		if stored, _ := st.d.item(id); stored != nil {
			delete(st.seen, id)
			st.item(stored, at)
			return
		}
		st.notFound(id)
	case "function_call", "custom_tool_call":
		st.call(m, at, kind)
	case "function_call_output", "custom_tool_call_output":
		st.output(m, at)
	case "tool_search_output", "additional_tools":
		list, _ := m["tools"].([]any)
		st.toolList(st.t, list, at+".tools", "")
		st.answered(m)
	case "tool_search_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call":
		if id, ok := m["call_id"].(string); ok && m["execution"] != "server" {
			st.pending, st.calls[id] = append(st.pending, id), strings.TrimSuffix(kind, "_call")
			st.t.rounds++
		}
	case "local_shell_call_output", "shell_call_output", "apply_patch_call_output", "computer_call_output":
		st.answered(m)
	}
}

// answered takes a call off the list of those that wait.
func (st *inputState) answered(m map[string]any) bool {
	id, _ := m["call_id"].(string)
	i := slices.Index(st.pending, id)
	if i >= 0 {
		st.pending = slices.Delete(st.pending, i, i+1)
	}
	return i >= 0
}

func (st *inputState) notFound(id string) {
	if st.f == nil {
		st.f = &failure{kind: failNotFound, param: "input", code: "none", message: "Item with id '" + id + "' not found. " +
			"Items are not persisted when `store` is set to false. " +
			"Try again with `store` set to true, or remove this item from your input."}
	}
}

// message reads a message of any role.
func (st *inputState) message(m map[string]any, at string) {
	role := st.text(m, at, "role")
	st.oneOf(at+".role", role, "assistant", "system", "developer", "user")
	kinds := "input_text input_image input_file input_audio"
	if role == "assistant" {
		kinds = "output_text refusal"
	}
	if phase, ok := m["phase"].(string); ok {
		st.oneOf(at+".phase", phase, "commentary", "final_answer")
	}
	if m["content"] == nil {
		st.fail(at+".content", "missing_required_parameter", "Missing required parameter: '%s.content'.", at)
	}
	text := st.content(m["content"], at+".content", kinds)
	st.words.WriteString(text)
	t := st.t
	switch role {
	case "system", "developer":
		if st.leading {
			t.system = strings.TrimPrefix(t.system+"\n"+text, "\n")
		} else {
			t.midwords = append(t.midwords, text)
		}
		return
	case "user":
		if visible(text) {
			t.lastUser, t.rounds, t.results = text, 0, nil
		}
	case "assistant":
		t.results = nil
	}
	st.leading = false
}

// content reads a string or a list of parts and returns its text.
func (st *inputState) content(v any, at, kinds string) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var out []string
		for i, one := range v {
			path := index(at, i)
			p, ok := one.(map[string]any)
			if !ok {
				st.wrongType(path, "an object", one)
				return ""
			}
			kind := st.text(p, path, "type")
			st.oneOf(path, kind, strings.Fields(kinds)...)
			if text := st.part(p, path, kind); visible(text) {
				out = append(out, text)
			}
		}
		return strings.Join(out, "\n")
	}
	st.wrongType(at, "one of an array of objects or string", v)
	return ""
}

func (st *inputState) part(p map[string]any, at, kind string) string {
	switch kind {
	case "input_text":
		st.only(p, at, "type text prompt_cache_breakpoint")
		return st.text(p, at, "text")
	case "output_text":
		st.only(p, at, "type text annotations logprobs prompt_cache_breakpoint")
		return st.text(p, at, "text")
	case "refusal":
		st.only(p, at, "type refusal")
		return st.text(p, at, "refusal")
	case "input_image":
		st.image(p, at)
	case "input_file":
		st.file(p, at)
	case "input_audio":
		a := st.object(p, at, "input_audio")
		raw, err := base64.StdEncoding.DecodeString(st.text(a, at+".input_audio", "data"))
		format := st.text(a, at+".input_audio", "format")
		st.oneOf(at+".input_audio.format", format, "wav", "mp3")
		if err != nil {
			st.fail(at+".input_audio.data", "invalid_value", "Invalid '%s.input_audio.data': the data is not valid base64.", at)
		}
		st.t.audio = append(st.t.audio, media{mime: "audio/" + format, size: len(raw)})
	}
	return ""
}

// image reads an image; its address is a string here, not an object.
func (st *inputState) image(p map[string]any, at string) {
	st.only(p, at, "type image_url file_id detail prompt_cache_breakpoint")
	if p["detail"] != nil {
		st.field(at+".detail", p["detail"], rule{kinds: "a string", enum: "low high auto original"})
	}
	if id, ok := p["file_id"].(string); ok && p["image_url"] == nil {
		st.t.images = append(st.t.images, media{name: id})
		return
	}
	if v := p["image_url"]; v != nil {
		if _, ok := v.(string); !ok {
			st.fail(at+".image_url", "invalid_type", "Invalid type for '%s.image_url': expected an image URL, but got %s instead.", at, kindName(v))
			return
		}
	}
	url := st.text(p, at, "image_url")
	if webAddress(url) {
		st.t.images = append(st.t.images, media{name: url})
		return
	}
	mime, data, ok := dataURL(url)
	if !ok {
		st.fail(at+".image_url", "invalid_value", "Invalid '%s.image_url'. Expected a valid URL, but got a value with an invalid format.", at)
		return
	}
	m, ok := sniffImage(data)
	if !ok {
		st.fail(at+".image_url", "invalid_value", "The image data you provided does not represent a valid image. "+
			"Please check your input and try again with one of the "+
			"supported image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp'].")
		return
	}
	if mime != "" && mime != m.mime && mime != "image/jpg" {
		m.name = "(declared " + mime + ")"
	}
	st.t.images = append(st.t.images, m)
}

func (st *inputState) file(p map[string]any, at string) {
	st.only(p, at, "type file_data file_url file_id filename detail prompt_cache_breakpoint")
	name, _ := p["filename"].(string)
	for _, by := range []string{"file_id", "file_url"} {
		if s, ok := p[by].(string); ok {
			st.t.documents = append(st.t.documents, media{name: s})
			return
		}
	}
	mime, data, ok := dataURL(st.text(p, at, "file_data"))
	if !ok {
		st.fail(at+".file_data", "invalid_value", "Invalid '%s.file_data': expected a base64-encoded data URL with an application/pdf MIME type.", at)
		return
	}
	if name == "" {
		st.fail(at+".filename", "missing_required_parameter", "Missing required parameter: '%s.filename'.", at)
	}
	st.t.documents = append(st.t.documents, media{mime: mime, size: len(data), name: name})
}

// reasoning reads a thought: sealed by this service, or stored.
func (st *inputState) reasoning(m map[string]any, at string) {
	list, ok := m["summary"].([]any)
	if !ok {
		if m["summary"] == nil {
			st.fail(at+".summary", "missing_required_parameter", "Missing required parameter: '%s.summary'.", at)
		}
		st.wrongType(at+".summary", "an array", m["summary"])
	}
	for i, v := range list {
		p, _ := v.(map[string]any)
		path := index(at+".summary", i)
		st.oneOf(path, st.text(p, path, "type"), "summary_text")
		st.text(p, path, "text")
	}
	st.t.thoughts++
	id, _ := m["id"].(string)
	if m["encrypted_content"] != nil {
		st.encrypted(m, at)
	} else if stored, _ := st.d.item(id); stored == nil {
		st.notFound(id)
	}
	if st.thought = id; id == "" {
		st.thought = at
	}
}

// encrypted checks what only this service can have written.
func (st *inputState) encrypted(m map[string]any, at string) {
	content := st.text(m, at, "encrypted_content")
	item, ok := decrypt(content)
	why := "Encrypted content could not be decrypted or parsed."
	if id, named := m["id"].(string); ok && named && id != item {
		ok, why = false, "Encrypted content item_id did not match the target item id."
	}
	if !ok && st.f == nil {
		st.f = &failure{kind: failInvalid, code: "invalid_encrypted_content",
			message: "The encrypted content " + ends(content) + " could not be verified. Reason: " + why}
	}
}

// ends shows the two ends of a long text as the vendor's error does.
func ends(s string) string {
	if len(s) <= 8 {
		return s
	}
	return s[:4] + "..." + s[len(s)-4:]
}

func (st *inputState) call(m map[string]any, at, kind string) {
	id := st.text(m, at, "call_id")
	st.longest(at+".call_id", id, 64)
	if id == "" {
		st.fail(at+".call_id", "empty_string",
			"Invalid '%s.call_id': empty string. Expected a string with minimum length 1, but got an empty string instead.", at)
	}
	name := st.text(m, at, "name")
	st.name(at+".name", name)
	if kind == "custom_tool_call" {
		st.text(m, at, "input")
	} else {
		st.text(m, at, "arguments")
	}
	st.pending, st.calls[id] = append(st.pending, id), name
	st.t.results = nil
	st.t.rounds++
}

func (st *inputState) output(m map[string]any, at string) {
	id := st.text(m, at, "call_id")
	st.longest(at+".call_id", id, 64)
	if m["output"] == nil {
		st.fail(at+".output", "missing_required_parameter", "Missing required parameter: '%s.output'.", at)
	}
	if st.f == nil && !st.answered(m) {
		st.fail("input", "", "No tool call found for function call output with call_id %s.", id)
	}
	images := len(st.t.images)
	text := st.content(m["output"], at+".output", "input_text input_image input_file")
	st.t.results = append(st.t.results, result{id: id, name: st.calls[id], text: text, images: len(st.t.images) - images})
}
