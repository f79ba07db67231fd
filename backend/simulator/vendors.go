package simulator

import (
	"fmt"
	"net/http"
	"slices"
)

// quirks are the demands and the habits of one vendor beyond the protocol.
type quirks struct {
	root   string   // where its paths begin; "" = /v1
	models []string // nil = those of the lenient vendor
	noList bool     // there is no list of models
	noKey  bool     // no key is asked for
	thinks string   // the field of its thoughts; "tags" = in the text; "" = reasoning_content
	detail bool     // the thoughts come in reasoning_details as well, signed, and are verified when they come back
	noise  string   // a comment in its streams
	auto   bool     // tool_choice is auto or nothing
	single bool     // one system message, at the beginning
	whole  bool     // arguments of calls come in one piece, unless tool_stream is set

	refuse func(f *failure, e openAIError) (int, any) // its words for a failure
	broken func(f *failure, r *reply) any             // a failure inside a stream; nil = as refuse says
	ends   map[string]string                          // reasons to end in its words
	entry  func(id string) ordered                    // an entry of its list of models

	admit func(x *exchange) bool        // who may ask, and refuses others; nil = by key
	serve func(x *exchange) func()      // what happens around an answer: nil refuses it, having said why
	tidy  func(p *plan)                 // how its answers travel
	more  func(o map[string]any) string // what else it refuses of a request

	textOnly  bool   // the content of a message must be a string
	reasoning string // "" ignore; "with calls" demand, "filled" demand a text, "never" refuse
	closed    bool   // unknown fields of messages are refused
	status    int    // of these refusals; 0 = 400
}

// vendors are the demands that qwen-code 0.15.10 (its request adapters) and
// CLIProxyAPI (kimi_executor.go, 2026-08) work around.
var vendors = map[string]quirks{
	DeepSeek: {textOnly: true, reasoning: "with calls"},
	Kimi:     {reasoning: "filled"},
	Mistral:  {reasoning: "never", status: http.StatusUnprocessableEntity},
	Groq:     {closed: true},
	MiniMax:  {thinks: "tags", single: true, noList: true, models: []string{"MiniMax-M2.5", "MiniMax-M2.7"}, refuse: minimaxRefuse},
	GLM: {root: "/api/paas/v4", auto: true, whole: true, noList: true, models: []string{"glm-5.1", "glm-4.7"}, refuse: glmRefuse,
		ends: map[string]string{finFilter: "sensitive", finBlocked: "sensitive"}},
	OpenRouter: {root: "/api/v1", thinks: "reasoning", detail: true, noise: "OPENROUTER PROCESSING", refuse: routerRefuse, broken: routerBroken,
		models: []string{"openai/gpt-4.1", "deepseek/deepseek-chat:free", "anthropic/claude-sonnet-4.5"}, entry: routerEntry},
	LMStudio: {noKey: true, models: []string{"qwen3-8b", "gemma-3-4b-it"}},
}

func newVendor(s *Server, name string, q quirks) http.Handler {
	models := q.models
	if models == nil {
		models = compatibleModels
	}
	d := &openAI{s: s, name: name, quirks: q, local: q.noKey, models: slices.Concat(models, s.opts.Models)}
	return d.handler()
}

// messageFields are what a message may hold where nothing else is taken.
var messageFields = []string{"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "function_call", "audio", "reasoning"}

// check looks for what this vendor alone refuses.
func (q quirks) check(o map[string]any) *failure {
	list, _ := o["messages"].([]any)
	if choice := o["tool_choice"]; q.auto && choice != nil && choice != "auto" {
		return &failure{kind: failInvalid, message: "tool_choice only supports auto", code: "1210"}
	}
	if q.more != nil {
		if why := q.more(o); why != "" {
			return &failure{kind: failInvalid, message: why, code: "invalid_parameter_error"}
		}
	}
	for i, v := range list {
		m, _ := v.(map[string]any)
		if why := q.refusal(m, i); why != "" {
			return &failure{kind: failInvalid, message: why, status: q.status, code: "invalid_request_error"}
		}
	}
	return nil
}

func (q quirks) refusal(m map[string]any, i int) string {
	text, hasText := m["reasoning_content"].(string)
	_, parts := m["content"].([]any)
	switch {
	case q.single && m["role"] == "system" && i > 0:
		return "invalid params, only one system message is allowed and it must be the first one"
	case q.detail && !ownDetails(m["reasoning_details"]):
		return fmt.Sprintf("messages.%d.content: Invalid `signature` in `thinking` block", i)
	case q.textOnly && parts:
		return fmt.Sprintf("Failed to deserialize the JSON body into the target type: messages[%d]: invalid type: sequence, expected a string", i)
	case q.reasoning == "never" && hasText:
		return fmt.Sprintf("body.messages.%d.assistant.reasoning_content: Extra inputs are not permitted", i)
	case q.reasoning == "with calls" && m["tool_calls"] != nil && !hasText:
		return fmt.Sprintf("Missing `reasoning_content` field in the assistant message at message index %d.", i)
	case q.reasoning == "filled" && m["tool_calls"] != nil && text == "":
		return fmt.Sprintf("thinking is enabled but reasoning_content is missing in assistant tool call message at index %d", i)
	}
	for _, name := range sortedKeys(m) {
		if q.closed && !slices.Contains(messageFields, name) {
			return fmt.Sprintf("'messages.%d' : for 'role:%v' the following must be satisfied[('messages.%d' : property '%s' is unsupported)]", i, m["role"], i, name)
		}
	}
	return ""
}

// minimaxCodes are the numbers of failures; they come with status 200.
var minimaxCodes = map[string]int{failRate: 1002, failUnauthorized: 1004, failForbidden: 1004, failQuota: 1008, failBilling: 1008, failServer: 1000,
	failOverload: 1000, failTimeout: 1001, failTooLong: 1039, failInvalid: 2013, failNotFound: 2013}

var minimaxWords = map[int]string{1000: "unknown error", 1001: "request timeout", 1002: "rate limit",
	1004: "login fail: Please carry the API secret key",
	1008: "insufficient balance", 1039: "token limit",
}

func minimaxRefuse(f *failure, e openAIError) (int, any) {
	code := minimaxCodes[f.kind]
	text := minimaxWords[code]
	if text == "" {
		text = "invalid params, " + e.message
	}
	return http.StatusOK, obj("choices", nil, "base_resp", obj("status_code", code, "status_msg", text))
}

// glmCodes are the code and the status of failures (Z.AI's API documentation).
var glmCodes = map[string]struct {
	code   string
	status int
	text   string
}{
	failUnauthorized: {"1002", 401, "Authorization Token is illegal, please confirm that the Authorization Token is passed correctly."},
	failQuota:        {"1113", 429, "Insufficient balance or no resource package. Please recharge."},
	failBilling:      {"1113", 429, "Insufficient balance or no resource package. Please recharge."},
	failInvalid:      {"1210", 400, ""},
	failNotFound:     {"1211", 400, "Unknown Model, please check the model code."},
	failTooLong:      {"1261", 400, "Prompt exceeds max length"},
	failRate:         {"1302", 429, "Rate limit reached for requests"},
	failOverload:     {"1305", 429, "The service may be temporarily overloaded, please try again later"},
	failServer:       {"1234", 500, "Network error, please contact customer service."},
}

func glmRefuse(f *failure, e openAIError) (int, any) {
	c, ok := glmCodes[f.kind]
	if !ok {
		return e.status, obj("error", obj("code", "500", "message", e.message))
	}
	if c.text == "" {
		c.text = e.message
	}
	return c.status, obj("error", obj("code", c.code, "message", c.text))
}

// routerRefuse numbers a failure by its status.
func routerRefuse(f *failure, e openAIError) (int, any) {
	if f.kind == failQuota || f.kind == failBilling {
		e.status, e.message = http.StatusPaymentRequired, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
	}
	out := obj("code", e.status, "message", e.message)
	if f.kind == failRate {
		out = out.with("metadata", obj("raw", "the model is temporarily rate-limited upstream", "provider_name", "Simulated"))
	}
	return e.status, obj("error", out, "user_id", "user_sim")
}

func routerBroken(f *failure, r *reply) any {
	return obj("id", r.id, "object", "chat.completion.chunk", "created", r.created.Unix(), "model", r.model, "provider", "Simulated",
		"error", obj("code", http.StatusBadGateway, "message", "Provider disconnected unexpectedly"),
		"choices", []ordered{obj("index", 0, "delta", obj("content", ""), "finish_reason", "error")})
}

func routerEntry(id string) ordered {
	return obj("id", id, "name", id, "created", 1767225600, "description", "A simulated model.", "context_length", 131072,
		"architecture", obj("modality", "text+image->text", "input_modalities", []string{"text", "image"}, "output_modalities", []string{"text"}),
		"pricing", obj("prompt", "0.000002", "completion", "0.000008"),
		"top_provider", obj("context_length", 131072, "max_completion_tokens", 32768, "is_moderated", false),
		"supported_parameters", []string{"tools", "tool_choice", "max_tokens", "temperature", "reasoning", "response_format"})
}

// details writes a thought as reasoning_details do.
func details(text, signature string) []ordered {
	return []ordered{obj("type", "reasoning.text", "text", text, "signature", signature, "format", "anthropic-claude-v1", "index", 0)}
}

// ownDetails says whether thoughts that came back are as they were sent.
func ownDetails(v any) bool {
	for _, one := range list(v) {
		text, _ := object(one)["text"].(string)
		signature, _ := object(one)["signature"].(string)
		if !verify(text, signature) {
			return false
		}
	}
	return true
}

// routerKey answers GET /key: what the key may still spend.
func (d *openAI) routerKey(x *exchange) {
	if d.authorized(x) && !x.blocked(&turn{}) {
		writeJSON(x.w, http.StatusOK, obj("data", obj("label", mask(x.key), "usage", 1.5, "limit", 10, "limit_remaining", 8.5, "is_free_tier", false,
			"rate_limit", obj("requests", 200, "interval", "10s"))))
	}
}

// studioModels answers LM Studio's own list, which knows more than OpenAI's.
func (d *openAI) studioModels(x *exchange) {
	if x.blocked(&turn{}) {
		return
	}
	out := []ordered{}
	for i, id := range d.models {
		out = append(out, obj("id", id, "object", "model", "type", "llm", "publisher", "simulator", "arch", "qwen3",
			"compatibility_type", "gguf", "quantization", "Q4_K_M",
			"state", []string{"loaded", "not-loaded"}[min(i, 1)], "max_context_length", 131072))
	}
	writeJSON(x.w, http.StatusOK, obj("object", "list", "data", out))
}
