package account

import (
	"errors"
	"testing"

	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func TestKnownFindsLoginsAndPersons(t *testing.T) {
	h := newHouse(t)
	login := func(access, refresh, who string) provider.Credential {
		return provider.Credential{Access: secret.New(access), Refresh: secret.New(refresh), Extra: map[string]string{provider.ExtraEmail: who}}
	}
	st, err := h.Add(t.Context(), Account{ID: "chosen", Provider: "kiro", Name: "ann", Enabled: true, Login: "browser"}, login("a", "r", "ann@example.test"))
	if err != nil || st.ID != "chosen" {
		t.Fatal(st, err)
	}
	_, err = h.Add(t.Context(), Account{ID: "chosen", Provider: "kiro"}, login("b", "s", ""))
	if there, ok := errors.AsType[*ThereError](err); !ok || there.Name != "ann" {
		t.Error("an account was written over:", err)
	}
	k, err := h.Known(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.Add("kiro", login("key", "", ""), "later")
	for _, c := range []struct {
		provider string
		cred     provider.Credential
		id       string
		same     bool
	}{
		{"kiro", login("other", "r", ""), "chosen", true},
		{"kiro", login("other", "other", "ann@example.test"), "chosen", false},
		{"kiro", login("key", "", ""), "later", true},
		{"kiro", login("a", "", ""), "", false}, // an access token says little: the login is the refresh token
		{"kiro", login("", "", ""), "", false},
		{"codex", login("a", "r", "ann@example.test"), "", false},
	} {
		if id, same := k.Find(c.provider, c.cred); id != c.id || same != c.same {
			t.Errorf("%v: %q, %v", c, id, same)
		}
	}
}
