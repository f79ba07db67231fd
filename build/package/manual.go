package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// manual writes the manual page from what the program says of itself, so that the two never disagree.
func manual(ask func(args ...string) (string, error), version string, at time.Time) (string, error) {
	top, err := ask("--help")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH PATCHBAY 1 %q %q \"User Commands\"\n", at.Format("2006-01-02"), "patchbay "+version)
	b.WriteString(".SH NAME\npatchbay \\- one local address for every AI app\n")
	b.WriteString(".SH SYNOPSIS\n.B patchbay\n.RI [ command ]\n.RI [ flags ]\n")
	b.WriteString(".SH DESCRIPTION\n" + verbatim(top))
	b.WriteString(".SH COMMANDS\n")
	for _, name := range commands(top) {
		text, err := ask(name, "--help")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, ".SS patchbay %s\n%s", roff(name), verbatim(text))
	}
	b.WriteString(".SH ENVIRONMENT\n" +
		".TP\n.B PATCHBAY_HOME\nKeeps settings, database and logs in this one folder.\n" +
		".TP\n.B PATCHBAY_VAULT_KEY\nThe key that opens the secrets, for containers and servers.\n" +
		".TP\n.B PATCHBAY_KEYRING\nos or file: where the key is kept, instead of looking for a keychain.\n" +
		".PP\nAny setting can be given as PATCHBAY_ and its name, dots as underscores.\n")
	b.WriteString(".SH FILES\n" +
		".TP\n.I $XDG_CONFIG_HOME/patchbay/config.yaml\nSettings.\n" +
		".TP\n.I $XDG_DATA_HOME/patchbay/patchbay.db\nAccounts, sealed secrets and the request log.\n" +
		".TP\n.I $XDG_STATE_HOME/patchbay/\nLogs.\n")
	return b.String(), nil
}

var commandLine = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) {2,}\S`)

// commands lists the commands that a help text names.
func commands(help string) []string {
	_, list, ok := strings.Cut(help, "Available Commands:\n")
	if !ok {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	var out []string
	for _, m := range commandLine.FindAllStringSubmatch(list, -1) {
		if m[1] != "help" {
			out = append(out, m[1])
		}
	}
	return out
}

// verbatim keeps lines as they are.
func verbatim(text string) string {
	return ".nf\n" + roff(strings.TrimRight(text, "\n")) + "\n.fi\n"
}

// roff protects what the formatter would take for orders.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// gzipped packs without name and time.
func gzipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func sha256Hex(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
