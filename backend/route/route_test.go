package route

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/trace"
)

// house is a set of providers to route among.
type house struct {
	providers []Provider
	settings  Settings
	accounts  map[string]bool
	lists     map[string][]canon.Model
}

func models(ids ...string) []canon.Model {
	var out []canon.Model
	for _, id := range ids {
		out = append(out, canon.Model{ID: id})
	}
	return out
}

func newHouse() *house {
	return &house{
		providers: []Provider{
			{ID: "openai", Name: "OpenAI", Aliases: []string{"openai-custom"}, Wire: "openai", Enabled: true, Priority: 100},
			{ID: "anthropic", Name: "Anthropic", Aliases: []string{"claude-custom", "claude"}, Labels: []string{"Claude"}, Wire: "anthropic", Enabled: true, Priority: 100},
			{ID: "router", Name: "Router", Aliases: []string{"openaiRouter-custom"}, Wire: "openai", Enabled: true, Priority: 200, Models: map[string]string{"mine": "openai/gpt-5"}},
			{ID: "empty", Name: "Empty", Wire: "openai", Enabled: true, Priority: 100},
			{ID: "off", Name: "Off", Wire: "openai", Enabled: false, Priority: 100},
			{ID: "local", Name: "Local", Wire: "openai", Enabled: true, Priority: 300},
		},
		settings: Settings{Default: "anthropic", Aliases: map[string]string{"fast": "openai/gpt-5-mini", "plain": "gpt-5"}},
		accounts: map[string]bool{"openai": true, "anthropic": true, "router": true, "off": true, "local": true},
		lists: map[string][]canon.Model{
			"openai":    models("gpt-5", "gpt-5-mini", "shared"),
			"anthropic": models("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5-20251101"),
			"router":    models("openai/gpt-5", "x:8b", "shared"),
		},
	}
}

func (h *house) router(t testing.TB) *Router {
	t.Helper()
	r := New(Options{
		Providers:   func() []Provider { return h.providers },
		Settings:    func() Settings { return h.settings },
		HasAccounts: func(id string) bool { return h.accounts[id] },
		List: func(_ context.Context, id string) ([]canon.Model, error) {
			return h.lists[id], nil
		},
		Bus: &events.Bus{},
	})
	r.Refresh(t.Context())
	return r
}

func TestFirstHitDecides(t *testing.T) {
	for name, c := range map[string]struct {
		q    Query
		want string // provider model, or the kind of the error
	}{
		"a path wins over a prefix":                   {Query{PathProvider: "openai", Model: "anthropic/claude-sonnet-4-5"}, "openai anthropic/claude-sonnet-4-5"},
		"a prefix that repeats the path":              {Query{PathProvider: "openai", Model: "openai/gpt-5-mini"}, "openai gpt-5-mini"},
		"a path takes unlisted models":                {Query{PathProvider: "openai", Model: "gpt-9", Format: "openai"}, "openai gpt-9"},
		"a prefix with a slash":                       {Query{Model: "anthropic/claude-sonnet-4-5"}, "anthropic claude-sonnet-4-5"},
		"a prefix with a colon":                       {Query{Model: "anthropic:claude-sonnet-4-5"}, "anthropic claude-sonnet-4-5"},
		"a label":                                     {Query{Model: "[Anthropic] claude-sonnet-4-5"}, "anthropic claude-sonnet-4-5"},
		"a label in another case, an old one":         {Query{Model: "[claude] claude-sonnet-4-5"}, "anthropic claude-sonnet-4-5"},
		"an old id as prefix":                         {Query{Model: "claude-custom/claude-sonnet-4-5"}, "anthropic claude-sonnet-4-5"},
		"a listed name with a provider's id in front": {Query{Model: "openai/gpt-5"}, "router openai/gpt-5"},
		"a tag is no prefix":                          {Query{Model: "x:8b"}, "router x:8b"},
		"an unknown head is no prefix":                {Query{Model: "meta/llama", HeaderProvider: "router", Format: "openai"}, "router meta/llama"},
		"a header":                                    {Query{Model: "gpt-5", HeaderProvider: "router"}, "router gpt-5"},
		"a header with an old id":                     {Query{Model: "m", HeaderProvider: "claude-custom", Format: "anthropic"}, "anthropic m"},
		"a header with nonsense":                      {Query{Model: "m", HeaderProvider: "nope"}, "invalid_request"},
		"an undated name of a dated model":            {Query{Model: "claude-opus-4-5", Format: "openai"}, "anthropic claude-opus-4-5"},
		"a version with a dot":                        {Query{Model: "claude-haiku-4.5", Format: "openai"}, "anthropic claude-haiku-4-5"},
		"a maker's own name that is not listed":       {Query{PathProvider: "anthropic", Model: "claude-next", Format: "openai"}, "anthropic claude-next"},
		"a declined service as prefix":                {Query{Model: "grok-web/x"}, "unsupported"},
		"a declined service in the header":            {Query{Model: "x", HeaderProvider: "grok-web"}, "unsupported"},
		"an old id with capitals as prefix":           {Query{Model: "openaiRouter-custom/mine"}, "router openai/gpt-5"},
		"an alias below its provider's path":          {Query{PathProvider: "openai", Model: "fast"}, "openai gpt-5-mini"},
		"an alias below another path":                 {Query{PathProvider: "anthropic", Model: "fast", Format: "anthropic"}, "anthropic fast"},
		"an alias with a suffix":                      {Query{Model: "fast(high)"}, "openai gpt-5-mini"},
		"an alias with a provider":                    {Query{Model: "fast"}, "openai gpt-5-mini"},
		"an alias for a name":                         {Query{Model: "plain"}, "openai gpt-5"},
		"the default provider lists it":               {Query{Model: "claude-haiku-4-5"}, "anthropic claude-haiku-4-5"},
		"the one that lists it":                       {Query{Model: "gpt-5"}, "openai gpt-5"},
		"several list it: by priority":                {Query{Model: "shared"}, "openai shared"},
		"the person's own name":                       {Query{Model: "mine"}, "router openai/gpt-5"},
		"unknown, the default speaks the format":      {Query{Model: "claude-9", Format: "anthropic"}, "anthropic claude-9"},
		"unknown to a foreign default":                {Query{Model: "gpt-9", Format: "openai"}, "model_not_found"},
		"no model":                                    {Query{Format: "openai"}, "invalid_request"},
		"a provider and no model":                     {Query{Model: "openai/"}, "invalid_request"},
		"a provider without account":                  {Query{PathProvider: "empty", Model: "m"}, "not_configured"},
		"a provider that is off":                      {Query{PathProvider: "off", Model: "m"}, "not_configured"},
		"a list that is not known takes everything":   {Query{PathProvider: "local", Model: "llama"}, "local llama"},
		"a name that Claude Code uses by itself":      {Query{PathProvider: "openai", Model: "claude-haiku-4-5-20251001", Format: "anthropic"}, "openai gpt-5-mini"},
		"a big name that a client uses by itself":     {Query{PathProvider: "openai", Model: "claude-opus-9", Format: "anthropic"}, "openai gpt-5"},
		"gemini is not a mini model":                  {Query{PathProvider: "openai", Model: "gemini-3.8-pro", Format: "gemini"}, "openai gpt-5"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := newHouse().router(t).Plan(t.Context(), c.q)
			got := ""
			if err != nil {
				got = apierror.KindOf(err).String()
			} else {
				got = plan.Candidates[0].Provider + " " + plan.Candidates[0].Model
			}
			if got != c.want {
				t.Errorf("%s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func TestSuffixesSetReasoning(t *testing.T) {
	budget := int64(16384)
	for model, want := range map[string]struct {
		model     string
		reasoning *canon.Reasoning
	}{
		"gpt-5(high)":                {"gpt-5", &canon.Reasoning{Mode: "on", Effort: "high", Source: "suffix"}},
		"gpt-5(16384)":               {"gpt-5", &canon.Reasoning{Mode: "on", Budget: &budget, Source: "suffix"}},
		"gpt-5(none)":                {"gpt-5", &canon.Reasoning{Mode: "off", Source: "suffix"}},
		"gpt-5(0)":                   {"gpt-5", &canon.Reasoning{Mode: "off", Source: "suffix"}},
		"gpt-5(auto)":                {"gpt-5", &canon.Reasoning{Mode: "auto", Source: "suffix"}},
		"gpt-5(beta)":                {"gpt-5(beta)", nil},
		"gpt-5[1m]":                  {"gpt-5", nil},
		"gpt-5[1m](low)":             {"gpt-5", &canon.Reasoning{Mode: "on", Effort: "low", Source: "suffix"}},
		"gpt-5(low)[1m]":             {"gpt-5", &canon.Reasoning{Mode: "on", Effort: "low", Source: "suffix"}},
		"gpt-5-thinking":             {"gpt-5", &canon.Reasoning{Mode: "on", Source: "suffix"}},
		"other-thinking":             {"other-thinking", nil},
		"openai/gpt-5-mini(minimal)": {"gpt-5-mini", &canon.Reasoning{Mode: "on", Effort: "minimal", Source: "suffix"}},
	} {
		plan, err := newHouse().router(t).Plan(t.Context(), Query{PathProvider: "openai", Model: model, Format: "openai"})
		if err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		c := plan.Candidates[0]
		if d := cmp.Diff(want.reasoning, c.Reasoning); c.Model != want.model || d != "" {
			t.Errorf("%s: %s %s", model, c.Model, d)
		}
	}
}

func TestOllamaTagIsTakenOff(t *testing.T) {
	plan, err := newHouse().router(t).Plan(t.Context(), Query{PathProvider: "openai", Model: "gpt-5:latest", Format: "ollama"})
	if err != nil || plan.Candidates[0].Model != "gpt-5" {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestChainsAreFollowedStepByStep(t *testing.T) {
	h := newHouse()
	h.settings.Chains = map[string][]string{
		"openai":    {"empty", "nowhere", "anthropic/claude-sonnet-4-5"},
		"anthropic": {"router", "openai/gpt-5"},
	}
	h.lists["router"] = []canon.Model{{ID: "blind", Images: canon.No}}
	q := Query{PathProvider: "openai", Model: "gpt-5", Format: "openai"}
	plan, err := h.router(t).Plan(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"openai gpt-5", "anthropic claude-sonnet-4-5", "router blind"}, names(plan)); d != "" {
		t.Error(d)
	}
	q.Needs.Images = true
	if plan, err = h.router(t).Plan(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"openai gpt-5", "anthropic claude-sonnet-4-5"}, names(plan)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]trace.Step{
		{What: trace.Skipped, Provider: "empty", Kind: trace.KindNoAccount, Message: "it has no account"},
		{What: trace.Skipped, Provider: "nowhere", Kind: trace.KindUnknown, Message: "there is no such provider"},
	}, plan.Candidates[1].Passed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]trace.Step{{What: trace.Skipped, Provider: "router", Model: "blind", Kind: trace.KindLacks, Message: "it cannot see images"}}, plan.After); d != "" {
		t.Error(d)
	}
}

func TestAPoolWithoutAccountsFallsBack(t *testing.T) {
	h := newHouse()
	h.settings.Chains = map[string][]string{"empty": {"openai/gpt-5"}}
	plan, err := h.router(t).Plan(t.Context(), Query{PathProvider: "empty", Model: "m", Format: "openai"})
	if err != nil || len(plan.Candidates) != 1 || plan.Candidates[0].Provider != "openai" {
		t.Errorf("%+v, %v", plan, err)
	}
}

func names(p Plan) (out []string) {
	for _, c := range p.Candidates {
		out = append(out, c.Provider+" "+c.Model)
	}
	return out
}

func TestDefaultIsSwitchedAtRunTime(t *testing.T) {
	r := newHouse().router(t)
	if err := r.SetDefault("openai"); err != nil {
		t.Fatal(err)
	}
	plan, err := r.Plan(t.Context(), Query{Model: "gpt-9", Format: "openai"})
	if err != nil || plan.Candidates[0].Provider != "openai" {
		t.Errorf("%+v, %v", plan, err)
	}
	if r.SetDefault("off") == nil || r.SetDefault("nowhere") == nil {
		t.Error("a provider that cannot serve became the default")
	}
}

func TestWithoutASettingTheFirstUsableProviderIsTheDefault(t *testing.T) {
	h := newHouse()
	h.settings.Default = ""
	if d := h.router(t).Default(); d != "anthropic" {
		t.Errorf("%q", d)
	}
	h.accounts = map[string]bool{"router": true, "off": true}
	if d := h.router(t).Default(); d != "router" {
		t.Errorf("%q", d)
	}
	h.accounts = nil
	if _, err := h.router(t).Plan(t.Context(), Query{Model: "gpt-5"}); apierror.KindOf(err) != apierror.NotConfigured {
		t.Errorf("without any account: %v", err)
	}
}

func TestAliasPatterns(t *testing.T) {
	h := newHouse()
	h.settings.Aliases = map[string]string{"claude-*": "openai:gpt-5", "claude-haiku-*": "openai/gpt-5-mini"}
	for model, want := range map[string]string{
		"claude-opus-9": "openai gpt-5", "claude-haiku-9": "openai gpt-5-mini", "claude-sonnet-4-5": "anthropic claude-sonnet-4-5",
	} {
		plan, err := h.router(t).Plan(t.Context(), Query{Model: model, Format: "anthropic"})
		if err != nil || names(plan)[0] != want {
			t.Errorf("%s: %v, %v", model, names(plan), err)
		}
	}
}

func TestAModelMayHaveAChainOfItsOwn(t *testing.T) {
	h := newHouse()
	h.settings.Chains = map[string][]string{"openai/gpt-5": {"anthropic/claude-sonnet-4-5"}}
	for model, n := range map[string]int{"gpt-5": 2, "gpt-5-mini": 1} {
		plan, err := h.router(t).Plan(t.Context(), Query{PathProvider: "openai", Model: model, Format: "openai"})
		if err != nil || len(plan.Candidates) != n {
			t.Errorf("%s: %v, %v", model, names(plan), err)
		}
	}
}

func TestPathSegments(t *testing.T) {
	r := newHouse().router(t)
	for segment, want := range map[string]string{
		"openai": "openai 1", "openai-custom": "openai 1", "claude": "anthropic 1", "auto": " 2", "grok-web": " 3", "nope": " 0", "": " 0",
	} {
		id, kind := r.ResolvePath(segment)
		if got := fmt.Sprintf("%s %d", id, kind); got != want {
			t.Errorf("%q: %q, want %q", segment, got, want)
		}
	}
}

func TestModelLists(t *testing.T) {
	r := newHouse().router(t)
	ids := func(provider string) (out []string) {
		list, err := r.Models(t.Context(), provider)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			out = append(out, m.ID)
		}
		return out
	}
	want := []string{"claude-haiku-4-5", "claude-opus-4-5-20251101", "claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "shared", "openai/shared", "mine", "openai/gpt-5", "router/shared", "x:8b", "fast", "plain"}
	if d := cmp.Diff(want, ids("")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"mine", "openai/gpt-5", "shared", "x:8b"}, ids("router")); d != "" {
		t.Error(d)
	}
	if _, err := r.Models(t.Context(), "empty"); apierror.KindOf(err) != apierror.NotConfigured {
		t.Errorf("a provider without account: %v", err)
	}
}

func TestUnknownModelNamesItsNeighbours(t *testing.T) {
	_, err := newHouse().router(t).Plan(t.Context(), Query{Model: "gpt-5-maxi", Format: "openai"})
	if e := apierror.From(err); !strings.Contains(e.Msg, "gpt-5-mini") || e.Param != "model" {
		t.Errorf("%v", err)
	}
}

func BenchmarkPlan(b *testing.B) {
	h := &house{accounts: map[string]bool{}, lists: map[string][]canon.Model{}, settings: Settings{Default: "p7"}}
	for i := range 50 {
		id := fmt.Sprintf("p%d", i)
		h.providers = append(h.providers, Provider{ID: id, Name: id, Wire: "openai", Enabled: true, Priority: i})
		h.accounts[id] = true
		for j := range 200 {
			h.lists[id] = append(h.lists[id], canon.Model{ID: fmt.Sprintf("m%d-%d", j, i%10)})
		}
	}
	r := h.router(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Plan(b.Context(), Query{Model: "m77-3", Format: "openai"}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNamesThatGeminiCLIInventsLeadSomewhere(t *testing.T) {
	h := newHouse()
	h.providers = append(h.providers, Provider{ID: "gemini", Name: "Gemini", Wire: "gemini", Enabled: true, Priority: 100})
	h.accounts["gemini"] = true
	h.settings.Default = "gemini"
	list := models("gemini-embedding-001", "gemini-2.5-pro-preview-tts", "gemini-3-pro-image-preview", "gemini-2.5-pro", "gemini-2.5-flash-image", "gemini-2.5-flash", "gemini-3.1-pro-preview")
	for name, c := range map[string]struct {
		def, model, format, path string
		list                     []canon.Model
		want                     string
	}{
		"a small one at Google":              {"gemini", "gemini-3.5-flash-lite", "gemini", "", list, "gemini gemini-2.5-flash"},
		"a small one on the path":            {"openai", "gemini-3.8-flash", "gemini", "gemini", list, "gemini gemini-2.5-flash"},
		"one that Google lists":              {"gemini", "gemini-3.1-pro-preview", "gemini", "", list, "gemini gemini-3.1-pro-preview"},
		"a large one that Google lists not":  {"gemini", "gemini-3.1-pro-preview", "gemini", "", list[:6], "gemini gemini-2.5-pro"},
		"what the person typed goes through": {"gemini", "gemini-9-ultra", "gemini", "", list, "gemini gemini-9-ultra"},
		"nobody knows what Google lists":     {"gemini", "gemini-3.8-flash", "gemini", "", nil, "gemini gemini-3.8-flash"},
		"another maker's service, small":     {"openai", "gemini-3.8-flash", "gemini", "", list, "openai gpt-5-mini"},
		"another maker's service, large":     {"anthropic", "gemini-3.1-pro-preview", "gemini", "", nil, "anthropic claude-sonnet-4-5"},
		"any name at another maker's":        {"anthropic", "gemini-9-flash", "gemini", "", nil, "anthropic claude-haiku-4-5"},
	} {
		h.settings.Default, h.lists["gemini"] = c.def, c.list
		plan, err := h.router(t).Plan(t.Context(), Query{Model: c.model, Format: c.format, PathProvider: c.path})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := plan.Candidates[0].Provider + " " + plan.Candidates[0].Model; got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestImagesFindAModelThatMakesThem(t *testing.T) {
	h := newHouse()
	h.lists["openai"] = append(h.lists["openai"], canon.Model{ID: "gpt-image-1", Pictures: canon.Yes})
	h.lists["router"] = append(h.lists["router"], canon.Model{ID: "flux", Pictures: canon.Yes})
	r := h.router(t)
	for name, c := range map[string]struct {
		q    Query
		want string
	}{
		"no model":                 {Query{Pictures: true}, "openai gpt-image-1"},
		"no model, a path":         {Query{Pictures: true, PathProvider: "router"}, "router flux"},
		"no model, a header":       {Query{Pictures: true, HeaderProvider: "openaiRouter-custom"}, "router flux"},
		"a path that makes none":   {Query{Pictures: true, PathProvider: "anthropic"}, "invalid_request"},
		"by name":                  {Query{Pictures: true, Model: "flux"}, "router flux"},
		"by prefix":                {Query{Pictures: true, Model: "openai/gpt-image-1"}, "openai gpt-image-1"},
		"a chat without any model": {Query{}, "invalid_request"},
	} {
		plan, err := r.Plan(t.Context(), c.q)
		got := ""
		if err != nil {
			got = apierror.KindOf(err).String()
		} else {
			got = plan.Candidates[0].Provider + " " + plan.Candidates[0].Model
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	h.settings.Default = "router"
	if plan, err := r.Plan(t.Context(), Query{Pictures: true}); err != nil || plan.Candidates[0].Provider == "" {
		t.Error(err)
	}
	r.Rebuild()
	if plan, err := r.Plan(t.Context(), Query{Pictures: true}); err != nil || plan.Candidates[0].Provider != "router" {
		t.Errorf("the default provider comes first: %+v %v", plan, err)
	}
	all, err := r.Models(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Pictures == canon.Yes {
			t.Errorf("%s stands in a list for chat", m.ID)
		}
	}
}

func TestRawProvidersAreFoundByPathAndHeaderOnly(t *testing.T) {
	h := newHouse()
	h.settings.Default = ""
	h.providers = append(h.providers,
		Provider{ID: "aaa-raw", Aliases: []string{"Old-Raw"}, Raw: true, Enabled: true, Priority: 1},
		Provider{ID: "raw-off", Raw: true, Priority: 1}, Provider{ID: "raw-empty", Raw: true, Enabled: true, Priority: 1})
	h.accounts["aaa-raw"], h.accounts["raw-off"] = true, true
	r := h.router(t)
	for name, want := range map[string]string{
		"aaa-raw": "aaa-raw true ", "old-raw": "aaa-raw true ", "OLD-RAW": "aaa-raw true ", "openai": " false ", "": " false ", "unheard-of": " false ",
		"raw-off": "raw-off true not_configured", "raw-empty": "raw-empty true not_configured",
	} {
		id, raw, err := r.Raw(name)
		got := fmt.Sprint(id, " ", raw, " ")
		if err != nil {
			got += apierror.KindOf(err).String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if d := r.Default(); d == "aaa-raw" {
		t.Error("it became the default provider by itself")
	}
}
