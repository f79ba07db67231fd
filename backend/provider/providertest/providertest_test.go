package providertest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/anthropiccompat"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/provider/providertest"
)

func TestSuiteRunsOnBothFormats(t *testing.T) {
	t.Run("openai", func(t *testing.T) {
		providertest.Run(t, providertest.Subject{
			Driver: func(idle time.Duration) provider.Driver {
				return openaicompat.New(provider.Info{ID: "o", Policy: provider.Policy{Idle: idle}})
			},
			Format:   providertest.OpenAI(),
			Settings: func(base string) map[string]string { return map[string]string{provider.SettingBaseURL: base + "/v1"} },
		})
	})
	t.Run("anthropic", func(t *testing.T) {
		providertest.Run(t, providertest.Subject{
			Driver: func(idle time.Duration) provider.Driver {
				return anthropiccompat.New(provider.Info{ID: "a", Policy: provider.Policy{Idle: idle}})
			},
			Format: providertest.Anthropic(),
		})
	})
}

// notes is a testing.TB that keeps what would fail.
type notes struct {
	testing.TB
	said []string
}

func (*notes) Helper()                          {}
func (n *notes) Error(args ...any)              { n.said = append(n.said, fmt.Sprint(args...)) }
func (n *notes) Errorf(format string, a ...any) { n.said = append(n.said, fmt.Sprintf(format, a...)) }

func TestFollowFindsBrokenRules(t *testing.T) {
	part := &canon.Part{Type: canon.PartText}
	start, finish := canon.Event{Kind: canon.KindStart}, canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStop}}
	open := canon.Event{Kind: canon.KindPartStart, Part: part}
	end := canon.Event{Kind: canon.KindPartEnd, Part: part}
	for want, events := range map[string][]any{
		"":                            {canon.Event{Kind: canon.KindPing}, start, open, canon.Event{Kind: canon.KindDelta}, end, finish},
		"a second Start":              {start, start, finish},
		"comes before Start":          {open, start, end, finish},
		"part 1, want 0":              {start, canon.Event{Kind: canon.KindPartStart, Index: 1, Part: part}, end, finish},
		"a part without its skeleton": {start, canon.Event{Kind: canon.KindPartStart}, finish},
		"is not there yet":            {start, canon.Event{Kind: canon.KindDelta, Index: 2}, finish},
		"nothing may follow Finish":   {start, finish, canon.Event{Kind: canon.KindPing}},
		"without a reason":            {start, canon.Event{Kind: canon.KindFinish}},
		"neither Finish nor an error": {start},
		"parts were not ended":        {start, open, finish},
		"comes after the error":       {start, apierror.New(apierror.Truncated, "x"), finish},
		"is no *apierror.Error":       {start, errors.New("x")},
	} {
		n := &notes{TB: t}
		providertest.Follow(n, func(yield func(canon.Event, error) bool) {
			for _, e := range events {
				switch e := e.(type) {
				case canon.Event:
					if !yield(e, nil) {
						return
					}
				case error:
					if !yield(canon.Event{}, e) {
						return
					}
				}
			}
		})
		if all := strings.Join(n.said, "; "); want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("want %q, got %q", want, all)
		}
	}
}
