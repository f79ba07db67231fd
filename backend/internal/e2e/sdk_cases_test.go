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
	{"image, URL", func(c *cell) { c.image("https://images.example/red.png") }},
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
	if want := map[string]string{"openai": "stop", "anthropic": "end_turn"}[c.lib.format()]; a.Finish != want && !(isAI(c.lib) && a.Finish == "stop") {
		c.Errorf("finish %q", a.Finish)
	}
	if a.Model != c.up.plain {
		c.Errorf("the answer names the model %q", a.Model)
	}
	if got["model"] != c.up.plain {
		c.Errorf("the upstream was asked for %v", got["model"])
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
	if c.up.format == "anthropic" && got["system"] == nil {
		c.Errorf("no system: %s", body)
	}
	if c.up.format == "openai" {
		if first := got["messages"].([]any)[0].(map[string]any); first["role"] != "system" && first["role"] != "developer" {
			c.Errorf("the first message is %v", first)
		}
	}
}

func multiTurn(c *cell) {
	_, got := c.ask(ask{Messages: said("one", "two", "three")})
	var roles []string
	for _, m := range got["messages"].([]any) {
		roles = append(roles, m.(map[string]any)["role"].(string))
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
	if want := map[string]string{"openai": "tool_calls", "anthropic": "tool_use"}[c.lib.format()]; a.Finish != want && !(isAI(c.lib) && a.Finish == "tool-calls") {
		c.Errorf("finish %q", a.Finish)
	}
	if a.Calls[0].ID == "" || a.Calls[0].Name != lookTool.Name || !json.Valid(a.Calls[0].Args) {
		c.Errorf("%+v", a.Calls[0])
	}
	return a.Calls[0]
}

func (c *cell) tools(stream bool) {
	q := ask{Messages: said("[[tool_call]] What is the weather?"), Tools: []toolDef{lookTool}, Stream: stream}
	first, got := c.ask(q)
	k := c.called(first)
	if n := len(got["tools"].([]any)); n != 1 {
		c.Errorf("the upstream got %d tools", n)
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
		if len(first.Calls) != 2 || first.Calls[0].ID == first.Calls[1].ID || string(first.Calls[0].Args) == string(first.Calls[1].Args) {
			c.Fatalf("%+v", first.Calls)
		}
		var results []toolResult
		for i, k := range slices.Backward(first.Calls) { // in the other order
			results = append(results, toolResult{ID: k.ID, Name: k.Name, Text: fmt.Sprint("result ", i)})
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
	if !strings.Contains(body, "no such city") || !strings.Contains(body, `"is_error":true`) && !strings.Contains(body, "Error: no such city") && !isAI(c.lib) {
		c.Errorf("%s", body)
	}
}

func (c *cell) choice(choice string) {
	a, got := c.ask(ask{Messages: said("Hello there."), Tools: []toolDef{lookTool}, Choice: choice})
	c.called(a)
	body, _ := json.Marshal(got["tool_choice"]) // it was JSON
	want := map[string]string{"openai required": `"required"`, "anthropic required": `"any"`, "openai get_weather": `"get_weather"`, "anthropic get_weather": `"get_weather"`}[c.up.format+" "+choice]
	if !strings.Contains(string(body), want) {
		c.Errorf("tool_choice %s", body)
	}
}

func choiceNone(c *cell) {
	a, _ := c.ask(ask{Messages: said("What is the weather?"), Tools: []toolDef{lookTool}, Choice: "none"})
	if len(c.good(a).Calls) != 0 || a.Text == "" {
		c.Errorf("%+v", a)
	}
}

func oneTool(c *cell) {
	a, got := c.ask(ask{Messages: said("[[tool_call]] What is the weather?"), Tools: []toolDef{lookTool}, NoParallel: true})
	c.called(a)
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
	if isAI(c.lib) && c.lib.format() == "openai" && !strings.HasPrefix(url, "data:") {
		c.na = "the AI SDK fetches images itself for this protocol; none is to be had here"
		return
	}
	a, got := c.ask(ask{Messages: []turn{{Role: "user", Text: "What is this?", Image: url}}})
	c.good(a)
	body, _ := json.Marshal(got) // it was JSON
	want := strings.TrimPrefix(url, "data:image/png;base64,")
	if !strings.Contains(string(body), want) {
		c.Errorf("the image did not arrive: %s", body)
	}
}

func document(c *cell) {
	a, got := c.ask(ask{Messages: []turn{{Role: "user", Text: "Sum this up.", PDF: pdf}}})
	if c.up.id == "compat" && c.lib.format() != "openai" {
		c.impossible(a, "a compatible service has no agreed place for documents", "document")
		return
	}
	if c.up.id == "compat" && a.Err != nil {
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
	if c.lib.format() == "openai" {
		q.Think = 0
	} else {
		q.Effort = ""
	}
	first, got := c.ask(q)
	k := c.called(first)
	if c.up.showsThinking && first.Reasoning == "" {
		c.Errorf("no reasoning in %+v", first)
	}
	body, _ := json.Marshal(got) // it was JSON
	if !strings.Contains(string(body), "reasoning_effort") && !strings.Contains(string(body), `"thinking"`) && c.up.id != "compat" {
		c.Errorf("the upstream was not asked to think: %s", body)
	}
	q.Messages = append(q.Messages, turn{Role: "assistant", Raw: first.Raw}, turn{Role: "user", Results: []toolResult{{ID: k.ID, Name: k.Name, Text: "hail"}}})
	second, got := c.ask(q)
	if !strings.Contains(c.good(second).Text, "hail") {
		c.Errorf("%q", second.Text)
	}
	if body, _ = json.Marshal(got); c.up.id == "anthropic" && !strings.Contains(string(body), `"signature"`) {
		c.Errorf("the thought did not come back: %s", body)
	}
}

func structured(c *cell) {
	schema := `{"type":"object","properties":{"bird":{"type":"string"},"count":{"type":"integer"}},"required":["bird","count"],"additionalProperties":false}`
	for _, stream := range []bool{false, true} {
		a, _ := c.ask(ask{Messages: said("Name a bird."), Schema: schema, Stream: stream})
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
	a, _ := c.ask(ask{Messages: said("[[text:text=before%20HALT%20after]] go"), Stop: []string{"HALT"}})
	if text := c.good(a).Text; !strings.Contains(text, "before") || strings.Contains(text, "after") {
		c.Errorf("%q", text)
	}
}

func maxTokens(c *cell) {
	a, got := c.ask(ask{Messages: said("[[length]] go on"), Max: 1234})
	c.good(a)
	if want := map[string]string{"openai": "length", "anthropic": "max_tokens"}[c.lib.format()]; a.Finish != want && !(isAI(c.lib) && a.Finish == "length") {
		c.Errorf("finish %q", a.Finish)
	}
	if got["max_tokens"] != 1234.0 && got["max_completion_tokens"] != 1234.0 {
		c.Errorf("%v", got)
	}
}

func sampling(c *cell) {
	zero, half, seven := 0.0, 0.5, 7
	q := ask{Messages: said("hello"), Temperature: &zero}
	if c.lib.format() == "openai" {
		q.TopP, q.Seed = &half, &seven
		if c.up.format == "anthropic" {
			q.TopP = nil // Claude takes one of the two
		}
	}
	a, got := c.ask(q)
	c.good(a)
	if got["temperature"] != 0.0 {
		c.Errorf("temperature %v", got["temperature"])
	}
	if q.TopP != nil && got["top_p"] != 0.5 || q.Seed != nil && c.up.format == "openai" && got["seed"] != 7.0 {
		c.Errorf("%v", got)
	}
	if c.up.format == "anthropic" && got["seed"] != nil {
		c.Errorf("a field that the service does not have: %v", got)
	}
}

func usage(c *cell) {
	for _, stream := range []bool{false, true} {
		a, _ := c.ask(ask{Messages: said("[[usage:in=1000,cached=600,out=50,reasoning=20]] hello"), Stream: stream})
		if c.good(a); a.In != 1000 || a.Out != 50 || a.Cached != 600 {
			c.Errorf("stream %v: in %d, cached %d, out %d", stream, a.In, a.Cached, a.Out)
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
	if c.lib.format() != c.up.format || isAI(c.lib) {
		c.na = "only where both ends speak the same protocol, in a library that lets unknown fields through"
		return
	}
	name := map[string]string{"openai": "prompt_cache_retention", "anthropic": "inference_geo"}[c.up.format]
	value := map[string]string{"openai": "24h", "anthropic": "us"}[c.up.format]
	a, got := c.ask(ask{Messages: said("hello"), Extra: map[string]any{name: value}})
	c.good(a)
	if got[name] != value {
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
		case a.Err.Status != want || a.Err.Type == "" && !isAI(c.lib) || a.Err.Message == "":
			c.Errorf("stream %v: %s", stream, a.Err)
		case retry != "" && a.Err.Retry != retry:
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
		if _, err := c.bay.Backend.ClearAccount(c.Context(), a.ID); err != nil {
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
