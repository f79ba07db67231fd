package provider

import "testing"

func TestLoginAtAnotherHost(t *testing.T) {
	l := Login{AuthURL: "https://accounts.example/o/auth?x=1", TokenURL: "https://tokens.example/token", PasteURL: "https://pages.example/code"}
	if got := l.At(""); got.AuthURL != l.AuthURL || got.TokenURL != l.TokenURL {
		t.Error("no host changes nothing:", got)
	}
	got := l.At("http://127.0.0.1:1/sim/")
	want := [4]string{"http://127.0.0.1:1/sim/o/auth?x=1", "http://127.0.0.1:1/sim/token", "http://127.0.0.1:1/sim/code", ""}
	if have := [4]string{got.AuthURL, got.TokenURL, got.PasteURL, got.DeviceURL}; have != want {
		t.Errorf("%q, want %q", have, want)
	}
	if l.TokenURL != "https://tokens.example/token" {
		t.Error("the original was changed")
	}
	if got := At("http://%zz", "http://x"); got != "http://%zz" {
		t.Error(got)
	}
}
