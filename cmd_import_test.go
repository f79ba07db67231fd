package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

func TestImportOfOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"configs/config.json": `{"SERVER_PORT":1}`, "configs/codex/a.json": `{"x":1}`} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench()
	b.svc.ImportReport = api.ImportReport{
		Unmoved: 1, Unread: 2, NewKey: secret.New("pb-canary"),
		Items: []api.ImportItem{
			{Outcome: "skipped", Kind: "account", Name: "codex/a", From: "configs/codex/a.json", Note: "one program only"},
			{Outcome: "taken", Kind: "account", Name: "openai/a"}, {Outcome: "taken", Kind: "account", Name: "openai/b"}, {Outcome: "taken", Kind: "setting", Name: "default_provider"},
			{Outcome: "updated", Kind: "account", Name: "openai/c", Note: "the key of the file"},
		},
	}
	r := b.run(t, "import", dir, "--yes", "--moved")
	r.check(t, exitOK, "Took 2 accounts, 1 setting; updated 1 account; left 1 account from "+dir, "one program only", "1 login was left", "add --moved", "2 accounts were left", "pb-canary")
	if strings.Index(r.out, "openai/b") > strings.Index(r.out, "codex/a") {
		t.Error("what was left comes first:\n" + r.out)
	}
	q := b.svc.LastImport
	if len(q.Files) != 2 || !q.Moved || !q.AcceptRisk || q.DryRun || q.Files[0].Modified.IsZero() {
		t.Error(q)
	}
	b.run(t, "import", dir, "--json").check(t, exitOK, `"new_key": "pb-canary"`, `"unmoved": 1`)

	b.svc.ImportReport = api.ImportReport{DryRun: true}
	b.run(t, "import", dir, "--dry-run").check(t, exitOK, "Nothing was changed. An import would take nothing from")
	if !b.svc.LastImport.DryRun {
		t.Error("--dry-run was lost")
	}

	b.in = `{"access_token":"x"}`
	b.run(t, "import", "-").check(t, exitOK, "from standard input")
	if q := b.svc.LastImport; len(q.Files) != 1 || string(q.Files[0].Data) != b.in || q.Files[0].Name != "standard input" {
		t.Error(q)
	}
	export := filepath.Join(dir, "x.age")
	if err := os.WriteFile(export, []byte("age-encryption.org/v1\nfake pass"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, "import", export, "--moved").check(t, exitUsage, "not for exports")
	b.run(t, "import", dir, "--from-env").check(t, exitUsage, "choose one")
	b.run(t, "import", t.TempDir()).check(t, exitFailed, "holds no file that could be imported")
}

func TestImportOfKeysInTheEnvironment(t *testing.T) {
	b := newBench()
	b.svc.ProviderList = []api.ProviderView{{ID: "openai", KeyEnv: []string{"PATCHBAY_TEST_KEY_A"}}, {ID: "openai-responses", KeyEnv: []string{"PATCHBAY_TEST_KEY_A"}}}
	b.svc.PresetList = []api.PresetView{
		{ID: "deepseek", Usable: true, BaseURL: "https://x.example.test", KeyEnv: []string{"PATCHBAY_TEST_KEY_B"}},
		{ID: "no-address", Usable: true, KeyEnv: []string{"PATCHBAY_TEST_KEY_C"}},
	}
	b.run(t, "import", "--from-env").check(t, exitFailed, "no variable is set")
	for _, n := range []string{"A", "B", "C"} {
		t.Setenv("PATCHBAY_TEST_KEY_"+n, " key-"+n+" ")
	}
	b.run(t, "import", "--from-env").check(t, exitOK, "from the environment")
	got := b.svc.LastImport.Keys
	if len(got) != 2 || got[0].Provider != "openai" || got[0].Key.Reveal() != "key-A" || got[1].Provider != "deepseek" || got[1].From != "PATCHBAY_TEST_KEY_B" {
		t.Error(got)
	}
}
