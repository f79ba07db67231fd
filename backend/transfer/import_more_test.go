package transfer

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func file(name, text string) ImportFile { return ImportFile{Name: name, Data: []byte(text)} }

// only returns the one item of a kind.
func only(t *testing.T, r ImportReport, kind string) ImportItem {
	t.Helper()
	var out []ImportItem
	for _, it := range r.Items {
		if it.Kind == kind {
			out = append(out, it)
		}
	}
	if len(out) != 1 {
		t.Fatalf("%d items of kind %s:\n%s", len(out), kind, lines(r))
	}
	return out[0]
}

func pool(key string) ImportFile {
	return file("provider_pools.json", `{"openai-custom":[{"uuid":"u1","customName":"work","OPENAI_API_KEY":"`+key+`"}]}`)
}

func TestChangedKeyUpdatesItsAccount(t *testing.T) {
	h, _ := newHost(t, "")
	h.take(t, []ImportFile{pool("canary-1")}, ImportOptions{})
	id := h.Accounts.List()[0].ID
	_, err := h.Accounts.Update(t.Context(), id, func(a *account.Account) { a.Name, a.Priority = "mine", 7 })
	check(t, err)
	if it := only(t, h.take(t, []ImportFile{pool("canary-2")}, ImportOptions{DryRun: true}), KindAccount); it.Outcome != Updated {
		t.Error(it)
	}
	known, err := h.Accounts.Known(t.Context())
	check(t, err)
	if at, _ := known.Find("openai", provider.Credential{Access: secret.New("canary-2")}); at != "" {
		t.Error("a dry run changed the key")
	}
	if it := only(t, h.take(t, []ImportFile{pool("canary-2")}, ImportOptions{}), KindAccount); it.Outcome != Updated || it.Name != "openai/mine" {
		t.Error(it)
	}
	list := h.Accounts.List()
	if len(list) != 1 || list[0].ID != id || list[0].Name != "mine" || list[0].Priority != 7 {
		t.Error(list)
	}
	if it := only(t, h.take(t, []ImportFile{pool("canary-2")}, ImportOptions{}), KindAccount); it.Outcome != Skipped {
		t.Error(it)
	}
}

func kiroFile(access, refresh string, expires time.Time) ImportFile {
	return file("kiro.json", fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q,"account_id":"ann","expiry":%d}`, access, refresh, expires.UnixMilli()))
}

// withExpiry makes the fake driver of kiro read the end of a token.
func withExpiry(h *Host) {
	offers := h.Offers
	h.Offers = func() []Offer {
		out := offers()
		for i := range out {
			if r, ok := out[i].Driver.(reader); ok && out[i].Info.ID == "kiro" {
				r.expiry = "expiry"
				out[i].Driver = r
			}
		}
		return out
	}
}

func TestNewerLoginOfThePersonUpdatesAndAnOlderOneDoesNot(t *testing.T) {
	h, _ := newHost(t, "")
	withExpiry(&h)
	now := time.Now().Truncate(time.Second)
	moved := ImportOptions{Moved: true}
	if it := only(t, h.take(t, []ImportFile{kiroFile("a1", "r1", now.Add(time.Hour))}, moved), KindAccount); it.Outcome != Taken {
		t.Fatal(it)
	}
	if it := only(t, h.take(t, []ImportFile{kiroFile("a0", "r0", now)}, moved), KindAccount); it.Outcome != Skipped || !strings.Contains(it.Note, "same person") {
		t.Error(it)
	}
	newer := []ImportFile{kiroFile("a2", "r2", now.Add(2*time.Hour))}
	if it := only(t, h.take(t, newer, ImportOptions{}), KindAccount); it.Outcome != Skipped {
		t.Error("a login was taken although the other program has it:", it)
	}
	if it := only(t, h.take(t, newer, ImportOptions{Moved: true, DryRun: true}), KindAccount); it.Outcome != Updated {
		t.Error(it)
	}
	if it := only(t, h.take(t, newer, moved), KindAccount); it.Outcome != Updated {
		t.Error(it)
	}
	list := h.Accounts.List()
	if len(list) != 1 || !list[0].Expires.Equal(now.Add(2*time.Hour)) || !list[0].Renews || list[0].Owner != account.Ours {
		t.Error(list)
	}
}

func TestLoginThatHasEndedIsLeft(t *testing.T) {
	h, _ := newHost(t, "")
	withExpiry(&h)
	now := time.Now()
	it := only(t, h.take(t, []ImportFile{kiroFile("a", "", now.Add(-time.Hour))}, ImportOptions{}), KindAccount)
	if it.Outcome != Skipped || !strings.Contains(it.Note, "patchbay login kiro") {
		t.Error(it)
	}
	it = only(t, h.take(t, []ImportFile{kiroFile("a", "", now.Add(time.Hour))}, ImportOptions{}), KindAccount)
	if it.Outcome != Taken || !strings.Contains(it.Note, "cannot be renewed and ends") {
		t.Error(it)
	}
}

func TestBorrowedAccountStaysBorrowed(t *testing.T) {
	h, _ := newHost(t, "")
	_, err := h.Accounts.Add(t.Context(), account.Account{Provider: "kiro", Name: "found", Enabled: true, Owner: account.CLI},
		provider.Credential{Access: secret.New("a"), Refresh: secret.New("r")})
	check(t, err)
	it := only(t, h.take(t, []ImportFile{kiroFile("a", "r", time.Now())}, ImportOptions{Moved: true}), KindAccount)
	if it.Outcome != Skipped || !strings.Contains(it.Note, "adopt") || h.Accounts.List()[0].Owner != account.CLI {
		t.Error(it)
	}
}

func TestProviderThatIsOffNeedsAWord(t *testing.T) {
	h, _ := newHost(t, "")
	in := []ImportFile{file("antigravity/oauth_creds.json", `{"access_token":"ya29.x","refresh_token":"1//x"}`)}
	r := h.take(t, in, ImportOptions{})
	if it := only(t, r, KindAccount); it.Outcome != Skipped || !strings.Contains(it.Note, "is off") || r.Unread != 1 {
		t.Error(r)
	}
	if it := only(t, h.take(t, in, ImportOptions{Accept: true}), KindAccount); it.Outcome != Taken {
		t.Error(it)
	}
}

func TestKeysFromElsewhere(t *testing.T) {
	h, _ := newHost(t, "")
	keys := []ImportKey{{"openai", "OPENAI_API_KEY", secret.New("canary-a")}, {"deepseek", "DEEPSEEK_API_KEY", secret.New("canary-b")}, {"nobody", "X", secret.New("canary-c")}}
	r, err := Import(t.Context(), h, nil, keys, ImportOptions{})
	check(t, err)
	want := `taken | account | openai/OPENAI_API_KEY | OPENAI_API_KEY | 
taken | provider | deepseek |  | 
taken | account | deepseek/DEEPSEEK_API_KEY | DEEPSEEK_API_KEY | 
skipped | account | nobody/X | X | this version has no provider nobody
`
	if lines(r) != want {
		t.Error(lines(r))
	}
}

func TestThousandAccounts(t *testing.T) {
	h, _ := newHost(t, "")
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,{"uuid":"u%d","OPENAI_API_KEY":"canary-%[1]d"}`, i)
	}
	in := []ImportFile{file("provider_pools.json", `{"openai-custom":[`+b.String()[1:]+`]}`)}
	r := h.take(t, in, ImportOptions{})
	if n := len(h.Accounts.List()); n != 1000 || len(r.Items) != 1000 {
		t.Error(n, len(r.Items))
	}
	if r := h.take(t, in, ImportOptions{}); strings.Count(lines(r), "it is there already") != 1000 {
		t.Error(lines(r)[:1000])
	}
}

func TestLockedSecretsStopAnImport(t *testing.T) {
	h, db := newHost(t, "")
	h.take(t, []ImportFile{pool("canary-1")}, ImportOptions{})
	vault := secret.NewVault(db, secret.EnvKey{Text: secret.New("no key at all")})
	pools, err := account.New(t.Context(), account.Needs{
		Store: db, Secrets: vault, Bus: &events.Bus{}, HTTP: func(string, string) *http.Client { return nil },
		Driver: func(string) (provider.Driver, map[string]string, error) {
			return driver{provider.Info{ID: "openai"}}, nil, nil
		},
	})
	check(t, err)
	defer pools.Close()
	h.Accounts = pools
	if r, err := Import(t.Context(), h, []ImportFile{pool("canary-2")}, nil, ImportOptions{}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Error(lines(r), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h2, _ := newHost(t, "")
	if _, err := Import(ctx, h2, []ImportFile{pool("canary-2")}, nil, ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Import(t.Context(), h2, nil, nil, ImportOptions{}); apierror.From(err).Param != "files" {
		t.Error(err)
	}
}

// TestImportedSecretsAreSealed imports everything that the golden files hold and looks for the secrets in what was written.
func TestImportedSecretsAreSealed(t *testing.T) {
	h, _ := newHost(t, "")
	names, err := filepath.Glob("testdata/import/*.txtar")
	check(t, err)
	var files []ImportFile
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		files = append(files, inputsOf(data)...)
	}
	r := h.take(t, files, ImportOptions{Moved: true, Accept: true})
	if strings.Contains(lines(r), "canary") {
		t.Error(lines(r))
	}
	dir := filepath.Dir(h.Settings.Path())
	all, err := os.ReadDir(dir)
	check(t, err)
	if len(all) < 3 {
		t.Error("where are the database and its log?", all)
	}
	for _, e := range all {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		check(t, err)
		if bytes.Contains(data, []byte("canary")) || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString([]byte("canary-openai")))) {
			t.Error("a secret is readable in", e.Name())
		}
	}
}

func TestWeakClientKeyIsReplacedOnce(t *testing.T) {
	h, _ := newHost(t, "")
	in := []ImportFile{file("config.json", `{"REQUIRED_API_KEY":"123456"}`)}
	dry := h.take(t, in, ImportOptions{DryRun: true})
	if !dry.NewKey.Empty() || len(h.Keys.List()) != 0 || !strings.Contains(lines(dry), "would be made") {
		t.Error(lines(dry))
	}
	r := h.take(t, in, ImportOptions{})
	if k, ok := h.Keys.Check(r.NewKey.Reveal()); !ok || k.Name != "imported" || strings.Contains(lines(r), "123456") {
		t.Error(lines(r))
	}
	if again := h.take(t, in, ImportOptions{}); !again.NewKey.Empty() || len(h.Keys.List()) != 1 {
		t.Error(lines(again))
	}
	if err := clientkey.CheckGiven(secret.New("123456")); err == nil {
		t.Error("123456 is a fine key?")
	}
}

// What a person has chosen stays.
func TestSettingsThatAreThereStay(t *testing.T) {
	h, _ := newHost(t, "default_provider: gemini\nrouting:\n  chains:\n    gemini: [openai]\n")
	r := h.take(t, []ImportFile{file("config.json", `{"MODEL_PROVIDER":"openai-custom","providerFallbackChain":{"claude-custom":["openai-custom"]}}`)}, ImportOptions{})
	want := "skipped | setting | default_provider | config.json | it was set here already\ntaken | setting | routing.chains.anthropic | config.json | openai\n"
	if lines(r) != want || h.Settings.Current().DefaultProvider != "gemini" || len(h.Settings.Current().Routing.Chains) != 2 {
		t.Error(lines(r))
	}
}

// Two providers may stand in for each other in the other program. Here that is a circle, and a dry run foresees it.
func TestChainsThatLeadBackAreCut(t *testing.T) {
	in := []ImportFile{file("config.json", `{"providerFallbackChain":{
		"claude-custom":["openai-custom"],"openai-custom":["claude-custom","gemini-cli-oauth"],"gemini-cli-oauth":["claude-custom"]}}`)}
	const want = "taken | setting | routing.chains.anthropic | config.json | openai\n" +
		"taken | setting | routing.chains.gemini-cli | config.json | anthropic\n" +
		"skipped | setting | routing.chains.openai | config.json | without anthropic, gemini-cli, whose own chain leads back to openai\n"
	h, _ := newHost(t, "")
	for _, dry := range []bool{true, false} {
		if got := lines(h.take(t, in, ImportOptions{DryRun: dry})); got != want {
			t.Errorf("dry run %v:\n%s", dry, got)
		}
	}
	if chains := h.Settings.Current().Routing.Chains; len(chains) != 2 || chains["anthropic"][0] != "openai" {
		t.Error(chains)
	}
}

func TestSystemPromptIsTakenOver(t *testing.T) {
	h, _ := newHost(t, "")
	path := filepath.Join(t.TempDir(), "prompt.txt")
	in := []ImportFile{file("config.json", `{"SYSTEM_PROMPT_FILE_PATH":`+strconv.Quote(path)+`,"SYSTEM_PROMPT_MODE":"overwrite",
		"SYSTEM_PROMPT_REPLACEMENTS":[{"old":"Claude \"Code\"","new":"a: b"},{"old":"","new":"x"}]}`)}
	h.take(t, in, ImportOptions{})
	p := h.Settings.Current().Prompts["imported"]
	if p.File != path || p.Mode != "override" || len(p.Replace) != 1 || p.Replace[`Claude "Code"`] != "a: b" {
		t.Errorf("%+v", p)
	}
}

// A path that is not whole is meant from the settings' own folder, or from the one that the program was started in. The text
// itself is taken over: the folder may go with the program.
func TestSystemPromptBesideTheSettingsIsCopied(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("configs/config.json", `{"SYSTEM_PROMPT_FILE_PATH":"configs/input_system_prompt.txt","SYSTEM_PROMPT_MODE":"overwrite"}`)
	write("configs/input_system_prompt.txt", "\xef\xbb\xbfBe \"brief\": 日本語.\r\n\n# no comment\n")
	for _, at := range []string{dir, filepath.Join(dir, "configs"), filepath.Join(dir, "configs", "config.json")} {
		in, err := Gather(at, dir)
		check(t, err)
		h, _ := newHost(t, "")
		for _, dry := range []bool{true, false} {
			const want = "taken | setting | prompts.imported.text | configs/config.json | \n" +
				"taken | setting | prompts.imported.mode | configs/config.json | override\n"
			if got := lines(h.take(t, in, ImportOptions{DryRun: dry})); got != want {
				t.Errorf("%s, dry run %v:\n%s", at, dry, got)
			}
		}
		p := h.Settings.Current().Prompts["imported"]
		if p.Text != "Be \"brief\": 日本語.\n\n# no comment" || p.Mode != "override" || p.File != "" {
			t.Errorf("%s: %+v", at, p)
		}
		if again := lines(h.take(t, in, ImportOptions{})); strings.Count(again, "it is the same here") != 2 {
			t.Error(again)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":      {"  \n", "is empty"},
		"not there":  {"-", "is not there: import it together"},
		"some login": {`{"type":"codex","access_token":"canary-a","refresh_token":"canary-r","account_id":"a","email":"x@example.test"}`, "holds no text for apps"},
	} {
		write("configs/input_system_prompt.txt", c.text)
		if c.text == "-" {
			check(t, os.Remove(filepath.Join(dir, "configs/input_system_prompt.txt")))
		}
		in, err := Gather(filepath.Join(dir, "configs", "config.json"), dir)
		check(t, err)
		h, _ := newHost(t, "")
		if got := lines(h.take(t, in, ImportOptions{})); !strings.Contains(got, "skipped | setting | SYSTEM_PROMPT_FILE_PATH | configs/config.json | configs/input_system_prompt.txt "+c.want) {
			t.Errorf("%s: %s", name, got)
		}
		if p := h.Settings.Current().Prompts; len(p) != 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestWaysToChooseAccountsAreTakenOver(t *testing.T) {
	const accounts = "\ngemini-api-key: [{api-key: canary-one, weight: 3}, {api-key: canary-two}, {api-key: canary-three, weight: 5000}]\n"
	for name, c := range map[string]struct{ routing, strategy, want string }{
		"weights":      {"strategy: weighted-round-robin", "weighted", "providers.gemini.pool.strategy"},
		"round":        {"strategy: round-robin", "round-robin", ""},
		"made up":      {"strategy: lucky", "", "there is no such strategy here"},
		"not one":      {"{session-affinity: false}", "", "--sticky off"},
		"on":           {"{session-affinity: true}", "", "it is so here anyway"},
		"on for long":  {"{session-affinity: true, session-affinity-ttl: 90m}", "", "providers.gemini.pool.sticky_for"},
		"on for never": {"{session-affinity: true, session-affinity-ttl: soon}", "", "no length of time"},
	} {
		h, _ := newHost(t, "")
		routing := "routing: " + c.routing
		if !strings.HasPrefix(c.routing, "{") {
			routing = "routing: {" + c.routing + "}"
		}
		got := lines(h.take(t, []ImportFile{file("config.yaml", routing+accounts)}, ImportOptions{}))
		pool := h.Settings.Current().Providers["gemini"].Pool
		if !strings.Contains(got, c.want) || pool.Strategy != c.strategy || !strings.Contains(got, "weight | config.yaml | a weight here is a number from 1 to 1000 (at 1 account)") {
			t.Errorf("%s: %+v\n%s", name, pool, got)
		}
		if name == "on for long" && pool.StickyFor != 90*time.Minute {
			t.Error(pool.StickyFor)
		}
		weights := map[int]int{}
		for _, a := range h.Accounts.List() {
			weights[a.Weight]++
		}
		if weights[3] != 1 || weights[1] != 2 {
			t.Errorf("%s: %v", name, weights)
		}
	}
	// A choice that a person made here stays.
	h, _ := newHost(t, "providers:\n  gemini:\n    pool: {strategy: soonest-reset}\n")
	got := lines(h.take(t, []ImportFile{file("config.yaml", "routing: {strategy: fill-first}"+accounts)}, ImportOptions{}))
	if h.Settings.Current().Providers["gemini"].Pool.Strategy != "soonest-reset" || !strings.Contains(got, "pool.strategy | config.yaml | it was set here already") {
		t.Error(got)
	}
}

func FuzzDetect(f *testing.F) {
	names, err := filepath.Glob("testdata/import/*.txtar")
	check(f, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(f, err)
		for _, in := range inputsOf(data) {
			f.Add(in.Name, in.Data)
		}
	}
	f.Add("x.zip", makeZip(f, zipped{name: "a/config.json", text: "{}"}))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		files, err := expand([]ImportFile{{Name: name, Data: data}})
		if err != nil {
			return
		}
		var found []finding
		for _, in := range files {
			references(in)
			found = append(found, detect(in)...)
		}
		if len(found) < len(files) {
			t.Fatal("a file was lost")
		}
		p := newPlan(found)
		said := len(p.said) + len(p.arrivals) + len(p.keys) + len(p.chains) + len(p.aliases) + len(p.fallback.value)
		for _, fd := range found {
			if fd.form == formUnknown && fd.why == "" {
				t.Fatal("nothing is said of", fd.Name)
			}
			if said == 0 && (fd.form == formUnknown || fd.form == formDeclined || fd.form == formLogin) {
				t.Fatal("nothing came of", fd.Name)
			}
		}
	})
}
