package kiro

import (
	"testing"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
)

const socialARN = "arn:aws:codewhisperer:us-east-1:111122223333:profile/EXAMPLE1AB2C"

func TestConformance(t *testing.T) {
	for kind, extra := range map[string]map[string]string{
		kindSocial:  {extraKind: kindSocial, extraARN: socialARN},
		kindBuilder: {extraKind: kindBuilder},
		kindIDC:     {extraKind: kindIDC, extraARN: socialARN},
		kindKey:     {extraKind: kindKey},
	} {
		t.Run(kind, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Driver:    func(idle time.Duration) provider.Driver { return Driver{idle: idle} },
				Format:    kiroFormat(),
				Extra:     extra,
				KeyNeeded: true,
			})
		})
	}
}
