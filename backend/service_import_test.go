package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// importLines are a report in one text.
func importLines(r api.ImportReport) string {
	var b strings.Builder
	for _, it := range r.Items {
		b.WriteString(strings.Join([]string{it.Outcome, it.Kind, it.Name, it.Note}, " | ") + "\n")
	}
	return b.String()
}

func TestImportThroughTheService(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Flags = map[string]string{"server.listen": "127.0.0.1:8390"} })
	ctx := t.Context()
	files := []api.ImportFile{
		{Name: "configs/provider_pools.json", Data: []byte(`{
			"claude-kiro-oauth": [{"customName": "k", "KIRO_OAUTH_CREDS_FILE_PATH": "configs/kiro/a.json", "uuid": "1"}],
			"openai-custom": [{"customName": "ds", "OPENAI_API_KEY": "canary-ds", "OPENAI_BASE_URL": "https://api.deepseek.com/v1/chat/completions", "uuid": "2"},
				{"customName": "round", "OPENAI_API_KEY": "canary-round", "OPENAI_BASE_URL": "http://localhost:8390/v1", "uuid": "3"},
				{"customName": "lab", "OPENAI_API_KEY": "canary-lab", "OPENAI_BASE_URL": "http://10.1.2.3:8000/v1", "uuid": "4"}]}`)},
		{Name: "configs/kiro/a.json", Data: []byte(`{"accessToken":"canary-access","refreshToken":"canary-refresh","expiresAt":"2026-11-22T18:04:11.207Z","authMethod":"social","provider":"Google",
			"profileArn":"arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK"}`)},
	}
	r := ok(b.Import(ctx, api.ImportRequest{Files: files}))(t)
	if r.Unmoved != 1 || strings.Contains(importLines(r), "canary") {
		t.Errorf("%+v", r)
	}
	r = ok(b.Import(ctx, api.ImportRequest{Files: files, Moved: true}))(t)
	if r.Unread != 1 || !strings.Contains(importLines(r), "Confirm that you have read this") {
		t.Errorf("%+v", r)
	}
	r = ok(b.Import(ctx, api.ImportRequest{Files: files, Moved: true, AcceptRisk: true, DryRun: true}))(t)
	if k, _ := b.offered("kiro"); k.enabled || !r.DryRun || !strings.Contains(importLines(r), "taken | account | kiro/k") {
		t.Error("a dry run turned a provider on, or said something else:", importLines(r))
	}
	r = ok(b.Import(ctx, api.ImportRequest{Files: files, Moved: true, AcceptRisk: true}))(t)
	if k, _ := b.offered("kiro"); !k.enabled || !strings.Contains(importLines(r), "taken | account | kiro/k") {
		t.Error(importLines(r))
	}
	labels := map[string]string{}
	for _, a := range ok(b.Accounts(ctx))(t) {
		labels[a.Provider+"/"+a.Name] = a.Login
	}
	if login, there := labels["kiro/k"]; len(labels) != 3 || !there || login == "" {
		t.Error(labels)
	}
	if cfg := b.settings.Current(); cfg.Providers["deepseek"].Preset != "deepseek" || cfg.Providers["10-1-2-3-8000"].BaseURL != "http://10.1.2.3:8000/v1" {
		t.Error(cfg.Providers)
	}
	if !strings.Contains(importLines(r), "Patchbay's own address") || len(ok(b.Accounts(ctx))(t)) != 3 {
		t.Error(importLines(r))
	}
	again := ok(b.Import(ctx, api.ImportRequest{Files: files, Moved: true, AcceptRisk: true}))(t)
	if strings.Count(importLines(again), "it is there already") != 3 {
		t.Error(importLines(again))
	}
	r = ok(b.Import(ctx, api.ImportRequest{Keys: []api.ImportKey{{Provider: "openai", From: "OPENAI_API_KEY", Key: secret.New("canary-env")}}}))(t)
	if !strings.Contains(importLines(r), "taken | account | openai/OPENAI_API_KEY") {
		t.Error(importLines(r))
	}
	_, err := b.Import(ctx, api.ImportRequest{})
	refused(t, err, apierror.InvalidRequest, "files", "no file")
	for _, dir := range []string{b.o.Paths.Dir(), b.o.Paths.Data, b.o.Paths.State} {
		err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(p)
			if strings.Contains(string(data), "canary") {
				t.Error("a secret is readable in", p)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
