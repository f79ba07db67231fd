package apitest

import (
	"context"

	"patchbay/backend/api"
)

// DesktopCalls is what the desktop's part of the service shows, and what it got.
type DesktopCalls struct {
	DesktopView api.DesktopView
	Shown       []string // the places that ShowWindow got
	Opened      []string // the addresses that OpenLink got
	Quits       int      // how often Quit was called
}

// Pause implements api.Service.
func (s *Service) Pause(context.Context) (api.Status, error) { return s.setPaused(true) }

// Resume implements api.Service.
func (s *Service) Resume(context.Context) (api.Status, error) { return s.setPaused(false) }

func (s *Service) setPaused(paused bool) (api.Status, error) {
	defer s.lock()()
	if s.Err == nil {
		s.StatusView.Paused = paused
	}
	return s.StatusView, s.Err
}

// Quit implements api.Service.
func (s *Service) Quit(context.Context) error {
	defer s.lock()()
	s.Quits++
	return s.Err
}

// Desktop implements api.Service.
func (s *Service) Desktop(context.Context) (api.DesktopView, error) {
	defer s.lock()()
	return s.DesktopView, s.Err
}

// ShowWindow implements api.Service.
func (s *Service) ShowWindow(_ context.Context, page string) error {
	defer s.lock()()
	s.Shown = append(s.Shown, page)
	return s.Err
}

// OpenLink implements api.Service.
func (s *Service) OpenLink(_ context.Context, address string) error {
	defer s.lock()()
	s.Opened = append(s.Opened, address)
	return s.Err
}

// SetStartAtLogin implements api.Service.
func (s *Service) SetStartAtLogin(_ context.Context, on bool) (api.DesktopView, error) {
	defer s.lock()()
	if s.Err == nil {
		s.DesktopView.StartAtLogin.State = map[bool]string{true: "on", false: "off"}[on]
	}
	return s.DesktopView, s.Err
}
