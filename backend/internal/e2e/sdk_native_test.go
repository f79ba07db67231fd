package e2e

import (
	"encoding/json"
	"maps"
	"strings"
)

type obj = map[string]any

// raw lets JSON text stand in an object.
func raw(s string) json.RawMessage { return json.RawMessage(s) }

// nativeOpenAI is a in the words of OpenAI Chat.
func nativeOpenAI(a ask) obj {
	body := obj{"model": a.Model, "max_completion_tokens": a.Max}
	var messages []any
	if a.System != "" {
		messages = append(messages, obj{"role": "system", "content": a.System})
	}
	for _, m := range a.Messages {
		messages = append(messages, openAIMessages(m)...)
	}
	body["messages"] = messages
	var tools []any
	for _, t := range a.Tools {
		tools = append(tools, obj{"type": "function", "function": obj{"name": t.Name, "description": t.Description, "parameters": raw(t.Schema)}})
	}
	set(body, "tools", tools, len(tools) > 0)
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		body["tool_choice"] = a.Choice
	default:
		body["tool_choice"] = obj{"type": "function", "function": obj{"name": a.Choice}}
	}
	set(body, "parallel_tool_calls", false, a.NoParallel)
	set(body, "response_format", obj{"type": "json_schema", "json_schema": obj{"name": "answer", "strict": true, "schema": raw(a.Schema)}}, a.Schema != "")
	set(body, "stop", a.Stop, len(a.Stop) > 0)
	set(body, "temperature", a.Temperature, a.Temperature != nil)
	set(body, "top_p", a.TopP, a.TopP != nil)
	set(body, "seed", a.Seed, a.Seed != nil)
	set(body, "reasoning_effort", a.Effort, a.Effort != "")
	if a.Stream {
		body["stream_options"] = obj{"include_usage": true}
	}
	maps.Copy(body, a.Extra)
	return body
}

func set(body obj, name string, value any, when bool) {
	if when {
		body[name] = value
	}
}

func openAIMessages(m turn) []any {
	if m.Raw != nil {
		return []any{m.Raw}
	}
	var out []any
	for _, r := range m.Results {
		text := r.Text
		if r.Failed {
			text = "Error: " + text
		}
		out = append(out, obj{"role": "tool", "tool_call_id": r.ID, "content": text})
		if r.Image != "" { // the protocol has no place for it in a result
			out = append(out, obj{"role": "user", "content": []any{obj{"type": "image_url", "image_url": obj{"url": r.Image}}}})
		}
	}
	var parts []any
	if m.Text != "" {
		parts = append(parts, obj{"type": "text", "text": m.Text})
	}
	if m.Image != "" {
		parts = append(parts, obj{"type": "image_url", "image_url": obj{"url": m.Image}})
	}
	if m.PDF != "" {
		parts = append(parts, obj{"type": "file", "file": obj{"filename": "paper.pdf", "file_data": "data:application/pdf;base64," + m.PDF}})
	}
	switch {
	case len(parts) == 1 && m.Text != "":
		out = append(out, obj{"role": m.Role, "content": m.Text})
	case len(parts) > 0:
		out = append(out, obj{"role": m.Role, "content": parts})
	}
	return out
}

// nativeAnthropic is a in the words of Anthropic Messages.
func nativeAnthropic(a ask) obj {
	body := obj{"model": a.Model, "max_tokens": a.Max}
	set(body, "system", []any{obj{"type": "text", "text": a.System}}, a.System != "")
	var messages []any
	for _, m := range a.Messages {
		if m.Raw != nil {
			messages = append(messages, m.Raw)
			continue
		}
		messages = append(messages, obj{"role": m.Role, "content": anthropicBlocks(m)})
	}
	body["messages"] = messages
	var tools []any
	for _, t := range a.Tools {
		tools = append(tools, obj{"name": t.Name, "description": t.Description, "input_schema": raw(t.Schema)})
	}
	set(body, "tools", tools, len(tools) > 0)
	var choice obj
	switch a.Choice {
	case "":
		if a.NoParallel {
			choice = obj{"type": "auto"}
		}
	case "auto", "none":
		choice = obj{"type": a.Choice}
	case "required":
		choice = obj{"type": "any"}
	default:
		choice = obj{"type": "tool", "name": a.Choice}
	}
	if a.NoParallel {
		choice["disable_parallel_tool_use"] = true
	}
	set(body, "tool_choice", choice, choice != nil)
	set(body, "output_config", obj{"format": obj{"type": "json_schema", "schema": raw(a.Schema)}}, a.Schema != "")
	set(body, "stop_sequences", a.Stop, len(a.Stop) > 0)
	set(body, "temperature", a.Temperature, a.Temperature != nil)
	set(body, "top_p", a.TopP, a.TopP != nil)
	set(body, "thinking", obj{"type": "enabled", "budget_tokens": a.Think}, a.Think > 0)
	maps.Copy(body, a.Extra)
	return body
}

func anthropicBlocks(m turn) []any {
	var out []any
	for _, r := range m.Results {
		content := []any{obj{"type": "text", "text": r.Text}}
		if r.Image != "" {
			content = append(content, anthropicImage(r.Image))
		}
		out = append(out, obj{"type": "tool_result", "tool_use_id": r.ID, "content": content, "is_error": r.Failed})
	}
	if m.Text != "" {
		out = append(out, obj{"type": "text", "text": m.Text})
	}
	if m.Image != "" {
		out = append(out, anthropicImage(m.Image))
	}
	if m.PDF != "" {
		out = append(out, obj{"type": "document", "title": "paper.pdf", "source": obj{"type": "base64", "media_type": "application/pdf", "data": m.PDF}})
	}
	return out
}

func anthropicImage(url string) obj {
	if data, ok := strings.CutPrefix(url, "data:image/png;base64,"); ok {
		return obj{"type": "image", "source": obj{"type": "base64", "media_type": "image/png", "data": data}}
	}
	return obj{"type": "image", "source": obj{"type": "url", "url": url}}
}
