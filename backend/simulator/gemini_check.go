package simulator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// geminiCheck collects the first thing that is wrong with the meaning of a
// request, in Google's words; names and kinds were checked before.
type geminiCheck struct {
	f     *failure
	t     *turn
	model geminiModel

	loop int // Code Assist: where the loop of calls that is going on begins
}

func (c *geminiCheck) fail(format string, args ...any) {
	if c.f == nil {
		c.f = invalid(fmt.Sprintf(format, args...))
	}
}

// star complains about a field in the service's list form.
func (c *geminiCheck) star(format string, args ...any) {
	c.fail("* GenerateContentRequest."+format+"\n", args...)
}

// read checks a request as the service does and takes out what the answer
// needs.
func (d *gemini) read(o map[string]any, name string) (*turn, *failure) {
	m, ok := d.find(name)
	if !ok || m.embeds {
		return nil, &failure{kind: failNotFound, model: name}
	}
	c := &geminiCheck{t: &turn{model: name, n: 1, parallel: true, hidden: true, third: m.third}, model: m}
	if id, ok := o["cachedContent"].(string); ok {
		c.f = &failure{kind: failForbidden, message: "CachedContent not found (or permission denied): " + id}
	}
	c.tools(o)
	c.generation(object(o["generationConfig"]))
	c.contents(o)
	return c.t, c.f
}

// geminiName is the pattern of function names (Google's API documentation).
var geminiName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$`)

func (c *geminiCheck) tools(o map[string]any) {
	hosted := false
	seen := map[string]bool{}
	for i, v := range list(o["tools"]) {
		m := object(v)
		for _, name := range sortedKeys(m) {
			hosted = hosted || (name != "functionDeclarations" && name != "mcpServers")
		}
		for k, v := range list(m["functionDeclarations"]) {
			at := fmt.Sprintf("tools[%d].function_declarations[%d]", i, k)
			c.function(object(v), at)
			name, _ := object(v)["name"].(string)
			if seen[name] {
				c.fail("Duplicate function declaration found: %s", name)
			}
			seen[name] = true
		}
	}
	if hosted && len(c.t.tools) > 0 && !c.model.third && !c.model.open {
		c.fail("Tool use with function calling is unsupported")
	}
	c.choice(object(object(o["toolConfig"])["functionCallingConfig"]), seen)
}

func (c *geminiCheck) function(m map[string]any, at string) {
	name, _ := m["name"].(string)
	if !geminiName.MatchString(name) {
		c.star("%s.name: [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), "+
			"underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.", at)
	}
	tl := tool{name: name}
	tl.description, _ = m["description"].(string)
	if m["parameters"] != nil && m["parametersJsonSchema"] != nil {
		c.star("%s: parameters and parameters_json_schema must not both be set", at)
	}
	if s := object(m["parameters"]); s != nil {
		tl.schema = s
		if s["type"] != "OBJECT" {
			c.star("%s.parameters.type: must be OBJECT", at)
		}
		c.schema(s, at+".parameters")
	}
	if v := m["parametersJsonSchema"]; v != nil {
		tl.schema = object(v)
		if kind := tl.schema["type"]; kind != "object" {
			c.star("%s.parameters_json_schema: the schema must be of type object", at)
		}
	}
	c.t.tools = append(c.t.tools, tl)
}

func (c *geminiCheck) choice(m map[string]any, known map[string]bool) {
	mode, _ := m["mode"].(string)
	allowed := texts(m["allowedFunctionNames"])
	if m != nil && mode != "NONE" && len(c.t.tools) == 0 {
		c.fail("Function calling config is set without function_declarations.")
	}
	if len(allowed) > 0 && mode != "ANY" && mode != "VALIDATED" {
		c.star("tool_config.function_calling_config.allowed_function_names: should only be set when mode is ANY or VALIDATED")
	}
	for _, name := range allowed {
		if !known[name] {
			c.star("tool_config.function_calling_config.allowed_function_names: %s is not a declared function", name)
		}
	}
	switch mode {
	case "ANY":
		c.t.choice = "required"
		if len(allowed) == 1 {
			c.t.choice = allowed[0]
		}
	case "NONE":
		c.t.choice = "none"
	}
}

// between checks that a number, if it is there, is in its range.
func (c *geminiCheck) between(m map[string]any, name string, low, high float64) {
	if v := m[name]; v != nil {
		if n := number(v, 0); n < low || n > high {
			c.star("generation_config.%s: must be in the range [%v, %v]", snakeCase(name), low, high)
		}
	}
}

func (c *geminiCheck) generation(g map[string]any) {
	c.between(g, "temperature", 0, 2)
	c.between(g, "topP", 0, 1)
	c.between(g, "topK", 1, 1000)
	c.between(g, "maxOutputTokens", 1, geminiOutput)
	c.between(g, "candidateCount", 1, 8)
	c.between(g, "presencePenalty", -2, 1.99)
	c.between(g, "frequencyPenalty", -2, 1.99)
	c.between(g, "logprobs", 0, 20)
	if g["logprobs"] != nil && g["responseLogprobs"] != true {
		c.star("generation_config.logprobs: only allowed when response_logprobs is true")
	}
	c.t.stops = texts(g["stopSequences"])
	if len(c.t.stops) > 5 {
		c.star("generation_config.stop_sequences: must have at most 5 items")
	}
	for i, s := range c.t.stops {
		if s == "" {
			c.star("generation_config.stop_sequences[%d]: cannot be empty", i)
		}
	}
	c.t.n = int(number(g["candidateCount"], 1))
	c.format(g)
	if thinking := object(g["thinkingConfig"]); thinking != nil {
		c.thinking(thinking)
	}
	for _, v := range list(g["responseModalities"]) {
		if !slices.Contains([]any{"TEXT", "IMAGE", "AUDIO"}, v) {
			c.fail("Invalid value at 'generation_config.response_modalities' (%sGenerationConfig.Modality), %s", geminiPackage, encode(v))
		}
	}
}

// format reads the wish for structured output.
func (c *geminiCheck) format(g map[string]any) {
	mime, _ := g["responseMimeType"].(string)
	if mime != "" && mime != "text/plain" && mime != "application/json" && mime != "text/x.enum" {
		c.star("generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, " +
			"`application/xml`, `application/yaml` and `text/x.enum`.")
	}
	schema := object(g["responseSchema"])
	if schema != nil {
		c.schema(schema, "generation_config.response_schema")
	}
	if v := object(g["responseJsonSchema"]); v != nil {
		if schema != nil {
			c.star("generation_config: response_schema and response_json_schema must not both be set")
		}
		schema = v
	}
	if schema != nil && mime != "application/json" && mime != "text/x.enum" {
		c.star("generation_config.response_schema: only allowed when response_mime_type is application/json")
	}
	if mime == "application/json" && len(c.t.tools) > 0 && !c.model.third && !c.model.open {
		c.fail("Function calling with a response mime type: 'application/json' is unsupported")
	}
	c.t.schema, c.t.schemaOK, c.t.jsonMode = schema, schema != nil, mime == "application/json"
}

func (c *geminiCheck) thinking(m map[string]any) {
	level, _ := m["thinkingLevel"].(string)
	if level == "THINKING_LEVEL_UNSPECIFIED" {
		level = ""
	}
	budget := m["thinkingBudget"]
	n := int(number(budget, -1))
	if budget != nil && level != "" {
		c.fail("You can only set only one of thinking budget and thinking level.")
	}
	if level != "" && !c.model.open && !slices.Contains(c.model.levels, level) {
		if !c.model.third {
			c.fail("Thinking level is not supported for this model.")
		}
		c.fail("Thinking level %s is not supported for this model. Please retry with other thinking level.", level)
	}
	if budget != nil && n != -1 && !c.model.open {
		switch {
		case n == 0 && !c.model.off:
			c.fail("Budget 0 is invalid. This model only works in thinking mode.")
		case n != 0 && (n < c.model.low || n > c.model.high):
			c.fail("The thinking budget %d is invalid. Please choose a value between %d and %d.", n, c.model.low, c.model.high)
		}
	}
	if m["includeThoughts"] == true {
		if budget != nil && n == 0 {
			c.fail("Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled.")
		}
		c.t.thinking, c.t.hidden = true, false
	}
}

// geminiTurn is one content while the rules of calls are looked at.
type geminiTurn struct {
	user      bool
	calls     []map[string]any
	results   []map[string]any
	text      bool
	signature bool // the first call has one
}

func (c *geminiCheck) contents(o map[string]any) {
	contents := list(o["contents"])
	if len(contents) == 0 {
		c.star("contents: contents is not specified")
	}
	system := object(o["systemInstruction"])
	for i, v := range list(system["parts"]) {
		p := object(v)
		text, ok := p["text"].(string)
		if !ok {
			c.star("system_instruction.parts[%d]: only text is supported", i)
		}
		c.t.system = strings.TrimPrefix(c.t.system+"\n"+text, "\n")
	}
	c.t.messages = len(contents)
	turns := []geminiTurn{}
	names := map[string]string{}
	for i, v := range contents {
		turns = append(turns, c.content(object(v), i, names))
	}
	c.order(turns)
	c.signatures(turns)
	if len(turns) > 0 && !turns[len(turns)-1].user {
		c.fail("Please ensure that multiturn requests end with a user turn.")
	}
}

// order checks how turns of calls and turns of results follow one another.
func (c *geminiCheck) order(turns []geminiTurn) {
	for i, t := range turns {
		var before, after geminiTurn
		if i > 0 {
			before = turns[i-1]
		}
		if i+1 < len(turns) {
			after = turns[i+1]
		}
		if len(t.calls) > 0 {
			if i == 0 || !before.user {
				c.fail("Please ensure that function call turn comes immediately after a user turn or after a function response turn.")
			}
			if len(after.results) != len(t.calls) {
				c.fail("Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
			}
		}
		if len(t.results) == 0 {
			continue
		}
		if len(before.calls) == 0 {
			c.fail("Please ensure that function response turn comes immediately after a function call turn.")
		}
		for k, r := range t.results {
			if k < len(before.calls) {
				c.pair(before.calls[k], r, fmt.Sprintf("contents[%d]", i))
			}
		}
	}
}

// pair checks that a result stands in the place of its call.
func (c *geminiCheck) pair(call, response map[string]any, at string) {
	if call["name"] != response["name"] {
		c.fail("Please ensure that the function responses in %s come in the order of the function calls: expected `%v`, got `%v`.",
			at, call["name"], response["name"])
	}
	if call["id"] != nil && response["id"] != nil && call["id"] != response["id"] {
		c.fail("Please ensure that the function responses in %s have the ids of their function calls: expected `%v`, got `%v`.",
			at, call["id"], response["id"])
	}
}

// signatures demands, of 3.x models, that the first call of each step of the
// current turn has its signature. The current turn begins with the last words
// of the user.
func (c *geminiCheck) signatures(turns []geminiTurn) {
	if !c.model.third {
		return
	}
	begin := 0
	for i, t := range turns {
		if t.user && t.text && len(t.results) == 0 {
			begin = i
		}
	}
	for i, t := range turns[min(begin, len(turns)):] {
		if len(t.calls) > 0 && !t.signature {
			c.fail("Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing "+
				"thought_signature may lead to degraded model performance. Additional data, function call `default_api:%v` , position %d. "+
				"Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.", t.calls[0]["name"], begin+i+1)
		}
	}
}

// content reads one content and notes what the answer depends on.
func (c *geminiCheck) content(m map[string]any, i int, names map[string]string) geminiTurn {
	role, _ := m["role"].(string)
	if !slices.Contains([]string{"", "user", "model", "function"}, role) {
		c.fail("Please use a valid role: user, model.")
	}
	out := geminiTurn{user: role != "model"}
	parts := list(m["parts"])
	if len(parts) == 0 {
		c.star("contents[%d].parts: contents.parts must not be empty.", i)
	}
	var words []string
	var results []result
	for k, v := range parts {
		p := object(v)
		at := fmt.Sprintf("contents[%d].parts[%d]", i, k)
		c.oneOf(p, at)
		signed := c.signature(p, at)
		switch {
		case p["functionCall"] != nil:
			call := object(p["functionCall"])
			if len(out.calls) == 0 {
				out.signature = signed
			}
			out.calls = append(out.calls, call)
			c.named(call, at+".function_call")
			id, _ := call["id"].(string)
			names[id], _ = call["name"].(string)
		case p["functionResponse"] != nil:
			r := object(p["functionResponse"])
			out.results = append(out.results, r)
			results = append(results, c.response(r, at+".function_response"))
		case p["inlineData"] != nil, p["fileData"] != nil:
			c.media(p, at, results)
		default:
			text, _ := p["text"].(string)
			if visible(text) && p["thought"] != true {
				out.text = true
				words = append(words, text)
			}
		}
	}
	c.note(out.user, strings.Join(words, "\n"), results)
	return out
}

func (c *geminiCheck) named(m map[string]any, at string) {
	if name, _ := m["name"].(string); name == "" {
		c.star("%s.name: Name cannot be empty.", at)
	}
}

// note remembers what was said and what tools gave.
func (c *geminiCheck) note(user bool, said string, results []result) {
	t := c.t
	if !user {
		t.results = nil
		return
	}
	t.results = results
	if len(results) > 0 {
		t.rounds++
	}
	if said != "" {
		if t.lastUser = said; len(results) == 0 {
			t.rounds = 0
		}
	}
}

// partKinds are the members of a part of which exactly one is there.
var partKinds = []string{"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
	"codeExecutionResult", "toolCall", "toolResponse"}

func (c *geminiCheck) oneOf(p map[string]any, at string) {
	found := ""
	for _, name := range partKinds {
		if p[name] == nil {
			continue
		}
		if found != "" {
			c.fail("Invalid value at '%s' (oneof), oneof field 'data' is already set. Cannot set '%s'", at, name)
		}
		found = name
	}
	if found == "" && p["thoughtSignature"] == nil {
		c.star("%s.data: required oneof field 'data' must have one initialized field", at)
	}
}

// signature checks the signature of a part and says whether there is one.
func (c *geminiCheck) signature(p map[string]any, at string) bool {
	s, ok := p["thoughtSignature"].(string)
	if p["thought"] == true || ok {
		c.t.thoughts++
	}
	if !ok || s == "" {
		return false
	}
	if c.model.claude {
		return true // see claudeTurn
	}
	if !ownSignature(s) && c.f == nil {
		c.f = &failure{kind: failSignature}
	}
	if slices.Contains(skipSignature, s) && p["functionCall"] == nil {
		c.fail("Invalid value at '%s.thought_signature': the validator is skipped for function calls only.", at)
	}
	return true
}

// response reads what a tool gave.
func (c *geminiCheck) response(m map[string]any, at string) result {
	c.named(m, at)
	r := result{}
	r.id, _ = m["id"].(string)
	r.name, _ = m["name"].(string)
	body := object(m["response"])
	if m["response"] == nil {
		c.star("%s.response: response is required", at)
	}
	r.failed = body["error"] != nil
	for _, name := range []string{"error", "output", "result", "content"} {
		if s, ok := body[name].(string); ok {
			r.text = s
			break
		}
	}
	if r.text == "" && len(body) > 0 {
		r.text = string(encode(body))
	}
	parts := list(m["parts"])
	if len(parts) > 0 && !c.model.third && !c.model.open {
		c.fail("Multimodal function responses are not supported for this model.")
	}
	for i, v := range parts {
		c.media(object(v), index(at+".parts", i), nil)
		r.images++
	}
	return r
}

// geminiHosts are where the service reads files from by itself.
var geminiHosts = []string{"generativelanguage.googleapis.com/v1beta/files/", "www.youtube.com/", "youtu.be/"}

// media reads an image, a document or a clip; one behind a result belongs to
// it.
func (c *geminiCheck) media(p map[string]any, at string, results []result) {
	m := media{}
	if f := object(p["fileData"]); f != nil {
		m.name, _ = f["fileUri"].(string)
		m.mime, _ = f["mimeType"].(string)
		host := strings.TrimPrefix(m.name, "https://")
		if !slices.ContainsFunc(geminiHosts, func(s string) bool { return strings.HasPrefix(host, s) }) {
			c.fail("Invalid or unsupported file uri: %s", m.name)
		}
	} else {
		blob := object(p["inlineData"])
		m.mime, _ = blob["mimeType"].(string)
		text, _ := blob["data"].(string)
		data, _ := anyBase64(text) // its form was checked before
		m = c.bytes(m.mime, data)
	}
	t := c.t
	switch kind, _, _ := strings.Cut(m.mime, "/"); {
	case len(results) > 0:
		results[len(results)-1].images++
		t.images = append(t.images, m)
	case kind == "image":
		t.images = append(t.images, m)
	case kind == "audio":
		t.audio = append(t.audio, m)
	default:
		t.documents = append(t.documents, m)
	}
}

// geminiMimes are the kinds of media that the service takes (Google's API
// documentation); text, audio and video in any form.
var geminiMimes = []string{"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf"}

func (c *geminiCheck) bytes(mime string, data []byte) media {
	kind, _, _ := strings.Cut(mime, "/")
	switch {
	case mime == "":
		c.fail("Unsupported MIME type: ")
	case !slices.Contains(geminiMimes, mime) && kind != "text" && kind != "audio" && kind != "video":
		c.fail("Unsupported MIME type: %s", mime)
	case mime == "application/pdf" && !strings.HasPrefix(string(data), "%PDF"):
		c.fail("The document has no pages.")
	case kind == "image" && !strings.HasPrefix(mime, "image/he"):
		m, ok := sniffImage(data)
		if !ok {
			c.fail("Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting")
		}
		if ok && m.mime != mime {
			m.name = "(declared " + mime + ")"
		}
		return m
	}
	return media{mime: mime, size: len(data)}
}
