package kiro

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func TestModelNames(t *testing.T) {
	for in, want := range map[string]name{
		"claude-sonnet-4-5": {id: "claude-sonnet-4.5"}, "claude-sonnet-4-5-20250929": {id: "claude-sonnet-4.5"}, "claude-sonnet-4-20250514": {id: "claude-sonnet-4"},
		"claude-haiku-4-5-20251001": {id: "claude-haiku-4.5"}, " Kiro/Claude-Opus-4-6[1m] ": {id: "claude-opus-4.6"}, "kiro-claude-opus-4-8-thinking": {id: "claude-opus-4.8", think: true},
		"claude-opus-4-7-xhigh": {id: "claude-opus-4.7", effort: "xhigh"}, "amazonq-claude-sonnet-4-agentic": {id: "claude-sonnet-4"}, "claude-4.5-opus": {id: "claude-opus-4.5"},
		"claude-4.5-opus-latest": {id: "claude-opus-4.5"}, "claude-3-7-sonnet": {id: "CLAUDE_3_7_SONNET_20250219_V1_0"}, "CLAUDE_SONNET_4_5_20250929_V1_0": {id: "CLAUDE_SONNET_4_5_20250929_V1_0"},
		"claude-sonnet-5": {id: "claude-sonnet-5"}, "gpt-5.6-sol": {id: "gpt-5.6-sol"}, "auto": {id: "auto"}, "something-new": {id: "something-new"}, "model-1": {id: "model-1"},
	} {
		if got := modelID(in); got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
	if i := (Driver{}).Info(); !i.Off || i.Risk == nil || i.Risk.Since == "" || len(i.Models) != len(facts) || i.Policy.RefreshParallel != 1 || i.Policy.RefreshSpread == 0 || i.Wire != Wire {
		t.Errorf("%+v", i)
	}
	for _, f := range facts {
		if m := f.model(); modelID(m.ID).id != m.ID || m.Context == 0 {
			t.Errorf("%+v", m)
		}
	}
}

func TestWhatAModelTakes(t *testing.T) {
	page := `{"models":[{"modelId":"a","additionalModelRequestFieldsSchema":{"properties":{"output_config":{"properties":{"effort":{"enum":[]}}},"reasoning":{"properties":{"effort":{"enum":["none","low"]}}}}}},` +
		`{"modelId":"b","additionalModelRequestFieldsSchema":{"properties":{"thinking":{"properties":{"type":{"enum":["adaptive","disabled"]}}},"output_config":{"properties":{"effort":{"enum":["low","max"]}}},"max_tokens":{"minimum":1024,"maximum":128000}}}},` +
		`{"modelId":""},{"modelId":5},{"modelId":"c","supportedInputTypes":["TEXT"],"tokenLimits":{"maxInputTokens":100,"maxOutputTokens":null},"additionalModelRequestFieldsSchema":null}],"nextToken":"n"}`
	list, next, err := parseModels([]byte(page))
	if err != nil || next != "n" || len(list) != 3 {
		t.Fatalf("%v %q %+v", err, next, list)
	}
	want := []fields{{effort: []string{"none", "low"}, reasoning: true}, {effort: []string{"low", "max"}, disabled: true, minTokens: 1024, maxTokens: 128000}, {}}
	for i := range list {
		if diff := cmp.Diff(want[i], list[i].fields(), cmp.AllowUnexported(fields{})); diff != "" {
			t.Errorf("%s: -want +got\n%s", list[i].ID, diff)
		}
	}
	if m := list[2].model(); m.Images != canon.No || m.Context != 100 || m.MaxOutput != 0 {
		t.Errorf("%+v", m)
	}
	for _, bad := range []string{`[]`, `{}`, `{"models":5}`, `x`} {
		if _, _, err := parseModels([]byte(bad)); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestThinkingWords(t *testing.T) {
	for in, want := range map[int64]int64{0: 20000, -1: 20000, 500: 1024, 1024: 1024, 9999: 9999, 30000: 24576} {
		if got := clampBudget(in); got != want {
			t.Errorf("%d: %d", in, got)
		}
	}
	n := func(v int64) *int64 { return &v }
	for _, c := range []struct {
		r    canon.Reasoning
		tags string
		b    string // for a model with levels low to high, and disabled
		gpt  string
	}{
		{canon.Reasoning{}, "", "", ""},
		{canon.Reasoning{Mode: canon.ReasonOff}, "", `"thinking":{"type":"disabled"}`, `"reasoning":{"effort":"none"}`},
		{canon.Reasoning{Effort: "none"}, "", `"thinking":{"type":"disabled"}`, `"reasoning":{"effort":"none"}`},
		{canon.Reasoning{Effort: "minimal"}, "", `"output_config":{"effort":"low"}`, `"reasoning":{"effort":"low"}`},
		{canon.Reasoning{Mode: canon.ReasonOn}, "enabled 20000", `"output_config":{"effort":"high"}`, `"reasoning":{"effort":"high"}`},
		{canon.Reasoning{Mode: canon.ReasonOn, Budget: n(0)}, "enabled 20000", `"output_config":{"effort":"high"}`, `"reasoning":{"effort":"high"}`},
		{canon.Reasoning{Mode: canon.ReasonOn, Budget: n(2000), Effort: "high"}, "enabled 2000", `"output_config":{"effort":"medium"}`, `"reasoning":{"effort":"medium"}`},
		{canon.Reasoning{Budget: n(0)}, "", `"thinking":{"type":"disabled"}`, `"reasoning":{"effort":"none"}`},
		{canon.Reasoning{Mode: canon.ReasonAuto}, "adaptive high", `"output_config":{"effort":"high"}`, `"reasoning":{"effort":"high"}`},
		{canon.Reasoning{Mode: canon.ReasonAuto, Effort: "low"}, "adaptive low", `"output_config":{"effort":"low"}`, `"reasoning":{"effort":"low"}`},
		{canon.Reasoning{Effort: "max"}, "adaptive high", `"output_config":{"effort":"high"}`, `"reasoning":{"effort":"high"}`},
	} {
		tags := tagsOf(c.r)
		for _, cut := range []string{"<thinking_mode>", "</thinking_mode>", "</max_thinking_length>", "</thinking_effort>"} {
			tags = strings.ReplaceAll(tags, cut, "")
		}
		tags = strings.NewReplacer("<max_thinking_length>", " ", "<thinking_effort>", " ").Replace(tags)
		if tags != c.tags {
			t.Errorf("%+v: tags %q, want %q", c.r, tags, c.tags)
		}
		last := func(f fields) string {
			m := nativeFields(c.r, f)
			if len(m) == 0 {
				return ""
			}
			return m[len(m)-1]
		}
		if got := last(fields{effort: []string{"low", "medium", "high"}, disabled: true}); got != c.b {
			t.Errorf("%+v: %q, want %q", c.r, got, c.b)
		}
		if got := last(fields{effort: []string{"none", "low", "medium", "high"}, reasoning: true}); got != c.gpt {
			t.Errorf("%+v: %q, want %q", c.r, got, c.gpt)
		}
	}
	for model, want := range map[string]string{"claude-sonnet-4-5-thinking": "enabled</thinking_mode><max_thinking_length>20000", "claude-haiku-4-5-low": "adaptive</thinking_mode><thinking_effort>low"} {
		x, err := newExchange(ask(noTools, func(r *canon.Request) { r.Model = model }), options{})
		if err != nil || !bytes.Contains(x.body, []byte(want)) || !x.tags {
			t.Errorf("%s: %v %s", model, err, x.body)
		}
	}
	x, err := newExchange(ask(noTools, func(r *canon.Request) {
		r.Reasoning.Mode, r.System = canon.ReasonOn, []canon.Part{said0("<thinking_mode>enabled</thinking_mode>mine")}
	}), options{})
	if err != nil || x.tags || bytes.Count(x.body, []byte("<thinking_mode>")) != 1 {
		t.Errorf("the client's own tags: %v %s", err, x.body)
	}
	limit := int64(64)
	x, err = newExchange(ask(noTools, func(r *canon.Request) { r.MaxTokens = &limit }), options{formB: true, fields: fields{minTokens: 1024, maxTokens: 128000}})
	if err != nil || !bytes.Contains(x.body, []byte(`"additionalModelRequestFields":{"max_tokens":1024}`)) || len(x.dropped) != 0 {
		t.Errorf("max_tokens: %v %s %+v", err, x.body, x.dropped)
	}
}

func TestUsageIsRead(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		in          string
		used, limit float64
		reset       string
		exhausted   bool
	}{
		"credits":  {`{"nextDateReset":1796083200.0,"usageBreakdownList":[{"resourceType":"VIBE","currentUsage":1},{"resourceType":"CREDIT","currentUsage":312,"currentUsageWithPrecision":312.5,"usageLimit":1000}]}`, 312.5, 1000, "2026-12-01", false},
		"trial":    {`{"usageBreakdownList":[{"resourceType":"AGENTIC_REQUEST","currentUsage":1000,"usageLimit":1000,"nextDateReset":"2026-12-05T00:00:00Z","freeTrialInfo":{"freeTrialStatus":"ACTIVE","usageLimitWithPrecision":500,"currentUsage":500},"bonuses":[{"status":"ACTIVE","usageLimit":100,"currentUsage":100},{"status":"EXPIRED","usageLimit":9}]}]}`, 1600, 1600, "2026-12-05", true},
		"overage":  {`{"overageConfiguration":{"overageStatus":"ENABLED"},"usageBreakdownList":[{"resourceType":"X","currentUsage":5,"usageLimit":5,"freeTrialInfo":{"freeTrialStatus":"EXPIRED","usageLimit":7}}]}`, 5, 5, "2026-12-01", false},
		"singular": {`{"usageBreakdown":{"currentUsage":1,"usageLimit":2}}`, 1, 2, "2026-12-01", false},
		"older":    {`{"nextDateReset":"never","limits":[{"type":"AGENTIC_REQUEST","currentUsage":3,"totalUsageLimit":3}]}`, 3, 3, "2026-12-01", true},
		"nothing":  {`{}`, 0, 0, "0001-01-01", false},
	} {
		a, err := parseUsage([]byte(c.in), now)
		if err != nil || a.used != c.used || a.limit != c.limit || a.reset.UTC().Format(time.DateOnly) != c.reset || a.exhausted() != c.exhausted {
			t.Errorf("%s: %v %+v", name, err, a)
		}
	}
	if _, err := parseUsage([]byte(`{"usageBreakdownList":5}`), now); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
}

func TestQuotaIsConfirmed(t *testing.T) {
	for who, want := range map[string]struct {
		kind  apierror.Kind
		least time.Duration
	}{"exhausted@example.test": {apierror.QuotaExhausted, 27 * 24 * time.Hour}, "ann@example.test": {apierror.RateLimited, 4 * time.Minute}} {
		h := newHouse(t, keyed(), nil)
		h.signIn(kindSocial, who)
		h.sim.Script(simulator.Kiro, "insufficient_quota")
		if _, e := h.ask(hello("x")); e == nil || e.Kind != want.kind || e.RetryAfter < want.least || len(h.inference()) != 1 {
			t.Errorf("%s: %v %s", who, e, e.RetryAfter)
		}
	}
	h := newHouse(t, keyed(), nil) // keys cannot read the usage: until the first of next month
	h.sim.Script(simulator.Kiro, "billing")
	if _, e := h.ask(hello("x")); e == nil || e.Kind != apierror.QuotaExhausted || e.RetryAfter <= 0 || e.RetryAfter > 31*24*time.Hour {
		t.Errorf("%v", e)
	}
}

func TestRefusalOfAFreshToken(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	c := h.signIn(kindSocial, "ann@example.test")
	const no = "aws_error:status=403,message=Access denied,reason=FEATURE_NOT_SUPPORTED"
	h.sim.Script(simulator.Kiro, no)
	if _, e := h.ask(hello("x")); e == nil || e.Kind != apierror.AuthExpired {
		t.Errorf("an old token is renewed first: %v", e)
	}
	c.Issued = time.Now()
	h.cred = c
	h.sim.Script(simulator.Kiro, no)
	if _, e := h.ask(hello("x")); e == nil || e.Kind != apierror.AccountBlocked || e.Action == "" {
		t.Errorf("a fresh one is not at fault: %v", e)
	}
	h.sim.Script(simulator.Kiro, "unauthorized")
	if _, e := h.ask(hello("x")); e == nil || e.Kind != apierror.AuthExpired {
		t.Errorf("unless the service says so: %v", e)
	}
}

func TestRegionsAndHeaders(t *testing.T) {
	for _, c := range []struct {
		l       login
		setting string
		want    string
	}{
		{login{}, "", regionUS}, {login{region: "eu-west-1"}, "", regionEU}, {login{region: "ap-southeast-1"}, "", regionUS}, {login{arn: builderARN, region: "eu-north-1"}, "", regionEU},
		{login{arn: strings.Replace(socialARN, "us-east-1", "eu-central-1", 1)}, "", regionEU}, {login{arn: socialARN, region: "eu-west-1"}, "", regionUS}, {login{arn: socialARN}, regionEU, regionEU},
		{login{arn: socialARN}, "mars", regionUS},
	} {
		if got := c.l.apiRegion(c.setting); got != c.want {
			t.Errorf("%+v %s: %s", c.l, c.setting, got)
		}
	}
	h := newHouse(t, keyed(), map[string]string{settingWire: "A", settingVersion: "1.2.3", provider.SettingHeaderPrefix + "X-Team": "red"})
	h.signIn(kindSocial, "ann@example.test")
	if _, e := h.ask(hello("x")); e != nil {
		t.Fatal(e)
	}
	r := h.sim.Requests()[0]
	if bytes.Contains(r.Body, []byte("agentMode")) || !strings.Contains(r.Header.Get("User-Agent"), "KiroIDE-1.2.3-") || r.Header.Get("X-Team") != "red" || r.Header.Get("X-Amzn-Kiro-Profile-Arn") != kiroARN(h) {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	if id := h.note[noteMachine]; len(id) != 64 || !strings.HasSuffix(r.Header.Get("User-Agent"), id) {
		t.Errorf("%q", id)
	}
	h = newHouse(t, provider.Credential{Access: secret.New("a.b.c"), Extra: map[string]string{extraKind: kindExternal, extraARN: socialARN, extraProvider: "Internal"}}, map[string]string{settingWire: "B"})
	h.ask(hello("x"))
	if r := h.sim.Requests()[0]; r.Header.Get("Tokentype") != "EXTERNAL_IDP" || r.Header.Get("Redirect-For-Internal") != "true" {
		t.Errorf("%v", r.Header)
	}
}

func kiroARN(h *house) string { return h.sim.KiroProfile(kindSocial) }

func TestOwnModelList(t *testing.T) {
	h := newHouse(t, keyed(), map[string]string{provider.SettingModels: "claude-opus-5, mine"})
	list, err := h.up.Models(t.Context())
	if err != nil || len(list) != 2 || list[0].Context != 1_000_000 || list[1].ID != "mine" || len(h.sim.Requests()) != 0 {
		t.Errorf("%v %+v", err, list)
	}
	h = newHouse(t, keyed(), nil)
	h.sim.Script(simulator.Kiro+"/models", "aws_error:status=404,message=x", "aws_error:status=404,message=x", "aws_error:status=404,message=x")
	h.sim.Script(simulator.Kiro+"/control", "aws_error:status=404,message=x")
	if list, err := h.up.Models(t.Context()); err != nil && !strings.Contains(err.Error(), "x") {
		t.Errorf("%v %v", list, err)
	}
}

// noise is a picture that does not compress.
func noise(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255})
		}
	}
	return img
}

func TestLargePicturesAreMadeSmaller(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, noise(1500, 1200)); err != nil || b.Len() < maxImageBase64 {
		t.Fatal(err, b.Len())
	}
	small, err := shrink(b.Bytes())
	if err != nil || base64.StdEncoding.EncodedLen(len(small)) > maxImageBase64 || http.DetectContentType(small) != "image/jpeg" {
		t.Fatalf("%v %d", err, len(small))
	}
	if half := halved(noise(5, 3)); half.Bounds().Dx() != 2 || half.Bounds().Dy() != 1 {
		t.Error(half.Bounds())
	}
	b.Reset()
	if err := jpeg.Encode(&b, noise(2, 2), nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"no picture": []byte("x"), "half a picture": b.Bytes()[:b.Len()/2], "a giant": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00")} {
		if _, err := shrink(data); err == nil {
			t.Errorf("%s is made smaller", name)
		}
	}
}

func TestPartsThatCannotBeSent(t *testing.T) {
	picture := func(mime string, data []byte) canon.Part {
		return canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: mime, Data: data}}
	}
	for name, p := range map[string]canon.Part{
		"sound": {Type: canon.PartAudio, Media: &canon.Media{}}, "no data": {Type: canon.PartImage, Media: &canon.Media{FileID: "f"}}, "another form": picture("image/tiff", []byte("II*\x00")),
		"too large": picture("image/webp", append([]byte("RIFF....WEBP"), make([]byte, maxImageBase64)...)),
	} {
		_, err := newExchange(ask(func(r *canon.Request) { r.Messages[0].Parts = []canon.Part{p} }), options{})
		if e := apierror.From(err); e == nil || e.Param != "messages" || e.Kind != apierror.Unsupported && e.Kind != apierror.InvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*canon.Request){
		"nothing": func(r *canon.Request) { r.Messages = nil }, "audio out": func(r *canon.Request) { r.Modalities = []string{"audio"} },
		"mcp": func(r *canon.Request) { r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "mcp", Name: "m"}} },
		"a named tool": func(r *canon.Request) {
			r.Tools = append(r.Tools, canon.Tool{Kind: canon.ToolServer, Name: "s"})
			r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"s"}}
		},
	} {
		if _, err := newExchange(ask(change), options{}); err == nil {
			t.Errorf("%s goes out", name)
		}
	}
	text := func(change func(*canon.Request)) string {
		x, err := newExchange(ask(change), options{})
		if err != nil {
			t.Fatal(err)
		}
		return string(x.body)
	}
	if b := text(func(r *canon.Request) {
		r.Facts.Images = canon.No
		r.Messages[0].Parts = []canon.Part{picture("image/png", []byte("\x89PNG"))}
	}); !strings.Contains(b, "[image omitted: image/png, 4 bytes]") {
		t.Error(b)
	}
	if b := text(func(r *canon.Request) {
		r.Messages[0].Parts = []canon.Part{{Type: canon.PartDocument, Media: &canon.Media{Text: "body", FileName: "a.txt"}}}
	}); !strings.Contains(b, `a.txt\n\nbody`) {
		t.Error(b)
	}
	if b := text(func(r *canon.Request) { r.Tools[0].Description = strings.Repeat("é", maxDescription+10) }); !strings.Contains(b, "## Tool: get_weather") || !strings.Contains(b, "goes on in the system prompt") {
		t.Errorf("%.300s", b)
	}
	if b := text(func(r *canon.Request) {
		r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceAllowReq, Names: []string{"patch"}}
	}); strings.Contains(b, "get_weather") || !strings.Contains(b, "at least one of the tools") {
		t.Error(b)
	}
	if s := cutMiddle(strings.Repeat("世", maxResult), maxResult); len(s) > maxResult || !strings.HasPrefix(s, "世") || !strings.HasSuffix(s, "世") || !strings.Contains(s, "cut out by Patchbay") {
		t.Errorf("%d", len(s))
	}
}

func TestLastLookFindsWhatTheServiceWouldRefuse(t *testing.T) {
	user, model := turn{user: true, texts: []string{"x"}}, turn{texts: []string{"y"}}
	u := use{id: "a", name: "f", args: emptySchema}
	called, answered := turn{uses: []use{u}}, turn{user: true, results: []result{{id: "a"}}}
	spec := specOf("f", "d", emptySchema)
	for rule, c := range map[string]struct {
		turns []turn
		specs []toolSpec
	}{
		"ENDS_WITH_USER_MESSAGE": {[]turn{user, model}, nil}, "TOOL_DUPLICATE": {[]turn{user}, []toolSpec{spec, spec}}, "ALTERNATING_MESSAGES": {[]turn{user, user, user}, nil},
		"TOOL_RESULTS_AND_NO_USES": {[]turn{answered}, nil}, "TOOL_USES_AND_RESULTS": {[]turn{user, called, user}, []toolSpec{spec}}, "TOOL_USE": {[]turn{user, called, answered}, nil},
	} {
		c2 := conversion{turns: c.turns, specs: c.specs}
		if err := c2.check(); err == nil || apierror.KindOf(err) != apierror.Internal || !strings.Contains(err.Error(), rule) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	ok := conversion{turns: []turn{user, called, answered}, specs: []toolSpec{spec}}
	if err := ok.check(); err != nil {
		t.Error(err)
	}
}

func TestShapeHoldsNoWords(t *testing.T) {
	x, err := newExchange(ask(func(r *canon.Request) {
		r.Messages[0].Parts[0].Text = "a private matter"
		r.Messages = append(r.Messages, canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "c1", Name: "get_weather", Args: []byte(`{"city":"private"}`)}}},
			canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "c1", Result: []canon.Part{said0("private too"), {Type: canon.PartImage, Media: &canon.Media{Data: []byte("\x89PNG")}}}}}})
	}), options{})
	if err != nil || strings.Contains(x.shape, "private") || !strings.Contains(x.shape, "user 16 assistant 0 +get_weather(c1) user 0 =c1(11) 1 images") {
		t.Errorf("%v %s", err, x.shape)
	}
	x, err = newExchange(ask(func(r *canon.Request) {
		for range 300 {
			r.Messages = append(r.Messages, canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{said0("x")}}, canon.Message{Role: canon.RoleUser, Parts: []canon.Part{said0("y")}})
		}
	}), options{})
	if err != nil || len(x.shape) > maxShape+3 {
		t.Errorf("%v %d", err, len(x.shape))
	}
}
