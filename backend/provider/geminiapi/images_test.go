package geminiapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// painter answers with one body and keeps what it got.
func painter(t *testing.T, answer string) (*upstream, *string) {
	t.Helper()
	got := new(string)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*got = r.URL.Path + " " + string(b)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	up, err := New(provider.Info{ID: "g"}).Open(provider.Env{
		AccountID: "a", HTTP: http.DefaultClient, Settings: map[string]string{provider.SettingBaseURL: srv.URL},
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New("k")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return up.(*upstream), got
}

// paint asks for an image.
func paint(t *testing.T, u *upstream, req *canon.ImageRequest) (ev canon.ImageEvent, err error) {
	t.Helper()
	n := 0
	for e, err2 := range u.Images(t.Context(), req) {
		ev, err = e, err2
		n++
	}
	if n != 1 {
		t.Errorf("%d steps", n)
	}
	return ev, err
}

func TestImagesComeOutOfAnAnswer(t *testing.T) {
	u, got := painter(t, `{"candidates":[{"content":{"role":"model","parts":[{"text":"Here."},{"inlineData":{"mimeType":"image/png","data":"iVBORw=="}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":5,"totalTokenCount":8}}`)
	req := &canon.ImageRequest{
		Format: "openai", Op: "edits", ModelAsked: "m", Model: "gemini-image", Prompt: "bluer",
		Sources: func() ([]canon.Media, error) { return []canon.Media{{MIME: "image/png", Data: []byte("\x89PNG")}}, nil },
	}
	ev, err := paint(t, u, req)
	if err != nil || !ev.Done || len(ev.Pictures) != 1 || string(ev.Pictures[0].Data) != "\x89PNG" || ev.Usage.Output != 5 || ev.Created == 0 {
		t.Fatalf("%+v %v", ev, err)
	}
	for _, want := range []string{"/v1beta/models/gemini-image:generateContent ", `"bluer"`, `"inlineData"`, `"iVBORw=="`, `"responseModalities":["TEXT","IMAGE"]`} {
		if !strings.Contains(*got, want) {
			t.Errorf("%s is missing in %s", want, *got)
		}
	}
}

func TestWhenThereIsNoImage(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		change func(*canon.ImageRequest)
		kind   apierror.Kind
		param  string
	}{
		"text alone": {`{"candidates":[{"content":{"parts":[{"text":"I cannot draw."}]},"finishReason":"STOP"}]}`, nil, apierror.Unsupported, "model"},
		"refused":    {`{"candidates":[{"finishReason":"IMAGE_SAFETY"}]}`, nil, apierror.ContentFiltered, ""},
		"an error":   {`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"slow"}}`, nil, apierror.RateLimited, ""},
		"several":    {"", func(r *canon.ImageRequest) { r.N = 2 }, apierror.Unsupported, "n"},
		"bad sources": {"", func(r *canon.ImageRequest) {
			r.Sources = func() ([]canon.Media, error) { return nil, apierror.Invalid("image", "bad") }
		}, apierror.InvalidRequest, "image"},
	} {
		u, got := painter(t, c.answer)
		req := &canon.ImageRequest{Format: "openai", Op: "generations", ModelAsked: "m", Model: "m", Prompt: "x"}
		if c.change != nil {
			c.change(req)
		}
		_, err := paint(t, u, req)
		e := apierror.From(err)
		if err == nil || e.Kind != c.kind || e.Param != c.param || e.Provider != "g" || e.AccountID != "a" {
			t.Errorf("%s: %+v", name, e)
		}
		if c.answer == "" && *got != "" {
			t.Errorf("%s: something was sent", name)
		}
	}
}
