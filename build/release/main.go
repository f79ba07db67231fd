// Command release makes the signed list of releases that Patchbay looks for updates in.
//
//	release keygen -out FILE              make the pair of keys; the private one goes into FILE
//	release sign -version V -base URL ... sign a manifest over a folder of packages
//	release verify FILE                   check a signed manifest against the public key of this source
//
// The private key is never in the repository: the workflow gets it from a secret, or a person has it on a stick.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"patchbay/backend/update"
)

func main() {
	if err := run(os.Args[1:], os.Getenv, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, getenv func(string) string, now time.Time) error {
	if len(args) == 0 {
		return errors.New("say keygen, sign or verify")
	}
	switch args[0] {
	case "keygen":
		return keygen(args[1:])
	case "sign":
		return sign(args[1:], getenv, now)
	case "verify":
		return verify(args[1:], now)
	}
	return fmt.Errorf("there is no %q", args[0])
}

func keygen(args []string) error {
	flags := flag.NewFlagSet("keygen", flag.ContinueOnError)
	out := flags.String("out", "", "file for the private key; it must not be there yet")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("keygen: say where the private key goes: -out FILE")
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(private.Seed()))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Printf("Private key: %s. Keep it off the net; who has it can offer updates to everybody.\n"+
		"Write the public one into backend/update/update.go:\n\n\tPublicKey = %q\n", *out, base64.StdEncoding.EncodeToString(public))
	return nil
}

// privateKey reads the key from RELEASE_SIGNING_KEY, or a file.
func privateKey(file string, getenv func(string) string) (ed25519.PrivateKey, error) {
	text := getenv("RELEASE_SIGNING_KEY")
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("sign: no private key: set RELEASE_SIGNING_KEY or give -key FILE")
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("sign: the private key is not one that keygen made")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func sign(args []string, getenv func(string) string, now time.Time) error {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	version := flags.String("version", "", "of the release")
	dir := flags.String("dir", "dist", "folder with its packages")
	base := flags.String("base", "", "address under which they can be fetched")
	notes := flags.String("notes", "", "page that tells what is new")
	serial := flags.Int64("serial", now.Unix(), "must grow from manifest to manifest")
	days := flags.Int("days", 90, "how long the manifest is good for; sign it anew before that")
	security := flags.Bool("security", false, "the release mends a hole")
	key := flags.String("key", "", "file with the private key (default: RELEASE_SIGNING_KEY)")
	out := flags.String("out", "stable.json", "file for the signed manifest")
	if err := flags.Parse(args); err != nil {
		return err
	}
	private, err := privateKey(*key, getenv)
	if err != nil {
		return err
	}
	files, err := packages(*dir, strings.TrimSuffix(*base, "/"))
	if err != nil {
		return err
	}
	now = now.UTC().Truncate(time.Second)
	envelope, err := update.Sign(private, update.Manifest{
		Serial: *serial, Version: strings.TrimPrefix(*version, "v"), Published: now, Expires: now.AddDate(0, 0, *days), Notes: *notes, Security: *security, Files: files,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(*out, envelope, 0o644)
}

// kinds are the packages that can replace an installation, by the end of their name.
var kinds = []struct{ suffix, os, arch, kind string }{
	{"_amd64.deb", "linux", "amd64", "deb"},
	{"_arm64.deb", "linux", "arm64", "deb"},
	{"-linux-amd64.tar.gz", "linux", "amd64", "tar.gz"},
	{"-linux-arm64.tar.gz", "linux", "arm64", "tar.gz"},
	{"-x86_64.AppImage", "linux", "amd64", "appimage"},
	{"-windows-amd64-setup.exe", "windows", "amd64", "setup"},
	{"-windows-amd64-portable.zip", "windows", "amd64", "zip"},
	{"-macos-universal.dmg", "darwin", "", "dmg"},
}

// packages lists the packages in a folder. Their hashes are taken from the files themselves.
func packages(dir, base string) ([]update.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []update.File
	for _, e := range entries {
		for _, k := range kinds {
			if !strings.HasSuffix(e.Name(), k.suffix) {
				continue
			}
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			sum, err := update.FileHash(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			out = append(out, update.File{OS: k.os, Arch: k.arch, Kind: k.kind, URL: base + "/" + e.Name(), Size: info.Size(), SHA256: sum})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("sign: there is no package in %s", dir)
	}
	return out, nil
}

func verify(args []string, now time.Time) error {
	if len(args) != 1 {
		return errors.New("verify: name one file")
	}
	key, err := update.ParseKey(update.PublicKey)
	if err != nil {
		return errors.New("verify: this source has no public key: PublicKey in backend/update/update.go")
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	m, err := update.Open(key, b, now, 0)
	if err != nil {
		return err
	}
	fmt.Printf("Version %s, serial %d, good until %s, %d packages.\n", m.Version, m.Serial, m.Expires.Format(time.DateOnly), len(m.Files))
	return nil
}
