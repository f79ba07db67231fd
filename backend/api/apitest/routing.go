package apitest

import (
	"context"

	"patchbay/backend/api"
)

// Routing implements api.Service.
func (s *Service) Routing(context.Context) (api.RoutingView, error) {
	defer s.lock()()
	return s.RoutingView, s.Err
}

func (s *Service) reroute(change any) (api.RoutingView, error) {
	defer s.lock()()
	s.RoutingChanges = append(s.RoutingChanges, change)
	return s.RoutingView, s.Err
}

// SetChain implements api.Service.
func (s *Service) SetChain(_ context.Context, c api.ChainChange) (api.RoutingView, error) {
	return s.reroute(c)
}

// SetAlias implements api.Service.
func (s *Service) SetAlias(_ context.Context, a api.AliasChange) (api.RoutingView, error) {
	return s.reroute(a)
}

// SetModelFallback implements api.Service.
func (s *Service) SetModelFallback(_ context.Context, f api.ModelFallbackChange) (api.RoutingView, error) {
	return s.reroute(f)
}

// SetHidden implements api.Service.
func (s *Service) SetHidden(_ context.Context, patterns []string) (api.RoutingView, error) {
	return s.reroute(patterns)
}

// SetThinking implements api.Service.
func (s *Service) SetThinking(_ context.Context, t api.ThinkingChange) (api.RoutingView, error) {
	return s.reroute(t)
}

// Explain implements api.Service.
func (s *Service) Explain(_ context.Context, q api.RouteQuery) (api.RouteView, error) {
	defer s.lock()()
	s.LastRouteQ = q
	return s.RouteView, s.Err
}
