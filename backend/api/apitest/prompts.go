package apitest

import (
	"context"
	"slices"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// PromptCalls is what the rules for system text are, and what was asked of them.
type PromptCalls struct {
	PromptList    []api.PromptRuleView
	PromptPreview api.PromptPreview
	LastSample    api.PromptSample
	LastPrompts   []string // the order that was given
}

// Prompts implements api.Service.
func (s *Service) Prompts(context.Context) ([]api.PromptRuleView, error) {
	defer s.lock()()
	return slices.Clone(s.PromptList), s.Err
}

// SetPrompt implements api.Service.
func (s *Service) SetPrompt(_ context.Context, name string, p api.PromptRule) (api.PromptRuleView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.PromptRuleView{}, s.Err
	}
	if p.Name == "" {
		p.Name = name
	}
	v := api.PromptRuleView{PromptRule: p, Reach: "all"}
	s.PromptList = append(slices.DeleteFunc(s.PromptList, func(o api.PromptRuleView) bool { return o.Name == name }), v)
	return v, nil
}

// RemovePrompt implements api.Service.
func (s *Service) RemovePrompt(_ context.Context, name string) error {
	defer s.lock()()
	n := len(s.PromptList)
	s.PromptList = slices.DeleteFunc(s.PromptList, func(o api.PromptRuleView) bool { return o.Name == name })
	if s.Err == nil && len(s.PromptList) == n {
		return apierror.New(apierror.RouteNotFound, "there is no prompt rule %q", name)
	}
	return s.Err
}

// OrderPrompts implements api.Service.
func (s *Service) OrderPrompts(_ context.Context, names []string) ([]api.PromptRuleView, error) {
	defer s.lock()()
	s.LastPrompts = names
	return slices.Clone(s.PromptList), s.Err
}

// PreviewPrompts implements api.Service.
func (s *Service) PreviewPrompts(_ context.Context, q api.PromptSample) (api.PromptPreview, error) {
	defer s.lock()()
	s.LastSample = q
	return s.PromptPreview, s.Err
}
