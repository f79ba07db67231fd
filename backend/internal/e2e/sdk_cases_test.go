package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/simulator"
)

// cases are the rows of the matrix.
var cases = []struct {
	name string
	run  func(*cell)
}{
	{"text", func(c *cell) { c.echo(false) }},
	{"stream", func(c *cell) { c.echo(true) }},
	{"multi-byte stream", multiByte},
	{"system prompt", system},
	{"multi-turn", multiTurn},
	{"tools, whole", func(c *cell) { c.tools(false) }},
	{"tools, streamed", func(c *cell) { c.tools(true) }},
	{"parallel tools", parallelTools},
	{"tool without arguments", noArgs},
	{"tool result with image", resultImage},
	{"tool result with error", resultError},
	{"tool_choice required", func(c *cell) { c.choice("required") }},
	{"tool_choice named", func(c *cell) { c.choice("get_weather") }},
	{"tool_choice none", choiceNone},
	{"one tool at a time", oneTool},
	{"image, base64", func(c *cell) { c.image("data:image/png;base64," + png) }},
	{"image, URL", func(c *cell) { c.image(c.pictures + "/red.png") }},
	{"PDF", document},
	{"reasoning, two turns with a signature", func(c *cell) { c.reasoning(false) }},
	{"reasoning, two turns, streamed", func(c *cell) { c.reasoning(true) }},
	{"structured output", structured},
	{"stop", stop},
	{"max tokens", maxTokens},
	{"sampling parameters", sampling},
	{"usage with cached and reasoning tokens", usage},
	{"model list", models},
	{"token count", count},
	{"unknown fields in the same protocol", unknownFields},
	{"error before the stream: the request's fault", func(c *cell) { c.before("context_too_long", 400, "") }},
	{"error before the stream: rate limit", func(c *cell) { c.before("rate_limit:retry_after=7", 429, "7") }},
	{"error before the stream: overload", func(c *cell) { c.before("overload", 503, "") }},
	{"error before the stream: refused key", func(c *cell) { c.before("unauthorized", 503, "") }},
	{"error in the middle", inTheMiddle},
	{"cut stream", cutStream},
	{"client leaves", leaves},
}

func (c *cell) echo(stream bool) {
	a, got := c.ask(ask{Messages: said("Say the word plover."), Stream: stream})
	c.good(a)
	if !strings.Contains(a.Text, "plover") || a.In <= 0 || a.Out <= 0 {
		c.Errorf("%+v", a)
	}
	if stream && a.Pieces < 2 {
		c.Errorf("the answer came in %d pieces", a.Pieces)
	}
	c.finished(a, finishes.stop)
	if a.Model != c.up.plain {
		c.Errorf("the answer names the model %q", a.Model)
	}
	if c.up.format == "kiro" {
		state, _ := json.Marshal(got["conversationState"]) // it was JSON
		got = map[string]any{"model": ""}
		if strings.Contains(string(state), `"modelId":"`+c.up.plain+`"`) {
			got["model"] = c.up.plain
		}
	}
	if got["model"] != c.up.plain && !strings.Contains(c.bay.Last(c, c.up.sim()).Path, c.up.plain) {
		c.Errorf("the upstream was asked for %v at %s", got["model"], c.bay.Last(c, c.up.sim()).Path)
	}
}

// finishes are the words of the client protocols for why an answer ended; "ai" is the AI SDK, which has its own.
var finishes = struct{ stop, tools, length map[string]string }{
	stop:   map[string]string{"openai": "stop", "anthropic": "end_turn", "responses": "completed", "gemini": "STOP", "ollama": "stop", "ai": "stop"},
	tools:  map[string]string{"openai": "tool_calls", "anthropic": "tool_use", "responses": "completed", "gemini": "STOP", "ollama": "stop", "ai": "tool-calls"},
	length: map[string]string{"openai": "length", "anthropic": "max_tokens", "responses": "max_output_tokens", "gemini": "MAX_TOKENS", "ollama": "length", "ai": "length"},
}

func (c *cell) finished(a answer, words map[string]string) {
	c.Helper()
	format := c.lib.format()
	if isAI(c.lib) {
		format = "ai"
	}
	if a.Finish != words[format] {
		c.Errorf("finish %q, want %q", a.Finish, words[format])
	}
}

func multiByte(c *cell) {
	a, _ := c.ask(ask{Messages: said("[[multi_byte]] hello"), Stream: true})
	whole, _ := c.ask(ask{Messages: said("[[multi_byte]] hello")})
	if c.good(a).Text != c.good(whole).Text || !strings.ContainsFunc(a.Text, func(r rune) bool { return r > 0xffff }) || strings.ContainsRune(a.Text, '\ufffd') {
		c.Errorf("%q, whole %q", a.Text, whole.Text)
	}
}

func system(c *cell) {
	a, got := c.ask(ask{System: "You are a heron.", Messages: said("Who are you?")})
	c.good(a)
	body, _ := json.Marshal(got) // it was JSON
	if !strings.Contains(string(body), "You are a heron.") {
		c.Errorf("%s", body)
	}
	var place any
	switch c.up.format {
	case "anthropic":
		place = got["system"]
	case "gemini":
		place = got["systemInstruction"]
	case "kiro":
		place = got["conversationState"] // it has no place of its own there
	default:
		if place = got["instructions"]; place == nil {
			first := turnsOf(c.up.format, got)[0]
			if first["role"] != "system" && first["role"] != "developer" {
				c.Errorf("the first message is %v", first)
			}
			place = first
		}
	}
	if place == nil {
		c.Errorf("no system: %s", body)
	}
}

// turnsOf are the messages in a request as an upstream got it.
func turnsOf(format string, got map[string]any) []map[string]any {
	list, _ := got[map[string]string{"responses": "input", "gemini": "contents"}[format]].([]any)
	if list == nil {
		list, _ = got["messages"].([]any)
	}
	var out []map[string]any
	for _, m := range list {
		out = append(out, m.(map[string]any))
	}
	return out
}

func multiTurn(c *cell) {
	_, got := c.ask(ask{Messages: said("one", "two", "three")})
	if c.up.format == "kiro" {
		state, _ := got["conversationState"].(map[string]any)
		if history, _ := state["history"].([]any); len(history) != 2 {
			c.Errorf("%v", got)
		}
		return
	}
	var roles []string
	for _, m := range turnsOf(c.up.format, got) {
		roles = append(roles, strings.Replace(fmt.Sprint(m["role"]), "model", "assistant", 1))
	}
	if !slices.Equal(roles, []string{"user", "assistant", "user"}) {
		c.Errorf("%v", roles)
	}
}

// called checks that an answer is a call of the weather tool.
func (c *cell) called(a answer) toolCall {
	c.Helper()
	c.good(a)
	if len(a.Calls) == 0 {
		c.Fatalf("no call in %+v", a)
	}
	c.finished(a, finishes.tools)
	if a.Calls[0].ID == "" && !c.idless() || a.Calls[0].Name != lookTool.Name || !json.Valid(a.Calls[0].Args) {
		c.Errorf("%+v", a.Calls[0])
	}
	return a.Calls[0]
}

// idless reports whether calls have no ids: Gemini's own service sends none, and its answers are copied.
func (c *cell) idless() bool { return c.lib.format() == "gemini" && c.up.format == "gemini" }

func (c *cell) tools(stream bool) {
	q := ask{Messages: said("[[tool_call]] What is the weather?"), Tools: []toolDef{lookTool}, Stream: stream}
	first, got := c.ask(q)
	k := c.called(first)
	if body, _ := json.Marshal(got); strings.Count(string(body), `"name":"get_weather"`) != 1 { // it was JSON
		c.Errorf("the upstream got %s", body)
	}
	q.Messages = append(q.Messages, turn{Role: "assistant", Raw: first.Raw}, turn{Role: "user", Results: []toolResult{{ID: k.ID, Name: k.Name, Text: "hail from the south"}}})
	second, _ := c.ask(q)
	if !strings.Contains(c.good(second).Text, "hail from the south") {
		c.Errorf("%q", second.Text)
	}
}

func parallelTools(c *cell) {
	for _, stream := range []bool{false, true} {
		q := ask{Messages: said("[[parallel_tools]] What is the weather?"), Tools: []toolDef{lookTool}, Stream: stream}
		first, _ := c.ask(q)
		c.called(first)
		if len(first.Calls) != 2 || first.Calls[0].ID == first.Calls[1].ID && !c.idless() || string(first.Calls[0].Args) == string(first.Calls[1].Args) {
			c.Fatalf("%+v", first.Calls)
		}
		var results []toolResult
		for i, k := range slices.Backward(first.Calls) { // in the other order
			results = append(results, toolResult{ID: k.ID, Name: k.Name, Text: fmt.Sprint("result ", i)})
		}
		if c.idless() {
			slices.Reverse(results) // only their order tells them apart
		}
		q.Messages = append(q.Messages, turn{Role: "assistant", Raw: first.Raw}, turn{Role: "user", Results: results})
		second, _ := c.ask(q)
		if text := c.good(second).Text; !strings.Contains(text, "result 0") && !strings.Contains(text, "result 1") {
			c.Errorf("%q", text)
		}
	}
}

func noArgs(c *cell) {
	for _, stream := range []bool{false, true} {
		a, _ := c.ask(ask{Messages: said("[[no_args_tool]] go"), Tools: []toolDef{{"now", "Tells the time", `{"type":"object","properties":{}}`}}, Stream: stream})
		if len(c.good(a).Calls) != 1 || strings.TrimSpace(string(a.Calls[0].Args)) != "{}" {
			c.Errorf("%+v", a.Calls)
		}
	}
}

// answered runs a tool call and sends a result back; it returns the upstream's view of it.
func (c *cell) answered(r toolResult) (answer, string) {
	q := ask{Messages: said("[[tool_call]] What is the weather?"), Tools: []toolDef{lookTool}}
	first, _ := c.ask(q)
	k := c.called(first)
	r.ID, r.Name = k.ID, k.Name
	q.Messages = append(q.Messages, turn{Role: "assistant", Raw: first.Raw}, turn{Role: "user", Results: []toolResult{r}})
	second, got := c.ask(q)
	c.good(second)
	body, _ := json.Marshal(got) // it was JSON
	return second, string(body)
}

func resultImage(c *cell) {
	_, body := c.answered(toolResult{Text: "a picture", Image: "data:image/png;base64," + png})
	if !strings.Contains(body, png) {
		c.Errorf("the image did not arrive: %s", body)
	}
}

func resultError(c *cell) {
	_, body := c.answered(toolResult{Text: "no such city", Failed: true})
	marked := strings.Contains(body, `"is_error":true`) || strings.Contains(body, `"status":"error"`) || strings.Contains(body, "Error: no such city") || strings.Contains(body, `"error":"no such city"`) || strings.Contains(body, `"error":"Error: no such city"`)
	if !strings.Contains(body, "no such city") || !marked && !isAI(c.lib) {
		c.Errorf("%s", body)
	}
}

func (c *cell) choice(choice string) {
	if c.lib.format() == "ollama" {
		c.na = "Ollama's protocol has no tool choice"
		return
	}
	a, got := c.ask(ask{Messages: said("Hello there."), Tools: []toolDef{lookTool}, Choice: choice})
	if c.up.format == "kiro" || c.up.id == "qwen-code" {
		c.na = "Kiro has no tool choice, and Qwen Code's service takes none"
		return
	}
	if c.up.format == "ollama" {
		first, _ := json.Marshal(turnsOf("ollama", got)[0]) // it was JSON
		if !strings.Contains(string(first), `"system"`) || choice != "required" && !strings.Contains(string(first), choice) {
			c.Errorf("nothing asks for a call: %s", first)
		}
		if !isAI(c.lib) { // which refuses an answer without the call
			c.good(a)
		}
		c.na = "Ollama has no tool choice: a sentence asks for the call"
		return
	}
	c.called(a)
	body, _ := json.Marshal(inner(got, "tool_choice", "toolConfig.functionCallingConfig")) // it was JSON
	want := map[string]string{"openai": `"required"`, "responses": `"required"`, "anthropic": `"any"`, "gemini": `"ANY"`}[c.up.format]
	if choice != "required" {
		want = `"` + choice + `"`
	}
	if !strings.Contains(string(body), want) {
		c.Errorf("tool_choice %s", body)
	}
}

func choiceNone(c *cell) {
	if c.lib.format() == "ollama" {
		c.na = "Ollama's protocol has no tool choice"
		return
	}
	a, _ := c.ask(ask{Messages: said("What is the weather?"), Tools: []toolDef{lookTool}, Choice: "none"})
	if len(c.good(a).Calls) != 0 || a.Text == "" {
		c.Errorf("%+v", a)
	}
}

func oneTool(c *cell) {
	if f := c.lib.format(); f == "gemini" || f == "ollama" {
		c.na = "the client's protocol cannot ask for it"
		return
	}
	a, got := c.ask(ask{Messages: said("[[tool_call]] What is the weather?"), Tools: []toolDef{lookTool}, NoParallel: true})
	c.called(a)
	if f := c.up.format; f == "gemini" || f == "ollama" || f == "kiro" {
		c.na = "the service has no word for it; the header X-Patchbay-Dropped tells"
		return
	}
	body, _ := json.Marshal(got) // it was JSON
	if !strings.Contains(string(body), `"parallel_tool_calls":false`) && !strings.Contains(string(body), `"disable_parallel_tool_use":true`) {
		if isAI(c.lib) && c.lib.format() == "anthropic" {
			c.na = "the AI SDK sends disable_parallel_tool_use only beside a tool_choice"
			return
		}
		c.Errorf("%s", body)
	}
}

func (c *cell) image(url string) {
	if f := c.lib.format(); isAI(c.lib) && (f == "openai" || f == "gemini") && !strings.HasPrefix(url, "data:") {
		c.na = "the AI SDK fetches images itself for this protocol; none is to be had here"
		return
	}
	if c.lib.format() == "ollama" && !strings.HasPrefix(url, "data:") {
		c.na = "Ollama's protocol has no addresses"
		return
	}
	if c.idless() && !strings.HasPrefix(url, "data:") {
		c.na = "Gemini takes the addresses of its own files only, and the client's bytes go through as they are"
		return
	}
	a, got := c.ask(ask{Messages: []turn{{Role: "user", Text: "What is this?", Image: url}}})
	c.good(a)
	body, _ := json.Marshal(got) // it was JSON
	if !strings.Contains(string(body), strings.TrimPrefix(url, "data:image/png;base64,")) && !strings.Contains(string(body), png) {
		c.Errorf("the image did not arrive: %s", body)
	}
}

func document(c *cell) {
	if c.lib.format() == "ollama" {
		c.na = "Ollama's protocol has no documents"
		return
	}
	if f := c.up.format; f == "ollama" || f == "kiro" {
		a, _ := c.ask(ask{Messages: []turn{{Role: "user", Text: "Sum this up.", PDF: pdf}}})
		c.impossible(a, "Ollama and the old models of Kiro have no documents", "document")
		return
	}
	a, got := c.ask(ask{Messages: []turn{{Role: "user", Text: "Sum this up.", PDF: pdf}}})
	if c.up.vendor() && c.lib.format() != "openai" {
		c.impossible(a, "a compatible service has no agreed place for documents", "document")
		return
	}
	if c.up.vendor() && a.Err != nil {
		c.impossible(a, "a compatible service has no agreed place for documents", "document")
		return
	}
	c.good(a)
	body, _ := json.Marshal(got) // it was JSON
	if !strings.Contains(string(body), pdf) {
		c.Errorf("the document did not arrive: %s", body)
	}
}

// reasoning asks a model that thinks, has it call a tool, and sends everything back: the simulated service checks the
// signatures of its own thoughts.
func (c *cell) reasoning(stream bool) {
	q := ask{Model: c.up.thinking, Messages: said("[[reasoning_tool]] What is the weather?"), Tools: []toolDef{lookTool}, Stream: stream, Max: 8000, Effort: "medium", Think: 2048}
	if f := c.lib.format(); f == "anthropic" || f == "gemini" {
		q.Effort = ""
	} else {
		q.Think = 0
	}
	first, got := c.ask(q)
	k := c.called(first)
	if c.up.showsThinking && first.Reasoning == "" {
		c.Errorf("no reasoning in %+v", first)
	}
	body, _ := json.Marshal(got) // it was JSON
	asked := map[string]string{"openai": "reasoning_effort", "anthropic": `"thinking"`, "responses": `"reasoning":{`, "gemini": "thinkingConfig", "ollama": `"think":`}[c.up.format]
	if c.up.id == "qwen-code" || c.up.id == "iflow" { // words of their own
		asked = map[string]string{"qwen-code": `"enable_thinking":true`, "iflow": `"thinking_mode":true`}[c.up.id]
	}
	if !strings.Contains(string(body), asked) && c.up.id != "compat" {
		c.Errorf("the upstream was not asked to think: %s", body)
	}
	q.Messages = append(q.Messages, turn{Role: "assistant", Raw: first.Raw}, turn{Role: "user", Results: []toolResult{{ID: k.ID, Name: k.Name, Text: "hail"}}})
	second, got := c.ask(q)
	if !strings.Contains(c.good(second).Text, "hail") {
		c.Errorf("%q", second.Text)
	}
	if stream && c.lib.format() == "gemini" && c.up.id == "antigravity" {
		c.na = "a Gemini client sends the pieces of Claude's thought back as parts of their own: the turn goes on without it"
		return
	}
	kept := map[string]string{"anthropic": `"signature"`, "responses": `"encrypted_content"`, "gemini": `"thoughtSignature"`}[c.up.format]
	if body, _ = json.Marshal(got); !strings.Contains(string(body), kept) || strings.Contains(string(body), "skip_thought_signature_validator") {
		c.Errorf("the thought did not come back: %s", body)
	}
}

func structured(c *cell) {
	if c.lib.name() == "ai anthropic" && c.up.format == "ollama" {
		c.na = "the AI SDK asks by a forced tool, with a model that it does not know; Ollama has no tool choice"
		return
	}
	schema := `{"type":"object","properties":{"bird":{"type":"string"},"count":{"type":"integer"}},"required":["bird","count"],"additionalProperties":false}`
	for _, stream := range []bool{false, true} {
		text := "Name a bird."
		if c.up.format == "kiro" { // it has no field for the form: a sentence asks the model for it
			text = `[[text:text={"bird":"heron"%2C"count":2}]] ` + text
		}
		a, got := c.ask(ask{Messages: said(text), Schema: schema, Stream: stream})
		if body, _ := json.Marshal(got); c.up.format == "kiro" && !strings.Contains(string(body), "It must be valid under this JSON schema") { // it was JSON
			c.Errorf("nothing asks for the form: %s", body)
		}
		var v struct {
			Bird  *string
			Count *int
		}
		if err := json.Unmarshal([]byte(c.good(a).Text), &v); err != nil || v.Bird == nil || v.Count == nil || len(a.Calls) > 0 {
			c.Errorf("%q, %d calls, %v", a.Text, len(a.Calls), err)
		}
	}
}

func stop(c *cell) {
	if c.lib.format() == "responses" {
		c.na = "Responses has no stop strings"
		return
	}
	a, _ := c.ask(ask{Messages: said("[[text:text=before%20HALT%20after]] go"), Stop: []string{"HALT"}})
	if text := c.good(a).Text; !strings.Contains(text, "before") || strings.Contains(text, "after") {
		c.Errorf("%q", text)
	}
}

func maxTokens(c *cell) {
	a, got := c.ask(ask{Messages: said("[[length]] go on"), Max: 1234})
	c.good(a)
	c.finished(a, finishes.length)
	if c.up.bare != "" {
		c.na = c.up.bare
		return
	}
	if inner(got, "max_tokens", "max_completion_tokens", "max_output_tokens", "generationConfig.maxOutputTokens", "options.num_predict") != 1234.0 {
		c.Errorf("%v", got)
	}
}

// inner is the first of some members that an object has; a dot leads into an inner object.
func inner(o map[string]any, paths ...string) any {
	for _, path := range paths {
		at := o
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			at, _ = at[name].(map[string]any)
		}
		if v, ok := at[names[len(names)-1]]; ok {
			return v
		}
	}
	return nil
}

func sampling(c *cell) {
	zero, half, seven := 0.0, 0.5, 7
	q := ask{Messages: said("hello"), Temperature: &zero}
	if c.lib.format() != "anthropic" {
		q.TopP = &half
		if c.up.format == "anthropic" {
			q.TopP = nil // Claude takes one of the two
		}
		if c.lib.format() != "responses" {
			q.Seed = &seven
		}
	}
	a, got := c.ask(q)
	c.good(a)
	if c.up.bare != "" {
		c.na = c.up.bare
		return
	}
	if v := inner(got, "temperature", "generationConfig.temperature", "options.temperature"); v != 0.0 {
		c.Errorf("temperature %v", v)
	}
	seed := inner(got, "seed", "generationConfig.seed", "options.seed")
	hasSeed := c.up.format != "anthropic" && c.up.format != "responses"
	if q.TopP != nil && inner(got, "top_p", "generationConfig.topP", "options.top_p") != 0.5 || q.Seed != nil && hasSeed && seed != 7.0 && !(isAI(c.lib) && c.lib.format() == "responses") {
		c.Errorf("%v", got)
	}
	if !hasSeed && seed != nil {
		c.Errorf("a field that the service does not have: %v", got)
	}
}

func usage(c *cell) {
	if c.up.format == "kiro" {
		c.na = "Kiro tells credits and a share of the context, no tokens: they are estimated"
		return
	}
	for _, stream := range []bool{false, true} {
		a, _ := c.ask(ask{Messages: said("[[usage:in=1000,cached=600,out=50,reasoning=20]] hello"), Stream: stream})
		cached := 600
		if c.lib.format() == "ollama" || c.up.format == "ollama" {
			cached = 0 // the protocol has no word for it
		}
		if c.good(a); a.In != 1000 || a.Out != 50 || a.Cached != cached {
			c.Errorf("stream %v: in %d, cached %d, out %d", stream, a.In, a.Cached, a.Out)
		}
		if c.lib.format() == "ollama" || c.up.format == "ollama" {
			continue
		}
		if a.Thought != 20 && !isAI(c.lib) && !(c.up.id == "anthropic" && a.Thought == 0) && !(stream && c.lib.name() == "go openai") {
			c.Errorf("stream %v: reasoning %d", stream, a.Thought)
		}
	}
}

func models(c *cell) {
	ids, err := c.lib.models(c.Context(), c.base(), c.bay.Key)
	if err != nil {
		c.Fatal(err)
	}
	if ids == nil && isAI(c.lib) {
		c.na = "the AI SDK lists no models"
		return
	}
	if c.lib.format() == "ollama" { // [Label] id
		for i, id := range ids {
			label, rest, ok := strings.Cut(id, "] ")
			if !ok || !strings.HasPrefix(label, "[") {
				c.Errorf("%q has no label", id)
			}
			ids[i] = rest
		}
	}
	if len(ids) < 2 || !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, c.up.plain) }) {
		c.Errorf("%v", ids)
	}
	if sorted := slices.Clone(ids); len(slices.Compact(slices.Sorted(slices.Values(sorted)))) != len(ids) {
		c.Errorf("an id is listed twice: %v", ids)
	}
}

func count(c *cell) {
	n, err := c.lib.count(c.Context(), c.base(), c.bay.Key, ask{Model: c.up.plain, Messages: said(strings.Repeat("many words ", 100))})
	if err != nil {
		c.Fatal(err)
	}
	if n == -1 {
		c.na = "the protocol or the library has no token count"
		return
	}
	if n < 100 || n > 1000 {
		c.Errorf("%d tokens", n)
	}
}

func unknownFields(c *cell) {
	if c.lib.format() != c.up.format || isAI(c.lib) || c.up.id == "codex" || c.up.id == "antigravity" { // these refuse what their own programs do not send
		c.na = "only where both ends speak the same protocol, in a library that lets unknown fields through"
		return
	}
	name := map[string]string{"openai": "prompt_cache_retention", "anthropic": "inference_geo", "responses": "prompt_cache_retention", "gemini": "safetySettings", "ollama": "keep_alive"}[c.up.format]
	var value any = map[string]string{"openai": "24h", "anthropic": "us", "responses": "24h", "ollama": "5m"}[c.up.format]
	if c.up.format == "gemini" {
		value = []any{map[string]any{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}}
	}
	a, got := c.ask(ask{Messages: said("hello"), Extra: map[string]any{name: value}})
	c.good(a)
	if fmt.Sprint(got[name]) != fmt.Sprint(value) {
		c.Errorf("%v", got)
	}
}

// before makes the upstream fail before anything was sent; the library must see the status in its own error type.
func (c *cell) before(scenario simulator.Scenario, status int, retry string) {
	for _, stream := range []bool{false, true} {
		a, _ := c.ask(ask{Messages: said("[[" + string(scenario) + "]] hello"), Stream: stream})
		c.restore()
		want := status
		if want == 503 && c.lib.format() == "anthropic" {
			want = 529
		}
		switch {
		case a.Err == nil:
			c.Errorf("stream %v: no error but %+v", stream, a)
		case a.Err.Status != want || a.Err.Type == "" && !isAI(c.lib) && c.lib.format() != "ollama" || a.Err.Message == "":
			c.Errorf("stream %v: %s", stream, a.Err)
		case retry != "" && a.Err.Retry != retry && c.lib.format() != "ollama" && c.up.id != "iflow": // that library hides the headers; iFlow rests as its own code says
			c.Errorf("stream %v: Retry-After %q", stream, a.Err.Retry)
		}
	}
}

// restore takes back what failures did to the accounts.
func (c *cell) restore() {
	c.Helper()
	list, err := c.bay.Backend.Accounts(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	for _, a := range list {
		if _, err := c.bay.Backend.ClearAccount(c.Context(), a.ID, ""); err != nil {
			c.Fatal(err)
		}
	}
}

func inTheMiddle(c *cell) {
	a, _ := c.ask(ask{Messages: said("[[overload_in_200:after=2]] hello"), Stream: true})
	c.restore()
	if a.Err == nil {
		c.Fatalf("no error but %+v", a)
	}
	if a.Err.Message == "" || strings.Contains(a.Err.Message, "JSON") {
		c.Errorf("%s", a.Err)
	}
}

func cutStream(c *cell) {
	a, _ := c.ask(ask{Messages: said("[[cut:after=2]] hello"), Stream: true})
	c.restore()
	if a.Err == nil {
		c.Errorf("a cut stream looks whole: %+v", a)
	}
}

func leaves(c *cell) {
	a, _ := c.ask(ask{Messages: said("[[slow:delay=20ms,chunks=500]] hello"), Stream: true, Leave: true})
	if c.good(a).Pieces != 1 {
		c.Errorf("%+v", a)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		if r := c.bay.Last(c, c.up.sim()); r.Disconnected {
			break
		}
		if time.Now().After(deadline) {
			c.Fatal("the upstream was not told that the client had gone")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if list, err := c.bay.Backend.Accounts(c.Context()); err != nil || slices.ContainsFunc(list, func(a api.AccountView) bool { return a.State != "ready" }) {
		c.Errorf("an account was blamed: %+v, %v", list, err)
	}
}
