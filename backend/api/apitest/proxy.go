package apitest

import (
	"context"

	"patchbay/backend/api"
)

// ProxyCalls is what a test of a way out finds, and what was asked.
type ProxyCalls struct {
	ProxyView     api.ProxyTestView
	LastProxyTest api.ProxyTest
}

// TestProxy implements api.Service.
func (s *Service) TestProxy(_ context.Context, q api.ProxyTest) (api.ProxyTestView, error) {
	defer s.lock()()
	s.LastProxyTest = q
	return s.ProxyView, s.Err
}
