package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	shell "patchbay/app"
	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/apierror"
	"patchbay/backend/doctor"
	"patchbay/backend/logging"
	"patchbay/backend/preset"
	"patchbay/backend/secret"
)

// result is what a command line gave.
type result struct {
	code     int
	out, err string
}

// bench runs command lines against a service that works in memory.
type bench struct {
	svc      *apitest.Service
	in       string
	typed    string // what the person types when asked; "" = there is no terminal
	asked    string // what was asked
	opened   int
	closed   int
	startErr error
	started  startOptions
	desk     func(context.Context, shell.Options) error
	server   bool   // there is no screen
	browsed  string // the page that was opened
}

func newBench() *bench {
	b := &bench{svc: apitest.New()}
	b.svc.VaultView = api.VaultView{State: "ok", Source: "file", Where: "the key file k", Secrets: 2}
	return b
}

func (b *bench) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		in: strings.NewReader(b.in), out: &out, err: &errs,
		prompt: func(q string) (string, bool, error) {
			b.asked = q
			return b.typed, b.typed != "", nil
		},
		browse: func(address string) error { b.browsed = address; return nil },
		desk:   b.desk,
		screen: func() bool { return !b.server },
		open: func(context.Context, *app) (api.Service, func() error, error) {
			b.opened++
			return b.svc, func() error { b.closed++; return nil }, nil
		},
		start: func(_ context.Context, o startOptions) (program, error) {
			b.started = o
			return fakeProgram{b.svc, o}, b.startErr
		},
	}
	code := run(t.Context(), a, args)
	if b.opened != b.closed {
		t.Errorf("%v: opened %d times, closed %d times", args, b.opened, b.closed)
	}
	return result{code, out.String(), errs.String()}
}

// fakeProgram stops as soon as it is ready.
type fakeProgram struct {
	*apitest.Service
	o startOptions
}

func (p fakeProgram) Run(context.Context) error {
	if p.o.ready != nil {
		p.o.ready("http://127.0.0.1:8390")
	}
	return context.Canceled
}
func (p fakeProgram) Close() error                   { return nil }
func (p fakeProgram) FirstKey() (secret.Value, bool) { return secret.New("pb-first"), true }

// check fails unless the command ended with code and printed all of want, in out or err.
func (r result) check(t *testing.T, code int, want ...string) {
	t.Helper()
	all := r.out + r.err
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("%q is missing in:\n%s", w, all)
		}
	}
	if r.code != code {
		t.Errorf("exit code %d, want %d:\n%s", r.code, code, all)
	}
}

func TestBadCommandLinesExplainThemselves(t *testing.T) {
	realKey := "sk-proj-0123456789abcdefghij"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":       {[]string{"frobnicate"}, `no command "patchbay frobnicate"`},
		"unknown subcommand":    {[]string{"keys", "frobnicate"}, `no command "patchbay keys frobnicate"`},
		"unknown flag":          {[]string{"serve", "--frobnicate"}, "unknown flag: --frobnicate"},
		"flag without value":    {[]string{"serve", "--listen"}, "--listen"},
		"too many arguments":    {[]string{"doctor", "x"}, "takes no arguments"},
		"too few arguments":     {[]string{"keys", "add"}, "needs a name"},
		"no account named":      {[]string{"accounts", "enable"}, "PROVIDER/NAME"},
		"key as argument":       {[]string{"accounts", "add", "openai", realKey}, "does not belong on the command line"},
		"key as provider":       {[]string{"accounts", "add", realKey}, "does not belong on the command line"},
		"key as command":        {[]string{realKey}, "does not belong on the command line"},
		"key as flag":           {[]string{"accounts", "add", "openai", "--key", realKey}, "does not belong on the command line"},
		"key as flag with sign": {[]string{"accounts", "add", "openai", "--api-key=" + realKey}, "does not belong on the command line"},
		"key nowhere":           {[]string{"accounts", "add", "openai"}, "--key-file FILE or --key-stdin"},
		"key twice":             {[]string{"accounts", "add", "openai", "--key-file", "x", "--key-stdin"}, "choose one"},
		"kind of a known one":   {[]string{"accounts", "add", "openai", "--kind", "ollama", "--base-url", "http://x"}, "is there already"},
		"nothing to change":     {[]string{"accounts", "set", "x"}, "say what to change"},
		"negative days":         {[]string{"usage", "--days", "-1"}, "negative"},
		"negative life":         {[]string{"keys", "add", "x", "--lasts", "-1h"}, "negative"},
		"no rows":               {[]string{"logs", "-n", "0"}, "from 1 to 1000"},
		"default and none":      {[]string{"providers", "default", "openai", "--none"}, "choose one"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			r := b.run(t, c.args...)
			r.check(t, exitUsage, c.want, "--help")
			if r.out != "" {
				t.Errorf("a mistake printed to standard output: %s", r.out)
			}
			if strings.Contains(r.err, realKey) {
				t.Error("the key was repeated:", r.err)
			}
			if len(b.svc.AccountList)+len(b.svc.KeyList) > 0 {
				t.Error("something was added")
			}
		})
	}
}

func TestKeyShapes(t *testing.T) {
	for arg, want := range map[string]bool{
		"sk-ant-api03-abcdefgh": true, "AIzaSyA1234567": true, "pb-0123456789": true, "0123456789abcdef0123456789abcdef": true, "eyJhbGciOiJIUzI1NiJ9": true,
		"openai": false, "openai-responses": false, "my-own-provider-with-a-very-long-name": false, "sk-": false, "openai/work account number 1 of the team": false,
		"/home/u/0123456789abcdef0123456789abcdef/key": false, "K2ABCDEFGHIJ": false,
	} {
		if looksLikeKey(arg) != want {
			t.Errorf("%s: %v", arg, !want)
		}
	}
}

func TestHelpIsEverywhere(t *testing.T) {
	b := newBench()
	b.run(t, "--help").check(t, exitOK, "patchbay doctor", "accounts", "completion")
	for _, c := range newRoot(&app{}).Commands() {
		r := b.run(t, c.Name(), "--help")
		r.check(t, exitOK, "Usage:")
		if c.Name() != "doctor" && c.Name() != "version" && !strings.Contains(r.out, "Examples:") {
			t.Errorf("%s has no example", c.Name())
		}
	}
	b.run(t, "completion", "bash").check(t, exitOK, "__start_patchbay")
	if b.opened > 0 {
		t.Error("help opened the store")
	}
}

func TestKeysLiveOnce(t *testing.T) {
	b := newBench()
	b.run(t, "keys").check(t, exitOK, "patchbay keys add NAME")
	r := b.run(t, "keys", "add", "cline", "--lasts", "24h")
	r.check(t, exitOK, "shown only now", b.svc.KeyTexts["k1"].Reveal(), "http://127.0.0.1:8390/v1")
	if life := time.Until(b.svc.KeyList[0].Expires); life < 23*time.Hour || life > 24*time.Hour {
		t.Error(life)
	}
	b.in = "\ufeff  a key of my own, \n"
	r = b.run(t, "keys", "add", "brought", "--stdin")
	r.check(t, exitOK, `Added the key "brought"`)
	if got := b.svc.KeyTexts["k2"].Reveal(); got != "a key of my own," || strings.Contains(r.out, got) {
		t.Errorf("%q\n%s", got, r.out)
	}
	r = b.run(t, "keys", "list")
	r.check(t, exitOK, "ID", "cline", "brought", "good", "until")
	if strings.Contains(r.out, b.svc.KeyTexts["k1"].Reveal()) {
		t.Error("the list shows the key")
	}
	b.run(t, "keys", "revoke", "CLINE").check(t, exitOK, `Revoked the key "cline"`)
	b.run(t, "keys", "revoke", "cline").check(t, exitFailed, `no key "cline"`, "patchbay keys")
	b.run(t, "keys").check(t, exitOK, "revoked 2026")
	b.run(t, "keys", "revoke", "k2").check(t, exitOK, `Revoked the key "brought"`)
	b.in = " \n"
	b.run(t, "keys", "add", "x", "--stdin").check(t, exitFailed, "empty")
	b.in = strings.Repeat("x", 1025)
	b.run(t, "keys", "add", "x", "--stdin").check(t, exitFailed, "too long")
}

func TestSameNameNeedsAnID(t *testing.T) {
	b := newBench()
	b.run(t, "keys", "add", "app")
	b.run(t, "keys", "add", "app")
	b.run(t, "keys", "revoke", "app").check(t, exitFailed, "k1, k2")
	b.svc.AccountList = []api.AccountView{{ID: "1", Provider: "openai", Name: "work"}, {ID: "2", Provider: "kiro", Name: "Work"}}
	b.run(t, "accounts", "clear", "work").check(t, exitFailed, "1 (openai/work), 2 (kiro/Work)")
	b.run(t, "accounts", "clear", "kiro/work").check(t, exitOK, "kiro/Work")
	b.run(t, "accounts", "clear", "nobody").check(t, exitFailed, `no account "nobody"`)
}

func TestExpiredKeyIsNamed(t *testing.T) {
	b := newBench()
	b.svc.KeyList = []api.KeyView{{ID: "k", Name: "old", Expires: time.Unix(1, 0)}}
	b.run(t, "keys").check(t, exitOK, "expired")
}

func TestAccountsComeByFileStdinOrPrompt(t *testing.T) {
	b := newBench()
	b.svc.ProviderList[0].KeyURL = "https://keys.example"
	b.run(t, "accounts").check(t, exitOK, "patchbay accounts add PROVIDER")
	file := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte("sk-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := filepath.Join(t.TempDir(), "proxy.txt")
	if err := os.WriteFile(proxy, []byte("http://u:p@h:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, "accounts", "add", "openai", "--name", "work", "--key-file", file, "--priority", "3", "--proxy-file", proxy).
		check(t, exitOK, "Added the account openai/work (a1)", "http://127.0.0.1:8390/v1")
	b.in = "sk-stdin"
	b.run(t, "accounts", "add", "OpenAI", "--key-stdin").check(t, exitOK, "Added")
	b.typed = "sk-typed"
	b.run(t, "accounts", "add", "openai-custom", "--base-url", "https://own.example/v1").check(t, exitOK, "Added")
	if !strings.Contains(b.asked, "https://keys.example") || !strings.Contains(b.asked, "not shown") {
		t.Error(b.asked)
	}
	got := map[string]string{}
	for id, v := range b.svc.Secrets {
		got[id] = v.Reveal()
	}
	want := map[string]string{"a1": "sk-file", "proxy/a1": "http://u:p@h:1", "a2": "sk-stdin", "proxy/a2": "", "a3": "sk-typed", "proxy/a3": ""}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
	if d := cmp.Diff(map[string]string{"base_url": "https://own.example/v1"}, b.svc.AccountList[2].Settings); d != "" {
		t.Error("-want +got\n" + d)
	}
	if b.svc.AccountList[0].Priority != 3 {
		t.Error(b.svc.AccountList[0])
	}
	b.run(t, "accounts", "add", "openai", "--key-file", file+"x").check(t, exitFailed, "reading the key")
	b.run(t, "accounts", "add", "openai", "--proxy-file", file+"x").check(t, exitFailed, "the proxy")
}

func TestOwnProviderIsWrittenFirst(t *testing.T) {
	b := newBench()
	b.typed = "sk-x"
	b.run(t, "accounts", "add", "deepseek").check(t, exitFailed, `no provider "deepseek"`, "--base-url URL")
	b.run(t, "accounts", "add", "deepseek", "--base-url", "https://api.deepseek.com/v1").check(t, exitOK, "deepseek/account a1")
	want := api.ProviderView{ID: "deepseek", Kind: "openai", BaseURL: "https://api.deepseek.com/v1", Status: "active", Enabled: true, UserDefined: true}
	if d := cmp.Diff(want, b.svc.ProviderList[1]); d != "" {
		t.Error("-want +got\n" + d)
	}
	b.typed = ""
	b.run(t, "accounts", "add", "home", "--base-url", "http://h:11434", "--kind", "ollama").check(t, exitOK, "home/")
	if b.svc.ProviderList[2].Kind != "ollama" || !b.svc.Secrets["a2"].Empty() {
		t.Error(b.svc.ProviderList[2])
	}
	b.run(t, "accounts", "add", "lan", "--base-url", "http://h:1").check(t, exitOK, "lan/") // no terminal, no key: the service decides
}

func TestPresetNeedsNoAddress(t *testing.T) {
	b := newBench()
	b.svc.PresetList = []api.PresetView{
		{ID: "deepseek", Name: "DeepSeek", Kind: "openai", Usable: true, BaseURL: "https://d", KeyURL: "https://keys", Models: "live", AsOf: "2026-11-22", Notes: "Reads text only."},
		{ID: "azure", Name: "Azure", Kind: "openai", Usable: true, Example: "https://RESOURCE"},
		{ID: "home", Name: "Home", Kind: "openai", Usable: true, BaseURL: "http://127.0.0.1:1", NoKey: true, Provider: "den"},
		{ID: "later", Name: "Later", Kind: "telepathy", BaseURL: "https://l"},
	}
	b.typed = "sk-1"
	b.run(t, "accounts", "add", "deepseek").check(t, 0, "Added the account deepseek/")
	if p := b.svc.ProviderList[1]; p.ID != "deepseek" || p.Preset != "deepseek" || p.BaseURL != "" || !strings.Contains(b.asked, "https://keys") {
		t.Errorf("%+v %q", p, b.asked)
	}
	b.run(t, "accounts", "add", "work", "--preset", "deepseek").check(t, 0, "Added the account work/")
	b.run(t, "accounts", "add", "azure").check(t, 2, "--base-url https://RESOURCE")
	b.run(t, "accounts", "add", "azure", "--base-url", "https://mine").check(t, 0)
	b.typed = ""
	t.Setenv("PB_TEST_KEY", " sk-env\n")
	b.svc.PresetList[0].KeyEnv = []string{"PB_TEST_KEY_THAT_IS_NOT_SET", "PB_TEST_KEY"}
	b.run(t, "accounts", "add", "env", "--preset", "deepseek", "--from-env").check(t, 0, "Added the account env/")
	if last := b.svc.AccountList[len(b.svc.AccountList)-1]; b.svc.Secrets[last.ID].Reveal() != "sk-env" {
		t.Error("the key of the variable did not arrive")
	}
	b.run(t, "accounts", "add", "env2", "--preset", "azure", "--base-url", "https://x", "--from-env").check(t, 2, "no variable is known")
	b.run(t, "accounts", "add", "env2", "--preset", "deepseek", "--from-env", "--key-stdin").check(t, 2, "choose one")
	b.svc.PresetList[0].KeyEnv = []string{"PB_TEST_KEY_THAT_IS_NOT_SET"}
	b.run(t, "accounts", "add", "env2", "--preset", "deepseek", "--from-env").check(t, 1, "PB_TEST_KEY_THAT_IS_NOT_SET")
	b.run(t, "accounts", "add", "home").check(t, 0, "Added the account home/")
	b.run(t, "accounts", "add", "later").check(t, 1, "telepathy", "does not serve")
	b.run(t, "accounts", "add", "x", "--preset", "unheard-of").check(t, 1, "no preset", "unheard-of")
	b.run(t, "accounts", "add", "home2", "--preset", "home", "--kind", "openai").check(t, 2, "leave out --kind")
	b.run(t, "accounts", "add", "deepseek", "--preset", "azure").check(t, 2, "there already")
	b.run(t, "providers", "presets").check(t, 0, "deepseek", "https://RESOURCE", "2026-11-22", "in use as den", "needs no key", "not served by this version", "Reads text only.")
	b.run(t, "providers", "presets", "--json").check(t, 0, `"as_of": "2026-11-22"`)
}

func TestNoPresetLooksLikeAKey(t *testing.T) {
	for _, p := range preset.BuiltIn().All() {
		if looksLikeKey(p.ID) || logging.Redact(p.ID) != p.ID {
			t.Errorf("%s would be taken for a key", p.ID)
		}
	}
}

func TestAccountsAreTested(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a1", Provider: "openai", Name: "work"}, {ID: "a2", Provider: "openai", Name: "play"}, {ID: "a3", Provider: "openai", Name: "quiet"}}
	b.svc.Tests = map[string]api.TestView{
		"a1": {OK: true, Models: 7, BaseURL: "https://h/v1"}, "a2": {Kind: "auth_expired", Message: "the key is refused"}, "a3": {OK: true, Message: "no list there"},
	}
	b.run(t, "accounts", "test", "work").check(t, 0, "lists 7 models", "https://h/v1 works")
	b.run(t, "accounts", "test", "play").check(t, 1, "openai/play: the key is refused")
	b.run(t, "accounts", "test", "quiet").check(t, 0, "openai/quiet: no list there.")
	b.run(t, "accounts", "test", "play", "--json").check(t, 1, `"ok": false`)
	b.run(t, "accounts", "test", "work", "--json").check(t, 0, `"models": 7`)
	b.run(t, "accounts", "test", "nobody").check(t, 1, "nobody")
	b.run(t, "accounts", "test", "openai").check(t, 1, "say which one")
	b.svc.AccountList = b.svc.AccountList[:1]
	b.run(t, "accounts", "test", "openai").check(t, 0, "openai/work works") // its only account
}

func TestATestThatSpendsTokensSaysWhatItCosts(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a1", Provider: "openai", Name: "work"}, {ID: "a2", Provider: "codex", Name: "ann"}, {ID: "a3", Provider: "ollama", Name: "home"}}
	most, was := 0.00042, 0.000031
	b.svc.TestCosts = map[string]api.TestCost{
		"a1": {Model: "gpt-5-mini", Input: 20, Output: 200, Paid: "tokens", Cost: &most, Currency: "USD", Prices: "2026-06-28"},
		"a2": {Model: "gpt-5.5", Input: 20, Output: 200, Paid: "plan"}, "a3": {Model: "qwen3", Input: 20, Output: 200, Paid: "nothing"},
	}
	b.svc.Tests = map[string]api.TestView{
		"a1": {OK: true, Model: "gpt-5-mini", Answer: "ready", DurationMS: 812, Tokens: &api.Tokens{Input: 14, Output: 2}, Cost: &was, Currency: "USD", Request: "req_1"},
		"a2": {Model: "gpt-5.5", Message: "codex: the account that the request asks for cannot serve (ann: rests)", Kind: "no_account", Next: &api.NextStep{Text: "Wait.", Command: "patchbay accounts clear a2"}},
		"a3": {OK: true, Model: "qwen3", Message: "the model answered, but wrote nothing", DurationMS: 5},
	}
	b.run(t, "accounts", "test", "work", "--generate").check(t, exitUsage, "gpt-5-mini of openai/work: about 20 tokens in, at most 200 out, at most 0.000420 USD by the price of 2026-06-28", "--yes")
	b.in = "no\n"
	b.run(t, "accounts", "test", "work", "--generate").check(t, exitFailed, "Type yes", "nothing was sent")
	if b.svc.LastTest != (api.AccountTest{}) {
		t.Errorf("it was sent without a yes: %+v", b.svc.LastTest)
	}
	b.in = "yes\n"
	b.run(t, "accounts", "test", "work", "--generate").check(t, exitOK, `openai/work works: gpt-5-mini answered "ready" after 812 ms; 14 tokens in, 2 out, 0.000031 USD`, "req_1")
	if b.svc.LastTest != (api.AccountTest{Generate: true, Model: "gpt-5-mini"}) {
		t.Errorf("what is asked is not what was told: %+v", b.svc.LastTest)
	}
	b.in = ""
	b.run(t, "accounts", "test", "ann", "--generate", "--yes").check(t, exitFailed, "from the allowance of your plan", "codex/ann did not answer with gpt-5.5: codex: the account", "\n  Wait.\n  patchbay accounts clear a2")
	b.run(t, "accounts", "test", "home", "--generate", "--yes").check(t, exitOK, "it costs nothing", "wrote nothing after 5 ms; the service told no tokens")
	b.run(t, "accounts", "test", "work", "--generate", "--yes", "--model", "other", "--json").check(t, exitOK, `"answer": "ready"`, `"cost": 0.000031`)
	if b.svc.LastTest.Model != "other" {
		t.Errorf("%+v", b.svc.LastTest)
	}
	b.run(t, "accounts", "test", "ann", "--generate", "--yes", "--json").check(t, exitFailed, `"kind": "no_account"`)
	b.run(t, "accounts", "test", "work", "--model", "other").check(t, exitUsage, "--generate")
}

func TestQuotaIsShown(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a1", Provider: "codex", Name: "ann"}}
	b.run(t, "accounts", "quota", "ann").check(t, 0, "counts nothing")
	b.svc.Quotas = map[string][]api.QuotaView{"a1": {{Name: "Weekly limit", Unit: "percent", Used: 12.5, Limit: 100, ResetsAt: 1795897676000}, {Name: "Credits", Unit: "credits", Used: 3, Models: []string{"gpt-*"}}}}
	b.run(t, "accounts", "quota", "ann").check(t, 0, "12.5 of 100 percent", "2026-", "3 credits", "gpt-*", "all")
	b.run(t, "accounts", "quota", "ann", "--json").check(t, 0, `"limit": 100`)
}

func TestModelListsAreRefreshed(t *testing.T) {
	b := newBench()
	b.svc.ModelList = []api.ModelView{{ID: "m", Provider: "openai", Context: 1000, Assumed: true}, {ID: "n", Provider: "openai", Context: 5, Stale: true, Name: "N"}}
	b.run(t, "models", "--refresh").check(t, 0, "~1000", "N (old list")
	b.run(t, "models", "openai", "--refresh").check(t, 0)
	b.run(t, "models").check(t, 0)
	if d := cmp.Diff([]string{"", "openai"}, b.svc.Refreshed); d != "" {
		t.Error(d)
	}
}

func TestRiskIsToldBeforeTheKeyIsAsked(t *testing.T) {
	b := newBench()
	b.svc.ProviderList[0].Risk = &api.RiskView{Text: "The vendor forbids this.", Since: "2026-01-01"}
	b.run(t, "accounts", "add", "openai").check(t, exitUsage, "The vendor forbids this.", "2026-01-01")
}

func TestAccountsAreChanged(t *testing.T) {
	b := newBench()
	until := time.Date(2026, 11, 22, 14, 5, 0, 0, time.Local)
	b.svc.AccountList = []api.AccountView{
		{ID: "a", Provider: "openai", Name: "work", State: "cooling", Reason: "asked to pause", Enabled: true, Cooling: []api.CoolDownView{{Model: "m", Reason: "limit", Until: until}, {Model: "*", Reason: "asked to pause", Until: until}}},
	}
	b.run(t, "accounts", "list").check(t, exitOK, "openai/work", "cooling", "m rests until 2026-11-22 14:05:00 (limit); rests until 2026-11-22 14:05:00; asked to pause")
	b.run(t, "accounts", "disable", "work").check(t, exitOK, "openai/work is left out")
	if b.svc.AccountList[0].Enabled {
		t.Error("still on")
	}
	b.run(t, "accounts", "enable", "a").check(t, exitOK, "is used again")
	b.run(t, "accounts", "clear", "a").check(t, exitOK, "are over")
	if a := b.svc.AccountList[0]; !a.Enabled || a.Cooling != nil {
		t.Error(a)
	}
	b.typed = "sk-new"
	b.run(t, "accounts", "set", "a", "--name", "home", "--priority", "0", "--new-key", "--no-proxy").check(t, exitOK, "Changed the account")
	if a := b.svc.AccountList[0]; a.Name != "home" || b.svc.Secrets["a"].Reveal() != "sk-new" {
		t.Error(a)
	}
	b.run(t, "accounts", "remove", "home").check(t, exitOK, "Removed the account openai/home")
	if len(b.svc.AccountList) > 0 {
		t.Error("still there")
	}
}

func TestCatalogue(t *testing.T) {
	b := newBench()
	b.svc.ProviderList = append(b.svc.ProviderList, api.ProviderView{
		ID: "iflow", Name: "iFlow", Status: "discontinued", Instead: "qwen keys", Default: true, Models: 4, Accounts: map[string]int{"ready": 2, "cooling": 1}, Risk: &api.RiskView{Text: "closed"},
	})
	b.svc.ModelList = []api.ModelView{{ID: "m", Provider: "openai", Context: 128000}, {ID: "n", Provider: "iflow"}}
	b.run(t, "providers").check(t, exitOK, "OpenAI", "yes", "1 cooling, 2 ready", "default; discontinued; instead: qwen keys; closed")
	b.run(t, "models").check(t, exitOK, "128000", "iflow")
	if r := b.run(t, "models", "openai"); strings.Contains(r.out, "iflow") {
		t.Error(r.out)
	}
	b.run(t, "models", "gone").check(t, exitOK, "There are no models yet")
	b.run(t, "providers", "default").check(t, exitOK, "no default provider")
	b.run(t, "providers", "default", "openai-custom").check(t, exitOK, "is openai from now on")
	b.run(t, "providers", "default").check(t, exitOK, "openai")
	b.run(t, "providers", "default", "--json").check(t, exitOK, `"provider": "openai"`)
	b.run(t, "providers", "default", "nobody").check(t, exitFailed, `no provider "nobody"`)
	b.run(t, "providers", "default", "--none").check(t, exitOK, "no default provider any more")
	if b.svc.Default != "" {
		t.Error(b.svc.Default)
	}
}

func TestUsageAndLogs(t *testing.T) {
	b := newBench()
	b.run(t, "usage").check(t, exitOK, "Nothing was used")
	b.run(t, "logs").check(t, exitOK, "No request was made yet")
	b.svc.UsageRows = []api.UsageRow{
		{Provider: "openai", Model: "m", Requests: 2, Tokens: api.Tokens{Input: 10, Cached: -1, Output: 5}},
		{Provider: "kiro", Model: "n", Requests: 1, Errors: 1},
	}
	b.svc.RequestList = []api.RequestView{{ID: "r", At: apitest.Moment, Client: "anthropic", Asked: "m", Status: 429, Kind: "rate_limited", Message: "too\x1b[31m\nmany", Attempts: 2, DurationMS: 12}}
	b.run(t, "usage", "--days", "0").check(t, exitOK, "total", "3 ")
	if !b.svc.LastUsageQ.Since.IsZero() {
		t.Error(b.svc.LastUsageQ)
	}
	b.run(t, "usage", "--json").check(t, exitOK, `"total": {`)
	r := b.run(t, "logs", "-n", "7", "--failed", "--provider", "p", "--model", "m")
	r.check(t, exitOK, "429", "rate_limited: too[31m many")
	if d := cmp.Diff(api.RequestQuery{Limit: 7, State: api.RequestFailed, Provider: "p", Model: "m"}, b.svc.LastRequestsQ); d != "" {
		t.Error("-want +got\n" + d)
	}
}

func TestDoctorEndsWithOneWhenSomethingIsBroken(t *testing.T) {
	b := newBench()
	b.svc.Findings = []api.Finding{{ID: "x", Level: doctor.OK, Title: "fine"}, {ID: "y", Level: doctor.Warn, Title: "hm", Fix: "look"}}
	b.run(t, "doctor").check(t, exitOK, "ok       fine", "note     hm", "look", "Nothing needs mending")
	b.svc.Findings = append(b.svc.Findings, api.Finding{ID: "z", Level: doctor.Problem, Title: "broken", Detail: "a\nb"})
	r := b.run(t, "doctor")
	r.check(t, exitFailed, "PROBLEM  broken\n         a\n         b\n", "1 problem to mend")
	if r.err != "" {
		t.Error("the findings say everything:", r.err)
	}
	b.run(t, "doctor", "--json").check(t, exitFailed, `"level": "problem"`)
}

func TestDoctorWorksWhenNothingElseDoes(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	var out bytes.Buffer
	a := &app{out: &out, err: &out, open: func(context.Context, *app) (api.Service, func() error, error) {
		return nil, nil, errors.New("the disk is on fire")
	}}
	if code := run(t.Context(), a, []string{"doctor"}); code != exitFailed || !strings.Contains(out.String(), "the disk is on fire") || !strings.Contains(out.String(), "clock") {
		t.Error(code, out.String())
	}
}

func TestDoctorWritesAReport(t *testing.T) {
	b := newBench()
	path := filepath.Join(t.TempDir(), "report.zip")
	b.run(t, "doctor", "--bundle", path).check(t, exitOK, "Wrote "+path)
	if got := namesInZip(t, path); !slices.Contains(got, "status.json") {
		t.Error(got)
	}
	b.run(t, "doctor", "--bundle", path).check(t, exitFailed, "is there already")

	// Nothing opens: what can be seen from outside goes in, without what looks like a secret.
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	var out bytes.Buffer
	a := &app{out: &out, err: &out, open: func(context.Context, *app) (api.Service, func() error, error) {
		return nil, nil, errors.New("the key sk-canary-0123456789abcdef burns")
	}}
	path = filepath.Join(t.TempDir(), "report.zip")
	if code := run(t.Context(), a, []string{"doctor", "--bundle", path}); code != exitFailed {
		t.Error(code, out.String())
	}
	if got := namesInZip(t, path); !slices.Contains(got, "doctor.json") {
		t.Error(got)
	}
}

// namesInZip reads a report and looks for the canary in it.
func namesInZip(t *testing.T, path string) (names []string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || strings.Contains(string(text), "canary") || len(text) == 0 {
			t.Errorf("%s: %v\n%s", f.Name, err, text)
		}
		names = append(names, f.Name)
	}
	return names
}

func TestServiceErrorsAreToldInTheirWords(t *testing.T) {
	b := newBench()
	b.svc.Err = &apierror.Error{Kind: apierror.Internal, Msg: "The keychain is locked: unlock it.", Err: errors.New("inside")}
	for _, args := range [][]string{
		{"keys"}, {"keys", "add", "x"}, {"keys", "revoke", "x"}, {"accounts"}, {"accounts", "enable", "x"}, {"accounts", "add", "openai"}, {"providers"},
		{"providers", "default"}, {"providers", "default", "x"}, {"providers", "default", "--none"}, {"models"}, {"usage"}, {"logs"},
	} {
		r := b.run(t, args...)
		r.check(t, exitFailed, "patchbay: The keychain is locked: unlock it.\n")
		if strings.Contains(r.err, "inside") || r.out != "" {
			t.Error(args, r)
		}
	}
}

// TestJSONIsEverywhere reads the output of every command back.
func TestJSONIsEverywhere(t *testing.T) {
	b := newBench()
	b.typed = "sk-x"
	for _, args := range [][]string{
		{"keys", "add", "app"}, {"keys"}, {"keys", "revoke", "app"}, {"accounts", "add", "openai", "--name", "n"}, {"accounts"}, {"accounts", "disable", "n"},
		{"accounts", "enable", "n"}, {"accounts", "clear", "n"}, {"accounts", "set", "n", "--priority", "1"}, {"accounts", "remove", "n"}, {"accounts"},
		{"providers"}, {"providers", "default"}, {"providers", "default", "openai"}, {"models"}, {"usage"}, {"logs"}, {"doctor"}, {"vault"}, {"vault", "move", "--to", "os"}, {"vault", "unlock"}, {"vault", "renew"}, {"version"}, {"demo", "--scenarios"},
	} {
		r := b.run(t, append(args, "--json")...)
		var v any
		if err := json.Unmarshal([]byte(r.out), &v); err != nil || r.code != exitOK || v == nil {
			t.Errorf("%v: %v\n%s%s", args, err, r.out, r.err)
		}
		if args[0] == "keys" && len(args) == 3 && args[1] == "add" && v.(map[string]any)["key"] != b.svc.KeyTexts["k1"].Reveal() {
			t.Error("the new key is not in the output")
		}
	}
}

func TestVersion(t *testing.T) {
	newBench().run(t, "version").check(t, exitOK, "patchbay "+versionText())
}

func TestServeSaysWhatToDoNext(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	b := newBench()
	r := b.run(t, "serve", "--listen", "127.0.0.1:1", "--default-provider", "openai", "--config", "own.yaml")
	r.check(t, exitOK, "listens on http://127.0.0.1:8390", "pb-first", "only now", "patchbay accounts add openai", "/ollama")
	if d := cmp.Diff(map[string]string{"server.listen": "127.0.0.1:1", "default_provider": "openai"}, b.started.flags); d != "" {
		t.Error("-want +got\n" + d)
	}
	if want, err := filepath.Abs("own.yaml"); err != nil || b.started.paths.Config != want {
		t.Error(b.started.paths, err)
	}
	b.svc.AccountList = []api.AccountView{{ID: "a"}}
	if r := b.run(t, "serve"); strings.Contains(r.out, "no account yet") || len(b.started.flags) > 0 {
		t.Error(r.out)
	}
	b.startErr = errors.New("no room")
	b.run(t, "serve").check(t, exitFailed, "no room")
}
