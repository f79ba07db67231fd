package codex

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/oauth"
	"patchbay/backend/provider"
)

var _ provider.FileReader = Driver{}

// files are where programs keep a login of this service: Codex CLI 0.169.0 and AIClient-2-API (2026-05).
var files = []provider.CredentialFile{
	{Path: "~/.codex/auth.json", Format: "codex", Program: "Codex CLI", Env: "CODEX_HOME", Base: "~/.codex"},
	{Path: "~/.codex/oauth_creds.json", Format: "flat", Program: "AIClient-2-API"},
}

// stored is a login in a file: Codex CLI has its tokens in an object of their own, other programs beside the rest.
type stored struct {
	Mode   string `json:"auth_mode"`
	Key    string `json:"OPENAI_API_KEY"`
	Tokens *struct {
		ID      string `json:"id_token"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Account string `json:"account_id"`
	} `json:"tokens"`
	Last    string `json:"last_refresh"`
	ID      string `json:"id_token"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Account string `json:"account_id"`
	Email   string `json:"email"`
	Expired string `json:"expired"`
	Type    string `json:"type"`
}

// ReadFile reads a login of Codex CLI, or of a program that keeps the same tokens in a flat object.
func (d Driver) ReadFile(f provider.File) (provider.FileLogin, error) {
	var s stored
	if f.Rows != nil {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	if err := json.Unmarshal(f.Data, &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return provider.FileLogin{}, errors.New("the file is no login of Codex, or is being written") // the cause would quote it
	}
	if t := s.Tokens; t != nil {
		s.ID, s.Access, s.Refresh, s.Account = t.ID, t.Access, t.Refresh, t.Account
	}
	switch {
	case s.Type != "" && s.Type != "codex":
		return provider.FileLogin{}, fmt.Errorf("%w: it belongs to another service", provider.ErrNoLogin)
	case s.Access == "" && (s.Key != "" || s.Mode == "apikey"):
		return provider.FileLogin{}, fmt.Errorf("%w: it holds an API key of OpenAI; add it as an account of OpenAI", provider.ErrNoLogin)
	case s.Access == "" && s.Mode != "" && s.Mode != "chatgpt":
		return provider.FileLogin{}, fmt.Errorf("%w: Codex CLI keeps it elsewhere, in the keychain or in a form of its own; sign in here instead", provider.ErrNoLogin)
	case s.Access == "":
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	return provider.FileLogin{Credential: s.credential(), Login: provider.LoginBrowser}, nil
}

func (s *stored) credential() provider.Credential {
	c := credential(oauth.Token{Access: s.Access, Refresh: s.Refresh, ID: s.ID})
	c.Issued = time.Time{}
	if at, err := time.Parse(time.RFC3339Nano, s.Last); err == nil {
		c.Issued = at
	}
	if endOf(s.Access).IsZero() {
		c.Expiry = time.Time{}
		if end, err := time.Parse(time.RFC3339Nano, s.Expired); err == nil {
			c.Expiry = end
		} else if !c.Issued.IsZero() {
			c.Expiry = c.Issued.Add(unknownLife)
		}
	}
	set := func(key, value string) {
		if value != "" {
			c.Extra[key] = cmp.Or(c.Extra[key], value)
		}
	}
	set(extraAccount, s.Account)
	set(provider.ExtraEmail, s.Email)
	return c
}
