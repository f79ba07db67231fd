package apitest

import (
	"context"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// Pools implements api.Service.
func (s *Service) Pools(context.Context) ([]api.PoolView, error) {
	defer s.lock()()
	return slices.Clone(s.PoolList), s.Err
}

// ChangePool implements api.Service.
func (s *Service) ChangePool(_ context.Context, id string, c api.PoolChange) (api.PoolView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.PoolView{}, s.Err
	}
	for i := range s.PoolList {
		p := &s.PoolList[i]
		if p.Provider != id {
			continue
		}
		set(&p.Strategy, c.Strategy)
		set(&p.Sticky, c.Sticky)
		set(&p.StickyFor, c.StickyFor)
		set(&p.Reserve, c.Reserve)
		set(&p.Tags, c.Tags)
		set(&p.Checks.Every, c.CheckEvery)
		for j := range s.AccountList {
			if a := &s.AccountList[j]; a.Provider == id {
				set(&a.Enabled, c.Enabled)
			}
		}
		return *p, nil
	}
	return api.PoolView{}, apierror.Invalid("provider", "there is no provider %s", id)
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// OrderAccounts implements api.Service.
func (s *Service) OrderAccounts(_ context.Context, o api.AccountOrder) ([]api.AccountView, error) {
	defer s.lock()()
	s.LastOrder = o
	return slices.Clone(s.AccountList), s.Err
}
