package e2e

import (
	"encoding/json"
	"maps"
	"strings"
)

// native is a in the words of a client protocol.
func native(format string, a ask) obj {
	switch format {
	case "anthropic":
		return nativeAnthropic(a)
	case "responses":
		return nativeResponses(a)
	case "gemini":
		return nativeGemini(a)
	case "ollama":
		return nativeOllama(a)
	default:
		return nativeOpenAI(a)
	}
}

// nativeResponses is a in the words of OpenAI Responses. An assistant turn goes back as the list of its items.
func nativeResponses(a ask) obj {
	body := obj{"model": a.Model, "max_output_tokens": a.Max, "store": false, "include": []any{"reasoning.encrypted_content"}}
	set(body, "instructions", a.System, a.System != "")
	var input []any
	for _, m := range a.Messages {
		if m.Raw != nil {
			var items []json.RawMessage
			if json.Unmarshal(m.Raw, &items) == nil {
				for _, item := range items {
					input = append(input, item)
				}
			}
			continue
		}
		input = append(input, responsesItems(m)...)
	}
	body["input"] = input
	var tools []any
	for _, t := range a.Tools {
		tools = append(tools, obj{"type": "function", "name": t.Name, "description": t.Description, "parameters": raw(t.Schema), "strict": false})
	}
	set(body, "tools", tools, len(tools) > 0)
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		body["tool_choice"] = a.Choice
	default:
		body["tool_choice"] = obj{"type": "function", "name": a.Choice}
	}
	set(body, "parallel_tool_calls", false, a.NoParallel)
	set(body, "text", obj{"format": obj{"type": "json_schema", "name": "answer", "strict": true, "schema": raw(a.Schema)}}, a.Schema != "")
	set(body, "temperature", a.Temperature, a.Temperature != nil)
	set(body, "top_p", a.TopP, a.TopP != nil)
	set(body, "reasoning", obj{"effort": a.Effort, "summary": "auto"}, a.Effort != "")
	maps.Copy(body, a.Extra)
	return body
}

func responsesItems(m turn) []any {
	var out []any
	for _, r := range m.Results {
		text := r.Text
		if r.Failed {
			text = "Error: " + text
		}
		var output any = text
		if r.Image != "" {
			output = []any{obj{"type": "input_text", "text": text}, obj{"type": "input_image", "image_url": r.Image, "detail": "auto"}}
		}
		out = append(out, obj{"type": "function_call_output", "call_id": r.ID, "output": output})
	}
	if m.Role == "assistant" {
		return append(out, obj{"type": "message", "role": "assistant", "content": m.Text})
	}
	var parts []any
	if m.Text != "" {
		parts = append(parts, obj{"type": "input_text", "text": m.Text})
	}
	if m.Image != "" {
		parts = append(parts, obj{"type": "input_image", "image_url": m.Image, "detail": "auto"})
	}
	if m.PDF != "" {
		parts = append(parts, obj{"type": "input_file", "filename": "paper.pdf", "file_data": "data:application/pdf;base64," + m.PDF})
	}
	if len(parts) > 0 {
		out = append(out, obj{"type": "message", "role": m.Role, "content": parts})
	}
	return out
}

// nativeGemini is a in the words of Google's libraries: contents and config, which they turn into the request's body.
func nativeGemini(a ask) obj {
	config := obj{"maxOutputTokens": a.Max}
	set(config, "systemInstruction", obj{"parts": []any{obj{"text": a.System}}}, a.System != "")
	var contents []any
	for _, m := range a.Messages {
		if m.Raw != nil {
			contents = append(contents, m.Raw)
			continue
		}
		role := m.Role
		if role == "assistant" {
			role = "model"
		}
		contents = append(contents, obj{"role": role, "parts": geminiParts(m)})
	}
	var tools []any
	for _, t := range a.Tools {
		tools = append(tools, obj{"name": t.Name, "description": t.Description, "parametersJsonSchema": raw(t.Schema)})
	}
	set(config, "tools", []any{obj{"functionDeclarations": tools}}, len(tools) > 0)
	calling := obj{}
	switch a.Choice {
	case "":
	case "auto", "none":
		calling["mode"] = strings.ToUpper(a.Choice)
	case "required":
		calling["mode"] = "ANY"
	default:
		calling["mode"], calling["allowedFunctionNames"] = "ANY", []any{a.Choice}
	}
	set(config, "toolConfig", obj{"functionCallingConfig": calling}, len(calling) > 0)
	if a.Schema != "" {
		config["responseMimeType"], config["responseJsonSchema"] = "application/json", raw(a.Schema)
	}
	set(config, "stopSequences", a.Stop, len(a.Stop) > 0)
	set(config, "temperature", a.Temperature, a.Temperature != nil)
	set(config, "topP", a.TopP, a.TopP != nil)
	set(config, "seed", a.Seed, a.Seed != nil)
	set(config, "thinkingConfig", obj{"includeThoughts": true, "thinkingBudget": a.Think}, a.Think > 0)
	set(config, "thinkingConfig", obj{"includeThoughts": true, "thinkingLevel": strings.ToUpper(a.Effort)}, a.Effort != "")
	maps.Copy(config, a.Extra)
	return obj{"model": a.Model, "contents": contents, "config": config}
}

func geminiParts(m turn) []any {
	var out []any
	for _, r := range m.Results {
		member := "output"
		if r.Failed {
			member = "error"
		}
		out = append(out, obj{"functionResponse": obj{"id": r.ID, "name": r.Name, "response": obj{member: r.Text}}})
		if r.Image != "" {
			out = append(out, geminiMedia(r.Image))
		}
	}
	if m.Text != "" {
		out = append(out, obj{"text": m.Text})
	}
	if m.Image != "" {
		out = append(out, geminiMedia(m.Image))
	}
	if m.PDF != "" {
		out = append(out, obj{"inlineData": obj{"mimeType": "application/pdf", "data": m.PDF}})
	}
	return out
}

func geminiMedia(url string) obj {
	if data, ok := strings.CutPrefix(url, "data:image/png;base64,"); ok {
		return obj{"inlineData": obj{"mimeType": "image/png", "data": data}}
	}
	return obj{"fileData": obj{"mimeType": "image/png", "fileUri": url}}
}

// nativeOllama is a in the words of Ollama.
func nativeOllama(a ask) obj {
	options := obj{"num_predict": a.Max}
	set(options, "stop", a.Stop, len(a.Stop) > 0)
	set(options, "temperature", a.Temperature, a.Temperature != nil)
	set(options, "top_p", a.TopP, a.TopP != nil)
	set(options, "seed", a.Seed, a.Seed != nil)
	body := obj{"model": a.Model, "options": options, "stream": a.Stream}
	var messages []any
	if a.System != "" {
		messages = append(messages, obj{"role": "system", "content": a.System})
	}
	for _, m := range a.Messages {
		messages = append(messages, ollamaMessages(m)...)
	}
	body["messages"] = messages
	var tools []any
	for _, t := range a.Tools {
		tools = append(tools, obj{"type": "function", "function": obj{"name": t.Name, "description": t.Description, "parameters": raw(t.Schema)}})
	}
	set(body, "tools", tools, len(tools) > 0)
	set(body, "format", raw(a.Schema), a.Schema != "")
	set(body, "think", a.Effort, a.Effort != "")
	maps.Copy(body, a.Extra)
	return body
}

func ollamaMessages(m turn) []any {
	if m.Raw != nil {
		return []any{m.Raw}
	}
	data := func(url string) []any { return []any{strings.TrimPrefix(url, "data:image/png;base64,")} }
	var out []any
	for _, r := range m.Results {
		text := r.Text
		if r.Failed {
			text = "Error: " + text
		}
		out = append(out, obj{"role": "tool", "tool_name": r.Name, "tool_call_id": r.ID, "content": text})
		if r.Image != "" { // the protocol has no place for it in a result
			out = append(out, obj{"role": "user", "content": "", "images": data(r.Image)})
		}
	}
	if m.Text != "" || m.Image != "" {
		message := obj{"role": m.Role, "content": m.Text}
		set(message, "images", data(m.Image), m.Image != "")
		out = append(out, message)
	}
	return out
}
