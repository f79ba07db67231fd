package gateway

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func TestThinkingWithinThePersonsWords(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		def, most string
		asked     canon.Reasoning
		want      string // mode effort budget
		said      string
	}{
		"nothing is set":                            {"", "", canon.Reasoning{Mode: canon.ReasonOn, Effort: "max"}, "on max -", ""},
		"a default where nothing is said":           {"medium", "", canon.Reasoning{}, "on medium -", "as set for the provider (medium)"},
		"a default in tokens":                       {"2000", "", canon.Reasoning{}, "on  2000", "2000 tokens"},
		"off by default":                            {"off", "", canon.Reasoning{}, "off  -", "(off)"},
		"the request wins over the default":         {"high", "", canon.Reasoning{Mode: canon.ReasonOff}, "off  -", ""},
		"a level above the limit":                   {"", "medium", canon.Reasoning{Mode: canon.ReasonOn, Effort: "xhigh"}, "on medium -", "medium instead of xhigh"},
		"a level at the limit":                      {"", "medium", canon.Reasoning{Mode: canon.ReasonOn, Effort: "medium"}, "on medium -", ""},
		"tokens above a level":                      {"", "low", canon.Reasoning{Mode: canon.ReasonOn, Budget: n(9000)}, "on  1024", "1024 tokens instead of 9000 tokens"},
		"tokens below the limit":                    {"", "4000", canon.Reasoning{Mode: canon.ReasonOn, Budget: n(3999)}, "on  3999", ""},
		"a level above tokens takes the next lower": {"", "4000", canon.Reasoning{Mode: canon.ReasonOn, Effort: "high"}, "on low -", "low instead of high"},
		"less than the lowest level":                {"", "100", canon.Reasoning{Mode: canon.ReasonOn, Effort: "high"}, "on minimal -", "minimal"},
		"as much as the model likes":                {"", "low", canon.Reasoning{Mode: canon.ReasonAuto}, "on low -", "low instead of auto"},
		"on without a number":                       {"", "high", canon.Reasoning{Mode: canon.ReasonOn}, "on high -", "high instead of auto"},
		"a limit turns nothing on":                  {"", "low", canon.Reasoning{}, "  -", ""},
		"a limit leaves off alone":                  {"", "low", canon.Reasoning{Mode: canon.ReasonOff}, "off  -", ""},
		"the default is held too":                   {"max", "low", canon.Reasoning{}, "on low -", "low instead of max"},
	} {
		th := ParseThinking(c.def, c.most)
		r, said, _ := th.apply(c.asked)
		budget := "-"
		if r.Budget != nil {
			budget = fmt.Sprint(*r.Budget)
		}
		if got := r.Mode + " " + r.Effort + " " + budget; got != c.want || (said == "") != (c.said == "") || !strings.Contains(said, c.said) {
			t.Errorf("%s: %q, %q", name, got, said)
		}
	}
}
