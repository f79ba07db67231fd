package account

import (
	"context"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func lentTo(access string) provider.Credential {
	return provider.Credential{Access: secret.New(access), Expiry: time.Unix(4_000_000_000, 0), Extra: map[string]string{provider.ExtraIdentity: "ann"}}
}

func borrowed(t *testing.T, h *house) Status {
	t.Helper()
	c := lentTo("a1")
	c.Extra["project"] = "p"
	st, _, err := h.SignIn(t.Context(), SignIn{Provider: "kiro", Name: "theirs", Owner: CLI, Settings: map[string]string{provider.SettingFile: "/f"}, Credential: c})
	check(t, err)
	return st
}

func current(t *testing.T, h *house, id string) Status {
	t.Helper()
	st, ok := h.Get(id)
	if !ok {
		t.Fatal("the account is gone")
	}
	return st
}

func TestFollowTakesWhatTheFileHolds(t *testing.T) {
	h := newHouse(t)
	st := borrowed(t, h)
	if changed, err := h.Follow(t.Context(), st.ID, lentTo("a1")); changed || err != nil {
		t.Error("the same login is news", err)
	}
	changed, err := h.Follow(t.Context(), st.ID, lentTo("a2"))
	check(t, err)
	s, err := h.unseal(t.Context(), st.ID)
	check(t, err)
	if !changed || s.Access != "a2" || s.Extra["project"] != "p" {
		t.Errorf("%v %+v", changed, s.Extra)
	}
	if _, err := h.Follow(t.Context(), "nope", lentTo("x")); err == nil {
		t.Error("an account that nobody has")
	}
	own, err := h.Add(t.Context(), Account{Provider: "kiro", Enabled: true}, lentTo("mine"))
	check(t, err)
	if changed, err := h.Follow(t.Context(), own.ID, lentTo("a3")); changed || err != nil {
		t.Error("an account of our own follows a file", err)
	}
	h.Flag(own.ID, NeedsLogin, "gone")
	if current(t, h, own.ID).State != Ready {
		t.Error("an account of our own was flagged")
	}
}

// What Flag did is taken back by Follow, also after a restart; what others found out stays.
func TestFlagAndBack(t *testing.T) {
	h := newHouse(t)
	st := borrowed(t, h)
	h.Flag(st.ID, NeedsLogin, "the file is gone")
	h.Flag(st.ID, NeedsLogin, "the file is gone")
	if a := current(t, h, st.ID); a.State != NeedsLogin || a.Reason != "the file is gone" {
		t.Errorf("%+v", a)
	}
	check(t, h.Flush(t.Context()))
	h.restart()
	if a := current(t, h, st.ID); a.State != NeedsLogin {
		t.Errorf("the flag did not survive: %+v", a)
	}
	if changed, err := h.Follow(t.Context(), st.ID, lentTo("a1")); changed || err != nil || current(t, h, st.ID).State != Ready {
		t.Errorf("%v %+v", err, current(t, h, st.ID))
	}

	refused := apierror.New(apierror.AuthExpired, "over there it is over")
	book{h.Pools}.Refused(t.Context(), st.ID, lentTo("a1"), refused)
	if _, err := h.Follow(t.Context(), st.ID, lentTo("a1")); err != nil || current(t, h, st.ID).State != NeedsLogin {
		t.Errorf("the refused token came back: %v %+v", err, current(t, h, st.ID))
	}
	if changed, err := h.Follow(t.Context(), st.ID, lentTo("a2")); !changed || err != nil || current(t, h, st.ID).State != Ready {
		t.Errorf("the next token was not taken: %v %+v", err, current(t, h, st.ID))
	}

	h.Flag(st.ID, NeedsAction, "somebody else's")
	book{h.Pools}.Refused(t.Context(), st.ID, lentTo("a2"), apierror.New(apierror.AccountBlocked, "shut"))
	h.Flag(st.ID, NeedsLogin, "the file is gone")
	if _, err := h.Follow(t.Context(), st.ID, lentTo("a3")); err != nil || current(t, h, st.ID).State != Blocked {
		t.Errorf("an account that its service shut came back: %v %+v", err, current(t, h, st.ID))
	}
}

func TestPausesOutliveANewToken(t *testing.T) {
	h := newHouse(t)
	st := borrowed(t, h)
	l, err := h.Acquire(t.Context(), Query{Provider: "kiro", Model: "m"})
	check(t, err)
	e := apierror.New(apierror.RateLimited, "slow down")
	e.RetryAfter = time.Hour
	l.Release(e)
	if len(current(t, h, st.ID).Cooling) != 1 {
		t.Fatalf("%+v", current(t, h, st.ID))
	}
	if _, err := h.Follow(t.Context(), st.ID, lentTo("a2")); err != nil || len(current(t, h, st.ID).Cooling) != 1 {
		t.Errorf("the pause is gone: %v", err)
	}
}

func TestRereadKeepsWhatTheServiceSaid(t *testing.T) {
	h := newHouse(t)
	h.needs.Reread = func(context.Context, Account) (provider.Credential, error) { return lentTo("a2"), nil }
	h.restart()
	st := borrowed(t, h)
	c, err := h.reread()(t.Context(), st.ID)
	check(t, err)
	if c.Access.Reveal() != "a2" || c.Extra["project"] != "p" {
		t.Errorf("%+v", c.Extra)
	}
	if _, err := h.reread()(t.Context(), "nope"); err == nil {
		t.Error("an account that nobody has")
	}
}
