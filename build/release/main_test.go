package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/update"
)

func TestSignedManifestsAreWhatPatchbayTakes(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	none := func(string) string { return "" }
	now := time.Now()
	if err := run([]string{"keygen", "-out", key}, none, now); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"keygen", "-out", key}, none, now); err == nil {
		t.Error("an existing key was overwritten")
	}
	dist := filepath.Join(dir, "dist")
	if err := os.Mkdir(dist, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"patchbay_1.2.0_amd64.deb", "patchbay-1.2.0-windows-amd64-setup.exe", "patchbay-1.2.0-macos-universal.dmg", "SHA256SUMS"} {
		if err := os.WriteFile(filepath.Join(dist, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "stable.json")
	args := []string{"sign", "-version", "v1.2.0", "-dir", dist, "-base", "https://patchbay.example/1.2.0/", "-out", out}
	if err := run(args, none, now); err == nil || !strings.Contains(err.Error(), "RELEASE_SIGNING_KEY") {
		t.Errorf("without a key: %v", err)
	}
	if err := run(append(args, "-key", key), none, now); err != nil {
		t.Fatal(err)
	}
	seedText, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(seedText)))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := update.Open(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), envelope, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != "1.2.0" || len(m.Files) != 3 {
		t.Errorf("manifest %+v", m)
	}
	f, ok := m.File("darwin", "arm64", []string{"dmg"})
	if !ok || f.URL != "https://patchbay.example/1.2.0/patchbay-1.2.0-macos-universal.dmg" {
		t.Errorf("the disk image is %+v", f)
	}
	if _, err := update.Open(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), envelope, now.AddDate(0, 0, 91), 0); err == nil {
		t.Error("after 91 days it is still good")
	}
	if err := run([]string{"sign", "-version", "latest", "-dir", dist, "-base", "https://x", "-key", key, "-out", out}, none, now); err == nil {
		t.Error("a version without numbers was signed")
	}
}
