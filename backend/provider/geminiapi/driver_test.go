package geminiapi

import (
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

func TestConformance(t *testing.T) {
	for name, end := range map[string]string{"address": "", "address with the version": "/v1beta/"} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Driver: func(idle time.Duration) provider.Driver {
					return New(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
				},
				Format:   providertest.Gemini(),
				Settings: func(base string) map[string]string { return map[string]string{provider.SettingBaseURL: base + end} },
			})
		})
	}
}
