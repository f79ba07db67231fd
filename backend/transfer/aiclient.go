package transfer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/config"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// The files of AIClient-2-API as its version 3.1.8 (2026-05-30) writes them.

// poolKind says what accounts of one of its providers hold.
type poolKind struct {
	id        string   // the provider here
	files     []string // members that name the file of a login, the first that is there counts
	key, base string   // members of a service by key
	project   bool     // PROJECT_ID
	other     []string // further members, of which nothing is taken
}

var poolKinds = map[string]poolKind{
	"gemini-cli-oauth": {id: "gemini-cli", files: []string{"GEMINI_OAUTH_CREDS_FILE_PATH"}, base: "GEMINI_BASE_URL", project: true},
	"gemini-antigravity": {
		id: "antigravity", files: []string{"ANTIGRAVITY_OAUTH_CREDS_FILE_PATH"}, base: "ANTIGRAVITY_BASE_URL", project: true,
		other: []string{"ANTIGRAVITY_BASE_URL_DAILY", "ANTIGRAVITY_BASE_URL_AUTOPUSH"},
	},
	"claude-kiro-oauth": {
		id: "kiro", files: []string{"KIRO_OAUTH_CREDS_FILE_PATH"}, base: "KIRO_BASE_URL",
		other: []string{"KIRO_REFRESH_URL", "KIRO_REFRESH_IDC_URL"},
	},
	"openai-qwen-oauth": {
		id: "qwen-code", files: []string{"QWEN_OAUTH_CREDS_FILE_PATH"}, base: "QWEN_BASE_URL", other: []string{"QWEN_OAUTH_BASE_URL"},
	},
	"openai-iflow":           {id: "iflow", files: []string{"IFLOW_TOKEN_FILE_PATH", "IFLOW_OAUTH_CREDS_FILE_PATH"}, base: "IFLOW_BASE_URL"},
	"openai-codex-oauth":     {id: "codex", files: []string{"CODEX_OAUTH_CREDS_FILE_PATH"}, base: "CODEX_BASE_URL"},
	"openai-custom":          {id: "openai", key: "OPENAI_API_KEY", base: "OPENAI_BASE_URL"},
	"openaiResponses-custom": {id: "openai-responses", key: "OPENAI_API_KEY", base: "OPENAI_BASE_URL"},
	"claude-custom":          {id: "anthropic", key: "CLAUDE_API_KEY", base: "CLAUDE_BASE_URL"},
	"forward-api":            {id: "forward", key: "FORWARD_API_KEY", base: "FORWARD_BASE_URL"},
	"atlascloud":             {id: "atlascloud", key: "ATLASCLOUD_API_KEY", base: "ATLASCLOUD_BASE_URL"},
}

// ownKinds are the kinds of services by key, for those whose provider here is not named as its kind.
var ownKinds = map[string]string{"atlascloud": "openai"}

// healthMembers are what the program noted while it ran.
var healthMembers = []string{
	"isHealthy", "lastUsed", "usageCount", "errorCount", "lastErrorTime", "lastErrorMessage", "needsRefresh", "lastHealthCheckTime",
	"lastHealthCheckModel", "lastHealthCheck", "refreshCount", "lastRefreshTime", "lastSelectionSeq", "scheduledRecoveryTime",
}

func (p *plan) pools(f finding) {
	for _, old := range slices.Sorted(maps.Keys(f.doc.m)) {
		if strings.HasPrefix(old, "_") {
			continue
		}
		entries := f.doc.objects(old)
		k, known := poolKinds[old]
		switch {
		case slices.Contains(config.Declined, old):
			p.say(Skipped, kindProvider, old, f.Name, "Patchbay does not serve it; its "+counted(len(entries), "account")+" stayed there")
			continue
		case !known:
			p.say(Skipped, kindProvider, shownName(old), f.Name, "no provider is known by this name; its "+counted(len(entries), "account")+" stayed there")
			continue
		}
		if n := len(f.doc.list(old)); n > len(entries) {
			p.say(Skipped, KindAccount, old, f.Name, counted(n-len(entries), "item")+" of this pool cannot be an account")
		}
		ranked := slices.ContainsFunc(entries, func(e object) bool { return e.number("priority", -1) >= 0 })
		for i, e := range entries {
			p.poolEntry(f, old, k, e, i, ranked)
		}
	}
}

func (p *plan) poolEntry(f finding, old string, k poolKind, e object, i int, ranked bool) {
	a := arrival{
		from: f.Name, old: old, to: target{id: k.id}, name: e.text("customName"), off: e.yes("isDisabled"),
		concurrent: e.number("concurrencyLimit", 0), settings: map[string]string{},
	}
	if ranked {
		a.priority = 100 // what that program takes for a missing one
	}
	a.priority = e.number("priority", a.priority)
	if a.priority == 0 && ranked {
		a.priority = 1 // its first place; here places begin with 1
	}
	if id := e.text("uuid"); id != "" {
		a.id = stableID(old, id)
	}
	if list := e.texts("supportedModels"); len(list) > 0 {
		if k.key != "" {
			a.settings[provider.SettingModels] = strings.Join(list, ",")
		} else {
			a.settings[provider.SettingServes] = strings.Join(list, ",")
		}
	}
	if list := e.texts("notSupportedModels"); len(list) > 0 {
		a.settings[provider.SettingServesNot] = strings.Join(list, ",")
	}
	if e.text("queueLimit") != "" && e.number("queueLimit", 0) != 0 {
		p.leave(f.Name, "queueLimit", "Patchbay does not queue: it takes the next account")
	}
	if e.hasAny("checkHealth", "checkModelName") {
		p.leave(f.Name, "checkHealth, checkModelName", "Patchbay tests accounts without spending anything, when asked to")
	}
	for _, m := range append([]string{"checkHealth", "checkModelName"}, healthMembers...) {
		e.used[m] = true
	}
	if k.key != "" {
		p.poolKey(f, &a, k, e)
	} else {
		p.poolLogin(f, &a, k, e)
	}
	for _, m := range k.other {
		if e.text(m) != "" {
			p.leave(f.Name, m, "Patchbay has the service's own address")
		}
	}
	p.leaveRest(f.Name, e)
	if a.name == "" && a.impossible != "" {
		a.name = fmt.Sprintf("number %d", i+1)
	}
	p.arrivals = append(p.arrivals, a)
}

func (p *plan) poolKey(f finding, a *arrival, k poolKind, e object) {
	a.key = secret.New(e.text(k.key))
	a.to.base = e.text(k.base)
	if a.to.kind = k.id; ownKinds[k.id] != "" {
		a.to.kind = ownKinds[k.id]
	}
	if k.id != "forward" {
		return
	}
	if h := e.text("FORWARD_HEADER_NAME"); h != "" {
		a.settings[provider.SettingAuthHeader] = h
	}
	if e.has("FORWARD_HEADER_VALUE_PREFIX") {
		a.settings[provider.SettingAuthPrefix] = e.text("FORWARD_HEADER_VALUE_PREFIX")
	}
}

func (p *plan) poolLogin(f finding, a *arrival, k poolKind, e object) {
	ref := e.first(k.files...)
	if base := e.text(k.base); base != "" {
		a.settings[provider.SettingBaseURL] = base
	}
	project := ""
	if k.project {
		project = e.text("PROJECT_ID")
	}
	if ref == "" {
		a.impossible = "it names no file with its login"
		return
	}
	login, ok := p.find(f.Name, ref)
	if !ok {
		a.impossible = "its login file " + shownPath(ref) + " is not there; import it together with this file, or sign in anew"
		return
	}
	p.referred[login.Name] = true
	switch login.form {
	case formLogin:
	case formUnknown, formDeclined:
		a.impossible = "its login file " + shownPath(ref) + ": " + login.why
		return
	default:
		a.impossible = "its login file " + shownPath(ref) + " holds no login"
		return
	}
	a.from = login.Name
	withLogin(a, login)
	if login.provider != a.to.id {
		a.notes = append(a.notes, "its file holds a login of "+login.provider)
		a.to.id = login.provider
	}
	if project != "" {
		a.more = project
	}
}

// notTaken are settings of config.json that Patchbay has its own rules for, by beginning.
var notTaken = []struct{ prefix, why string }{
	{"REQUEST_", "how often and when a request is repeated is decided here by what the service answered"},
	{"CREDENTIAL_SWITCH_", "routing.max_attempts bounds the accounts that are tried"},
	{"MAX_ERROR_COUNT", "an account rests for as long as its service says"},
	{"RATE_LIMIT_COOLDOWN", "an account rests for as long as its service says"},
	{"CRON_", "logins are renewed before they end, by themselves"},
	{"SCHEDULED_HEALTH_CHECK", "providers.ID.pool.checks.every has accounts looked after, by what is free"},
	{"PROMPT_LOG_", "record.prompt_log says where prompts are written, and how much is kept"},
	{"LOG_", "the log has settings of its own, below log"},
	{"LOGIN_", "the page has a password of its own: patchbay password set"},
	{"UI_ENABLED", "the page is always there"},
	{"TRUST", "say it anew in server.trusted_proxies"},
	{"GROK_", "Patchbay does not serve grok-web"},
	{"TLS_SIDECAR_", "Patchbay does not disguise its connections"},
}

func (p *plan) config(f finding) {
	d := f.doc
	if key := d.text("REQUIRED_API_KEY"); key != "" {
		p.keys = append(p.keys, keyWish{f.Name, secret.New(key)})
	}
	if list := d.texts("MODEL_PROVIDER"); len(list) > 0 {
		p.fallback = wish{f.Name, list[0]}
	}
	if port := d.text("SERVER_PORT"); port != "" {
		note := "Patchbay stays at its own address"
		if n := d.number("SERVER_PORT", 0); n > 0 && n < 1<<16 {
			note += fmt.Sprintf("; when the other program is stopped, server.listen: 127.0.0.1:%d puts it there", n)
		}
		p.say(Skipped, KindSetting, "SERVER_PORT", f.Name, note)
	}
	if host := d.text("HOST"); host != "" && host != "127.0.0.1" && host != "localhost" {
		p.say(Skipped, KindSetting, "HOST", f.Name, "other machines cannot connect; server.lan: true lets them")
	}
	p.fallbacks(f, d)
	p.systemPrompt(f, d)
	d.used["PROVIDER_POOLS_FILE_PATH"], d.used["CUSTOM_MODELS_FILE_PATH"] = true, true
	d.used["PROXY_URL"], d.used["PROXY_ENABLED_PROVIDERS"] = true, true
	for _, n := range notTaken {
		var names []string
		for name := range d.m {
			if strings.HasPrefix(name, n.prefix) && shownName(name) == name {
				d.used[name] = true
				if d.has(name) && string(d.m[name]) != `""` {
					names = append(names, name)
				}
			}
		}
		if slices.Sort(names); len(names) > 0 {
			p.say(Skipped, KindSetting, strings.Join(names, ", "), f.Name, n.why)
		}
	}
	var unknown []string
	for name := range d.m {
		if !d.used[name] && !strings.HasPrefix(name, "_") {
			unknown = append(unknown, shownName(name))
		}
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		p.say(Skipped, KindSetting, strings.Join(slices.Compact(unknown), ", "), f.Name, "it is not known here")
	}
}

func (p *plan) fallbacks(f finding, d object) {
	chains := d.object("providerFallbackChain")
	for _, of := range slices.Sorted(maps.Keys(chains.m)) {
		if to := chains.texts(of); len(to) > 0 && !strings.HasPrefix(of, "_") {
			p.chains = append(p.chains, chainWish{f.Name, of, to})
		}
	}
	models := d.object("modelFallbackMapping")
	for _, model := range slices.Sorted(maps.Keys(models.m)) {
		if strings.HasPrefix(model, "_") {
			continue
		}
		to := models.object(model)
		old, target := to.text("targetProviderType"), to.text("targetModel")
		if old == "" || target == "" {
			p.say(Skipped, KindSetting, "modelFallbackMapping "+shownName(model), f.Name, "it does not say which model of which provider it leads to")
			continue
		}
		p.fallbackModels = append(p.fallbackModels, aliasWish{f.Name, model, old, target})
	}
}

// promptRule is the rule for system text that such a program's settings become.
const promptRule = "prompts.imported"

// systemPrompt takes over what the program did to system text: a file that is put behind the app's own or in its place, and
// replacements.
func (p *plan) systemPrompt(f finding, d object) {
	file, mode := d.text("SYSTEM_PROMPT_FILE_PATH"), d.text("SYSTEM_PROMPT_MODE")
	replace := map[string]string{}
	for _, r := range d.objects("SYSTEM_PROMPT_REPLACEMENTS") {
		if old := r.text("old"); old != "" {
			replace[old] = r.text("new")
		}
	}
	d.used["SYSTEM_PROMPT_FILE_PATH"], d.used["SYSTEM_PROMPT_MODE"], d.used["SYSTEM_PROMPT_REPLACEMENTS"] = true, true, true
	if file != "" {
		p.systemFile(f, file, mode)
	}
	if len(replace) > 0 {
		p.settings = append(p.settings, settingWish{f.Name, promptRule + ".replace", yamlMap(replace)})
	}
}

// systemFile takes over a file with system text: one that has a whole path as it is, so that it is read again when it changes;
// one beside the settings by its text, for its folder may go with the other program.
func (p *plan) systemFile(f finding, file, mode string) {
	const member = "SYSTEM_PROMPT_FILE_PATH"
	found, ok := p.find(f.Name, file)
	if ok {
		p.prompts[found.Name] = true
	}
	key, value := ".file", file
	if !filepath.IsAbs(file) {
		text := strings.TrimPrefix(strings.ToValidUTF8(string(found.Data), "\uFFFD"), "\uFEFF")
		key, value = ".text", strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
		switch {
		case !ok || found.Problem != "":
			p.say(Skipped, KindSetting, member, f.Name, shownPath(file)+" is not there: import it together with this file, or say "+
				"patchbay prompts set imported --file PATH")
			return
		case found.form != formUnknown: // whatever it is, it belongs in no settings
			p.say(Skipped, KindSetting, member, f.Name, shownPath(file)+" holds no text for apps")
			return
		case value == "":
			p.say(Skipped, KindSetting, member, f.Name, shownPath(file)+" is empty")
			return
		}
	}
	p.settings = append(p.settings, settingWish{f.Name, promptRule + key, value})
	if mode == "overwrite" {
		p.settings = append(p.settings, settingWish{f.Name, promptRule + ".mode", "override"})
	}
}

// yamlMap writes texts as a setting is given.
func yamlMap(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, strconv.Quote(k)+": "+strconv.Quote(m[k]))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// newName is the name of a provider here.
func newName(old string) string {
	if id, ok := config.OldNames[old]; ok {
		return id
	}
	return old
}

// proxied gives the accounts of some providers the proxy that a config.json names for them.
func (p *plan) proxied() {
	for _, f := range p.files {
		if f.form != formConfig {
			continue
		}
		proxy, who := f.doc.text("PROXY_URL"), f.doc.texts("PROXY_ENABLED_PROVIDERS")
		if proxy == "" {
			continue
		}
		p.proxies = append(p.proxies, wish{f.Name, "PROXY_URL"})
		for i := range p.arrivals {
			if a := &p.arrivals[i]; slices.Contains(who, a.old) && a.proxy.Empty() {
				a.proxy, a.general = secret.New(proxy), f.Name
			}
		}
	}
}

func (p *plan) models(f finding) {
	sampling := 0
	for _, m := range f.items {
		name := m.first("alias", "id")
		old, model := m.first("actualProvider", "provider"), m.first("actualModel", "id")
		if m.hasAny("temperature", "topP", "maxTokens") {
			sampling++
		}
		switch {
		case name == "" || model == "" || old == "":
			p.say(Skipped, KindSetting, shownName(name), f.Name, "it does not say which model of which provider it stands for")
		default:
			p.aliases = append(p.aliases, aliasWish{f.Name, name, old, model})
		}
	}
	if sampling > 0 {
		p.say(Skipped, KindSetting, "temperature, topP, maxTokens", f.Name,
			"Patchbay adds no parameters that an app did not send (at "+counted(sampling, "model")+")")
	}
}
