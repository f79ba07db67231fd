package kiro

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

var _ provider.FileReader = Driver{}

// Formats of the files of Kiro's programs.
const (
	formatIDE = "kiro-ide" // one JSON object per login
	formatCLI = "kiro-cli" // an SQLite database
)

// files are where Kiro's programs keep their logins: the paths of Kiro IDE and Kiro CLI as programs that read them have them
// (KiroCrew, opencode, kiro-gateway; 2026-08), and that of Amazon Q CLI, which Kiro CLI was before.
var files = []provider.CredentialFile{
	{Path: "~/.aws/sso/cache/kiro-auth-token.json", Format: formatIDE, Program: "Kiro"},
	{Path: "~/.local/share/kiro-cli/data.sqlite3", Format: formatCLI, Program: "Kiro CLI", OS: "linux", Env: "XDG_DATA_HOME", Base: "~/.local/share"},
	{Path: "~/Library/Application Support/kiro-cli/data.sqlite3", Format: formatCLI, Program: "Kiro CLI", OS: "darwin"},
	{Path: `%LOCALAPPDATA%/Kiro-Cli/data.sqlite3`, Format: formatCLI, Program: "Kiro CLI", OS: "windows"},
	{Path: `%APPDATA%/kiro-cli/data.sqlite3`, Format: formatCLI, Program: "Kiro CLI", OS: "windows"},
	{Path: "~/.local/share/kiro-cli/data.sqlite3", Format: formatCLI, Program: "Kiro CLI", OS: "linux", Env: "KIROCLI_DB_PATH"},
	{Path: "~/Library/Application Support/kiro-cli/data.sqlite3", Format: formatCLI, Program: "Kiro CLI", OS: "darwin", Env: "KIROCLI_DB_PATH"},
	{Path: `%LOCALAPPDATA%/Kiro-Cli/data.sqlite3`, Format: formatCLI, Program: "Kiro CLI", OS: "windows", Env: "KIROCLI_DB_PATH"},
	{Path: "~/.local/share/amazon-q/data.sqlite3", Format: formatCLI, Program: "Amazon Q CLI", OS: "linux",
		Env: "XDG_DATA_HOME", Base: "~/.local/share"},
	{Path: "~/Library/Application Support/amazon-q/data.sqlite3", Format: formatCLI, Program: "Amazon Q CLI", OS: "darwin"},
}

// fileToken is a login as Kiro IDE writes it, and as other tools write it into the same place.
type fileToken struct {
	Access    string         `json:"accessToken"`
	Refresh   string         `json:"refreshToken"`
	Expires   jsontext.Value `json:"expiresAt"`
	Method    string         `json:"authMethod"`
	Provider  string         `json:"provider"`
	Social    string         `json:"socialProvider"`
	ARN       string         `json:"profileArn"`
	Hash      string         `json:"clientIdHash"`
	Region    string         `json:"region"`
	IDCRegion string         `json:"idcRegion"`
	Start     string         `json:"startUrl"`
	Client    string         `json:"clientId"`
	Secret    string         `json:"clientSecret"`
	Endpoint  string         `json:"tokenEndpoint"`
	Key       string         `json:"kiroApiKey"`

	clientEnd time.Time
}

// fileClient is a registration at AWS's SSO, which stands in a file of its own.
type fileClient struct {
	ID      string         `json:"clientId"`
	Secret  string         `json:"clientSecret"`
	Expires jsontext.Value `json:"expiresAt"`
}

var (
	hashShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	errNoJSON = errors.New("it is not a whole JSON object of the expected form")
)

// ReadFile reads a login of Kiro IDE, of Kiro CLI or of Amazon Q CLI.
func (d Driver) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		return readCLI(f)
	}
	var t fileToken
	if json.Unmarshal(f.Data, &t, jsontext.AllowDuplicateNames(true)) != nil {
		return provider.FileLogin{}, errNoJSON // the cause would quote it
	}
	if strings.HasPrefix(t.Access, "ksk_") || t.Access == "" && t.Refresh == "" && t.Key != "" {
		return provider.FileLogin{}, fmt.Errorf("%w: it holds an API key, which `patchbay accounts add kiro` takes", provider.ErrNoLogin)
	}
	if t.Client == "" || t.Secret == "" {
		if err := t.pair(f.Beside); err != nil {
			return provider.FileLogin{}, err
		}
	}
	return t.login(f.Modified)
}

// pair adds the registration that the login was made with. Only the file that it names itself counts: that of another login
// would mix accounts up.
func (t *fileToken) pair(beside func(string) ([]byte, error)) error {
	method := strings.ToLower(t.Method)
	if method == "social" || method == "external_idp" || t.Provider == "Google" || t.Provider == "Github" || beside == nil {
		return nil
	}
	hash := t.Hash
	switch {
	case hash != "" && !hashShape.MatchString(hash):
		return nil
	case hash == "" && t.Start != "":
		hash = hashOf(t.Start)
	case hash == "" && t.Method == "" && t.Provider == "":
		return nil
	case hash == "" && (t.Provider == "BuilderId" || t.Provider == ""):
		hash = hashOf(builderStart)
	case hash == "" || t.Provider == "Enterprise" && hash == hashOf(builderStart):
		return nil // damaged: an organisation's login does not belong to the registration of Builder ID
	}
	data, err := beside(hash + ".json")
	if err != nil {
		return nil // it is usable until it ends; Note says so
	}
	var c fileClient
	if json.Unmarshal(data, &c, jsontext.AllowDuplicateNames(true)) != nil {
		return errNoJSON
	}
	t.Client, t.Secret, t.clientEnd = c.ID, c.Secret, fileTime(c.Expires)
	return nil
}

// hashOf names the registration of a start URL (Kiro IDE; checked against the constant of Builder ID).
func hashOf(start string) string {
	sum := sha1.Sum([]byte(`{"startUrl":"` + start + `"}`))
	return hex.EncodeToString(sum[:])
}

// login makes a login of what a file holds.
func (t *fileToken) login(modified time.Time) (provider.FileLogin, error) {
	if t.Access == "" && t.Refresh == "" {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	out := provider.FileLogin{Credential: provider.Credential{Access: secret.New(t.Access), Refresh: secret.New(t.Refresh), Extra: map[string]string{}}}
	out.Expiry = t.end(modified)
	set := func(key, value string) {
		if value != "" {
			out.Extra[key] = value
		}
	}
	kind := t.kind()
	set(extraKind, kind)
	set(extraProvider, cmp.Or(t.Provider, t.Social))
	if validARN(t.ARN) {
		set(extraARN, t.ARN)
	}
	switch kind {
	case kindSocial:
		out.Login = loginGoogle
		if strings.EqualFold(cmp.Or(t.Provider, t.Social), "github") {
			out.Login = loginGithub
		}
	case kindExternal:
		set(extraEndpoint, t.Endpoint)
		set(extraIDPClient, t.Client)
		if t.Endpoint != "" {
			out.Login = loginIDC
		} else {
			out.Note = "it names no place where it could be renewed"
		}
	default:
		if region := cmp.Or(t.Region, t.IDCRegion); regionShape.MatchString(region) {
			set(extraRegion, region)
		}
		set(extraStart, t.Start)
		if t.Client == "" || t.Secret == "" {
			out.Note = "its registration at AWS is not there: it can be borrowed while Kiro renews it, and not be adopted"
			break
		}
		out.Secret = secret.New(t.Secret)
		set(extraClient, t.Client)
		if !t.clientEnd.IsZero() {
			set(extraClientEnd, strconv.FormatInt(t.clientEnd.Unix(), 10))
		}
		if out.Login = loginBuilder; kind == kindIDC {
			out.Login = loginIDC
		}
	}
	return out, nil
}

// kind tells the sorts of login apart; programs write the method in several ways, or not at all.
func (t *fileToken) kind() string {
	method, who := strings.ToLower(t.Method), strings.ToLower(cmp.Or(t.Provider, t.Social))
	oidc := kindBuilder
	if who == "enterprise" || t.Start != "" && strings.TrimRight(t.Start, "/#") != builderStart {
		oidc = kindIDC
	}
	switch {
	case method == "external_idp" || who == "externalidp":
		return kindExternal
	case method == "social" || who == "google" || who == "github":
		return kindSocial
	case method == "idc" || method == "builder-id" || t.Client != "" && t.Secret != "":
		return oidc
	case strings.Count(t.Access, ".") == 2:
		return kindExternal
	default:
		return kindSocial
	}
}

// end returns when the access token ends. A login that names no time was good when it was written; one whose time cannot be
// read counts as over.
func (t *fileToken) end(modified time.Time) time.Time {
	if len(t.Expires) == 0 || t.Expires.Kind() == 'n' {
		return modified.Add(time.Hour)
	}
	if at := fileTime(t.Expires); !at.IsZero() {
		return at
	}
	return time.Unix(1, 0)
}

// fileTime reads the forms in which times are written: ISO 8601 with and without a zone (then UTC), local time with slashes,
// and numbers of seconds or milliseconds. Zero means that it is none of them.
func fileTime(v jsontext.Value) time.Time {
	var text string
	if v.Kind() == '0' {
		text = string(v)
	} else if v.Kind() != '"' || json.Unmarshal(v, &text) != nil {
		return time.Time{}
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 && n < 1e14 {
		if n < 1e10 {
			return time.Unix(int64(n), 0)
		}
		return time.UnixMilli(int64(n))
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at
	}
	if at, err := time.Parse("2006-01-02T15:04:05.999999999", text); err == nil {
		return at
	}
	if at, err := time.ParseInLocation("2006/01/02 15:04:05", text, time.Local); err == nil {
		return at
	}
	return time.Time{}
}

// Rows of Kiro CLI's table auth_kv in the order in which they count. "odic" is the program's own spelling.
var (
	tokenKeys  = []string{"kirocli:odic:token", "kirocli:oidc:token", "kirocli:social:token", "codewhisperer:odic:token"}
	clientKeys = []string{"kirocli:odic:device-registration", "kirocli:oidc:device-registration", "codewhisperer:odic:device-registration"}
)

// readCLI reads the database of Kiro CLI or Amazon Q CLI.
func readCLI(f provider.File) (provider.FileLogin, error) {
	rows, err := f.Rows("SELECT key, value FROM auth_kv WHERE key LIKE '%:token' OR key LIKE '%:device-registration'")
	if err != nil {
		if strings.Contains(err.Error(), "no such table") { // SQLite's own words
			return provider.FileLogin{}, provider.ErrNoLogin
		}
		return provider.FileLogin{}, errors.New("its database cannot be read")
	}
	have := map[string]string{}
	for _, r := range rows {
		have[r[0]] = r[1]
	}
	var in struct {
		Access   string         `json:"access_token"`
		Refresh  string         `json:"refresh_token"`
		Expires  jsontext.Value `json:"expires_at"`
		Region   string         `json:"region"`
		Start    string         `json:"start_url"`
		ARN      string         `json:"profile_arn"`
		Provider string         `json:"provider"`
	}
	key := first(have, tokenKeys)
	if key == "" {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	if json.Unmarshal([]byte(have[key]), &in, jsontext.AllowDuplicateNames(true)) != nil {
		return provider.FileLogin{}, errNoJSON
	}
	t := fileToken{Access: in.Access, Refresh: in.Refresh, Expires: in.Expires, Region: in.Region, Start: in.Start, ARN: in.ARN,
		Provider: in.Provider, Method: "idc"}
	if strings.Contains(key, ":social:") {
		t.Method = "social"
	} else if key := first(have, clientKeys); key != "" {
		var c struct {
			ID      string         `json:"client_id"`
			Secret  string         `json:"client_secret"`
			Expires jsontext.Value `json:"client_secret_expires_at"`
		}
		if json.Unmarshal([]byte(have[key]), &c, jsontext.AllowDuplicateNames(true)) != nil {
			return provider.FileLogin{}, errNoJSON
		}
		t.Client, t.Secret, t.clientEnd = c.ID, c.Secret, fileTime(c.Expires)
	}
	if t.ARN == "" {
		t.ARN = profileOf(f)
	}
	return t.login(f.Modified)
}

// profileOf reads the profile that the program chose, if it did.
func profileOf(f provider.File) string {
	rows, err := f.Rows("SELECT value FROM state WHERE key = 'api.codewhisperer.profile'")
	if err != nil || len(rows) == 0 {
		return ""
	}
	var p struct {
		ARN string `json:"arn"`
	}
	_ = json.Unmarshal([]byte(rows[0][0]), &p) // without one the service is asked
	return p.ARN
}

func first(have map[string]string, keys []string) string {
	for _, k := range keys {
		if have[k] != "" {
			return k
		}
	}
	return ""
}
