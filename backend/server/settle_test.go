package server

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		s := newSettler()
		s.collect = func() { times++ }
		many := func(n, each int) {
			for range n {
				s.add(each)
			}
			time.Sleep(settleAtMost)
			synctest.Wait()
		}
		s.started()
		if many(0, 0); times != 1 {
			t.Errorf("%d collections after the start, want 1", times)
		}
		times = 0
		for _, step := range []struct{ n, each, want int }{
			{settleChange - 1, 1, 0}, // a few streams are no burst
			{1, 1, 1},
			{settleChange / 2, 1, 1},
			{5 * settleChange, 1, 2}, // one burst, one collection
			{5*settleChange - 1, -1, 3},
			{50, -1, 3},
		} {
			if many(step.n, step.each); times != step.want {
				t.Errorf("after %d times %+d: %d collections, want %d", step.n, step.each, times, step.want)
			}
		}
		times = 0
		for range 30 * settleChange { // without a pause
			time.Sleep(settleQuiet / 2)
			synctest.Wait()
			s.add(1)
		}
		if times < 20 || times > 30 {
			t.Errorf("%d collections in a long burst", times)
		}
	})
}
