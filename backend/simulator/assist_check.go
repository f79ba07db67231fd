package simulator

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The models of gemini-cli 0.61.0 (config/models.ts) and of CLIProxyAPI's list for Antigravity (2026-08-22).
var (
	assistModels = []geminiModel{
		{id: "gemini-2.5-pro", low: 128, high: 32768},
		{id: "gemini-2.5-flash", high: 24576, off: true},
		{id: "gemini-2.5-flash-lite", low: 512, high: 24576, off: true},
		{id: "gemini-3-pro-preview", third: true, high: 32768, levels: []string{"LOW", "HIGH"}},
		{id: "gemini-3.1-pro-preview", third: true, high: 32768, levels: []string{"LOW", "MEDIUM", "HIGH"}},
		{id: "gemini-3-flash-preview", third: true, high: 32768, levels: allLevels},
		{id: "gemini-3-flash", third: true, high: 32768, levels: allLevels},
		{id: "gemini-3.1-flash-lite", third: true, high: 32768, levels: allLevels},
	}
	antigravityModels = []geminiModel{
		{id: "claude-opus-4-6-thinking", claude: true, low: 1024, high: 64000, off: true},
		{id: "claude-sonnet-4-6", claude: true, low: 1024, high: 64000, off: true},
		{id: "gemini-pro-agent", third: true, low: 1, high: 65535, fresh: true},
		{id: "gemini-3.1-pro-low", third: true, low: 1, high: 65535},
		{id: "gemini-3.7-flash-high", third: true, levels: allLevels, fresh: true},
		{id: "gemini-3.6-flash-high", third: true, levels: allLevels},
		{id: "gemini-3-flash-agent", third: true, low: 128, high: 32768},
		{id: "gemini-3.5-flash-low", third: true, low: 128, high: 32768},
		{id: "gemini-3-flash", third: true, low: 128, high: 32768},
		{id: "gemini-3.1-flash-lite", third: true, levels: allLevels},
		{id: "gemini-3.1-flash-image", third: true, levels: []string{"MINIMAL", "HIGH"}, image: true},
		{id: "gpt-oss-120b-medium", text: true},
	}
	allLevels = []string{"MINIMAL", "LOW", "MEDIUM", "HIGH"}
)

func (m geminiModel) output() int {
	switch {
	case m.claude:
		return 64000
	case m.text:
		return 32768
	case m.image:
		return 8192
	}
	return 65535
}

func init() { // the messages of Code Assist beside those of the Gemini API
	metadata := protoMessage{
		"ideType": "enum:IDE", "platform": "enum:Platform", "pluginType": "enum:Plugin", "duetProject": "string", "ideVersion": "string", "ideName": "string",
	}
	inner := func(config string, more ...string) protoMessage {
		m := protoMessage{
			"contents": "[]Content", "systemInstruction": "Content", "cachedContent": "string", "tools": "[]Tool", "toolConfig": "ToolConfig",
			"labels": "struct", "safetySettings": "[]SafetySetting", "generationConfig": config, "sessionId": "string",
		}
		for _, name := range more {
			m[name] = "string"
		}
		return m
	}
	config := func(more string) protoMessage {
		m := protoMessage{}
		for _, name := range strings.Fields("temperature topP topK candidateCount maxOutputTokens stopSequences responseLogprobs logprobs presencePenalty " +
			"frequencyPenalty seed responseMimeType responseSchema responseJsonSchema responseModalities mediaResolution speechConfig thinkingConfig " + more) {
			m[name] = geminiMessages["GenerationConfig"][name]
		}
		for _, name := range []string{"routingConfig", "modelSelectionConfig"} {
			m[name] = "struct"
		}
		m["audioTimestamp"] = "bool"
		return m
	}
	for name, m := range map[string]protoMessage{
		"AssistMetadata":    metadata,
		"LoadRequest":       {"metadata": "AssistMetadata", "cloudaicompanionProject": "string", "mode": "string"},
		"OnboardRequest":    {"metadata": "AssistMetadata", "cloudaicompanionProject": "string", "tierId": "string"},
		"ProjectRequest":    {"project": "string", "userAgent": "string"},
		"AssistEnvelope":    {"model": "string", "project": "string", "userPromptId": "string", "request": "AssistRequest", "enabledCreditTypes": "[]string"},
		"AssistRequest":     inner("AssistConfig"),
		"AssistConfig":      config(""),
		"AssistCount":       {"request": "AssistCountRequest"},
		"AntigravityConfig": config("imageConfig"),
		"AssistCountRequest": {
			"model": "string", "contents": "[]Content", "systemInstruction": "Content", "tools": "[]Tool", "generationConfig": "AssistConfig",
		},
		"AntigravityEnvelope": {
			"model": "string", "project": "string", "userAgent": "string", "requestType": "string", "requestId": "string",
			"request": "AntigravityRequest", "enabledCreditTypes": "[]string",
		},
		"AntigravityRequest": inner("AntigravityConfig"),
	} {
		geminiMessages[name] = m
	}
	geminiMessages["AntigravityConfig"]["responseSchema"] = "value" // it takes additionalProperties there; assistSchema looks at it
	geminiEnums["IDE"] = strings.Fields("IDE_UNSPECIFIED VSCODE INTELLIJ VSCODE_CLOUD_WORKSTATION INTELLIJ_CLOUD_WORKSTATION CLOUD_SHELL GEMINI_CLI ANTIGRAVITY")
	geminiEnums["Platform"] = strings.Fields("PLATFORM_UNSPECIFIED DARWIN_AMD64 DARWIN_ARM64 LINUX_AMD64 LINUX_ARM64 WINDOWS_AMD64")
	geminiEnums["Plugin"] = strings.Fields("PLUGIN_UNSPECIFIED CLOUD_CODE GEMINI AIPLUGIN_INTELLIJ AIPLUGIN_STUDIO")
}

var (
	sessionForm = regexp.MustCompile(`^-\d{1,19}$`)
	agentID     = regexp.MustCompile(`^agent-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	imageID     = regexp.MustCompile(`^image_gen/\d{13}/[0-9a-f-]{36}/12$`)
	vertexID    = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// envelope checks what stands around a request.
func (d *assist) envelope(o, inner map[string]any, m geminiModel) *failure {
	if inner == nil {
		return invalid("* request: request is required")
	}
	if !d.rules.antigravity {
		return nil
	}
	id, _ := o["requestId"].(string)
	session, _ := inner["sessionId"].(string)
	switch kind := o["requestType"]; {
	case o["userAgent"] != "antigravity":
		return invalid("* user_agent: antigravity is expected")
	case m.image && (kind != "image_gen" || !imageID.MatchString(id)), !m.image && (kind != "agent" || !agentID.MatchString(id)):
		return invalid(fmt.Sprintf("* request_type: %v does not fit %s with the id %s", kind, m.id, id))
	case session != "" && (m.image || !sessionForm.MatchString(session)):
		return invalid("* request.session_id: " + session)
	case m.image && (inner["tools"] != nil || inner["systemInstruction"] != nil):
		return invalid("* request.tools: a model of pictures takes neither tools nor instructions")
	}
	return nil
}

// check looks at a request as the service does, and takes out what the answer needs.
func (d *assist) check(inner map[string]any, name string, m geminiModel) (*turn, *failure) {
	if m.id == "" {
		return nil, &failure{kind: failNotFound, model: name}
	}
	c := &geminiCheck{t: &turn{model: name, n: 1, parallel: true, hidden: true, third: m.third}, model: m}
	if m.claude || m.text {
		c.t.third = false
	}
	g := object(inner["generationConfig"])
	if n := number(g["maxOutputTokens"], 1); n > float64(m.output()) && !m.open {
		c.fail("The max_output_tokens %v is over the limit of %d.", n, m.output())
	}
	c.roles(list(inner["contents"]), m)
	c.mixed(list(inner["tools"]))
	c.tools(inner)
	c.declared(list(inner["tools"]), d.rules.antigravity)
	c.generation(g)
	if d.rules.antigravity {
		for _, n := range []string{"responseSchema", "responseJsonSchema"} {
			c.assistSchema(object(g[n]), "request.generation_config."+snakeCase(n), true, true)
		}
	}
	if m.claude {
		c.claude(inner, g)
	}
	c.contents(inner)
	return c.t, c.f
}

// roles: each content says whose it is, and a Gemini model's history begins with the user.
func (c *geminiCheck) roles(contents []any, m geminiModel) {
	for i, v := range contents {
		role, _ := object(v)["role"].(string)
		if role != "user" && role != "model" {
			c.fail("Please use a valid role: user, model. (contents[%d])", i)
		}
		if i == 0 && role != "user" && !m.claude {
			c.fail("Please ensure that multiturn requests begin with a user turn.")
		}
	}
}

func (c *geminiCheck) mixed(tools []any) {
	functions, hosted := false, false
	for _, v := range tools {
		for name := range object(v) {
			functions = functions || name == "functionDeclarations"
			hosted = hosted || name != "functionDeclarations"
		}
	}
	if functions && hosted {
		c.fail("Tool use with function calling is unsupported by the model.")
	}
}

// declared looks at the schemas of tools.
func (c *geminiCheck) declared(tools []any, antigravity bool) {
	for i, v := range tools {
		for k, f := range list(object(v)["functionDeclarations"]) {
			m := object(f)
			at := fmt.Sprintf("request.tools[%d].function_declarations[%d]", i, k)
			if antigravity && m["parametersJsonSchema"] != nil {
				c.fail("Invalid JSON payload received. Unknown name \"parametersJsonSchema\" at '%s': Cannot find field.", at)
			}
			if name, _ := m["name"].(string); len(name) > 64 {
				c.fail("Invalid function name %q: at most 64 characters.", name)
			}
			c.assistSchema(object(m["parameters"]), at+".parameters", antigravity, false)
			c.assistSchema(object(m["parametersJsonSchema"]), at+".parameters_json_schema", antigravity, false)
			if c.model.claude {
				c.validated(object(m["parameters"]), at+".parameters", 0)
			}
		}
	}
}

// assistSchema refuses keywords that CLIProxyAPI takes out for this service (2026-08).
func (c *geminiCheck) assistSchema(s map[string]any, at string, antigravity, output bool) {
	allowed := []string{"type", "description", "properties", "required", "items", "enum"}
	if antigravity {
		allowed = append(allowed, "nullable")
	} else {
		allowed = append(allowed, "minimum", "maximum")
	}
	if output {
		allowed = append(allowed, "additionalProperties")
	}
	for _, name := range sortedKeys(s) {
		if !slices.Contains(allowed, name) || antigravity && !output && name == "enum" {
			c.fail("Invalid JSON payload received. Unknown name \"%s\" at '%s': Cannot find field.", name, at)
		}
	}
	for _, name := range sortedKeys(object(s["properties"])) {
		c.assistSchema(object(object(s["properties"])[name]), at+".properties."+name, antigravity, output)
	}
	if items := object(s["items"]); items != nil {
		c.assistSchema(items, at+".items", antigravity, output)
	}
}

// validated: in the mode of that name every object demands a property; at the top one that has any is enough.
func (c *geminiCheck) validated(s map[string]any, at string, depth int) {
	props := object(s["properties"])
	if s == nil || strings.ToUpper(fmt.Sprint(s["type"])) == "OBJECT" && len(list(s["required"])) == 0 && (depth > 0 || len(props) == 0) {
		c.fail("%s: VALIDATED needs a required property", at)
	}
	for _, name := range sortedKeys(props) {
		if p := object(props[name]); p["properties"] != nil || strings.EqualFold(fmt.Sprint(p["type"]), "object") {
			c.validated(p, at+".properties."+name, depth+1)
		}
	}
}

// claude checks what only Claude's models ask for.
func (c *geminiCheck) claude(inner, g map[string]any) {
	mode := object(object(inner["toolConfig"])["functionCallingConfig"])["mode"]
	if len(list(inner["tools"])) > 0 && mode != "VALIDATED" && mode != "NONE" {
		c.fail("tool_config.function_calling_config.mode: VALIDATED is expected, got %v", mode)
	}
	thinking := object(g["thinkingConfig"])
	budget, limit := number(thinking["thinkingBudget"], 0), number(g["maxOutputTokens"], 64000)
	if budget > 0 && (budget < 1024 || budget >= limit) {
		c.fail("`max_tokens` must be greater than `thinking.budget_tokens` (%v, %v), which must be at least 1024", limit, budget)
	}
	contents := list(inner["contents"])
	if n := len(contents); n > 0 && object(contents[n-1])["role"] != "user" {
		c.fail("This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	for i, v := range contents {
		if m := object(v); m["role"] == "user" && !slices.ContainsFunc(list(m["parts"]), func(p any) bool { return object(p)["functionResponse"] != nil }) {
			c.loop = i
		}
	}
	for i, v := range contents {
		c.claudeTurn(object(v), i, budget > 0)
	}
}

func (c *geminiCheck) claudeTurn(m map[string]any, i int, thinking bool) {
	rank, signed, called := 0, false, false
	for k, v := range list(m["parts"]) {
		p := object(v)
		at := fmt.Sprintf("contents[%d].parts[%d]", i, k)
		now := 1
		switch {
		case p["thought"] == true:
			now = 0
			text, _ := p["text"].(string)
			sig, _ := p["thoughtSignature"].(string)
			raw, err := base64.StdEncoding.DecodeString(sig)
			if err != nil || !strings.HasPrefix(sig, "R") || !verify(text, string(raw)) {
				c.fail("messages.%d.content.%d: Invalid `signature` in `thinking` block", i, k)
			}
			signed = true
		case p["functionCall"] != nil, p["functionResponse"] != nil:
			call := object(p["functionCall"])
			if call == nil {
				call = object(p["functionResponse"])
			} else {
				now, called = 2, true
			}
			if id, _ := call["id"].(string); !vertexID.MatchString(id) {
				c.fail("%s.id: String should match pattern '^[a-zA-Z0-9_-]+$'", at)
			}
		case p["text"] == "":
			c.fail("messages: text content blocks must be non-empty")
		}
		if m["role"] == "model" {
			if now < rank {
				c.fail("%s: thoughts come first and function calls last", at)
			}
			rank = now
		}
	}
	if called && thinking && !signed && c.openLoop(i) {
		c.fail("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`", i)
	}
}

// openLoop says whether the content of that number belongs to the loop of calls that is going on.
func (c *geminiCheck) openLoop(i int) bool { return i >= c.loop }

// assistRow is one of the refusals that the service is known for: status and body.
func assistRow(row, model string) (status int, body ordered) {
	info := func(reason, domain string, meta ...any) any {
		return obj("@type", "type.googleapis.com/google.rpc.ErrorInfo", "reason", reason, "domain", domain, "metadata", obj(meta...))
	}
	const cloud = "cloudcode-pa.googleapis.com"
	retry := func(d string) any { return obj("@type", "type.googleapis.com/google.rpc.RetryInfo", "retryDelay", d) }
	help := func(text, url string) any {
		return obj("@type", "type.googleapis.com/google.rpc.Help", "links", []ordered{obj("description", text, "url", url)})
	}
	violation := func(id string) any {
		return obj("@type", "type.googleapis.com/google.rpc.QuotaFailure", "violations", []ordered{obj("quotaId", id)})
	}
	r, ok := map[string]struct {
		status  int
		word    string
		text    string
		details []any
	}{
		"rate_short": {429, "RESOURCE_EXHAUSTED", "You have exhausted your capacity on this model. Your quota will reset after 0s.",
			[]any{info("RATE_LIMIT_EXCEEDED", cloud, "quotaResetDelay", "479.417207ms"), retry("0.479417207s")}},
		"rate_minutes":  {429, "RESOURCE_EXHAUSTED", "Slow down.", []any{info("RATE_LIMIT_EXCEEDED", cloud), retry("90s")}},
		"rate_long":     {429, "RESOURCE_EXHAUSTED", "Slow down.", []any{info("RATE_LIMIT_EXCEEDED", cloud), retry("1200s")}},
		"rate_no_delay": {429, "RESOURCE_EXHAUSTED", "Slow down.", []any{info("RATE_LIMIT_EXCEEDED", cloud)}},
		"rate_comma":    {429, "RESOURCE_EXHAUSTED", "Slow down.", []any{info("RATE_LIMIT_EXCEEDED", cloud+","), retry("20s")}},
		"per_minute":    {429, "RESOURCE_EXHAUSTED", "Quota exceeded.", []any{violation("GenerateRequestsPerMinutePerProject")}},
		"per_day":       {429, "RESOURCE_EXHAUSTED", "Quota exceeded.", []any{violation("GenerateRequestsPerDayPerProject")}},
		"limit_zero":    {429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: generate_requests, limit: 0", nil},
		"quota": {429, "RESOURCE_EXHAUSTED", "You have exhausted your capacity on this model. Your quota will reset after 161h39m41s.", []any{
			info("QUOTA_EXHAUSTED", cloud, "uiMessage", "true", "model", model, "quotaResetDelay", "161h39m41.2s", "quotaResetTimeStamp", "2026-11-29T12:00:00Z"),
			retry("581981.2s")}},
		"quota_hours": {429, "RESOURCE_EXHAUSTED", "You have exhausted your capacity on this model. Your quota will reset after 2h0m0s.", []any{
			info("QUOTA_EXHAUSTED", cloud, "quotaResetDelay", "2h0m0s")}},
		"quota_no_time": {429, "RESOURCE_EXHAUSTED", "Quota is gone.", []any{info("QUOTA_EXHAUSTED", cloud)}},
		"quota_text":    {429, "RESOURCE_EXHAUSTED", "Individual quota reached. Contact your administrator to enable overages. Resets in 71h15m27s.", nil},
		"soft":          {429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", nil},
		"credits":       {429, "RESOURCE_EXHAUSTED", "Insufficient credits.", []any{info("INSUFFICIENT_G1_CREDITS_BALANCE", cloud)}},
		"capacity": {503, "UNAVAILABLE", "No capacity available for model " + model + " on the server",
			[]any{info("MODEL_CAPACITY_EXHAUSTED", cloud, "model", model), retry("40s")}},
		"capacity_429": {429, "RESOURCE_EXHAUSTED", "No capacity available for model " + model + " on the server", []any{info("MODEL_CAPACITY_EXHAUSTED", "other.example")}},
		"verify": {403, "PERMISSION_DENIED", "Verify your account to continue.", []any{info("VALIDATION_REQUIRED", cloud,
			"validation_error_message", "Verify your account to continue.", "validation_url", "https://accounts.google.com/signin/continue?sarp=1&continue=x",
			"validation_url_link_text", "Verify your account", "validation_learn_more_url", "https://support.google.com/accounts?p=al_alert")}},
		"verify_help": {403, "PERMISSION_DENIED", "Verify your account to continue.", []any{info("VALIDATION_REQUIRED", cloud),
			help("Learn more", "https://support.google.com/accounts?p=al_alert"), help("Verify", "https://accounts.google.com/verify")}},
		"subscription": {403, "PERMISSION_DENIED", "You lack a Gemini Code Assist license for this project. (#3501)", []any{
			info("SUBSCRIPTION_REQUIRED", "cloudaicompanion.googleapis.com"), help("Get a license", "https://example.test/licence")}},
		"named_user": {403, "PERMISSION_DENIED", "You must be a named user on your organization's Gemini Code Assist Standard edition subscription to use this service.", nil},
		"disabled": {403, "PERMISSION_DENIED", "Gemini for Google Cloud API has not been used in project x before or it is disabled.", []any{
			info("SERVICE_DISABLED", "googleapis.com", "activationUrl", "https://console.developers.google.com/apis/api/x")}},
		"iam":          {403, "PERMISSION_DENIED", "Permission 'cloudaicompanion.companions.generateChat' denied.", []any{info("IAM_PERMISSION_DENIED", "iam.googleapis.com")}},
		"consumer":     {403, "PERMISSION_DENIED", "Permission denied on resource project default.", []any{info("CONSUMER_INVALID", "googleapis.com")}},
		"tos":          {403, "PERMISSION_DENIED", "This service has been disabled in this account for violation of Terms of Service. Please submit an appeal to continue using this product.", nil},
		"user_off":     {403, "PERMISSION_DENIED", "The account is off.", []any{info("USER_DISABLED", "googleapis.com")}},
		"other_403":    {403, "PERMISSION_DENIED", "Something is not allowed.", nil},
		"location":     {400, "FAILED_PRECONDITION", "User location is not supported for the API use.", nil},
		"precondition": {400, "FAILED_PRECONDITION", "Precondition check failed.", nil},
		"not_found":    {404, "NOT_FOUND", "Requested entity was not found.", nil},
		"old_version":  {404, "NOT_FOUND", "This version of Antigravity is no longer supported. Please update to the newest version.", nil},
		"token":        {401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", []any{info("ACCESS_TOKEN_EXPIRED", "googleapis.com")}},
		"thinking":     {400, "INVALID_ARGUMENT", "Thinking level is not supported for this model.", nil},
		"max_tokens":   {400, "INVALID_ARGUMENT", "Invalid value for max_output_tokens.", nil},
		"argument":     {400, "INVALID_ARGUMENT", "Request contains an invalid argument.", nil},
		"signature":    {400, "INVALID_ARGUMENT", "Corrupted thought signature.", nil},
		"internal":     {500, "INTERNAL", "Internal error encountered.", nil},
		"gateway":      {502, "UNAVAILABLE", "Bad gateway.", nil},
		"unavailable":  {503, "UNAVAILABLE", "The service is currently unavailable.", nil},
		"deadline":     {504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", nil},
		"cancelled":    {499, "CANCELLED", "The operation was cancelled.", nil},
	}[row]
	if !ok {
		r.status, r.word, r.text = 400, "INVALID_ARGUMENT", "There is no such row: "+row
	}
	out := obj("code", r.status, "message", r.text, "status", r.word)
	if len(r.details) > 0 {
		out = out.with("details", r.details)
	}
	return r.status, obj("error", out)
}

// googleRefusal is the scenario of these rows.
func googleRefusal(p *plan, t *turn, a arguments) {
	status, body := assistRow(a.text("row", "quota"), t.model)
	raw, mime := encode(body), "application/json; charset=UTF-8"
	switch a.text("form", "object") {
	case "array":
		raw, mime = append(append([]byte("[\n"), raw...), "\n]"...), eventStream
	case "nested":
		raw = encode(obj("error", obj("code", status, "message", string(raw), "status", "UNKNOWN")))
	case "event":
		raw, mime = append(append([]byte("data: "), raw...), "\n\n"...), eventStream
	}
	p.d.raw = &rawAnswer{status, mime, string(raw)}
}
