package main

import (
	"testing"

	"patchbay/backend/api"
)

func TestVaultIsShownAndMoved(t *testing.T) {
	b := newBench()
	b.svc.VaultView = api.VaultView{
		State: "ok", Source: "file", Where: "the key file /d/vault.key", Note: "a file only", Fix: "move it", Secrets: 3, OtherKey: 1,
		Places: []api.VaultPlace{{Name: "env", Note: "not set"}, {Name: "os", Usable: true}, {Name: "file", Usable: true}},
	}
	b.run(t, "vault").check(t, exitOK, "open", "/d/vault.key", "3 secrets, 1 of them under a key that was lost", "a file only", "move it", "PLACE", "not set")
	b.run(t, "vault", "move", "--to", "os").check(t, exitOK, `kept in "os"`, "3 secrets were sealed")
	if b.svc.VaultView.Source != "os" {
		t.Error(b.svc.VaultView.Source)
	}
	b.run(t, "vault", "move").check(t, exitUsage, "--to os, --to env or --to file")
	b.run(t, "vault", "move", "--to", "moon").check(t, exitUsage, "--to os, --to env or --to file")
}

func TestVaultThatIsNotOpenEndsWithOne(t *testing.T) {
	b := newBench()
	b.svc.VaultView = api.VaultView{State: "lost", Where: "the keychain", Fix: "renew it"}
	b.run(t, "vault", "status").check(t, exitFailed, "LOST", "renew it")
	b.run(t, "vault", "status", "--json").check(t, exitFailed, `"state": "lost"`)
	b.run(t, "vault", "renew").check(t, exitOK, "open")
	b.svc.VaultView.State = "locked"
	b.run(t, "vault", "status").check(t, exitFailed, "LOCKED")
	b.run(t, "vault", "unlock").check(t, exitOK, "open")
}
