package main

import (
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
)

func filesBench() *bench {
	b := newBench()
	b.svc.FileList = []api.FileView{
		{ID: "f1", Provider: "codex", Enabled: true, State: "found", Path: "/h/.codex/auth.json", Program: "Codex CLI", Email: "ann@example.test", Expires: apitest.Moment,
			Risk: &api.RiskView{Level: "low", Text: "no sharing", Since: "2026-11-22"}},
		{ID: "f2", Provider: "kiro", State: "found", Path: "/h/kiro.json", Email: "bob@example.test"},
		{ID: "f3", Provider: "kiro", State: "unreadable", Path: "/h/kiro2.json", Note: "it is no JSON"},
	}
	return b
}

func TestFoundFiles(t *testing.T) {
	b := filesBench()
	b.run(t, "accounts", "found").check(t, exitOK, "f1", "Codex CLI: /h/.codex/auth.json", "ann@example.test", "found, provider off", "it is no JSON", "Note on codex (2026-11-22): no sharing")
	b.run(t, "accounts", "found", "--json").check(t, exitOK, `"id": "f1"`, `"state": "found"`)
	b.svc.FileList = nil
	b.run(t, "accounts", "found").check(t, exitOK, "No login of another program was found", "credential_files.paths")
}

func TestBorrowAdoptRelease(t *testing.T) {
	b := filesBench()
	b.run(t, "accounts", "borrow", "codex", "--name", "work").check(t, exitOK, "The account codex/work follows the file")
	b.run(t, "accounts", "found").check(t, exitOK, "borrowed by work")
	b.run(t, "accounts", "adopt", "work").check(t, exitUsage, "may be signed out", "--yes")
	b.in = "no\n"
	b.run(t, "accounts", "adopt", "codex/work").check(t, exitFailed, "nothing was changed")
	b.in = "yes\n"
	b.run(t, "accounts", "adopt", "f1").check(t, exitOK, "is Patchbay's own now")
	b.run(t, "accounts", "found").check(t, exitOK, "signed in as")
	b.run(t, "accounts", "borrow", "/h/kiro.json", "--json").check(t, exitOK, `"owner": "cli"`)
	b.run(t, "accounts", "release", "f2").check(t, exitOK, "Released the account kiro/bob@example.test", "stays as it is")
	b.run(t, "accounts", "release", "f2").check(t, exitFailed, "no account follows")
	b.run(t, "accounts", "borrow", "kiro").check(t, exitFailed, "several files")
	b.run(t, "accounts", "borrow", "nope").check(t, exitFailed, "no file is known")
	b.run(t, "accounts", "borrow").check(t, exitUsage, "its path")
	b.run(t, "accounts", "borrow", "f2", "--proxy-file", "/none").check(t, exitFailed, "the proxy")
}

// Two labels may stand before one wish: that of the provider and that of the adoption.
func TestEachLabelIsReadFirst(t *testing.T) {
	b := filesBench()
	b.svc.Label = "Codex (2026-11): no sharing."
	b.in = "yes\nyes\n"
	b.run(t, "accounts", "adopt", "f1").check(t, exitOK, "no sharing", "may be signed out", "is Patchbay's own now")
	if u := b.svc.FileUses; len(u) != 1 || !u[0].Accept || !u[0].AcceptRisk {
		t.Errorf("%+v", u)
	}
	b.in = "yes\n"
	b.run(t, "accounts", "adopt", "f2").check(t, exitUsage, "--yes")
	b.run(t, "accounts", "adopt", "f2", "--yes").check(t, exitOK)
}
