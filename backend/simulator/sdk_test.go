package simulator

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	sdkclaude "github.com/anthropics/anthropic-sdk-go"
	claudeoption "github.com/anthropics/anthropic-sdk-go/option"
	sdkopenai "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	sdkresponses "github.com/openai/openai-go/v3/responses"
	sdkshared "github.com/openai/openai-go/v3/shared"
	"google.golang.org/genai"
)

// The vendors' own libraries judge the doubles: what they cannot read is not
// the vendor's protocol.

func TestOpenAILibraryReadsTheDouble(t *testing.T) {
	s := start(t)
	client := sdkopenai.NewClient(openaioption.WithBaseURL(s.BaseURL(OpenAI)), openaioption.WithAPIKey("sk-sim-sdk"))
	params := sdkopenai.ChatCompletionNewParams{Model: "gpt-4.1", Messages: []sdkopenai.ChatCompletionMessageParamUnion{sdkopenai.UserMessage("[[parallel_tools]]")},
		StreamOptions: sdkopenai.ChatCompletionStreamOptionsParam{IncludeUsage: sdkopenai.Bool(true)}}
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	var acc sdkopenai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatalf("chunk does not fit: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	calls := acc.Choices[0].Message.ToolCalls
	if len(calls) != 2 || calls[0].Function.Arguments != `{"city":"Paris"}` || calls[1].Function.Arguments != `{"city":"Rome"}` || acc.Usage.TotalTokens == 0 {
		t.Errorf("%+v", acc)
	}
	params.StreamOptions = sdkopenai.ChatCompletionStreamOptionsParam{}
	s.Script(OpenAI, "rate_limit:retry_after=0", "text:text=after a retry")
	if r, err := client.Chat.Completions.New(t.Context(), params); err != nil || r.Choices[0].Message.Content != "after a retry" {
		t.Errorf("%v %v", r, err)
	}
	_, err := client.Chat.Completions.New(t.Context(), sdkopenai.ChatCompletionNewParams{Model: "gpt-0", Messages: params.Messages})
	if e, ok := errors.AsType[*sdkopenai.Error](err); !ok || e.Code != "model_not_found" || e.StatusCode != 404 {
		t.Errorf("%v", err)
	}
	if list, err := client.Models.List(t.Context()); err != nil || len(list.Data) != len(openAIModels)+len(imageModels) {
		t.Errorf("%v %v", list, err)
	}
	v, err := client.Embeddings.New(t.Context(), sdkopenai.EmbeddingNewParams{Model: "text-embedding-3-small",
		Input: sdkopenai.EmbeddingNewParamsInputUnion{OfString: sdkopenai.String("a")}})
	if err != nil || len(v.Data[0].Embedding) != 8 {
		t.Errorf("%v %v", v, err)
	}
}

func TestAnthropicLibraryReadsTheDouble(t *testing.T) {
	s := start(t)
	client := sdkclaude.NewClient(claudeoption.WithBaseURL(s.BaseURL(Anthropic)), claudeoption.WithAPIKey("sk-ant-sim-sdk"))
	tool := sdkclaude.ToolUnionParam{OfTool: &sdkclaude.ToolParam{Name: "Bash", InputSchema: sdkclaude.ToolInputSchemaParam{
		Properties: map[string]any{"command": map[string]any{"type": "string"}}, Required: []string{"command"}}}}
	params := sdkclaude.MessageNewParams{Model: "claude-sonnet-4-5", MaxTokens: 4000, Tools: []sdkclaude.ToolUnionParam{tool},
		Thinking: sdkclaude.ThinkingConfigParamOfEnabled(2000),
		Messages: []sdkclaude.MessageParam{sdkclaude.NewUserMessage(sdkclaude.NewTextBlock("list the files with one tool call"))}}
	stream := client.Messages.NewStreaming(t.Context(), params)
	var msg sdkclaude.Message
	for stream.Next() {
		if err := msg.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(msg.Content) != 2 || msg.Content[1].Name != "Bash" || string(msg.Content[1].Input) != `{"command":"ls"}` || msg.StopReason != "tool_use" {
		t.Fatalf("%+v", msg)
	}
	params.Messages = append(params.Messages, msg.ToParam(), sdkclaude.NewUserMessage(sdkclaude.NewToolResultBlock(msg.Content[1].ID, "marker-3.txt", false)))
	r, err := client.Messages.New(t.Context(), params)
	if err != nil || len(r.Content) != 2 || r.Content[1].Text != "The Bash said: marker-3.txt" {
		t.Fatalf("%v %v", r, err)
	}
	s.Script(Anthropic, "overload_in_200:after=1")
	stream = client.Messages.NewStreaming(t.Context(), params)
	for stream.Next() {
		continue
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "overloaded_error") {
		t.Errorf("%v", err)
	}
	ids := 0
	for pages := client.Models.ListAutoPaging(t.Context(), sdkclaude.ModelListParams{Limit: sdkclaude.Int(5)}); pages.Next(); {
		ids++
	}
	if ids != len(claudes) {
		t.Errorf("%d models", ids)
	}
	n, err := client.Messages.CountTokens(t.Context(), sdkclaude.MessageCountTokensParams{Model: params.Model, Messages: params.Messages[:1]})
	if err != nil || n.InputTokens < 10 {
		t.Errorf("%v %v", n, err)
	}
}

func TestAnthropicLibraryRetriesOnOverload(t *testing.T) {
	s := start(t)
	client := sdkclaude.NewClient(claudeoption.WithBaseURL(s.BaseURL(Anthropic)), claudeoption.WithAPIKey("sk-sim-sdk"), claudeoption.WithRequestTimeout(time.Minute))
	s.Script(Anthropic, "overload:retry_after=0", "text:text=there")
	r, err := client.Messages.New(t.Context(), sdkclaude.MessageNewParams{Model: "claude-opus-5", MaxTokens: 10,
		Messages: []sdkclaude.MessageParam{sdkclaude.NewUserMessage(sdkclaude.NewTextBlock("hi"))}})
	if err != nil || r.Content[0].Text != "there" || len(s.Requests()) != 2 {
		t.Errorf("%v %v", r, err)
	}
}

func TestResponsesLibraryReadsTheDouble(t *testing.T) {
	s := start(t)
	client := sdkopenai.NewClient(openaioption.WithBaseURL(s.BaseURL(Responses)), openaioption.WithAPIKey("sk-sim-sdk"))
	tool := sdkresponses.ToolParamOfFunction("Bash", map[string]any{"type": "object", "properties": map[string]any{"command": map[string]any{"type": "string"}},
		"required": []string{"command"}, "additionalProperties": false}, true)
	params := sdkresponses.ResponseNewParams{Model: "gpt-5.5", Input: sdkresponses.ResponseNewParamsInputUnion{OfString: sdkopenai.String("list the files")},
		Tools: []sdkresponses.ToolUnionParam{tool}, Reasoning: sdkshared.ReasoningParam{Summary: sdkshared.ReasoningSummaryAuto}}
	stream := client.Responses.NewStreaming(t.Context(), params)
	var final sdkresponses.Response
	args := ""
	for stream.Next() {
		switch e := stream.Current().AsAny().(type) {
		case sdkresponses.ResponseFunctionCallArgumentsDeltaEvent:
			args += e.Delta
		case sdkresponses.ResponseCompletedEvent:
			final = e.Response
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(final.Output) != 2 || final.Output[0].AsReasoning().Summary[0].Text == "" || args != `{"command":"ls"}` || final.Usage.TotalTokens == 0 {
		t.Fatalf("%q %s", args, final.RawJSON())
	}
	output := sdkresponses.ResponseInputItemParamOfFunctionCallOutput("marker-4.txt")
	output.OfFunctionCallOutput.CallID = sdkopenai.String(final.Output[1].AsFunctionCall().CallID)
	next := sdkresponses.ResponseNewParams{Model: "gpt-5.5", PreviousResponseID: sdkopenai.String(final.ID), Input: sdkresponses.ResponseNewParamsInputUnion{
		OfInputItemList: sdkresponses.ResponseInputParam{output}}}
	s.Script(Responses, "rate_limit:retry_after=0")
	r, err := client.Responses.New(t.Context(), next)
	if err != nil || r.OutputText() != "The Bash said: marker-4.txt" {
		t.Errorf("%v %v", r, err)
	}
	next.PreviousResponseID = sdkopenai.String("resp_0")
	_, err = client.Responses.New(t.Context(), next)
	if e, ok := errors.AsType[*sdkopenai.Error](err); !ok || e.Code != "previous_response_not_found" || e.Param != "previous_response_id" {
		t.Errorf("%v", err)
	}
	for scenario, words := range map[string]string{"error_event": "server had an error", "error_chunk": ""} {
		s.Script(Responses, Scenario(scenario))
		stream := client.Responses.NewStreaming(t.Context(), params)
		var failed sdkresponses.ResponseFailedEvent
		for stream.Next() {
			if e, ok := stream.Current().AsAny().(sdkresponses.ResponseFailedEvent); ok {
				failed = e
			}
		}
		if err := stream.Err(); (words == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), words)) || (words == "" && failed.Response.Error.Code != "server_error") {
			t.Errorf("%s: %v %v", scenario, err, failed)
		}
	}
	if got, err := client.Responses.Get(t.Context(), final.ID, sdkresponses.ResponseGetParams{}); err != nil || got.ID != final.ID {
		t.Errorf("%v %v", got, err)
	}
	n, err := client.Responses.InputTokens.Count(t.Context(), sdkresponses.InputTokenCountParams{Model: sdkopenai.String("gpt-5.5"),
		Input: sdkresponses.InputTokenCountParamsInputUnion{OfString: sdkopenai.String("hi")}})
	if err != nil || n.InputTokens == 0 {
		t.Errorf("%v %v", n, err)
	}
	c, err := client.Responses.Compact(t.Context(), sdkresponses.ResponseCompactParams{Model: "gpt-5.5", Input: sdkresponses.ResponseCompactParamsInputUnion{OfString: sdkopenai.String("hi")}})
	if err != nil || len(c.Output) != 2 {
		t.Errorf("%v %v", c, err)
	}
}

func TestGoogleLibraryReadsTheDouble(t *testing.T) {
	s := start(t)
	client, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: "sk-sim-sdk", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: s.BaseURL(Gemini)}})
	if err != nil {
		t.Fatal(err)
	}
	config := &genai.GenerateContentConfig{ThinkingConfig: &genai.ThinkingConfig{IncludeThoughts: true}, SystemInstruction: genai.NewContentFromText("Help.", genai.RoleUser),
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "Bash", Parameters: &genai.Schema{Type: genai.TypeObject,
			Properties: map[string]*genai.Schema{"command": {Type: genai.TypeString}}, Required: []string{"command"}}}}}}}
	history := []*genai.Content{genai.NewContentFromText("list the files with [[parallel_tools:count=2]]", genai.RoleUser)}
	model := &genai.Content{Role: genai.RoleModel}
	for r, err := range client.Models.GenerateContentStream(t.Context(), gem3, history, config) {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Candidates[0].Content.Parts {
			if p.Text != "" || p.FunctionCall != nil { // the last piece is empty
				model.Parts = append(model.Parts, p)
			}
		}
	}
	results := &genai.Content{Role: genai.RoleUser}
	for _, p := range model.Parts {
		if c := p.FunctionCall; c != nil {
			results.Parts = append(results.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: c.ID, Name: c.Name, Response: map[string]any{"output": "marker-7.txt"}}})
		}
	}
	if len(results.Parts) != 2 || !model.Parts[0].Thought {
		t.Fatalf("%+v", model.Parts)
	}
	r, err := client.Models.GenerateContent(t.Context(), gem3, append(history, model, results), config)
	if err != nil || r.Text() != "The Bash said: marker-7.txt\nThe Bash said: marker-7.txt" || r.UsageMetadata.TotalTokenCount == 0 {
		t.Fatalf("%v %v", r, err)
	}
	s.Script(Gemini, "rate_limit:retry_after=9")
	_, err = client.Models.GenerateContent(t.Context(), gem3, history, nil)
	if e, ok := errors.AsType[genai.APIError](err); !ok || e.Code != 429 || e.Status != "RESOURCE_EXHAUSTED" || len(e.Details) != 2 {
		t.Errorf("%v", err)
	}
	s.Script(Gemini, "error_chunk:after=1")
	for _, err = range client.Models.GenerateContentStream(t.Context(), gem25, history, nil) {
		continue
	}
	if err == nil || !strings.Contains(err.Error(), "INTERNAL") {
		t.Errorf("%v", err)
	}
	n := 0
	for m, err := range client.Models.All(t.Context()) {
		if n++; err != nil || m.Name == "" {
			t.Fatal(err)
		}
	}
	if n != len(geminiModels) {
		t.Errorf("%d models", n)
	}
	count, err := client.Models.CountTokens(t.Context(), gem25, history, nil)
	if err != nil || count.TotalTokens == 0 {
		t.Errorf("%v %v", count, err)
	}
	vec, err := client.Models.EmbedContent(t.Context(), "gemini-embedding-001", history, nil)
	if err != nil || len(vec.Embeddings[0].Values) != 8 {
		t.Errorf("%v %v", vec, err)
	}
}

func TestOpenAILibraryMakesAndChangesImages(t *testing.T) {
	s := start(t)
	client := sdkopenai.NewClient(openaioption.WithBaseURL(s.BaseURL(OpenAI)), openaioption.WithAPIKey("sk-sim-sdk"))
	made, err := client.Images.Generate(t.Context(), sdkopenai.ImageGenerateParams{Prompt: "a cat", Model: "gpt-image-2", N: sdkopenai.Int(2)})
	if err != nil || len(made.Data) != 2 || made.Data[0].B64JSON == "" || made.Usage.TotalTokens == 0 {
		t.Errorf("%v %v", made, err)
	}
	file := sdkopenai.File(bytes.NewReader(pngImage(t, 2, 2)), "cat.png", "image/png")
	changed, err := client.Images.Edit(t.Context(), sdkopenai.ImageEditParams{Prompt: "a hat", Model: "gpt-image-2", Image: sdkopenai.ImageEditParamsImageUnion{OfFile: file}})
	if err != nil || len(changed.Data) != 1 {
		t.Errorf("%v %v", changed, err)
	}
}
