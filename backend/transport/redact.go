package transport

import (
	"regexp"
	"strings"

	"patchbay/backend/apierror"
)

const redacted = "[secret]"

// shapes find secrets by how they look, wherever they stand. The first group, if there is one, is kept.
var shapes = []*regexp.Regexp{
	regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@"']+@`), // user and password of a URL
	regexp.MustCompile(`(?i)([?&](?:key|api[_-]?key|access[_-]?token|token|code|client[_-]?secret|refresh[_-]?token|sig|signature)=)[^\s&"'#]+`),
	regexp.MustCompile(`(?i)("(?:api[_-]?key|access_token|refresh_token|id_token|client_secret|authorization|x-api-key|password)"\s*:\s*")[^"]+`),
	regexp.MustCompile(`(?i)(bearer\s+)[a-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`\b(?:sk|pk|rk|gsk|xai|nvapi)[-_][A-Za-z0-9_-]{12,}`),
	regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{20,}`),
	regexp.MustCompile(`\bya29\.[A-Za-z0-9._-]{10,}`),
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]+`),
	regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{20,}`),
}

// hints save the search for shapes in texts that cannot hold one.
var hints = []string{"://", "=", "\"", "earer", "EARER", "sk", "pk", "rk", "xai", "nvapi", "AIza", "ya29", "eyJ", "gh"}

// Redact takes secrets out of a text: those given, and whatever looks like one.
func Redact(s string, secrets ...string) string {
	for _, v := range secrets {
		if len(v) >= 4 { // shorter ones would take words out of any text
			s = strings.ReplaceAll(s, v, redacted)
		}
	}
	maybe := false
	for _, h := range hints {
		maybe = maybe || strings.Contains(s, h)
	}
	if !maybe {
		return s
	}
	for i, re := range shapes {
		switch {
		case i == 0:
			s = re.ReplaceAllString(s, "${1}"+redacted+"@")
		case re.NumSubexp() > 0:
			s = re.ReplaceAllString(s, "${1}"+redacted)
		default:
			s = re.ReplaceAllString(s, redacted)
		}
	}
	return s
}

// Scrub takes secrets out of every text of e, its cause included, and cuts the kept body. It changes e.
func Scrub(e *apierror.Error, secrets ...string) {
	e.Msg = Redact(e.Msg, secrets...)
	e.Param = Redact(e.Param, secrets...)
	e.Upstream.Code = Redact(e.Upstream.Code, secrets...)
	e.Upstream.Body = Excerpt([]byte(e.Upstream.Body), secrets...)
	if e.Err != nil {
		if text := e.Err.Error(); Redact(text, secrets...) != text {
			e.Err = scrubbed{text: Redact(text, secrets...), err: e.Err}
		}
	}
}

// scrubbed says the same as err without its secrets.
type scrubbed struct {
	text string
	err  error
}

// Error returns the text without secrets.
func (s scrubbed) Error() string { return s.text }

// Is compares with the hidden cause: it can be recognised, but not printed.
func (s scrubbed) Is(target error) bool { return is(s.err, target) }

// Excerpt returns the head of an error body for the log, without secrets.
func Excerpt(body []byte, secrets ...string) string {
	// a secret may stand across the cut: redact a little more than is kept
	text := Redact(string(body[:min(len(body), 2*KeptBody)]), secrets...)
	if len(text) > KeptBody {
		text = strings.ToValidUTF8(text[:KeptBody], "")
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
