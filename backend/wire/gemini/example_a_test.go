package gemini

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// sameJSON fails unless two texts are the same JSON.
func sameJSON(t *testing.T, want, got string) {
	t.Helper()
	if d := cmp.Diff(canonical(t, want), canonical(t, got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func canonical(t *testing.T, s string) string {
	t.Helper()
	v := jsontext.Value(s)
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	if err := v.Indent(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func i64(n int64) *int64     { return &n }
func f64(n float64) *float64 { return &n }

// claudeTurn is the second turn of Claude Code on a Gemini 3 model, as Anthropic's codec reads it.
func claudeTurn() *canon.Request {
	cache := &canon.Cache{}
	text := func(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }
	call := func(id, command string) canon.Part {
		return canon.Part{Type: canon.PartToolCall, CallID: id, Name: "Bash", Args: jsontext.Value(`{"command":"` + command + `"}`)}
	}
	return &canon.Request{
		Format: "anthropic", Op: "messages", ModelAsked: "[Gemini CLI] gemini-3.1-pro", Model: "gemini-3.1-pro", Stream: true,
		MaxTokens: i64(32000), Reasoning: canon.Reasoning{Mode: canon.ReasonAuto, Effort: "high", Source: "effort"},
		Sampling: canon.Sampling{Temperature: f64(1)},
		System:   []canon.Part{text("x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"), {Type: canon.PartText, Text: "Be brief.", Cache: cache}},
		Messages: []canon.Message{
			{Role: canon.RoleUser, Parts: []canon.Part{text("List.")}},
			{Role: canon.RoleSystem, Parts: []canon.Part{text("Date: today.")}},
			{Role: canon.RoleAssistant, Parts: []canon.Part{
				{Type: canon.PartReasoning, Text: "plan", Opaque: wire.ReadOpaque("pb1.gemini.call.Q3B3Qg", wire.OpaqueThink)},
				text("ok"), call("fc_1", "ls"), call("fc_2", "pwd"),
			}},
			{Role: canon.RoleUser, Parts: []canon.Part{
				{Type: canon.PartToolResult, CallID: "fc_2", Result: []canon.Part{text("/p")}},
				{Type: canon.PartToolResult, CallID: "fc_1", Result: []canon.Part{{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte{0x89, 'P', 'N'}}}}},
				text("go on"),
			}},
		},
		Tools: []canon.Tool{{Kind: canon.ToolFunction, Name: "Bash", Description: "run", Schema: jsontext.Value(
			`{"$schema":"x","type":"object","properties":{"command":{"type":"string"},"n":{"type":"integer","exclusiveMinimum":0}},"required":["command"],"additionalProperties":false}`)}},
	}
}

const claudeTurnOut = `{"systemInstruction":{"parts":[{"text":"Be brief."}]},
 "contents":[{"role":"user","parts":[{"text":"List."},{"text":"<system-reminder>\nDate: today.\n</system-reminder>"}]},
  {"role":"model","parts":[{"text":"ok"},{"functionCall":{"id":"fc_1","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"CpwB"},{"functionCall":{"id":"fc_2","name":"Bash","args":{"command":"pwd"}}}]},
  {"role":"user","parts":[{"functionResponse":{"id":"fc_1","name":"Bash","response":{"output":"(image attached)"}}},{"inlineData":{"mimeType":"image/png","data":"iVBO"}},{"functionResponse":{"id":"fc_2","name":"Bash","response":{"output":"/p"}}},{"text":"go on"}]}],
 "tools":[{"functionDeclarations":[{"name":"Bash","description":"run","parameters":{"type":"OBJECT","description":"no extra properties","properties":{"command":{"type":"STRING"},"n":{"type":"INTEGER","minimum":1}},"required":["command"]}}]}],
 "generationConfig":{"maxOutputTokens":32000,"temperature":1,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}}`

func TestClaudeHistoryGoesToStrictGemini3(t *testing.T) {
	x, err := NewExchange(claudeTurn(), Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, claudeTurnOut, string(x.Body))
	if d := cmp.Diff([]string{"cache_control"}, fields(x.Dropped)); d != "" {
		t.Error(d)
	}
	if !x.Stream {
		t.Error("the client wants a stream")
	}
}

func fields(ws []canon.Warning) []string {
	var out []string
	for _, w := range ws {
		out = append(out, w.Field)
	}
	return out
}

// answerB is what Gemini 3 answers then.
const answerB = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"I look","thought":true}]}}]}` + "\n\n" +
	`data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"g7","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"CqX1"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":10,"thoughtsTokenCount":5,"totalTokenCount":115}}` + "\n\n"

func TestGeminiAnswerBecomesEvents(t *testing.T) {
	x, err := NewExchange(claudeTurn(), Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	got := dump(x.ReadStream(strings.NewReader(answerB)))
	want := `start
part_start 0 reasoning
delta 0 text "I look"
usage in=100 cached=60 out=15 reason=5
part_end 0 reasoning "I look"
part_start 1 tool_call g7 Bash [gemini call CqX1]
delta 1 args "{\"command\":\"ls\"}"
part_end 1 tool_call g7 Bash {"command":"ls"} [gemini call CqX1]
usage in=100 cached=60 out=15 reason=5
finish tools STOP
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
