package tray

import (
	"strings"
	"unicode"
)

// maxLabel is how many characters of a label are shown. Names come from services and from people.
const maxLabel = 64

// label makes a text safe to be a label on a system: a mark of a mnemonic is written twice where the system has one, and
// only there. On Linux my_account would be shown as myaccount, on Windows "a & b" as "a _b".
func label(goos, text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1 // a name must not turn the rest of the menu around
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxLabel {
		text = string(runes[:maxLabel-1]) + "…"
	}
	switch goos {
	case "linux", "freebsd", "openbsd", "netbsd":
		return strings.ReplaceAll(text, "_", "__")
	case "windows":
		return strings.ReplaceAll(text, "&", "&&")
	}
	return text
}

// maxTooltip is what Windows shows: 127 units of UTF-16.
const maxTooltip = 120

// tooltip makes a text safe to be a tooltip.
func tooltip(text string) string {
	if runes := []rune(text); len(runes) > maxTooltip {
		return string(runes[:maxTooltip-1]) + "…"
	}
	return text
}
