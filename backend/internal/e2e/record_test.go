package e2e

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// canary is a credential that must never be found on a disk, nor in an answer of the management API.
const canary = "sk-ant-api03-canary0canary1canary2canary3"

// kept waits until the bodies of so many requests are there, and returns their rows, latest first.
func kept(t *testing.T, b *testkit.Bay, n int) []api.RequestView {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		rows := must(b.Backend.Requests(t.Context(), api.RequestQuery{}))(t).Items
		if v := must(b.Backend.Record(t.Context()))(t); v.Bodies.Files >= n && len(rows) >= n {
			return rows
		}
	}
	t.Fatal("no bodies were kept")
	return nil
}

// askAll asks by every protocol, streamed and not where a protocol has both on one path.
func askAll(t *testing.T, b *testkit.Bay, prompt string) (n int) {
	t.Helper()
	for format := range fronts {
		if resp, text := askFront(t, b, format, "gpt-4.1", prompt); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", format, resp.Status, text)
		}
		n++
	}
	return n
}

func TestBodiesOfBothSidesAreKeptWithoutCredentials(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrecord:\n  bodies: {enabled: true}\n  prompt_log: {to: file}\n", Accounts: map[string][]string{"openai": {"sk-sim-canary0account"}}})
	n := askAll(t, b, "[[echo]] my key is "+canary+" and my client key "+b.Key)
	rows := kept(t, b, n)
	formats := map[string]bool{}
	for _, r := range rows {
		k := must(b.Backend.RequestBodies(t.Context(), r.ID))(t)
		formats[k.Format] = true
		if k.Format != r.Client || k.Request.Method != "POST" || !strings.Contains(k.Request.Body, "my key is [secret]") || !k.Request.Redacted || k.Request.Cut {
			t.Errorf("%s: what the client sent: %+v", r.Client, k.Request)
		}
		if len(k.Calls) != 1 || k.Calls[0].Provider != "openai" || !strings.HasSuffix(k.Calls[0].Request.URL, "/chat/completions") || k.Calls[0].Answer.Status != 200 || k.Calls[0].Answer.Size == 0 {
			t.Errorf("%s: what the service was sent: %+v", r.Client, k.Calls)
		}
		if k.Answer.Status != 200 || k.Answer.Size == 0 {
			t.Errorf("%s: what the client got: %+v", r.Client, k.Answer)
		}
		if k.Chat == nil || len(k.Chat.Messages) < 2 || !strings.Contains(string(k.Chat.Messages[len(k.Chat.Messages)-1]), `"role":"assistant"`) {
			t.Errorf("%s: the conversation: %+v", r.Client, k.Chat)
		}
		if !must(b.Backend.Request(t.Context(), r.ID))(t).Bodies || !strings.Contains(k.Curl, "YOUR_PATCHBAY_KEY") || !strings.Contains(k.Curl, b.URL) {
			t.Errorf("%s: %s", r.Client, k.Curl)
		}
		shown := must(json.Marshal(k))(t)
		if strings.Contains(string(shown), "canary0") || strings.Contains(string(shown), b.Key) {
			t.Errorf("%s: a credential is shown: %s", r.Client, shown)
		}
	}
	if len(formats) != len(fronts) {
		t.Error(formats)
	}
	b.Stop()
	noCanary(t, b.Home, "canary0", b.Key)
	if log := string(must(os.ReadFile(filepath.Join(b.Home, "logs", "prompts.log")))(t)); strings.Count(log, "--- user\n") != n || strings.Count(log, "--- assistant\n") != n || !strings.Contains(log, "app test") {
		t.Error(log)
	}
}

// noCanary looks through every file, unpacked where it is packed.
func noCanary(t *testing.T, dir string, texts ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in := io.Reader(f)
		if strings.HasSuffix(path, ".gz") {
			if in, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		files++
		for _, text := range texts {
			if strings.Contains(string(data), text) {
				t.Errorf("%s holds a credential", path)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Error(err, files)
	}
}

func TestNothingIsKeptUnlessWanted(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrecord:\n  bodies: {providers: [anthropic], keys: [chosen]}\n"})
	chat := `{"model":"gpt-4.1","messages":[{"role":"user","content":"[[text:text=one]]"}]}`
	if resp, text := b.Do(t, "POST", "/v1/chat/completions", chat); resp.StatusCode != 200 {
		t.Fatal(text)
	}
	if resp, text := b.Do(t, "POST", "/anthropic/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"[[text:text=two]]"}]}`); resp.StatusCode != 200 {
		t.Fatal(text)
	}
	rows := kept(t, b, 1)
	if v := must(b.Backend.Record(t.Context()))(t); v.Bodies.Files != 1 || v.Prompt.Bytes != 0 {
		t.Errorf("%+v", v)
	}
	for _, r := range rows {
		if got := must(b.Backend.Request(t.Context(), r.ID))(t).Bodies; got != (r.Provider == "anthropic") {
			t.Error(r.Provider, got)
		}
	}
	made := must(b.Backend.AddKey(t.Context(), api.NewKey{Name: "chosen"}))(t)
	if resp, text := b.Do(t, "POST", "/v1/chat/completions", chat, "Authorization", "Bearer "+made.Key.Reveal()); resp.StatusCode != 200 {
		t.Fatal(text)
	}
	kept(t, b, 2)
	v := must(b.Backend.ClearRecord(t.Context(), api.ClearRequest{What: []string{"bodies"}}))(t)
	if v.Bodies.Files != 0 || v.Bodies.Bytes != 0 || v.Rows == 0 {
		t.Errorf("%+v", v)
	}
}

func TestKeptRequestIsSentAgain(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrecord:\n  bodies: {enabled: true}\n"})
	n := askAll(t, b, "[[echo]] again")
	for _, r := range kept(t, b, n) {
		again := must(b.Backend.ReplayRequest(t.Context(), r.ID))(t)
		var d api.RequestDetail
		for deadline := time.Now().Add(20 * time.Second); d.State != api.RequestOK && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			d, _ = b.Backend.Request(t.Context(), again.ID) // it may not have begun
		}
		if d.ReplayOf != r.ID || d.Client != r.Client || d.Asked != r.Asked || d.Key != r.Key || d.Provider != r.Provider || d.State != api.RequestOK || again.Redacted {
			t.Errorf("%s: %+v", r.Client, d)
		}
	}
	if _, err := b.Backend.ReplayRequest(t.Context(), "req_none"); err == nil || !strings.Contains(err.Error(), "record.bodies") {
		t.Error(err)
	}
}

func TestDatasetLoadsAndHoldsNoCredential(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrecord:\n  bodies: {enabled: true}\n"})
	n := askAll(t, b, "[[echo]] write to ann@example.org or +49 170 1234567 about /home/ann/notes with "+canary)
	refused, _ := b.Do(t, "POST", "/v1/chat/completions", `{"model":"gpt-4.1","messages":[{"role":"user","content":"[[server_error]]"}]}`)
	kept(t, b, n+1)
	for _, format := range []string{"chat", "raw"} {
		q := api.DatasetQuery{Format: format, SuccessOnly: true, Emails: true, Phones: true, Paths: true, MinTurns: 1}
		p := must(b.Backend.PreviewDataset(t.Context(), q))(t)
		if p.Kept != n+1 || p.Matched != n || p.Lines != n || len(p.Sample) != min(n, 5) || refused.StatusCode < 500 {
			t.Errorf("%s: %+v", format, p)
		}
		var out strings.Builder
		if err := b.Backend.ExportDataset(t.Context(), q, &out); err != nil {
			t.Fatal(err)
		}
		if int64(out.Len()) != p.Bytes {
			t.Error(out.Len(), p.Bytes)
		}
		for _, secret := range []string{"canary0", b.Key, "ann@example.org", "170 1234567", "/home/ann"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s holds %s", format, secret)
			}
		}
		lines := 0
		for line := range strings.Lines(out.String()) {
			lines++
			if err := wellFormed(format, []byte(line)); err != nil {
				t.Errorf("%s: %v: %s", format, err, line)
			}
		}
		if lines != n {
			t.Errorf("%s: %d lines", format, lines)
		}
	}
	q := api.DatasetQuery{Format: "chat", MinTurns: 2}
	if p := must(b.Backend.PreviewDataset(t.Context(), q))(t); p.Matched != 0 {
		t.Errorf("%+v", p)
	}
}

// wellFormed reads a line with the standard reader of JSON.
func wellFormed(format string, line []byte) error {
	if format == "raw" {
		var k struct {
			ID      string
			Request struct{ Body string }
			Calls   []json.RawMessage
		}
		if err := json.Unmarshal(line, &k); err != nil {
			return err
		}
		if k.ID == "" || k.Request.Body == "" || len(k.Calls) == 0 {
			return fmt.Errorf("something is missing")
		}
		return nil
	}
	var c struct {
		Messages []struct {
			Role    string
			Content any
		}
		Metadata struct{ ID, Provider, Model string }
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	last := len(c.Messages) - 1
	if last < 1 || c.Messages[last].Role != "assistant" || c.Messages[last].Content == nil || c.Metadata.ID == "" || c.Metadata.Provider != "openai" {
		return fmt.Errorf("this is no conversation with an answer")
	}
	return nil
}

func TestRunningRequestsAreShown(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	body := `{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"[[slow:delay=20ms,chunks=2000]]"}]}`
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/v1/chat/completions", strings.NewReader(body)))(t)
	req.Header.Set("Authorization", "Bearer "+b.Key)
	resp := must(http.DefaultClient.Do(req))(t)
	in := bufio.NewReader(resp.Body)
	for range 4 {
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	page := must(b.Backend.Requests(t.Context(), api.RequestQuery{Provider: "openai"}))(t)
	if len(page.Items) != 1 {
		t.Fatalf("%+v", page)
	}
	r := page.Items[0]
	if r.State != api.RequestRunning || r.Model != "gpt-4.1" || r.Label == "" || r.Attempts != 1 || r.FirstMS < 0 || r.Tokens.Output < 1 || !r.Estimated || r.Status != 0 {
		t.Errorf("%+v", r)
	}
	resp.Body.Close()
	for deadline := time.Now().Add(20 * time.Second); r.State == api.RequestRunning && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r = must(b.Backend.Request(t.Context(), r.ID))(t).RequestView
	}
	if r.State != api.RequestHungUp || r.Status != 499 {
		t.Errorf("%+v", r)
	}
	_, total := must(b.Backend.Usage(t.Context(), api.UsageQuery{}))(t).Rows, must(b.Backend.Usage(t.Context(), api.UsageQuery{}))(t).Total
	if total.HungUp > 1 || total.Errors != 0 {
		t.Errorf("%+v", total)
	}
}
