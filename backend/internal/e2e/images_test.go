package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// painter is a service that makes images, of any prompt but some.
type painter struct {
	*httptest.Server
	mu  sync.Mutex // guards got
	got []string   // bodies
}

func newPainter(t *testing.T) *painter {
	p := &painter{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *painter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/v1/models" {
		_, _ = io.WriteString(w, `{"data":[{"id":"chatty"},{"id":"gpt-image-9"},{"id":"whisper-1"},{"id":"flux","type":"image"}]}`)
		return
	}
	p.mu.Lock()
	p.got = append(p.got, r.Header.Get("Content-Type")+"\n"+string(body))
	p.mu.Unlock()
	text := string(body)
	switch {
	case strings.Contains(text, "limited") && r.Header.Get("Authorization") == "Bearer one":
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":{"message":"slow down"}}`)
	case strings.Contains(text, "forbidden"):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"not that","code":"content_policy_violation"}}`)
	case strings.Contains(text, `"stream":true`) && strings.Contains(text, "cut"):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"QQ==\"}\n\n")
	case strings.Contains(text, `"stream":true`):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"QQ==\"}\n\n")
	default:
		_, _ = io.WriteString(w, `{"created":1,"data":[{"b64_json":"QQ=="}],"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}`)
	}
}

func (p *painter) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[len(p.got)-1]
}

func startPainter(t *testing.T, p *painter) *testkit.Bay {
	b := testkit.Start(t, testkit.Options{
		Config:   "  paint:\n    kind: openai\n    base_url: " + p.URL + "/v1\n    aliases: {brush: flux}\ndefault_provider: anthropic\n",
		Accounts: map[string][]string{"anthropic": {"sk-ant-sim-one"}, "paint": {"one", "two"}},
	})
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		list, err := b.Backend.Models(t.Context(), "paint") // the alias is there at once, the service's list a moment later
		if err == nil && slices.ContainsFunc(list, func(m api.ModelView) bool { return m.ID == "chatty" }) {
			break
		}
	}
	return b
}

func TestImagesGoWhereTheyAreMade(t *testing.T) {
	p := newPainter(t)
	b := startPainter(t, p)
	resp, out := b.Do(t, "POST", "/v1/images/generations", `{"model":"gpt-image-9","prompt":"a cat", "odd":1.0}`)
	if resp.StatusCode != 200 || !strings.Contains(out, `"b64_json":"QQ=="`) || resp.Header.Get("X-Patchbay-Provider") != "paint" || resp.Header.Get("X-Patchbay-Model") != "gpt-image-9" {
		t.Fatalf("%d %s %v", resp.StatusCode, out, resp.Header)
	}
	if got := p.last(); got != "application/json\n{\"model\":\"gpt-image-9\",\"prompt\":\"a cat\", \"odd\":1.0}" {
		t.Errorf("%s", got)
	}
	if _, out := b.Do(t, "POST", "/images/generations", `{"prompt":"no model"}`); !strings.Contains(p.last(), `"model":"gpt-image-9"`) {
		t.Errorf("%s %s", out, p.last())
	}
	b.Do(t, "POST", "/paint/v1/images/generations", `{"model":"brush","prompt":"an alias"}`)
	if !strings.Contains(p.last(), `"model":"flux"`) {
		t.Errorf("%s", p.last())
	}
	resp, out = b.Do(t, "POST", "/v1/images/generations", `{"model":"gpt-image-9","prompt":"limited"}`)
	if resp.StatusCode != 200 || resp.Header.Get("X-Patchbay-Attempts") != "2" {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
	for _, a := range must(b.Backend.Accounts(t.Context()))(t) { // a name that one account has for a model, and that the other does not serve
		not := []string{"crayon"}
		if a.Name == "paint-1" {
			must(b.Backend.ChangeAccount(t.Context(), a.ID, api.AccountChange{NotSupportedModels: &not}))(t)
		} else if a.Name == "paint-2" {
			must(b.Backend.SetAlias(t.Context(), api.AliasChange{Name: "crayon", Target: "flux", Account: a.ID}))(t)
		}
	}
	resp, out = b.Do(t, "POST", "/paint/v1/images/generations", `{"model":"crayon","prompt":"a name of an account"}`)
	if resp.StatusCode != 200 || resp.Header.Get("X-Patchbay-Account") != "paint-2" || !strings.Contains(p.last(), `"model":"flux"`) {
		t.Errorf("%d %s %v %s", resp.StatusCode, out, resp.Header, p.last())
	}

	var rows []api.RequestView
	for len(rows) < 5 { // they are written in the background
		rows = must(b.Backend.Requests(t.Context(), api.RequestQuery{Provider: "paint"}))(t).Items
	}
	if r := rows[len(rows)-1]; r.Op != "images/generations" || r.Tokens.Input != 3 || r.Tokens.Output != 5 || r.Status != 200 {
		t.Errorf("%+v", r)
	}
	_, out = b.Do(t, "GET", "/v1/models", "")
	if strings.Contains(out, "gpt-image") || strings.Contains(out, "flux") || strings.Contains(out, "whisper") || !strings.Contains(out, "chatty") {
		t.Errorf("a list for chat apps: %s", out)
	}
}

func TestEditsAreForms(t *testing.T) {
	p := newPainter(t)
	b := startPainter(t, p)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("model", "paint/gpt-image-9")
	_ = w.WriteField("prompt", "bluer")
	f, _ := w.CreateFormFile("image", "a.png")
	_, _ = f.Write([]byte("\x89PNG\r\n\x1a\n\x00\xff"))
	_ = w.Close()
	resp, out := b.Do(t, "POST", "/v1/images/edits", form.String(), "Content-Type", w.FormDataContentType())
	if resp.StatusCode != 200 || !strings.Contains(out, "QQ==") {
		t.Fatalf("%d %s", resp.StatusCode, out)
	}
	got := p.last()
	if !strings.HasPrefix(got, w.FormDataContentType()) || !strings.Contains(got, "\x89PNG\r\n\x1a\n\x00\xff") || !strings.Contains(got, "\r\n\r\ngpt-image-9\r\n") || strings.Contains(got, "paint/") {
		t.Errorf("%q", got)
	}
}

func TestImagesAreStreamed(t *testing.T) {
	p := newPainter(t)
	b := startPainter(t, p)
	resp, out := b.Do(t, "POST", "/v1/images/generations", `{"model":"gpt-image-9","prompt":"a cat","stream":true}`)
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") || strings.Count(out, "event: ") != 1 || !strings.Contains(out, "event: image_generation.completed\ndata: {") || resp.Header.Get("X-Patchbay-Provider") != "paint" {
		t.Errorf("%v %s", resp.Header, out)
	}
	_, out = b.Do(t, "POST", "/v1/images/generations", `{"model":"gpt-image-9","prompt":"cut","stream":true}`)
	if !strings.Contains(out, "partial_image") || strings.Count(out, "event: error\n") != 1 || !strings.HasSuffix(out, "}\n\n") {
		t.Errorf("%s", out)
	}
	resp, out = b.Do(t, "POST", "/v1/images/generations", `{"model":"gpt-image-9","prompt":"forbidden","stream":true}`)
	if resp.StatusCode != 400 || !strings.Contains(out, "not that") {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
}

func TestImagesThatNobodyMakes(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"anthropic": {"sk-ant-sim-one"}}})
	for body, want := range map[string][2]any{
		`{"model":"claude-sonnet-4-5","prompt":"x"}`: {404, "makes no images"},
		`{"prompt":"x"}`:            {400, "model is required"},
		`{"model":"m"}`:             {400, "prompt is required"},
		`{"model":"m","prompt":"x"`: {400, ""},
	} {
		resp, out := b.Do(t, "POST", "/anthropic/v1/images/generations", body)
		var e struct{ Error struct{ Message string } }
		if err := json.Unmarshal([]byte(out), &e); err != nil || resp.StatusCode != want[0] || !strings.Contains(e.Error.Message, want[1].(string)) {
			t.Errorf("%s: %d %s", body, resp.StatusCode, out)
		}
	}
	accounts := must(b.Backend.Accounts(t.Context()))(t)
	if accounts[0].State != "ready" || len(accounts[0].Cooling) != 0 {
		t.Errorf("the account is blamed: %+v", accounts[0])
	}
	if resp, out := b.Do(t, "POST", "/v1/images/variations", ""); resp.StatusCode != 404 || !strings.Contains(out, "unsupported_endpoint") {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
}
