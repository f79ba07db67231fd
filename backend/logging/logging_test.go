package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/secret"
)

// canary stands in every secret of these tests. It must be in no output.
const canary = "CANARY7f3a9c"

func newLog(t *testing.T, o Options) (*Log, *bytes.Buffer) {
	t.Helper()
	var text bytes.Buffer
	o.Text = &text
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, &text
}

type account struct {
	Name  string
	Key   secret.Value
	inner secret.Value
	Token string
	Notes map[string]any
}

type stringer struct{}

func (*stringer) String() string { return "token sk-" + canary }

func TestNoSecretReachesAnySink(t *testing.T) {
	dir := t.TempDir()
	l, text := newLog(t, Options{Dir: dir, Level: "debug"})
	log := l.For("provider/kiro")
	key := "sk-ant-api03-" + canary
	failed := fmt.Errorf("calling: %w", &url.Error{Op: "Post", URL: "https://h.example/v1?key=" + canary + "&alt=sse", Err: errors.New("Bearer " + canary)})

	log.Info("Plain "+key, "account", secret.New(canary))
	log.Info("Groups", slog.Group("headers", "authorization", canary, slog.Group("deep", "x-api-key", canary)))
	log.WithGroup("credentials").Info("Hidden group", "anything", canary)
	log.With("api_key", canary, "refreshToken", canary).WithGroup("g").With("cookie", canary).Info("With")
	log.Error("Wrapped", "err", failed)
	log.Error("Joined", "err", errors.Join(failed, errors.New("password="+canary)))
	log.Info("Struct", "acc", account{Name: "first", Key: secret.New(canary), inner: secret.New(canary), Token: canary,
		Notes: map[string]any{"id_token": canary, "list": []any{key}}})
	log.Info("Pointer", "acc", &account{Key: secret.New(canary), inner: secret.New(canary)})
	log.Info("Header", "headers", http.Header{"Authorization": {"Bearer " + canary}, "X-Api-Key": {canary}})
	log.Info("Header as text " + fmt.Sprint(http.Header{"X-Goog-Api-Key": {canary}}))
	log.Info("Bytes", "body", []byte(`{"access_token":"`+canary+`"}`), "other", &stringer{})
	log.Info("Lazy", "v", slog.AnyValue(lazy{}))
	log.Info("Channel", "v", make(chan int), "nil", nil)

	file, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"text": text.String(), "file": string(file), "ring": fmt.Sprint(l.Lines(0, 0))} {
		if strings.Contains(out, canary) {
			t.Errorf("a secret is in the %s:\n%s", name, out)
		}
		if !strings.Contains(out, "Hidden group") || !strings.Contains(out, "alt=sse") {
			t.Errorf("the %s misses what is no secret:\n%s", name, out)
		}
	}
}

type lazy struct{}

func (lazy) LogValue() slog.Value {
	return slog.GroupValue(slog.String("password", canary), slog.Int("n", 1))
}

func TestRedact(t *testing.T) {
	c := canary + "0123456789abcdef"
	for _, s := range []string{
		"sk-" + c, "sk-ant-oat01-" + c, "sk_live_" + c, "ya29." + c, "1//0" + c, "AIzaSy" + c, "GOCSPX-" + c,
		"eyJhbGciOiJIUzI1NiJ9.eyJ" + c + "." + c, "aoaAAAAA" + c, "aorAAAAA" + c + ":x", "rt_" + c, "ghp_" + c, "xai-" + c, "gsk_" + c, "xoxb-" + c, "pb_" + c,
		"Bearer " + c, "Authorization: Basic " + c, "authorization: " + c, "Authorization:[Bearer " + c + "]", "Cookie: a=" + c + "; b=2",
		"https://user:" + c + "@proxy.example:8080/x", "http://" + c + "@h.example", "https://h/v1/models?key=" + c + "&x=1", "https://h/cb?code=" + c + "&state=" + c,
		"/cb#access_token=" + c, "grant_type=refresh_token&refresh_token=" + c + "&client_secret=" + c, "password=" + c, "api_key: " + c, `api_key: "` + c + `"`,
		`{"access_token": "` + c + `","expires_in":3600}`, `{"accessToken":"` + c + `"}`, `{"error":"{\"refresh_token\":\"` + c + `\"}"}`, `{"code":"4/` + c + `"}`,
		`{"X-Api-Key":["` + c + `"]}`, "-----BEGIN RSA PRIVATE KEY-----\n" + c + "\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n" + c,
	} {
		got := Redact(s)
		if strings.Contains(got, canary) {
			t.Errorf("Redact(%q) = %q", s, got)
		}
		if again := Redact(got); again != got {
			t.Errorf("a second time changes more: %q, then %q", got, again)
		}
		if !LooksSecret(s) || LooksSecret(got) {
			t.Errorf("LooksSecret disagrees for %q", s)
		}
	}
}

func TestRedactKeepsWhatHelps(t *testing.T) {
	for _, s := range []string{
		"", "ok", "model gpt-5.1-codex is not listed", `{"error":{"code":"insufficient_quota","message":"You exceeded your quota"}}`,
		`{"usage":{"prompt_tokens":12,"total_tokens":40}}`, "basic understanding of bearer semantics", "https://api.openai.com/v1/models?limit=1000",
		"http://127.0.0.1:8390/ui/", "user@example.com signed in", "max_tokens=4096", "retry-after: 30", "claude-sonnet-4-5-20250929", "task-2024 risk-free",
	} {
		if got := Redact(s); got != s {
			t.Errorf("Redact(%q) = %q", s, got)
		}
	}
}

func TestNumbersOfSecretNamesStayReadable(t *testing.T) {
	l, _ := newLog(t, Options{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l.Logger().Info("Refused", "code", 429, "token", true, "dur", 2*time.Second, "until", at, "empty", "", slog.Attr{})
	want := []Attr{{"code", "429"}, {"token", "true"}, {"dur", "2s"}, {"until", "2026-01-02T03:04:05Z"}, {"empty", ""}}
	if diff := cmp.Diff(want, l.Lines(0, 0)[0].Attrs); diff != "" {
		t.Error(diff)
	}
}

func TestTextIsOneLinePerRecord(t *testing.T) {
	l, text := newLog(t, Options{})
	l.For("route").Warn("Two\nlines", "a", "x y", "b", "plain", "c", "new\nline", slog.Group("g", "d", 1))
	_, got, _ := strings.Cut(strings.TrimPrefix(text.String(), time.Now().Format("2006")), " ")
	_, got, _ = strings.Cut(got, " ")
	want := "WARN  Two\\nlines pkg=route a=\"x y\" b=plain c=\"new\\nline\" g.d=1\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLevelsPerPackageChangeAtRunTime(t *testing.T) {
	l, _ := newLog(t, Options{Level: "warn", Packages: map[string]string{"provider": "debug", "provider/kiro": "error"}})
	kiro, codex, route := l.For("provider/kiro"), l.Logger().With(PackageKey, "provider/codex"), l.For("route")
	say := func() {
		for _, log := range []*slog.Logger{kiro, codex, route} {
			log.Debug("Debug")
			log.Warn("Warn")
		}
	}
	say()
	if err := l.SetLevels("debug", nil); err != nil {
		t.Fatal(err)
	}
	say()
	var got []string
	for _, line := range l.Lines(0, 0) {
		got = append(got, line.Package+" "+line.Msg)
	}
	want := []string{"provider/codex Debug", "provider/codex Warn", "route Warn",
		"provider/kiro Debug", "provider/kiro Warn", "provider/codex Debug", "provider/codex Warn", "route Debug", "route Warn"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := l.SetLevels("info", map[string]string{"route": "loud"}); err == nil {
		t.Error("an unknown level was taken")
	}
	if root, pkgs := l.Levels(); root != "debug" || len(pkgs) != 0 {
		t.Errorf("a refused change left %s %v", root, pkgs)
	}
	l.SetLevels("error", map[string]string{"route": "warning"})
	if root, pkgs := l.Levels(); root != "error" || pkgs["route"] != "warn" {
		t.Errorf("%s %v", root, pkgs)
	}
	if _, err := New(Options{Level: "chatty"}); err == nil {
		t.Error("an unknown level was taken")
	}
}

func TestRingKeepsTheNewest(t *testing.T) {
	l, _ := newLog(t, Options{Ring: 3})
	for i := range 5 {
		l.Logger().Info(fmt.Sprint(i))
	}
	msgs := func(lines []Line) (out []string) {
		for _, line := range lines {
			out = append(out, fmt.Sprint(line.Seq, ":", line.Msg))
		}
		return out
	}
	for _, c := range []struct {
		name string
		seq  uint64
		max  int
		want []string
	}{
		{"all", 0, 0, []string{"3:2", "4:3", "5:4"}},
		{"after a number", 4, 0, []string{"5:4"}},
		{"at most two", 0, 2, []string{"4:3", "5:4"}},
		{"nothing new", 5, 0, nil},
		{"a number of the future", 99, 0, nil},
	} {
		if diff := cmp.Diff(c.want, msgs(l.Lines(c.seq, c.max))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestFollowYieldsNewLinesUntilTheEnd(t *testing.T) {
	l, _ := newLog(t, Options{})
	l.Logger().Info("Before")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := l.Follow(ctx)
	l.Logger().Info("After")
	var got []string
	for line := range lines {
		got = append(got, line.Msg)
		cancel()
	}
	if diff := cmp.Diff([]string{"After"}, got); diff != "" {
		t.Error(diff)
	}
	for range l.Follow(ctx) {
		t.Fatal("nothing was logged")
	}
}

func TestFileIsRotatedAndCapped(t *testing.T) {
	dir := t.TempDir()
	l, _ := newLog(t, Options{Dir: dir, MaxBytes: 400, MaxFiles: 3})
	for i := range 50 {
		l.Logger().Info("A line of some length", "n", i)
	}
	l.Logger().Info(strings.Repeat("long ", 200))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if st, err := e.Info(); err != nil || st.Size() > 400 || st.Size() == 0 {
			t.Errorf("%s has %d bytes, %v", e.Name(), st.Size(), err)
		}
	}
	if diff := cmp.Diff([]string{FileName, FileName + ".1", FileName + ".2"}, names); diff != "" {
		t.Error(diff)
	}
	older, _ := os.ReadFile(filepath.Join(dir, FileName+".1"))
	if !strings.Contains(string(older), "n=49") {
		t.Errorf("the newest lines before the rotation are not in the second file: %s", older)
	}
}

func TestFileIsContinuedAndSurvivesTrouble(t *testing.T) {
	dir := t.TempDir()
	l, _ := newLog(t, Options{Dir: dir})
	l.Logger().Info("First run")
	l.Close()
	l.Logger().Info("After the end")
	if l.Dropped() != 1 {
		t.Errorf("%d lines dropped, want 1", l.Dropped())
	}
	again, _ := newLog(t, Options{Dir: dir})
	again.file.f.Close() // as if the disk had gone
	again.Logger().Info("Lost")
	again.Logger().Info("Second run")
	if again.Dropped() != 1 {
		t.Errorf("%d lines dropped, want 1", again.Dropped())
	}
	data, _ := os.ReadFile(filepath.Join(dir, FileName))
	if !strings.Contains(string(data), "First run") || !strings.Contains(string(data), "Second run") {
		t.Errorf("%s", data)
	}
	blocked := filepath.Join(dir, "blocked")
	os.WriteFile(blocked, nil, 0o600)
	if _, err := New(Options{Dir: blocked}); err == nil {
		t.Error("a file in place of the folder was taken")
	}
	os.MkdirAll(filepath.Join(dir, "sub", FileName), 0o700)
	if _, err := New(Options{Dir: filepath.Join(dir, "sub")}); err == nil {
		t.Error("a folder in place of the file was taken")
	}
}

func TestLongValuesAreCut(t *testing.T) {
	l, _ := newLog(t, Options{})
	l.Logger().Info("Long", "err", errors.New(strings.Repeat("x", maxText+10)), "s", (*stringer)(nil), "f", func() {})
	attrs := l.Lines(0, 0)[0].Attrs
	if n := len(attrs[0].Value); n > maxText+20 {
		t.Errorf("%d bytes", n)
	}
	if attrs[2].Value != "<func()>" {
		t.Errorf("%q", attrs[2].Value)
	}
	var e *url.Error
	l.Logger().Info("Nil", "err", error(e))
	if got := l.Lines(1, 0)[0].Attrs[0].Value; got != "<nil>" {
		t.Errorf("%q", got)
	}
}

func TestSecretName(t *testing.T) {
	for name, want := range map[string]bool{"X-Api-Key": true, "azure_api_key": true, "Authorization": true, "client-secret": true,
		"User-Agent": false, "max_tokens": false, "X-Title": false, "tokens": false} {
		if SecretName(name) != want {
			t.Errorf("SecretName(%q) = %v", name, !want)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	l, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	log := l.For("gateway")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("Request answered", "req", "01JD2", "provider", "codex", "model", "gpt-5", "status", 200, "dur", time.Second)
	}
}

func FuzzRedactIsStable(f *testing.F) {
	f.Add("Authorization: Bearer " + canary)
	f.Add(`{"api_key":"x","token":"y"}`)
	f.Add("https://u:p@h/?key=1")
	f.Fuzz(func(t *testing.T, s string) {
		once := Redact(s)
		if twice := Redact(once); len(twice) > len(once)+len(shown)*4 {
			t.Errorf("%q grows: %q, %q", s, once, twice)
		}
	})
}
