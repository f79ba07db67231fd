package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

func bare(r *http.Request) { r.Header.Del("Authorization") }

func as(tok string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tok) }
}

// begin opens a session and returns its token.
func (p paged) begin(t *testing.T, body string) string {
	t.Helper()
	resp, text := call(t, p.Server, "POST", "/api/ui/session", body, bare)
	var v struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil || resp.StatusCode != 201 || len(v.Token) != 64 {
		t.Fatal(resp.Status, text)
	}
	return v.Token
}

func TestTicketOpensThePageOnce(t *testing.T) {
	p := servePage(t)
	link, err := api.NewClient(p.URL, secret.New(token)).OpenPage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base, ticket, ok := strings.Cut(link.URL.Reveal(), "/ui/#t=")
	if !ok || base != p.URL || len(ticket) != 32 {
		t.Fatal(link.URL.Reveal())
	}
	tok := p.begin(t, `{"ticket":"`+ticket+`"}`)
	if resp, body := call(t, p.Server, "GET", "/api/accounts", "", as(tok)); resp.StatusCode != 200 {
		t.Error(body)
	}
	if resp, body := call(t, p.Server, "GET", "/api/ui/session", "", as(tok)); resp.StatusCode != 200 || !strings.Contains(body, `"signed_in":true,"expires"`) {
		t.Error(body)
	}
	if resp, body := call(t, p.Server, "POST", "/api/ui/session", `{"ticket":"`+ticket+`"}`, bare); resp.StatusCode != 401 {
		t.Error("a ticket works twice", body)
	}
	if resp, body := call(t, p.Server, "POST", "/api/ui/session", `{}`, bare); resp.StatusCode != 400 {
		t.Error(body)
	}
	if resp, body := call(t, p.Server, "DELETE", "/api/ui/session", "", as(tok)); resp.StatusCode != 204 {
		t.Error(body)
	}
	if resp, _ := call(t, p.Server, "GET", "/api/accounts", "", as(tok)); resp.StatusCode != 401 {
		t.Error("a session outlives its end")
	}
	if resp, body := call(t, p.Server, "GET", "/api/ui/session", "", bare); resp.StatusCode != 200 || !strings.Contains(body, `"signed_in":false`) {
		t.Error(body)
	}
	if resp, _ := call(t, p.Server, "POST", "/api/ui/session", `{"ticket":"x"}`, func(r *http.Request) { bare(r); r.Header.Set("Origin", "https://evil.example") }); resp.StatusCode != 403 {
		t.Error("a foreign page may try tickets")
	}
}

func TestPasswordOpensThePage(t *testing.T) {
	p := servePage(t)
	c := api.NewClient(p.URL, secret.New(token))
	ctx := t.Context()
	if resp, body := call(t, p.Server, "POST", "/api/ui/session", `{"password":"correct horse"}`, bare); resp.StatusCode != 401 || !strings.Contains(body, "no password is set") {
		t.Error(body)
	}
	if err := c.SetPagePassword(ctx, secret.New("short")); apierror.From(err).Param != "password" {
		t.Error(err)
	}
	if err := c.SetPagePassword(ctx, secret.New("correct horse")); err != nil {
		t.Fatal(err)
	}
	tok := p.begin(t, `{"password":"correct horse"}`)
	for range 5 {
		if resp, body := call(t, p.Server, "POST", "/api/ui/session", `{"password":"wrong horse"}`, bare); resp.StatusCode != 401 {
			t.Error(body)
		}
	}
	resp, body := call(t, p.Server, "POST", "/api/ui/session", `{"password":"correct horse"}`, bare)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Error("guessing is not slowed down", resp.Status, body)
	}
	if err := c.SetPagePassword(ctx, secret.Value{}); err != nil {
		t.Error(err)
	}
	if resp, _ := call(t, p.Server, "GET", "/api/accounts", "", as(tok)); resp.StatusCode != 401 {
		t.Error("a session outlives the password that opened it")
	}
}
