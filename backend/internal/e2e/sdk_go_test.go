package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	claude "github.com/anthropics/anthropic-sdk-go"
	claudeoption "github.com/anthropics/anthropic-sdk-go/option"
	openai "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
)

// goOpenAI is openai-go. Requests go through its own types.
type goOpenAI struct{}

func (goOpenAI) name() string   { return "go openai" }
func (goOpenAI) format() string { return "openai" }

func (goOpenAI) client(base, key string) openai.Client {
	return openai.NewClient(openaioption.WithBaseURL(base+"/v1"), openaioption.WithAPIKey(key), openaioption.WithMaxRetries(0))
}

func (l goOpenAI) ask(ctx context.Context, base, key string, a ask) answer {
	body, err := json.Marshal(nativeOpenAI(a))
	if err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	var params openai.ChatCompletionNewParams
	if err := json.Unmarshal(body, &params); err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	if a.Choice != "" && a.Choice != "auto" && a.Choice != "none" && a.Choice != "required" { // the union is not read back from JSON
		params.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: a.Choice})
	}
	var options []openaioption.RequestOption
	for name, value := range a.Extra {
		options = append(options, openaioption.WithJSONSet(name, value))
	}
	client := l.client(base, key)
	if !a.Stream {
		r, err := client.Chat.Completions.New(ctx, params, options...)
		if err != nil {
			return answer{Err: l.failure(err)}
		}
		return openAIAnswer([]byte(r.RawJSON()))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := client.Chat.Completions.NewStreaming(ctx, params, options...)
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	reasoning, pieces := "", 0
	for stream.Next() {
		chunk := stream.Current()
		if !acc.AddChunk(chunk) {
			return answer{Err: &failure{Message: "a chunk does not fit: " + chunk.RawJSON()}}
		}
		if len(chunk.Choices) == 0 {
			continue
		}
		var extra struct {
			Reasoning string `json:"reasoning_content"`
		}
		if json.Unmarshal([]byte(chunk.Choices[0].Delta.RawJSON()), &extra) == nil {
			reasoning += extra.Reasoning
		}
		if chunk.Choices[0].Delta.Content != "" {
			if pieces++; a.Leave {
				return answer{Text: chunk.Choices[0].Delta.Content, Pieces: pieces}
			}
		}
	}
	if err := stream.Err(); err != nil {
		return answer{Err: l.failure(err), Pieces: pieces}
	}
	out := streamedOpenAI(acc, reasoning)
	out.Pieces = pieces
	return out
}

func streamedOpenAI(acc openai.ChatCompletionAccumulator, reasoning string) answer {
	if len(acc.Choices) == 0 {
		return answer{Err: &failure{Message: "no choice came"}}
	}
	m := acc.Choices[0].Message
	message := obj{"role": "assistant", "content": m.Content}
	if reasoning != "" {
		message["reasoning_content"] = reasoning
	}
	var calls []any
	for _, c := range m.ToolCalls {
		calls = append(calls, obj{"id": c.ID, "type": "function", "function": obj{"name": c.Function.Name, "arguments": c.Function.Arguments}})
	}
	set(message, "tool_calls", calls, len(calls) > 0)
	whole, err := json.Marshal(obj{"model": acc.Model, "choices": []any{obj{"message": message, "finish_reason": acc.Choices[0].FinishReason}}})
	if err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	out := openAIAnswer(whole)
	u := acc.Usage
	out.In, out.Out = int(u.PromptTokens), int(u.CompletionTokens)
	out.Cached, out.Thought = int(u.PromptTokensDetails.CachedTokens), int(u.CompletionTokensDetails.ReasoningTokens)
	return out
}

// openAIAnswer reads a whole chat completion.
func openAIAnswer(body []byte) answer {
	var r struct {
		Model   string
		Choices []struct {
			Message      json.RawMessage
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			In      int `json:"prompt_tokens"`
			Out     int `json:"completion_tokens"`
			Details struct {
				Cached int `json:"cached_tokens"`
			} `json:"prompt_tokens_details"`
			OutDetails struct {
				Reasoning int `json:"reasoning_tokens"`
			} `json:"completion_tokens_details"`
		}
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.Choices) == 0 {
		return answer{Err: &failure{Message: "no chat completion: " + string(body)}}
	}
	var m struct {
		Content   string
		Reasoning string `json:"reasoning_content"`
		Calls     []struct {
			ID       string
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
	}
	if err := json.Unmarshal(r.Choices[0].Message, &m); err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	out := answer{Text: m.Content, Reasoning: m.Reasoning, Finish: r.Choices[0].FinishReason, In: r.Usage.In, Out: r.Usage.Out,
		Cached: r.Usage.Details.Cached, Thought: r.Usage.OutDetails.Reasoning, Model: r.Model, Raw: r.Choices[0].Message}
	for _, c := range m.Calls {
		out.Calls = append(out.Calls, toolCall{c.ID, c.Function.Name, json.RawMessage(c.Function.Arguments)})
	}
	return out
}

func (goOpenAI) failure(err error) *failure {
	f := &failure{Message: err.Error(), Library: "error"}
	if e, ok := errors.AsType[*openai.Error](err); ok {
		f.Status, f.Type, f.Message, f.Library = e.StatusCode, e.Type, e.Message, "openai.Error"
		if e.Response != nil {
			f.Retry = e.Response.Header.Get("Retry-After")
		}
	}
	return f
}

func (l goOpenAI) models(ctx context.Context, base, key string) (ids []string, err error) {
	client := l.client(base, key)
	list, err := client.Models.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	if len(ids) > 0 {
		_, err = client.Models.Get(ctx, ids[0])
	}
	return ids, err
}

func (goOpenAI) count(context.Context, string, string, ask) (int, error) { return -1, nil }

// goAnthropic is anthropic-sdk-go.
type goAnthropic struct{}

func (goAnthropic) name() string   { return "go anthropic" }
func (goAnthropic) format() string { return "anthropic" }

func (goAnthropic) client(base, key string) claude.Client {
	return claude.NewClient(claudeoption.WithBaseURL(base), claudeoption.WithAPIKey(key), claudeoption.WithMaxRetries(0))
}

func (l goAnthropic) ask(ctx context.Context, base, key string, a ask) answer {
	body, err := json.Marshal(nativeAnthropic(a))
	if err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	var params claude.MessageNewParams
	if err := json.Unmarshal(body, &params); err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	var options []claudeoption.RequestOption
	for name, value := range a.Extra {
		options = append(options, claudeoption.WithJSONSet(name, value))
	}
	client := l.client(base, key)
	if !a.Stream {
		r, err := client.Messages.New(ctx, params, options...)
		if err != nil {
			return answer{Err: l.failure(err)}
		}
		return anthropicAnswer([]byte(r.RawJSON()))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := client.Messages.NewStreaming(ctx, params, options...)
	defer stream.Close()
	var acc claude.Message
	pieces := 0
	for stream.Next() {
		ev := stream.Current()
		if err := acc.Accumulate(ev); err != nil {
			return answer{Err: &failure{Message: "an event does not fit: " + err.Error()}}
		}
		if d := ev.AsContentBlockDelta().Delta; d.Text != "" {
			if pieces++; a.Leave {
				return answer{Text: d.Text, Pieces: pieces}
			}
		}
	}
	if err := stream.Err(); err != nil {
		return answer{Err: l.failure(err), Pieces: pieces}
	}
	if acc.StopReason == "" {
		return answer{Err: &failure{Message: "the stream ended without message_stop"}, Pieces: pieces}
	}
	whole, err := json.Marshal(acc)
	if err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	out := anthropicAnswer(whole)
	if p, err := json.Marshal(acc.ToParam()); err == nil {
		out.Raw = p
	}
	out.Pieces = pieces
	return out
}

// anthropicAnswer reads a whole message. In counts cached tokens too.
func anthropicAnswer(body []byte) answer {
	var r struct {
		Model      string
		StopReason string `json:"stop_reason"`
		Content    []json.RawMessage
		Usage      struct {
			In      int `json:"input_tokens"`
			Read    int `json:"cache_read_input_tokens"`
			Write   int `json:"cache_creation_input_tokens"`
			Out     int `json:"output_tokens"`
			Details struct {
				Thinking int `json:"thinking_tokens"`
			} `json:"output_tokens_details"`
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return answer{Err: &failure{Message: "no message: " + string(body)}}
	}
	out := answer{Finish: r.StopReason, Model: r.Model, In: r.Usage.In + r.Usage.Read + r.Usage.Write, Out: r.Usage.Out, Cached: r.Usage.Read, Thought: r.Usage.Details.Thinking}
	for _, b := range r.Content {
		var block struct {
			Type, Text, Thinking, ID, Name string
			Input                          json.RawMessage
		}
		if err := json.Unmarshal(b, &block); err != nil {
			return answer{Err: &failure{Message: err.Error()}}
		}
		switch block.Type {
		case "text":
			out.Text += block.Text
		case "thinking":
			out.Reasoning += block.Thinking
		case "tool_use":
			out.Calls = append(out.Calls, toolCall{block.ID, block.Name, block.Input})
		}
	}
	out.Raw, _ = json.Marshal(obj{"role": "assistant", "content": r.Content}) // raw JSON: always valid
	return out
}

func (goAnthropic) failure(err error) *failure {
	f := &failure{Message: err.Error(), Library: "error"}
	if e, ok := errors.AsType[*claude.Error](err); ok {
		f.Status, f.Type, f.Library = e.StatusCode, string(e.Type()), "anthropic.Error"
		if e.Response != nil {
			f.Retry = e.Response.Header.Get("Retry-After")
		}
	} else if i := strings.Index(f.Message, "{"); i >= 0 { // the error event of a stream, as the library hands it on
		var body struct {
			Error struct{ Type, Message string }
		}
		if json.Unmarshal([]byte(f.Message[i:]), &body) == nil && body.Error.Type != "" {
			f.Type, f.Message = body.Error.Type, body.Error.Message
		}
	}
	return f
}

func (l goAnthropic) models(ctx context.Context, base, key string) (ids []string, err error) {
	client := l.client(base, key)
	pages := client.Models.ListAutoPaging(ctx, claude.ModelListParams{Limit: claude.Int(2)})
	for pages.Next() {
		ids = append(ids, pages.Current().ID)
	}
	if err := pages.Err(); err != nil || len(ids) == 0 {
		return ids, err
	}
	_, err = client.Models.Get(ctx, ids[0], claude.ModelGetParams{})
	return ids, err
}

func (l goAnthropic) count(ctx context.Context, base, key string, a ask) (int, error) {
	native := nativeAnthropic(a)
	delete(native, "max_tokens")
	body, err := json.Marshal(native)
	if err != nil {
		return 0, err
	}
	var params claude.MessageCountTokensParams
	if err := json.Unmarshal(body, &params); err != nil {
		return 0, err
	}
	client := l.client(base, key)
	r, err := client.Messages.CountTokens(ctx, params)
	if err != nil {
		return 0, err
	}
	return int(r.InputTokens), nil
}
