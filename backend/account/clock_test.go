package account

import (
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
)

func TestAClockSetBackDoesNotProlongPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pools{entries: map[string]*entry{"a": {}, "b": {}}}
		e := p.entries["a"]
		now := time.Now()
		e.coolDown("m", &apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Hour}, "asked", now)
		if c := e.cool["m"]; c.until != now.Add(time.Hour).Round(0) {
			t.Errorf("the pause ends at %v, and not by the wall clock", c.until)
		}
		p.clockBack(30 * time.Minute)
		if e.rests("m", now.Add(31*time.Minute)) || !e.rests("m", now.Add(29*time.Minute)) {
			t.Errorf("the pause ends at %v", e.cool["m"].until)
		}
	})
}
