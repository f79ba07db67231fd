package transfer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// form is what a file is.
type form int

const (
	formUnknown  form = iota // why says what was expected, or what is wrong with it
	formLogin                // of one login, of the provider
	formPools                // AIClient-2-API: provider_pools.json
	formConfig               // AIClient-2-API: config.json
	formModels               // AIClient-2-API: custom_models.json
	formProxy                // CLIProxyAPI: config.yaml
	formKey                  // an API key of the provider, in doc's member OPENAI_API_KEY
	formDeclined             // known, and not taken: why
	formSilent               // belongs to another file, or holds nothing that could be taken
)

// finding is a file with what it was recognised as.
type finding struct {
	ImportFile
	form     form
	provider string // of a login
	program  string // whose form it is, "" = the vendor's own
	why      string
	doc      object
	items    []object // of a list
}

// What is expected, for a file that is none of it.
const expected = "expected is a login file of Gemini CLI, Antigravity, Kiro, Qwen Code, iFlow or Codex, a provider_pools.json, config.json or " +
	"custom_models.json of AIClient-2-API, a login file or config.yaml of CLIProxyAPI, a zip of such files, or an export of Patchbay"

// detect says what a file is, by its content first and by its name where the content leaves it open. A list of logins is
// several findings.
func detect(f ImportFile) []finding {
	found := finding{ImportFile: f}
	if found.why = found.Problem; found.why == "" {
		found.why = unreadable(&found.ImportFile)
	}
	if found.why != "" {
		return []finding{found}
	}
	if byName(&found) {
		return []finding{found}
	}
	text := bytes.TrimSpace(found.Data)
	switch {
	case text[0] == '{' || text[0] == '[':
		return fromJSON(found, text)
	case isYAML(f.Name):
		fromYAML(&found)
	default:
		found.why = "it is neither JSON nor a settings file"
	}
	return []finding{found}
}

// unreadable says why the content is no text that could be understood, "" = it is. The mark that editors on Windows put in
// front is taken off.
func unreadable(f *ImportFile) string {
	f.Data = bytes.TrimPrefix(f.Data, []byte("\ufeff"))
	head := f.Data[:min(len(f.Data), 8<<10)]
	switch {
	case len(bytes.TrimSpace(f.Data)) == 0:
		return "it is empty; if the other program is writing it just now, try again"
	case bytes.HasPrefix(head, []byte("SQLite format 3\x00")):
		return "it is a database of another program, which is not read here; sign in with `patchbay login` instead"
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return "it is written in UTF-16; save it as UTF-8"
	case IsExport(head):
		return "it is an export of Patchbay: import it by itself"
	case bytes.IndexByte(head, 0) >= 0, !utf8.Valid(f.Data):
		return "it is no text file"
	case encryptedGemini(head):
		return "it is Gemini CLI's encrypted store, which only that program opens; sign in with `patchbay login gemini-cli`"
	}
	return ""
}

// encryptedGemini recognises gemini-credentials.json: three hex numbers with colons between them (Gemini CLI 0.61.0).
func encryptedGemini(head []byte) bool {
	parts := bytes.Split(bytes.TrimSpace(head), []byte(":"))
	return len(parts) == 3 && len(parts[1]) == 32 && !bytes.ContainsFunc(parts[0], notHex) && !bytes.ContainsFunc(parts[1], notHex)
}

func notHex(r rune) bool {
	return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F')
}

// byName recognises files that are known by their names and of which nothing is taken.
func byName(f *finding) bool {
	base := path.Base(f.Name)
	switch {
	case base == "pwd":
		f.form, f.why = formDeclined, "it holds the password of the other program's page; Patchbay's page needs none of it"
	case base == "api-potluck-keys.json":
		f.form, f.why = formDeclined, "it holds keys that were handed to other people; make new ones with `patchbay keys add`"
	case base == "plugins.json", strings.HasPrefix(base, "api-potluck-"):
		f.form, f.why = formDeclined, "it belongs to plugins of the other program"
	case base == "google_accounts.json", base == "installation_id", base == "token-store.json", base == "package.json", base == "package-lock.json",
		base == "usage-cache.json", base == "models_cache.json", base == "input_history.json":
		f.form, f.why = formSilent, "it holds no login"
	default:
		return false
	}
	return true
}

func isYAML(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

func fromJSON(f finding, text []byte) []finding {
	v, err := whole(text)
	if err != nil {
		f.why = err.Error()
		return []finding{f}
	}
	if v.Kind() == '{' {
		f.doc, _ = objectOf(v)
		classify(&f)
		return []finding{f}
	}
	list := object{m: map[string]jsontext.Value{"": v}, used: map[string]bool{}}
	items := list.objects("")
	if len(items) == 0 {
		f.why = "it is a list that holds no logins"
		return []finding{f}
	}
	if items[0].hasAny("actualModel", "actualProvider") {
		f.form, f.items = formModels, items
		return []finding{f}
	}
	if len(items) > MaxImportFiles {
		f.why = fmt.Sprintf("it holds more than %d logins", MaxImportFiles)
		return []finding{f}
	}
	out := make([]finding, len(items))
	for i, doc := range items {
		out[i] = finding{ImportFile: ImportFile{Name: fmt.Sprintf("%s (%d)", f.Name, i+1), Data: compact(doc.m), Modified: f.Modified}, doc: doc}
		classify(&out[i])
	}
	return out
}

// whole reads one JSON value. Its errors quote nothing and tell a file that was cut off from one that never was JSON.
func whole(text []byte) (jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := dec.ReadValue()
	v = slices.Clone(v)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it is cut off: the other program may be writing it just now, or the copy is not whole; try again")
	case err != nil:
		at := int(dec.InputOffset())
		if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			at = int(se.ByteOffset)
		}
		return nil, fmt.Errorf("it is no JSON: line %d is wrong", 1+bytes.Count(text[:min(max(at, 0), len(text))], []byte("\n")))
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("it goes on after the end of the JSON: it may have been written by two programs at once; try again, or sign in anew")
	}
	return v, nil
}

// cliProxyTypes are the login files of CLIProxyAPI (2026-08-22) by their member "type", with the provider that they are for.
var cliProxyTypes = map[string]string{
	"gemini": "gemini-cli", "antigravity": "antigravity", "codex": "codex", "qwen": "qwen-code", "iflow": "iflow", "kiro": "kiro",
}

// googleCloud are the values of "type" in credentials of Google Cloud (Google's application default credentials).
var googleCloud = []string{"service_account", "authorized_user", "external_account", "impersonated_service_account"}

const noClaude = "Claude subscriptions can only be used inside Claude Code. Use an API key here, or point Claude Code at Patchbay"

// classify recognises an object by its members.
func classify(f *finding) {
	d := f.doc
	login := func(provider string) { f.form, f.provider = formLogin, provider }
	decline := func(why string) { f.form, f.why = formDeclined, why }
	kind := d.text("type")
	switch {
	case cliProxyTypes[kind] != "" && d.hasAny("access_token", "refresh_token", "token", "accessToken", "refreshToken", "api_key", "cookie"):
		login(cliProxyTypes[kind])
		f.program = "CLIProxyAPI"
	case kind == "claude", d.has("claudeAiOauth"):
		decline(noClaude)
	case slices.Contains([]string{"kimi", "xai", "vertex", "github-copilot"}, kind):
		decline("there is no sign-in for " + kind + " in Patchbay; if the service gives out API keys, use one of them")
	case slices.Contains(googleCloud, kind):
		decline("it is a Google Cloud credential, not the login of a program; Patchbay does not use such credentials")
	case isPools(d):
		f.form = formPools
	case d.hasAny("REQUIRED_API_KEY", "MODEL_PROVIDER", "PROVIDER_POOLS_FILE_PATH", "providerFallbackChain", "modelFallbackMapping", "SYSTEM_PROMPT_MODE", "SERVER_PORT"):
		f.form = formConfig
	case d.has("accounts", "exported_at"):
		decline("it is an export of sub2api, which is not read here; sign in with `patchbay login`")
	case d.has("serverName", "token"):
		decline("it is an item of Gemini CLI's keychain; sign in with `patchbay login gemini-cli`")
	default:
		byMembers(f, login)
	}
	if f.form == formUnknown && f.why == "" {
		f.why = "its form is not known: " + memberList(d)
	}
}

// byMembers recognises the login files of the vendors' own programs.
func byMembers(f *finding, login func(string)) {
	d := f.doc
	tokens := d.object("tokens")
	switch {
	case tokens.hasAny("access_token", "refresh_token"):
		login("codex")
	case d.has("auth_mode"), d.has("OPENAI_API_KEY"):
		if key := d.text("OPENAI_API_KEY"); key != "" {
			f.form, f.provider = formKey, "openai"
			return
		}
		f.form, f.why = formDeclined, "Codex CLI keeps no ChatGPT login in this file; sign in with `patchbay login codex`"
	case d.hasAny("accessToken", "refreshToken", "kiroApiKey"):
		login("kiro")
	case d.has("clientId", "clientSecret"):
		f.form, f.why = formSilent, "it is the registration that belongs to a login of Kiro"
	case d.has("selectedAuthType"):
		if d.hasAny("apiKey", "oauth_refresh_token") {
			login("iflow")
			return
		}
		f.form, f.why = formDeclined, "iFlow keeps no login in this file"
	case d.object("token").hasAny("access_token", "refresh_token"):
		login(googleOrAntigravity(d.object("token"), "antigravity"))
	case d.has("installed"), d.has("web"):
		f.form, f.why = formDeclined, "it is the registration of a program at Google, not a login"
	case d.hasAny("access_token", "refresh_token"):
		if p := ofTokens(f.Name, d); p != "" {
			login(p)
			return
		}
		f.why = "it holds tokens, but not whose they are; " +
			"put it into the folder of its program (gemini, antigravity, kiro, qwen, iflow, codex) and import that"
	}
}

// ofTokens tells whose a file with access_token and refresh_token is.
func ofTokens(name string, d object) string {
	id := claims(d.text("id_token"))
	google := strings.Contains(d.text("scope"), "googleapis.com") || strings.HasSuffix(id.text("iss"), "accounts.google.com") ||
		strings.HasPrefix(d.text("access_token"), "ya29.") || strings.HasPrefix(d.text("refresh_token"), "1//")
	hint := programIn(name)
	switch {
	case d.has("resource_url"):
		return "qwen-code"
	case d.hasAny("apiKey", "api_key"):
		return "iflow"
	case google && hint == "antigravity":
		return googleOrAntigravity(d, "antigravity")
	case google:
		return googleOrAntigravity(d, "gemini-cli")
	case id.text("iss") == "https://auth.openai.com", d.has("account_id"):
		return "codex"
	}
	return hint
}

// Antigravity's client at Google, by which its tokens can be told from Gemini CLI's, and the scope that only it asks for.
const (
	antigravityClient = "1071006060591-"
	antigravityScope  = "https://www.googleapis.com/auth/cclog"
)

// googleOrAntigravity tells by which of Google's two clients a login was made; otherwise if the file does not say.
func googleOrAntigravity(d object, otherwise string) string {
	id := claims(d.text("id_token"))
	switch client := id.first("azp", "aud"); {
	case strings.HasPrefix(client, antigravityClient), slices.Contains(strings.Fields(d.text("scope")), antigravityScope):
		return "antigravity"
	case client != "":
		return "gemini-cli"
	}
	return otherwise
}

// claims reads what a JSON web token says, unchecked: it only tells files apart.
func claims(token string) object {
	none := object{m: map[string]jsontext.Value{}, used: map[string]bool{}}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return none
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return none
	}
	v, err := whole(b)
	if err != nil {
		return none
	}
	if o, ok := objectOf(v); ok {
		return o
	}
	return none
}

// programIn finds a program's name in a path, the file's own folder first.
func programIn(name string) string {
	for p := strings.ToLower(name); ; p = path.Dir(p) {
		base := path.Base(p)
		for _, w := range []struct{ word, provider string }{
			{"antigravity", "antigravity"}, {"gemini", "gemini-cli"}, {"kiro", "kiro"}, {"qwen", "qwen-code"}, {"iflow", "iflow"}, {"codex", "codex"},
		} {
			if strings.Contains(base, w.word) {
				return w.provider
			}
		}
		if p == "." || p == "/" || path.Dir(p) == p {
			return ""
		}
	}
}

// isPools recognises provider_pools.json: lists of accounts under names of providers.
func isPools(d object) bool {
	lists := 0
	for name, v := range d.m {
		if strings.HasPrefix(name, "_") { // comments
			continue
		}
		if v.Kind() != '[' {
			return false
		}
		if _, known := poolKinds[name]; known {
			lists++
			continue
		}
		if len(d.objects(name)) == 0 {
			return false
		}
		if d.objects(name)[0].hasAny("uuid", "isHealthy", "checkModelName") {
			lists++
		}
	}
	return lists > 0
}

// memberList names the first members of an object.
func memberList(d object) string {
	names := make([]string, 0, len(d.m))
	for n := range d.m {
		if shownName(n) == n && !strings.ContainsAny(n, "0123456789") { // a secret may stand where a name belongs
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "an object without members that could be named"
	}
	return "an object with " + strings.Join(names[:min(len(names), 5)], ", ")
}
