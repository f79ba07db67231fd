package codeassist

import (
	"strconv"
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

func TestConformance(t *testing.T) {
	notes := map[string]string{noteProject: "wide-river-4fk2p", noteLooked: strconv.FormatInt(time.Now().Unix(), 10)}
	for _, c := range []struct {
		driver Driver
		model  string
		pause  time.Duration
	}{{GeminiCLI(), "model-1", softLimitPause}, {Antigravity(), "gemini-3-flash", ratePause}} {
		t.Run(c.driver.Info().ID, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Driver: func(idle time.Duration) provider.Driver {
					d := c.driver
					d.idle = idle
					return d
				},
				Format: providertest.CodeAssist(c.driver.profile().streams), Model: c.model, Notes: notes, Pause: c.pause,
			})
		})
	}
}
