package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"patchbay/backend/apierror"
)

// endpoint is one call of the API.
type endpoint struct {
	pattern string
	call    func(svc Service, r *http.Request) (body any, err error)
	status  int   // of success; 0 = 200
	reveals bool  // the answer carries a secret that can be seen only here
	limit   int64 // of the body in bytes; 0 = bodyLimit
}

// endpoints is every call; those of a topic stand with it.
var endpoints = slices.Concat(baseEndpoints, routingEndpoints)

// baseEndpoints are calls with their parameters: path, then query (?), then body.
var baseEndpoints = []endpoint{
	{pattern: "GET /api/status", call: getStatus},

	{pattern: "GET /api/accounts", call: listAccounts},
	// provider, name, key, settings, priority, proxy
	{pattern: "POST /api/accounts", call: addAccount, status: http.StatusCreated},
	// id; name, enabled, priority, proxy, key: only what is there changes
	{pattern: "PATCH /api/accounts/{id}", call: changeAccount},
	// id: ends its pauses
	{pattern: "POST /api/accounts/{id}/clear", call: clearAccount},
	// id: asks its service for what is free
	{pattern: "POST /api/accounts/{id}/test", call: testAccount},
	// id: asks its service how much is left
	{pattern: "GET /api/accounts/{id}/quota", call: accountQuota},
	// id: replaces the token of its login
	{pattern: "POST /api/accounts/{id}/refresh", call: renewAccount},
	// id
	{pattern: "DELETE /api/accounts/{id}", call: removeAccount, status: http.StatusNoContent},

	{pattern: "GET /api/logins", call: listLogins},
	// provider or account; login, mode, name, fields, proxy, accept_risk
	{pattern: "POST /api/logins", call: startLogin, status: http.StatusCreated},
	// id ?seq: answers when it is further than that, or after twenty seconds
	{pattern: "GET /api/logins/{id}", call: getLogin},
	// id; text: a code, code#state, or the address that the browser ended on
	{pattern: "POST /api/logins/{id}/paste", call: pasteLogin},
	// id: cancels it
	{pattern: "DELETE /api/logins/{id}", call: cancelLogin, status: http.StatusNoContent},

	// looks for logins that other programs keep in files
	{pattern: "GET /api/credential-files", call: listFiles},
	// id; name, proxy, accept_risk: an account follows the file from now on
	{pattern: "POST /api/credential-files/{id}/borrow", call: borrowFile, status: http.StatusCreated},
	// id; name, proxy, accept_risk, accept: the login is Patchbay's own from now on
	{pattern: "POST /api/credential-files/{id}/adopt", call: adoptFile, status: http.StatusCreated},
	// id: forgets the account that follows the file
	{pattern: "POST /api/credential-files/{id}/release", call: releaseFile},

	{pattern: "GET /api/keys", call: listKeys},
	// name, key (16 characters or more; without it one is made), expires, limits
	{pattern: "POST /api/keys", call: addKey, status: http.StatusCreated, reveals: true},
	// id; name, expires, models, providers, protocols, per_minute, tokens_per_day, concurrent: only what is there changes
	{pattern: "PATCH /api/keys/{id}", call: changeKey},
	// id ?remove=true: revokes it, and takes it out of the list if asked to
	{pattern: "DELETE /api/keys/{id}", call: revokeKey, status: http.StatusNoContent},

	{pattern: "GET /api/providers", call: listProviders},
	{pattern: "GET /api/presets", call: listPresets},
	// id, preset or kind, base_url, name
	{pattern: "POST /api/providers", call: addProvider, status: http.StatusCreated},
	{pattern: "GET /api/default-provider", call: getDefault},
	// provider; "" unsets it
	{pattern: "PUT /api/default-provider", call: setDefault},

	// ?provider
	{pattern: "GET /api/models", call: listModels},
	// ?provider: asks the services anew
	{pattern: "POST /api/models/refresh", call: refreshModels, status: http.StatusNoContent},
	// ?provider ?account ?model ?key ?kind ?failed=true ?since ?until (RFC 3339) ?before (a row's id) ?limit (1 to 1000)
	{pattern: "GET /api/requests", call: listRequests},
	// ?since ?until (RFC 3339)
	{pattern: "GET /api/usage", call: getUsage},
	{pattern: "GET /api/doctor", call: getDoctor},

	{pattern: "GET /api/vault", call: getVault},
	// asks the keychain again, which may bring up its prompt
	{pattern: "POST /api/vault/unlock", call: unlockVault},
	// to: env, os or file
	{pattern: "POST /api/vault/move", call: moveVault},
	{pattern: "POST /api/vault/renew", call: renewVault},

	// passphrase; the answer holds the encrypted file
	{pattern: "POST /api/export", call: export},
	// passphrase, data (the encrypted file), replace
	{pattern: "POST /api/restore", call: restore, limit: restoreLimit},
	// files (name, data), keys (provider, from, key), dry_run, moved, accept_risk
	{pattern: "POST /api/import", call: takeImport, limit: importLimit, reveals: true},
}

func list[T any](rows []T, err error) (any, error) {
	if rows == nil {
		rows = []T{}
	}
	return items[T]{rows}, err
}

func getStatus(svc Service, r *http.Request) (any, error) { return svc.Status(r.Context()) }

func listAccounts(svc Service, r *http.Request) (any, error) { return list(svc.Accounts(r.Context())) }

func addAccount(svc Service, r *http.Request) (any, error) {
	var a NewAccount
	if err := decode(r.Body, &a); err != nil {
		return nil, err
	}
	if a.Provider == "" {
		return nil, apierror.Invalid("provider", "name the provider that the account belongs to")
	}
	return svc.AddAccount(r.Context(), a)
}

func changeAccount(svc Service, r *http.Request) (any, error) {
	var c AccountChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.ChangeAccount(r.Context(), r.PathValue("id"), c)
}

func clearAccount(svc Service, r *http.Request) (any, error) {
	return svc.ClearAccount(r.Context(), r.PathValue("id"))
}

func renewAccount(svc Service, r *http.Request) (any, error) {
	return svc.RenewAccount(r.Context(), r.PathValue("id"))
}

func listLogins(svc Service, r *http.Request) (any, error) { return list(svc.Logins(r.Context())) }

func startLogin(svc Service, r *http.Request) (any, error) {
	var l NewLogin
	if err := decode(r.Body, &l); err != nil {
		return nil, err
	}
	if l.Provider == "" && l.Account == "" {
		return nil, apierror.Invalid("provider", "name the provider to sign in to, or the account that signs in again")
	}
	switch l.Mode {
	case "", "browser", "paste", "device":
	default:
		return nil, apierror.Invalid("mode", "the mode is browser, paste or device")
	}
	return svc.StartLogin(r.Context(), l)
}

func getLogin(svc Service, r *http.Request) (any, error) {
	seq := -1 // as it is now
	if text := r.URL.Query().Get("seq"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, apierror.Invalid("seq", "seq is the number of the state that is known already")
		}
		seq = n
	}
	return svc.Login(r.Context(), r.PathValue("id"), seq)
}

func pasteLogin(svc Service, r *http.Request) (any, error) {
	var p pasted
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	return svc.PasteLogin(r.Context(), r.PathValue("id"), p.Text)
}

func cancelLogin(svc Service, r *http.Request) (any, error) {
	return nil, svc.CancelLogin(r.Context(), r.PathValue("id"))
}

func removeAccount(svc Service, r *http.Request) (any, error) {
	return nil, svc.RemoveAccount(r.Context(), r.PathValue("id"))
}

func listKeys(svc Service, r *http.Request) (any, error) { return list(svc.Keys(r.Context())) }

func addKey(svc Service, r *http.Request) (any, error) {
	var k NewKey
	if err := decode(r.Body, &k); err != nil {
		return nil, err
	}
	if k.Name == "" {
		return nil, apierror.Invalid("name", "give the key a name, for example that of the app that will use it")
	}
	return svc.AddKey(r.Context(), k)
}

func changeKey(svc Service, r *http.Request) (any, error) {
	var c KeyChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.ChangeKey(r.Context(), r.PathValue("id"), c)
}

func revokeKey(svc Service, r *http.Request) (any, error) {
	if v := r.FormValue("remove"); v != "" {
		remove, err := strconv.ParseBool(v)
		if err != nil {
			return nil, apierror.Invalid("remove", "remove is true or false")
		}
		if remove {
			return nil, svc.RemoveKey(r.Context(), r.PathValue("id"))
		}
	}
	return nil, svc.RevokeKey(r.Context(), r.PathValue("id"))
}

func listProviders(svc Service, r *http.Request) (any, error) {
	return list(svc.Providers(r.Context()))
}

func addProvider(svc Service, r *http.Request) (any, error) {
	var p NewProvider
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	needed := []struct{ name, value string }{{"id", p.ID}, {"kind", p.Kind}, {"base_url", p.BaseURL}}
	if p.Preset != "" {
		needed = needed[:1]
		if p.Kind != "" {
			return nil, apierror.Invalid("kind", "the preset says what the service speaks: leave out the kind, or the preset")
		}
	}
	for _, m := range needed {
		if m.value == "" {
			return nil, apierror.Invalid(m.name, "a provider needs an id, and a preset or a kind and a base_url")
		}
	}
	return svc.AddProvider(r.Context(), p)
}

func getDefault(svc Service, r *http.Request) (any, error) {
	id, err := svc.DefaultProvider(r.Context())
	return provider{id}, err
}

func setDefault(svc Service, r *http.Request) (any, error) {
	var p provider
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	return p, svc.SetDefaultProvider(r.Context(), p.Provider)
}

func listModels(svc Service, r *http.Request) (any, error) {
	return list(svc.Models(r.Context(), r.FormValue("provider")))
}

func testAccount(svc Service, r *http.Request) (any, error) {
	return svc.TestAccount(r.Context(), r.PathValue("id"))
}

func accountQuota(svc Service, r *http.Request) (any, error) {
	return list(svc.AccountQuota(r.Context(), r.PathValue("id")))
}

func listPresets(svc Service, r *http.Request) (any, error) { return list(svc.Presets(r.Context())) }

func refreshModels(svc Service, r *http.Request) (any, error) {
	return nil, svc.RefreshModels(r.Context(), r.FormValue("provider"))
}

func listRequests(svc Service, r *http.Request) (any, error) {
	q := RequestQuery{
		Provider: r.FormValue("provider"), Account: r.FormValue("account"), Model: r.FormValue("model"),
		Key: r.FormValue("key"), Kind: r.FormValue("kind"), Before: r.FormValue("before"),
	}
	var err error
	if q.Since, q.Until, err = span(r); err != nil {
		return nil, err
	}
	if v := r.FormValue("failed"); v != "" {
		if q.Failed, err = strconv.ParseBool(v); err != nil {
			return nil, apierror.Invalid("failed", "failed is true or false")
		}
	}
	if v := r.FormValue("limit"); v != "" {
		if q.Limit, err = strconv.Atoi(v); err != nil || q.Limit < 1 || q.Limit > MaxRequests {
			return nil, apierror.Invalid("limit", "limit is a number from 1 to %d", MaxRequests)
		}
	}
	return list(svc.Requests(r.Context(), q))
}

func getUsage(svc Service, r *http.Request) (any, error) {
	since, until, err := span(r)
	if err != nil {
		return nil, err
	}
	u, err := svc.Usage(r.Context(), UsageQuery{since, until})
	if u.Rows == nil {
		u.Rows = []UsageRow{}
	}
	return u, err
}

func getDoctor(svc Service, r *http.Request) (any, error) { return list(svc.Doctor(r.Context())) }

// span reads since and until.
func span(r *http.Request) (since, until time.Time, err error) {
	for name, dst := range map[string]*time.Time{"since": &since, "until": &until} {
		v := r.FormValue(name)
		if v == "" {
			continue
		}
		if *dst, err = time.Parse(time.RFC3339, v); err != nil {
			return since, until, apierror.Invalid(name, "%s is a time like 2026-11-22T14:00:00Z", name)
		}
	}
	return since, until, nil
}
