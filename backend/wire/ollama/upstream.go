package ollama

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// ParseError reads a refusal: {"error": text}. A real Ollama has nothing but its words to tell one from another; each
// sentence looked for here is one of Ollama v0.17.4. status is 200 for an error inside an answer.
func ParseError(status int, header http.Header, body []byte) *apierror.Error {
	if text := strings.TrimSpace(string(body[:min(len(body), 64)])); strings.HasPrefix(text, "<") {
		return htmlError(status)
	}
	msg := message(body)
	e := apierror.New(kindOf(status, strings.ToLower(msg)), "%s", msg)
	if msg == "" {
		e.Msg = fmt.Sprintf("the service answered %d", status)
	}
	e.Upstream.Status = status
	switch e.Kind {
	case apierror.ModelNotFound:
		if !strings.Contains(e.Msg, "pull") {
			e.Msg += "; pull it first (ollama pull MODEL)"
		}
		e.Param = "model"
	case apierror.RateLimited, apierror.QuotaExhausted, apierror.Overloaded:
		e.RetryAfter = retryAfter(header)
	}
	return e
}

func htmlError(status int) *apierror.Error {
	e := apierror.New(apierror.Upstream5xx, "the service answered with a web page (%d); check its base URL", status)
	if status >= 400 && status < 500 {
		e.Kind = apierror.InvalidRequest
	}
	e.Upstream.Status = status
	return e
}

// maxShown bounds the part of a service's message that people see.
const maxShown = 400

// message takes the text out of {"error": text}, {"error": {"message": text}} or a plain text.
func message(body []byte) string {
	text := string(body[:min(len(body), 4<<10)])
	if o, err := canon.ParseObject(body); err == nil {
		text = ""
		switch v := o.Get("error"); v.Kind() {
		case '"':
			text = unquote(v)
		case '{':
			var in struct {
				Message string `json:"message"`
			}
			if wire.ReadValue(v, "", &in) == nil {
				text = in.Message
			}
		}
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return text
}

// sentences are the words of errors by kind. The first that fits wins.
var sentences = []struct {
	words *regexp.Regexp
	kind  apierror.Kind
}{
	{regexp.MustCompile(`model.*(not found|does not exist)|try pulling it first`), apierror.ModelNotFound},
	{regexp.MustCompile(`context length|context window|exceeds the available context|prompt is too long|too many tokens`), apierror.ContextTooLong},
	{regexp.MustCompile(`does not support|is not supported for this model|not support (images|vision|tools|thinking)`), apierror.Unsupported},
	{regexp.MustCompile(`requires more system memory|not enough (memory|vram)|out of memory`), apierror.ModelBusy},
	{regexp.MustCompile(`server busy|maximum pending requests`), apierror.Overloaded},
	{regexp.MustCompile(`(hourly|daily|weekly|monthly|session) usage limit|usage limit`), apierror.QuotaExhausted},
}

func kindOf(status int, text string) apierror.Kind {
	switch status {
	case http.StatusUnauthorized:
		return apierror.AuthExpired
	case http.StatusPaymentRequired:
		return apierror.NoCredit
	case http.StatusForbidden:
		return apierror.AccountBlocked
	case http.StatusRequestTimeout, http.StatusGatewayTimeout, 524:
		return apierror.Timeout
	case http.StatusRequestEntityTooLarge:
		return apierror.BodyTooLarge
	}
	for _, s := range sentences {
		if s.words.MatchString(text) {
			return s.kind
		}
	}
	switch {
	case status == http.StatusNotFound:
		return apierror.ModelNotFound
	case status == http.StatusTooManyRequests:
		return apierror.RateLimited
	case status == http.StatusServiceUnavailable:
		return apierror.Overloaded
	case status >= 400 && status < 500:
		return apierror.InvalidRequest
	default:
		return apierror.Upstream5xx
	}
}

// RefusesThink reports whether a refusal says that the model cannot think, so that the request may go without.
func RefusesThink(e *apierror.Error) bool {
	return e.Kind == apierror.Unsupported && strings.Contains(e.Msg, "think")
}

const maxWait = 31 * 24 * time.Hour

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 {
		return time.Duration(min(n*float64(time.Second), float64(maxWait)))
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(t), 0), maxWait)
	}
	return 0
}

// ParseTags reads the list of /api/tags.
func ParseTags(body []byte) ([]canon.Model, error) {
	var in struct {
		Models []struct {
			Name     string `json:"name"`
			Model    string `json:"model"`
			Modified string `json:"modified_at"`
			Details  struct {
				Families []string `json:"families"`
			} `json:"details"`
		} `json:"models"`
	}
	o, err := canon.ParseObject(body)
	if err == nil && !o.Has("models") {
		err = canon.ErrNotObject
	}
	if err == nil {
		err = wire.ReadValue(body, "", &in)
	}
	if err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent no list of models; check its base URL")
		e.Err = err
		return nil, e
	}
	var out []canon.Model
	for _, m := range in.Models {
		id := m.Model
		if id == "" {
			id = m.Name
		}
		if id == "" {
			continue
		}
		c := canon.Model{ID: id, Created: unix(m.Modified)}
		if strings.Contains(id, "embed") {
			c.Embeddings = canon.Yes
		}
		out = append(out, c)
	}
	return out, nil
}

// ParseShow adds to m what /api/show tells: what the model can do and how much it takes.
func ParseShow(body []byte, m *canon.Model) error {
	var in struct {
		Capabilities []string                  `json:"capabilities"`
		Info         map[string]jsontext.Value `json:"model_info"`
	}
	if err := wire.ReadValue(body, "", &in); err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent no description of %s", m.ID)
		e.Err = err
		return e
	}
	if len(in.Capabilities) > 0 { // older versions have no such member
		has := map[string]canon.Known3{}
		for _, c := range in.Capabilities {
			has[c] = canon.Yes
		}
		yesNo := func(name string) canon.Known3 {
			if has[name] == canon.Yes {
				return canon.Yes
			}
			return canon.No
		}
		m.Tools, m.Images, m.Thinking = yesNo("tools"), yesNo("vision"), yesNo("thinking")
		m.Embeddings = canon.No
		if has["embedding"] == canon.Yes && has["completion"] != canon.Yes {
			m.Embeddings = canon.Yes
		}
	}
	m.Schema, m.Documents, m.Audio = canon.Yes, canon.No, canon.No
	var arch string
	if v := in.Info["general.architecture"]; v.Kind() == '"' {
		arch = unquote(v)
	}
	if n, err := strconv.ParseInt(string(in.Info[arch+".context_length"]), 10, 64); err == nil && n > 0 {
		m.Context = n
	}
	return nil
}
