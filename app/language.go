//go:build !windows && !darwin

package app

import (
	"os"
	"strings"
)

// SystemLanguages are the person's languages, best first, as gettext finds them.
func SystemLanguages() []string {
	var out []string
	for _, name := range []string{"LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"} {
		for _, l := range strings.Split(os.Getenv(name), ":") {
			if l != "" {
				out = append(out, l)
			}
		}
	}
	return out
}
