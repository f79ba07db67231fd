package gemini

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
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

// reset clears the chunk and keeps its memory.
func (c *chunkJSON) reset() {
	for i := range c.Candidates {
		parts := c.Candidates[i].Content.Parts
		clear(parts)
		c.Candidates[i] = candidateJSON{Content: answerContentJSON{Parts: parts[:0]}}
	}
	*c = chunkJSON{Candidates: c.Candidates[:0]}
}

// quick reads a chunk as nearly all of a stream's are: one candidate with a part of text or thought, and token counts. It
// leaves false and a chunk to be reset for any other.
func (c *chunkJSON) quick(data []byte) bool {
	model, id := c.Model, c.ID // they stay the same from chunk to chunk
	c.reset()
	q := wire.NewQuick(data)
	for name := range q.Members {
		switch string(name) {
		case "candidates":
			c.Candidates = c.Candidates[:0]
			for i := range q.Elements {
				if i > 0 {
					return false
				}
				c.Candidates = slices.Grow(c.Candidates, 1)[:1]
				c.Candidates[0].quick(&q)
			}
		case "usageMetadata":
			c.Usage.quick(&q)
		case "modelVersion":
			c.Model = again(q.Text(), model)
		case "responseId":
			c.ID = again(q.Text(), id)
		default:
			return false
		}
	}
	return q.Done()
}

func (c *candidateJSON) quick(q *wire.Quick) {
	*c = candidateJSON{Content: answerContentJSON{Parts: c.Content.Parts[:0]}}
	for name := range q.Members {
		switch string(name) {
		case "content":
			c.Content.quick(q)
		case "index":
			c.Index = int(q.Int())
		default:
			q.GiveUp()
		}
	}
}

func (c *answerContentJSON) quick(q *wire.Quick) {
	for name := range q.Members {
		switch string(name) {
		case "parts":
			c.Parts = c.Parts[:0]
			for i := range q.Elements {
				if i > 0 {
					q.GiveUp()
					break
				}
				c.Parts = append(c.Parts, answerPartJSON{})
				c.Parts[0].quick(q)
			}
		case "role":
			q.Skip()
		default:
			q.GiveUp()
		}
	}
}

func (p *answerPartJSON) quick(q *wire.Quick) {
	for name := range q.Members {
		switch string(name) {
		case "text":
			p.Text = string(q.Text())
		case "thought":
			p.Thought = q.Bool()
		case "thoughtSignature":
			p.ThoughtSignature = string(q.Text())
		default:
			q.GiveUp()
		}
	}
}

func (u *usageJSON) quick(q *wire.Quick) {
	for name := range q.Members {
		switch string(name) {
		case "promptTokenCount":
			u.Prompt = q.Int()
		case "cachedContentTokenCount":
			u.Cached = q.Int()
		case "candidatesTokenCount":
			u.Candidates = q.Int()
		case "thoughtsTokenCount":
			u.Thoughts = q.Int()
		case "toolUsePromptTokenCount":
			u.ToolPrompt = q.Int()
		case "totalTokenCount":
			u.Total = q.Int()
		default:
			q.Skip()
		}
	}
}

// again returns b as a string, without an allocation if that is what old says.
func again(b []byte, old string) string {
	if string(b) == old {
		return old
	}
	return string(b)
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
