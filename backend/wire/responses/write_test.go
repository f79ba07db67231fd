package responses

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// identityBodies mean the same after they were read and written.
var identityBodies = []string{
	`{"model":"m","input":"hi","store":false}`,
	`{"model":"m","instructions":"be brief","input":[{"role":"user","content":"hi"}],"temperature":0,"top_p":0.25,"max_output_tokens":5,"stream":true,"store":true,"metadata":{"a":"b"},"user":"u","service_tier":"flex","truncation":"auto","unknown":{"a":[1.50]}}`,
	`{"model":"m","input":[{"role":"developer","content":"A"},{"role":"system","content":"B"},{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo=","detail":"original"}]},{"role":"assistant","content":[{"type":"output_text","text":"b"}],"phase":"final_answer"},{"role":"developer","content":"mid"},{"role":"user","content":"c"}],"store":false}`,
	`{"model":"gpt-5","input":[{"role":"user","content":"x"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gAAAAAB1"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"n\":1.50}"},{"type":"function_call","call_id":"c2","name":"f","arguments":"not json"},{"type":"function_call_output","call_id":"c2","output":"two"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"https://h/i.png"}]},{"role":"user","content":"on"}],"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{"n":{"type":"number"}}},"strict":true,"defer_loading":true}],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,"reasoning":{"effort":"low","summary":"auto","context":"all_turns"},"include":["reasoning.encrypted_content"],"store":false}`,
	`{"model":"m","input":[{"role":"user","content":"x"},{"type":"custom_tool_call","call_id":"c1","name":"p","input":"*** <patch>"},{"type":"custom_tool_call_output","call_id":"c1","output":"ok"},{"type":"function_call","call_id":"c2","namespace":"n","name":"g","arguments":"{}"},{"type":"function_call_output","call_id":"c2","output":"k"},{"type":"tool_search_call","call_id":"c3","execution":"client","arguments":{"q":1}},{"type":"tool_search_output","call_id":"c3","execution":"client","status":"completed","tools":[]}],"tools":[{"type":"custom","name":"p","description":"d","format":{"type":"grammar","syntax":"lark","definition":"x"}},{"type":"namespace","name":"n","description":"N","tools":[{"type":"function","name":"g"},{"type":"custom","name":"h"}]},{"type":"web_search","filters":{}},{"type":"tool_search","execution":"client","parameters":{"type":"object"}}],"store":false}`,
	`{"model":"m","input":[{"role":"user","content":"x"},{"type":"web_search_call","id":"ws_1","status":"completed"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":"y"}],"text":{"format":{"type":"json_schema","name":"n","description":"d","schema":{"type":"object"},"strict":false},"verbosity":"low"},"top_logprobs":3,"include":["message.output_text.logprobs"],"prompt_cache_key":"k","safety_identifier":"s","max_tool_calls":2,"store":false}`,
}

func TestWritingWhatWasReadMeansTheSame(t *testing.T) {
	ignore := []cmp.Option{
		cmpopts.IgnoreUnexported(canon.Request{}), cmpopts.IgnoreFields(canon.Request{}, "Body", "Seed"),
		cmpopts.IgnoreFields(canon.Tool{}, "Raw"), cmpopts.EquateEmpty(),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ItemID" }, cmp.Ignore()),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Include" }, cmp.Ignore()), // more is asked for
	}
	for _, body := range identityBodies {
		before := decoded(t, body)
		x, err := NewExchange(before, Options{ForceConvert: true, Store: true})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if len(x.Dropped) > 0 {
			t.Errorf("%s: dropped %v", body, x.Dropped)
		}
		after := decoded(t, string(x.Body))
		for _, want := range before.Include {
			if !slices.Contains(after.Include, want) {
				t.Errorf("%s: %s is not asked for", body, want)
			}
		}
		if d := cmp.Diff(before, after, ignore...); d != "" {
			t.Errorf("%s\n%s\n%s", body, x.Body, d)
		}
		again, _ := NewExchange(decoded(t, body), Options{ForceConvert: true, Store: true})
		if string(again.Body) != string(x.Body) {
			t.Errorf("not the same twice: %s\n%s", x.Body, again.Body)
		}
	}
}

func TestBytesPassAsTheyAre(t *testing.T) {
	for _, body := range identityBodies {
		body = strings.Replace(body, `,"input"`, ",\n\t \"input\"", 1)
		req := decoded(t, body)
		req.Model = "other"
		x, err := NewExchange(req, Options{Store: true})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(body, `"model":"`+req.ModelAsked+`"`, `"model":"other"`, 1)
		if d := cmp.Diff(want, string(x.Body)); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	body := "{ \"model\" : \"m\" , \"input\":\"h\\u00e9\",\"store\":false }"
	if x, _ := NewExchange(decoded(t, body), Options{}); string(x.Body) != body {
		t.Errorf("%s", x.Body)
	}
}

func sent(t *testing.T, req *canon.Request, o Options) string {
	t.Helper()
	x, err := NewExchange(req, o)
	if err != nil {
		t.Fatal(err)
	}
	if !oai.Valid(x.Body) {
		t.Fatalf("no JSON: %s", x.Body)
	}
	return string(x.Body)
}

func TestNothingIsStoredUnlessTheClientAsks(t *testing.T) {
	for _, c := range []struct {
		body string
		o    Options
		want string
	}{
		{`{"model":"m","input":"x"}`, Options{Store: true}, "false"},
		{`{"model":"m","input":"x","store":true}`, Options{Store: true}, "true"},
		{`{"model":"m","input":"x","store":true}`, Options{}, "false"},
		{`{"model":"m","input":"x","store":null}`, Options{Store: true}, "false"},
		{`{"model":"m","input":"x","store":true}`, Options{Store: true, ForceConvert: true}, "true"},
		{`{"model":"m","input":"x","store":true}`, Options{ForceConvert: true}, "false"},
	} {
		if got := string(oai.Member([]byte(sent(t, decoded(t, c.body), c.o)), "store")); got != c.want {
			t.Errorf("%s %+v: %s", c.body, c.o, got)
		}
	}
}

// What a service such as Codex's own asks for.
func TestForcedMembers(t *testing.T) {
	o := Options{
		Instructions: true, Include: []string{includeReasoning}, ForceStream: true, DropItemIDs: true, ClientMetadata: true, NoSystemRole: true,
		Only: []string{"model", "stream", "store", "instructions", "input", "tools", "include", "client_metadata"},
	}
	body := `{"model":"m","input":[{"type":"message","id":"msg_1","role":"system","content":"s"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAAB1"},{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"},{"type":"item_reference","id":"kept"}],"temperature":1,"client_metadata":{"a":"b"},"stream":false,"tools":[]}`
	want := `{"model":"m","input":[{"type":"message","role":"developer","content":"s"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAAB1"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"item_reference","id":"kept"}],"client_metadata":{"a":"b"},"stream":true,"tools":[],"store":false,"instructions":"","include":["reasoning.encrypted_content"]}`
	x, err := NewExchange(decoded(t, body), o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(x.Body)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff([]canon.Warning{{Field: "temperature", Detail: notTaken}}, x.Dropped); d != "" || !x.Stream {
		t.Error(d)
	}
	o.ForceConvert = true
	req := decoded(t, `{"model":"m","instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":"u"}],"client_metadata":{"a":"b"},"temperature":1}`)
	want = `{"model":"m","stream":true,"instructions":"i\n\nd","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"u"}]}],"store":false,"include":["reasoning.encrypted_content"],"client_metadata":{"a":"b"}}`
	if d := cmp.Diff(want, sent(t, req, o)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Only what the upstream's own maker encrypted goes back to it (traps 3 and 4).
func TestReasoningOfOtherMakersStaysHere(t *testing.T) {
	own := "gAAAAAB1"
	wrapped := wire.Wrap(canon.Opaque{Family: wire.FamilyOpenAI, Kind: wire.OpaqueThink, Data: own})
	for _, c := range []struct {
		encrypted string
		o         Options
		want      string
	}{
		{own, Options{}, own},
		{wrapped, Options{}, own},
		{"pb1.claude.think.RXFR", Options{}, ""},
		{"pb1.gemini.call.RXFR", Options{}, ""},
		{"pb1.openai.think.*", Options{}, ""},
		{"EqQBCkYIBxgC", Options{}, ""}, // Claude's or Gemini's by its envelope
		{"grok's own form", Options{}, "grok's own form"},
		{"", Options{}, ""},
		{own, Options{StripReasoning: true}, ""},
		{own, Options{Family: wire.FamilyGrok}, ""},
		{wire.Wrap(canon.Opaque{Family: wire.FamilyGrok, Kind: wire.OpaqueThink, Data: "x"}), Options{Family: wire.FamilyGrok}, "x"},
	} {
		for _, convert := range []bool{false, true} {
			body := `{"model":"m","input":[{"role":"user","content":"x"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":` + string(wire.AppendString(nil, c.encrypted)) + `},{"role":"assistant","content":"y"},{"role":"user","content":"z"}],"store":false}`
			c.o.ForceConvert = convert
			got := ""
			list := oai.WalkArray(oai.Member([]byte(sent(t, decoded(t, body), c.o)), "input"))
			n := 0
			for ; list.Next(); n++ {
				got += oai.Text(oai.Member(list.Value, "encrypted_content"))
			}
			if got != c.want || n != 3+min(len(c.want), 1) {
				t.Errorf("%q %+v: %q in %d items", c.encrypted, c.o, got, n)
			}
		}
	}
}

func TestWithoutReasoning(t *testing.T) {
	x, err := NewExchange(decoded(t, `{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"gAAAAAB1"},{"role":"user","content":"x"}]}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := x.WithoutReasoning()
	if err != nil || strings.Contains(string(again.Body), "gAAA") || !strings.Contains(string(x.Body), "gAAA") {
		t.Errorf("%s %v", again.Body, err)
	}
}

// Trap 21: OpenAI takes ids of at most 64 characters; call and result stay together.
func TestIDsOfCallsFit(t *testing.T) {
	long := strings.Repeat("i", 400)
	for _, convert := range []bool{false, true} {
		got := sent(t, decoded(t, `{"model":"m","input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"`+long+`","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"`+long+`","output":"y"}]}`), Options{ForceConvert: convert})
		var ids []string
		list := oai.WalkArray(oai.Member([]byte(got), "input"))
		for list.Next() {
			if id := oai.Text(oai.Member(list.Value, "call_id")); id != "" {
				ids = append(ids, id)
			}
		}
		if len(ids) != 2 || ids[0] != ids[1] || len(ids[0]) > 64 {
			t.Errorf("%v", ids)
		}
	}
}

func foreign(parts ...canon.Part) *canon.Request {
	return &canon.Request{Format: "anthropic", ModelAsked: "asked", Model: "m", Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}}}
}

func TestWhatCannotBeCarriedOverIsRefused(t *testing.T) {
	two := int64(2)
	text := canon.Part{Type: canon.PartText, Text: "x"}
	with := func(change func(*canon.Request)) *canon.Request {
		r := foreign(text)
		change(r)
		return r
	}
	for name, req := range map[string]*canon.Request{
		"several answers": with(func(r *canon.Request) { r.Sampling.N = &two }),
		"audio answer":    with(func(r *canon.Request) { r.Modalities = []string{"audio"} }),
		"audio":           foreign(canon.Part{Type: canon.PartAudio, Media: &canon.Media{Data: []byte("x")}}),
		"video":           foreign(canon.Part{Type: canon.PartVideo, Media: &canon.Media{URL: "https://h/v"}}),
		"file elsewhere":  foreign(canon.Part{Type: canon.PartImage, Media: &canon.Media{FileID: "f"}}),
		"remote tool": with(func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "mcp", Name: "mcp"}}
		}),
		"only tool": with(func(r *canon.Request) { r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "x", Name: "x"}} }),
		"forced tool": with(func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "x", Name: "x"}, {Kind: canon.ToolFunction, Name: "f"}}
			r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"x"}}
		}),
		"in a result": {Format: "anthropic", ModelAsked: "asked", Messages: []canon.Message{
			{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "c", Name: "f"}}},
			{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "c", Result: []canon.Part{{Type: canon.PartImage, Media: &canon.Media{FileID: "f"}}}}}},
		}},
	} {
		_, err := NewExchange(req, Options{})
		if e := apierror.From(err); err == nil || e.Kind != apierror.Unsupported || e.Param == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPartsAreAdapted(t *testing.T) {
	req := foreign(
		canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("abc")}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "text/plain", Text: "body", Title: "T"}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "text/plain", Text: "body", FileName: "F"}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "text/plain", Text: "body"}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "application/pdf", Data: []byte("%PDF")}},
		canon.Part{Type: canon.PartRefusal, Text: "no"},
		canon.Part{Type: canon.PartServer, Server: jsontext.Value(`{}`)},
	)
	req.Facts.Images = canon.No
	got := sent(t, req, Options{})
	for _, want := range []string{"[image omitted: image/png, 3 bytes]", `T\n\nbody`, `F\n\nbody`, `Document\n\nbody`, `"filename":"document.pdf"`, `"text":"no"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestEffortFitsTheModel(t *testing.T) {
	budget := int64(9000)
	for _, c := range []struct {
		model string
		r     canon.Reasoning
		o     Options
		want  string
	}{
		{"gpt-5", canon.Reasoning{Mode: canon.ReasonOn, Effort: "max"}, Options{}, `{"effort":"high","summary":"auto"}`},
		{"gpt-5.5", canon.Reasoning{Mode: canon.ReasonOn, Effort: "max", Summary: "none"}, Options{}, `{"effort":"xhigh"}`},
		{"gpt-5.5", canon.Reasoning{Mode: canon.ReasonOff}, Options{}, `{"effort":"none"}`},
		{"gpt-5", canon.Reasoning{Mode: canon.ReasonOff}, Options{}, `{"effort":"minimal"}`},
		{"unknown", canon.Reasoning{Mode: canon.ReasonOff}, Options{}, ""},
		{"unknown", canon.Reasoning{Mode: canon.ReasonOn, Budget: &budget}, Options{}, `{"effort":"high","summary":"auto"}`},
		{"unknown", canon.Reasoning{Mode: canon.ReasonOn, Effort: "high"}, Options{Efforts: []string{"low"}}, `{"effort":"low","summary":"auto"}`},
		{"unknown", canon.Reasoning{Mode: canon.ReasonAuto}, Options{}, `{"summary":"auto"}`},
		{"unknown", canon.Reasoning{Mode: canon.ReasonOn, Effort: "low", Summary: "detailed"}, Options{Drop: []string{DropSummary, DropEffort}}, ""},
		{"gpt-4o", canon.Reasoning{Mode: canon.ReasonOn, Effort: "low"}, Options{}, ""},
		{"gpt-5", canon.Reasoning{}, Options{}, ""},
	} {
		req := foreign(canon.Part{Type: canon.PartText, Text: "x"})
		req.Model, req.Reasoning = c.model, c.r
		body := []byte(sent(t, req, c.o))
		if got := string(oai.Member(body, "reasoning")); got != c.want {
			t.Errorf("%s %+v: %s, want %s", c.model, c.r, got, c.want)
		}
		if asks := strings.Contains(string(body), includeReasoning); asks == (c.model == "gpt-4o") {
			t.Errorf("%s: asks for encrypted reasoning: %v", c.model, asks)
		}
	}
}

func TestMembersThatAreRefusedStayAway(t *testing.T) {
	body := `{"model":"m","input":"x","text":{"verbosity":"low","format":{"type":"text"}},"reasoning":{"effort":"low","summary":"auto"},"top_p":1,"store":false}`
	o := Options{Drop: []string{DropSummary, DropVerbosity, "top_p"}}
	for _, convert := range []bool{false, true} {
		o.ForceConvert = convert
		x, err := NewExchange(decoded(t, body), o)
		if err != nil {
			t.Fatal(err)
		}
		got := string(x.Body)
		if strings.Contains(got, "verbosity") || strings.Contains(got, "summary") || strings.Contains(got, "top_p") || !strings.Contains(got, `"effort":"low"`) || len(x.Dropped) != 3 {
			t.Errorf("%s %v", got, x.Dropped)
		}
	}
}

func TestToolsOfOtherFormats(t *testing.T) {
	yes := true
	req := foreign(canon.Part{Type: canon.PartText, Text: "x"})
	req.Tools = []canon.Tool{
		{Kind: canon.ToolFunction, Name: strings.Repeat("n", 70), Space: "s", Strict: &yes, Cache: &canon.Cache{}, Schema: jsontext.Value(`{"type":"object","properties":{},"additionalProperties":false,"required":[]}`)},
		{Kind: canon.ToolServer, Name: "web_search", ServerType: "web_search_20250305"},
		{Kind: canon.ToolServer, Name: "bash", ServerType: "bash_20250124"},
	}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceAllowed, Names: []string{"web_search"}}
	got := sent(t, req, Options{OwnHost: true})
	for _, want := range []string{`{"type":"web_search"}`, `"strict":true`, `"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"web_search"}]}`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "bash") || strings.Contains(got, strings.Repeat("n", 65)) {
		t.Error(got)
	}
}

func TestBodiesOfTheOtherEndpoints(t *testing.T) {
	req := decoded(t, `{"model":"m","input":"x","instructions":"i","stream":true,"store":false,"include":["reasoning.encrypted_content"],"temperature":1,"prompt_cache_key":"k","truncation":"auto"}`)
	count, err := CountBody(req, Options{})
	if err != nil || string(count) != `{"model":"m","input":"x","instructions":"i","truncation":"auto"}` {
		t.Errorf("%s %v", count, err)
	}
	compact, err := CompactBody(req, Options{Instructions: true})
	if err != nil || string(compact) != `{"model":"m","input":"x","instructions":"i","prompt_cache_key":"k"}` {
		t.Errorf("%s %v", compact, err)
	}
	if body, err := CountBody(foreign(canon.Part{Type: canon.PartText, Text: "x"}), Options{}); err != nil || strings.Contains(string(body), "store") {
		t.Errorf("%s %v", body, err)
	}
	two := int64(2)
	bad := foreign()
	bad.Sampling.N = &two
	if _, err := CountBody(bad, Options{}); err == nil {
		t.Error("no error")
	}
}
