// Package providertest is the conformance suite that every driver runs. It plays the service: a local server that speaks
// the driver's wire format from scripted answers, good and bad, and records what it was asked.
//
// What a wire format looks like is a Format; OpenAI, Anthropic, Gemini and Ollama are here, a driver with a format of its own brings one.
package providertest

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
)

// Subject is the driver under test.
type Subject struct {
	// Driver makes the driver; idle replaces the limit of silence, 0 leaves it.
	Driver func(idle time.Duration) provider.Driver
	// Format is how the service of this driver talks.
	Format Format
	// Settings are the account's settings when the service is at baseURL; nil sets the base URL alone.
	Settings func(baseURL string) map[string]string
	// Model is the upstream's name of the model asked; "" = "model-1".
	Model string
	// Extra goes into the credential beside the key.
	Extra map[string]string
	// Notes are what the driver learned about the account before.
	Notes map[string]string
	// Pause is what the driver makes of a rate limit for which the service names no time; 0 = it leaves that to others.
	Pause time.Duration
	// KeyNeeded says that there is no account without a key.
	KeyNeeded bool
}

// Format is how a service talks.
type Format struct {
	// Endpoint tells what a request asks for.
	Endpoint func(r *http.Request) Endpoint
	// Streams reports whether a request for an answer asks for a stream.
	Streams func(r *http.Request, body []byte) bool
	// Key returns the credential that a request carries, "" if it has none.
	Key func(r *http.Request) string
	// Answer writes an answer.
	Answer func(a Answer, stream bool) Reply
	// Refusal writes an error.
	Refusal func(f Fault) Reply
	// Models writes a model list.
	Models func(ids []string) Reply
	// Count and Embeddings write the answers of those endpoints; nil if the service has none.
	Count      func(tokens int64) Reply
	Embeddings func(vectors [][]float32) Reply
	// NoCacheCounts says that the service does not tell which part of a prompt was cached, NoSignatures that nothing in
	// its histories is signed.
	NoCacheCounts, NoSignatures bool
	// NoBills says that 402 is a plan's allowance that comes again, and no unpaid bill.
	NoBills bool
	// Verbatim is a request as a client of the same format sends it, to see that its bytes arrive; nil if no client
	// speaks this format.
	Verbatim *Verbatim
}

// Endpoint is what a request asks for.
type Endpoint uint8

// The endpoints.
const (
	EndpointOther Endpoint = iota
	EndpointAnswer
	EndpointModels
	EndpointCount
	EndpointEmbeddings
)

// Answer is what the model says.
type Answer struct {
	Reasoning string
	Text      string
	Calls     []Call
	Usage     *canon.Usage // Input, CacheRead and Output count
}

// Call is a tool call of the model.
type Call struct{ ID, Name, Args string }

// Fault is an error of the service.
type Fault struct {
	Status     int
	RetryAfter time.Duration // 0 = the service does not say
	Message    string
	// Param names a parameter that the service does not take (status 400), for formats that tell.
	Param string
	// BadSignature says that a signature of the history was refused (status 400).
	BadSignature bool
}

// Reply is an answer as bytes. Each piece is flushed on its own.
type Reply struct {
	Status int // 0 = 200
	Header http.Header
	Pieces [][]byte
}

// Verbatim is a client's own request.
type Verbatim struct {
	Codec  wire.Codec
	Op     wire.Op
	Path   string
	Body   string // asks for a stream of model "asked", here or in Path
	Header http.Header
	// Want is the body that must arrive; "" = Body with the model's name replaced.
	Want func(model string) string
}

// Key is the credential of every account in the suite: it must not appear in any error or log line.
const Key = "canary-0123456789-key"

const otherKey = "canary-of-the-client-itself"

// Run runs the whole suite.
func Run(t *testing.T, s Subject) {
	t.Helper()
	if s.Model == "" {
		s.Model = "model-1"
	}
	t.Run("answers", s.answers)
	t.Run("requests", s.requests)
	t.Run("refusals", s.refusals)
	t.Run("faults", s.faults)
	t.Run("closing", s.closing)
	t.Run("lists", s.lists)
}

// harness is a driver with an account at a scripted service.
type harness struct {
	t       *testing.T
	s       Subject
	service *service
	up      provider.Upstream
	log     *logText

	mu    sync.Mutex // guards notes and token
	notes map[string]string
	token string
}

// options of a harness.
type setup struct {
	idle time.Duration
	key  string
	none bool // no key at all
}

func (s Subject) open(t *testing.T, o setup) *harness {
	t.Helper()
	h := &harness{t: t, s: s, service: newService(t, s.Format), log: &logText{}, notes: map[string]string{}, token: Key}
	maps.Copy(h.notes, s.Notes)
	if o.key != "" {
		h.token = o.key
	}
	if o.none {
		h.token = ""
	}
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	client, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{provider.SettingBaseURL: h.service.url()}
	if s.Settings != nil {
		settings = s.Settings(h.service.url())
	}
	driver := s.Driver(o.idle)
	env := provider.Env{
		Provider: driver.Info().ID, AccountID: "account-1", Label: "Ann", HTTP: client, Settings: settings,
		Log:      slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Token:    h.credential,
		Note:     h.note,
		Remember: h.remember,
	}
	if h.up, err = driver.Open(env); err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() { h.noSecret("the log", h.log.String()) })
	return h
}

func (h *harness) note(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.notes[key]
}

func (h *harness) remember(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes[key] = value
	h.noSecret("a note", key+value)
}

func (h *harness) newKey(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.token = key
}

func (h *harness) noSecret(where, text string) {
	h.t.Helper()
	for _, key := range []string{Key, otherKey} {
		if strings.Contains(text, key) {
			h.t.Errorf("%s holds a secret: %s", where, text)
		}
	}
}

// request is a conversation of one user text, asked in no format that any driver passes on.
func (h *harness) request(stream bool) *canon.Request {
	return &canon.Request{
		Format: "providertest", Op: "test", ModelAsked: "asked", Model: h.s.Model, Stream: stream,
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "hello"}}}},
		Headers:  map[string][]string{"Authorization": {"Bearer " + otherKey}, "X-Api-Key": {otherKey}, "Cookie": {otherKey}, "Origin": {"http://x"}},
	}
}

// withTools adds two tools to a request.
func withTools(r *canon.Request) *canon.Request {
	for _, name := range []string{"look", "list"} {
		r.Tools = append(r.Tools, canon.Tool{Kind: canon.ToolFunction, Name: name, Schema: []byte(`{"type":"object","properties":{"q":{"type":"string"}}}`)})
	}
	return r
}

// logText keeps what is logged.
type logText struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func secretOf(s string) secret.Value { return secret.New(s) }
