package record

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/logging"
)

// maxCalls bounds how many calls of one request are kept.
const maxCalls = 16

// Capture takes notes of one request: what the client sent, what services were sent and answered, what the client got. It is
// safe for concurrent use.
type Capture struct {
	b         *Bodies
	keep      bool // whoever serves it
	prompt    bool // for the prompt log
	providers []string
	limit     int64

	mu      sync.Mutex // guards all below
	kept    Kept
	in, out sink
	calls   []*CapturedCall
	secrets []string
	fold    canon.Fold
	told    bool // something of an answer was told
	over    bool
}

// sink keeps the beginning of a body.
type sink struct {
	buf  []byte
	size int64
}

func (s *sink) add(p []byte, limit int64) {
	s.size += int64(len(p))
	if room := limit - int64(len(s.buf)); room > 0 {
		s.buf = append(s.buf, p[:min(int64(len(p)), room)]...)
	}
}

func (s *sink) fill(m *Message) {
	m.Size, m.Cut = s.size, s.size > int64(len(s.buf))
	body := s.buf
	if m.Cut { // the cut may stand in the middle of a letter, and is no reason to show a text as bytes
		for i := 0; i < utf8.UTFMax && len(body) > 0 && !utf8.Valid(body[max(0, len(body)-utf8.UTFMax):]); i++ {
			body = body[:len(body)-1]
		}
	}
	if utf8.Valid(body) {
		m.Body = string(body)
		return
	}
	m.Body, m.Base64 = base64.StdEncoding.EncodeToString(body), true
}

// Start begins to take notes of a request, if anybody wants them: nil = nobody does, which costs nothing.
func (b *Bodies) Start(id, keyID, keyName string) *Capture {
	o := b.opt.Load()
	if o.off() {
		return nil
	}
	keep := o.All || slices.Contains(o.Keys, keyID) || slices.Contains(o.Keys, keyName)
	if !keep && len(o.Providers) == 0 && o.Prompts == PromptsOff {
		return nil
	}
	return &Capture{
		b: b, keep: keep, prompt: o.Prompts != PromptsOff, providers: o.Providers, limit: o.Body,
		kept: Kept{ID: id, At: time.Now(), Key: keyID, keyName: keyName},
	}
}

// Client notes what a client sent. secret is the key that it presented.
func (c *Capture) Client(method, path string, header http.Header, body []byte, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Request.Method, c.kept.Request.URL, c.kept.Request.Header = method, path, headerOf(header)
	c.in = sink{}
	c.in.add(body, c.limit)
	c.hide(secret)
}

// Call notes in which format and for what a client asked.
func (c *Capture) Call(format, op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Format, c.kept.Op = format, op
}

// hide adds a text that must not be kept. The caller holds mu.
func (c *Capture) hide(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= 6 && !slices.Contains(c.secrets, s) { // shorter ones would take words out of any text
			c.secrets = append(c.secrets, s)
		}
	}
}

// Head notes the head of the answer to the client, Write its body.
func (c *Capture) Head(status int, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Answer.Status, c.kept.Answer.Header = status, headerOf(header)
}

// Write notes a piece of the answer to the client.
func (c *Capture) Write(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.add(p, c.limit)
}

// Watch notes what a stream says while it passes.
func (c *Capture) Watch(stream canon.Stream) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		for ev, err := range stream {
			if err == nil {
				c.tell(ev)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (c *Capture) tell(ev canon.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.told = true
		c.fold.Add(ev.Clone())
	}
}

// CapturedCall is one call to a service.
type CapturedCall struct {
	c   *Capture
	ex  Exchange
	in  sink
	out sink
	err bool
}

// Upstream notes a call that is about to be made.
func (c *Capture) Upstream(provider, account, method, url string, header http.Header, body []byte, secrets []string) *CapturedCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hide(secrets...)
	call := &CapturedCall{c: c, ex: Exchange{
		Provider: provider, Account: account, At: time.Now(), Request: Message{Method: method, URL: url, Header: headerOf(header)},
	}}
	if len(c.calls) < maxCalls {
		call.in.add(body, c.limit)
		c.calls = append(c.calls, call)
	}
	return call
}

// Answer notes the head of a service's answer.
func (c *CapturedCall) Answer(status int, header http.Header) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	c.ex.Answer.Status, c.ex.Answer.Header = status, headerOf(header)
}

// Data notes a piece of its body.
func (c *CapturedCall) Data(p []byte) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if !c.c.over {
		c.out.add(p, c.c.limit)
	}
}

// End notes how the call ended.
func (c *CapturedCall) End(err error) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if err != nil && !c.err {
		c.err, c.ex.Answer.Note = true, err.Error()
	}
}

// End hands the notes over. It never waits: what the writer cannot take is dropped and counted.
func (c *Capture) End() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	if !c.prompt && !c.wanted() {
		return
	}
	select {
	case c.b.queue <- c:
	default:
		c.b.dropped.Add(1)
	}
}

// wanted reports whether the bodies are to be kept.
func (c *Capture) wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keep || slices.ContainsFunc(c.calls, func(call *CapturedCall) bool { return slices.Contains(c.providers, call.ex.Provider) })
}

// result returns what was noted, not redacted yet, and what must not be kept of it.
func (c *Capture) result() (*Kept, *canon.Response, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kept
	c.in.fill(&k.Request)
	c.out.fill(&k.Answer)
	for _, call := range c.calls {
		ex := call.ex
		call.in.fill(&ex.Request)
		call.out.fill(&ex.Answer)
		k.Calls = append(k.Calls, ex)
	}
	if !c.told {
		return &k, nil, c.secrets
	}
	return &k, c.fold.Response(), c.secrets
}

// headerOf copies a header without what names whoever asks.
func headerOf(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		switch low := strings.ToLower(name); {
		case logging.SecretName(name), strings.Contains(low, "cookie"), strings.Contains(low, "auth"), strings.Contains(low, "token"), strings.HasSuffix(low, "key"):
			out[name] = Hidden
		default:
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

// Hidden stands for a credential that was taken out.
const Hidden = "[secret]"

// redact takes secrets out of a text: those that are known, and what looks like one.
func redact(s string, secrets []string) string {
	for _, known := range secrets {
		s = strings.ReplaceAll(s, known, Hidden)
	}
	return logging.RedactContent(s)
}

// redact takes out of everything what must not reach a disk.
func (k *Kept) redact(secrets []string) {
	k.Request.redact(secrets)
	k.Answer.redact(secrets)
	for i := range k.Calls {
		k.Calls[i].Account = redact(k.Calls[i].Account, secrets)
		k.Calls[i].Request.redact(secrets)
		k.Calls[i].Answer.redact(secrets)
	}
	if k.Chat == nil {
		return
	}
	clean := func(s string) string { return redact(s, secrets) }
	for i, m := range k.Chat.Messages {
		k.Chat.Messages[i] = mapStrings(m, clean)
	}
	k.Chat.Tools = mapStrings(k.Chat.Tools, clean)
}

func (m *Message) redact(secrets []string) {
	m.URL = logging.Redact(redact(m.URL, secrets))
	m.Note = logging.Redact(redact(m.Note, secrets))
	for name, value := range m.Header {
		m.Header[name] = redact(value, secrets)
	}
	if m.Base64 {
		raw, err := base64.StdEncoding.DecodeString(m.Body)
		if err != nil || redact(string(raw), secrets) != string(raw) {
			m.Body, m.Redacted, m.Note = "", true, "left out: a credential stood in it"
		}
		return
	}
	if text := redact(m.Body, secrets); text != m.Body {
		m.Body, m.Redacted = text, true
	}
}

// mapStrings changes every string of a JSON value but the names of members; what is no JSON becomes null.
func mapStrings(v jsontext.Value, change func(string) string) jsontext.Value {
	if len(v) == 0 {
		return v
	}
	var out strings.Builder
	dec := jsontext.NewDecoder(strings.NewReader(string(v)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	enc := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.Multiline(false))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			break
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		if tok.Kind() == '"' && !(kind == '{' && n%2 == 1) {
			tok = jsontext.String(change(tok.String()))
		}
		if err := enc.WriteToken(tok); err != nil {
			return jsontext.Value("null")
		}
	}
	return jsontext.Value(strings.TrimSpace(out.String()))
}
