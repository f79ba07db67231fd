package backend

import (
	"testing"
	"time"

	"patchbay/backend/gateway"
	"patchbay/backend/provider"
)

// TestLimitsComeFromTheNearestPlace holds what the person sets for a provider against what is set for all, and both against what
// a service is known to need.
func TestLimitsComeFromTheNearestPlace(t *testing.T) {
	const kiro = 180 * time.Second // its driver's own limit until the first event
	for name, c := range map[string]struct {
		settings           string
		first, whole, each time.Duration
		idle               string // as the driver is told, "" = it decides
	}{
		"nothing is set":           {"", kiro, 600 * time.Second, 0, ""},
		"shorter for all":          {"timeouts: {first_event: 30s}\n", kiro, 600 * time.Second, 0, ""},
		"longer for all":           {"timeouts: {first_event: 20m}\n", 20 * time.Minute, 20 * time.Minute, 0, ""},
		"one piece for all":        {"timeouts: {first_event: 20m, one_piece: 5m}\n", 20 * time.Minute, 5 * time.Minute, 0, ""},
		"off for all":              {"timeouts: {first_event: off, one_piece: off, idle: off}\n", 0, 0, 0, "off"},
		"its own, shorter":         {"timeouts: {total: 1h}\nproviders: {kiro: {timeouts: {first_event: 20s, one_piece: 40s, idle: 9s}}}\n", 20 * time.Second, 40 * time.Second, time.Hour, "9s"},
		"its own, as the default":  {"timeouts: {idle: 9s}\nproviders: {kiro: {timeouts: {idle: 5m, one_piece: 10m, first_event: 1h, total: 2h}}}\n", time.Hour, 10 * time.Minute, 2 * time.Hour, "5m0s"},
		"its own where all is off": {"timeouts: {first_event: off, idle: off}\nproviders: {kiro: {timeouts: {first_event: 20s, idle: 7s}}}\n", 20 * time.Second, 600 * time.Second, 0, "7s"},
	} {
		t.Run(name, func(t *testing.T) {
			b := openTest(t, c.settings, nil)
			want := gateway.Limits{Attempts: gateway.DefaultAttempts, Accounts: gateway.DefaultAccounts, FirstEvent: c.first, Whole: c.whole, Total: c.each}
			if got := b.limits("kiro"); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			for _, o := range *b.offers.Load() {
				if o.info.ID == "kiro" && o.settings[provider.SettingIdle] != c.idle {
					t.Errorf("idle is %q, want %q", o.settings[provider.SettingIdle], c.idle)
				}
			}
		})
	}
}
