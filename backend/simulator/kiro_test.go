package simulator

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// kiroBody is a conversation of three messages with a call and its result.
func kiroBody(change func(m)) m {
	say := func(text string, more ...any) m {
		u := m{"content": text, "modelId": "claude-sonnet-4.5", "origin": "AI_EDITOR"}
		for i := 0; i+1 < len(more); i += 2 {
			u[more[i].(string)] = more[i+1]
		}
		return m{"userInputMessage": u}
	}
	b := m{"profileArn": kiroSocialARN, "agentMode": "vibe", "conversationState": m{
		"conversationId": "0b6f6d5e-7d1c-4c86-9f6a-2f1f0c1f7a10", "agentTaskType": "vibe", "chatTriggerType": "MANUAL",
		"history": []any{say("list"), m{"assistantResponseMessage": m{"content": " ", "toolUses": []any{m{"toolUseId": "t1", "name": "Bash", "input": m{"command": "ls"}}}}}},
		"currentMessage": say("Tool results provided.", "userInputMessageContext", m{
			"toolResults": []any{m{"toolUseId": "t1", "status": "success", "content": []any{m{"text": "a.txt"}}}},
			"tools":       []any{m{"toolSpecification": m{"name": "Bash", "description": "run", "inputSchema": m{"json": m{"type": "object", "properties": m{"command": m{"type": "string"}}}}}}},
		}),
	}}
	if change != nil {
		change(b)
	}
	return b
}

func kiroHeaders(token string) map[string]string {
	return map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "X-Amzn-Kiro-Agent-Mode": "vibe", "Amz-Sdk-Invocation-Id": "5f0c7a52-1c39-4a3e-8c0f-6f5f5b7d9e21",
		"User-Agent": "aws-sdk-js/1.0.34 KiroIDE-1.0.212-" + strings.Repeat("0a", 32),
	}
}

// kiroAsk sends a body to a path below the simulated Kiro.
func kiroAsk(t *testing.T, s *Server, method, path string, head map[string]string, body any) (int, http.Header, string) {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.BaseURL(Kiro)+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range head {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(out)
}

// kiroEvents takes an answer apart, and checks every checksum.
func kiroEvents(t *testing.T, body string) (kinds []string, payloads []m) {
	t.Helper()
	for b := []byte(body); len(b) > 0; {
		total, heads := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]) || crc32.ChecksumIEEE(b[:total-4]) != binary.BigEndian.Uint32(b[total-4:]) {
			t.Fatal("a checksum does not fit")
		}
		head := string(b[12 : 12+heads])
		n := int(head[0]) + 2
		kind := head[n+2 : n+2+int(head[n])<<8+int(head[n+1])]
		var v m
		if err := json.Unmarshal(b[12+heads:total-4], &v); err != nil {
			t.Fatal(err)
		}
		kinds, payloads, b = append(kinds, kind), append(payloads, v), b[total:]
	}
	return kinds, payloads
}

func kiroToken(t *testing.T, s *Server, kind, who string) string {
	t.Helper()
	g, ok := s.KiroLogins(kind).Issue(who)
	if !ok {
		t.Fatal("no such person")
	}
	return g.Access
}

func TestKiroAnswersInFrames(t *testing.T) {
	s := start(t)
	token := kiroToken(t, s, kiroSocial, "ann@example.test")
	status, head, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", kiroHeaders(token), kiroBody(nil))
	if status != 200 || head.Get("Content-Type") != binaryEvents {
		t.Fatalf("%d %v %s", status, head, body)
	}
	kinds, payloads := kiroEvents(t, body)
	text := ""
	for i, k := range kinds {
		if k == "assistantResponseEvent" {
			text += payloads[i]["content"].(string)
		}
	}
	if text != "The Bash said: a.txt" || kinds[0] != "messageMetadataEvent" || kinds[len(kinds)-1] != "metadataEvent" || payloads[len(payloads)-1]["stopReason"] != "END_TURN" {
		t.Errorf("%q %v", text, kinds)
	}
}

func TestKiroSpeaksTwoEncodings(t *testing.T) {
	s := start(t)
	h := kiroHeaders("ksk_sim-one")
	h["Content-Type"], h["X-Amz-Target"], h["Tokentype"] = "application/x-amz-json-1.0", "AmazonCodeWhispererStreamingService.GenerateAssistantResponse", "API_KEY"
	body := func(b m) {
		delete(b, "profileArn")
		raw, _ := json.Marshal(b)
		_ = json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "AI_EDITOR", "KIRO_CLI")), &b)
	}
	if status, _, text := kiroAsk(t, s, "POST", "/q/", h, kiroBody(body)); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	delete(h, "Tokentype")
	if status, _, text := kiroAsk(t, s, "POST", "/q/", h, kiroBody(body)); status != 400 || !strings.Contains(text, "profileArn is required") {
		t.Errorf("a key without its header: %d %s", status, text)
	}
	h["Tokentype"], h["X-Amz-Target"] = "API_KEY", "Other.Operation"
	if status, head, _ := kiroAsk(t, s, "POST", "/q/", h, kiroBody(body)); status != 400 || !strings.HasPrefix(head.Get("X-Amzn-Errortype"), "UnknownOperationException") {
		t.Errorf("%d %v", status, head)
	}
	if status, _, _ := kiroAsk(t, s, "GET", "/runtime/nothing", h, nil); status != 404 {
		t.Errorf("%d", status)
	}
}

func TestKiroRefusesHeaders(t *testing.T) {
	s := start(t)
	token := kiroToken(t, s, kiroSocial, "ann@example.test")
	for name, c := range map[string]struct {
		key, value string
		status     int
		word       string
	}{
		"no token": {"Authorization", "", 403, "bearer token"}, "another token": {"Authorization", "Bearer x", 403, "bearer token"}, "type": {"Content-Type", "text/plain", 400, "Improperly"},
		"invocation": {"Amz-Sdk-Invocation-Id", "1", 400, "UUID"}, "mode": {"X-Amzn-Kiro-Agent-Mode", "", 400, "Improperly"}, "nobody": {"User-Agent", "curl", 403, "not authorized"},
		"an old program": {"User-Agent", "KiroIDE-0.11.63-" + strings.Repeat("0a", 32), 403, "not authorized"},
	} {
		h := kiroHeaders(token)
		h[c.key] = c.value
		if status, _, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", h, kiroBody(nil)); status != c.status || !strings.Contains(body, c.word) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func state(b m) m { return b["conversationState"].(m) }

func history(b m, i int) m {
	return state(b)["history"].([]any)[i].(m)
}

func current(b m) m { return state(b)["currentMessage"].(m)["userInputMessage"].(m) }

func kiroContext(b m) m { return current(b)["userInputMessageContext"].(m) }

func spec(b m) m {
	return kiroContext(b)["tools"].([]any)[0].(m)["toolSpecification"].(m)
}

func TestKiroRefusesBodies(t *testing.T) {
	s := start(t)
	token := kiroToken(t, s, kiroSocial, "ann@example.test")
	use := func(b m) m {
		return history(b, 1)["assistantResponseMessage"].(m)["toolUses"].([]any)[0].(m)
	}
	picture := func(format, data string) func(m) {
		return func(b m) { current(b)["images"] = []any{m{"format": format, "source": m{"bytes": data}}} }
	}
	for name, c := range map[string]struct {
		change func(m)
		reason string // "" = the text that says nothing
	}{
		"trigger":        {func(b m) { state(b)["chatTriggerType"] = "AUTO" }, ""},
		"task":           {func(b m) { state(b)["agentTaskType"] = "x" }, ""},
		"conversation":   {func(b m) { state(b)["conversationId"] = "x" }, "INVALID_CONVERSATION_ID"},
		"unknown member": {func(b m) { b["inferenceConfig"] = m{} }, ""},
		"null":           {func(b m) { current(b)["userIntent"] = nil }, ""},
		"empty array":    {func(b m) { current(b)["images"] = []any{} }, ""},
		"no state":       {func(b m) { delete(b, "conversationState") }, ""},
		"two answers":    {func(b m) { state(b)["history"] = append(state(b)["history"].([]any), history(b, 1)) }, ""},
		"both":           {func(b m) { history(b, 0)["assistantResponseMessage"] = m{"content": "x"} }, ""},
		"answer last":    {func(b m) { state(b)["currentMessage"] = history(b, 1) }, ""},
		"blank":          {func(b m) { history(b, 0)["userInputMessage"].(m)["content"] = " " }, ""},
		"no content":     {func(b m) { history(b, 1)["assistantResponseMessage"].(m)["content"] = "" }, ""},
		"origin":         {func(b m) { current(b)["origin"] = "X" }, ""},
		"model":          {func(b m) { history(b, 0)["userInputMessage"].(m)["modelId"] = "nothing" }, "INVALID_MODEL_ID"},
		"two models":     {func(b m) { current(b)["modelId"] = "auto" }, ""},
		"tools in history": {func(b m) {
			history(b, 0)["userInputMessage"].(m)["userInputMessageContext"] = m{"tools": kiroContext(b)["tools"]}
		}, ""},
		"no tools":       {func(b m) { delete(kiroContext(b), "tools") }, ""},
		"tool name":      {func(b m) { spec(b)["name"] = "a b" }, ""},
		"no description": {func(b m) { spec(b)["description"] = "" }, ""},
		"two tools": {func(b m) {
			kiroContext(b)["tools"] = append(kiroContext(b)["tools"].([]any), kiroContext(b)["tools"].([]any)[0])
		}, "TOOL_DUPLICATE"},
		"no schema": {func(b m) { spec(b)["inputSchema"] = m{"json": m{"type": "string"}} }, "TOOL_SCHEMA_INVALID"},
		"schema keyword": {func(b m) {
			spec(b)["inputSchema"] = m{"json": m{"type": "object", "properties": m{"a": m{"type": "array", "items": m{"additionalProperties": false}}}}}
		}, ""},
		"schema branches": {func(b m) { spec(b)["inputSchema"] = m{"json": m{"type": "object", "anyOf": []any{m{}}}} }, ""},
		"schema types": {func(b m) {
			spec(b)["inputSchema"] = m{"json": m{"type": "object", "properties": m{"a": m{"type": []any{"string", "null"}}}}}
		}, ""},
		"use id":           {func(b m) { use(b)["toolUseId"] = "a b" }, "REQUEST_BODY_INVALID"},
		"use input":        {func(b m) { use(b)["input"] = "{}" }, ""},
		"use of another":   {func(b m) { use(b)["name"] = "Other" }, ""},
		"no result":        {func(b m) { delete(kiroContext(b), "toolResults") }, "TOOL_USE_RESULT_MISMATCH"},
		"another's result": {func(b m) { kiroContext(b)["toolResults"].([]any)[0].(m)["toolUseId"] = "t2" }, "TOOL_USE_RESULT_MISMATCH"},
		"result status":    {func(b m) { kiroContext(b)["toolResults"].([]any)[0].(m)["status"] = "ok" }, ""},
		"result content":   {func(b m) { kiroContext(b)["toolResults"].([]any)[0].(m)["content"] = []any{m{"x": "y"}} }, ""},
		"signature": {func(b m) {
			history(b, 1)["assistantResponseMessage"].(m)["reasoningContent"] = m{"reasoningText": m{"text": "x", "signature": "y"}}
		}, "THINKING_SIGNATURE_INVALID"},
		"too long": {func(b m) { current(b)["content"] = strings.Repeat("x", 600_001) }, "CONTENT_LENGTH_EXCEEDS_THRESHOLD"},
		"large": {func(b m) {
			current(b)["content"] = strings.Repeat("x", 590_000)
			history(b, 0)["userInputMessage"].(m)["content"] = strings.Repeat("y", 30_000)
		}, ""},
		"picture's base64":  {picture("png", "%%"), ""},
		"picture's format":  {picture("bmp", "Qk0="), "IMAGE_FORMAT_UNSUPPORTED"},
		"picture's type":    {picture("png", "R0lGODlhAQABAAAAACw="), "IMAGE_MIME_MISMATCH"},
		"fields":            {func(b m) { b["additionalModelRequestFields"] = m{"thinking": m{"type": "adaptive"}} }, "REQUEST_BODY_INVALID"},
		"another's profile": {func(b m) { b["profileArn"] = kiroTeamARN }, ""},
		"no profile":        {func(b m) { delete(b, "profileArn") }, ""},
	} {
		status, _, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", kiroHeaders(token), kiroBody(c.change))
		var e struct{ Message, Reason string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || status < 400 || e.Reason != c.reason || e.Message == "" {
			t.Errorf("%s: %d %.200s, want reason %q", name, status, body, c.reason)
		}
		all := s.Requests()
		if last := all[len(all)-1]; last.Refused == "" {
			t.Errorf("%s: the record does not say why", name)
		}
	}
	if status, _, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", kiroHeaders(token), `{"x":`); status != 400 || !strings.Contains(body, "Improperly") {
		t.Errorf("%d %s", status, body)
	}
	for member, value := range map[string]any{"output_config": m{"effort": "often"}, "max_tokens": 5, "other": 1, "thinking": m{"type": "adaptive", "budget_tokens": 9}} {
		raw, _ := json.Marshal(kiroBody(func(b m) { b["additionalModelRequestFields"] = m{member: value} }))
		text := strings.ReplaceAll(string(raw), "claude-sonnet-4.5", "claude-opus-5")
		if status, _, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", kiroHeaders(token), text); status != 400 || !strings.Contains(body, "REQUEST_BODY_INVALID") {
			t.Errorf("%s: %d %s", member, status, body)
		}
	}
}

func TestKiroProfilesByYearAndHost(t *testing.T) {
	s := start(t)
	builder := kiroToken(t, s, kiroBuilder, "ann@example.test")
	team := kiroToken(t, s, kiroTeam, "ann@example.test")
	for _, c := range []struct {
		era, host, token, arn string
		status                int
		word                  string
	}{
		{"", "runtime", builder, kiroServiceARN, 200, ""}, {"", "runtime", builder, "", 400, "required"}, {"", "q", builder, "", 400, "Invalid profileArn"}, {"", "q", builder, kiroTeamARN, 403, "not authorized"},
		{"2026-05", "runtime", builder, "", 400, "required"}, {"2026-05", "runtime", builder, kiroServiceARN, 403, "not authorized"}, {"2026-05", "q", builder, "", 200, ""}, {"2026-05", "codewhisperer", builder, "", 200, ""},
		{"", "runtime", team, kiroTeamARN, 200, ""}, {"", "runtime", team, kiroOtherARN, 200, ""}, {"", "runtime", team, kiroServiceARN, 403, "not authorized"}, {"", "runtime", team, "", 400, "required"},
	} {
		s.KiroEra(c.era)
		status, _, body := kiroAsk(t, s, "POST", "/"+c.host+"/generateAssistantResponse", kiroHeaders(c.token), kiroBody(func(b m) {
			if b["profileArn"] = c.arn; c.arn == "" {
				delete(b, "profileArn")
			}
		}))
		if status != c.status || !strings.Contains(body, c.word) {
			t.Errorf("%+v: %d %.200s", c, status, body)
		}
	}
	s.Reset()
}

func TestKiroControlPlane(t *testing.T) {
	s := start(t)
	social, builder, team := kiroToken(t, s, kiroSocial, "ann@example.test"), kiroToken(t, s, kiroBuilder, "bob@example.test"), kiroToken(t, s, kiroTeam, "bob@example.test")
	get := func(method, path, token, body string, more ...string) (int, string) {
		h := map[string]string{"Authorization": "Bearer " + token}
		for i := 0; i+1 < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		status, _, text := kiroAsk(t, s, method, path, h, body)
		return status, text
	}
	arn := "?profileArn=" + url.QueryEscape(kiroSocialARN)
	for _, c := range []struct {
		method, path, token, body string
		more                      []string
		status                    int
		word                      string
	}{
		{"GET", "/management/List-Available-Models" + arn, social, "", nil, 200, `"nextToken":"page-2"`},
		{"GET", "/q/ListAvailableModels" + arn + "&nextToken=page-2", social, "", nil, 200, `"qwen3-coder-next"`},
		{"GET", "/q/ListAvailableModels", social, "", nil, 400, "required"},
		{"POST", "/management/", social, `{"profileArn":"` + kiroSocialARN + `"}`, []string{"X-Amz-Target", "AmazonCodeWhispererService.ListAvailableModels", "Content-Type", "application/x-amz-json-1.0"}, 200, `"claude-haiku-4.5"`},
		{"POST", "/management/", "nobody", `{}`, []string{"X-Amz-Target", "AmazonCodeWhispererService.ListAvailableModels", "Content-Type", "application/x-amz-json-1.0"}, 400, "bearer token"},
		{"POST", "/management/", social, `{}`, []string{"X-Amz-Target", "AmazonCodeWhispererService.Nothing", "Content-Type", "application/x-amz-json-1.0"}, 400, "Unknown operation"},
		{"GET", "/management/Get-Usage-Limits", social, "", nil, 200, `"ann@example.test"`},
		{"GET", "/q/getUsageLimits", "ksk_sim-x", "", []string{"Tokentype", "API_KEY"}, 403, "FEATURE_NOT_SUPPORTED"},
		{"POST", "/management/List-Available-Profiles", team, `{}`, nil, 200, "SIMTEAM00002"},
		{"POST", "/q/ListAvailableProfiles", builder, `{}`, nil, 403, "AWS Builder ID is not supported"},
		{"POST", "/q/ListAvailableProfiles", social, `{}`, nil, 403, "not authorized"},
	} {
		if status, text := get(c.method, c.path, c.token, c.body, c.more...); status != c.status || !strings.Contains(text, c.word) {
			t.Errorf("%s %s: %d %.300s", c.method, c.path, status, text)
		}
	}
}

// post sends a JSON object to a sign-in service.
func kiroPost(t *testing.T, s *Server, path string, body m) (int, m) {
	t.Helper()
	status, _, text := kiroAsk(t, s, "POST", path, map[string]string{"Content-Type": "application/json", "User-Agent": "Kiro-CLI"}, body)
	var v m
	_ = json.Unmarshal([]byte(text), &v) // a page of trouble is no JSON
	return status, v
}

func TestKiroSocialSignIn(t *testing.T) {
	s := start(t)
	for _, bad := range []m{{"clientId": "kiro-cli", "loginProvider": "Google"}, {"clientId": "Kiro-CLI", "loginProvider": "GitHub"}} {
		if status, v := kiroPost(t, s, "/auth/oauth/device/authorization", bad); status != 400 {
			t.Errorf("%v: %d %v", bad, status, v)
		}
	}
	_, d := kiroPost(t, s, "/auth/oauth/device/authorization", m{"clientId": "Kiro-CLI", "loginProvider": "Google"})
	o := s.KiroLogins(kiroSocial)
	poll := func() any {
		_, v := kiroPost(t, s, "/auth/oauth/device/poll", m{"clientId": "Kiro-CLI", "deviceCode": d["deviceCode"]})
		return v["status"]
	}
	if got := poll(); got != "authorization_pending" {
		t.Errorf("%v", got)
	}
	if got := poll(); got != "slow_down" {
		t.Errorf("%v", got)
	}
	o.Trouble(TroubleServer, TroublePage)
	poll()
	poll()
	if _, page, err := Click(t.Context(), http.DefaultClient, d["verificationUriComplete"].(string), "ann@example.test"); err != nil || !strings.Contains(page, "signed in") {
		t.Fatalf("%v %s", err, page)
	}
	o.Advance(60e9)
	_, v := kiroPost(t, s, "/auth/oauth/device/poll", m{"clientId": "Kiro-CLI", "deviceCode": d["deviceCode"]})
	if v["status"] != "authorized" || v["expiresIn"] != nil || v["profileArn"] != kiroSocialARN {
		t.Fatalf("%v", v)
	}
	o.Trouble(TroubleBusy)
	if status, _ := kiroPost(t, s, "/auth/refreshToken", m{"refreshToken": v["refreshToken"]}); status != 429 {
		t.Error(status)
	}
	if status, w := kiroPost(t, s, "/auth/refreshToken", m{"refreshToken": v["refreshToken"]}); status != 200 || w["refreshToken"] == v["refreshToken"] {
		t.Errorf("%d %v", status, w)
	}
	if status, w := kiroPost(t, s, "/auth/refreshToken", m{"refreshToken": v["refreshToken"]}); status != 401 || w["error"] != "invalid_grant" || o.Counts().Reuses != 1 {
		t.Errorf("a spent token: %d %v", status, w)
	}
	for query, status := range map[string]int{
		"state=s&code_challenge=c&code_challenge_method=S256&redirect_uri=http%3A%2F%2Flocalhost%3A3128&redirect_from=kirocli": 200,
		"state=s&code_challenge=c&code_challenge_method=S256&redirect_uri=http%3A%2F%2Flocalhost%3A3129&redirect_from=kirocli": 400,
		"state=s&code_challenge=c&code_challenge_method=plain&redirect_uri=http%3A%2F%2Flocalhost%3A3128":                      400,
	} {
		if got, _, _ := kiroAsk(t, s, "GET", "/portal/signin?"+query, nil, nil); got != status {
			t.Errorf("%s: %d", query, got)
		}
	}
	code, _ := o.NewCode("ann@example.test", "http://localhost:3128/oauth/callback?login_option=google", "")
	if status, w := kiroPost(t, s, "/auth/oauth/token", m{"code": code, "redirect_uri": "http://localhost:3128"}); status != 400 {
		t.Errorf("another redirect: %d %v", status, w)
	}
	if status, w := kiroPost(t, s, "/auth/oauth/token", m{"code": code, "redirect_uri": "http://localhost:3128/oauth/callback?login_option=google"}); status != 200 || w["profileArn"] != kiroSocialARN {
		t.Errorf("%d %v", status, w)
	}
	status, _, _ := kiroAsk(t, s, "POST", "/portal/signin?state=s&code_challenge=c&code_challenge_method=S256&redirect_uri=http%3A%2F%2Flocalhost%3A3128&redirect_from=kirocli", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "user=ann@example.test")
	if status != 302 {
		t.Error(status)
	}
}

func TestKiroSSO(t *testing.T) {
	s := start(t)
	for reason, bad := range map[string]m{"invalid_client_metadata": {"clientName": "x"}, "invalid_scope": {"clientName": "x", "clientType": "public", "scopes": []any{"other:x"}}} {
		if status, v := kiroPost(t, s, "/oidc/client/register", bad); status != 400 || v["error"] != reason {
			t.Errorf("%d %v", status, v)
		}
	}
	register := func(scopes ...any) m {
		in := m{"clientName": "Test", "clientType": "public"}
		if len(scopes) > 0 {
			in["scopes"] = scopes
		}
		status, v := kiroPost(t, s, "/oidc/client/register", in)
		if status != 200 {
			t.Fatalf("%d %v", status, v)
		}
		return m{"clientId": v["clientId"], "clientSecret": v["clientSecret"]}
	}
	with := func(client m, more ...any) m {
		out := m{}
		for k, v := range client {
			out[k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	full := register("codewhisperer:completions")
	if status, v := kiroPost(t, s, "/oidc/device_authorization", with(full, "startUrl", "https://other.awsapps.com/start")); status != 400 || v["error"] != "invalid_request" {
		t.Errorf("%d %v", status, v)
	}
	if status, v := kiroPost(t, s, "/oidc/device_authorization", m{"clientId": "x"}); status != 401 || v["error"] != "invalid_client" {
		t.Errorf("%d %v", status, v)
	}
	const device = "urn:ietf:params:oauth:grant-type:device_code"
	for start, kind := range map[string]string{kiroBuilderStart: kiroBuilder, kiroTeamStart: kiroTeam} {
		_, d := kiroPost(t, s, "/oidc/device_authorization", with(full, "startUrl", start))
		if status, v := kiroPost(t, s, "/oidc/token", with(full, "grantType", device, "deviceCode", d["deviceCode"])); status != 400 || v["error"] != "authorization_pending" {
			t.Errorf("%d %v", status, v)
		}
		s.KiroLogins(kind).Approve(d["userCode"].(string), "ann@example.test")
		s.KiroLogins(kind).Advance(60e9)
		_, v := kiroPost(t, s, "/oidc/token", with(full, "grantType", device, "deviceCode", d["deviceCode"]))
		if v["refreshToken"] == nil || v["expiresIn"] != 3600.0 {
			t.Fatalf("%v", v)
		}
		s.KiroLogins(kind).Trouble(TroubleServer)
		if status, _ := kiroPost(t, s, "/oidc/token", with(full, "grantType", "refresh_token", "refreshToken", v["refreshToken"])); status != 500 {
			t.Error(status)
		}
		if status, _ := kiroPost(t, s, "/oidc/token", with(full, "grantType", "refresh_token", "refreshToken", v["refreshToken"])); status != 200 {
			t.Error(status)
		}
		if status, w := kiroPost(t, s, "/oidc/token", with(full, "grantType", "refresh_token", "refreshToken", v["refreshToken"])); status != 400 || w["error"] != "invalid_grant" {
			t.Errorf("a spent token: %d %v", status, w)
		}
	}
	bare := register()
	_, d := kiroPost(t, s, "/oidc/device_authorization", with(bare, "startUrl", kiroBuilderStart))
	s.KiroLogins(kiroBuilder).Approve(d["userCode"].(string), "ann@example.test")
	s.KiroLogins(kiroBuilder).Advance(60e9)
	if _, v := kiroPost(t, s, "/oidc/token", with(bare, "grantType", device, "deviceCode", d["deviceCode"])); v["refreshToken"] != nil || v["expiresIn"] != 604800.0 {
		t.Errorf("without scopes: %v", v)
	}
	if status, v := kiroPost(t, s, "/oidc/token", with(full, "grantType", "password")); status != 400 || v["error"] != "unsupported_grant_type" {
		t.Errorf("%d %v", status, v)
	}
	if status, _, body := kiroAsk(t, s, "POST", "/oidc/token", nil, `no json`); status != 400 || !strings.Contains(body, "invalid_request") {
		t.Errorf("%d %s", status, body)
	}
}

func TestKiroThinksEitherWay(t *testing.T) {
	s := start(t)
	token := kiroToken(t, s, kiroSocial, "ann@example.test")
	ask := func(model, text string, fields m) string {
		b := m{"profileArn": kiroSocialARN, "conversationState": m{"chatTriggerType": "MANUAL", "currentMessage": m{"userInputMessage": m{"content": text, "modelId": model, "origin": "AI_EDITOR"}}}}
		if fields != nil {
			b["additionalModelRequestFields"] = fields
		}
		status, _, body := kiroAsk(t, s, "POST", "/runtime/generateAssistantResponse", kiroHeaders(token), b)
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var out strings.Builder
		kinds, payloads := kiroEvents(t, body)
		for i, k := range kinds {
			switch k {
			case "assistantResponseEvent":
				fmt.Fprint(&out, payloads[i]["content"])
			case "reasoningContentEvent":
				fmt.Fprintf(&out, "{%v}", payloads[i]["text"])
			}
		}
		return out.String()
	}
	if got := ask("claude-sonnet-4.5", "<thinking_mode>enabled</thinking_mode><max_thinking_length>2000</max_thinking_length>\n\n[[reasoning:thought=Hm]]", nil); got != "<thinking>\nHm\n</thinking>\n\nIt is 4." {
		t.Errorf("%q", got)
	}
	if got := ask("claude-opus-5", "[[reasoning:thought=Hm]]", m{"thinking": m{"type": "adaptive"}, "output_config": m{"effort": "high"}, "max_tokens": 2048}); got != "{Hm}{<nil>}It is 4." {
		t.Errorf("%q", got)
	}
	if got := ask("claude-opus-5", "[[redacted_thinking]]", nil); got != "{<nil>}It is 4." {
		t.Errorf("%q", got)
	}
}
