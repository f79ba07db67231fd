package codex

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/simulator"
)

// golden are requests of clients and the body that leaves for the service, which the simulated one takes as well.
var golden = map[string]struct{ format, body, want string }{
	"chat": {"chat", `{"model":"m","max_tokens":5,"temperature":0.2,"user":"u","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}`,
		`{"model":"gpt-5.5","stream":true,"instructions":"be brief","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],` +
			`"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"KEY"}`},
	"anthropic with tools": {"anthropic", `{"model":"m","max_tokens":5,"thinking":{"type":"enabled","budget_tokens":9000},"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"gpt-5.5","stream":true,"instructions":"","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],` +
			`"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],"reasoning":{"effort":"high","summary":"auto"},` +
			`"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"KEY"}`},
	"a string": {"responses", `{"model":"m","input":"hi","temperature":1,"max_output_tokens":99,"truncation":"auto","metadata":{"a":"b"},"user":"u","service_tier":"flex","parallel_tool_calls":true}`,
		`{"model":"gpt-5.5","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],` +
			`"stream":true,"store":false,"instructions":"","include":["reasoning.encrypted_content"],"prompt_cache_key":"KEY"}`},
	"what a Codex program sends": {"responses", `{"model":"m","stream":true,"store":false,"instructions":"I","input":[{"type":"message","role":"system","id":"msg_x","content":[{"type":"input_text","text":"s"}]},` +
		`{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"tools":[{"type":"web_search_preview"},{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],` +
		`"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"minimal","summary":"auto"},"service_tier":"priority","text":{"verbosity":"low"},"prompt_cache_key":"mine","client_metadata":{"session_id":"s"}}`,
		`{"model":"gpt-5.5","stream":true,"store":false,"instructions":"I","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"s"}]},` +
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"tools":[{"type":"web_search"},{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],` +
			`"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"low","summary":"auto"},"service_tier":"priority","text":{"verbosity":"low"},"prompt_cache_key":"mine","client_metadata":{"session_id":"s"},` +
			`"include":["reasoning.encrypted_content"]}`},
}

func TestGoldenRequests(t *testing.T) {
	b := newBay(t)
	for name, c := range golden {
		t.Run(name, func(t *testing.T) {
			req := decode(t, c.format, c.body)
			r, e := ask(t, b.open(), req)
			got := b.last()
			if e != nil || !strings.Contains(text(r), "hi") {
				t.Fatalf("%v %q\n%s", e, got.Refused, got.Body)
			}
			want := strings.Replace(c.want, "KEY", conversationID(req), 1)
			var w, g any
			if err := json.Unmarshal([]byte(want), &w); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(got.Body, &g); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w, g); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestHeadersSayWhoAsks(t *testing.T) {
	b := newBay(t)
	u := b.open()
	req := decode(t, "chat", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	req.Conversation = "some conversation"
	if _, e := ask(t, u, req); e != nil {
		t.Fatal(e)
	}
	h := b.last().Header
	if h.Get("Originator") != "patchbay" || !strings.HasPrefix(h.Get("User-Agent"), "Patchbay/") && !strings.HasPrefix(h.Get("User-Agent"), "patchbay/") || h.Get("Accept") != "text/event-stream" {
		t.Errorf("%v", h)
	}
	if h.Get("Chatgpt-Account-Id") != "3f1c0a52-0000-4000-8000-000000000001" || h.Get("X-Openai-Account-Routing-Override") != "" || h.Get("Openai-Beta") != "" {
		t.Errorf("%v", h)
	}
	id := h.Get("Session-Id")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || h.Get("Thread-Id") != id || h.Get("X-Client-Request-Id") != id {
		t.Errorf("the conversation is called %q", id)
	}
	req = decode(t, "chat", `{"model":"m","messages":[{"role":"user","content":"hi again"}]}`)
	if req.Conversation = "some conversation"; conversationID(req) != id {
		t.Error("a conversation changes its name")
	}
	if req.Conversation = "another"; conversationID(req) == id {
		t.Error("two conversations have one name")
	}
	const mine = "01a204f9-b6b7-7681-bc01-4b18c5254a1c"
	req = decode(t, "responses", `{"model":"m","input":[{"role":"user","content":"hi"}]}`, "Session-Id", mine, "Thread-Id", mine)
	if _, e := ask(t, u, req); e != nil {
		t.Fatal(e)
	}
	if h := b.last().Header; h.Get("Session-Id") != mine || h.Get("Thread-Id") != mine {
		t.Errorf("a Codex program's own names: %v", h)
	}
}

func TestALiteRequestPassesAsItIs(t *testing.T) {
	const body = `{"model":"gpt-5.5","stream":true,"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"reasoning":{"effort":"low","context":"all_turns"},"include":["reasoning.encrypted_content"]}`
	u, seen := fake(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	req := decode(t, "responses", body, "X-Openai-Internal-Codex-Responses-Lite", "true")
	req.ModelAsked = req.Model
	_, _ = ask(t, u, req)
	got, _ := io.ReadAll((*seen)[0].Body)
	if string(got) != body || (*seen)[0].Header.Get("X-Openai-Internal-Codex-Responses-Lite") != "true" {
		t.Errorf("%v\n%s", (*seen)[0].Header, got)
	}
}

func TestNothingThatWasStoredIsThere(t *testing.T) {
	b := newBay(t)
	for field, req := range map[string]*canon.Request{
		"previous_response_id": decode(t, "responses", `{"model":"m","input":"x","previous_response_id":"resp_1"}`),
		"conversation":         decode(t, "responses", `{"model":"m","input":"x","conversation":"conv_1"}`),
		"input":                decode(t, "responses", `{"model":"m","input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"x"}]}`),
	} {
		if _, e := ask(t, b.open(), req); e == nil || e.Param != field || field == "previous_response_id" && e.Code != "previous_response_not_found" {
			t.Errorf("%s: %+v", field, e)
		}
	}
	if n := len(b.sim.Requests()); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestThoughtsOfAnotherAccountAreLeftOut(t *testing.T) {
	b := newBay(t)
	req := decode(t, "responses", `{"model":"m","include":["reasoning.encrypted_content"],"reasoning":{"effort":"low","summary":"auto"},"input":[{"role":"user","content":"[[reasoning]] hi"}]}`)
	r, e := ask(t, b.open(), req)
	if e != nil || r.Parts[0].Type != canon.PartReasoning || r.Parts[0].Opaque == nil {
		t.Fatalf("%v %+v", e, r)
	}
	again := asking("gpt-5.5")
	again.Messages = append(again.Messages, canon.Message{Role: canon.RoleAssistant, Parts: r.Parts}, canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "and?"}}})
	if _, e := ask(t, b.open(), again); e != nil || !strings.Contains(string(b.last().Body), r.Parts[0].Opaque.Data) {
		t.Fatalf("the same account: %v\n%s", e, b.last().Body)
	}
	b.as("bob@example.test")
	before := len(b.sim.Requests())
	if _, e := ask(t, b.open(), again); e != nil || len(b.sim.Requests()) != before+2 || strings.Contains(string(b.last().Body), "encrypted_content\":") {
		t.Errorf("another account: %v after %d calls\n%s", e, len(b.sim.Requests())-before, b.last().Body)
	}
	b.sim.Script(simulator.Codex, "invalid_signature", "invalid_signature")
	if _, e := ask(t, b.open(), again); e == nil || !e.BadSignature {
		t.Errorf("refused for ever: %v", e)
	}
}

func TestInstructionsMoveIntoAMessageWhereTheyAreRefused(t *testing.T) {
	b := newBay(t)
	u := b.open()
	b.sim.Script(simulator.Codex, "codex_refusal:which=instructions")
	for range 2 { // the second time it is known
		r, e := ask(t, u, decode(t, "chat", `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}`))
		if e != nil || !strings.Contains(text(r), "system prompt: be brief") {
			t.Fatalf("%v %v", e, r)
		}
		if body := string(b.last().Body); !strings.Contains(body, `"instructions":""`) || !strings.Contains(body, `"role":"developer","content":[{"type":"input_text","text":"be brief"}]`) {
			t.Fatal(body)
		}
	}
	if n := len(b.sim.Requests()); n != 3 {
		t.Errorf("%d calls", n)
	}
	b.sim.Script(simulator.Codex, "codex_refusal:which=instructions")
	if _, e := ask(t, u, asking("gpt-5.5")); e == nil || e.Kind != apierror.InvalidRequest {
		t.Errorf("refused for ever: %v", e)
	}
	if _, e := ask(t, u, decode(t, "responses", `{"model":"m","instructions":"I","input":"hi"}`)); e != nil {
		t.Error(e)
	}
}

func TestAMemberThatIsRefusedIsLeftOutAndRemembered(t *testing.T) {
	b := newBay(t)
	u := b.open()
	req := func() *canon.Request {
		return decode(t, "chat", `{"model":"m","parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"hi"}]}`)
	}
	b.sim.Script(simulator.Codex, "codex_refusal:which=parameter")
	for range 2 {
		if _, e := ask(t, u, req()); e != nil || strings.Contains(string(b.last().Body), "parallel_tool_calls") {
			t.Fatalf("%v\n%s", e, b.last().Body)
		}
	}
	if n := len(b.sim.Requests()); n != 3 || b.notes["refused/gpt-5.5"] != "parallel_tool_calls" {
		t.Errorf("%d calls, %v", n, b.notes)
	}
}

func TestTheStateOfATurn(t *testing.T) {
	b := newBay(t)
	u := b.open()
	turn := func(body string) string {
		t.Helper()
		req := decode(t, "chat", body)
		req.Conversation = "c"
		if _, e := ask(t, u, req); e != nil {
			t.Fatalf("%v %s", e, b.last().Body)
		}
		return b.last().Header.Get("X-Codex-Turn-State")
	}
	const begin = `{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"use the f tool"}`
	if s := turn(begin + `]}`); s != "" {
		t.Errorf("a new turn begins with %q", s)
	}
	const goesOn = begin + `,{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"r"}`
	if s := turn(goesOn + `]}`); !strings.HasPrefix(s, "sim-turn-") {
		t.Errorf("the turn goes on with %q", s)
	}
	if s := turn(goesOn + `,{"role":"assistant","content":"done"},{"role":"user","content":"more"}]}`); s != "" {
		t.Errorf("the next turn begins with %q", s)
	}
	for i := range mostTurns + 9 {
		u.keepTurnState(strings.Repeat("x", i+1), "s")
	}
	if n := len(u.turns.kept); n > mostTurns {
		t.Errorf("%d turns are kept", n)
	}
}

func TestAWholeAnswerIsFoldedFromTheStream(t *testing.T) {
	b := newBay(t)
	req := decode(t, "responses", `{"model":"m","input":"hi"}`) // asks for no stream; the last event's output is empty
	r, e := ask(t, b.open(), req)
	if e != nil || !strings.Contains(text(r), "You said: hi") || !strings.Contains(string(r.Whole), "You said: hi") || strings.Contains(string(r.Whole), "rate_limits") {
		t.Errorf("%v %s", e, r.Whole)
	}
}

func TestCompaction(t *testing.T) {
	b := newBay(t)
	req := decode(t, "compact", `{"model":"m","instructions":"I","input":[{"role":"user","content":"a long talk"},{"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"yes"}]}],"tools":[]}`)
	answer, err := b.open().Compact(t.Context(), req)
	if err != nil || !strings.Contains(string(answer), "response.compaction") {
		t.Fatalf("%s %v\n%s", answer, err, b.last().Body)
	}
	for _, name := range []string{"stream", "store", "include"} {
		if strings.Contains(string(b.last().Body), `"`+name+`"`) {
			t.Errorf("%s goes out", b.last().Body)
		}
	}
	b.sim.Script("codex/compact", "server_error")
	if _, err := b.open().Compact(t.Context(), req); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	req.State.PreviousResponse = "resp_1"
	if _, err := b.open().Compact(t.Context(), req); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
}

func TestNoSecretLeaves(t *testing.T) {
	u, _ := fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":{"message":"the token `+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+` is bad"}}`)
	})
	_, e := ask(t, u, asking("gpt-5.5"))
	if e == nil || strings.Contains(e.Error()+e.Upstream.Body, "CANARY") {
		t.Errorf("%v", e)
	}
}
