package openaicompat

import (
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Driver: func(idle time.Duration) provider.Driver {
			return New(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
		},
		Format:   providertest.OpenAI(),
		Settings: func(base string) map[string]string { return map[string]string{provider.SettingBaseURL: base + "/v1/"} },
	})
}
