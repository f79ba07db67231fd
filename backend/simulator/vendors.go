package simulator

import (
	"fmt"
	"net/http"
	"slices"
)

// quirks are the demands of one vendor beyond the protocol.
type quirks struct {
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
}

func newVendor(s *Server, name string, q quirks) http.Handler {
	d := &openAI{s: s, name: name, quirks: q, models: slices.Concat(compatibleModels, s.opts.Models)}
	return d.handler()
}

// messageFields are what a message may hold where nothing else is taken.
var messageFields = []string{"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "function_call", "audio", "reasoning"}

// check looks for what this vendor alone refuses.
func (q quirks) check(o map[string]any) *failure {
	list, _ := o["messages"].([]any)
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
