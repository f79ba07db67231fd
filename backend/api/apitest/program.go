package apitest

import (
	"context"
	"maps"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// ProgramCalls is what settings and log hold, and what was asked of them.
type ProgramCalls struct {
	SettingList     []api.SettingView
	SettingsProblem *api.SettingsProblem
	LastLogs        api.LogQuery
}

// Settings implements api.Service.
func (s *Service) Settings(context.Context, string) (api.SettingsView, error) {
	defer s.lock()()
	return api.SettingsView{Path: "/home/ann/config.yaml", Problem: s.SettingsProblem, Items: slices.Clone(s.SettingList)}, s.Err
}

// ChangeSettings implements api.Service.
func (s *Service) ChangeSettings(_ context.Context, values map[string]any) (api.SettingsView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.SettingsView{}, s.Err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(s.SettingList, func(v api.SettingView) bool { return v.Key == key })
		if i < 0 {
			return api.SettingsView{}, apierror.Invalid(key, "there is no such setting")
		}
		if s.SettingList[i].Value, s.SettingList[i].Source = values[key], "file"; values[key] == nil {
			s.SettingList[i].Value, s.SettingList[i].Source = s.SettingList[i].Default, "default"
		}
	}
	return api.SettingsView{Path: "/home/ann/config.yaml", Items: slices.Clone(s.SettingList)}, nil
}

// Logs implements api.Service.
func (s *Service) Logs(_ context.Context, q api.LogQuery) (api.LogView, error) {
	defer s.lock()()
	s.LastLogs = q
	return api.LogView{Items: []api.LogLine{{Seq: 7, At: Moment, Level: "warn", Package: "route", Message: "Careful", Attrs: []api.LogAttr{{Key: "k", Value: "v"}}}}, Seq: 7, Level: "info", Dir: "/logs"}, s.Err
}

// LogText implements api.Service.
func (s *Service) LogText(context.Context) ([]byte, error) {
	defer s.lock()()
	return []byte("one line\n"), s.Err
}

// Addresses implements api.Service.
func (s *Service) Addresses(context.Context) (api.AddressesView, error) {
	defer s.lock()()
	return api.AddressesView{Base: s.StatusView.Base, Items: []api.AddressView{{Protocol: "openai", Name: "OpenAI", URL: s.StatusView.Base + "/v1"}}, Network: []string{}}, s.Err
}

// About implements api.Service.
func (s *Service) About(context.Context) (api.AboutView, error) {
	defer s.lock()()
	return api.AboutView{Version: "1.2.3", Go: "go1.26", System: "linux/amd64", Licence: "GPL-3.0-only", Modules: []api.ModuleView{{Path: "x", Version: "v1", Licence: "MIT"}}}, s.Err
}

// LicenceText implements api.Service.
func (s *Service) LicenceText(_ context.Context, module string) (api.LicenceText, error) {
	defer s.lock()()
	return api.LicenceText{Path: module, Text: "Permission is hereby granted"}, s.Err
}

// Support implements api.Service.
func (s *Service) Support(context.Context) ([]api.SupportFile, error) {
	defer s.lock()()
	return []api.SupportFile{{Name: "status.json", About: "State", Size: 2, Data: []byte("{}")}}, s.Err
}
