package codeassist

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/simulator"
	"patchbay/backend/wire"
)

// toolRequest asks for a listing with a tool that has every kind of schema in it.
func (b *bench) toolRequest() *canon.Request {
	r := b.request("use the look tool")
	r.System = []canon.Part{{Type: canon.PartText, Text: "be brief"}}
	r.Tools = []canon.Tool{
		{Kind: canon.ToolFunction, Name: "look", Description: "looks", Schema: []byte(`{"$schema":"x","type":"object","title":"T","properties":{
			"path":{"type":"string","minLength":1,"format":"uri","default":"."},"mode":{"enum":["a","b"]},"n":{"type":["integer","null"],"minimum":1},
			"deep":{"type":"object","properties":{"x":{"anyOf":[{"type":"string"},{"type":"object","properties":{"format":{"type":"string"}}}]}}}},
			"required":["path","n"],"additionalProperties":false}`)},
		{Kind: canon.ToolFunction, Name: "now", Description: "tells the time"},
	}
	temperature, limit := 0.5, int64(4096)
	r.Sampling.Temperature, r.MaxTokens = &temperature, &limit
	return r
}

// TestEnvelopes are the bytes that reach the service.
func TestEnvelopes(t *testing.T) {
	cli := newBench(t, GeminiCLI(), "ann@example.test")
	if _, e := cli.ask(cli.open(), cli.toolRequest()); e != nil {
		t.Fatal(e)
	}
	const deep = `"deep":{"type":"object","properties":{"x":{"type":"object","description":"Accepts: string | object","properties":{"format":{"type":"string"}}}}}`
	want := `{"model":"gemini-2.5-pro","project":"wide-river-4fk2p","user_prompt_id":"00000000-0000-4000-8000-000000000001",` +
		`"request":{"systemInstruction":{"role":"user","parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"use the look tool"}]}],` +
		`"tools":[{"functionDeclarations":[{"name":"look","description":"looks","parametersJsonSchema":{"type":"object","description":"No extra properties allowed","properties":{` +
		`"path":{"type":"string","description":"minLength: 1; format: uri; default: ."},"mode":{"type":"string","description":"Allowed: a, b","enum":["a","b"]},` +
		`"n":{"type":"integer","description":"nullable","minimum":1},` + deep + `},"required":["path"]}},` +
		`{"name":"now","description":"tells the time"}]}],` +
		`"generationConfig":{"maxOutputTokens":4096,"temperature":0.5},"session_id":"` + sessionUUID("talk-1") + `"}}`
	got := cli.last(":streamGenerateContent")
	if string(got.Body) != want {
		t.Errorf("got\n%s\nwant\n%s", got.Body, want)
	}
	if got.Header.Get("X-Goog-Api-Client") != "" || strings.Contains(got.Header.Get("User-Agent"), "GeminiCLI") {
		t.Error(got.Header)
	}

	anti := newBench(t, Antigravity(), "ann@example.test")
	r := anti.toolRequest()
	r.Stream = false // asked for as a stream all the same
	if _, e := anti.ask(anti.open(), r); e != nil {
		t.Fatal(e)
	}
	want = `{"project":"wide-river-4fk2p","model":"gemini-3-flash-agent","userAgent":"antigravity","requestType":"agent","requestId":"agent-00000000-0000-4000-8000-000000000001",` +
		`"request":{"systemInstruction":{"role":"user","parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"use the look tool"}]}],` +
		`"tools":[{"functionDeclarations":[{"name":"look","description":"looks","parameters":{"type":"object","description":"No extra properties allowed","properties":{` +
		`"path":{"type":"string","description":"minLength: 1; format: uri; default: ."},"mode":{"type":"string","description":"Allowed: a, b"},` +
		`"n":{"type":"integer","description":"minimum: 1","nullable":true},` + deep + `},"required":["path","n"]}},` +
		`{"name":"now","description":"tells the time"}]}],` +
		`"generationConfig":{"maxOutputTokens":4096,"temperature":0.5},"sessionId":"` + sessionNumber("talk-1") + `"}}`
	got = anti.last(":streamGenerateContent")
	if string(got.Body) != want {
		t.Errorf("got\n%s\nwant\n%s", got.Body, want)
	}
	if got.Upstream != simulator.Antigravity || got.Query != "alt=sse" || got.Header.Get("User-Agent") != "antigravity/hub/2.9.1 darwin/arm64" {
		t.Error(got.Upstream, got.Query, got.Header)
	}
}

// TestSessionIDs: the same conversation has the same id in each service's form, and another has another.
func TestSessionIDs(t *testing.T) {
	for _, f := range []func(string) string{sessionUUID, sessionNumber} {
		if first, again := f("a"), f("a"); first != again || first == f("b") || f("") != "" {
			t.Error(first, again, f("b"), f(""))
		}
	}
	if !regexp.MustCompile(`^-\d{1,19}$`).MatchString(sessionNumber("x")) || !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(sessionUUID("x")) {
		t.Error(sessionNumber("x"), sessionUUID("x"))
	}
	b := newBench(t, Antigravity(), "ann@example.test")
	u := b.open()
	first, _ := b.ask(u, b.request("hello"))
	second, e := b.ask(u, b.request("hello again"))
	if e != nil || first.Usage.CacheRead > 0 || second.Usage.CacheRead <= 0 {
		t.Error("the second call of a session is not cached:", e)
	}
}

// toolLoop lets a model call a tool and goes on with its result, as a client would that keeps everything.
func (b *bench) toolLoop(u provider.Upstream, r *canon.Request) (calls []canon.Part, text string) {
	b.t.Helper()
	first, e := b.ask(u, r)
	if e != nil {
		b.t.Fatal(e)
	}
	var results []canon.Part
	for _, p := range first.Parts {
		if p.Type == canon.PartToolCall {
			calls = append(calls, p)
			results = append(results, canon.Part{Type: canon.PartToolResult, CallID: p.CallID, Name: p.Name, Result: []canon.Part{{Type: canon.PartText, Text: "a.txt"}}})
		}
	}
	if len(calls) == 0 {
		b.t.Fatalf("no call: %+v", first.Parts)
	}
	r = r.Clone()
	r.Messages = append(r.Messages[:1:1], canon.Message{Role: canon.RoleAssistant, Parts: first.Parts}, canon.Message{Role: canon.RoleUser, Parts: results})
	second, e := b.ask(u, r)
	if e != nil {
		b.t.Fatal(e)
	}
	return calls, b.texts(second)
}

// TestToolLoops: calls, signatures and results go round with every kind of model. The simulated service checks each of them.
func TestToolLoops(t *testing.T) {
	for model, driver := range map[string]Driver{
		"gemini-2.5-pro": GeminiCLI(), "gemini-3-pro-preview": GeminiCLI(), "gemini-3.5-flash": GeminiCLI(),
		"claude-sonnet-4-6": Antigravity(), "claude-opus-4-6-thinking": Antigravity(), "gemini-3-flash-agent": Antigravity(),
		"gemini-pro-agent": Antigravity(), "gemini-3.7-flash-high": Antigravity(), "gpt-oss-120b-medium": Antigravity(),
	} {
		for _, effort := range []string{"", "low", "max"} {
			t.Run(model+" "+effort, func(t *testing.T) {
				b := newBench(t, driver, "ann@example.test")
				r := b.toolRequest()
				r.Model, r.Facts = model, antigravityModel(model)
				r.Reasoning.Effort = effort
				calls, text := b.toolLoop(b.open(), r)
				if text != "The look said: a.txt" {
					t.Error(text)
				}
				var args map[string]any
				if err := json.Unmarshal(calls[0].Args, &args); err != nil || args["reason"] != nil || strings.Contains(string(calls[0].Args), `"_"`) {
					t.Errorf("%s %v", calls[0].Args, err)
				}
			})
		}
	}
}

// TestClaudeSignatures: they travel in two layers of base64 and reach clients in one; what another model made is left out, and
// thinking with it.
func TestClaudeSignatures(t *testing.T) {
	b := newBench(t, Antigravity(), "ann@example.test")
	u := b.open()
	r := b.toolRequest()
	r.Model, r.Reasoning.Effort = "claude-sonnet-4-6", "low"
	first, e := b.ask(u, r)
	if e != nil || first.Parts[0].Type != canon.PartReasoning || first.Parts[0].Opaque == nil || first.Parts[0].Opaque.Data[0] != 'E' {
		t.Fatalf("%v %+v", e, first)
	}
	b.toolLoop(u, r)
	sent := string(b.last(":streamGenerateContent").Body)
	if layer := base64.StdEncoding.EncodeToString([]byte("E"))[:1]; layer != "R" || !strings.Contains(sent, `"thought":true,"thoughtSignature":"R`) {
		t.Error(sent)
	}
	if !strings.Contains(sent, `"mode":"VALIDATED"`) || !strings.Contains(sent, `"reason":{"type":"string"`) || !strings.Contains(sent, `"_":{"type":"boolean"`) {
		t.Error(sent)
	}
	call := canon.Part{Type: canon.PartToolCall, CallID: "call 1", Name: "look", Args: []byte(`{"path":"."}`), Opaque: &canon.Opaque{Family: wire.FamilyGemini, Kind: wire.OpaqueCall, Data: "EjQK"}}
	foreign := r.Clone()
	foreign.Messages = append(r.Messages[:1:1],
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "hm", Opaque: &canon.Opaque{Family: wire.FamilyGemini, Kind: wire.OpaqueThink, Data: "EjQK"}}, call}},
		canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "call 1", Name: "look", Result: []canon.Part{{Type: canon.PartText, Text: "x"}}}}})
	if _, e := b.ask(u, foreign); e != nil {
		t.Fatal(e)
	}
	sent = string(b.last(":streamGenerateContent").Body)
	if !strings.Contains(sent, `"thinkingBudget":0`) || strings.Contains(sent, "Signature") || strings.Contains(sent, "skip_thought") || !strings.Contains(sent, `"id":"call_1"`) {
		t.Error(sent)
	}
}

// TestMends: what the service refuses about a request is mended once, and only that.
func TestMends(t *testing.T) {
	t.Run("a damaged signature", func(t *testing.T) {
		both(t, func(t *testing.T, b *bench) {
			r := b.toolRequest()
			r.Messages = append(r.Messages,
				canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "c", Name: "look", Args: []byte(`{}`),
					Opaque: &canon.Opaque{Family: wire.FamilyGemini, Kind: wire.OpaqueCall, Data: "ZGFtYWdlZA=="}}}},
				canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "c", Name: "look", Result: []canon.Part{{Type: canon.PartText, Text: "x"}}}}})
			if _, e := b.ask(b.open(), r); e != nil {
				t.Fatal(e)
			}
			if sent := string(b.last(":streamGenerateContent").Body); !strings.Contains(sent, "skip_thought_signature_validator") {
				t.Error(sent)
			}
		})
	})
	t.Run("the form of thinking", func(t *testing.T) {
		b := newBench(t, Antigravity(), "ann@example.test")
		b.notes[noteThinking+"gemini-3-flash-agent"] = "level" // learned wrongly: this model takes a budget
		u := b.open()
		r := b.request("hello")
		r.Reasoning.Effort = "high"
		if _, e := b.ask(u, r); e != nil {
			t.Fatal(e)
		}
		if sent := string(b.last(":streamGenerateContent").Body); !strings.Contains(sent, `"thinkingBudget":24576`) || b.remembered()[noteThinking+"gemini-3-flash-agent"] != "budget" {
			t.Error(sent, b.remembered())
		}
		b.calls()
		if _, e := b.ask(u, r); e != nil || len(b.calls()) != 1 {
			t.Error("it was not remembered:", e)
		}
	})
	t.Run("a limit that is refused", func(t *testing.T) {
		b := newBench(t, Antigravity(), "ann@example.test")
		b.sim.Script(simulator.Antigravity, "google:row=max_tokens")
		if _, e := b.ask(b.open(), b.toolRequest()); e != nil {
			t.Fatal(e)
		}
		if sent := string(b.last(":streamGenerateContent").Body); strings.Contains(sent, "maxOutputTokens") {
			t.Error(sent)
		}
	})
	t.Run("a project that is gone", func(t *testing.T) {
		both(t, func(t *testing.T, b *bench) {
			u := b.open()
			u.keep(found{project: "gone-1"})
			if _, e := b.ask(u, b.request("hello")); e != nil {
				t.Fatal(e)
			}
			if b.remembered()[noteProject] != "wide-river-4fk2p" {
				t.Error(b.remembered())
			}
			if got := strings.Join(b.calls(), " "); strings.Count(got, "streamGenerateContent") != 2 || strings.Count(got, "loadCodeAssist") != 1 {
				t.Error(got)
			}
		})
	})
}

// TestHosts: Antigravity's second host is asked where it may help, once, and not otherwise.
func TestHosts(t *testing.T) {
	for row, moves := range map[string]bool{
		"internal": true, "unavailable": true, "gateway": true, "capacity": true, "deadline": true, "not_found": true, "soft": true,
		"quota": false, "rate_minutes": false, "token": false, "verify": false, "other_403": false, "argument": false,
	} {
		t.Run(row, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Antigravity(), "ann@example.test")
				u := b.open()
				b.ask(u, b.request("hello")) // the project is known
				b.calls()
				b.sim.Script(simulator.Antigravity, simulator.Scenario("google:row="+row))
				_, e := b.ask(u, b.request("hello"))
				got := strings.Join(b.calls(), " ")
				want := "antigravity :streamGenerateContent"
				if moves {
					want += " antigravity-prod :streamGenerateContent"
				}
				if got != want || (e == nil) != moves {
					t.Errorf("%s (%v)", got, e)
				}
			})
		})
	}
	t.Run("a cut line", func(t *testing.T) {
		b := newBench(t, Antigravity(), "ann@example.test")
		b.sim.Script(simulator.Antigravity, "cut_before")
		if _, e := b.ask(b.open(), b.request("hello")); e != nil {
			t.Error(e)
		}
	})
	t.Run("Gemini CLI has one", func(t *testing.T) {
		b := newBench(t, GeminiCLI(), "ann@example.test")
		b.sim.Script(simulator.GeminiCLI, "google:row=internal")
		if _, e := b.ask(b.open(), b.request("hello")); e == nil || e.Kind != apierror.Upstream5xx {
			t.Error(e)
		}
	})
}

// TestClientVersion: the service has newer models for newer clients only; the version is a setting.
func TestClientVersion(t *testing.T) {
	for version, works := range map[string]bool{"": true, "2.9.4": true, "3.0": true, "2.8.9": false, "evil\r\nX: y": true} {
		b := newBench(t, Antigravity(), "ann@example.test")
		b.env.Settings[settingVersion] = version
		r := b.request("hello")
		r.Model = "gemini-pro-agent"
		if _, e := b.ask(b.open(), r); (e == nil) != works || e != nil && e.Kind != apierror.ModelNotFound {
			t.Errorf("%q: %v", version, e)
		}
	}
}

// TestEmptyAnswers: an answer that says nothing is an error, so that it can be asked for again.
func TestEmptyAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		kind   apierror.Kind // 0 = it is an answer
		finish canon.FinishReason
	}{
		"no event":             {"", apierror.Truncated, ""},
		"no reason":            {chunk(`{"text":"hi"}`, ""), apierror.Truncated, ""},
		"no parts":             {chunk("", "STOP"), apierror.Upstream5xx, ""},
		"thoughts only":        {chunk(`{"thought":true,"text":"hm"}`, "STOP"), apierror.Upstream5xx, ""},
		"empty text":           {chunk(`{"text":""}`, "STOP"), apierror.Upstream5xx, ""},
		"limit before a word":  {chunk("", "MAX_TOKENS"), apierror.Upstream5xx, ""},
		"limit while thinking": {chunk(`{"thought":true,"text":"hm"}`, "MAX_TOKENS"), 0, canon.FinishLength},
		"malformed":            {chunk("", "MALFORMED_FUNCTION_CALL"), apierror.Upstream5xx, ""},
		"unexpected":           {chunk("", "UNEXPECTED_TOOL_CALL"), apierror.Upstream5xx, ""},
		"safety":               {chunk("", "SAFETY"), 0, canon.FinishFilter},
		"recitation":           {chunk("", "RECITATION"), 0, canon.FinishFilter},
		"blocked":              {`data: {"response":{"promptFeedback":{"blockReason":"SAFETY"}}}` + "\n\n", 0, canon.FinishFilter},
		"no response":          {`data: {"traceId":"x"}` + "\n\n", apierror.Truncated, ""},
		"a call":               {chunk(`{"functionCall":{"name":"look","args":{}}}`, "OTHER"), 0, canon.FinishTools},
		"a signature alone":    {chunk(`{"text":"","thoughtSignature":"EjQK"}`, "STOP"), apierror.Upstream5xx, ""},
		"lines of many kinds":  {": note\r\nevent: x\r\ndata: {\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\r\ndata: \"hi\"}]},\"finishReason\":\"STOP\"}]}}", 0, canon.FinishStop},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, GeminiCLI(), "ann@example.test")
			u := b.open()
			u.keep(found{project: "p"})
			b.env.HTTP.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, c.body)
			})}
			r, e := b.ask(u, b.toolRequest())
			switch {
			case c.kind == 0 && (e != nil || r.Finish.Reason != c.finish):
				t.Errorf("%v %+v", e, r)
			case c.kind != 0 && (e == nil || e.Kind != c.kind):
				t.Errorf("%v", e)
			}
		})
	}
}

func chunk(part, finish string) string {
	if finish != "" {
		finish = `,"finishReason":"` + finish + `"`
	}
	return `data: {"response":{"candidates":[{"content":{"role":"model","parts":[` + part + `]}` + finish + `}]},"traceId":"t"}` + "\n\n"
}

// TestClientsOwnFields: what a client of the Gemini API sends and this service does not know is left out and told.
func TestClientsOwnFields(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		r := b.geminiRequest(`{"contents":[{"parts":[{"text":"hello"}]}],"store":true,"xUnknown":1,"labels":{"a":"b"},"safetySettings":[
			{"category":"HARM_CATEGORY_HARASSMENT","threshold":"OFF"}],"generationConfig":{"topK":5,"enableEnhancedCivicAnswers":true,"imageConfig":{}},
			"tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"look"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}}`)
		got, e := b.ask(b.open(), r)
		if e != nil {
			t.Fatal(e)
		}
		var dropped []string
		for _, w := range got.Dropped {
			dropped = append(dropped, w.Field)
		}
		for _, want := range []string{"store", "xUnknown", "generationConfig.enableEnhancedCivicAnswers", "generationConfig.imageConfig", "tools.googleSearch"} {
			if !strings.Contains(strings.Join(dropped, " "), want) {
				t.Errorf("%s is not told: %v", want, dropped)
			}
		}
		sent := string(b.last(":streamGenerateContent").Body)
		if !strings.Contains(sent, `"labels"`) || strings.Contains(sent, "safetySettings") != (b.name == "gemini-cli") || !strings.Contains(sent, `"role":"user"`) {
			t.Error(sent)
		}
	})
}
