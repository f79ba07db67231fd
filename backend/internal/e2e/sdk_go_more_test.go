package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	openai "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"google.golang.org/genai"
)

// goResponses is openai-go's Responses client.
type goResponses struct{ goOpenAI }

func (goResponses) name() string   { return "go openai responses" }
func (goResponses) format() string { return "responses" }

func (l goResponses) ask(ctx context.Context, base, key string, a ask) answer {
	body, err := json.Marshal(nativeResponses(a))
	if err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	var params responses.ResponseNewParams
	if err := json.Unmarshal(body, &params); err != nil {
		return answer{Err: &failure{Message: err.Error()}}
	}
	var options []openaioption.RequestOption
	for name, value := range nativeResponses(a) { // unions are not all read back from JSON
		if name == "input" || name == "tool_choice" {
			options = append(options, openaioption.WithJSONSet(name, value))
		}
	}
	for name, value := range a.Extra {
		options = append(options, openaioption.WithJSONSet(name, value))
	}
	client := l.client(base, key)
	if !a.Stream {
		r, err := client.Responses.New(ctx, params, options...)
		if err != nil {
			return answer{Err: l.failure(err)}
		}
		return responsesAnswer([]byte(r.RawJSON()))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := client.Responses.NewStreaming(ctx, params, options...)
	defer stream.Close()
	var out answer
	pieces, done := 0, false
	for stream.Next() {
		switch ev := stream.Current(); ev.Type {
		case "response.output_text.delta":
			if pieces++; a.Leave {
				return answer{Text: ev.Delta, Pieces: pieces}
			}
		case "response.completed", "response.incomplete":
			out, done = responsesAnswer([]byte(ev.Response.RawJSON())), true
		case "response.failed":
			e := ev.Response.Error
			return answer{Err: &failure{Type: string(e.Code), Message: e.Message, Library: "response.failed"}, Pieces: pieces}
		}
	}
	if err := stream.Err(); err != nil {
		return answer{Err: l.failure(err), Pieces: pieces}
	}
	if !done {
		return answer{Err: &failure{Message: "the stream ended without its last event"}, Pieces: pieces}
	}
	out.Pieces = pieces
	return out
}

// responsesAnswer reads a whole response. A response cut by the token limit finishes with its reason.
func responsesAnswer(body []byte) answer {
	var r struct {
		Model, Status string
		Incomplete    struct{ Reason string } `json:"incomplete_details"`
		Output        []json.RawMessage
		Usage         struct {
			In      int `json:"input_tokens"`
			Out     int `json:"output_tokens"`
			Details struct {
				Cached int `json:"cached_tokens"`
			} `json:"input_tokens_details"`
			OutDetails struct {
				Reasoning int `json:"reasoning_tokens"`
			} `json:"output_tokens_details"`
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return answer{Err: &failure{Message: "no response: " + string(body)}}
	}
	out := answer{Finish: r.Status, Model: r.Model, In: r.Usage.In, Out: r.Usage.Out, Cached: r.Usage.Details.Cached, Thought: r.Usage.OutDetails.Reasoning}
	if r.Incomplete.Reason != "" {
		out.Finish = r.Incomplete.Reason
	}
	type text struct{ Text string }
	for _, item := range r.Output {
		var it struct {
			Type, Name, Arguments string
			CallID                string `json:"call_id"`
			Content, Summary      []text
		}
		if err := json.Unmarshal(item, &it); err != nil {
			return answer{Err: &failure{Message: err.Error()}}
		}
		switch it.Type {
		case "message":
			for _, p := range it.Content {
				out.Text += p.Text
			}
		case "reasoning":
			for _, p := range append(it.Summary, it.Content...) {
				out.Reasoning += p.Text
			}
		case "function_call":
			out.Calls = append(out.Calls, toolCall{it.CallID, it.Name, json.RawMessage(it.Arguments)})
		}
	}
	out.Raw, _ = json.Marshal(r.Output) // raw JSON: always valid
	return out
}

func (l goResponses) count(ctx context.Context, base, key string, a ask) (int, error) {
	body, err := json.Marshal(nativeResponses(a)["input"])
	if err != nil {
		return 0, err
	}
	client := l.client(base, key)
	r, err := client.Responses.InputTokens.Count(ctx, responses.InputTokenCountParams{Model: openai.String(a.Model)}, openaioption.WithJSONSet("input", raw(string(body))))
	if err != nil {
		return 0, err
	}
	return int(r.InputTokens), nil
}

// goGenAI is google.golang.org/genai.
type goGenAI struct{}

func (goGenAI) name() string   { return "go genai" }
func (goGenAI) format() string { return "gemini" }

func (goGenAI) client(ctx context.Context, base, key string) (*genai.Client, error) {
	return genai.NewClient(ctx, &genai.ClientConfig{APIKey: key, Backend: genai.BackendGeminiAPI, HTTPClient: http.DefaultClient, HTTPOptions: genai.HTTPOptions{BaseURL: base}})
}

// geminiAsk reads the common words into the library's own types.
func geminiAsk(a ask) (contents []*genai.Content, config *genai.GenerateContentConfig, err error) {
	body, err := json.Marshal(nativeGemini(a))
	if err != nil {
		return nil, nil, err
	}
	var both struct {
		Contents []*genai.Content
		Config   *genai.GenerateContentConfig
	}
	err = json.Unmarshal(body, &both)
	return both.Contents, both.Config, err
}

func (l goGenAI) ask(ctx context.Context, base, key string, a ask) answer {
	client, err := l.client(ctx, base, key)
	if err != nil {
		return answer{Err: l.failure(err)}
	}
	contents, config, err := geminiAsk(a)
	if err != nil {
		return answer{Err: l.failure(err)}
	}
	if !a.Stream {
		r, err := client.Models.GenerateContent(ctx, a.Model, contents, config)
		if err != nil {
			return answer{Err: l.failure(err)}
		}
		return genAIAnswer(r)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var whole *genai.GenerateContentResponse
	pieces := 0
	for r, err := range client.Models.GenerateContentStream(ctx, a.Model, contents, config) {
		if err != nil {
			return answer{Err: l.failure(err), Pieces: pieces}
		}
		if text := genAIAnswer(r).Text; text != "" {
			if pieces++; a.Leave {
				return answer{Text: text, Pieces: pieces}
			}
		}
		whole = joinGenAI(whole, r)
	}
	if whole == nil || len(whole.Candidates) == 0 || whole.Candidates[0].FinishReason == "" {
		return answer{Err: &failure{Message: "the stream ended without a finish reason"}, Pieces: pieces}
	}
	out := genAIAnswer(whole)
	out.Pieces = pieces
	return out
}

// joinGenAI adds a frame of a stream to what came before it.
func joinGenAI(whole, r *genai.GenerateContentResponse) *genai.GenerateContentResponse {
	if whole == nil {
		return r
	}
	if r.UsageMetadata != nil {
		whole.UsageMetadata = r.UsageMetadata
	}
	for i, c := range r.Candidates {
		if i >= len(whole.Candidates) {
			whole.Candidates = append(whole.Candidates, c)
			continue
		}
		into := whole.Candidates[i]
		if c.FinishReason != "" {
			into.FinishReason = c.FinishReason
		}
		if c.Content == nil {
			continue
		}
		if into.Content == nil {
			into.Content = c.Content
			continue
		}
		for _, p := range c.Content.Parts {
			if !reflect.DeepEqual(*p, genai.Part{}) { // an empty text, which the service refuses in a history
				into.Content.Parts = append(into.Content.Parts, p)
			}
		}
	}
	return whole
}

func genAIAnswer(r *genai.GenerateContentResponse) answer {
	if len(r.Candidates) == 0 || r.Candidates[0].Content == nil {
		return answer{Err: &failure{Message: "no candidate came"}}
	}
	c := r.Candidates[0]
	out := answer{Finish: string(c.FinishReason), Model: r.ModelVersion}
	for _, p := range c.Content.Parts {
		switch {
		case p.FunctionCall != nil:
			args, err := json.Marshal(p.FunctionCall.Args)
			if err != nil {
				return answer{Err: &failure{Message: err.Error()}}
			}
			if p.FunctionCall.Args == nil {
				args = []byte("{}") // the library leaves an empty object out
			}
			out.Calls = append(out.Calls, toolCall{p.FunctionCall.ID, p.FunctionCall.Name, args})
		case p.Thought:
			out.Reasoning += p.Text
		default:
			out.Text += p.Text
		}
	}
	if u := r.UsageMetadata; u != nil {
		out.In, out.Cached, out.Thought = int(u.PromptTokenCount), int(u.CachedContentTokenCount), int(u.ThoughtsTokenCount)
		out.Out = int(u.CandidatesTokenCount) + out.Thought
	}
	c.Content.Role = "model"
	out.Raw, _ = json.Marshal(c.Content) // the library's own type: always valid
	return out
}

func (goGenAI) failure(err error) *failure {
	f := &failure{Message: err.Error(), Library: "error"}
	var e genai.APIError
	if errors.As(err, &e) {
		f.Status, f.Type, f.Message, f.Library = e.Code, e.Status, e.Message, "genai.APIError"
		for _, d := range e.Details {
			if delay, ok := d["retryDelay"].(string); ok {
				f.Retry = strings.TrimSuffix(delay, "s")
			}
		}
	}
	return f
}

func (l goGenAI) models(ctx context.Context, base, key string) (ids []string, err error) {
	client, err := l.client(ctx, base, key)
	if err != nil {
		return nil, err
	}
	for m, err := range client.Models.All(ctx) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, strings.TrimPrefix(m.Name, "models/"))
	}
	if len(ids) > 0 {
		_, err = client.Models.Get(ctx, ids[0], nil)
	}
	return ids, err
}

func (l goGenAI) count(ctx context.Context, base, key string, a ask) (int, error) {
	client, err := l.client(ctx, base, key)
	if err != nil {
		return 0, err
	}
	contents, _, err := geminiAsk(a)
	if err != nil {
		return 0, err
	}
	r, err := client.Models.CountTokens(ctx, a.Model, contents, nil)
	if err != nil {
		return 0, err
	}
	return int(r.TotalTokens), nil
}
