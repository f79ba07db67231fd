package codeassist

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/backend/provider"
)

// idToken is a token of Google's for a registration. Nobody checks its signature.
func idToken(client, who string) string {
	claims := fmt.Sprintf(`{"iss":"https://accounts.google.com","aud":%q,"sub":"117","email":%q}`, client, who)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
}

func TestFilesOfBothPrograms(t *testing.T) {
	written := time.Unix(1_800_000_000, 0)
	google := func(id, scope string) string {
		return `{"access_token":"ya29.x","refresh_token":"1//r","scope":"openid ` + scope + `","token_type":"Bearer","id_token":"` + id + `","expiry_date":1790000000000}`
	}
	own := `{"token":{"access_token":"ya29.x","token_type":"Bearer","refresh_token":"1//r","expiry":"2026-11-22T21:14:05.123456Z"},"auth_method":"consumer"}`
	for _, c := range []struct {
		name, format, text string
		gemini, anti       bool
		ends               int64 // Unix milliseconds
		identity           string
	}{
		{"Gemini CLI", formatShared, google(idToken(geminiLogin.Client, "ann@example.test"), ""), true, false, 1790000000000, "https://accounts.google.com|117"},
		{"Antigravity in Gemini CLI's place", formatShared, google(idToken(antigravityLogin.Client, "ann@example.test"), ""), false, true, 1790000000000, "https://accounts.google.com|117"},
		{"Antigravity by its scope", formatShared, google("", "https://www.googleapis.com/auth/cclog"), false, true, 1790000000000, ""},
		{"Gemini CLI without a word", formatShared, google("", ""), true, false, 1790000000000, ""},
		{"somebody else's registration", formatShared, google(idToken("other.apps.test", "x"), ""), false, false, 0, ""},
		{"a person's word", "", google("", ""), true, true, 1790000000000, ""},
		{"Antigravity's terminal program", formatOwn, own, false, true, 1795382045123, ""},
		{"the same under a person's path", "", own, false, true, 1795382045123, ""},
		{"AIClient-2-API", formatOwn, google("", ""), false, true, 1790000000000, ""},
		{"CLIProxyAPI for Gemini CLI", "", `{"type":"gemini","email":"a@b.test","token":{"access_token":"a","refresh_token":"r","expiry":"2026-11-22T21:14:05.123Z"}}`, true, false, 1795382045123, ""},
		{"CLIProxyAPI for Antigravity", "", `{"type":"antigravity","access_token":"a","refresh_token":"r","expired":"2026-11-22T21:14:05.123Z"}`, false, true, 1795382045123, ""},
		{"no time", formatShared, `{"access_token":"a"}`, true, false, written.Add(time.Hour).UnixMilli(), ""},
	} {
		for _, d := range []struct {
			Driver
			want bool
		}{{GeminiCLI(), c.gemini}, {Antigravity(), c.anti}} {
			l, err := d.ReadFile(provider.File{Data: []byte(c.text), Format: c.format, Modified: written})
			if !d.want {
				if !errors.Is(err, provider.ErrNoLogin) {
					t.Errorf("%s is taken by %s: %v", c.name, d.Info().ID, err)
				}
				continue
			}
			if err != nil || l.Access.Empty() || l.Expiry.UnixMilli() != c.ends || l.Extra[provider.ExtraIdentity] != c.identity || l.Login != provider.LoginBrowser {
				t.Errorf("%s: %v, ends %d, identity %q", c.name, err, l.Expiry.UnixMilli(), l.Extra[provider.ExtraIdentity])
			}
		}
	}
}

func TestFilesWithoutALogin(t *testing.T) {
	for text, noLogin := range map[string]bool{
		`{}`: true, `{"type":"service_account","private_key":"CANARY"}`: true, `{"type":"authorized_user","refresh_token":"CANARY"}`: true,
		`{"token":{"access_token":"CANARY"},"auth_method":"gcp"}`: true, `{"type":"codex","access_token":"CANARY"}`: true,
		`{"access_token":"CANARY`: false, ``: false, `{"access_token":{"CANARY":1}}`: false, `null garbage`: false,
	} {
		for _, d := range []Driver{GeminiCLI(), Antigravity()} {
			_, err := d.ReadFile(provider.File{Data: []byte(text)})
			if err == nil || errors.Is(err, provider.ErrNoLogin) != noLogin || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestGeminiCLISaysForWhomItWorks(t *testing.T) {
	beside := map[string]string{"google_accounts.json": `{"active":"ann@example.com","old":[]}`}
	f := provider.File{Data: []byte(`{"access_token":"a"}`), Format: formatShared, Beside: func(name string) ([]byte, error) {
		if b, ok := beside[name]; ok {
			return []byte(b), nil
		}
		return nil, errors.New("not there")
	}}
	l, err := GeminiCLI().ReadFile(f)
	if err != nil || !strings.Contains(l.Note, "ann@example.com") || l.Identity() != "" {
		t.Errorf("%+v %v", l.Note, err)
	}
	beside["google_accounts.json"] = `{"active":null}`
	if l, err = GeminiCLI().ReadFile(f); err != nil || l.Note != "" {
		t.Error(l.Note, err)
	}
	delete(beside, "google_accounts.json")
	if l, err = GeminiCLI().ReadFile(f); err != nil || l.Note != "" {
		t.Error(l.Note, err)
	}
}

// message writes fields in protocol buffers' wire format: text and bytes by length, numbers as varints.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i+1 < len(fields); i += 2 {
		num := uint64(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, num<<3), uint64(v))
		case string:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, num<<3|2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, num<<3|2), uint64(len(v))), v...)
		}
	}
	return b
}

func stateOf(rows ...string) provider.File {
	return provider.File{Format: formatState, Modified: time.Unix(1_800_000_000, 0), Rows: func(string) ([][]string, error) {
		var out [][]string
		for i := 0; i+1 < len(rows); i += 2 {
			out = append(out, rows[i:i+2])
		}
		return out, nil
	}}
}

func TestDatabasesOfAntigravity(t *testing.T) {
	synced := func(gcp int) string {
		info := message(1, "ya29.x", 2, "Bearer", 3, "1//r", 4, message(1, 1_790_000_000, 2, 5), 5, idToken(antigravityLogin.Client, "ann@example.test"), 6, gcp)
		entry := message(1, tokenInfo, 2, message(1, base64.StdEncoding.EncodeToString(info)))
		return base64.StdEncoding.EncodeToString(slices.Concat(message(1, message(1, "other", 2, "x")), message(1, entry)))
	}
	l, err := Antigravity().ReadFile(stateOf(keyStatus, `{"apiKey":"old"}`, keySync, synced(0)))
	if err != nil || l.Access.Reveal() != "ya29.x" || l.Refresh.Reveal() != "1//r" || l.Expiry.Unix() != 1_790_000_000 || l.Extra[provider.ExtraEmail] != "ann@example.test" {
		t.Errorf("%v %+v", err, l.Extra)
	}
	l, err = Antigravity().ReadFile(stateOf(keyAgent, base64.StdEncoding.EncodeToString(message(1, "x", 6, message(3, "1//old")))))
	if err != nil || l.Refresh.Reveal() != "1//old" || !l.Access.Empty() {
		t.Error(err)
	}
	l, err = Antigravity().ReadFile(stateOf(keyStatus, `{"apiKey":"ya29.z","email":"ann@example.test"}`))
	if err != nil || l.Access.Reveal() != "ya29.z" || !l.Refresh.Empty() {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		d       Driver
		f       provider.File
		noLogin bool
	}{
		"enterprise":        {Antigravity(), stateOf(keySync, synced(1)), true},
		"Gemini CLI's":      {GeminiCLI(), stateOf(keySync, synced(0)), true},
		"no rows":           {Antigravity(), stateOf(), true},
		"no base64":         {Antigravity(), stateOf(keySync, "CANARY!"), false},
		"another entry":     {Antigravity(), stateOf(keySync, base64.StdEncoding.EncodeToString(message(1, message(1, "other")))), false},
		"broken agent":      {Antigravity(), stateOf(keyAgent, "CANARY!"), true},
		"broken status":     {Antigravity(), stateOf(keyStatus, "CANARY"), true},
		"no table":          {Antigravity(), provider.File{Rows: func(string) ([][]string, error) { return nil, errors.New("no such table: ItemTable") }}, true},
		"a locked database": {Antigravity(), provider.File{Rows: func(string) ([][]string, error) { return nil, errors.New("CANARY") }}, false},
	} {
		if _, err := c.d.ReadFile(c.f); err == nil || errors.Is(err, provider.ErrNoLogin) != c.noLogin || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzField: whatever bytes come, fields lie within them.
func FuzzField(f *testing.F) {
	f.Add(message(1, "a", 2, 5, 3, message(1, "b")))
	f.Add([]byte{0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x0b})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := range uint64(8) {
			total := 0
			for _, v := range field(b, n) {
				total += len(v)
			}
			if total > len(b) {
				t.Errorf("%d bytes of %d", total, len(b))
			}
		}
	})
}
