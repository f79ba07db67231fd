package pairs

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/canon"
)

// middle is a request with system text in the middle; Gemini has no such thing.
var middle = map[string]string{
	"openai":    `{"model":"m","messages":[{"role":"system","content":"Lead."},{"role":"user","content":"one"},{"role":"system","content":"Middle."},{"role":"user","content":"two"}]}`,
	"responses": `{"model":"m","instructions":"Lead.","input":[{"role":"user","content":"one"},{"role":"developer","content":"Middle."},{"role":"user","content":"two"}]}`,
	"anthropic": `{"model":"m","max_tokens":9,"system":"Lead.","messages":[{"role":"user","content":"one"},{"role":"system","content":"Middle."},{"role":"user","content":"two"}]}`,
	"ollama":    `{"model":"m","stream":false,"messages":[{"role":"system","content":"Lead."},{"role":"user","content":"one"},{"role":"system","content":"Middle."},{"role":"user","content":"two"}]}`,
}

func TestSystemTextInTheMiddleOfEveryPair(t *testing.T) {
	for i := range formats {
		client := &formats[i]
		body, ok := middle[client.name]
		if !ok {
			continue
		}
		for j := range formats {
			up := &formats[j]
			got := client.sends(t, up, body).body
			one, mid, two := strings.Index(got, "one"), strings.Index(got, "Middle."), strings.Index(got, `"two"`)
			if !strings.Contains(got, "Lead.") || one < 0 || mid < one || two < mid {
				if up.name != "gemini" || !(one >= 0 && one < mid && mid < strings.Index(got, "two")) {
					t.Errorf("%s to %s: out of order: %s", client.name, up.name, got)
				}
			}
			reminder := strings.Contains(got, `<system-reminder>\nMiddle.\n</system-reminder>`)
			if want := up.name == "anthropic" || up.name == "gemini"; reminder != want {
				t.Errorf("%s to %s: a reminder is %t: %s", client.name, up.name, reminder, got)
			}
		}
	}
	// The one that has them by nature.
	got := formats[2].sendsFor(t, &formats[2], "claude-opus-4-8", `{"model":"claude-opus-4-8","max_tokens":9,"messages":[{"role":"user","content":"one"},{"role":"system","content":"Middle."}]}`).body
	if !strings.Contains(got, `{"role":"system","content":"Middle."}`) {
		t.Errorf("Claude's own: %s", got)
	}
}

// toolOf is a tool in each format's words.
func (f *format) toolOf(name, schema string) string {
	return map[string]string{
		"openai":    `,"tools":[{"type":"function","function":{"name":"` + name + `","description":"d","parameters":` + schema + `}}]`,
		"responses": `,"tools":[{"type":"function","name":"` + name + `","description":"d","parameters":` + schema + `}]`,
		"anthropic": `,"tools":[{"name":"` + name + `","description":"d","input_schema":` + schema + `}]`,
		"gemini":    `,"tools":[{"functionDeclarations":[{"name":"` + name + `","description":"d","parametersJsonSchema":` + schema + `}]}]`,
		"ollama":    `,"tools":[{"type":"function","function":{"name":"` + name + `","description":"d","parameters":` + schema + `}}]`,
	}[f.name]
}

// Names are shortened by one rule, and come back whole: services take 64 letters, Gemini and Ollama more.
func TestLongToolNamesOfEveryPair(t *testing.T) {
	long := "mcp__" + strings.Repeat("a", 65)
	short := "mcp__" + strings.Repeat("a", 50) + "_61a97588"
	for i := range formats {
		client := &formats[i]
		for j := range formats {
			up := &formats[j]
			if client.name == up.name {
				continue // its own bytes pass
			}
			req := client.asks(t, up.model, client.simple(client.toolOf(long, `{"type":"object","properties":{}}`)))
			c, err := up.writes(req)
			if err != nil {
				t.Fatal(err)
			}
			sent := short
			if strings.Contains(c.body, `"`+long+`"`) && up.name == "ollama" {
				sent = long // it takes any name
			}
			if !strings.Contains(c.body, `"`+sent+`"`) {
				t.Errorf("%s to %s: %s", client.name, up.name, c.body)
			}
			answer := up.says(t, &canon.Response{ID: "id1", Created: 1790000000, Finish: canon.Finish{Reason: canon.FinishTools},
				Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "call_1", Name: sent, Args: jsontext.Value(`{}`)}}})
			resp, err := canon.Collect(c.read("application/json", strings.NewReader(answer)))
			if err != nil || len(resp.Parts) == 0 || resp.Parts[len(resp.Parts)-1].Name != long {
				t.Errorf("%s from %s: %v %+v", client.name, up.name, err, resp)
			}
		}
	}
}

const trickySchema = `{"$schema":"s","type":"object","properties":{"title":{"type":"string"},"format":{"type":"string","enum":["v"]},"default":{"type":"integer"},"$ref":{"type":"string"},"required":{"type":"boolean"},"properties":{"$ref":"#/$defs/d"},"either":{"anyOf":[{"type":"string"},{"type":"integer"}]}},"required":["title","gone"],"$defs":{"d":{"type":"object","properties":{"type":{"type":"string"}}}}}`

func TestSchemasOfEveryPair(t *testing.T) {
	for i := range formats {
		client := &formats[i]
		for j := range formats {
			up := &formats[j]
			if client.name == up.name {
				continue // its own bytes pass
			}
			got := client.sends(t, up, client.simple(client.toolOf("odd", trickySchema))).body
			at := strings.Index(got, `"properties":{`)
			for _, name := range []string{"title", "format", "default", "$ref", "required", "properties", "either"} {
				if at < 0 || !strings.Contains(got[at:], `"`+name+`":{`) {
					t.Errorf("%s to %s: the property %s is gone: %s", client.name, up.name, name, got)
				}
			}
			if !strings.Contains(got, `"anyOf":[`) || strings.Contains(got, `"gone"`) {
				t.Errorf("%s to %s: %s", client.name, up.name, got)
			}
			if keeps := up.name == "anthropic" || up.name == "ollama"; !keeps && strings.Contains(got, `"$schema"`) {
				t.Errorf("%s to %s: $schema is left: %s", client.name, up.name, got)
			}
			if up.name == "gemini" && strings.Contains(got, `"#/$defs/d"`) {
				t.Errorf("%s to %s: a reference is left: %s", client.name, up.name, got)
			}
		}
	}
}

// effortMember asks for thinking by a word, budgetMember by tokens; nothing where the format cannot.
func (f *format) effortMember(effort string) string {
	return map[string]string{
		"openai":    `,"reasoning_effort":"` + effort + `"`,
		"responses": `,"reasoning":{"effort":"` + effort + `"}`,
		"anthropic": `,"thinking":{"type":"adaptive"},"output_config":{"effort":"` + effort + `"}`,
		"gemini":    `,"generationConfig":{"thinkingConfig":{"thinkingLevel":"` + strings.ToUpper(effort) + `"}}`,
		"ollama":    `,"think":"` + effort + `"`,
	}[f.name]
}

func (f *format) budgetMember(tokens string) string {
	return map[string]string{
		"openai":    `,"thinking":{"type":"enabled","budget_tokens":` + tokens + `}`,
		"anthropic": `,"thinking":{"type":"enabled","budget_tokens":` + tokens + `}`,
		"gemini":    `,"generationConfig":{"thinkingConfig":{"thinkingBudget":` + tokens + `}}`,
	}[f.name]
}

func TestThinkingOfEveryPair(t *testing.T) {
	budgets := map[string]string{"low": "1024", "medium": "8192", "high": "24576"}
	type target struct {
		up                     int
		model, effort, byTable string // what the body holds; TOKENS and EFFORT stand for the values
	}
	targets := []target{
		{0, "gpt-5.5", `"reasoning_effort":"EFFORT"`, ""},
		{1, "gpt-5.5", `"effort":"EFFORT"`, ""},
		{2, "claude-opus-4-6", `"effort":"EFFORT"`, ""},
		{2, "claude-sonnet-4-5", `"budget_tokens":TOKENS`, ""},
		{3, "gemini-2.5-flash", `"thinkingBudget":TOKENS`, ""},
		{3, "gemini-3-flash-preview", `"thinkingLevel":"UPPER"`, ""},
		{4, "gpt-oss:20b", `"think":"EFFORT"`, ""},
	}
	for i := range formats {
		client := &formats[i]
		for effort, tokens := range budgets {
			for _, tg := range targets {
				if formats[tg.up].name == client.name {
					continue // its own bytes pass
				}
				want := strings.NewReplacer("EFFORT", effort, "TOKENS", tokens, "UPPER", strings.ToUpper(effort)).Replace(tg.effort)
				for _, member := range []string{client.effortMember(effort), client.budgetMember(tokens)} {
					if member == "" {
						continue
					}
					if got := client.sendsFor(t, &formats[tg.up], tg.model, client.simple(member)).body; !strings.Contains(got, want) {
						t.Errorf("%s%s to %s: no %s in %s", client.name, member, tg.model, want, got)
					}
				}
			}
		}
	}
}

// samplers are the members that a format has for how to choose words, by their names here.
var samplers = map[string]map[string]string{
	"openai":    {"seed": `"seed":7`, "presence": `"presence_penalty":0.5`, "top_k": `"top_k":5`, "temperature": `"temperature":0.5`},
	"responses": {"temperature": `"temperature":0.5`},
	"anthropic": {"top_k": `"top_k":5`, "temperature": `"temperature":0.5`},
	"gemini":    {"seed": `"seed":7`, "presence": `"presencePenalty":0.5`, "top_k": `"topK":5`, "temperature": `"temperature":0.5`},
	"ollama":    {"seed": `"seed":7`, "presence": `"presence_penalty":0.5`, "top_k": `"top_k":5`, "temperature": `"temperature":0.5`},
}

// A field is carried over where the service has it, and named among the dropped where it has not.
func TestFieldsAreCarriedOverOrNamed(t *testing.T) {
	for i := range formats {
		client := &formats[i]
		for j := range formats {
			up := &formats[j]
			if client.name == up.name {
				continue
			}
			for field, member := range samplers[client.name] {
				members := "," + member
				switch client.name {
				case "gemini":
					members = `,"generationConfig":{` + member + `}`
				case "ollama":
					members = `,"options":{` + member + `}`
				}
				c := client.sends(t, up, client.simple(members))
				want, has := samplers[up.name][field]
				if up.name == "openai" && field == "top_k" {
					has = false // OpenAI's own host has none
				}
				if has && !strings.Contains(c.body, want) || !has && len(c.dropped) == 0 {
					t.Errorf("%s to %s, %s: %s, dropped %v", client.name, up.name, field, c.body, c.dropped)
				}
				if has && len(c.dropped) > 0 {
					t.Errorf("%s to %s, %s: dropped %v", client.name, up.name, field, c.dropped)
				}
			}
		}
	}
}

// fixtures are the requests of a format's clients in its golden files.
func (f *format) fixtures(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "wire", f.name, "testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files of %s: %v", f.name, err)
	}
	out := map[string]string{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range txtar.Parse(data).Files {
			if !slices.Contains([]string{"client.json", "request.json"}, part.Name) {
				continue
			}
			req, err := f.codec.Decode(f.op, httptest.NewRequest(http.MethodPost, f.path, nil), bytes.TrimSpace(part.Data))
			if err != nil || req.Expand() != nil {
				continue // what is wrong is refused, and other operations are not of this test
			}
			out[filepath.Base(name)] = string(bytes.TrimSpace(part.Data))
		}
	}
	return out
}

// Every request of every fixture means the same after it was written for a service of its own format, with the client's
// bytes at hand and without them.
func TestEveryFixtureIsItself(t *testing.T) {
	for i := range formats {
		f := &formats[i]
		fixtures := f.fixtures(t)
		if len(fixtures) == 0 {
			t.Errorf("%s has no fixture", f.name)
		}
		written := 0
		for name, body := range fixtures {
			for _, raw := range []bool{true, false} {
				before := f.asks(t, f.model, body)
				req := f.asks(t, f.model, body)
				if !raw {
					req.Body = canon.Object{}
				}
				c, err := f.writes(req)
				if err != nil {
					continue // another model than that of the fixture would take it
				}
				written++
				after := f.asks(t, f.model, c.body)
				for what, pair := range map[string][2]string{
					"text": {wordsOf(before), wordsOf(after)}, "calls": {callsOf(before), callsOf(after)}, "tools": {toolsOf(before), toolsOf(after)},
				} {
					if d := cmp.Diff(pair[0], pair[1]); d != "" {
						t.Errorf("%s, %s, with its bytes %t: %s: -before +after\n%s\n%s", f.name, name, raw, what, d, c.body)
					}
				}
			}
		}
		if written < len(fixtures) { // each is written twice
			t.Errorf("%s: only %d of %d fixtures could be written", f.name, written, len(fixtures))
		}
	}
}

// wordsOf is all text of a request in its order, whoever said it, and how many pictures and the like there are. Chat has
// none in tool results: there they follow in a message of their own. What answers no call is told as text.
func wordsOf(req *canon.Request) string {
	var b strings.Builder
	media := 0
	var add func(parts []canon.Part)
	add = func(parts []canon.Part) {
		for i := range parts {
			switch p := &parts[i]; p.Type {
			case canon.PartText:
				for line := range strings.SplitSeq(p.Text, "\n") {
					if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, "system-reminder>") && !strings.HasPrefix(line, "[result of unknown tool call") {
						b.WriteString(line + "\n")
					}
				}
			case canon.PartImage, canon.PartDocument, canon.PartAudio:
				media++
			case canon.PartToolResult:
				for j := range p.Result {
					if p.Result[j].Type != canon.PartText {
						add(p.Result[j : j+1])
					}
				}
			}
		}
	}
	add(req.System)
	for _, m := range req.Messages {
		add(m.Parts)
	}
	return b.String() + fmt.Sprint(media, " media")
}

func callsOf(req *canon.Request) string {
	var b strings.Builder
	for _, m := range req.Messages {
		for i := range m.Parts {
			if p := &m.Parts[i]; p.Type == canon.PartToolCall {
				b.WriteString(p.Space + "." + p.Name + " " + p.ArgsText() + p.Text + "\n")
			}
		}
	}
	return b.String()
}

func toolsOf(req *canon.Request) string {
	var b strings.Builder
	for _, t := range req.Tools {
		b.WriteString(t.Space + "." + t.Name + t.ServerType + "\n")
	}
	return b.String()
}

// An answer means the same after it was read and rendered in its own format, and is the same bytes but for the model.
func TestEveryAnswerIsItself(t *testing.T) {
	resp := &canon.Response{ID: "resp_id1", Created: 1790000000, Finish: canon.Finish{Reason: canon.FinishTools}, Usage: &canon.Usage{Input: 100, CacheRead: 60, Output: 30, Reasoning: 12, CacheWrite: -1, CacheWrite1h: -1, ToolPrompt: -1},
		Parts: []canon.Part{{Type: canon.PartReasoning, Text: "a thought"}, {Type: canon.PartText, Text: "words <b>&é\n"}, {Type: canon.PartToolCall, CallID: "call_1", Name: "f", Args: jsontext.Value(`{"z":1.50,"a":"<"}`)}, {Type: canon.PartToolCall, CallID: "call_2", Name: "g", Args: jsontext.Value(`{}`)}}}
	for i := range formats {
		f := &formats[i]
		answer := f.says(t, resp)
		for _, raw := range []bool{true, false} {
			body := f.simple("")
			req := f.asks(t, "up", body)
			if !raw {
				req.Body = canon.Object{}
			}
			c, err := f.writes(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := canon.Collect(c.read("application/json", strings.NewReader(answer)))
			if err != nil {
				t.Fatal(err)
			}
			out, err := f.codec.AppendResponse(nil, req, got)
			if err != nil {
				t.Fatal(err)
			}
			if raw && string(out) != answer {
				t.Errorf("%s: its bytes are\n%s\nand not\n%s", f.name, out, answer)
			}
			if want, got := untimed(canonical(t, answer)), untimed(canonical(t, string(out))); want != got {
				t.Errorf("%s, with its bytes %t: -want +got\n%s", f.name, raw, cmp.Diff(want, got))
			}
		}
	}
}

// untimed takes the time away that Ollama's protocol puts into each answer.
func untimed(s string) string { return createdAt.ReplaceAllString(s, "") }

var createdAt = regexp.MustCompile(`"created_at": "[^"]*"`)

func canonical(t *testing.T, s string) string {
	t.Helper()
	v := jsontext.Value(s)
	if err := v.Format(jsontext.ReorderRawObjects(true), jsontext.Multiline(true)); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return string(v)
}
