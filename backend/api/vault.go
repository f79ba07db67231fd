package api

import (
	"context"
	"net/http"

	"patchbay/backend/apierror"
)

// VaultService is the part of Service that concerns the vault, which seals the secrets.
type VaultService interface {
	// Vault says how the vault stands and where its key could be kept.
	Vault(ctx context.Context) (VaultView, error)
	// UnlockVault asks a keychain that is locked once more. The person may get to see its prompt; the answer does not wait
	// for long.
	UnlockVault(ctx context.Context) (VaultView, error)
	// MoveVault keeps the key in another place, under which all secrets are sealed anew.
	MoveVault(ctx context.Context, to string) (VaultMoved, error)
	// RenewVault begins with a new key after the old one was lost. Secrets sealed under that stay closed.
	RenewVault(ctx context.Context) (VaultView, error)
}

// VaultView is the vault as people see it. It holds no secret.
type VaultView struct {
	State    string       `json:"state"`            // ok, locked, lost
	Source   string       `json:"source,omitempty"` // env, os, file; "" before a place was chosen
	Where    string       `json:"where,omitempty"`  // the source in words
	Note     string       `json:"note,omitempty"`   // how well the key is kept, or what is wrong
	Fix      string       `json:"fix,omitempty"`
	Secrets  int          `json:"secrets"`   // how many are sealed
	OtherKey int          `json:"other_key"` // of these, sealed under a key that is not the vault's
	Places   []VaultPlace `json:"places"`
}

// VaultPlace is a place where the key could be kept.
type VaultPlace struct {
	Name   string `json:"name"`
	Usable bool   `json:"usable"`
	Note   string `json:"note,omitempty"`
}

// VaultMoved is what a move did.
type VaultMoved struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Sealed int    `json:"sealed"`
	Left   int    `json:"left"` // sealed under a key that was lost before
	Note   string `json:"note,omitempty"`
}

type vaultMove struct {
	To string `json:"to"`
}

var vaultEndpoints = []endpoint{
	{pattern: "GET /api/vault", call: getVault, gives: of[VaultView](), about: "How the vault stands"},
	{
		pattern: "POST /api/vault/unlock", call: unlockVault, gives: of[VaultView](),
		about: "Asks the keychain again, which may bring up its prompt",
	},
	{
		pattern: "POST /api/vault/move", call: moveVault, takes: of[vaultMove](), gives: of[VaultMoved](),
		about: "Keeps the key in another place: env, os or file",
	},
	{pattern: "POST /api/vault/renew", call: renewVault, gives: of[VaultView](), about: "Begins with a new key after the old one was lost"},
}

func getVault(svc Service, r *http.Request) (any, error) { return svc.Vault(r.Context()) }

func unlockVault(svc Service, r *http.Request) (any, error) { return svc.UnlockVault(r.Context()) }

func renewVault(svc Service, r *http.Request) (any, error) { return svc.RenewVault(r.Context()) }

func moveVault(svc Service, r *http.Request) (any, error) {
	var m vaultMove
	if err := decode(r.Body, &m); err != nil {
		return nil, err
	}
	if m.To == "" {
		return nil, apierror.Invalid("to", "say where the key shall be kept: env, os or file")
	}
	return svc.MoveVault(r.Context(), m.To)
}

// Vault implements Service.
func (c *Client) Vault(ctx context.Context) (VaultView, error) {
	return get[VaultView](ctx, c, "/api/vault", nil)
}

// UnlockVault implements Service.
func (c *Client) UnlockVault(ctx context.Context) (out VaultView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/vault/unlock", nil, &out)
	return out, err
}

// MoveVault implements Service.
func (c *Client) MoveVault(ctx context.Context, to string) (out VaultMoved, err error) {
	err = c.do(ctx, http.MethodPost, "/api/vault/move", vaultMove{to}, &out)
	return out, err
}

// RenewVault implements Service.
func (c *Client) RenewVault(ctx context.Context) (out VaultView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/vault/renew", nil, &out)
	return out, err
}
