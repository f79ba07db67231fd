package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// shown stands for whatever was taken out. It is the text that secret values print themselves.
const shown = "[secret]"

// maxText bounds one value of a line; what is longer is cut after it was redacted.
const maxText = 16 << 10

// secretNames are names of attributes, members, parameters and headers whose value is never shown. Compared in lower
// case without '-' and '_', so api_key, apiKey and Api-Key are one.
var secretNames = func() map[string]struct{} {
	names := map[string]struct{}{}
	for _, n := range []string{
		"authorization", "proxyauthorization", "apikey", "xapikey", "xgoogapikey", "key", "token", "accesstoken", "refreshtoken",
		"idtoken", "sessiontoken", "authtoken", "bearer", "secret", "clientsecret", "password", "passwd", "passphrase", "cookie",
		"setcookie", "code", "codeverifier", "devicecode", "usercode", "credential", "credentials", "privatekey", "assertion",
		"clientassertion", "subjecttoken", "csrftoken", "xsrftoken", "ticket", "vaultkey", "xsubscriptiontoken", "ocpapimsubscriptionkey",
	} {
		names[n] = struct{}{}
	}
	return names
}()

// secretKey reports whether a name is on the list.
func secretKey(name string) bool {
	n := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	if _, ok := secretNames[n]; ok {
		return true
	}
	for _, end := range []string{"apikey", "secret", "password", "accesstoken", "refreshtoken", "authtoken", "secretkey", "bearertoken"} {
		if strings.HasSuffix(n, end) {
			return true
		}
	}
	return false
}

// SecretName reports whether a setting, header or parameter of this name holds a secret.
func SecretName(name string) bool { return secretKey(name) }

// shapes are credentials that can be told by their look alone.
var shapes = regexp.MustCompile(strings.Join([]string{
	`\bsk-[A-Za-z0-9_-]{8,}`,                                     // OpenAI, Anthropic, DeepSeek, Moonshot, OpenRouter...
	`\b[sr]k_[a-z]{2,8}_[A-Za-z0-9]{8,}`,                         // Stripe's form, used by some gateways
	`\bya29\.[A-Za-z0-9._-]{6,}`,                                 // Google access tokens
	`\b1//0[A-Za-z0-9_-]{16,}`,                                   // Google refresh tokens
	`\bAIza[A-Za-z0-9_-]{10,}`,                                   // Google API keys
	`\bGOCSPX-[A-Za-z0-9_-]{8,}`,                                 // Google client secrets
	`\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}`,            // JSON web tokens
	`\bao[ar]AAAAA[A-Za-z0-9:+/=_-]{8,}`,                         // Kiro's access and refresh tokens
	`\brt_[A-Za-z0-9._-]{20,}`,                                   // OpenAI refresh tokens
	`\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,})`,        // GitHub
	`\b(?:xai-|gsk_|hf_|nvapi-|fw_|r8_|pplx-)[A-Za-z0-9_-]{16,}`, // xAI, Groq, Hugging Face, NVIDIA, Fireworks...
	`\bxox[abeprs]-[A-Za-z0-9-]{8,}`,                             // Slack
	`\bA[KS]IA[A-Z0-9]{16}\b`,                                    // AWS
	`\bpb[-_][A-Za-z0-9_-]{20,}`,                                 // Patchbay's own client keys
	`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`,
}, "|"))

const nameList = `(?:x[-_])?(?:goog[-_])?api[-_]?key|proxy[-_]authorization|authorization|(?:access|refresh|id|session|auth|csrf|subject|bearer)[-_]?token|` +
	`(?:client[-_]?)?secret|client[-_]?assertion|pass(?:word|wd|phrase)|(?:set[-_])?cookie|code[-_]?verifier|device[-_]?code|private[-_]?key|ticket`

var (
	// scheme is an Authorization value: "Bearer abc".
	scheme = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+|%20|\+)([A-Za-z0-9._~+/=:-]{8,})`)
	// member is a JSON member of a secret name, also inside a JSON string (\" instead of ").
	member = regexp.MustCompile(`(?i)(\\*["'](?:` + nameList + `|token|key)\\*["']\s*:\s*\[?\s*\\*["'])([^"'\\]+)`)
	// codes are an OAuth code in JSON; the error codes of upstreams must stay readable.
	codes = regexp.MustCompile(`(?i)(\\*"(?:code|user_?code)\\*"\s*:\s*\\*")([^"\\]+)`)
	// param is a parameter of a query or form.
	param = regexp.MustCompile(`(?i)((?:^|[?&#;\s"'])(?:` + nameList + `|key|token|code|state|sig|signature|x-amz-signature|x-amz-security-token)=)([^&\s"'<>#]+)`)
	// header is a header line, a YAML line, or Go's form of a header map.
	header = regexp.MustCompile(`(?i)(\b(?:` + nameList + `)\s*:\s*["']?)(\[[^\]\r\n]*\]|[^\s,\]"'\\{}\[][^,\]"'\r\n]*)`)
	// userinfo is the password, or the lone token, of a URL.
	userinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^/\s:@"'<>]*)(:[^/\s@"'<>]*)?@`)
)

// Redact takes everything out of s that looks like a secret: shapes of credentials, members, parameters and headers of a
// secret name, passwords in URLs. It is meant for upstream bodies, error texts and whatever else others wrote. Doing it
// twice changes nothing more.
func Redact(s string) string {
	if len(s) < 4 {
		return s
	}
	if strings.IndexByte(s, ':') >= 0 {
		s = header.ReplaceAllString(s, "${1}"+shown)
		s = member.ReplaceAllString(s, "${1}"+shown)
		s = codes.ReplaceAllStringFunc(s, redactCode)
	}
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllStringFunc(s, redactUserinfo)
	}
	if strings.IndexByte(s, '=') >= 0 {
		s = param.ReplaceAllString(s, "${1}"+shown)
	}
	s = scheme.ReplaceAllStringFunc(s, redactScheme)
	s = shapes.ReplaceAllString(s, shown)
	return s
}

// strongNames are names whose value can be nothing but a credential.
const strongNames = `(?:x[-_])?(?:goog[-_])?api[-_]?key|proxy[-_]authorization|authorization|(?:access|refresh|id|session|auth|bearer)[-_]?token|` +
	`client[-_]?secret|pass(?:word|wd|phrase)|private[-_]?key`

var (
	strongMember = regexp.MustCompile(`(?i)(\\*["'](?:` + strongNames + `)\\*["']\s*:\s*\\*["'])([^"'\\]+)`)
	strongLine   = regexp.MustCompile(`(?i)(\b(?:` + strongNames + `)\s*[:=]\s*)([^\s,\]"'\\{}\[;&<>]+)`)
)

// RedactContent takes credentials out of prompts and answers. Unlike Redact it leaves words such as "key", "token" and "code"
// alone, which stand in every program's text, and text that is JSON stays JSON.
func RedactContent(s string) string {
	if len(s) < 8 {
		return s
	}
	s = strongMember.ReplaceAllString(s, "${1}"+shown)
	s = strongLine.ReplaceAllStringFunc(s, redactLine)
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllStringFunc(s, redactUserinfo)
	}
	s = scheme.ReplaceAllStringFunc(s, redactScheme)
	return shapes.ReplaceAllString(s, shown)
}

// redactLine spares words: "password: string" is a program's text, a credential has a digit or is long.
func redactLine(m string) string {
	g := strongLine.FindStringSubmatch(m)
	if !strings.ContainsAny(g[2], "0123456789") && len(g[2]) < 20 {
		return m
	}
	return g[1] + shown
}

// LooksSecret reports whether s holds something that Redact would take out.
func LooksSecret(s string) bool { return Redact(s) != s }

func redactUserinfo(m string) string {
	g := userinfo.FindStringSubmatch(m)
	switch {
	case g[3] != "":
		return g[1] + g[2] + ":" + shown + "@"
	case len(g[2]) >= 16: // a token in place of a user's name
		return g[1] + shown + "@"
	default:
		return m
	}
}

// redactScheme spares prose such as "basic understanding": a credential has a digit or is long.
func redactScheme(m string) string {
	g := scheme.FindStringSubmatch(m)
	if !strings.ContainsAny(g[3], "0123456789") && len(g[3]) < 20 {
		return m
	}
	return g[1] + g[2] + shown
}

// redactCode spares words: "code":"insufficient_quota" says what went wrong.
func redactCode(m string) string {
	g := codes.FindStringSubmatch(m)
	if len(g[2]) < 8 || !strings.ContainsAny(g[2], "0123456789/") {
		return m
	}
	return g[1] + shown
}

// redactAny renders a value of any type. Structs and maps go through JSON, so that fields without export stay hidden and
// secret values print themselves, and are then searched by member names.
func redactAny(v any) string {
	switch x := v.(type) {
	case nil:
		return "<nil>"
	case error:
		return cut(Redact(safeText(x.Error)))
	case time.Time:
		return x.Format(time.RFC3339Nano)
	case fmt.Stringer:
		return cut(Redact(safeText(x.String)))
	case []byte:
		return cut(Redact(string(x)))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("<%T>", v)
	}
	var tree any
	if json.Unmarshal(data, &tree) != nil {
		return cut(Redact(string(data)))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(redactTree(tree)) != nil {
		return fmt.Sprintf("<%T>", v)
	}
	out := strings.TrimSuffix(b.String(), "\n")
	if s, ok := tree.(string); ok {
		out = Redact(s)
	}
	return cut(out)
}

// safeText calls f, which may be a method of a nil pointer.
func safeText(f func() string) (s string) {
	defer func() {
		if recover() != nil {
			s = "<nil>"
		}
	}()
	return f()
}

func redactTree(v any) any {
	switch x := v.(type) {
	case string:
		return Redact(x)
	case []any:
		for i := range x {
			x[i] = redactTree(x[i])
		}
	case map[string]any:
		for k, m := range x {
			if _, number := m.(float64); secretKey(k) && !number && m != nil {
				x[k] = shown
				continue
			}
			x[k] = redactTree(m)
		}
	}
	return v
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "... (cut)"
}
