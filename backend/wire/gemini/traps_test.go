package gemini_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/openai"
)

// Every test here is a way in which proxies between these formats were seen to fail; its name is the symptom.

const (
	claudeSignature = "ErUBCkYIARgCKkDxClaude"
	bashTool        = `"tools":[{"name":"Bash","description":"run","input_schema":{"type":"object","properties":{"command":{"type":"string"}}}}]`
	skip            = "skip_thought_signature_validator"
)

// toolTurn is a history of Claude Code whose last turn of the model has two calls.
func toolTurn(thinking string) string {
	return `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[` + thinking +
		`{"type":"tool_use","id":"a","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"b","name":"Bash","input":{"command":"pwd"}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"/p"},{"type":"tool_result","tool_use_id":"a","content":"x"}]}],` + bashTool + `}`
}

func TestFunctionCallIsMissingAThoughtSignature(t *testing.T) {
	body := sends(t, toGemini(gemini.Options{}), messagesClient.asks(t, "gemini-3-pro-preview", toolTurn("")))
	has(t, body, `{"functionCall":{"id":"a","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"`+skip+`"},{"functionCall":{"id":"b","name":"Bash","args":{"command":"pwd"}}}`)
	// a client of the same format that lost it (its history was made elsewhere) gets it too
	own := `{"contents":[{"parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"name":"Bash","args":{}}}]},{"parts":[{"functionResponse":{"name":"Bash","response":{"output":"x"}}}]}]}`
	has(t, sends(t, toGemini(gemini.Options{}), geminiClient.asks(t, "gemini-3-pro-preview", own)), `"thoughtSignature":"`+skip+`"`)
}

func TestCorruptedThoughtSignatureAfterAModelSwitch(t *testing.T) {
	claude := `{"type":"thinking","thinking":"secret plan","signature":"` + claudeSignature + `"},`
	body := sends(t, toGemini(gemini.Options{}), messagesClient.asks(t, "gemini-3-pro-preview", toolTurn(claude)))
	for _, bad := range []string{claudeSignature, "secret plan"} {
		if strings.Contains(body, bad) {
			t.Errorf("%s went to Gemini: %s", bad, body)
		}
	}
	// and the way back: what Gemini signed is nothing to Claude
	own := `{"contents":[{"parts":[{"text":"go"}]},{"role":"model","parts":[{"text":"secret plan","thought":true,"thoughtSignature":"CpwB"},{"functionCall":{"id":"a","name":"Bash","args":{}},"thoughtSignature":"CqX1"}]},{"parts":[{"functionResponse":{"id":"a","name":"Bash","response":{"output":"x"}}}]}],
	 "tools":[{"functionDeclarations":[{"name":"Bash","parametersJsonSchema":{"type":"object"}}]}]}`
	body = sends(t, toMessages, geminiClient.asks(t, "claude-sonnet-4-5", own))
	for _, bad := range []string{"CpwB", "CqX1", "secret plan", "signature"} {
		if strings.Contains(body, bad) {
			t.Errorf("%s went to Claude: %s", bad, body)
		}
	}
	has(t, body, `"type":"tool_use"`, `"type":"tool_result"`)
}

func TestASignatureComesBackToItsMakerThroughAnotherFormat(t *testing.T) {
	req := messagesClient.asks(t, "gemini-3-pro-preview", `{"model":"m","max_tokens":9,"stream":true,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"go"}],`+bashTool+`}`)
	answer := answered(t, messagesClient, toGemini(gemini.Options{}), req, `data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"a","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"CpwB"},{"functionCall":{"id":"b","name":"Bash","args":{"command":"pwd"}}}]},"finishReason":"STOP"}]}`+"\n\n")
	_, rest, ok := strings.Cut(answer, `"signature_delta","signature":"`)
	sig, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.HasPrefix(sig, "pb1.gemini.call.") {
		t.Fatalf("no wrapped signature: %s", answer)
	}
	back := `{"type":"thinking","thinking":"","signature":"` + sig + `"},`
	has(t, sends(t, toGemini(gemini.Options{}), messagesClient.asks(t, "gemini-3-pro-preview", toolTurn(back))), `"args":{"command":"ls"}},"thoughtSignature":"CpwB"},{"functionCall":{"id":"b","name":"Bash","args":{"command":"pwd"}}}`)
}

func TestPlaceholderOfGeminiIsSentToClaude(t *testing.T) {
	own := `{"contents":[{"parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"Bash","args":{}},"thoughtSignature":"` + skip + `"}]},{"parts":[{"functionResponse":{"id":"a","name":"Bash","response":{"output":"x"}}}]}],"tools":[{"functionDeclarations":[{"name":"Bash"}]}]}`
	for name, body := range map[string]string{
		"Anthropic":              sends(t, toMessages, geminiClient.asks(t, "claude-sonnet-4-5", own)),
		"Claude behind Google":   sends(t, toGemini(gemini.Options{ForceConvert: true, Strict: true}), geminiClient.asks(t, "claude-sonnet-4-5", own)),
		"a history of Anthropic": sends(t, toGemini(gemini.Options{Strict: true}), messagesClient.asks(t, "claude-sonnet-4-5", toolTurn(""))),
		"chat":                   sends(t, toChat(openai.Options{}), geminiClient.asks(t, "gpt-4.1", own)),
	} {
		if strings.Contains(body, skip) {
			t.Errorf("%s: %s", name, body)
		}
	}
}

func TestIncompleteJSONSegmentAtTheEnd(t *testing.T) {
	for _, answer := range []string{
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"line one\\nline two\"}}\n\n",
	} {
		req := geminiClient.asks(t, "claude-sonnet-4-5", `{"contents":[{"parts":[{"text":"go"}]}]}`)
		r := gemini.Codec{}.NewRenderer(req)
		out := r.AppendPing(nil)
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindStart, ID: "i"})
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "a\nb\r\n\u2028"})
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindPing})
		out = r.AppendPing(out)
		out = append(out, answered(t, geminiClient, toMessages, req, answer)...)
		if !strings.HasSuffix(string(out), "\n\n") {
			t.Errorf("the last event has no end: %q", out)
		}
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "data: {") {
				t.Errorf("clients stumble over %q", line)
			}
		}
	}
}

// draft7 is a schema with everything that Google's own message has no field for, and with properties that are named like
// keywords.
const draft7 = `{"$schema":"http://json-schema.org/draft-07/schema#","$id":"x","$comment":"c","type":"object","additionalProperties":false,"patternProperties":{"^x":{"type":"string"}},"propertyNames":{"pattern":"a"},
 "properties":{"title":{"type":"string","minLength":1},"format":{"const":"v"},"default":{"type":["integer","null"],"exclusiveMinimum":0,"exclusiveMaximum":10},"$ref":{"type":"string"},
  "list":{"type":"array","uniqueItems":true,"contains":{"type":"string"},"items":{"oneOf":[{"type":"string"},{"$ref":"#/$defs/d"}]}},"both":{"allOf":[{"type":"object","properties":{"q":{"type":"string","format":"uri","readOnly":true,"examples":["e"]}}}]},
  "not":{"not":{"type":"string"}},"if":{"if":{"type":"string"},"then":{"type":"string"},"else":{"type":"number"}},"pick":{"enum":[1,2],"enumDescriptions":["a","b"]}},
 "required":["title","$ref"],"$defs":{"d":{"type":"object","properties":{"e":{"type":"number"}}}}}`

func declared(t *testing.T, o gemini.Options) string {
	t.Helper()
	body := sends(t, toGemini(o), messagesClient.asks(t, "gemini-3-pro-preview", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":[{"name":"x","input_schema":`+draft7+`}]}`))
	_, tools, _ := strings.Cut(body, `"tools":`)
	return tools
}

// keysOf lists the keywords of a schema, and the names of its properties apart.
func keysOf(t *testing.T, v string) (keywords, names map[string]bool) {
	t.Helper()
	keywords, names = map[string]bool{}, map[string]bool{}
	var walk func(s []byte)
	walk = func(s []byte) {
		o, err := canon.ParseObject(s)
		if err != nil {
			return
		}
		for _, m := range o.Members {
			keywords[m.Name] = true
			switch value := o.Get(m.Name); m.Name {
			case "properties":
				props, err := canon.ParseObject(value)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range props.Members {
					names[p.Name] = true
					walk(props.Get(p.Name))
				}
			case "items":
				walk(value)
			}
		}
	}
	walk([]byte(v))
	return keywords, names
}

func TestUnknownNameInTheSchema(t *testing.T) {
	tools := declared(t, gemini.Options{Strict: true})
	_, schema, _ := strings.Cut(tools, `"parameters":`)
	keywords, _ := keysOf(t, schema[:strings.LastIndex(schema, "}]}]")])
	for _, k := range []string{"$schema", "$id", "$comment", "$ref", "$defs", "additionalProperties", "patternProperties", "propertyNames", "const", "exclusiveMinimum",
		"exclusiveMaximum", "oneOf", "allOf", "not", "if", "then", "else", "uniqueItems", "contains", "enumDescriptions", "examples", "readOnly"} {
		if keywords[k] {
			t.Errorf("%s is left: %s", k, schema)
		}
	}
	if strings.Contains(schema, `["integer","null"]`) || strings.Contains(schema, `"format":"uri"`) {
		t.Error(schema)
	}
}

func TestSchemaCleanerEatsPropertiesNamedLikeKeywords(t *testing.T) {
	for _, o := range []gemini.Options{{Strict: true}, {}} {
		tools := declared(t, o)
		_, schema, _ := strings.Cut(tools, map[bool]string{true: `"parameters":`, false: `"parametersJsonSchema":`}[o.Strict])
		_, names := keysOf(t, schema[:strings.LastIndex(schema, "}]}]")])
		for _, n := range []string{"title", "format", "default", "$ref", "list", "both", "not", "if", "pick"} {
			if !names[n] {
				t.Errorf("strict %v: the property %s is gone: %s", o.Strict, n, schema)
			}
		}
	}
	args := `{"title":"t","format":"f","default":1,"$ref":"r","$schema":"s","const":2,"additionalProperties":true}`
	body := sends(t, toGemini(gemini.Options{Strict: true}), messagesClient.asks(t, "gemini-3-pro-preview",
		`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"x","input":`+args+`}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"y"}]}],"tools":[{"name":"x","input_schema":`+draft7+`}]}`))
	has(t, body, `"args":`+args)
}

func TestNumberOfFunctionResponsePartsDiffers(t *testing.T) {
	call := func(id string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}`
	}
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[`+call("a")+","+call("b")+","+call("c")+`]},
	 {"role":"tool","tool_call_id":"c","content":"3"},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"next"}]}`)
	var contents string
	_, contents, _ = strings.Cut(sends(t, toGemini(gemini.Options{}), req), `"contents":`)
	has(t, contents, `{"role":"user","parts":[{"functionResponse":{"id":"a","name":"f","response":{"output":"1"}}},{"functionResponse":{"id":"b","name":"f","response":{"error":"no result"}}},{"functionResponse":{"id":"c","name":"f","response":{"output":"3"}}},{"text":"next"}]}`)
}

func TestAPictureByAddressIsIgnored(t *testing.T) {
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://pictures.example/a.png?token=canary"}}]}]}`)
	urls, err := gemini.FetchURLs(req, gemini.Options{})
	if d := cmp.Diff([]canon.MediaURL{{URL: "https://pictures.example/a.png?token=canary", Type: canon.PartImage}}, urls); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if e := refusal(t, toGemini(gemini.Options{}), req); e.Param != "messages" || !strings.Contains(e.Msg, "pictures.example") || strings.Contains(e.Msg, "canary") {
		t.Errorf("%+v", e)
	}
	has(t, sends(t, toGemini(gemini.Options{Media: map[string]canon.Media{urls[0].URL: {MIME: "image/png", Data: []byte("abc")}}}), req), `{"inlineData":{"mimeType":"image/png","data":"YWJj"}}`)
	document := messagesClient.asks(t, "gemini-2.5-pro", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://papers.example/a.pdf"}}]}]}`)
	if urls, err := gemini.FetchURLs(document, gemini.Options{}); err != nil || len(urls) != 1 || urls[0].Type != canon.PartDocument {
		t.Errorf("%v %v", urls, err)
	}
	// the others fetch it themselves
	has(t, sends(t, toMessages, req), `"source":{"type":"url","url":"https://pictures.example/a.png?token=canary"}`)
	has(t, sends(t, toChat(openai.Options{}), document0(t)), `"url":"https://pictures.example/b.png"`)
}

func document0(t *testing.T) *canon.Request {
	t.Helper()
	return messagesClient.asks(t, "gpt-4.1", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://pictures.example/b.png"}}]}]}`)
}

func TestAScreenshotInAToolResultIsLost(t *testing.T) {
	shot := messagesClient.asks(t, "gemini-2.5-pro", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Bash","input":{}}]},
	 {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"done"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]}]}],`+bashTool+`}`)
	has(t, sends(t, toGemini(gemini.Options{}), shot), `"response":{"output":"done"}}},{"inlineData":{"mimeType":"image/png","data":"iVBO"}}`)
	// what Gemini CLI sends: the picture beside the result, or inside it
	for _, parts := range []string{
		`{"functionResponse":{"id":"a","name":"read","response":{"output":"Binary content provided (1 item(s))."}}},{"inlineData":{"mimeType":"image/png","data":"iVBO"}}`,
		`{"functionResponse":{"id":"a","name":"read","response":{"output":"Binary content provided (1 item(s))."},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]}}`,
	} {
		own := geminiClient.asks(t, "m", `{"contents":[{"parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"read","args":{}}}]},{"role":"user","parts":[`+parts+`]}]}`)
		has(t, sends(t, toMessages, own), `"type":"tool_result"`, `"type":"image"`, `"data":"iVBO"`)
		has(t, sends(t, toChat(openai.Options{}), own), `"role":"tool"`, `"image_url":{"url":"data:image/png;base64,iVBO"`)
	}
}

func TestToolUseWithFunctionCallingIsUnsupported(t *testing.T) {
	search := `{"type":"web_search_20250305","name":"web_search"}`
	both := messagesClient.asks(t, "gemini-2.5-pro", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":[`+search+`,{"name":"Bash","input_schema":{"type":"object"}}]}`)
	body, dropped, _, err := toGemini(gemini.Options{})(both)
	if err != nil || strings.Contains(string(body), "googleSearch") || !strings.Contains(string(body), `"name":"Bash"`) || len(dropped) != 1 {
		t.Errorf("%v %v %s", err, dropped, body)
	}
	alone := messagesClient.asks(t, "gemini-2.5-pro", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":[`+search+`]}`)
	has(t, sends(t, toGemini(gemini.Options{}), alone), `"tools":[{"googleSearch":{}}]`)
}

func TestEscapesAndReorderedKeysInArguments(t *testing.T) {
	const args = `{"z":"<a> & \u00e9","a":1.50,"n":1e3,"nested":{"y":[],"b":null}}`
	req := messagesClient.asks(t, "gemini-3-pro-preview", `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"go"}],`+bashTool+`}`)
	got := answered(t, messagesClient, toGemini(gemini.Options{}), req, `data: {"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"Bash","args":`+args+`}}]},"finishReason":"STOP"}]}`+"\n\n")
	has(t, got, `"partial_json":"{\"z\":\"<a> & \\u00e9\",\"a\":1.50,\"n\":1e3,\"nested\":{\"y\":[],\"b\":null}}"`)
	back := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Bash","input":` + args + `}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"<ok> & done"}]}],` + bashTool + `}`
	has(t, sends(t, toGemini(gemini.Options{}), messagesClient.asks(t, "gemini-3-pro-preview", back)), `"args":`+args, `"output":"<ok> & done"`)
}

func TestTwoChatsDoNotShareToolNames(t *testing.T) {
	long := "mcp__" + strings.Repeat("server", 12) + "__"
	for _, tool := range []string{"read", "write"} {
		name := long + tool
		req := messagesClient.asks(t, "gemini-3-pro-preview", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":[{"name":"`+name+`","input_schema":{"type":"object"}}]}`)
		_, sent, _ := strings.Cut(sends(t, toGemini(gemini.Options{}), req), `"name":"`)
		sent, _, _ = strings.Cut(sent, `"`)
		if len(sent) > 64 {
			t.Errorf("%s is too long", sent)
		}
		got := answered(t, messagesClient, toGemini(gemini.Options{}), req, `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"`+sent+`","args":{}}}]},"finishReason":"STOP"}]}`)
		has(t, got, `"name":"`+name+`"`)
	}
}

func TestArgumentsAreEmptyOrNoObject(t *testing.T) {
	for args, want := range map[string]string{`""`: `{}`, `" "`: `{}`, `"{bad"`: `{"_raw_arguments":"{bad"}`, `"[1]"`: `{"_raw_arguments":"[1]"}`} {
		req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":`+args+`}}]},{"role":"tool","tool_call_id":"a","content":"x"}]}`)
		has(t, sends(t, toGemini(gemini.Options{}), req), `"args":`+want)
	}
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"user","content":"go"}]}`)
	has(t, answered(t, chatClient, toGemini(gemini.Options{}), req, `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`), `"arguments":"{}"`)
}

func TestParallelCallsAreMergedIntoOne(t *testing.T) {
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","stream":true,"messages":[{"role":"user","content":"go"}]}`)
	got := answered(t, chatClient, toGemini(gemini.Options{}), req, `data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"n":1}}},{"functionCall":{"name":"f","args":{"n":2}}}]}}]}`+"\n\n"+
		`data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"n":3}}}]},"finishReason":"STOP"}]}`+"\n\n")
	ids := map[string]bool{}
	for _, piece := range strings.Split(got, `"id":"fc_`)[1:] {
		id, _, _ := strings.Cut(piece, `"`)
		ids[id] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d calls: %s", len(ids), got)
	}
	has(t, got, `"index":0,`, `"index":1,`, `"index":2,`, `"finish_reason":"tool_calls"`)
}

func TestTemperatureZeroBecomesADefault(t *testing.T) {
	body := sends(t, toGemini(gemini.Options{}), chatClient.asks(t, "gemini-2.0-flash", `{"model":"m","temperature":0,"top_p":0,"presence_penalty":0,"seed":0,"messages":[{"role":"user","content":"x"}]}`))
	has(t, body, `"generationConfig":{"temperature":0,"topP":0,"seed":0,"presencePenalty":0}`)
	if body = sends(t, toGemini(gemini.Options{}), chatClient.asks(t, "gemini-2.0-flash", `{"model":"m","messages":[{"role":"user","content":"x"}]}`)); strings.Contains(body, "generationConfig") {
		t.Errorf("defaults were invented: %s", body)
	}
}

func TestContextMeterShowsTwiceTheTokens(t *testing.T) {
	req := messagesClient.asks(t, "gemini-3-pro-preview", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
	got := answered(t, messagesClient, toGemini(gemini.Options{}), req, `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":10,"thoughtsTokenCount":5,"totalTokenCount":115}}`)
	has(t, got, `"input_tokens":40`, `"cache_read_input_tokens":60`, `"output_tokens":15`)
}

func TestDeveloperInstructionsVanish(t *testing.T) {
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"developer","content":"Obey."},{"role":"user","content":"x"},{"role":"developer","content":"Now whisper."},{"role":"user","content":"y"}]}`)
	has(t, sends(t, toGemini(gemini.Options{}), req), `"systemInstruction":{"parts":[{"text":"Obey."}]}`, `{"text":"<system-reminder>\nNow whisper.\n</system-reminder>"}`)
}

func TestADailyQuotaLooksLikeABusyMinute(t *testing.T) {
	daily := &apierror.Error{Kind: apierror.QuotaExhausted, Msg: "used up", RetryAfter: 7 * 3600e9}
	status, _, body := gemini.Codec{}.Error(daily, "")
	if status != 429 {
		t.Error(status)
	}
	has(t, string(body), `"quotaId":"RequestsPerDayPerAccount"`, `"retryDelay":"25200s"`)
	minute := &apierror.Error{Kind: apierror.RateLimited, Msg: "slow down", RetryAfter: 34e9}
	_, _, body = gemini.Codec{}.Error(minute, "")
	has(t, string(body), `"retryDelay":"34s"`)
	if strings.Contains(string(body), "PerDay") {
		t.Error(string(body))
	}
}

// What Claude Code sends in its second turn on a Gemini 3 model, and what its service gets and answers.
const (
	exampleA = `{"model":"[Gemini CLI] gemini-3.1-pro","max_tokens":32000,"stream":true,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"temperature":1,
 "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
 "messages":[{"role":"user","content":[{"type":"text","text":"List."}]},{"role":"system","content":"Date: today."},
  {"role":"assistant","content":[{"type":"thinking","thinking":"plan","signature":"pb1.gemini.call.Q3B3Qg"},{"type":"text","text":"ok"},
    {"type":"tool_use","id":"fc_1","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"fc_2","name":"Bash","input":{"command":"pwd"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"fc_2","content":"/p"},{"type":"tool_result","tool_use_id":"fc_1","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]},{"type":"text","text":"go on"}]}],
 "tools":[{"name":"Bash","description":"run","input_schema":{"$schema":"x","type":"object","properties":{"command":{"type":"string"},"n":{"type":"integer","exclusiveMinimum":0}},"required":["command"],"additionalProperties":false}}]}`
	exampleAOut = `{"systemInstruction":{"parts":[{"text":"Be brief."}]},
 "contents":[{"role":"user","parts":[{"text":"List."},{"text":"<system-reminder>\nDate: today.\n</system-reminder>"}]},
  {"role":"model","parts":[{"text":"ok"},{"functionCall":{"id":"fc_1","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"CpwB"},{"functionCall":{"id":"fc_2","name":"Bash","args":{"command":"pwd"}}}]},
  {"role":"user","parts":[{"functionResponse":{"id":"fc_1","name":"Bash","response":{"output":"(image attached)"}}},{"inlineData":{"mimeType":"image/png","data":"iVBO"}},{"functionResponse":{"id":"fc_2","name":"Bash","response":{"output":"/p"}}},{"text":"go on"}]}],
 "tools":[{"functionDeclarations":[{"name":"Bash","description":"run","parameters":{"type":"OBJECT","description":"no extra properties","properties":{"command":{"type":"STRING"},"n":{"type":"INTEGER","minimum":1}},"required":["command"]}}]}],
 "generationConfig":{"maxOutputTokens":32000,"temperature":1,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}}`
	exampleB = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"I look","thought":true}]}}]}` + "\n\n" +
		`data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"g7","name":"Bash","args":{"command":"ls"}},"thoughtSignature":"CqX1"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":10,"thoughtsTokenCount":5,"totalTokenCount":115}}` + "\n\n"
)

func TestClaudeCodeOnGemini3(t *testing.T) {
	up := toGemini(gemini.Options{Strict: true})
	req := messagesClient.asks(t, "gemini-3.1-pro", exampleA)
	body, dropped, _, err := up(req)
	if err != nil || len(dropped) != 1 || dropped[0].Field != "cache_control" {
		t.Errorf("%v %v", dropped, err)
	}
	sameText(t, exampleAOut, string(body))

	got := answered(t, messagesClient, up, req, exampleB)
	at := 0
	for _, step := range []string{
		"event: message_start", `"type":"content_block_start","index":0,"content_block":{"type":"thinking"`, `"type":"thinking_delta","thinking":"I look"`,
		`"type":"signature_delta","signature":"pb1.gemini.call.Q3FYMQ"`, `"type":"content_block_stop","index":0`,
		`"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"g7","name":"Bash","input":{}`, `"partial_json":"{\"command\":\"ls\"}"`,
		`"type":"content_block_stop","index":1`, `"stop_reason":"tool_use"`, `"input_tokens":40`, "event: message_stop",
	} {
		i := strings.Index(got[at:], step)
		if i < 0 {
			t.Fatalf("no %s after byte %d of\n%s", step, at, got)
		}
		at += i
	}
	has(t, got, `"cache_read_input_tokens":60`, `"cache_creation_input_tokens":0`, `"output_tokens":15`)
	if strings.Count(got, "event: message_stop") != 1 {
		t.Error(got)
	}

	bare := answered(t, messagesClient, up, messagesClient.asks(t, "gemini-3.1-pro", exampleA), exampleB[strings.Index(exampleB, "\n\n")+2:])
	if thinking, use := strings.Index(bare, `"type":"thinking"`), strings.Index(bare, `"type":"tool_use"`); thinking < 0 || thinking > use {
		t.Errorf("the signature has no block of its own before the call: %s", bare)
	}
}
