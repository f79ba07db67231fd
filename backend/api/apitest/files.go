package apitest

import (
	"context"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// Files implements api.Service.
func (s *Service) Files(context.Context) ([]api.FileView, error) {
	defer s.lock()()
	return slices.Clone(s.FileList), s.Err
}

// BorrowFile implements api.Service.
func (s *Service) BorrowFile(_ context.Context, id string, u api.FileUse) (api.AccountView, error) {
	return s.useFile(id, "borrowed", "cli", u)
}

// AdoptFile implements api.Service: it wants to be accepted.
func (s *Service) AdoptFile(_ context.Context, id string, u api.FileUse) (api.AccountView, error) {
	if !u.Accept {
		return api.AccountView{}, apierror.Invalid("accept", "The program may be signed out. Confirm that you have read this (accept) to go on.")
	}
	return s.useFile(id, "signed_in", "ours", u)
}

func (s *Service) useFile(id, state, owner string, u api.FileUse) (api.AccountView, error) {
	defer s.lock()()
	i := slices.IndexFunc(s.FileList, func(v api.FileView) bool { return v.ID == id })
	switch {
	case s.Err != nil:
		return api.AccountView{}, s.Err
	case i < 0:
		return api.AccountView{}, apierror.New(apierror.RouteNotFound, "there is no file %q", id)
	case s.Label != "" && !u.AcceptRisk:
		return api.AccountView{}, apierror.Invalid("accept_risk", "%s", s.Label)
	}
	s.FileUses = append(s.FileUses, u)
	f := &s.FileList[i]
	v := api.AccountView{ID: "acc-" + id, Provider: f.Provider, Name: f.Email, State: "ready", Enabled: true, Owner: owner}
	if u.Name != "" {
		v.Name = u.Name
	}
	f.State, f.Account, f.Label = state, v.ID, v.Name
	s.AccountList = append(slices.DeleteFunc(s.AccountList, func(a api.AccountView) bool { return a.ID == v.ID }), v)
	return v, nil
}

// ReleaseFile implements api.Service.
func (s *Service) ReleaseFile(_ context.Context, id string) (api.AccountView, error) {
	defer s.lock()()
	i := slices.IndexFunc(s.FileList, func(v api.FileView) bool { return v.ID == id && v.State == "borrowed" })
	if s.Err != nil || i < 0 {
		return api.AccountView{}, orErr(s.Err, apierror.Invalid("id", "no account follows it"))
	}
	f := &s.FileList[i]
	v := api.AccountView{ID: f.Account, Provider: f.Provider, Name: f.Label}
	s.AccountList = slices.DeleteFunc(s.AccountList, func(a api.AccountView) bool { return a.ID == v.ID })
	f.State, f.Account, f.Label = "found", "", ""
	return v, nil
}

func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
