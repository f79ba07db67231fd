package anthropic

import (
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func TestEditsOfThePassThrough(t *testing.T) {
	base := `{"model":"claude-sonnet-4-5","max_tokens":4000,` + "%" + `"messages":[{"role":"user","content":"x"}]}`
	suffix := func(r canon.Reasoning) func(*canon.Request) {
		return func(q *canon.Request) { r.Source = "suffix"; q.Reasoning = r }
	}
	for name, c := range map[string]struct {
		in, out string
		model   string
		edit    func(*canon.Request)
		o       Options
	}{
		"nothing":                        {`"a":1,`, `"a":1,`, "", nil, Options{}},
		"context management":             {`"context_management":{},`, ``, "", nil, Options{NoContextManagement: true}},
		"a budget under the least":       {`"thinking":{"type":"enabled", "budget_tokens":5},`, `"thinking":{"type":"enabled", "budget_tokens":1024},`, "", nil, Options{}},
		"a suffix turns thinking on":     {`"a":1,`, `"a":1,`, "", suffix(canon.Reasoning{Budget: ptr(int64(2000))}), Options{}},
		"a suffix turns thinking off":    {`"thinking":{"type":"enabled","budget_tokens":2000},`, `"thinking":{"type":"disabled"},`, "", suffix(canon.Reasoning{Effort: "none"}), Options{}},
		"a suffix changes the effort":    {`"thinking":{"type":"adaptive"},"output_config":{"effort":"low","task_budget":1},`, `"thinking":{"type":"adaptive"},"output_config":{"effort":"high","task_budget":1},`, "claude-opus-4-8", suffix(canon.Reasoning{Effort: "high"}), Options{}},
		"a suffix without effort":        {`"thinking":{"type":"adaptive"},"output_config":{"effort":"low"},`, `"thinking":{"type":"disabled"},`, "claude-opus-4-8", suffix(canon.Reasoning{Effort: "none"}), Options{}},
		"a suffix raises max_tokens too": {`"thinking":{"type":"disabled"},`, `"thinking":{"type":"enabled","budget_tokens":24576},`, "", suffix(canon.Reasoning{Effort: "high"}), Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(base, "%", c.in, 1)
			want := strings.Replace(base, "%", c.out, 1)
			if c.model != "" {
				body, want = strings.Replace(body, "claude-sonnet-4-5", c.model, 1), strings.Replace(want, "claude-sonnet-4-5", c.model, 1)
			}
			switch name {
			case "a suffix turns thinking on":
				want = strings.TrimSuffix(want, "}") + `,"thinking":{"type":"enabled","budget_tokens":2000}}`
			case "a suffix raises max_tokens too":
				want = strings.Replace(want, "4000", "28576", 1)
			}
			req, err := decode(body)
			if err != nil {
				t.Fatal(err)
			}
			if c.edit != nil {
				c.edit(req)
			}
			x, err := NewExchange(req, c.o)
			if err != nil || !x.verbatim || string(x.Body) != want {
				t.Errorf("%v\n got %s\nwant %s", err, x.Body, want)
			}
		})
	}
}

func TestWhatNoEditRemovesIsWrittenAnew(t *testing.T) {
	for in, o := range map[string]Options{
		`"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],`: {NoCacheControl: true},
		`"output_config":{"effort":"high"},`:                                          {NoOutputConfig: true},
		`"tools":[{"type":"bash_20250124","name":"bash"},{"name":"f"}],`:              {NoTypedTools: true},
	} {
		body := `{"model":"glm-5","max_tokens":4000,` + in + `"messages":[{"role":"user","content":"x"}]}`
		for _, o := range []Options{o, {}} {
			req, err := decode(body)
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewExchange(req, o)
			if err != nil {
				t.Fatal(err)
			}
			gone := !strings.Contains(string(x.Body), "cache_control") && !strings.Contains(string(x.Body), "output_config") && !strings.Contains(string(x.Body), "bash")
			if changed := len(o.DenyBetas) == 0 && (o.NoCacheControl || o.NoOutputConfig || o.NoTypedTools); changed != gone || x.verbatim == gone {
				t.Errorf("%+v: %s", o, x.Body)
			}
		}
	}
}

// A client's own words at the end of the conversation are written so that Claude goes on from them.
func TestPrefillThatClaudeWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct{ model, members, last, want string }{
		"white space at the end":         {"claude-sonnet-4-5", "", `"Once upon "`, `"Once upon"`},
		"in a block":                     {"claude-sonnet-4-5", "", `[{"type":"text","text":"a"},{"type":"text","text":"Once\n"}]`, `"text":"Once"}`},
		"a model that takes none":        {"claude-opus-4-6", "", `"Once"`, "Continue exactly from: Once"},
		"a model that thinks":            {"claude-sonnet-4-5", `"thinking":{"type":"enabled","budget_tokens":2000},`, `"Once"`, "Continue exactly from: Once"},
		"nothing to mend":                {"claude-sonnet-4-5", "", `"Once"`, ""},
		"a call, not words":              {"claude-opus-4-6", "", `[{"type":"tool_use","id":"a","name":"f","input":{"role" : "assistant"}}]`, ""},
		"a service that is not Claude's": {"kimi-k3", "", `"Once upon "`, ""},
	} {
		body := `{"model":"` + c.model + `","max_tokens":4000,` + c.members + `"own":{"a":1.50},"messages":[{"role":"user","content":"x"},{"role":"assistant","content":` + c.last + `}]}`
		req, err := decode(body)
		if err != nil {
			t.Fatal(err)
		}
		x, err := NewExchange(req, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(x.Body); c.want == "" && got != body || c.want != "" && (!strings.Contains(got, c.want) || !strings.Contains(got, `"own":{"a":1.50}`)) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Thinking of another family before a tool call: with a budget the API would refuse what is left.
func TestForeignThinkingBeforeACallTurnsThinkingOff(t *testing.T) {
	body := `{"model":"claude-sonnet-4-5","max_tokens":4000,"container":{"id":"c"},"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"pb1.openai.think.eA"},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}`
	for name, o := range map[string]Options{"verbatim": {}, "converted": {ForceConvert: true}} {
		req, err := decode(body)
		if err != nil || req.State.Container != "c" {
			t.Fatal(err)
		}
		x, err := NewExchange(req, o)
		if s := string(x.Body); err != nil || strings.Contains(s, "pb1.") || !strings.Contains(s, `"thinking":{"type":"disabled"}`) {
			t.Errorf("%s: %s", name, s)
		}
	}
	for _, sig := range []string{`""`, ` ""`} { // a model thought it that signs elsewhere, or not at all
		in := strings.Replace(body, `"pb1.openai.think.eA"`, sig, 1)
		req, err := decode(in)
		if err != nil {
			t.Fatal(err)
		}
		x, err := NewExchange(req, Options{})
		if s := string(x.Body); err != nil || strings.Contains(s, `"signature"`) || !strings.Contains(s, `"thinking":{"type":"disabled"}`) || !x.verbatim {
			t.Errorf("%s", s)
		}
		req, _ = decode(strings.Replace(in, "claude-sonnet-4-5", "kimi-k3", 1))
		if x, err = NewExchange(req, Options{}); err != nil || !strings.Contains(string(x.Body), `"signature":`+sig) {
			t.Errorf("a service that is not Claude's keeps it: %s", x.Body)
		}
	}
	req, _ := decode(strings.Replace(body, "claude-sonnet-4-5", "kimi-k3", 1))
	x, err := NewExchange(req, Options{NoSignatureCheck: true})
	if s := string(x.Body); err != nil || !strings.Contains(s, `"thinking":"t","signature":""`) || !strings.Contains(s, `"enabled"`) {
		t.Error(s)
	}
	req, _ = decode(`{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"pb1.claude.think.RXFR"}]}]}`)
	if x, err := NewExchange(req, Options{}); err != nil || !strings.Contains(string(x.Body), `"signature":"EqQ"`) {
		t.Errorf("its own comes back unwrapped: %v", err)
	}
}
