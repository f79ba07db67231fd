package transfer

import (
	"maps"
	"slices"
	"strings"
)

// vendorForm brings a login file of CLIProxyAPI (2026-08-22) or AIClient-2-API (3.1.8) into the form that the vendor's own
// program writes; nil if there is no such form, or nothing to bring into it.
func vendorForm(provider string, d object) []byte {
	switch provider {
	case "gemini-cli", "antigravity":
		return googleForm(d)
	case "codex":
		return codexForm(d)
	case "qwen-code", "iflow":
		return tokenForm(d)
	case "kiro":
		return kiroForm(d)
	}
	return nil
}

// put adds what is there to a document.
func put(doc map[string]any, name, value string) {
	if value != "" {
		doc[name] = value
	}
}

// googleForm is oauth_creds.json of Gemini CLI.
func googleForm(d object) []byte {
	in := d
	if d.has("token") {
		in = d.object("token")
	}
	doc := map[string]any{}
	for _, m := range []string{"access_token", "refresh_token", "id_token", "token_type", "scope"} {
		put(doc, m, in.text(m))
	}
	if scopes := in.texts("scopes"); len(scopes) > 0 {
		doc["scope"] = strings.Join(scopes, " ")
	}
	return finish(doc, in, "expiry_date", "expiry", "expired", "expiry_timestamp")
}

// tokenForm is oauth_creds.json of Qwen Code and iFlow.
func tokenForm(d object) []byte {
	doc := map[string]any{"token_type": "Bearer"}
	for _, m := range []string{"access_token", "refresh_token", "token_type", "scope", "resource_url"} {
		put(doc, m, d.text(m))
	}
	put(doc, "apiKey", d.first("apiKey", "api_key"))
	return finish(doc, d, "expiry_date", "expired", "expires_at")
}

// finish adds the moment at which the token ends, from the first member that says it, and writes the document.
func finish(doc map[string]any, d object, name string, from ...string) []byte {
	if doc["access_token"] == nil && doc["refresh_token"] == nil {
		return nil
	}
	for _, m := range append([]string{name}, from...) {
		if at := d.millis(m); at > 0 {
			doc[name] = at
			break
		}
	}
	return compact(doc)
}

// codexForm is auth.json of Codex CLI.
func codexForm(d object) []byte {
	tokens := map[string]any{}
	for _, m := range []string{"id_token", "access_token", "refresh_token", "account_id"} {
		put(tokens, m, d.text(m))
	}
	if tokens["access_token"] == nil && tokens["refresh_token"] == nil {
		return nil
	}
	doc := map[string]any{"auth_mode": "chatgpt", "OPENAI_API_KEY": nil, "tokens": tokens}
	put(doc, "last_refresh", d.text("last_refresh"))
	return compact(doc)
}

// kiroMembers are the members of Kiro's token file by their names in small letters without signs.
var kiroMembers = map[string]string{
	"accesstoken": "accessToken", "refreshtoken": "refreshToken", "profilearn": "profileArn", "expiresat": "expiresAt", "expired": "expiresAt",
	"authmethod": "authMethod", "provider": "provider", "clientid": "clientId", "clientsecret": "clientSecret", "clientidhash": "clientIdHash",
	"region": "region", "starturl": "startUrl", "idcregion": "idcRegion",
}

// kiroForm is kiro-auth-token.json with its members named as Kiro names them.
func kiroForm(d object) []byte {
	doc := map[string]any{}
	for _, m := range slices.Sorted(maps.Keys(d.m)) {
		if own := kiroMembers[strings.ToLower(strings.ReplaceAll(m, "_", ""))]; own != "" {
			put(doc, own, d.text(m))
		}
	}
	if doc["accessToken"] == nil && doc["refreshToken"] == nil {
		return nil
	}
	return compact(doc)
}
