package codex

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/simulator"
)

func TestFiles(t *testing.T) {
	g, _ := simulator.New(simulator.Options{}).SignIn(simulator.Codex).Issue("ann@example.test")
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	official := `{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"id_token":` + quote(g.ID) + `,"access_token":` + quote(g.Access) +
		`,"refresh_token":"rt","account_id":"x"},"last_refresh":"2026-11-22T20:36:55.115636477Z","new":{"a":1}}`
	flat := `{"type":"codex","access_token":` + quote(g.Access) + `,"refresh_token":"rt","email":"other@example.test","expired":"2026-11-22T20:36:55Z"}`
	for name, text := range map[string]string{"official": official, "older": strings.Replace(official, `"auth_mode":"chatgpt",`, "", 1), "flat": flat} {
		l, err := Driver{}.ReadFile(provider.File{Data: []byte(text)})
		if err != nil || l.Access.Reveal() != g.Access || l.Refresh.Reveal() != "rt" || l.Identity() != "user-Ann/3f1c0a52-0000-4000-8000-000000000001" ||
			l.Extra[provider.ExtraEmail] != "ann@example.test" || l.Extra[extraAccount] != "3f1c0a52-0000-4000-8000-000000000001" || l.Login != provider.LoginBrowser {
			t.Errorf("%s: %+v %v", name, l, err)
		}
		if time.Until(l.Expiry) < 200*time.Hour {
			t.Errorf("%s: the token itself says when it ends, not %s", name, l.Expiry)
		}
	}
	for text, ends := range map[string]string{
		`{"access_token":"opaque","account_id":"w","email":"e@x.test","expired":"2026-11-22T20:36:55Z"}`: "2026-11-22T20:36:55Z",
		`{"access_token":"opaque","last_refresh":"2026-11-22T20:36:55Z"}`:                                "2026-11-30T20:36:55Z",
		`{"access_token":"opaque"}`: "0001-01-01T00:00:00Z",
	} {
		l, err := Driver{}.ReadFile(provider.File{Data: []byte(text)})
		if err != nil || l.Expiry.UTC().Format(time.RFC3339) != ends {
			t.Errorf("%s: %s %v", text, l.Expiry, err)
		}
	}
	for text, none := range map[string]bool{
		`{"auth_mode":"apikey","OPENAI_API_KEY":"sk-CANARY"}`: true, `{"auth_mode":"agent_identity"}`: true, `{}`: true, `{"type":"qwen","access_token":"CANARY"}`: true,
		official[:len(official)/2]: false, ``: false, `[]`: false, `{"tokens":{"access_token":7}}`: false,
	} {
		_, err := Driver{}.ReadFile(provider.File{Data: []byte(text)})
		if err == nil || errors.Is(err, provider.ErrNoLogin) != none || strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	if _, err := (Driver{}).ReadFile(provider.File{Rows: func(string) ([][]string, error) { return nil, nil }}); !errors.Is(err, provider.ErrNoLogin) {
		t.Error(err)
	}
}
