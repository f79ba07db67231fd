package wire

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func TestBudgetsAndEffortsFollowOneTable(t *testing.T) {
	for budget, want := range map[int64]string{-1: "auto", 0: "none", 1: "minimal", 512: "minimal", 513: "low", 1024: "low", 1025: "medium", 8192: "medium", 8193: "high", 24576: "high", 24577: "xhigh", 200000: "xhigh"} {
		if got := EffortOfBudget(budget); got != want {
			t.Errorf("%d: %s, want %s", budget, got, want)
		}
	}
	for effort, want := range map[string]int64{"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 128000, "auto": -1} {
		if got, ok := BudgetOfEffort(effort); !ok || got != want {
			t.Errorf("%s: %d", effort, got)
		}
	}
	if _, ok := BudgetOfEffort("huge"); ok {
		t.Error("a word that is no level has a budget")
	}
}

func TestEffortIsClampedToWhatTheModelKnows(t *testing.T) {
	for _, c := range []struct {
		effort string
		known  []string
		want   string
	}{
		{"xhigh", nil, "high"}, {"max", nil, "high"}, {"minimal", nil, "minimal"}, {"low", nil, "low"},
		{"max", []string{"low", "high"}, "high"}, {"minimal", []string{"low", "high"}, "low"}, {"medium", []string{"low", "high"}, "low"}, {"high", []string{"high"}, "high"},
	} {
		if got := ClampEffort(c.effort, c.known); got != c.want {
			t.Errorf("%s of %v: %s, want %s", c.effort, c.known, got, c.want)
		}
	}
}

func TestLongToolNames(t *testing.T) {
	if got, want := ShortName("mcp__"+strings.Repeat("a", 65)), "mcp__"+strings.Repeat("a", 50)+"_61a97588"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, name := range []string{"ls", "get weather.now", strings.Repeat("x", 64), strings.Repeat("x", 65), "mcp__server__" + strings.Repeat("tool", 30), "日本語"} {
		got := ShortName(name)
		if len(got) > MaxToolName || CleanID(got) != got {
			t.Errorf("%q became %q", name, got)
		}
	}
	if got := ShortName("mcp__server__" + strings.Repeat("t", 60)); !strings.HasPrefix(got, "mcp__ttt") {
		t.Errorf("an MCP name keeps its prefix and its end: %s", got)
	}
}

func TestNamesComeBack(t *testing.T) {
	req := &canon.Request{
		Tools:    []canon.Tool{{Name: "a.b"}, {Name: "a_b"}, {Name: "run", Space: "ns"}, {Name: "mcp__x", Space: "ns"}},
		Messages: []canon.Message{{Parts: []canon.Part{{Type: canon.PartToolCall, Name: "old tool"}}}},
	}
	n := NewNames(req, nil)
	seen := map[string]bool{}
	for _, name := range []string{"a.b", "a_b", "ns__run", "mcp__x", "old tool"} {
		out := n.Out(name)
		if seen[out] || n.Back(out) != name {
			t.Errorf("%q became %q and came back as %q", name, out, n.Back(out))
		}
		seen[out] = true
	}
	if n.Back("unknown") != "unknown" || (*Names)(nil).Back("x") != "x" {
		t.Error("a name that is in no table changed")
	}
}

func TestWrappedSignaturesComeBack(t *testing.T) {
	o := canon.Opaque{Family: "gemini", Kind: "call", Data: "CpwB"}
	if got, want := Wrap(o), "pb1.gemini.call.Q3B3Qg"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if back, ok := Unwrap(Wrap(o)); !ok || back != o {
		t.Errorf("%+v, %v", back, ok)
	}
	for _, s := range []string{"", "EqQB", "pb1.", "pb1.x", "pb1.x.y", "pb1.x.y.!!"} {
		if _, ok := Unwrap(s); ok {
			t.Errorf("%q was unwrapped", s)
		}
	}
	if ShowOpaque(&o, "gemini") != "CpwB" || ShowOpaque(&o, "claude") != Wrap(o) || ShowOpaque(nil, "claude") != "" {
		t.Error("own data goes as it is, other data wrapped")
	}
	if ReadOpaque("", "think") != nil || ReadOpaque(Wrap(o), "think").Family != "gemini" {
		t.Error("reading")
	}
	if !Wrapped([]byte(`{"signature":"pb1.x"}`)) || Wrapped([]byte(`{"text":"about pb1."}`)) {
		t.Error("looking for wrapped data")
	}
}

// envelope is a protocol buffer field 2 that holds a field 1.
func envelope(inner ...byte) string {
	msg := append([]byte{0x0a, byte(len(inner))}, inner...)
	return base64.StdEncoding.EncodeToString(append([]byte{0x12, byte(len(msg))}, msg...))
}

func TestSignaturesOfUnknownOriginAreClassified(t *testing.T) {
	for sig, want := range map[string]string{
		"gAAAAABo":             "openai",
		"RXFRQg==":             "claude",
		"CAkYAg==":             "claude",
		envelope(0x08, 12, 1):  "claude",
		envelope(0x08, 2, 24):  "claude", // models before 4.6
		envelope(0x18, 2):      "claude",
		envelope(0x99, 0x7, 3): "gemini",
		envelope(0x08, 0x99):   "gemini",
		"E!!!":                 "",
		"plain words":          "",
		"":                     "",
	} {
		if got := Classify(sig); got != want {
			t.Errorf("%q: %q, want %q", sig, got, want)
		}
	}
}

func TestDataURLs(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n"
	b64 := base64.StdEncoding.EncodeToString([]byte(png))
	for url, want := range map[string]string{
		"data:image/png;base64," + b64:                         "image/png",
		"data:;base64," + b64:                                  "image/png",
		"data:IMAGE/PNG;base64," + b64[:4] + "\n" + b64[4:]:    "image/png",
		"data:image/png;base64," + strings.TrimRight(b64, "="): "image/png",
		"data:text/plain,hello%20there":                        "text/plain",
	} {
		mime, data, err := ParseDataURL(url)
		if err != nil || mime != want || (want == "image/png") != (string(data) == png) {
			t.Errorf("%s: %s %q %v", url, mime, data, err)
		}
	}
	for _, bad := range []string{"", "http://x", "data:image/png", "data:image/png;base64,!!!"} {
		if _, _, err := ParseDataURL(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for data, want := range map[string]string{"\xff\xd8\xff\xe0": "image/jpeg", "GIF89a": "image/gif", "RIFFxxxxWEBP": "image/webp", "%PDF-1.7": "application/pdf", "text": ""} {
		if got := SniffImage([]byte(data)); got != want {
			t.Errorf("%q: %s", data, got)
		}
	}
	if got := DataURL("image/png", []byte(png)); got != "data:image/png;base64,"+b64 {
		t.Error(got)
	}
	if b, err := DecodeBase64("-_-_"); err != nil || len(b) != 3 {
		t.Errorf("URL-safe base64: %v", err)
	}
}

func TestEstimateIsNeverZero(t *testing.T) {
	if n := EstimateTokens(&canon.Request{}); n != 1 {
		t.Errorf("an empty prompt: %d", n)
	}
	req := &canon.Request{
		System:   []canon.Part{{Type: canon.PartText, Text: "12345678"}},
		Messages: []canon.Message{{Parts: []canon.Part{{Type: canon.PartImage, Media: &canon.Media{Data: []byte("x")}}, {Type: canon.PartToolResult, Result: []canon.Part{{Type: canon.PartText, Text: "1234"}}}}}},
		Tools:    []canon.Tool{{Name: "tool", Schema: []byte(`{"a":1}`)}, {Raw: []byte(`{}`)}},
	}
	if n, want := EstimateTokens(req), int64(2+4+1500+1+1+2+1); n != want {
		t.Errorf("%d, want %d", n, want)
	}
	parts := []canon.Part{{Type: canon.PartReasoning, Summary: []string{"1234"}}, {Type: canon.PartToolCall, Name: "abcd", Args: []byte(`{}`)}, {Type: canon.PartDocument, Media: &canon.Media{Text: "12345"}}}
	if n := EstimateOutput(parts); n != 1+1+1+2 {
		t.Errorf("%d", n)
	}
}

func TestBadBodiesNameTheField(t *testing.T) {
	for body, want := range map[string]string{"": "no body", "{": "invalid JSON", "[]": "must be a JSON object", `{"a":tru}`: "invalid JSON at a"} {
		_, err := ReadBody([]byte(body))
		if e := apierror.From(err); e.Kind != apierror.InvalidRequest || !strings.Contains(e.Msg, want) {
			t.Errorf("%q: %v", body, err)
		}
	}
	o, err := ReadBody([]byte(`{"n":"x","list":[{"text":5}],"null":null}`))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var list []struct {
		Text string `json:"text"`
	}
	for name, c := range map[string]struct {
		dst   any
		param string
	}{"n": {&n, "n"}, "list": {&list, "list[0].text"}} {
		if e := apierror.From(ReadMember(o, name, c.dst)); e.Param != c.param || !strings.HasPrefix(e.Msg, c.param) {
			t.Errorf("%s: %q, %q", name, e.Param, e.Msg)
		}
	}
	if ReadMember(o, "null", &n) != nil || ReadMember(o, "absent", &n) != nil {
		t.Error("null and absent are not wrong")
	}
}

func TestFieldPath(t *testing.T) {
	for pointer, want := range map[string]string{"/messages/2/content": "messages[2].content", "": "", "/a~1b/0/c~0d": "a/b[0].c~d"} {
		if got := FieldPath(pointer); got != want {
			t.Errorf("%s: %s", pointer, got)
		}
	}
}

func TestJSONForTheWire(t *testing.T) {
	if got := string(AppendString(nil, "<a>&\xff")); got != "\"<a>&\ufffd\"" {
		t.Error(got)
	}
	if got := string(Compact([]byte("{ \"b\" : 1.0,\n\"a\":2 }"))); got != `{"b":1.0,"a":2}` {
		t.Error(got)
	}
	b, err := Marshal(map[string]string{"z": "<", "a": "&"})
	if err != nil || string(b) != `{"a":"&","z":"<"}` {
		t.Errorf("%s, %v", b, err)
	}
	if d := cmp.Diff("event: x\ndata: {}\n\ndata: {}\n\n", string(AppendSSE(AppendSSE(nil, "x", []byte("{}")), "", []byte("{}")))); d != "" {
		t.Error(d)
	}
}

func TestLines(t *testing.T) {
	var got []string
	for line, err := range Lines(strings.NewReader("{\"a\":1}\r\n\n {\"b\":2}\n{\"c\":3}")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	if d := cmp.Diff([]string{`{"a":1}`, ` {"b":2}`, `{"c":3}`}, got); d != "" {
		t.Error(d)
	}
}
