package server

import (
	"net/url"
	"strings"
)

// endpoints are first segments after a version that clients of OpenAI's protocol may send without one.
var versionless = map[string]bool{
	"chat": true, "completions": true, "models": true, "embeddings": true, "responses": true, "images": true, "messages": true,
}

// cleanPath brings a path to the form that the endpoints are registered under: no doubled slashes, no trailing slash, a
// version segment exactly once where a client left it out or doubled it. Escapes stay: a model's name may hold a slash.
func cleanPath(escaped string) string {
	segments := make([]string, 0, 8)
	for s := range strings.SplitSeq(escaped, "/") {
		if s != "" && s != "." {
			segments = append(segments, s)
		}
	}
	return "/" + strings.Join(versioned(segments), "/")
}

// versioned drops repeated version segments and adds a missing one, in segments without a provider. Google's base path for
// OpenAI's protocol, /v1beta/openai, is another spelling of /v1.
func versioned(segments []string) []string {
	for len(segments) > 1 && isVersion(segments[0]) && isVersion(segments[1]) {
		segments = segments[1:]
	}
	if len(segments) > 1 && segments[0] == "v1beta" && segments[1] == "openai" {
		return versioned(append([]string{"v1"}, segments[2:]...))
	}
	if len(segments) > 0 && versionless[segments[0]] {
		return append([]string{"v1"}, segments...)
	}
	return segments
}

func isVersion(s string) bool { return s == "v1" || s == "v1beta" }

// splitProvider takes the first segment off a clean path.
func splitProvider(path string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if un, err := url.PathUnescape(first); err == nil {
		first = un
	}
	return first, cleanPath("/" + rest)
}
