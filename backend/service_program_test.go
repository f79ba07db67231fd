package backend

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/about"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

func settingOf(t *testing.T, b *Backend, key string) api.SettingView {
	t.Helper()
	v, err := b.Settings(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(v.Items, func(s api.SettingView) bool { return s.Key == key })
	if i < 0 {
		t.Fatalf("there is no %s", key)
	}
	return v.Items[i]
}

func TestSettingsAreShownAndChanged(t *testing.T) {
	b := openTest(t, "# mine\ntimeouts:\n  idle: 90s # patience\n", func(o *Options) { o.Env = append(o.Env, "PATCHBAY_LOG_LEVEL=debug") })
	ctx := t.Context()
	if s := settingOf(t, b, "timeouts.idle"); s.Source != "file" || s.Line != 3 || s.Value != "1m30s" || s.Section != "limits" || s.Locked {
		t.Errorf("%+v", s)
	}
	if s := settingOf(t, b, "log.level"); s.Source != "env" || !s.Locked || s.From != "PATCHBAY_LOG_LEVEL" {
		t.Errorf("%+v", s)
	}
	if s := settingOf(t, b, "server.listen"); s.Source != "flag" || !s.Locked || s.From != "--listen" {
		t.Errorf("%+v", s)
	}
	if _, err := b.ChangeSettings(ctx, map[string]any{"timeouts.idle": "2m", "prompts.a": map[string]any{"text": "hello"}}); err != nil {
		t.Fatal(err)
	}
	if cfg := b.settings.Current(); cfg.Timeouts.Idle != 2*time.Minute || cfg.Prompts["a"].Text != "hello" {
		t.Errorf("%+v", cfg)
	}
	_, err := b.ChangeSettings(ctx, map[string]any{"timeouts.idle": "soon"})
	refused(t, err, apierror.InvalidRequest, "timeouts.idle", "no length of time")
	_, err = b.ChangeSettings(ctx, map[string]any{"log.level": "info"})
	refused(t, err, apierror.InvalidRequest, "log.level", "PATCHBAY_LOG_LEVEL")
	_, err = b.ChangeSettings(ctx, map[string]any{"providers.mine.preset": "nonesuch"})
	refused(t, err, apierror.InvalidRequest, "providers.mine.preset", "no preset")
	v, err := b.Settings(ctx, "kiro")
	if err != nil || !slices.ContainsFunc(v.Items, func(s api.SettingView) bool { return s.Key == "providers.kiro.proxy" }) {
		t.Error(v, err)
	}
	_, err = b.Settings(ctx, "nobody")
	refused(t, err, apierror.InvalidRequest, "provider", "nobody")
}

func TestLogsAreFilteredAndHinted(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	b.log.For("route").Warn("Careful", "model", "m-one", "token", "sk-very-secret-0123456789")
	b.log.For("gateway").Info("Fine")
	all, err := b.Logs(ctx, api.LogQuery{})
	if err != nil || len(all.Items) < 2 || all.Level != "info" || !slices.Contains(all.Names, "route") {
		t.Fatalf("%+v %v", all, err)
	}
	for name, c := range map[string]struct {
		q    api.LogQuery
		want int
	}{
		"level": {api.LogQuery{Level: "warn", Package: "route"}, 1}, "package": {api.LogQuery{Package: "gateway"}, 1}, "search": {api.LogQuery{Search: "M-ONE"}, 1},
		"nothing": {api.LogQuery{Search: "no such text"}, 0}, "limit": {api.LogQuery{Limit: 1}, 1}, "since": {api.LogQuery{Since: all.Seq}, 0},
	} {
		if v, err := b.Logs(ctx, c.q); err != nil || len(v.Items) != c.want || v.Seq != all.Seq {
			t.Errorf("%s: %+v %v", name, v, err)
		}
	}
	text, err := b.LogText(ctx)
	if err != nil || !strings.Contains(string(text), "Careful") || strings.Contains(string(text), "very-secret") {
		t.Error(string(text), err)
	}
}

func TestLogHintsAreFew(t *testing.T) {
	b := openTest(t, "", nil)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		n := 0
		hints := b.bus.Subscribe(ctx, 1000)
		go b.tellLogs(ctx)
		go func() {
			for ev := range hints {
				if ev.Topic == events.Logs {
					n++
				}
			}
		}()
		synctest.Wait()
		for range 100 {
			b.log.Logger().Log(ctx, slog.LevelWarn, "Again")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n < 3 || n > 6 {
			t.Errorf("%d hints for a second of lines", n)
		}
	})
}

func TestReportHoldsNoSecretAndNoName(t *testing.T) {
	const settings = "providers:\n  openai:\n    headers: {X-Mine: private-header}\nprompts:\n  mine: {text: a private prompt}\ntimeouts: {idle: 90s}\n"
	b := openTest(t, settings, nil)
	ctx := t.Context()
	if _, err := b.AddAccount(ctx, api.NewAccount{Provider: "openai", Name: "ann@example.test", Key: secret.New("sk-canary-0123456789abcdef")}); err != nil {
		t.Fatal(err)
	}
	// A finding names the account, in its title and in what to do.
	if err := b.db.SaveHealth(ctx, store.Health{ID: b.accounts.List()[0].ID, State: "needs_login", Reason: "refused"}); err != nil {
		t.Fatal(err)
	}
	paths := b.o.Paths
	if err := errors.Join(b.db.Close(), b.lock.Release()); err != nil {
		t.Fatal(err)
	}
	b.accounts, b.db, b.lock = nil, nil, nil
	b = openTest(t, settings, func(o *Options) { o.Paths = paths })
	b.log.Logger().Warn("Account ann@example.test rests", "authorization", "Bearer sk-canary-0123456789abcdef")
	files, err := b.Support(ctx)
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	var all strings.Builder
	for _, f := range files {
		if f.About == "" || f.Size != len(f.Data) {
			t.Errorf("%+v", f)
		}
		all.Write(f.Data)
	}
	for _, bad := range []string{"canary", "ann@example.test", "private", b.token.Reveal()} {
		if strings.Contains(all.String(), bad) {
			t.Errorf("%q is in the report:\n%s", bad, &all)
		}
	}
	for _, want := range []string{`"timeouts.idle"`, "1m30s", "account-1 rests", `"openai"`, "openai/account-1 needs you"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, &all)
		}
	}
}

func TestAboutAndAddresses(t *testing.T) {
	b := openTest(t, "server: {ollama_listener: {enabled: true, listen: \"127.0.0.1:0\"}}\n", nil)
	v, err := b.About(t.Context())
	if err != nil || v.Version != "1.2.3" || v.Go == "" || v.Licence == "" {
		t.Error(v, err)
	}
	if n := len(about.Licences()); n < 20 {
		t.Errorf("%d licences", n)
	}
	if l, err := b.LicenceText(t.Context(), "github.com/spf13/cobra"); err != nil || !strings.Contains(l.Text, "Apache License") {
		t.Error(l, err)
	}
	_, err = b.LicenceText(t.Context(), "example.test/nothing")
	refused(t, err, apierror.InvalidRequest, "path", "not part")
	a, err := b.Addresses(t.Context())
	if err != nil || a.Base != "" || len(a.Items) != 0 || !a.Second.Enabled {
		t.Error(a, err)
	}
	b.mu.Lock()
	b.base = "http://127.0.0.1:8390"
	b.mu.Unlock()
	if a, err = b.Addresses(t.Context()); err != nil || !slices.Contains(a.Items, api.AddressView{Protocol: "ollama", Name: "Ollama", URL: "http://127.0.0.1:8390/ollama"}) {
		t.Error(a, err)
	}
}
