package codeassist

import "patchbay/backend/provider"

// Everything here that tells Google who is asking stands in this file. The registrations are public ones of installed programs:
// their secrets are not confidential and must be sent.

// Hosts and login addresses.
const (
	prodHost  = "https://cloudcode-pa.googleapis.com"
	dailyHost = "https://daily-cloudcode-pa.googleapis.com" // what Antigravity's current clients use first (CLIProxyAPI, 2026-08)

	version = "/v1internal"

	authURL     = "https://accounts.google.com/o/oauth2/v2/auth"
	tokenURL    = "https://oauth2.googleapis.com/token"
	userInfoURL = "https://www.googleapis.com/oauth2/v2/userinfo"
	issuer      = "https://accounts.google.com"
)

// geminiLogin is the registration in Google's gemini-cli 0.61.0 (packages/core, code_assist/oauth2.ts). prompt=consent is ours:
// without it a second sign-in of the same person brings no refresh token.
var geminiLogin = provider.Login{
	Kind: provider.LoginBrowser, Label: "Sign in with Google",
	Text:         "For accounts with a Gemini Code Assist Standard or Enterprise licence.",
	Client:       "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com",
	ClientSecret: "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",
	AuthURL:      authURL, TokenURL: tokenURL,
	Scopes: []string{
		"https://www.googleapis.com/auth/cloud-platform",
		"https://www.googleapis.com/auth/userinfo.email",
		"https://www.googleapis.com/auth/userinfo.profile",
	},
	PKCE: true, Params: map[string]string{"access_type": "offline", "prompt": "consent"},
	CallbackHost: "127.0.0.1", CallbackPath: "/oauth2callback",
	PasteURL: "https://codeassist.google.com/authcode",
	Fields:   []provider.Field{projectField},
}

// antigravityLogin is Antigravity's registration, as CLIProxyAPI, Antigravity-Manager and AIClient-2-API all have it (2026-08).
var antigravityLogin = provider.Login{
	Kind: provider.LoginBrowser, Label: "Sign in with Google",
	Text:         "From another machine: choose pasting, the last page shows a code.",
	Client:       "1071006060591-tmhssin2h21lcre235vtolojh4g403ep.apps.googleusercontent.com",
	ClientSecret: "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",
	AuthURL:      authURL, TokenURL: tokenURL,
	Scopes: []string{
		"https://www.googleapis.com/auth/cloud-platform",
		"https://www.googleapis.com/auth/userinfo.email",
		"https://www.googleapis.com/auth/userinfo.profile",
		"https://www.googleapis.com/auth/cclog",
		"https://www.googleapis.com/auth/experimentsandconfigs",
	},
	PKCE: true, Params: map[string]string{"access_type": "offline", "prompt": "consent"},
	CallbackHost: "localhost", CallbackPath: "/oauth-callback",
	PasteURL: "https://antigravity.google/oauth-callback",
}

// What Antigravity's service demands to know about its client: models are refused (404) to a User-Agent of another form or with
// a version below 2.9.0 (CLIProxyAPI, internal/misc/antigravity_version.go, 2026-08). The form on other platforms is not known.
const (
	antigravityVersion  = "2.9.1"
	antigravityAgent    = "antigravity/hub/%s darwin/arm64"
	antigravityWord     = "antigravity" // member userAgent of the envelope
	antigravityIDE      = "ANTIGRAVITY" // metadata.ideType
	onboardAgentSuffix  = " google-api-nodejs-client/10.3.0"
	onboardClientHeader = "gl-node/22.21.1" // X-Goog-Api-Client of onboardUser alone
)

// Settings of accounts.
const (
	settingProject = "project"
	settingVersion = "client_version"
)

var projectField = provider.Field{Key: settingProject, Label: "Google Cloud project ID (if your licence asks for one)", Kind: "text"}
