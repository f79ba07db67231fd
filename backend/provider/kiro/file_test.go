package kiro

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/provider"
)

const testARN = "arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK"

// fileOf is a file with others beside it.
func fileOf(text string, beside map[string]string) provider.File {
	return provider.File{Data: []byte(text), Modified: time.Unix(1_800_000_000, 0), Beside: func(name string) ([]byte, error) {
		if b, ok := beside[name]; ok {
			return []byte(b), nil
		}
		return nil, errors.New("not there")
	}}
}

func TestHashOfRegistration(t *testing.T) {
	for start, want := range map[string]string{
		builderStart:                             "e909a0580879b06ece1202964fbe9dda95ea4ce3",
		"https://d-1234567890.awsapps.com/start": "c548f97c48c681297d9bd26811c87843bdbfa476",
	} {
		if got := hashOf(start); got != want {
			t.Errorf("%s: %s", start, got)
		}
	}
}

func TestFilesOfKiroIDE(t *testing.T) {
	builder := hashOf(builderStart)
	reg := `{"clientId":"yZ","clientSecret":"eyS","expiresAt":"2027-02-20T17:00:00.000"}`
	for _, c := range []struct {
		name, text   string
		beside       map[string]string
		login, note  string
		extra        map[string]string
		secret, ends string
	}{
		{"social", `{"accessToken":"aoa","refreshToken":"aor","profileArn":"` + testARN + `","expiresAt":"2026-11-22T18:04:11.207Z","authMethod":"social","provider":"Google"}`,
			map[string]string{builder + ".json": reg}, loginGoogle, "", map[string]string{extraKind: kindSocial, extraProvider: "Google", extraARN: testARN}, "", "2026-11-22T18:04:11.207Z"},
		{"GitHub without a method", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":1795383415000,"provider":"Github"}`, nil, loginGithub, "",
			map[string]string{extraKind: kindSocial, extraProvider: "Github"}, "", "2026-11-22T21:36:55Z"},
		{"Builder ID", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":"2026-11-22T18:04:11.207Z","clientIdHash":"` + builder + `","authMethod":"IdC","provider":"BuilderId","region":"us-east-1"}`,
			map[string]string{builder + ".json": reg, "other.json": `{"clientId":"no","clientSecret":"no"}`}, loginBuilder, "",
			map[string]string{extraKind: kindBuilder, extraProvider: "BuilderId", extraRegion: "us-east-1", extraClient: "yZ", extraClientEnd: "1803142800"}, "eyS", "2026-11-22T18:04:11.207Z"},
		{"Builder ID without its registration", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":1795383415,"authMethod":"builder-id","region":"nonsense"}`,
			map[string]string{"other.json": reg}, "", "registration at AWS is not there", map[string]string{extraKind: kindBuilder}, "", "2026-11-22T21:36:55Z"},
		{"Builder ID whose file names no hash", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":1795383415,"authMethod":"IdC","provider":"BuilderId"}`,
			map[string]string{builder + ".json": reg}, loginBuilder, "", map[string]string{extraKind: kindBuilder, extraProvider: "BuilderId", extraClient: "yZ", extraClientEnd: "1803142800"}, "eyS", "2026-11-22T21:36:55Z"},
		{"organisation", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":1795383415,"authMethod":"IdC","provider":"Enterprise","startUrl":"https://d-1234567890.awsapps.com/start","idcRegion":"eu-central-1"}`,
			map[string]string{"c548f97c48c681297d9bd26811c87843bdbfa476.json": reg}, loginIDC, "",
			map[string]string{extraKind: kindIDC, extraProvider: "Enterprise", extraRegion: "eu-central-1", extraStart: "https://d-1234567890.awsapps.com/start", extraClient: "yZ", extraClientEnd: "1803142800"},
			"eyS", "2026-11-22T21:36:55Z"},
		{"an organisation's login with Builder ID's hash is damaged", `{"accessToken":"aoa","expiresAt":1795383415,"authMethod":"IdC","provider":"Enterprise","clientIdHash":"` + builder + `"}`,
			map[string]string{builder + ".json": reg}, "", "registration", map[string]string{extraKind: kindIDC, extraProvider: "Enterprise"}, "", "2026-11-22T21:36:55Z"},
		{"a hash that leads elsewhere", `{"accessToken":"aoa","expiresAt":1795383415,"authMethod":"IdC","clientIdHash":"../../x"}`,
			map[string]string{"../../x.json": reg}, "", "registration", map[string]string{extraKind: kindBuilder}, "", "2026-11-22T21:36:55Z"},
		{"a company's own identity provider", `{"accessToken":"a.b.c","refreshToken":"r","expiresAt":"2026/11/22 18:04:11","authMethod":"external_idp","clientId":"cid","tokenEndpoint":"https://idp.test/token"}`,
			nil, loginIDC, "", map[string]string{extraKind: kindExternal, extraEndpoint: "https://idp.test/token", extraIDPClient: "cid"}, "", time.Date(2026, 11, 22, 18, 4, 11, 0, time.Local).Format(time.RFC3339)},
		{"a token of three parts alone", `{"accessToken":"a.b.c"}`, nil, "", "no place", map[string]string{extraKind: kindExternal}, "", time.Unix(1_800_003_600, 0).Format(time.RFC3339)},
		{"a time that cannot be read", `{"accessToken":"aoa","refreshToken":"aor","expiresAt":"soon","profileArn":"nonsense"}`, nil, loginGoogle, "", map[string]string{extraKind: kindSocial}, "", time.Unix(1, 0).Format(time.RFC3339)},
	} {
		l, err := Driver{}.ReadFile(fileOf(c.text, c.beside))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(c.extra, l.Extra); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		ends, err := time.Parse(time.RFC3339Nano, c.ends)
		if err != nil || !l.Expiry.Equal(ends) {
			t.Errorf("%s: ends %s, want %s", c.name, l.Expiry, c.ends)
		}
		if l.Login != c.login || !strings.Contains(l.Note, c.note) || l.Secret.Reveal() != c.secret || l.Access.Empty() {
			t.Errorf("%s: login %q, note %q", c.name, l.Login, l.Note)
		}
	}
}

func TestFilesWithoutALogin(t *testing.T) {
	for _, c := range []struct {
		text    string
		beside  map[string]string
		noLogin bool
	}{
		{text: `{}`, noLogin: true},
		{text: `{"kiroApiKey":"ksk_CANARY"}`, noLogin: true},
		{text: `{"accessToken":"ksk_CANARY"}`, noLogin: true},
		{text: `{"accessToken":"CANARY`},
		{text: ``},
		{text: `[]`},
		{text: `{"accessToken":{"CANARY":1}}`},
		{text: `{"accessToken":"a","authMethod":"IdC"}`, beside: map[string]string{hashOf(builderStart) + ".json": `{"clientId":"CAN`}},
	} {
		_, err := Driver{}.ReadFile(fileOf(c.text, c.beside))
		if err == nil || errors.Is(err, provider.ErrNoLogin) != c.noLogin || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// databaseOf answers the driver's questions from tables.
func databaseOf(auth map[string]string, profile string) provider.File {
	return provider.File{Modified: time.Unix(1_800_000_000, 0), Rows: func(q string) ([][]string, error) {
		switch {
		case strings.Contains(q, "auth_kv") && auth == nil:
			return nil, errors.New("SQL logic error: no such table: auth_kv (1)")
		case strings.Contains(q, "auth_kv"):
			var rows [][]string
			for k, v := range auth {
				rows = append(rows, []string{k, v})
			}
			return rows, nil
		case profile == "":
			return nil, errors.New("no such table")
		}
		return [][]string{{profile}}, nil
	}}
}

func TestDatabasesOfKiroCLI(t *testing.T) {
	token := `{"access_token":"aoa","refresh_token":"aor","expires_at":"2026-11-22T18:04:11.207123456Z","region":"us-east-1","start_url":"https://view.awsapps.com/start","oauth_flow":"DeviceCode"}`
	reg := `{"client_id":"yZ","client_secret":"eyS","client_secret_expires_at":"2027-02-20T17:00:00Z","region":"us-east-1"}`
	oidc := map[string]string{extraKind: kindBuilder, extraRegion: "us-east-1", extraStart: builderStart, extraClient: "yZ", extraClientEnd: "1803142800", extraARN: testARN}
	for name, c := range map[string]struct {
		auth    map[string]string
		profile string
		extra   map[string]string
		login   string
	}{
		"odic":  {map[string]string{"kirocli:odic:token": token, "kirocli:odic:device-registration": reg, "kirocli:social:token": "{}"}, `{"arn":"` + testARN + `"}`, oidc, loginBuilder},
		"oidc":  {map[string]string{"kirocli:oidc:token": token, "kirocli:oidc:device-registration": reg}, `{"arn":"` + testARN + `"}`, oidc, loginBuilder},
		"old Q": {map[string]string{"codewhisperer:odic:token": token, "codewhisperer:odic:device-registration": reg}, `{"arn":"` + testARN + `"}`, oidc, loginBuilder},
		"social": {map[string]string{"kirocli:social:token": `{"access_token":"aoa","refresh_token":"aor","expires_at":"2026-11-22T18:04:11.207123456Z","provider":"github","profile_arn":"` + testARN + `"}`}, "",
			map[string]string{extraKind: kindSocial, extraProvider: "github", extraARN: testARN}, loginGithub},
		"no registration": {map[string]string{"kirocli:odic:token": token}, "", map[string]string{extraKind: kindBuilder, extraRegion: "us-east-1", extraStart: builderStart}, ""},
	} {
		l, err := Driver{}.ReadFile(databaseOf(c.auth, c.profile))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(c.extra, l.Extra); d != "" || l.Login != c.login || l.Expiry.Nanosecond() != 207123456 {
			t.Errorf("%s: %q %s %s", name, l.Login, l.Expiry, d)
		}
	}
	for name, f := range map[string]provider.File{
		"no table": databaseOf(nil, ""), "no rows": databaseOf(map[string]string{}, ""), "signed out": databaseOf(map[string]string{"kirocli:odic:token": "{}"}, ""),
	} {
		if _, err := (Driver{}).ReadFile(f); !errors.Is(err, provider.ErrNoLogin) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, f := range []provider.File{
		databaseOf(map[string]string{"kirocli:odic:token": "CANARY"}, ""),
		databaseOf(map[string]string{"kirocli:odic:token": token, "kirocli:odic:device-registration": "CANARY"}, ""),
		{Rows: func(string) ([][]string, error) { return nil, errors.New("CANARY is locked") }},
	} {
		if _, err := (Driver{}).ReadFile(f); err == nil || errors.Is(err, provider.ErrNoLogin) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%v", err)
		}
	}
}
