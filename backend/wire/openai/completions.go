package openai

import (
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// completionFields are all fields of a legacy completion.
var completionFields = with(sharedFields, map[string]field{
	"prompt": readPrompt,
	"suffix": func(_ *decoder, name string, v jsontext.Value) error {
		if text(v) == "" {
			return nil
		}
		return apierror.Invalid(name, "suffix is not supported: chat models cannot fill in the middle")
	},
	"echo":     into(func(r *canon.Request) any { return &r.Echo }),
	"best_of":  func(d *decoder, name string, v jsontext.Value) (err error) { d.best, err = readInt(v, name, 1); return },
	"logprobs": readCompletionLogprobs,
})

// readPrompt reads one prompt or several. Prompts of token ids belong to one model's tokenizer and are refused.
func readPrompt(d *decoder, name string, v jsontext.Value) error {
	if v.Kind() == '"' {
		d.req.Prompts = []string{text(v)}
		return nil
	}
	c := walkArray(v)
	if c.Next() && c.Value[0] != '"' {
		return apierror.Invalid(name, "prompt must be a string or an array of strings: token ids are not supported")
	}
	return wire.ReadValue(v, name, &d.req.Prompts)
}

// readCompletionLogprobs reads the number of alternatives, which also turns log probabilities on.
func readCompletionLogprobs(d *decoder, name string, v jsontext.Value) error {
	n, err := readInt(v, name, 0)
	if err != nil {
		return err
	}
	on := true
	d.req.Sampling.Logprobs, d.req.Sampling.TopLogprobs = &on, n
	return nil
}

// completion finishes a legacy completion: each prompt is one user message.
func (d *decoder) completion() (*canon.Request, error) {
	req := d.req
	if len(req.Prompts) == 0 {
		return nil, apierror.Invalid("prompt", "prompt is required")
	}
	for _, p := range req.Prompts {
		if p == "" {
			return nil, apierror.Invalid("prompt", "prompt must not be empty")
		}
	}
	n := int64(1)
	if req.Sampling.N != nil {
		n = *req.Sampling.N
	}
	if n > math.MaxInt32 {
		return nil, apierror.Invalid("n", "n is too large")
	}
	if d.best != nil && *d.best > n {
		return nil, apierror.Invalid("best_of", "best_of is not supported: ask for n answers instead")
	}
	req.Messages = []canon.Message{promptMessage(req.Prompts[0])}
	req.Seed = head(req.Prompts[0])
	return req, nil
}

func promptMessage(prompt string) canon.Message {
	return canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: prompt}}}
}

// Split returns one request per prompt of a legacy completion; the answers become choices in that order. Every other
// request comes back alone, as it is.
func (Codec) Split(req *canon.Request) []*canon.Request {
	if len(req.Prompts) < 2 {
		return []*canon.Request{req}
	}
	out := make([]*canon.Request, len(req.Prompts))
	for i, p := range req.Prompts {
		c := req.Clone()
		c.Messages = []canon.Message{promptMessage(p)}
		c.Prompts = []string{p}
		out[i] = c
	}
	return out
}

// choicesEach returns how many answers each prompt gets.
func choicesEach(req *canon.Request) int {
	if req.Sampling.N == nil {
		return 1
	}
	return int(max(*req.Sampling.N, 1))
}

// echoOf returns what a choice of a legacy completion starts with.
func echoOf(req *canon.Request, choice int) string {
	if !req.Echo {
		return ""
	}
	if i := choice / choicesEach(req); i < len(req.Prompts) {
		return req.Prompts[i]
	}
	return ""
}
