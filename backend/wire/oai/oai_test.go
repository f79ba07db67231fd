package oai

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func TestWalkStepsOverEverything(t *testing.T) {
	in := ` { "a" : [1, {"x":"}]\"" }] , "b":null,"c\"":"v", "d":-1.5e3 }`
	var names, values []string
	c := WalkObject([]byte(in))
	for c.Next() {
		names, values = append(names, string(c.Name)), append(values, string(c.Value))
		if in[c.At:c.At+len(c.Value)] != string(c.Value) {
			t.Errorf("%s does not stand at %d", c.Value, c.At)
		}
	}
	if d := cmp.Diff([]string{"a", "b", `c\"`, "d"}, names); d != "" || c.Bad {
		t.Error(d)
	}
	if d := cmp.Diff([]string{`[1, {"x":"}]\"" }]`, "null", `"v"`, "-1.5e3"}, values); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{``, `[`, `{`, `{"a"`, `{"a":`, `{"a" 1}`, `{a:1}`, `{"a":"x}`, `{"a":[1}`, `{"a":{"b":"c`, `1`} {
		c := WalkObject([]byte(bad))
		for c.Next() {
		}
		if !c.Bad {
			t.Errorf("%s ends well", bad)
		}
	}
}

func TestScalars(t *testing.T) {
	for in, want := range map[string]int64{"12": 12, "12.9": 12, "-1": -1, "": -1, "x": -1, "1234567890123456789": -1, ".5": -1} {
		if got := Number([]byte(in)); got != want {
			t.Errorf("%s: %d", in, got)
		}
	}
	for in, want := range map[string]string{`"a\u00e9\n"`: "aé\n", `"x"`: "x", `1`: "", ``: "", "\"\xff\"": "\uFFFD"} {
		if got := Text([]byte(in)); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	for in, want := range map[string]string{`"a"`: "a", `429`: "429", `null`: "", `{}`: "", `[]`: "", ``: ""} {
		if got := Word([]byte(in)); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	if Member([]byte(`{"a":1}`), "b") != nil || !IsNull(nil) || IsNull([]byte("0")) || Valid([]byte("{")) {
		t.Error("members and null")
	}
}

func TestIDsOfCalls(t *testing.T) {
	long := strings.Repeat("x", 70)
	part := func(id string) *canon.Part { return &canon.Part{Type: canon.PartToolCall, CallID: id, Name: "f"} }
	var ids CallIDs
	got := ids.Turn([]*canon.Part{part("a"), part("a"), part(""), part(long)}, false)
	if got[0] != "a" || got[1] != "a_2" || !strings.HasPrefix(got[2], "call_") || len(got[3]) > MaxCallID || got[3] != FitCallID(long) {
		t.Errorf("%v", got)
	}
	for _, id := range ids.Turn([]*canon.Part{part("call_1"), part("call_1"), part("abcdefghi")}, true) {
		if len(id) != shortCallID {
			t.Errorf("%q is not short", id)
		}
	}
	first := PositionID("f", 1, 2)
	if again := PositionID("f", 1, 2); first != again || first == PositionID("f", 2, 1) {
		t.Error("ids by position")
	}
	if AtMost64("u") != "u" || len(AtMost64(long)) != 64 {
		t.Error("ids of users")
	}
}

// The input of a custom tool that went out as a function arrives the same however its JSON is cut.
func TestInputOfACustomToolInPieces(t *testing.T) {
	want := "*** Begin\n\"é\" \\ \U0001F600 end"
	args := `{ "input" : "*** Begin\n\"\u00e9\" \\ \ud83d\ude00 end" }`
	for size := 1; size <= len(args); size++ {
		var s InputStream
		var got strings.Builder
		for rest := args; rest != ""; {
			n := min(size, len(rest))
			got.WriteString(s.Feed(rest[:n]))
			rest = rest[n:]
		}
		if got.String() != want {
			t.Fatalf("in pieces of %d: %q", size, got.String())
		}
	}
	if CustomInput(args) != want || CustomInput("plain") != "plain" {
		t.Error("whole")
	}
	var odd InputStream
	if odd.Feed(`{"other":"x"}`) != "" {
		t.Error("another member was taken for the input")
	}
}

func TestSchemaOfACustomTool(t *testing.T) {
	for grammar, want := range map[string]string{
		``: "The input of the tool, as plain text.",
		`{"type":"grammar","syntax":"lark","definition":"start: x"}`:                "start: x",
		`{"type":"grammar","grammar":{"syntax":"lark","definition":"start: y"}}`:    "start: y",
		`{"type":"grammar","definition":"` + strings.Repeat("é", maxGrammar) + `"}`: strings.Repeat("é", maxGrammar/2),
	} {
		s := InputSchema(&canon.Tool{Grammar: []byte(grammar)})
		if got := Text(Member(Member(Member(s, "properties"), "input"), "description")); got != want {
			t.Errorf("%.60s: %.60q", grammar, got)
		}
	}
}

func TestUsageOfManySpellings(t *testing.T) {
	for in, want := range map[string]canon.Usage{
		`{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":4}`:                                                         {Input: 10, CacheRead: 4, CacheWrite: -1, CacheWrite1h: -1, Output: 5, Reasoning: -1, ToolPrompt: -1},
		`{"input_tokens":3,"cache_read_input_tokens":20,"cache_creation_input_tokens":1,"output_tokens":0}`:                              {Input: 24, CacheRead: 20, CacheWrite: 1, CacheWrite1h: -1, Output: 0, Reasoning: -1, ToolPrompt: -1},
		`{"input_tokens":9,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":7},"input_tokens_details":{"cached_tokens":1}}`: {Input: 9, CacheRead: 1, CacheWrite: -1, CacheWrite1h: -1, Output: 9, Reasoning: 7, ToolPrompt: -1},
	} {
		got, ok := ParseUsage([]byte(in))
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s\n%s", in, d)
		}
	}
	if _, ok := ParseUsage([]byte(`null`)); ok {
		t.Error("null has counts")
	}
}

// What Responses services say besides: limits of a plan with their end, encrypted reasoning, stored answers.
func TestRefusalsOfResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for body, want := range map[string]apierror.Error{
			`{"error":{"type":"usage_limit_reached","plan_type":"pro","resets_in_seconds":3600}}`:           {Kind: apierror.QuotaExhausted, RetryAfter: time.Hour},
			`{"error":{"type":"usage_limit_reached","plan_type":"pro","resets_at":946684860}}`:              {Kind: apierror.QuotaExhausted, RetryAfter: time.Minute},
			`{"error":{"code":"invalid_encrypted_content","message":"x","param":"input"}}`:                  {Kind: apierror.InvalidRequest, BadSignature: true, Param: "input"},
			`{"error":{"code":"previous_response_not_found","message":"x","param":"previous_response_id"}}`: {Kind: apierror.InvalidRequest, Code: "previous_response_not_found", Param: "previous_response_id"},
		} {
			status := 400
			if want.Kind == apierror.QuotaExhausted {
				status = 429
			}
			e := ParseError(status, http.Header{}, []byte(body))
			if e.Kind != want.Kind || e.RetryAfter != want.RetryAfter || e.BadSignature != want.BadSignature || e.Code != want.Code || e.Param != want.Param {
				t.Errorf("%s: %+v", body, e)
			}
		}
		if e := ParseError(404, nil, []byte(`{"error":{"code":"previous_response_not_found","message":"x"}}`)); e.Kind != apierror.InvalidRequest {
			t.Errorf("%v", e)
		}
	})
}

func TestModelFactsAreJoined(t *testing.T) {
	req := &canon.Request{Model: "gpt-5", Facts: canon.Model{Efforts: []string{"low"}}}
	if f := FactsOf(req); f.Thinking != canon.Yes || f.Efforts[0] != "low" || !RefusesSampling(req, f) {
		t.Errorf("%+v", f)
	}
	req = &canon.Request{Model: "gpt-5.5", Reasoning: canon.Reasoning{Mode: canon.ReasonOff}}
	if RefusesSampling(req, FactsOf(req)) || RefusesSampling(req, canon.Model{}) {
		t.Error("a model that does not think takes sampling numbers")
	}
	if list := string(AppendModels(nil, []canon.Model{{ID: "a", Context: 5, Name: "A"}, {ID: "b", Provider: "p", Created: 7}})); !strings.Contains(list, `"context_length":5`) || !strings.Contains(list, `"owned_by":"p"`) {
		t.Error(list)
	}
	if status, typ, code := Shape(apierror.New(apierror.RateLimited, "x")); status != 429 || typ == "" || code == "" {
		t.Errorf("%d %s %s", status, typ, code)
	}
}
