package anthropic

import (
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func TestThinkingOfExtraBodyWins(t *testing.T) {
	read := func(members string) (canon.Reasoning, error) {
		req, err := Codec{}.Decode(OpMessages, nil, []byte(`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],`+members+`}`))
		if err != nil {
			return canon.Reasoning{}, err
		}
		return req.Reasoning, nil
	}
	r, err := read(`"thinking":{"type":"disabled"},"output_config":{"effort":"low"},"extra_body":{"anthropic":{"thinking":{"type":"enabled","budget_tokens":500}}}`)
	if err != nil || r.Mode != canon.ReasonOn || r.Budget == nil || *r.Budget != 500 || r.Effort != "" {
		t.Errorf("%v %+v", err, r)
	}
	for _, other := range []string{`"extra_body":{"anthropic":{"thinking":null}}`, `"extra_body":[]`, `"extra_body":{"anthropic":5}`, `"extra_body":null`} {
		if r, err := read(`"thinking":{"type":"adaptive","effort":"low"},` + other); err != nil || r.Mode != canon.ReasonAuto || r.Effort != "low" {
			t.Errorf("%s: %v %+v", other, err, r)
		}
	}
	_, err = read(`"extra_body":{"anthropic":{"thinking":{"type":"often"}}}`)
	if e := apierror.From(err); e == nil || e.Param != "extra_body.anthropic.thinking.type" {
		t.Errorf("%v", err)
	}
}
