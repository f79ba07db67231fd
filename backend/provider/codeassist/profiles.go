package codeassist

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// geminiCLI is the login of Google's Gemini CLI. Since 2026-06-18 it serves licensed accounts only.
var geminiCLI = profile{
	info: provider.Info{
		ID: "gemini-cli", Name: "Gemini CLI", Aliases: []string{"gemini-cli-oauth"}, Labels: []string{"Gemini CLI"},
		Wire: gemini.Name, Status: provider.StatusLicensed, Off: true, BaseURL: prodHost,
		Instead: "the provider antigravity for personal accounts, or gemini with an API key from https://aistudio.google.com/apikey",
		Logins:  []provider.Login{geminiLogin},
		Fields:  []provider.Field{projectField},
		Files:   geminiFiles,
		Models:  geminiModels(),
		Risk: &provider.Risk{
			Level: "forbidden", Since: "2026-06-18",
			Text: "Google ended this login for personal accounts (free, AI Pro, AI Ultra); it works with a Gemini Code Assist Standard or Enterprise licence. " +
				"Google counts the use of this login by other programs as a violation of its terms and may suspend the account's access to Gemini CLI and Antigravity.",
		},
		Policy: provider.Policy{ShortWait: 3 * time.Second, RefreshLead: 5 * time.Minute, RefreshBorrowed: true},
	},
	hosts: []string{prodHost},
	setup: setupRules{
		metadata:    map[string]string{"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI"},
		userProject: true, tiers: []string{"legacy-tier"}, pause: 5 * time.Second, looks: 24,
		instead: "Use the provider antigravity, or gemini with an API key from https://aistudio.google.com/apikey",
	},
	options: func(string) gemini.Options {
		return gemini.Options{CleanSchema: func(s jsontext.Value) jsontext.Value { return wire.SchemaForAssist(s, wire.AssistSchema{}) }}
	},
	envelope: geminiEnvelope,
	// Google's own client sends this name for the other on this service (gemini-cli 0.61.0, config/models.ts).
	forward: map[string]string{"gemini-3.5-flash": "gemini-3-flash"},
	models:  func(*upstream) listing { return listing{method: ":retrieveUserQuota", read: quotaModels} },
	quota:   quotaRules{method: ":retrieveUserQuota", read: readQuota},
}

// geminiIDs are the models that gemini-cli 0.61.0 knows (2026-08), for a list that fails. Which of them a licence has is told by
// the service alone.
var geminiIDs = []string{
	"gemini-3.1-pro-preview", "gemini-3-pro-preview", "gemini-3-flash-preview", "gemini-3.5-flash", "gemini-3.8-flash", "gemini-3-flash",
	"gemini-3.1-flash-lite", "gemini-3.5-flash-lite", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite",
}

func geminiModels() []canon.Model {
	out := make([]canon.Model, len(geminiIDs))
	for i, id := range geminiIDs {
		out[i] = gemini.KnownModel(id)
	}
	return out
}

// antigravity is the login of Google's Antigravity.
var antigravity = profile{
	info: provider.Info{
		ID: "antigravity", Name: "Antigravity", Aliases: []string{"gemini-antigravity"}, Labels: []string{"Antigravity"},
		Wire: gemini.Name, Status: provider.StatusActive, Off: true, BaseURL: dailyHost,
		Logins: []provider.Login{antigravityLogin},
		Fields: []provider.Field{{Key: settingVersion, Label: "Version of Antigravity to name", Kind: "text", Default: antigravityVersion}},
		Files:  antigravityFiles,
		Models: antigravityModels(),
		Risk: &provider.Risk{
			Level: "forbidden", Since: "2026-11-22",
			Text: "Google's FAQ for Antigravity says that using an Antigravity login with other programs breaks its terms. Accounts were suspended for it, from Gemini CLI too.",
		},
		Policy: provider.Policy{ShortWait: 3 * time.Second, RefreshLead: 10 * time.Minute, RefreshBorrowed: true, MaxConcurrent: 2},
	},
	hosts: []string{dailyHost, prodHost},
	agent: antigravityUserAgent,
	setup: setupRules{
		metadata: map[string]string{"ideType": antigravityIDE},
		tiers:    []string{"free-tier"}, repost: true, pause: 3 * time.Second, looks: 12,
		header: func(h http.Header) {
			h.Set("User-Agent", h.Get("User-Agent")+onboardAgentSuffix)
			h.Set("X-Goog-Api-Client", onboardClientHeader)
		},
		instead: "Use the provider gemini with an API key from https://aistudio.google.com/apikey",
	},
	options:  antigravityOptions,
	envelope: antigravityEnvelope,
	streams:  true, // answers in one piece are not reliable there
	group:    antigravityGroup,
	refine:   refineAntigravity,
	models: func(*upstream) listing {
		return listing{method: ":fetchAvailableModels", read: availableModels, bare: true}
	},
	quota:  quotaRules{method: ":retrieveUserQuotaSummary", read: readSummary},
	counts: func(model string) bool { return strings.HasPrefix(model, "gemini") }, // it takes no model: for others the number means nothing
}

func antigravityOptions(model string) gemini.Options {
	claude := strings.Contains(model, "claude")
	// gemini-pro-agent has placeholders too: it is Gemini 3.1 Pro
	holders := claude || strings.HasPrefix(model, "gemini-3-pro") || strings.HasPrefix(model, "gemini-3.1-pro") || model == "gemini-pro-agent"
	o := gemini.Options{
		Strict: true, Validated: claude, ResultKey: "result", ImagesInResults: true, Thinking: antigravityThinking(model),
		CleanSchema: func(s jsontext.Value) jsontext.Value {
			return wire.SchemaForAssist(s, wire.AssistSchema{Nullable: true, NoEnums: true, NoBounds: true, Placeholders: holders})
		},
		CleanOutput: func(s jsontext.Value) jsontext.Value {
			return wire.SchemaForAssist(s, wire.AssistSchema{Nullable: true, NoBounds: true, Closed: true})
		},
	}
	return o
}

// byLevel are the models that are told how much to think by a level; the others of Gemini take a budget (several open clients,
// 2026-09; they disagree, so that a refusal turns to the other form).
var byLevel = []string{"gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-3.1-flash-lite", "gemini-3-flash-preview"}

func antigravityThinking(model string) string {
	switch {
	case strings.Contains(model, "gpt-"):
		return gemini.ThinkNone
	case slices.ContainsFunc(byLevel, func(p string) bool { return strings.HasPrefix(model, p) }):
		return gemini.ThinkLevel
	}
	return gemini.ThinkBudget
}

// antigravityFacts are CLIProxyAPI's list of 2026-08-22, for a list that fails and for what it leaves out.
var antigravityFacts = []struct {
	id, name         string
	context, output  int64
	low, high        int64 // thinking budget
	levels           bool
	noTools, noMedia bool
}{
	{id: "claude-opus-4-6-thinking", name: "Claude Opus 4.6 (Thinking)", context: 200000, output: 64000, low: 1024, high: 64000},
	{id: "claude-sonnet-4-6", name: "Claude Sonnet 4.6 (Thinking)", context: 200000, output: 64000, low: 1024, high: 64000},
	{id: "gemini-pro-agent", name: "Gemini 3.1 Pro (High)", context: 1048576, output: 65535, low: 1, high: 65535},
	{id: "gemini-3.1-pro-low", name: "Gemini 3.1 Pro (Low)", context: 1048576, output: 65535, low: 1, high: 65535},
	{id: "gemini-3.7-flash-high", name: "Gemini 3.7 Flash", context: 1048576, output: 65536, levels: true},
	{id: "gemini-3.6-flash-high", name: "Gemini 3.6 Flash", context: 1048576, output: 65536, levels: true},
	{id: "gemini-3-flash-agent", name: "Gemini 3.5 Flash (High)", context: 1048576, output: 65536, low: 128, high: 32768},
	{id: "gemini-3.5-flash-low", name: "Gemini 3.5 Flash (Medium)", context: 1048576, output: 65535, low: 128, high: 32768},
	{id: "gemini-3.5-flash-extra-low", name: "Gemini 3.5 Flash (Low)", context: 1048576, output: 65535, low: 128, high: 32768},
	{id: "gemini-3-flash", name: "Gemini 3 Flash", context: 1048576, output: 65536, low: 128, high: 32768},
	{id: "gemini-3.1-flash-lite", name: "Gemini 3.1 Flash Lite", context: 1048576, output: 65535, levels: true},
	{id: "gemini-3.1-flash-image", name: "Gemini 3.1 Flash Image", noTools: true},
	{id: "gpt-oss-120b-medium", name: "GPT-OSS 120B (Medium)", context: 114000, output: 32768, noMedia: true},
}

func antigravityModels() []canon.Model {
	out := make([]canon.Model, len(antigravityFacts))
	for i, f := range antigravityFacts {
		out[i] = antigravityModel(f.id)
	}
	return out
}

// antigravityModel returns what is known of a model there.
func antigravityModel(id string) canon.Model {
	m := gemini.KnownModel(id)
	if antigravityThinking(id) != gemini.ThinkLevel {
		m.Efforts = nil // the id fixes the depth; what remains is a budget
	}
	for _, f := range antigravityFacts {
		if f.id != id {
			continue
		}
		m.Name, m.Context, m.MaxOutput = f.name, f.context, f.output
		m.BudgetMin, m.BudgetMax = f.low, f.high
		if f.high > 0 || f.levels {
			m.Thinking = canon.Yes
		}
		if f.noTools {
			m.Tools = canon.No
		} else {
			m.Tools = canon.Yes
		}
		m.Images, m.Documents = known(!f.noMedia), known(!f.noMedia)
	}
	return m
}

// antigravityEnvelope is what Antigravity sends (CLIProxyAPI, internal/runtime/executor, 2026-08).
func antigravityEnvelope(u *upstream, a *attempt, x *gemini.Exchange) ([]byte, error) {
	kind, drop := "agent", []string{"safetySettings"}
	known := slices.DeleteFunc(slices.Clone(generationMembers), func(n string) bool { return n == "responseModalities" })
	id := "agent-" + uuid(a.req.NewID("", 32))
	var last []byte
	if strings.Contains(a.model, "image") {
		kind = "image_gen"
		id = "image_gen/" + millisText(a.req.Now()) + "/" + uuid(a.req.NewID("", 32)) + "/12"
		drop = append(drop, "tools", "toolConfig", "systemInstruction")
		known = append(slices.DeleteFunc(known, func(n string) bool { return n == "responseMimeType" || n == "thinkingConfig" }), "imageConfig")
	} else if s := sessionNumber(a.req.Conversation); s != "" {
		last = append([]byte(`"sessionId":`), wire.AppendString(nil, s)...)
	}
	inner, err := a.inner(x, drop, known, last)
	if err != nil {
		return nil, err
	}
	b := appendText([]byte{'{'}, "project", a.project)
	b = appendText(b, "model", a.model)
	b = appendText(b, "userAgent", antigravityWord)
	b = appendText(b, "requestType", kind)
	b = appendText(b, "requestId", id)
	return append(appendMember(b, "request", inner), '}'), nil
}
