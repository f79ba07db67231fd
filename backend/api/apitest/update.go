package apitest

import (
	"context"

	"patchbay/backend/api"
)

// Update implements api.Service.
func (s *Service) Update(context.Context) (api.UpdateView, error) {
	defer s.lock()()
	return s.UpdateView, s.Err
}

// CheckUpdate implements api.Service: it finds Newest, if that is set.
func (s *Service) CheckUpdate(context.Context) (api.UpdateView, error) {
	defer s.lock()()
	if s.Err == nil && s.Newest != nil {
		s.UpdateView.Available, s.UpdateView.Latest = s.Newest, s.Newest.Version
	}
	return s.UpdateView, s.Err
}
