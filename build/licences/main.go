// Command licences writes which licence each library in the program has, and all their texts: licences NAMES TEXTS. It looks
// at what the builds for Linux, macOS and Windows contain. The libraries of the page are told by the page's own build.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// window are the tags of the builds that have a window of their own.
const window = "desktop,production,webkit2_41,wv2runtime.error"

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: licences NAMES TEXTS")
	}
	out, texts := map[string]string{}, map[string]string{}
	for _, build := range [][]string{
		{"GOOS=linux", "CGO_ENABLED=0"}, {"GOOS=darwin", "CGO_ENABLED=0"}, {"GOOS=windows", "CGO_ENABLED=0"},
		{"GOOS=linux", "CGO_ENABLED=1", "GOFLAGS=-tags=" + window}, {"GOOS=darwin", "CGO_ENABLED=1", "GOFLAGS=-tags=" + window},
		{"GOOS=windows", "CGO_ENABLED=0", "GOFLAGS=-tags=" + window},
	} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "patchbay")
		cmd.Env = append(os.Environ(), build...)
		cmd.Stderr = os.Stderr
		list, err := cmd.Output()
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(list)) {
			path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if !ok || out[path] != "" {
				continue
			}
			if out[path], texts[path], err = licenceIn(dir); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	// The language's own library and run time are in every build.
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	if out["std"], texts["std"], err = licenceIn(strings.TrimSpace(string(root))); err != nil {
		return fmt.Errorf("go: %w", err)
	}
	b, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[0], append(b, '\n'), 0o644); err != nil {
		return err
	}
	return writeTexts(args[1], texts)
}

// writeTexts writes the texts by module, compressed; the same texts give the same bytes.
func writeTexts(name string, texts map[string]string) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := errors.Join(json.NewEncoder(z).Encode(texts), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// licenceIn reads the licence in a module's folder: its SPDX name, and all texts that must go along.
func licenceIn(dir string) (spdx, text string, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", "", err
	}
	var texts []string
	for _, name := range names {
		base := strings.ToUpper(filepath.Base(name))
		if !strings.HasPrefix(base, "LICENSE") && !strings.HasPrefix(base, "LICENCE") && !strings.HasPrefix(base, "COPYING") && !strings.HasPrefix(base, "NOTICE") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			continue // a folder of that name
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n")))
		if spdx == "" {
			spdx = spdxOf(strings.Join(strings.Fields(string(b)), " "))
		}
	}
	if spdx == "" {
		return "", "", fmt.Errorf("there is no licence that is known in %s", dir)
	}
	return spdx, strings.Join(texts, "\n\n") + "\n", nil
}

// spdxOf tells a licence by sentences that only it has.
func spdxOf(text string) string {
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("Apache License") && has("Version 2.0"):
		return "Apache-2.0"
	case has("Mozilla Public License") && has("2.0"):
		return "MPL-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Permission to use, copy, modify, and/or distribute this software"), has("Permission to use, copy, modify, and distribute this software"):
		return "ISC"
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("names of its contributors") || has("may be used to endorse")):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case has("This is free and unencumbered software released into the public domain"):
		return "Unlicense"
	}
	return ""
}
