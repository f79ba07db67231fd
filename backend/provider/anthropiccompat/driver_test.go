package anthropiccompat

import (
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

func TestConformance(t *testing.T) {
	for name, quirks := range map[string]string{"a compatible service": "", "like Anthropic's own": "own_host"} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Driver: func(idle time.Duration) provider.Driver {
					return New(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
				},
				Format: providertest.Anthropic(),
				Settings: func(base string) map[string]string {
					return map[string]string{provider.SettingBaseURL: base, provider.SettingQuirks: quirks}
				},
			})
		})
	}
}
