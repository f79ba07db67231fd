package gemini

import (
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
)

// chunkJSON is a GenerateContentResponse; it is reused from frame to frame. Code Assist wraps it as {"response": {...}}.
type chunkJSON struct {
	Response   jsontext.Value  `json:"response"`
	Candidates []candidateJSON `json:"candidates"`
	Feedback   *feedbackJSON   `json:"promptFeedback"`
	Usage      usageJSON       `json:"usageMetadata"`
	Model      string          `json:"modelVersion"`
	ID         string          `json:"responseId"`
	Created    string          `json:"createTime"`
	Error      jsontext.Value  `json:"error"`
}

type candidateJSON struct {
	Content       answerContentJSON         `json:"content"`
	FinishReason  string                    `json:"finishReason"`
	FinishMessage string                    `json:"finishMessage"`
	Index         int                       `json:"index"`
	Logprobs      jsontext.Value            `json:"logprobsResult"`
	Ext           map[string]jsontext.Value `json:",embed"`
}

type answerContentJSON struct {
	Parts []answerPartJSON `json:"parts"`
}

type answerPartJSON struct {
	Text             string         `json:"text"`
	Thought          bool           `json:"thought"`
	ThoughtSignature string         `json:"thoughtSignature"`
	FunctionCall     *callJSON      `json:"functionCall"`
	InlineData       *blobJSON      `json:"inlineData"`
	FileData         *fileJSON      `json:"fileData"`
	ExecutableCode   jsontext.Value `json:"executableCode"`
	CodeResult       jsontext.Value `json:"codeExecutionResult"`
	ToolCall         jsontext.Value `json:"toolCall"`
	ToolResponse     jsontext.Value `json:"toolResponse"`
}

type feedbackJSON struct {
	BlockReason        string `json:"blockReason"`
	BlockReasonMessage string `json:"blockReasonMessage"`
}

type usageJSON struct {
	Prompt     int64 `json:"promptTokenCount"`
	Cached     int64 `json:"cachedContentTokenCount"`
	Candidates int64 `json:"candidatesTokenCount"`
	Thoughts   int64 `json:"thoughtsTokenCount"`
	ToolPrompt int64 `json:"toolUsePromptTokenCount"`
	Total      int64 `json:"totalTokenCount"`
}

// canon returns the counts in canonical form: thoughts belong to the output. An upstream that leaves the candidates out
// (Antigravity does at times) still tells the total.
func (u usageJSON) canon() canon.Usage {
	out := canon.UnknownUsage()
	if u == (usageJSON{}) {
		return out
	}
	c := u.Candidates
	if c == 0 {
		c = max(u.Total-u.Prompt-u.Thoughts-u.ToolPrompt, 0)
	}
	out.Input, out.CacheRead, out.Output, out.Reasoning, out.ToolPrompt = max(u.Prompt, u.Cached), u.Cached, c+u.Thoughts, u.Thoughts, u.ToolPrompt
	return out
}
