package simulator

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	gem25 = "gemini-2.5-flash"
	gem3  = "gemini-3.5-flash"
)

// content is one content of a Gemini request.
func content(role string, parts ...any) m { return m{"role": role, "parts": parts} }

func says(text string) m { return content("user", m{"text": text}) }

func gem(contents any, more ...any) m {
	o := m{"contents": contents}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// gemini asks a model; path is the action with its query.
func (c call) gemini(t *testing.T, s *Server, model, action string) answer {
	t.Helper()
	c.upstream, c.path = Gemini, "/v1beta/models/"+model+":"+action
	return c.google().do(t, s)
}

func (c call) google() call {
	head := map[string]string{"Authorization": "", "X-Goog-Api-Key": "sk-sim-one"}
	for k, v := range c.head {
		head[k] = v
	}
	c.head = head
	return c
}

// gemText is the text of an answer, streamed or not, without thoughts.
func gemText(t *testing.T, a answer) string {
	t.Helper()
	out := ""
	for _, r := range gemPieces(t, a) {
		list, _ := at(r, "candidates", 0, "content", "parts").([]any)
		for _, p := range list {
			if text, ok := at(p, "text").(string); ok && at(p, "thought") == nil {
				out += text
			}
		}
	}
	return out
}

// gemPieces are the responses of an answer in whichever form it came.
func gemPieces(t *testing.T, a answer) []any {
	t.Helper()
	if strings.HasPrefix(a.head.Get("Content-Type"), "text/event-stream") {
		var out []any
		for _, e := range a.events(t) {
			out = append(out, e.data)
		}
		return out
	}
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v\n%s", err, a.body)
	}
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// gemCalls are the function call parts of an answer.
func gemCalls(t *testing.T, a answer) []any {
	t.Helper()
	var out []any
	for _, r := range gemPieces(t, a) {
		list, _ := at(r, "candidates", 0, "content", "parts").([]any)
		for _, p := range list {
			if at(p, "functionCall") != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

var gemTool = m{"functionDeclarations": []any{m{"name": "Bash", "description": "run", "parameters": m{"type": "OBJECT",
	"properties": m{"command": m{"type": "STRING"}}, "required": []any{"command"}}}}}

func TestGeminiStreams(t *testing.T) {
	s := start(t)
	body := gem([]any{says("[[text:text=One two,in=120,out=34,cached=96,reasoning=20]]")})
	a := call{body: body}.gemini(t, s, gem25, "streamGenerateContent?alt=sse")
	want := "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"One\"}],\"role\":\"model\"},\"index\":0}]," +
		"\"usageMetadata\":{\"promptTokenCount\":120,\"totalTokenCount\":120,\"cachedContentTokenCount\":96,\"cacheTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":96}]," +
		"\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":120}]},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"00000000000001\"}\r\n\r\n" +
		"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" two\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}]," +
		"\"usageMetadata\":{\"promptTokenCount\":120,\"candidatesTokenCount\":14,\"totalTokenCount\":154,\"cachedContentTokenCount\":96,\"cacheTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":96}]," +
		"\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":120}],\"thoughtsTokenCount\":20},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"00000000000001\"}\r\n\r\n"
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
	a = call{body: body}.gemini(t, s, gem25, "streamGenerateContent")
	if !strings.HasPrefix(a.body, "[{") || !strings.Contains(a.body, "},\r\n{") || !strings.HasSuffix(a.body, "\n]\n") || a.head.Get("Content-Type") != "application/json; charset=UTF-8" {
		t.Errorf("%s %q", a.head.Get("Content-Type"), a.body)
	}
	if got := gemPieces(t, a); len(got) != 2 || gemText(t, a) != "One two" {
		t.Errorf("%v", got)
	}
	a = call{body: body}.gemini(t, s, gem25, "generateContent")
	if got := gemText(t, a); got != "One two" || at(a.json(t), "usageMetadata", "totalTokenCount") != 154.0 {
		t.Errorf("%s", a.body)
	}
	for name, contents := range map[string]any{"text": says("hi"), "old names": gem(nil)} {
		o := gem(contents)
		if name == "old names" {
			o = m{"contents": m{"parts": m{"text": "hi"}}, "system_instruction": m{"parts": []any{m{"text": "Be brief."}}}, "generation_config": m{"max_output_tokens": 50}}
		}
		if a := (call{body: o}).gemini(t, s, gem25, "generateContent"); a.status != 200 || !strings.Contains(gemText(t, a), "You said: hi") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

func TestGeminiSignatures(t *testing.T) {
	s := start(t)
	end := func(a answer) any {
		list := gemPieces(t, a)
		return at(list[len(list)-1], "candidates", 0, "content", "parts", 0)
	}
	a := call{body: gem([]any{says("[[text:text=Hm]]")})}.gemini(t, s, gem3, "streamGenerateContent?alt=sse")
	if p := end(a); at(p, "text") != "" || !ownSignature(at(p, "thoughtSignature").(string)) {
		t.Errorf("the last piece of a text: %s", a.body)
	}
	a = call{body: gem([]any{says("[[text:text=Hm]]")})}.gemini(t, s, gem3, "generateContent")
	if p := end(a); at(p, "text") != "Hm" || at(p, "thoughtSignature") == nil {
		t.Errorf("the text: %s", a.body)
	}
	a = call{body: gem([]any{says("[[text:text=Hm]]")})}.gemini(t, s, gem25, "generateContent")
	if strings.Contains(a.body, "thoughtSignature") {
		t.Errorf("2.5 signs no text: %s", a.body)
	}
	for _, action := range []string{"generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"} {
		a = call{body: gem([]any{says("[[parallel_tools:count=2]]")}, "tools", []any{gemTool}, "generationConfig", m{"thinkingConfig": m{"includeThoughts": true}})}.gemini(t, s, gem3, action)
		calls := gemCalls(t, a)
		if len(calls) != 2 || at(calls[0], "thoughtSignature") == nil || at(calls[1], "thoughtSignature") != nil || at(calls[0], "functionCall", "args", "command") != "ls" || at(calls[0], "functionCall", "id") == nil {
			t.Errorf("%s: %s", action, a.body)
		}
		if !strings.Contains(a.body, `"thought":true`) {
			t.Errorf("%s: thoughts were asked for: %s", action, a.body)
		}
	}
	a = call{body: gem([]any{says("[[tool_call]]")}, "tools", []any{gemTool})}.gemini(t, s, gem25, "generateContent")
	if calls := gemCalls(t, a); at(calls[0], "functionCall", "id") != nil || at(calls[0], "thoughtSignature") != nil {
		t.Errorf("2.5 without thinking: %s", a.body)
	}
	if ownSignature("E") || ownSignature("!") || ownSignature(mint("x", "claude-opus-4-8", 1)) || !ownSignature(signThought(3)) {
		t.Error("signatures")
	}
}

func TestGeminiTurnRules(t *testing.T) {
	s := start(t)
	sig := signThought(9)
	fc := func(id, name string, more ...any) m {
		p := m{"functionCall": m{"name": name, "args": m{"command": "ls"}}}
		if id != "" {
			p["functionCall"].(m)["id"] = id
		}
		for i := 0; i+1 < len(more); i += 2 {
			p[more[i].(string)] = more[i+1]
		}
		return p
	}
	fr := func(id, name string, response any) m {
		r := m{"name": name, "response": response}
		if id != "" {
			r["id"] = id
		}
		return m{"functionResponse": r}
	}
	out := m{"output": "marker-1.txt"}
	user := says("list the files")
	png := m{"inlineData": m{"mimeType": "image/png", "data": base64.StdEncoding.EncodeToString(pngImage(t, 3, 2))}}
	for name, c := range map[string]struct {
		model    string
		contents []any
		words    string // of the refusal, or of the answer
		ok       bool
	}{
		"a loop":                {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", sig)), content("user", fr("a", "Bash", out))}, "The Bash said: marker-1.txt", true},
		"without ids":           {gem25, []any{user, content("model", fc("", "Bash")), content("user", fr("", "Bash", out))}, "The Bash said: marker-1.txt", true},
		"an error":              {gem25, []any{user, content("model", fc("", "Bash")), content("function", fr("", "Bash", m{"error": "no"}))}, "The Bash failed with: no", true},
		"another object":        {gem25, []any{user, content("model", fc("", "Bash")), content("user", fr("", "Bash", m{"a": 1}))}, `{"a":1}`, true},
		"an image behind":       {gem25, []any{user, content("model", fc("", "Bash")), content("user", fr("", "Bash", out), png)}, "(with 1 images)", true},
		"an image inside":       {gem3, []any{user, content("model", fc("", "Bash", "thoughtSignature", sig)), content("user", m{"functionResponse": m{"name": "Bash", "response": out, "parts": []any{png}}})}, "(with 1 images)", true},
		"an image inside, 2.5":  {gem25, []any{user, content("model", fc("", "Bash")), content("user", m{"functionResponse": m{"name": "Bash", "response": out, "parts": []any{png}}})}, "not supported for this model", false},
		"unsigned":              {gem3, []any{user, content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out))}, "Function call is missing a thought_signature in functionCall parts.", false},
		"unsigned, where":       {gem3, []any{user, content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out))}, "function call `default_api:Bash` , position 2.", false},
		"unsigned, 2.5":         {gem25, []any{user, content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out))}, "marker", true},
		"siblings unsigned":     {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", sig), fc("b", "Bash")), content("user", fr("a", "Bash", out), fr("b", "Bash", out))}, "marker", true},
		"second step unsigned":  {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", sig)), content("user", fr("a", "Bash", out)), content("model", fc("b", "Bash")), content("user", fr("b", "Bash", out))}, "position 4", false},
		"an old turn unsigned":  {gem3, []any{user, content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out)), content("model", m{"text": "ok"}), says("and now?")}, "You said: and now?", true},
		"skipped":               {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", skipSignature[0])), content("user", fr("a", "Bash", out))}, "marker", true},
		"skipped, encoded":      {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", base64.StdEncoding.EncodeToString([]byte(skipSignature[1])))), content("user", fr("a", "Bash", out))}, "marker", true},
		"skipped on a text":     {gem3, []any{user, content("model", m{"text": "x", "thoughtSignature": skipSignature[0]}), user}, "for function calls only", false},
		"foreign signature":     {gem3, []any{user, content("model", fc("a", "Bash", "thoughtSignature", mint("x", "claude-opus-4-8", 1))), content("user", fr("a", "Bash", out))}, "Corrupted thought signature.", false},
		"foreign, on a text":    {gem25, []any{user, content("model", m{"text": "x", "thought_signature": "CpwB"}), user}, "Corrupted thought signature.", false},
		"not base64":            {gem3, []any{user, content("model", m{"text": "x", "thoughtSignature": "pb1.claude"}), user}, "Base64 decoding failed for", false},
		"one result missing":    {gem25, []any{user, content("model", fc("a", "Bash"), fc("b", "Bash")), content("user", fr("a", "Bash", out))}, "number of function response parts is equal to the number of function call parts", false},
		"results in two":        {gem25, []any{user, content("model", fc("a", "Bash"), fc("b", "Bash")), content("user", fr("a", "Bash", out)), content("user", fr("b", "Bash", out))}, "number of function response parts", false},
		"no result":             {gem25, []any{user, content("model", fc("a", "Bash")), says("never mind")}, "number of function response parts", false},
		"results in disorder":   {gem25, []any{user, content("model", fc("", "Bash"), fc("", "ls")), content("user", fr("", "ls", out), fr("", "Bash", out))}, "in the order of the function calls", false},
		"another id":            {gem25, []any{user, content("model", fc("a", "Bash")), content("user", fr("b", "Bash", out))}, "ids of their function calls", false},
		"a result alone":        {gem25, []any{user, content("user", fr("a", "Bash", out))}, "function response turn comes immediately after a function call turn", false},
		"a call first":          {gem25, []any{content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out))}, "function call turn comes immediately after a user turn", false},
		"a call after a word":   {gem25, []any{user, content("model", m{"text": "x"}), content("model", fc("a", "Bash")), content("user", fr("a", "Bash", out))}, "function call turn comes immediately", false},
		"a model's end":         {gem25, []any{user, content("model", m{"text": "x"})}, "end with a user turn", false},
		"a result as text":      {gem25, []any{user, content("model", fc("", "Bash")), content("user", fr("", "Bash", "x"))}, "(type.googleapis.com/google.protobuf.Struct), \\\"x\\\"", false},
		"a result missing":      {gem25, []any{user, content("model", fc("", "Bash")), content("user", m{"functionResponse": m{"name": "Bash"}})}, "response is required", false},
		"a result without name": {gem25, []any{user, content("model", fc("", "Bash")), content("user", m{"functionResponse": m{"response": out}})}, "function_response.name: Name cannot be empty.", false},
		"arguments as text":     {gem25, []any{user, content("model", m{"functionCall": m{"name": "Bash", "args": "{}"}}), content("user", fr("", "Bash", out))}, "function_call.args", false},
		"an unknown role":       {gem25, []any{m{"role": "system", "parts": []any{m{"text": "x"}}}, user}, "Please use a valid role: user, model.", false},
		"no parts":              {gem25, []any{m{"role": "user", "parts": []any{}}}, "contents[0].parts: contents.parts must not be empty.", false},
		"an empty part":         {gem25, []any{content("user", m{})}, "required oneof field 'data'", false},
		"two in one part":       {gem25, []any{content("user", m{"text": "x", "inlineData": png["inlineData"]})}, "oneof field 'data' is already set", false},
		"no contents":           {gem25, []any{}, "contents: contents is not specified", false},
		"an animation":          {gem25, []any{content("user", m{"inlineData": m{"mimeType": "image/gif", "data": "R0lGODlh"}})}, "Unsupported MIME type: image/gif", false},
		"no image":              {gem25, []any{content("user", m{"inlineData": m{"mimeType": "image/png", "data": "aGVsbG8="}})}, "Unable to process input image", false},
		"no pdf":                {gem25, []any{content("user", m{"inlineData": m{"mimeType": "application/pdf", "data": "aGVsbG8="}})}, "The document has no pages.", false},
		"no kind":               {gem25, []any{content("user", m{"inlineData": m{"data": "aGVsbG8="}})}, "Unsupported MIME type", false},
		"an address":            {gem25, []any{content("user", m{"fileData": m{"fileUri": "https://example.test/a.png"}})}, "Invalid or unsupported file uri", false},
		"a data address":        {gem25, []any{content("user", m{"inlineData": m{"mimeType": "image/png", "data": pngURL(t)}})}, "Base64 decoding failed", false},
		"media": {gem25, []any{content("user", m{"text": "see"}, png, m{"inlineData": m{"mimeType": "audio/wav", "data": "aGk="}}, m{"inlineData": m{"mimeType": "image/jpeg", "data": png["inlineData"].(m)["data"]}},
			m{"fileData": m{"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}}, m{"inlineData": m{"mimeType": "image/heic", "data": "aGk="}}, m{"inlineData": m{"mimeType": "application/pdf", "data": "JVBERg=="}})}, "images: 3 (image/png 3x2", true},
	} {
		a := call{body: gem(c.contents, "tools", []any{gemTool})}.gemini(t, s, c.model, "generateContent")
		if c.ok != (a.status == 200) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		got := a.body
		if c.ok {
			got = gemText(t, a)
		} else if a.status != 400 || at(a.json(t), "error", "status") != "INVALID_ARGUMENT" {
			t.Errorf("%s: %s", name, a.body)
		}
		if !strings.Contains(got, c.words) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestGeminiFieldRules(t *testing.T) {
	s := start(t)
	params := func(schema m) m {
		return gem([]any{says("hi")}, "tools", []any{m{"functionDeclarations": []any{m{"name": "a", "parameters": schema}}}})
	}
	config := func(pairs ...any) m {
		g := m{}
		for i := 0; i+1 < len(pairs); i += 2 {
			g[pairs[i].(string)] = pairs[i+1]
		}
		return gem([]any{says("json please")}, "generationConfig", g)
	}
	thinking := func(pairs ...any) m {
		g := m{}
		for i := 0; i+1 < len(pairs); i += 2 {
			g[pairs[i].(string)] = pairs[i+1]
		}
		return config("thinkingConfig", g)
	}
	obj := m{"type": "OBJECT", "properties": m{"a": m{"type": "STRING"}}}
	with := func(name string, v any) m {
		return params(m{"type": "OBJECT", "properties": m{"a": m{"type": "STRING", name: v}}})
	}
	at0 := `at 'tools[0].function_declarations[0].parameters.properties[0].value': Cannot find field.`
	for name, c := range map[string]struct {
		model string
		body  any
		words string // "" = fine
	}{
		"unknown field":        {gem25, gem([]any{says("hi")}, "stream", true), `Unknown name \"stream\": Cannot find field.`},
		"labels":               {gem25, gem([]any{says("hi")}, "labels", m{}), `Unknown name \"labels\"`},
		"a role too much":      {gem25, gem([]any{m{"parts": []any{m{"text": "x"}}, "name": "y"}}), `Unknown name \"name\" at 'contents[0]'`},
		"$schema":              {gem25, params(m{"type": "OBJECT", "$schema": "x"}), `Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters': Cannot find field.`},
		"additionalProperties": {gem25, params(m{"type": "OBJECT", "additionalProperties": false}), "additionalProperties"},
		"const":                {gem25, with("const", 1), `Unknown name \"const\" ` + at0},
		"exclusiveMinimum":     {gem25, with("exclusiveMinimum", 1), at0},
		"$ref":                 {gem25, with("$ref", "x"), at0},
		"oneOf":                {gem25, with("oneOf", []any{}), at0},
		"a list of types":      {gem25, params(m{"type": "OBJECT", "properties": m{"a": m{"type": []any{"STRING", "NULL"}}}}), "Proto field is not repeating, cannot start list."},
		"an unknown type":      {gem25, params(m{"type": "OBJECT", "properties": m{"a": m{"type": "any"}}}), `(type.googleapis.com/google.ai.generativelanguage.v1beta.Type), \"any\"`},
		"a number in an enum":  {gem25, with("enum", []any{1}), `(TYPE_STRING), 1`},
		"an enum of numbers":   {gem25, params(m{"type": "OBJECT", "properties": m{"a": m{"type": "INTEGER", "enum": []any{"1"}}}}), "enum: only allowed for STRING type"},
		"an empty choice":      {gem25, with("enum", []any{""}), "enum[0]: cannot be empty"},
		"a format":             {gem25, with("format", "uri"), "format: only 'enum' and 'date-time' are supported for STRING type"},
		"a list of nothing":    {gem25, params(m{"type": "OBJECT", "properties": m{"a": m{"type": "ARRAY"}}}), "properties[a].items: missing field."},
		"no type":              {gem25, params(m{"type": "OBJECT", "properties": m{"a": m{"description": "x"}}}), "properties[a].type: must be specified"},
		"required":             {gem25, params(m{"type": "OBJECT", "properties": m{}, "required": []any{"b"}}), "required[0]: property is not defined"},
		"no object":            {gem25, params(m{"type": "STRING"}), "parameters.type: must be OBJECT"},
		"a name":               {gem25, gem([]any{says("hi")}, "tools", []any{m{"functionDeclarations": []any{m{"name": "a b"}}}}), "Invalid function name"},
		"twice":                {gem25, gem([]any{says("hi")}, "tools", []any{gemTool, gemTool}), "Duplicate function declaration found: Bash"},
		"both schemas":         {gem25, gem([]any{says("hi")}, "tools", []any{m{"functionDeclarations": []any{m{"name": "a", "parameters": obj, "parametersJsonSchema": m{"type": "object"}}}}}), "must not both be set"},
		"json schema":          {gem25, gem([]any{says("hi")}, "tools", []any{m{"functionDeclarations": []any{m{"name": "a", "parametersJsonSchema": m{"type": "string"}}}}}), "must be of type object"},
		"search and functions": {gem25, gem([]any{says("hi")}, "tools", []any{gemTool, m{"googleSearch": m{}}}), "Tool use with function calling is unsupported"},
		"allowed names":        {gem25, gem([]any{says("hi")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "AUTO", "allowedFunctionNames": []any{"Bash"}}}), "only be set when mode is ANY"},
		"allowed unknown":      {gem25, gem([]any{says("hi")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "ANY", "allowedFunctionNames": []any{"ls"}}}), "ls is not a declared function"},
		"choice without":       {gem25, gem([]any{says("hi")}, "toolConfig", m{"functionCallingConfig": m{"mode": "ANY"}}), "without function_declarations"},
		"a mode":               {gem25, gem([]any{says("hi")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "MUST"}}), "FunctionCallingConfig.Mode"},
		"temperature":          {gem25, config("temperature", 3), "temperature: must be in the range [0, 2]"},
		"temperature as text":  {gem25, config("temperature", "warm"), "(TYPE_FLOAT)"},
		"output":               {gem25, config("maxOutputTokens", 100000), "max_output_tokens: must be in the range"},
		"output as a fraction": {gem25, config("maxOutputTokens", 1.5), "(TYPE_INT32)"},
		"stops":                {gem25, config("stopSequences", []any{"1", "2", "3", "4", "5", "6"}), "at most 5 items"},
		"an empty stop":        {gem25, config("stopSequences", []any{""}), "cannot be empty"},
		"logprobs":             {gem25, config("logprobs", 3), "only allowed when response_logprobs is true"},
		"mime":                 {gem25, config("responseMimeType", "text/html"), "allowed mimetypes"},
		"schema without mime":  {gem25, config("responseSchema", obj), "only allowed when response_mime_type"},
		"two schemas":          {gem25, config("responseSchema", obj, "responseJsonSchema", m{"type": "object"}, "responseMimeType", "application/json"), "must not both be set"},
		"schema's words":       {gem25, config("responseSchema", m{"type": "OBJECT", "additionalProperties": false}, "responseMimeType", "application/json"), "additionalProperties"},
		"json and functions":   {gem25, gem([]any{says("hi")}, "tools", []any{gemTool}, "generationConfig", m{"responseMimeType": "application/json"}), "Function calling with a response mime type: 'application/json' is unsupported"},
		"modality":             {gem25, config("responseModalities", []any{"SMELL"}), "GenerationConfig.Modality"},
		"budget and level":     {gem3, thinking("thinkingBudget", 1000, "thinkingLevel", "LOW"), "only set only one of"},
		"level on 2.5":         {gem25, thinking("thinkingLevel", "LOW"), "Thinking level is not supported for this model."},
		"level of another":     {"gemini-3-pro-preview", thinking("thinkingLevel", "MINIMAL"), "Thinking level MINIMAL is not supported"},
		"budget too large":     {gem25, thinking("thinkingBudget", 30000), "between 0 and 24576"},
		"budget too small":     {"gemini-2.5-pro", thinking("thinkingBudget", 10), "The thinking budget 10 is invalid. Please choose a value between 128 and 32768."},
		"budget 0":             {"gemini-2.5-pro", thinking("thinkingBudget", 0), "Budget 0 is invalid. This model only works in thinking mode."},
		"thoughts without":     {gem25, thinking("thinkingBudget", 0, "includeThoughts", true), "only enabled when thinking is enabled"},
		"safety":               {gem25, gem([]any{says("hi")}, "safetySettings", []any{m{"category": "HARM_CATEGORY_X", "threshold": "OFF"}}), "HarmCategory"},
		"cache":                {gem25, gem([]any{says("hi")}, "cachedContent", "cachedContents/a"), "CachedContent not found"},
		"system as text":       {gem25, gem([]any{says("hi")}, "systemInstruction", "x"), "Invalid value at 'system_instruction'"},
		"system image":         {gem25, gem([]any{says("hi")}, "systemInstruction", m{"parts": []any{m{"inlineData": m{"mimeType": "image/png", "data": "aGk="}}}}), "only text is supported"},
		"a list of bools":      {gem25, thinking("includeThoughts", "yes"), "(TYPE_BOOL)"},
		"properties as a list": {gem25, params(m{"type": "OBJECT", "properties": 5}), "(map)"},
		"not JSON":             {gem25, "{", "Invalid JSON payload received."},
		"not an object":        {gem25, "5", "Invalid value"},
		"no such model":        {"gemini-0", gem([]any{says("hi")}), "models/gemini-0 is not found for API version v1beta"},
		"an embedding model":   {"gemini-embedding-001", gem([]any{says("hi")}), "is not supported for generateContent"},

		"lower case":     {gem25, params(m{"type": "object", "properties": m{"a": m{"type": "string"}, "b": m{"anyOf": []any{m{"type": "integer", "minimum": "1"}, m{"type": "null"}}}, "c": m{"type": "array", "items": m{"type": "number"}}}}), ""},
		"JSON schema":    {gem25, gem([]any{says("hi")}, "tools", []any{m{"function_declarations": []any{m{"name": "a", "parametersJsonSchema": m{"$schema": "x", "type": "object", "additionalProperties": false}}}}}), ""},
		"mixed on 3":     {gem3, gem([]any{says("hi")}, "tools", []any{gemTool, m{"googleSearch": m{}}}), ""},
		"no level":       {gem25, thinking("thinkingLevel", "THINKING_LEVEL_UNSPECIFIED", "thinkingBudget", -1), ""},
		"for a scenario": {"sim-text", thinking("thinkingLevel", "LOW"), ""},
		"validated":      {gem25, gem([]any{says("hi")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "VALIDATED"}}), ""},
		"json on 3":      {gem3, gem([]any{says("hi")}, "tools", []any{gemTool}, "generationConfig", m{"responseMimeType": "application/json"}), ""},
	} {
		a := call{body: c.body}.gemini(t, s, c.model, "generateContent")
		if (c.words == "") != (a.status == 200) || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := call{body: gem([]any{says("hi")}, "x", 1, "y", 2)}.gemini(t, s, gem25, "generateContent")
	if at(a.json(t), "error", "details", 0, "fieldViolations", 1, "field") != "y" || strings.Count(a.body, "Unknown name") != 4 {
		t.Errorf("all faults are told at once: %s", a.body)
	}
}

func TestGeminiAnswersWhatIsAsked(t *testing.T) {
	s := start(t)
	schema := m{"type": "OBJECT", "properties": m{"title": m{"type": "STRING"}}, "required": []any{"title"}}
	a := call{body: gem([]any{says("name this talk")}, "generationConfig", m{"responseMimeType": "application/json", "responseSchema": schema})}.gemini(t, s, gem25, "generateContent")
	if got := gemText(t, a); got != `{"title":"name this talk"}` {
		t.Errorf("%s", got)
	}
	a = call{body: gem([]any{says("hi")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "ANY", "allowedFunctionNames": []any{"Bash"}}})}.gemini(t, s, gem25, "generateContent")
	if len(gemCalls(t, a)) != 1 {
		t.Errorf("%s", a.body)
	}
	a = call{body: gem([]any{says("list the files")}, "tools", []any{gemTool}, "toolConfig", m{"functionCallingConfig": m{"mode": "NONE"}})}.gemini(t, s, gem25, "generateContent")
	if len(gemCalls(t, a)) != 0 {
		t.Errorf("%s", a.body)
	}
	for scenario, want := range map[string]string{"length": "MAX_TOKENS", "content_filter": "SAFETY", "malformed_call": "MALFORMED_FUNCTION_CALL", "empty": "STOP", "tool_call": "STOP",
		"finish:reason=RECITATION": "RECITATION", "refusal": "STOP", "stop_sequence": "STOP", "pause": "STOP", "redacted_thinking": "STOP", "cut_call": "MAX_TOKENS"} {
		for _, action := range []string{"generateContent", "streamGenerateContent?alt=sse"} {
			a := call{body: gem([]any{says("[[" + scenario + "]]")})}.gemini(t, s, gem25, action)
			list := gemPieces(t, a)
			if got := at(list[len(list)-1], "candidates", 0, "finishReason"); got != want {
				t.Errorf("%s: %v", scenario, got)
			}
		}
	}
	for _, action := range []string{"generateContent", "streamGenerateContent?alt=sse"} {
		a := call{body: gem([]any{says("[[blocked]]")})}.gemini(t, s, gem3, action)
		if v := gemPieces(t, a)[0]; at(v, "promptFeedback", "blockReason") != "PROHIBITED_CONTENT" || at(v, "candidates") != nil {
			t.Errorf("%s", a.body)
		}
		a = call{body: gem([]any{says("[[empty+no_usage]]")})}.gemini(t, s, gem25, action)
		if v := gemPieces(t, a)[0]; at(v, "candidates", 0, "content", "parts") != nil || at(v, "candidates", 0, "content", "role") != "model" || at(v, "usageMetadata") != nil {
			t.Errorf("%s", a.body)
		}
	}
	for model, pieces := range map[string]int{gem25: 2, gem3: 2} {
		a := call{body: gem([]any{says("[[text+missing_done:text=One two]]")})}.gemini(t, s, model, "streamGenerateContent?alt=sse")
		if got := gemPieces(t, a); len(got) != pieces || strings.Contains(a.body, "finishReason") || gemText(t, a) != "One two" {
			t.Errorf("%s: %s", model, a.body)
		}
	}
	a = call{body: gem([]any{says("[[error_chunk:after=1]] go on")})}.gemini(t, s, gem25, "streamGenerateContent?alt=sse")
	if got := gemPieces(t, a); at(got[len(got)-1], "error", "status") != "INTERNAL" {
		t.Errorf("%s", a.body)
	}
	a = call{body: gem([]any{says("[[overload_in_200]] go on")})}.gemini(t, s, gem25, "streamGenerateContent")
	if got := gemPieces(t, a); at(got[0], "error", "code") != 503.0 {
		t.Errorf("%s", a.body)
	}
	a = call{body: gem([]any{says("hi")}, "generationConfig", m{"candidateCount": 2})}.gemini(t, s, gem25, "generateContent")
	if at(a.json(t), "candidates", 1, "index") != 1.0 {
		t.Errorf("%s", a.body)
	}
}

func TestGeminiErrors(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string]struct {
		code   int
		status string
		words  string
	}{
		"rate_limit:retry_after=7": {429, "RESOURCE_EXHAUSTED", `"retryDelay":"7s"`}, "rate_limit_no_time": {429, "RESOURCE_EXHAUSTED", "PerMinutePerProjectPerModel"},
		"insufficient_quota": {429, "RESOURCE_EXHAUSTED", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}, "billing": {429, "RESOURCE_EXHAUSTED", "prepayment"},
		"unauthorized": {400, "INVALID_ARGUMENT", `"reason":"API_KEY_INVALID"`}, "forbidden": {403, "PERMISSION_DENIED", "denied access"},
		"not_found": {404, "NOT_FOUND", "is not found for API version"}, "context_too_long:tokens=9,limit=8": {400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."},
		"too_large": {400, "INVALID_ARGUMENT", "payload size"}, "server_error": {500, "INTERNAL", "internal error"}, "overload": {503, "UNAVAILABLE", "overloaded"},
		"timeout": {504, "DEADLINE_EXCEEDED", "Deadline expired"}, "location": {400, "FAILED_PRECONDITION", "User location is not supported"},
		"invalid_signature": {400, "INVALID_ARGUMENT", "Corrupted thought signature."},
	} {
		for _, action := range []string{"generateContent", "streamGenerateContent?alt=sse"} {
			a := call{body: gem([]any{says("[[" + scenario + "]]")})}.gemini(t, s, gem25, action)
			if e := at(a.json(t), "error"); a.status != want.code || at(e, "code") != float64(want.code) || at(e, "status") != want.status || !strings.Contains(a.body, want.words) {
				t.Errorf("%s: %d %s", scenario, a.status, a.body)
			}
		}
	}
	for name, c := range map[string]struct {
		head   map[string]string
		query  string
		status int
		words  string
	}{
		"no key":     {map[string]string{"X-Goog-Api-Key": ""}, "", 403, "unregistered callers"},
		"wrong key":  {map[string]string{"X-Goog-Api-Key": "AIza-wrong"}, "", 400, "API key not valid"},
		"bearer":     {map[string]string{"X-Goog-Api-Key": "", "Authorization": "Bearer sk-sim-one"}, "", 401, "UNAUTHENTICATED"},
		"both":       {map[string]string{"Authorization": "Bearer sk-sim-one"}, "", 401, "UNAUTHENTICATED"},
		"in the URL": {map[string]string{"X-Goog-Api-Key": ""}, "?key=sk-sim-one", 400, "API key not valid"},
	} {
		a := call{body: gem([]any{says("hi")}), head: c.head}.gemini(t, s, gem25, "generateContent"+c.query)
		if a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, path := range []string{"/v1beta/models/x", "/v1beta/models/gemini-2.5-pro:predict", "/v1beta/files"} {
		if a := (call{upstream: Gemini, path: path, body: "{}"}).google().do(t, s); a.status != 404 || at(a.json(t), "error", "status") != "NOT_FOUND" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestGeminiModelsTokensAndVectors(t *testing.T) {
	s := start(t)
	var names []any
	query := "?pageSize=4"
	for pages := 0; ; pages++ {
		v := call{upstream: Gemini, method: "GET", path: "/v1beta/models" + query}.google().do(t, s).json(t)
		list, _ := v["models"].([]any)
		for _, one := range list {
			names = append(names, at(one, "name"))
		}
		token, more := v["nextPageToken"].(string)
		if !more {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
		query = "?pageSize=4&pageToken=" + token
	}
	if len(names) != len(geminiModels) || names[0] != "models/gemini-2.5-pro" {
		t.Errorf("%v", names)
	}
	for path, status := range map[string]int{"": 200, "?pageSize=-1": 400, "?pageToken=x": 400, "/gemini-2.5-pro": 200, "/gemini-0": 404} {
		if a := (call{upstream: Gemini, method: "GET", path: "/v1beta/models" + path}).google().do(t, s); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for name, c := range map[string]struct {
		action string
		body   any
		status int
		words  string
	}{
		"count":           {"countTokens", gem([]any{says("hi")}), 200, `"totalTokens":`},
		"count a request": {"countTokens", m{"generateContentRequest": m{"model": "models/" + gem25, "contents": []any{says("hi")}, "tools": []any{gemTool}}}, 200, "promptTokensDetails"},
		"count tools":     {"countTokens", gem([]any{says("hi")}, "tools", []any{gemTool}), 400, `Unknown name \"tools\"`},
		"count both":      {"countTokens", m{"contents": says("hi"), "generateContentRequest": m{}}, 400, "must not both be set"},
		"count nothing":   {"countTokens", m{}, 400, "contents is not specified"},
		"embed wrong":     {"embedContent", m{"content": says("hi")}, 404, "not supported for embedContent"},
	} {
		if a := (call{body: c.body}).gemini(t, s, gem25, c.action); a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	const model = "gemini-embedding-001"
	one := m{"model": "models/" + model, "content": m{"parts": []any{m{"text": "hi"}}}}
	a := call{body: one}.gemini(t, s, model, "embedContent")
	if v, _ := at(a.json(t), "embedding", "values").([]any); len(v) != 8 {
		t.Errorf("%s", a.body)
	}
	a = call{body: m{"requests": []any{one, m{"model": "models/" + model, "content": says("hi"), "outputDimensionality": 4, "taskType": "RETRIEVAL_QUERY"}}}}.gemini(t, s, model, "batchEmbedContents")
	if v, _ := at(a.json(t), "embeddings", 1, "values").([]any); len(v) != 4 {
		t.Errorf("%s", a.body)
	}
	for name, c := range map[string]struct {
		action string
		body   m
	}{
		"empty":         {"embedContent", m{}},
		"other model":   {"batchEmbedContents", m{"requests": []any{m{"model": "models/x", "content": says("hi")}}}},
		"no model":      {"batchEmbedContents", m{"requests": []any{m{"content": says("hi")}}}},
		"no requests":   {"batchEmbedContents", m{"requests": []any{}}},
		"empty request": {"batchEmbedContents", m{"requests": []any{m{"model": "models/" + model}}}},
	} {
		if a := (call{body: c.body}).gemini(t, s, model, c.action); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.Script(Gemini+"/countTokens", "overload")
	if a := (call{body: gem([]any{says("hi")})}).gemini(t, s, gem25, "countTokens"); a.status != 503 {
		t.Errorf("%s", a.body)
	}
}
