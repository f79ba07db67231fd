package main

import (
	"strings"
	"testing"
)

func TestOpenOpensThePage(t *testing.T) {
	b := newBench()
	b.run(t, "open").check(t, 0, "opens in your browser")
	if b.browsed != "http://127.0.0.1:8390/ui/#t=0123abcd" {
		t.Error(b.browsed)
	}
	b.browsed = ""
	if r := b.run(t, "open", "--print"); r.out != "http://127.0.0.1:8390/ui/#t=0123abcd\n" || r.err != "" || b.browsed != "" {
		t.Error(r, b.browsed)
	}
	b.run(t, "open", "--json").check(t, 0, `"url"`, "#t=0123abcd", `"expires"`)
	b.svc.StatusView.Base = ""
	b.run(t, "open").check(t, 1, "not running")
}

func TestServeShowsALinkToThePage(t *testing.T) {
	newBench().run(t, "serve").check(t, 0, "/ui/#t=0123abcd", "patchbay open")
}

func TestPassword(t *testing.T) {
	b := newBench()
	b.typed = "correct horse battery"
	b.run(t, "password", "set").check(t, 0, "is set")
	if b.svc.PagePassword.Reveal() != b.typed || !strings.Contains(b.asked, "10 characters") {
		t.Error(b.asked)
	}
	b.run(t, "password", "remove").check(t, 0, "no password")
	if !b.svc.PagePassword.Empty() {
		t.Error("the password is still there")
	}
	b.typed = ""
	b.run(t, "password", "set").check(t, 2, "no terminal")
	b.in = "from standard input"
	b.run(t, "password", "set", "--password-stdin").check(t, 0)
	if b.svc.PagePassword.Reveal() != b.in {
		t.Error(b.svc.PagePassword.Reveal())
	}
}
