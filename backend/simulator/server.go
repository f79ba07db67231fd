package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The names of the simulated upstreams: path prefixes on the shared listener
// and the first argument of [Server.Script].
const (
	OpenAI     = "openai"     // OpenAI's own Chat API, strict
	Compatible = "compatible" // a lenient vendor that speaks OpenAI Chat and shows its reasoning
	Anthropic  = "anthropic"  // the Anthropic Messages API
	Responses  = "responses"  // OpenAI's own Responses API, strict
	Ollama     = "ollama"     // a local server with an API of its own
	Gemini     = "gemini"     // Google's generateContent with a key of AI Studio
	Kiro       = "kiro"       // Amazon's coding assistant: binary frames, sign-ins of its own

	// Google's Code Assist service, each with the login of its client below the same path.
	GeminiCLI       = "gemini-cli"       // as Gemini CLI reaches it
	Antigravity     = "antigravity"      // as Antigravity reaches it
	AntigravityProd = "antigravity-prod" // its second host

	// Vendors that speak OpenAI Chat with demands of their own.
	DeepSeek = "deepseek" // content must be text; calls come back with their reasoning
	Kimi     = "kimi"     // calls come back with a reasoning that is not empty
	Mistral  = "mistral"  // 422 for reasoning_content
	Groq     = "groq"     // 400 for every field it does not know

	MiniMax    = "minimax"    // thoughts inside the text; failures with status 200
	GLM        = "glm"        // numbered failures; tool_choice only auto; paths below /api/paas/v4
	OpenRouter = "openrouter" // comments and error chunks in streams; signed reasoning_details; paths below /api/v1
	LMStudio   = "lmstudio"   // a local server without a key

	// Services that people sign in to.
	Codex = "codex"     // OpenAI's Codex by a ChatGPT login: sign-in, Responses, plan
	Qwen  = "qwen-code" // Qwen Code's sign-in by device and its chat service
	IFlow = "iflow"     // iFlow's sign-in and its chat service, which nearly speaks OpenAI Chat

	// Elsewhere is where the scenario redirect leads to: another host, which
	// answers everything with an empty object and must never see a key.
	Elsewhere = "elsewhere"
)

// Options shapes a [Server]. The zero value is what tests and the demo want.
type Options struct {
	// Addr is where Start listens; empty means a free port of 127.0.0.1.
	Addr string
	// Keys are the accepted API keys. Empty: every key that starts with
	// `sk-sim-` or `sk-ant-sim-`. Keys given to SetKey are accepted as well.
	Keys []string
	// Lenient turns OpenAI's refusal of undocumented top-level fields off.
	Lenient bool
	// Models are further model names that every upstream lists and accepts.
	Models []string
	// Keep is how many requests stay readable; 0 means 512.
	Keep int
	// Now is the clock of time stamps in answers and records; nil: time.Now.
	Now func() time.Time
}

// dialect is one simulated protocol: how it writes a reply and a refusal.
type dialect interface {
	// id is the upstream's name.
	id() string
	// frames writes a reply as server-sent events.
	frames(t *turn, r *reply) []frame
	// body writes a reply as one JSON value.
	body(t *turn, r *reply) any
	// refuse writes a failure as the vendor does.
	refuse(f *failure) (status int, head http.Header, body any)
	// errorFrames writes a failure into the stream of this reply, of which so
	// many frames were sent.
	errorFrames(f *failure, t *turn, r *reply, sent int) []frame
	// head adds the headers the vendor sends with every answer.
	head(h http.Header, p *plan)
}

// Server hosts the simulated upstreams. All methods may be called at any time
// from any goroutine.
type Server struct {
	opts     Options
	handlers map[string]http.Handler
	signIns  map[string]*OAuth
	tokens   map[string]func(OAuthGrant) string // what calls are made with, where it is not the access token
	mux      *http.ServeMux

	mu      sync.Mutex
	queue   map[string][]Scenario
	keys    map[string]Scenario
	records []*Request
	dropped int // records that no longer fit
	changed chan struct{}
	serial  int
	cached  map[string]bool // prompt prefixes that the Anthropic cache holds
	forget  []func()        // what the upstreams do on Reset, under mu
	kiro    *kiro
	assists map[string]*assistState

	listener net.Listener
	http     *http.Server
	served   chan struct{}
}

// New makes a server that does not listen yet.
func New(opts Options) *Server {
	if opts.Keep <= 0 {
		opts.Keep = 512
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{
		opts:     opts,
		handlers: map[string]http.Handler{},
		signIns:  map[string]*OAuth{},
		tokens:   map[string]func(OAuthGrant) string{},
		mux:      http.NewServeMux(),
		queue:    map[string][]Scenario{},
		keys:     map[string]Scenario{},
		changed:  make(chan struct{}),
	}
	s.host(OpenAI, newOpenAI(s, !opts.Lenient))
	s.host(Compatible, newCompatible(s))
	for name, q := range vendors {
		s.host(name, newVendor(s, name, q))
	}
	s.host(Anthropic, newAnthropic(s))
	elsewhere := &openAI{s: s, name: Elsewhere}
	s.host(Elsewhere, s.endpoint(elsewhere, Elsewhere, func(x *exchange) { writeJSON(x.w, http.StatusOK, ordered{}) }))
	s.host(Responses, newResponses(s))
	s.host(Gemini, newGemini(s))
	s.host(Ollama, newOllama(s))
	s.host(Codex, newCodex(s))
	s.host(Qwen, newQwen(s))
	s.host(IFlow, newIFlow(s))
	s.host(Kiro, newKiro(s))
	s.assists = map[string]*assistState{GeminiCLI: newAssistState(s, &assistGeminiRules), Antigravity: newAssistState(s, &assistAntigravityRules)}
	s.assists[AntigravityProd] = s.assists[Antigravity]
	for _, name := range []string{GeminiCLI, Antigravity, AntigravityProd} {
		s.host(name, newAssist(s, name, s.assists[name]))
	}
	s.mux.Handle("/_control/", s.control())
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
		}
	})
	return s
}

// host puts an upstream under its name on the shared listener.
func (s *Server) host(name string, h http.Handler) {
	s.handlers[name] = h
	s.mux.Handle("/"+name+"/", http.StripPrefix("/"+name, h))
	s.mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = "/" // the mux inside would redirect an empty path
		h.ServeHTTP(w, r)
	})
}

// OpenAI returns the simulated OpenAI service; it serves /v1/chat/completions,
// /v1/models, /v1/embeddings and /v1/images.
func (s *Server) OpenAI() http.Handler { return s.handlers[OpenAI] }

// Compatible returns a lenient vendor that speaks OpenAI Chat: it ignores
// unknown fields and sends reasoning_content.
func (s *Server) Compatible() http.Handler { return s.handlers[Compatible] }

// Anthropic returns the simulated Anthropic service; it serves /v1/messages,
// /v1/messages/count_tokens and /v1/models.
func (s *Server) Anthropic() http.Handler { return s.handlers[Anthropic] }

// Responses returns the simulated OpenAI service of the Responses API; it
// serves /v1/responses with all below it, /v1/models and /v1/embeddings.
func (s *Server) Responses() http.Handler { return s.handlers[Responses] }

// Gemini returns the simulated Gemini API; it serves the actions below
// /v1beta/models and the list of models.
func (s *Server) Gemini() http.Handler { return s.handlers[Gemini] }

// Ollama returns the simulated local server; it serves Ollama's API below /api
// and OpenAI's chat below /v1, and wants no key.
func (s *Server) Ollama() http.Handler { return s.handlers[Ollama] }

// Kiro returns the simulated Kiro: its hosts stand below it as /runtime, /q,
// /codewhisperer, /management, /auth, /portal and /oidc.
func (s *Server) Kiro() http.Handler { return s.handlers[Kiro] }

// Handler returns everything that Start would serve: each upstream under its
// name and the control plane under /_control/.
func (s *Server) Handler() http.Handler { return s.mux }

// Start begins to listen. It returns once connections are accepted.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("simulator: already started")
	}
	addr := s.opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("starting the simulated upstreams: %w", err)
	}
	s.listener, s.served = l, make(chan struct{})
	s.http = &http.Server{Handler: s.mux, ReadHeaderTimeout: 10 * time.Second}
	go func(srv *http.Server, done chan struct{}) { // ends with Close
		defer close(done)
		_ = srv.Serve(l) // always ErrServerClosed after Close
	}(s.http, s.served)
	return nil
}

// Close stops listening and cuts the connections that are open. Closing a
// server that was never started does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	srv, done := s.http, s.served
	s.listener, s.http, s.served = nil, nil, nil
	s.mu.Unlock()
	if srv == nil {
		return nil
	}
	err := srv.Close()
	<-done
	return err
}

// URL returns the address of the listener without a trailing slash, or "" when
// the server is not started.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// BaseURL returns the base URL of one upstream as a person would type it: with
// /v1 for the OpenAI kinds, without a version for the others.
func (s *Server) BaseURL(upstream string) string {
	base := s.LoginURL(upstream)
	if s.assists[upstream] != nil || upstream == Anthropic || upstream == Gemini || upstream == Ollama || upstream == Kiro {
		return base
	}
	if root := vendors[upstream].root; root != "" {
		return base + root
	}
	if upstream == Codex {
		return base + codexRoot
	}
	return base + "/v1"
}

// LoginURL returns where the sign-in pages and the token endpoints of an
// upstream are, each under its own path.
func (s *Server) LoginURL(upstream string) string { return s.URL() + "/" + upstream }

// Token signs somebody in at an upstream without a page and returns what calls
// to it are made with: a key for an account. It reports false for an upstream
// without a sign-in and for somebody it does not know.
func (s *Server) Token(upstream, email string) (string, bool) {
	o := s.signIns[upstream]
	if o == nil {
		return "", false
	}
	g, ok := o.Issue(email)
	if f := s.tokens[upstream]; f != nil && ok {
		return f(g), true
	}
	return g.Access, ok
}

// SignIn returns the authorisation server of an upstream that people sign in
// to, nil if it has none.
func (s *Server) SignIn(upstream string) *OAuth { return s.signIns[upstream] }

// Upstream returns the handler of one upstream by name, nil for a name that no
// upstream has.
func (s *Server) Upstream(name string) http.Handler { return s.handlers[name] }

// Script queues scenarios for the next requests of an upstream: one request
// takes one scenario. Only calls for an answer take from the queue of the
// upstream itself; other endpoints have queues of their own, for example
// "openai/models", "openai/images", "anthropic/count_tokens",
// "responses/compact", "gemini/countTokens" and "ollama/tags". It panics on a scenario that
// does not exist, because that is a mistake in a test.
func (s *Server) Script(upstream string, scenarios ...Scenario) {
	if err := s.enqueue(upstream, scenarios); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) enqueue(upstream string, scenarios []Scenario) error {
	name, _, _ := strings.Cut(upstream, "/")
	if s.handlers[name] == nil {
		return fmt.Errorf("no upstream %q", upstream)
	}
	for _, sc := range scenarios {
		if _, err := sc.parse(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue[upstream] = append(s.queue[upstream], scenarios...)
	return nil
}

// SetKey makes the key acceptable and gives it a scenario for every request;
// the empty scenario takes it back and leaves the key accepted. It panics on a
// scenario that does not exist.
func (s *Server) SetKey(key string, sc Scenario) {
	if err := s.setKey(key, sc); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) setKey(key string, sc Scenario) error {
	if sc != "" {
		if _, err := sc.parse(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key] = sc
	return nil
}

// Reset forgets records, queues, the scenarios of keys, and starts the
// numbering of ids again.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queue)
	clear(s.keys)
	clear(s.cached)
	for _, f := range s.forget {
		f()
	}
	s.records, s.dropped, s.serial = nil, 0, 0
	s.notify()
}

// accepts says whether a client may use this key.
func (s *Server) accepts(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[key]; ok {
		return true
	}
	if len(s.opts.Keys) > 0 {
		return slices.Contains(s.opts.Keys, key)
	}
	return strings.HasPrefix(key, "sk-sim-") || strings.HasPrefix(key, "sk-ant-sim-")
}

// next returns the next serial number: ids are counted, never random, so that
// two runs of one test give the same bytes.
func (s *Server) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return s.serial
}

// wait pauses for d and reports false when the client left first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
