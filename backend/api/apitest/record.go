package apitest

import (
	"context"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// Requests implements api.Service.
func (s *Service) Requests(_ context.Context, q api.RequestQuery) (api.RequestPage, error) {
	defer s.lock()()
	s.LastRequestsQ = q
	return api.RequestPage{Items: slices.Clone(s.RequestList), Next: "r0", Counts: &api.RequestCounts{All: int64(len(s.RequestList))}}, s.Err
}

// Request implements api.Service.
func (s *Service) Request(_ context.Context, id string) (api.RequestDetail, error) {
	defer s.lock()()
	for _, r := range s.RequestList {
		if r.ID == id {
			return api.RequestDetail{RequestView: r, Trace: []api.TraceStep{{Provider: r.Provider, MS: r.DurationMS}}}, s.Err
		}
	}
	if s.Err != nil {
		return api.RequestDetail{}, s.Err
	}
	return api.RequestDetail{}, apierror.New(apierror.RouteNotFound, "there is no request %s", id)
}

// Usage implements api.Service.
func (s *Service) Usage(_ context.Context, q api.UsageQuery) (api.UsageView, error) {
	defer s.lock()()
	s.LastUsageQ = q
	out := api.UsageView{Rows: slices.Clone(s.UsageRows), By: []string{"provider"}, Currency: "USD", Prices: "2026-11-22"}
	for _, r := range out.Rows {
		out.Total.Add(r)
	}
	return out, s.Err
}

// Prices implements api.Service.
func (s *Service) Prices(context.Context) (api.PriceTable, error) {
	defer s.lock()()
	return api.PriceTable{Currency: "USD", AsOf: "2026-11-22", Prices: slices.Clone(s.PriceList)}, s.Err
}

// SetPrices implements api.Service.
func (s *Service) SetPrices(_ context.Context, own []api.Price) (api.PriceTable, error) {
	defer s.lock()()
	s.PriceList = slices.Clone(own)
	return api.PriceTable{Currency: "USD", AsOf: "2026-11-22", Prices: slices.Clone(s.PriceList)}, s.Err
}

// Record implements api.Service.
func (s *Service) Record(context.Context) (api.RecordView, error) {
	defer s.lock()()
	return s.RecordView, s.Err
}

// ClearRecord implements api.Service.
func (s *Service) ClearRecord(_ context.Context, q api.ClearRequest) (api.RecordView, error) {
	defer s.lock()()
	s.Cleared = append(s.Cleared, q)
	return s.RecordView, s.Err
}
