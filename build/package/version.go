package main

import (
	"regexp"
	"strings"
)

var (
	releaseShape = regexp.MustCompile(`^v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?$`)
	afterTag     = regexp.MustCompile(`-([0-9]+)-g([0-9a-f]+)(-dirty)?$`)
)

// debVersion writes a version as Debian sorts it: 1.0.0~rc.1 comes before 1.0.0, and 1.0.0+5.abc1234 after it. What has no
// number of its own comes before every release.
func debVersion(version string) string {
	suffix := ""
	if m := afterTag.FindStringSubmatch(version); m != nil { // commits after a tag
		suffix = "+" + m[1] + "." + m[2] + strings.ReplaceAll(m[3], "-", ".")
		version = strings.TrimSuffix(version, m[0])
	}
	m := releaseShape.FindStringSubmatch(version)
	if m == nil {
		return "0.0.0~dev+" + regexp.MustCompile(`[^0-9A-Za-z.]+`).ReplaceAllString(version, ".") + suffix
	}
	out := m[1] + "." + m[2] + "." + m[3]
	if m[4] != "" {
		out += "~" + strings.ReplaceAll(m[4], "-", ".")
	}
	return out + suffix
}

// fourNumbers writes a version as resources of Windows hold it.
func fourNumbers(version string) string {
	version = afterTag.ReplaceAllString(version, "")
	if m := releaseShape.FindStringSubmatch(version); m != nil {
		return m[1] + "." + m[2] + "." + m[3] + ".0"
	}
	return "0.0.0.0"
}

// fileVersion is the version in the names of packages.
func fileVersion(version string) string {
	return regexp.MustCompile(`[^0-9A-Za-z.+-]+`).ReplaceAllString(strings.TrimPrefix(version, "v"), "-")
}
