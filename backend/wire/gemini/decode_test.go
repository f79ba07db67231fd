package gemini

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// post makes a request as the server hands it to the codec.
func post(path string) *http.Request {
	return httptest.NewRequest(http.MethodPost, path, nil)
}

func decode(t *testing.T, body string) *canon.Request {
	t.Helper()
	req, err := Codec{}.Decode(OpAction, post("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "gemini-2.5-pro"
	return req
}

// without returns the request as if it had not come as bytes.
func without(req *canon.Request) *canon.Request {
	c := req.Clone()
	c.Body = canon.Object{}
	return c
}

func TestRouteTellsTheMethodBehindTheLastColon(t *testing.T) {
	for path, want := range map[string]struct {
		model string
		op    wire.Op
		class wire.Class
	}{
		"/v1beta/models/gemini-2.5-pro:generateContent":               {"gemini-2.5-pro", OpGenerate, wire.ClassAnswer},
		"/v1beta/models/models/x:streamGenerateContent?alt=sse":       {"x", OpStream, wire.ClassAnswer},
		"/v1beta/models/llama3:8b:countTokens":                        {"llama3:8b", OpCount, wire.ClassCount},
		"/v1beta/models/publishers/google/models/g:embedContent":      {"g", OpEmbed, wire.ClassEmbed},
		"/v1beta/publishers/google/models/g:generateContent":          {"g", OpGenerate, wire.ClassAnswer},
		"/v1beta/tunedModels/mine:generateContent":                    {"tunedModels/mine", OpGenerate, wire.ClassAnswer},
		"/v1beta/models/a%3Ab%3AgenerateContent":                      {"a:b", OpGenerate, wire.ClassAnswer},
		"/v1beta/models/vendor%2Fmodel%20x:free:generateContent":      {"vendor/model x:free", OpGenerate, wire.ClassAnswer},
		"/v1/models/%5BGemini%20CLI%5D%20gemini-3:batchEmbedContents": {"[Gemini CLI] gemini-3", OpBatchEmbed, wire.ClassEmbed},
		"/v1beta/models/imagen:predict":                               {"imagen", OpNone, wire.ClassUnsupported},
		"/v1beta/models/gemini-2.5-pro:GenerateContent":               {"gemini-2.5-pro", OpNone, wire.ClassUnsupported},
		"/v1beta/models/gemini-2.5-pro":                               {"gemini-2.5-pro", OpNone, wire.ClassUnsupported},
	} {
		r := post(path)
		op, class := Codec{}.Route(r)
		model, _ := splitAction(r)
		if op != want.op || class != want.class || model != want.model {
			t.Errorf("%s: %q %q %d", path, model, op, class)
		}
	}
	mux := http.NewServeMux()
	var got wire.Op
	for _, rt := range (Codec{}).Routes() {
		mux.HandleFunc(rt.Pattern, func(_ http.ResponseWriter, r *http.Request) {
			if got = rt.Op; rt.Class == wire.ClassByRequest {
				got, _ = Codec{}.Route(r)
			}
		})
	}
	for path, want := range map[string]wire.Op{"/v1beta/models/a/b:c:generateContent": OpGenerate, "/v1/models/m:countTokens": OpCount, "/v1beta/files/x": OpNone,
		"/v1beta/tunedModels/m:generateContent": OpGenerate, "/v1beta/publishers/google/models/m:countTokens": OpCount} {
		got = ""
		mux.ServeHTTP(httptest.NewRecorder(), post(path))
		if got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestOnlyAltSSESwitchesToEvents(t *testing.T) {
	for query, want := range map[string]bool{
		"?alt=sse": true, "?$alt=sse": true, "?%24alt=sse;prettyPrint=0": true, "?key=k&alt=sse": true,
		"": false, "?alt=json": false, "?alt=SSE": false, "?x=alt=sse": false,
	} {
		req, err := Codec{}.Decode(OpAction, post("/v1beta/models/m:streamGenerateContent"+query), []byte(`{"contents":[{"parts":[{"text":"a"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := (Codec{}).NewRenderer(req).ContentType() == "text/event-stream"; got != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}

const bothSpellings = `{
 "system_instruction":{"role":"user","parts":[{"text":"Be brief."}]},
 "contents":[{"parts":[{"text":"List"},{"inline_data":{"mime_type":"image/png","data":"iVBORw=="}}]},
  {"role":"model","parts":[{"text":"hm","thought":true},{"function_call":{"id":"c1","name":"ls","args":{"dir":"."}},"thought_signature":"CpwB"}]},
  {"role":"user","parts":[{"function_response":{"id":"c1","name":"ls","response":{"output":"a.txt"}}}]}],
 "tools":[{"function_declarations":[{"name":"ls","parameters":{"type":"OBJECT","properties":{"dir":{"type":"STRING"}}}}]},{"google_search":{}}],
 "tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["ls"]}},
 "generation_config":{"top_p":0.5,"top_k":3.0,"max_output_tokens":9,"stop_sequences":["E"],"candidate_count":1,"response_mime_type":"application/json","response_schema":{"type":"OBJECT","properties":{"a":{"type":"INTEGER"}}},
  "thinking_config":{"include_thoughts":true,"thinking_budget":100}},
 "safety_settings":[{"category":"C","threshold":"OFF"}],"cached_content":"cachedContents/a"}`

func TestSnakeCaseReadsLikeCamelCase(t *testing.T) {
	// values and names of tools hold no underscores but those of members
	camelCase := strings.NewReplacer("system_instruction", "systemInstruction", "inline_data", "inlineData", "mime_type", "mimeType", "function_call\"", "functionCall\"",
		"thought_signature", "thoughtSignature", "function_response", "functionResponse", "function_declarations", "functionDeclarations", "google_search", "googleSearch",
		"tool_config", "toolConfig", "function_calling_config", "functionCallingConfig", "allowed_function_names", "allowedFunctionNames", "generation_config", "generationConfig",
		"top_p", "topP", "top_k", "topK", "max_output_tokens", "maxOutputTokens", "stop_sequences", "stopSequences", "candidate_count", "candidateCount",
		"response_mime_type", "responseMimeType", "response_schema", "responseSchema", "thinking_config", "thinkingConfig", "include_thoughts", "includeThoughts",
		"thinking_budget", "thinkingBudget", "safety_settings", "safetySettings", "cached_content", "cachedContent").Replace(bothSpellings)
	if strings.Contains(camelCase, "_") {
		t.Fatalf("left over: %s", camelCase)
	}
	write := func(body string) string {
		req := without(decode(t, body))
		delete(req.Ext, "toolConfig") // kept as it came
		for i := range req.Tools {
			req.Tools[i].Raw = nil
		}
		req.Tools = req.Tools[:1]
		x, err := NewExchange(req, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return string(x.Body)
	}
	got := write(bothSpellings)
	if d := cmp.Diff(write(camelCase), got); d != "" {
		t.Error(d)
	}
	sameJSON(t, `{"systemInstruction":{"parts":[{"text":"Be brief."}]},
	 "contents":[{"role":"user","parts":[{"text":"List"},{"inlineData":{"mimeType":"image/png","data":"iVBORw=="}}]},
	  {"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"id":"c1","name":"ls","args":{"dir":"."}},"thoughtSignature":"CpwB"}]},
	  {"role":"user","parts":[{"functionResponse":{"id":"c1","name":"ls","response":{"output":"a.txt"}}}]}],
	 "tools":[{"functionDeclarations":[{"name":"ls","parametersJsonSchema":{"type":"object","properties":{"dir":{"type":"string"}}}}]}],
	 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["ls"]}},
	 "generationConfig":{"topP":0.5,"topK":3,"maxOutputTokens":9,"stopSequences":["E"],"candidateCount":1,"responseMimeType":"application/json",
	  "responseJsonSchema":{"type":"object","properties":{"a":{"type":"integer"}}},"thinkingConfig":{"includeThoughts":true,"thinkingBudget":128}},
	 "safetySettings":[{"category":"C","threshold":"OFF"}],"cachedContent":"cachedContents/a"}`, got)
}

func TestContentsComeInManyShapes(t *testing.T) {
	for name, body := range map[string]string{
		"an array":        `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
		"one object":      `{"contents":{"role":"user","parts":[{"text":"hi"}]}}`,
		"no role":         `{"contents":[{"parts":[{"text":"hi"}]}]}`,
		"one part":        `{"contents":[{"parts":{"text":"hi"}}]}`,
		"a string":        `{"contents":"hi"}`,
		"an empty object": `{"contents":[{"parts":[{"text":"hi"},{}]}]}`,
	} {
		req := decode(t, body)
		want := []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "hi"}}}}
		if d := cmp.Diff(want, req.Messages); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, system := range map[string]string{
		"a string": `"s"`, "content": `{"role":"system","parts":[{"text":"s"}]}`, "parts": `[{"text":"s"}]`, "one part": `{"text":"s"}`, "one part in content": `{"parts":{"text":"s"}}`,
	} {
		req := decode(t, `{"systemInstruction":`+system+`,"contents":"hi"}`)
		if len(req.System) != 1 || req.System[0].Text != "s" || !strings.HasPrefix(req.Seed, "s\nhi") {
			t.Errorf("%s: %+v, seed %q", name, req.System, req.Seed)
		}
	}
}

func TestPartsKeepTheirKind(t *testing.T) {
	req := decode(t, `{"contents":[{"role":"user","parts":[
	 {"inlineData":{"mimeType":"application/pdf","data":"JVBERi0"}},{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}},{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}},
	 {"fileData":{"mimeType":"image/png","fileUri":"https://x.test/a.png"}},{"fileData":{"fileUri":"gs://b/c"}},{"fileData":{"fileUri":"https://youtu.be/x"}},
	 {"fileData":{"mimeType":"image/png","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/f"}}]},
	 {"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"Cq"},{"codeExecutionResult":{"outcome":"OK"}},{"functionCall":{"name":"a"}},{"functionCall":{"name":"b"}},{"functionCall":{"name":"a","args":{"n":2}}}]},
	 {"role":"function","parts":[{"functionResponse":{"name":"b","response":{"name":"b","content":"B"}}},{"functionResponse":{"name":"a","response":{"error":"no"}}},{"functionResponse":{"name":"a","response":{"x":[1]},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]}}]}]}`)
	var b strings.Builder
	for _, m := range req.Messages {
		for i := range m.Parts {
			b.WriteString(string(m.Role) + " " + dumpPart(&m.Parts[i]) + "\n")
		}
	}
	calls := req.Messages[1].Parts[2:]
	a, bb, a2 := calls[0].CallID, calls[1].CallID, calls[2].CallID
	want := `user document application/pdf 5 bytes
user audio audio/wav 3 bytes
user video video/mp4 3 bytes
user image image/png 0 bytes https://x.test/a.png
user document 0 bytes gs://b/c
user video 0 bytes https://youtu.be/x
user image image/png 0 bytes https://generativelanguage.googleapis.com/v1beta/files/f
assistant server {"executableCode":{"language":"PYTHON","code":"1"}} [gemini call Cq]
assistant server {"codeExecutionResult":{"outcome":"OK"}} [gemini]
assistant tool_call ` + a + ` a {}
assistant tool_call ` + bb + ` b {}
assistant tool_call ` + a2 + ` a {"n":2}
user tool_result ` + bb + ` b <text "B">
user tool_result ` + a + ` a <text "no"> is_error
user tool_result ` + a2 + ` a <text "{\"x\":[1]}"> <image image/png 3 bytes>
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if a == a2 || !strings.HasPrefix(a, "fc_") || len(a) != 19 {
		t.Errorf("made ids: %q %q", a, a2)
	}
}

func TestWrongValuesAreNamedByTheirPath(t *testing.T) {
	for body, param := range map[string]string{
		`{"contents":[{"parts":[{"text":5}]}]}`:                                         "contents[0].parts[0].text",
		`{"contents":[{"parts":[{"inline_data":{"mime_type":1}}]}]}`:                    "contents[0].parts[0].inline_data.mime_type",
		`{"contents":[{"role":"bot","parts":[{"text":"a"}]}]}`:                          "contents[0].role",
		`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"*"}}]}]}`: "contents[0].parts[0].inlineData.data",
		`{"contents":[{"parts":[{"inlineData":{"data":"AAAA"}}]}]}`:                     "contents[0].parts[0].inlineData.mimeType",
		`{"contents":[{"parts":[{"fileData":{"fileUri":""}}]}]}`:                        "contents[0].parts[0].fileData.fileUri",
		`{"contents":[{"parts":[{"functionCall":{"args":{}}}]}]}`:                       "contents[0].parts[0].functionCall.name",
		`{"contents":[{"parts":[{"functionCall":{"name":"a","args":[]}}]}]}`:            "contents[0].parts[0].functionCall.args",
		`{"contents":[{"parts":[{"functionResponse":{"name":"a","response":"x"}}]}]}`:   "contents[0].parts[0].functionResponse.response",
		`{"contents":5}`:                         "contents",
		`{"contents":[]}`:                        "contents",
		`{}`:                                     "contents",
		`{"contents":"a","systemInstruction":5}`: "systemInstruction",
		`{"contents":"a","generationConfig":{"temperature":"hot"}}`:                                           "generationConfig.temperature",
		`{"contents":"a","generationConfig":{"maxOutputTokens":-1}}`:                                          "generationConfig.maxOutputTokens",
		`{"contents":"a","generationConfig":{"candidateCount":0}}`:                                            "generationConfig.candidateCount",
		`{"contents":"a","generationConfig":{"responseJsonSchema":[]}}`:                                       "generationConfig.responseJsonSchema",
		`{"contents":"a","generationConfig":{"thinkingConfig":{"thinkingLevel":"EXTREME"}}}`:                  "generationConfig.thinkingConfig.thinkingLevel",
		`{"contents":"a","toolConfig":{"functionCallingConfig":{"mode":"SOME"}}}`:                             "toolConfig.functionCallingConfig.mode",
		`{"contents":"a","toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["x"]}}}`: "toolConfig.functionCallingConfig.allowedFunctionNames[0]",
		`{"contents":"a","tools":[{"functionDeclarations":[{"name":"x"},{"name":"x"}]}]}`:                     "tools[0].functionDeclarations[1].name",
		`{"contents":"a","tools":[{"functionDeclarations":[{"description":"x"}]}]}`:                           "tools[0].functionDeclarations[0].name",
		`{"contents":"a","tools":[{"functionDeclarations":[{"name":"x","parameters":3}]}]}`:                   "tools[0].functionDeclarations[0].parameters",
		`{"contents":"a","tools":[{"functionDeclarations":[{"name":3}]}]}`:                                    "tools[0].functionDeclarations[0].name",
	} {
		_, err := Codec{}.Decode(OpGenerate, post("/v1beta/models/m:generateContent"), []byte(body))
		if err == nil {
			t.Errorf("%s was taken", body)
			continue
		}
		e := apierror.From(err)
		if e.Kind != apierror.InvalidRequest || e.Param != param {
			t.Errorf("%s:\n %s %q, want %q (%s)", body, e.Kind, e.Param, param, e.Msg)
		}
	}
	if _, err := (Codec{}).Decode(OpGenerate, post("/v1beta/models/:generateContent"), []byte(`{}`)); apierror.From(err).Param != "model" {
		t.Errorf("%v", err)
	}
}

func TestToolConfigModes(t *testing.T) {
	const tools = `,"tools":[{"functionDeclarations":[{"name":"a"},{"name":"b"}]}]`
	for config, want := range map[string]canon.ToolChoice{
		`{"mode":"AUTO"}`:      {Mode: canon.ChoiceAuto},
		`{"mode":"VALIDATED"}`: {Mode: canon.ChoiceAuto},
		`{"mode":"VALIDATED","allowedFunctionNames":["a"]}`: {Mode: canon.ChoiceAllowed, Names: []string{"a"}},
		`{"mode":"NONE"}`: {Mode: canon.ChoiceNone},
		`{"mode":"ANY"}`:  {Mode: canon.ChoiceRequired},
		`{"mode":"ANY","allowedFunctionNames":["b"]}`:     {Mode: canon.ChoiceNamed, Names: []string{"b"}},
		`{"mode":"ANY","allowedFunctionNames":["a","b"]}`: {Mode: canon.ChoiceAllowReq, Names: []string{"a", "b"}},
		`{"mode":"MODE_UNSPECIFIED"}`:                     {},
		`{}`:                                              {},
	} {
		req := decode(t, `{"contents":"a","toolConfig":{"functionCallingConfig":`+config+`}`+tools+`}`)
		if d := cmp.Diff(want, req.ToolChoice); d != "" {
			t.Errorf("%s: %s", config, d)
		}
	}
}

func TestThinkingConfigReads(t *testing.T) {
	for config, want := range map[string]canon.Reasoning{
		`{}`:                    {},
		`{"thinkingBudget":-1}`: {Mode: canon.ReasonAuto, Source: "budget"},
		`{"thinkingBudget":0}`:  {Mode: canon.ReasonOff, Source: "budget"},
		`{"thinkingBudget":9,"includeThoughts":true}`:      {Mode: canon.ReasonOn, Budget: i64(9), Source: "budget", Summary: "auto"},
		`{"thinkingLevel":"HIGH","includeThoughts":false}`: {Mode: canon.ReasonOn, Effort: "high", Source: "level", Summary: "none"},
		`{"thinkingLevel":"low"}`:                          {Mode: canon.ReasonOn, Effort: "low", Source: "level"},
		`{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}`:   {},
	} {
		req := decode(t, `{"contents":"a","generationConfig":{"thinkingConfig":`+config+`}}`)
		if d := cmp.Diff(want, req.Reasoning); d != "" {
			t.Errorf("%s: %s", config, d)
		}
	}
}

func TestLongConversationIsReadWhenNeeded(t *testing.T) {
	body := `{"systemInstruction":"s","contents":[{"role":"model","parts":[{"text":"x"}]},{"parts":[{"text":"` + strings.Repeat("a", wire.EagerLimit) + `"}]},{"parts":[{"text":5}]}]}`
	req, err := Codec{}.Decode(OpGenerate, post("/v1beta/models/m:generateContent"), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if req.Expanded() || len(req.Seed) > 2*seedLimit+1 || !strings.Contains(req.Seed, "aaa") {
		t.Errorf("expanded %v, seed of %d bytes", req.Expanded(), len(req.Seed))
	}
	if err := req.Expand(); apierror.From(err).Param != "contents[2].parts[0].text" {
		t.Errorf("%v", err)
	}
}

func TestCountMayHoldAWholeRequest(t *testing.T) {
	r := post("/v1beta/models/gemini-2.5-pro:countTokens")
	req, err := Codec{}.Decode(OpAction, r, []byte(`{"generateContentRequest":{"model":"models/x","contents":"hi","tools":[{"functionDeclarations":[{"name":"a"}]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "gemini-2.5-flash"
	body, err := NewCount(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, `{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":"hi","tools":[{"functionDeclarations":[{"name":"a"}]}]}}`, string(body))
	if _, err = (Codec{}).Decode(OpAction, r, []byte(`{"generateContentRequest":5}`)); apierror.From(err).Param != "generateContentRequest" {
		t.Errorf("%v", err)
	}
	req, err = Codec{}.Decode(OpAction, r, []byte(`{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"t","thought":true},{"text":"a"}]}],"tools":[],"generationConfig":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "gemini-2.5-flash"
	if body, err = NewCount(req, Options{}); err != nil {
		t.Fatal(err)
	}
	sameJSON(t, `{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"a"}]}]}`, string(body))
	sameJSON(t, `{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}`, string(Codec{}.AppendCount(nil, 31)))
	for body, want := range map[string]int64{`{"totalTokens":31}`: 31, `{"response":{"totalTokens":7}}`: 7, `{}`: 0, `x`: 0} {
		n, err := ParseCount([]byte(body))
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v", body, n, err)
		}
	}
}

func TestSessionAndHeaders(t *testing.T) {
	r := post("/v1beta/models/m:generateContent")
	r.Header.Set("X-Session-Id", "s1")
	r.Header.Set("Idempotency-Key", "k")
	r.Header.Set("X-Goog-Api-Key", "secret")
	req, err := Codec{}.Decode(OpAction, r, []byte(`{"contents":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if req.Conversation != "s1" {
		t.Error(req.Conversation)
	}
	if d := cmp.Diff(map[string][]string{"Idempotency-Key": {"k"}}, req.Headers); d != "" {
		t.Error(d)
	}
}

func TestSpellings(t *testing.T) {
	for c, s := range map[string]string{"thoughtSignature": "thought_signature", "topK": "top_k", "a": "a", "fileUri": "file_uri"} {
		if snake(c) != s || camel(s) != c || camel(c) != c {
			t.Errorf("%s %s: %s %s", c, s, snake(c), camel(s))
		}
	}
	if camel("_responseJsonSchema") != "_responseJsonSchema" {
		t.Error(camel("_responseJsonSchema"))
	}
}
