package wire

// fieldNames are the names that clients have for fields of a request, by format, where they differ from OpenAI Chat's.
var fieldNames = map[string]map[string]string{
	"gemini": {
		"messages": "contents", "n": "generationConfig.candidateCount", "modalities": "generationConfig.responseModalities",
		"logprobs": "generationConfig.responseLogprobs", "tool_choice": "toolConfig.functionCallingConfig",
		"max_tokens": "generationConfig.maxOutputTokens", "reasoning_effort": "generationConfig.thinkingConfig",
	},
	"anthropic": {"reasoning_effort": "thinking"},
	"responses": {"messages": "input", "max_tokens": "max_output_tokens", "reasoning_effort": "reasoning.effort"},
	"ollama": {
		"max_tokens": "options.num_predict", "temperature": "options.temperature", "stop": "options.stop", "reasoning_effort": "think",
	},
}

// Field returns the name that clients of a format have for a field which OpenAI Chat calls name, so that an error names
// what they sent.
func Field(format, name string) string {
	if own := fieldNames[format][name]; own != "" {
		return own
	}
	return name
}
