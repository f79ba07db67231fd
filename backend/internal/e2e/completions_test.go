package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
)

// completion is an answer of the old endpoint, or a chunk of one.
type completion struct {
	Object  string
	Model   string
	Choices []struct {
		Text     string
		Index    int
		Finish   *string         `json:"finish_reason"`
		Logprobs json.RawMessage `json:"logprobs"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
}

func TestLegacyCompletionsThroughEveryUpstream(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for provider, model := range map[string]string{"openai": "gpt-4.1", "compat": "deepseek-chat", "anthropic": "claude-sonnet-4-5"} {
		path := "/" + provider + "/v1/completions"
		resp, out := b.Do(t, "POST", path, `{"model":"`+model+`","prompt":["one","two"],"max_tokens":20,"echo":true,"stop":null,"user":"u"}`)
		var whole completion
		if err := json.Unmarshal([]byte(out), &whole); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", provider, resp.StatusCode, out)
			continue
		}
		if whole.Object != "text_completion" || whole.Model != model || len(whole.Choices) != 2 || whole.Usage == nil || whole.Usage.Prompt <= 0 {
			t.Errorf("%s: %s", provider, out)
			continue
		}
		for i, prompt := range []string{"one", "two"} {
			c := whole.Choices[i]
			if c.Index != i || !strings.HasPrefix(c.Text, prompt) || len(c.Text) == len(prompt) || c.Finish == nil || *c.Finish == "" {
				t.Errorf("%s: choice %d: %+v", provider, i, c)
			}
		}

		resp, out = b.Do(t, "POST", path, `{"model":"`+model+`","prompt":["one","two"],"max_tokens":20,"echo":true,"stream":true,"stream_options":{"include_usage":true}}`)
		texts, ends, usage := map[int]string{}, map[int]int{}, 0
		frames := strings.Split(strings.TrimSpace(out), "\n\n")
		if frames[len(frames)-1] != "data: [DONE]" || strings.Count(out, "[DONE]") != 1 {
			t.Errorf("%s: the stream ends with %q", provider, frames[len(frames)-1])
		}
		for _, f := range frames[:len(frames)-1] {
			var c completion
			data, isData := strings.CutPrefix(f, "data: ")
			if !isData {
				continue // a keep-alive
			}
			if err := json.Unmarshal([]byte(data), &c); err != nil || c.Object != "text_completion" || c.Model != model {
				t.Errorf("%s: %q %v", provider, f, err)
				continue
			}
			for _, ch := range c.Choices {
				texts[ch.Index] += ch.Text
				if ch.Finish != nil {
					ends[ch.Index]++
				}
			}
			if c.Usage != nil {
				usage++
			}
		}
		if !strings.HasPrefix(texts[0], "one") || !strings.HasPrefix(texts[1], "two") || ends[0] != 1 || ends[1] != 1 || usage != 1 || len(texts) != 2 {
			t.Errorf("%s (%d): %v, ends %v, %d usages in %s", provider, resp.StatusCode, texts, ends, usage, out)
		}
	}
}

func TestLegacyCompletionsNameTheFieldAtFault(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for body, param := range map[string]string{
		`{"model":"gpt-4.1"}`:                                  "prompt",
		`{"model":"gpt-4.1","prompt":""}`:                      "prompt",
		`{"model":"gpt-4.1","prompt":[]}`:                      "prompt",
		`{"model":"gpt-4.1","prompt":[1,2,3]}`:                 "prompt",
		`{"model":"gpt-4.1","prompt":[[1,2],[3]]}`:             "prompt",
		`{"model":"gpt-4.1","prompt":["a",""]}`:                "prompt",
		`{"model":"gpt-4.1","prompt":["a",1]}`:                 "prompt",
		`{"model":"gpt-4.1","prompt":"a","suffix":"b"}`:        "suffix",
		`{"model":"gpt-4.1","prompt":"a","best_of":3}`:         "best_of",
		`{"model":"gpt-4.1","prompt":"a","n":0}`:               "n",
		`{"model":"gpt-4.1","prompt":"a","max_tokens":"many"}`: "max_tokens",
		`{"model":"gpt-4.1","prompt":"a","echo":"yes"}`:        "echo",
		`{"prompt":"a"}`:                                       "model",
	} {
		resp, out := b.Do(t, "POST", "/v1/completions", body)
		var e struct {
			Error struct {
				Message, Type string
				Param         *string
			}
		}
		if err := json.Unmarshal([]byte(out), &e); err != nil || resp.StatusCode != 400 || e.Error.Param == nil || !strings.HasPrefix(*e.Error.Param, param) || e.Error.Message == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, out)
		}
	}
}

func TestLegacyCompletionsOfSeveralAnswersAndLogprobs(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	resp, out := b.Do(t, "POST", "/openai/v1/completions", `{"model":"gpt-4.1","prompt":["one","two"],"n":2,"logprobs":1,"max_tokens":20}`)
	var whole completion
	if err := json.Unmarshal([]byte(out), &whole); err != nil || resp.StatusCode != 200 || len(whole.Choices) != 4 {
		t.Fatalf("%d %s", resp.StatusCode, out)
	}
	for i, c := range whole.Choices { // index = prompt * n + answer
		if c.Index != i {
			t.Errorf("choice %d has index %d", i, c.Index)
		}
		var lp struct {
			Tokens  []string
			Logs    []float64 `json:"token_logprobs"`
			Offsets []int     `json:"text_offset"`
		}
		if err := json.Unmarshal(c.Logprobs, &lp); err != nil || len(lp.Tokens) == 0 || len(lp.Logs) != len(lp.Tokens) || len(lp.Offsets) != len(lp.Tokens) {
			t.Errorf("choice %d: log probabilities %s (%v)", i, c.Logprobs, err)
		}
	}
}
