package app

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// SystemLanguages are the person's languages, best first: a list like ("ja-JP", "en-US").
func SystemLanguages() []string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/defaults", "read", "-g", "AppleLanguages").Output()
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return strings.ContainsRune("(), \n\"", r) })
}
