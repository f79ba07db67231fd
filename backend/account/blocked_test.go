package account

import (
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// TestRefusedForNow: a service that may think better of an account is asked again after a while.
func TestRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		h.use(&apierror.Error{Kind: apierror.AccountBlocked, RetryAfter: 10 * time.Minute, Msg: "not now"})
		diff(t, Cooling, h.status("a").State)
		diff(t, 10*time.Minute, h.restsFor())
		time.Sleep(10 * time.Minute)
		h.use(nil)
		h.use(&apierror.Error{Kind: apierror.AccountBlocked, RetryAfter: 10 * time.Minute, Action: "verify it"})
		diff(t, NeedsAction, h.status("a").State)
	})
}

// TestBlock: what a sign-in found out stands with the account until the person did it.
func TestBlock(t *testing.T) {
	h := newHouse(t)
	id := h.add("a", 0)
	h.Block(id, &apierror.Error{Kind: apierror.AccountBlocked, Msg: "Verify your account.", Action: "open the page", Link: "https://x.test/verify"})
	h.Block("gone", &apierror.Error{Kind: apierror.AccountBlocked})
	s := h.status("a")
	diff(t, NeedsAction, s.State)
	diff(t, "Verify your account.; open the page", s.Reason)
	diff(t, "https://x.test/verify", s.Link)
	check(t, h.Clear(id, ""))
	diff(t, Ready, h.status("a").State)
}

// TestProvidersLimitOfCalls: the settings' limit counts before the provider's own.
func TestProvidersLimitOfCalls(t *testing.T) {
	h := newHouse(t)
	h.driver.info.Policy.MaxConcurrent = 5
	shared := map[string]string{provider.SettingConcurrent: "2"}
	h.needs.Driver = func(string) (provider.Driver, map[string]string, error) { return h.driver, shared, nil }
	h.restart()
	h.add("a", 0)
	var held []*Lease
	for range 2 {
		held = append(held, h.must(Query{}))
	}
	if _, err := h.take(Query{}); err == nil {
		t.Error("a third call at a time")
	}
	for _, l := range held {
		l.Release(nil)
	}
}
