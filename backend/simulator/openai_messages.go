package simulator

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// read checks a chat request as the service does and takes out what the
// answer depends on.
func (d *openAI) read(o map[string]any) (*turn, *failure) {
	c := &openAICheck{}
	c.fields(o, d.strict)
	c.relations(o, d.strict)
	if c.f != nil {
		return nil, c.f
	}
	t := &turn{stream: o["stream"] == true, logprobs: o["logprobs"] == true, n: int(number(o["n"], 1))}
	t.model, _ = o["model"].(string)
	if !d.knows(t.model) || strings.HasPrefix(t.model, "text-embedding") || strings.HasPrefix(t.model, "gpt-image") {
		return nil, &failure{kind: failNotFound, model: t.model}
	}
	if d.strict {
		c.model(o)
	}
	if so, ok := o["stream_options"].(map[string]any); ok {
		t.usage = so["include_usage"] == true
	}
	t.stops = texts(o["stop"])
	t.split, t.flow = o["reasoning_split"] == true, o["tool_stream"] == true
	effort, _ := o["reasoning_effort"].(string)
	if d.local && effort != "" {
		c.oneOf("reasoning_effort", effort, "high", "medium", "low", "none")
	}
	t.thinking = effort != "" && effort != "none"
	t.hidden = d.strict
	c.tools(t, o, d.strict)
	c.format(t, o, d.strict)
	c.messages(t, o, d.strict)
	if c.f == nil {
		c.f = d.quirks.check(o)
	}
	return t, c.f
}

// texts reads a string or a list of strings.
func texts(v any) []string {
	switch s := v.(type) {
	case string:
		return []string{s}
	case []any:
		var out []string
		for _, one := range s {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// chatState is where the reader of messages stands.
type chatState struct {
	*openAICheck
	t       *turn
	strict  bool
	pending []string          // ids of calls that wait for their results
	caller  int               // index of the message that made them
	names   map[string]string // call id -> tool name
	leading bool              // only system messages so far
}

func (c *openAICheck) messages(t *turn, o map[string]any, strict bool) {
	list, _ := o["messages"].([]any)
	if len(list) == 0 {
		c.fail("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	st := &chatState{openAICheck: c, t: t, strict: strict, names: map[string]string{}, leading: true}
	t.messages = len(list)
	var words strings.Builder
	for i, v := range list {
		path := index("messages", i)
		m, ok := v.(map[string]any)
		if !ok {
			c.wrongType(path, "an object", v)
			return
		}
		words.WriteString(fmt.Sprint(m["content"]))
		st.message(m, path, i)
	}
	st.settle()
	if t.jsonMode && !strings.Contains(strings.ToLower(words.String()), "json") {
		c.fail("messages", "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	}
}

// settle complains about calls that got no result.
func (st *chatState) settle() {
	if len(st.pending) > 0 {
		st.fail(fmt.Sprintf("messages.[%d].role", st.caller+1), "",
			"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "+
				"The following tool_call_ids did not have response messages: %s", strings.Join(st.pending, ", "))
	}
	st.pending = nil
}

func (st *chatState) message(m map[string]any, path string, i int) {
	role := st.text(m, path, "role")
	st.oneOf(path+".role", role, "system", "assistant", "user", "function", "tool", "developer")
	if role != "tool" {
		st.settle()
	}
	t := st.t
	switch role {
	case "system", "developer":
		text := st.content(m, path, "text")
		if st.leading {
			t.system = strings.TrimPrefix(t.system+"\n"+text, "\n")
		} else {
			t.midwords = append(t.midwords, text)
		}
		return
	case "user":
		if text := st.content(m, path, "text image_url input_audio file"); visible(text) {
			// A message with pictures alone belongs to the results before it.
			t.lastUser, t.rounds, t.results = text, 0, nil
		}
	case "assistant":
		st.assistant(m, path, i)
		t.results = nil
	case "tool":
		st.tool(m, path, i)
	case "function":
		name, _ := m["name"].(string)
		t.results = append(t.results, result{name: name, text: st.content(m, path, "text")})
		t.rounds++
	}
	st.leading = false
}

// visible says whether a user's text is more than the reminders that client
// programs put around it.
func visible(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && !(strings.HasPrefix(text, "<system-reminder>") && strings.HasSuffix(text, "</system-reminder>"))
}

func (st *chatState) assistant(m map[string]any, path string, i int) {
	calls, _ := m["tool_calls"].([]any)
	if m["content"] != nil {
		st.content(m, path, "text refusal")
	} else if len(calls) == 0 && m["function_call"] == nil && m["refusal"] == nil && m["audio"] == nil {
		st.wrongType(path+".content", "a string", nil)
	}
	if m["tool_calls"] != nil && len(calls) == 0 {
		st.fail(path+".tool_calls", "empty_array",
			"Invalid '%s.tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead.", path)
	}
	for _, name := range []string{"reasoning_content", "reasoning", "reasoning_details"} {
		if m[name] == nil {
			continue
		}
		st.t.thoughts++
		if st.strict {
			st.fail(path+"."+name, "unknown_parameter", "Unknown parameter: '%s.%s'.", path, name)
		}
		break
	}
	st.caller = i
	for k, v := range calls {
		at := index(path+".tool_calls", k)
		call, ok := v.(map[string]any)
		if !ok {
			st.wrongType(at, "an object", v)
			return
		}
		st.call(call, at)
	}
	if len(calls) > 0 {
		st.t.rounds++
	}
}

// call checks one call of the history.
func (st *chatState) call(call map[string]any, at string) {
	id := st.text(call, at, "id")
	st.longest(at+".id", id, 64)
	kind := st.text(call, at, "type")
	st.oneOf(at+".type", kind, "function", "custom")
	f := st.object(call, at, kind)
	if f == nil {
		return
	}
	name := st.text(f, at+"."+kind, "name")
	st.name(at+"."+kind+".name", name)
	if kind == "custom" {
		st.text(f, at+".custom", "input")
	} else {
		st.text(f, at+".function", "arguments")
	}
	if slices.Contains(st.pending, id) {
		st.fail(at+".id", "invalid_value", "Invalid value for '%s.id': the id '%s' is used more than once.", at, id)
	}
	st.pending, st.names[id] = append(st.pending, id), name
}

func (st *chatState) tool(m map[string]any, path string, i int) {
	id := st.text(m, path, "tool_call_id")
	at := slices.Index(st.pending, id)
	if st.f == nil && at < 0 {
		st.fail(fmt.Sprintf("messages.[%d].role", i), "",
			"Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
	}
	if at >= 0 {
		st.pending = slices.Delete(st.pending, at, at+1)
	}
	if m["content"] == nil {
		st.fail(path+".content", "missing_required_parameter", "Missing required parameter: '%s.content'.", path)
	}
	kinds := "text"
	if !st.strict {
		kinds = "text image_url"
	}
	images := len(st.t.images)
	text := st.content(m, path, kinds)
	st.t.results = append(st.t.results, result{id: id, name: st.names[id], text: text, images: len(st.t.images) - images})
}

// content reads a message's content and returns its text. Kinds lists the
// part types the role may have.
func (st *chatState) content(m map[string]any, path, kinds string) string {
	path += ".content"
	switch v := m["content"].(type) {
	case string:
		return v
	case []any:
		if len(v) == 0 && st.strict {
			st.fail(path, "empty_array", "Invalid '%s': empty array. Expected an array with minimum length 1, but got an empty array instead.", path)
		}
		var out []string
		for i, one := range v {
			at := index(path, i)
			p, ok := one.(map[string]any)
			if !ok {
				st.wrongType(at, "an object", one)
				return ""
			}
			kind := st.text(p, at, "type")
			st.oneOf(at+".type", kind, strings.Fields(kinds)...)
			if text := st.part(p, at, kind); visible(text) {
				out = append(out, text)
			}
		}
		return strings.Join(out, "\n")
	case nil:
		if _, there := m["content"]; !there {
			st.fail(path, "missing_required_parameter", "Missing required parameter: '%s'.", path)
			return ""
		}
	}
	st.wrongType(path, "one of a string or array of objects", m["content"])
	return ""
}

// part reads one content part and returns its text.
func (st *chatState) part(p map[string]any, at, kind string) string {
	switch kind {
	case "text":
		return st.text(p, at, "text")
	case "refusal":
		return st.text(p, at, "refusal")
	case "image_url":
		st.image(p, at)
	case "input_audio":
		a := st.object(p, at, "input_audio")
		data := st.text(a, at+".input_audio", "data")
		format := st.text(a, at+".input_audio", "format")
		st.oneOf(at+".input_audio.format", format, "wav", "mp3")
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			st.fail(at+".input_audio.data", "invalid_value", "Invalid '%s.input_audio.data': the data is not valid base64.", at)
		}
		st.t.audio = append(st.t.audio, media{mime: "audio/" + format, size: len(raw)})
	case "file":
		st.file(p, at)
	}
	return ""
}

func (st *chatState) image(p map[string]any, at string) {
	if s, bare := p["image_url"].(string); bare && !st.strict {
		p = map[string]any{"image_url": map[string]any{"url": s}}
	}
	o := st.object(p, at, "image_url")
	if o == nil {
		return
	}
	if detail, ok := o["detail"].(string); ok {
		st.oneOf(at+".image_url.detail", detail, "auto", "low", "high", "original")
	}
	url := st.text(o, at+".image_url", "url")
	if webAddress(url) {
		st.t.images = append(st.t.images, media{name: url})
		return
	}
	mime, data, ok := dataURL(url)
	if !ok {
		st.fail(at+".image_url.url", "invalid_value", "Invalid '%s.image_url.url'. Expected a valid URL, but got a value with an invalid format.", at)
		return
	}
	m, ok := sniffImage(data)
	if !ok {
		st.fail("messages", "invalid_image_format",
			"You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].")
		return
	}
	if mime != "" && mime != m.mime && mime != "image/jpg" {
		m.name = "(declared " + mime + ")"
	}
	st.t.images = append(st.t.images, m)
}

func (st *chatState) file(p map[string]any, at string) {
	f := st.object(p, at, "file")
	name, _ := f["filename"].(string)
	if id, ok := f["file_id"].(string); ok {
		st.t.documents = append(st.t.documents, media{name: id})
		return
	}
	mime, data, ok := dataURL(st.text(f, at+".file", "file_data"))
	if !ok {
		st.fail(at+".file.file_data", "invalid_value",
			"Invalid '%s.file.file_data': expected a base64-encoded data URL with an application/pdf MIME type.", at)
		return
	}
	if name == "" && st.strict {
		st.fail(at+".file.filename", "missing_required_parameter", "Missing required parameter: '%s.file.filename'.", at)
	}
	st.t.documents = append(st.t.documents, media{mime: mime, size: len(data), name: name})
}

// sortedKeys lists the names of an object in a fixed order.
func sortedKeys(o map[string]any) []string { return slices.Sorted(maps.Keys(o)) }
