package apitest

import (
	"context"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// Vault implements api.Service.
func (s *Service) Vault(context.Context) (api.VaultView, error) {
	defer s.lock()()
	return s.VaultView, s.Err
}

// UnlockVault implements api.Service: a locked vault opens.
func (s *Service) UnlockVault(context.Context) (api.VaultView, error) {
	defer s.lock()()
	if s.Err == nil && s.VaultView.State == "locked" {
		s.VaultView.State = "ok"
	}
	return s.VaultView, s.Err
}

// MoveVault implements api.Service.
func (s *Service) MoveVault(_ context.Context, to string) (api.VaultMoved, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.VaultMoved{}, s.Err
	}
	if !slices.Contains([]string{"env", "os", "file"}, to) {
		return api.VaultMoved{}, apierror.Invalid("to", "there is no place %q", to)
	}
	m := api.VaultMoved{From: s.VaultView.Source, To: to, Sealed: s.VaultView.Secrets}
	s.VaultView.Source = to
	return m, nil
}

// RenewVault implements api.Service.
func (s *Service) RenewVault(context.Context) (api.VaultView, error) {
	defer s.lock()()
	if s.Err == nil {
		s.VaultView.State = "ok"
	}
	return s.VaultView, s.Err
}
