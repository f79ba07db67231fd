package codeassist

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/oauth"
	"patchbay/backend/provider"
)

var _ provider.FileReader = Driver{}

// Formats of files.
const (
	formatShared = "gemini-cli"  // may hold a login of either program
	formatOwn    = "antigravity" // Antigravity's, unless it says otherwise
	formatState  = "vscdb"       // the desktop program's database
)

// geminiFiles are where Gemini CLI 0.61.0 keeps its login. Its home is moved by its own variable.
var geminiFiles = []provider.CredentialFile{
	{Path: "~/.gemini/oauth_creds.json", Format: formatShared, Program: "Gemini CLI", Env: "GEMINI_CLI_HOME", Base: "~"},
}

// antigravityFiles are where a login of Antigravity may be: the terminal program's file (its issues 102 and 223), Gemini CLI's
// place, into which it was seen to write too, AIClient-2-API's own, and the desktop program's database (Antigravity-Manager, 2026-08).
var antigravityFiles = slices.Concat([]provider.CredentialFile{
	{Path: "~/.gemini/antigravity-cli/antigravity-oauth-token", Format: formatOwn, Program: "Antigravity CLI"},
	{Path: "~/.gemini/oauth_creds.json", Format: formatShared, Program: "Antigravity CLI", Env: "GEMINI_CLI_HOME", Base: "~"},
	{Path: "~/.antigravity/oauth_creds.json", Format: formatOwn, Program: "AIClient-2-API"},
}, stateFiles("Antigravity"), stateFiles("Antigravity IDE"))

func stateFiles(product string) []provider.CredentialFile {
	const rest = "/User/globalStorage/state.vscdb"
	return []provider.CredentialFile{
		{Path: "~/.config/" + product + rest, Format: formatState, Program: product, OS: "linux", Env: "XDG_CONFIG_HOME", Base: "~/.config"},
		{Path: "~/Library/Application Support/" + product + rest, Format: formatState, Program: product, OS: "darwin"},
		{Path: "%APPDATA%/" + product + rest, Format: formatState, Program: product, OS: "windows"},
	}
}

// stored is a login in a file: google-auth-library's form, which Gemini CLI writes, that of Antigravity's terminal program with
// an object of its own for the tokens, and CLIProxyAPI's, which has both.
type stored struct {
	Access  string         `json:"access_token"`
	Refresh string         `json:"refresh_token"`
	ID      string         `json:"id_token"`
	Scope   string         `json:"scope"`
	Expiry  jsontext.Value `json:"expiry_date"` // milliseconds since 1970
	Expired string         `json:"expired"`
	Type    string         `json:"type"`
	Method  string         `json:"auth_method"`
	Token   *struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Expiry  string `json:"expiry"`
		Client  string `json:"client_id"`
	} `json:"token"`
}

var errNoJSON = errors.New("it is not a whole JSON object of the expected form") // the cause would quote it

// ReadFile reads a login of Gemini CLI or of Antigravity. Both may stand in the same place; whose it is says the registration
// that it was made with.
func (d Driver) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		return d.readState(f)
	}
	var s stored
	if json.Unmarshal(f.Data, &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return provider.FileLogin{}, errNoJSON
	}
	client := ""
	if t := s.Token; t != nil {
		s.Access, s.Refresh, s.ID, s.Expired, client = t.Access, t.Refresh, t.ID, t.Expiry, t.Client
		if s.Type == "" && client == "" {
			client = antigravityLogin.Client // its terminal program alone has this form
		}
	}
	switch {
	case s.Type == "authorized_user" || s.Type == "service_account" || s.Type == "external_account":
		return provider.FileLogin{}, fmt.Errorf("%w: it holds credentials of Google Cloud", provider.ErrNoLogin)
	case s.Method == "gcp":
		return provider.FileLogin{}, fmt.Errorf("%w: it holds an enterprise login, which this version does not use", provider.ErrNoLogin)
	case s.Type != "" && s.Type != "gemini" && s.Type != "antigravity":
		return provider.FileLogin{}, fmt.Errorf("%w: it belongs to another service", provider.ErrNoLogin)
	case s.Access == "" && s.Refresh == "":
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	if !d.owns(s.madeBy(client, f.Format)) {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	c := oauth.Token{Access: s.Access, Refresh: s.Refresh, ID: s.ID}.Credential()
	out := provider.FileLogin{Credential: c, Login: d.profile().info.Logins[0].Key()}
	out.Issued, out.Expiry = time.Time{}, s.end(f.Modified)
	if out.Identity() == "" && f.Beside != nil && f.Format == formatShared {
		out.Note = signedInAs(f.Beside)
	}
	return out, nil
}

// madeBy returns the registration that a login was made with, "" if nothing tells.
func (s *stored) madeBy(client, format string) string {
	var c struct {
		Audience string `json:"aud"`
		Party    string `json:"azp"`
	}
	switch {
	case s.ID != "" && oauth.Claims(s.ID, &c) == nil && c.Audience+c.Party != "":
		if c.Party != "" {
			return c.Party
		}
		return c.Audience
	case client != "":
		return client
	case s.Type == "antigravity" || strings.Contains(s.Scope, "/auth/cclog") || format == formatOwn:
		return antigravityLogin.Client
	case s.Type == "gemini" || format == formatShared:
		return geminiLogin.Client
	default:
		return ""
	}
}

// owns reports whether a registration is this driver's: a refresh token works with its own alone. What does not say is taken at
// a person's word.
func (d Driver) owns(client string) bool {
	return client == "" || client == d.profile().info.Logins[0].Client
}

// end returns when the access token ends: it lives for an hour, whatever the file leaves out.
func (s *stored) end(modified time.Time) time.Time {
	var ms float64
	if json.Unmarshal(s.Expiry, &ms) == nil && ms > 0 && ms < 1e15 {
		return time.UnixMilli(int64(ms))
	}
	if at, err := time.Parse(time.RFC3339Nano, s.Expired); err == nil {
		return at
	}
	return modified.Add(time.Hour)
}

// signedInAs reads for whom Gemini CLI says that it works. It is no proof of whose the token is.
func signedInAs(beside func(string) ([]byte, error)) string {
	data, err := beside("google_accounts.json")
	var in struct {
		Active string `json:"active"`
	}
	if err != nil || json.Unmarshal(data, &in) != nil || in.Active == "" {
		return ""
	}
	return "the program says that it works for " + in.Active
}

// Keys of the desktop program's database, the newest first (Antigravity-Manager, modules/db.rs, 2026-08).
const (
	keySync   = "antigravityUnifiedStateSync.oauthToken"
	keyAgent  = "jetskiStateSync.agentManagerInitState"
	keyStatus = "antigravityAuthStatus"
	tokenInfo = "oauthTokenInfoSentinelKey"
)

// readState reads the desktop program's database. Its newest form holds all of a login, older ones a part of it.
func (d Driver) readState(f provider.File) (provider.FileLogin, error) {
	if d.profile() != &antigravity {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	rows, err := f.Rows("SELECT key, value FROM ItemTable WHERE key IN ('" + keySync + "', '" + keyAgent + "', '" + keyStatus + "')")
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
	t, end := oauth.Token{}, f.Modified.Add(time.Hour)
	switch {
	case have[keySync] != "":
		info, ok := syncedToken(have[keySync])
		if !ok {
			return provider.FileLogin{}, errors.New("the login in its database is of another form than expected")
		}
		if len(field(info, 6)) > 0 && number(field(info, 6)) == 1 {
			return provider.FileLogin{}, fmt.Errorf("%w: it holds an enterprise login, which this version does not use", provider.ErrNoLogin)
		}
		t.Access, t.Refresh, t.ID = text(info, 1), text(info, 3), text(info, 5)
		if at := number(field(first(info, 4), 1)); at > 0 && at < 1<<40 {
			end = time.Unix(int64(at), 0)
		}
	case have[keyAgent] != "":
		b, _ := base64.StdEncoding.DecodeString(have[keyAgent]) // what cannot be read holds no login
		t.Refresh = text(first(b, 6), 3)
	case have[keyStatus] != "":
		var in struct {
			Key string `json:"apiKey"`
		}
		_ = json.Unmarshal([]byte(have[keyStatus]), &in)
		t.Access = in.Key
	}
	if t.Access == "" && t.Refresh == "" {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	out := provider.FileLogin{Credential: t.Credential(), Login: d.profile().info.Logins[0].Key()}
	out.Issued, out.Expiry = time.Time{}, end
	return out, nil
}

// syncedToken unpacks the newest form: base64 of a list of entries, of which one holds, again in base64, the tokens.
func syncedToken(value string) ([]byte, bool) {
	topic, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, false
	}
	for _, entry := range field(topic, 1) {
		if text(entry, 1) != tokenInfo {
			continue
		}
		info, err := base64.StdEncoding.DecodeString(text(first(entry, 2), 1))
		return info, err == nil
	}
	return nil, false
}

// field returns the values of a field of a message in protocol buffers' wire format, numbers as varints. What is cut off gives
// no value.
func field(b []byte, want uint64) (out [][]byte) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return out
		}
		b = b[n:]
		size := 0
		switch tag & 7 {
		case 0:
			if _, size = binary.Uvarint(b); size <= 0 {
				return out
			}
		case 1:
			size = 8
		case 2:
			length, n := binary.Uvarint(b)
			if n <= 0 || length > uint64(len(b)-n) {
				return out
			}
			b, size = b[n:], int(length)
		case 5:
			size = 4
		default:
			return out
		}
		if size > len(b) {
			return out
		}
		if tag>>3 == want {
			out = append(out, b[:size])
		}
		b = b[size:]
	}
	return out
}

// first returns the first value of a field, nil for none.
func first(b []byte, want uint64) []byte {
	if all := field(b, want); len(all) > 0 {
		return all[0]
	}
	return nil
}

func text(b []byte, want uint64) string { return string(first(b, want)) }

// number reads the first of some varints, 0 for none.
func number(values [][]byte) uint64 {
	if len(values) == 0 {
		return 0
	}
	n, _ := binary.Uvarint(values[0])
	return n
}
