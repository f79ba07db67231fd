package apitest

import (
	"context"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

var _ api.PageService = (*Service)(nil)

// OpenPage implements api.PageService.
func (s *Service) OpenPage(context.Context) (api.Ticket, error) {
	defer s.lock()()
	return api.Ticket{URL: api.PageURL(s.StatusView.Base, secret.New("0123abcd")), Expires: Moment.Add(time.Minute)}, s.Err
}

// SetPagePassword implements api.Service.
func (s *Service) SetPagePassword(_ context.Context, password secret.Value) error {
	defer s.lock()()
	if s.Err == nil {
		s.PagePassword = password
	}
	return s.Err
}
